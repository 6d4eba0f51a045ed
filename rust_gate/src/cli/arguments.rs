//! The command line, as typed.

use std::path::PathBuf;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use cp1_format::{Routers, Timestamp};

use crate::cli::help;
use crate::cli::settings::{
    Bench, Bisect, Doctor, Explain, Flame, Prove, Run, Sessions, Transport,
};

/// Gates that are simulated for each line of a table.
pub const SIMULATED_GATES: u32 = 2000;

/// Seed of their random numbers.
pub const SIMULATED_SEED: u64 = 1;

/// The command line of `perf-gate`.
#[derive(Debug, Parser)]
#[command(
    name = "perf-gate",
    version,
    about = "Measures a message router and judges it against the frozen CP1 baseline and policy",
    after_help = help::PROGRAM,
    color = ColorChoice::Never,
    // A width of its own, so that the help does not depend on the terminal.
    term_width = 100
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write what a project needs to be measured: settings, policy, an adapter to fill in, a profile, jobs
    #[command(after_help = help::INIT)]
    Init(Init),
    /// Write manual pages and completions under a prefix, as an installation has them
    #[command(hide = true, after_help = help::MANUALS)]
    Manuals(Manuals),
    /// Try the adapter: each callback, ten requests, each control, and say what is wrong with it
    #[command(after_help = help::DOCTOR)]
    Doctor(Box<Doctor>),
    /// Say what of this machine makes a benchmark believable and what disturbs it, each with its
    /// cure
    #[command(after_help = help::RUNNER)]
    Runner(Runner),
    /// Measure the router and judge it against the frozen baseline
    #[command(after_help = help::RUN)]
    Run(Box<Run>),
    /// Measure the router and leave a sealed report
    #[command(after_help = help::BENCH)]
    Bench(Box<Bench>),
    /// Find the commit that made the router worse, by measuring commits against the good end
    #[command(after_help = help::BISECT)]
    Bisect(Box<Bisect>),
    /// Measure several sessions of the router under one load, for freeze or bump
    #[command(after_help = help::SESSIONS)]
    Sessions(Box<Sessions>),
    /// Say what the work tree does otherwise than the frozen commit, function by function, and what of its
    /// time and memory that explains
    #[command(after_help = help::EXPLAIN)]
    Explain(Box<Explain>),
    /// Judge a report and say PASS, REGRESSION, INVALID, INCONCLUSIVE or INCOMPARABLE
    #[command(after_help = help::CHECK)]
    Check(Check),
    /// Chart each metric over many reports: how much of its limit each uses, where the baseline moved, where
    /// the metric changed
    #[command(after_help = help::TREND)]
    Trend(Trend),
    /// Set two reports or verdicts side by side, and judge nothing
    #[command(after_help = help::DIFF)]
    Diff(Diff),
    /// Draw where the processor time of both builds goes, function by function, and how they differ: one SVG
    /// file with flame graphs
    #[command(after_help = help::FLAME)]
    Flame(Box<Flame>),
    /// Measure the router behind each of several transports in turn, slice by slice, and say what the bus and
    /// the cryptography cost, as ratios with intervals; so of any option of an adapter
    #[command(after_help = help::TRANSPORT)]
    Transport(Box<Transport>),
    /// Add the reports of machines that share no cluster: one report of all
    #[command(after_help = help::MERGE)]
    Merge(Merge),
    /// Print how often gates under this policy would err, by Monte Carlo over a baseline's blocks
    #[command(after_help = help::SIMULATE)]
    Simulate(Simulate),
    /// Print how many blocks this policy needs on the baseline's machine
    #[command(after_help = help::PLAN)]
    Plan(Plan),
    /// Plant a regression just past each rule into a copy of a candidate and demand red; improve each
    /// metric and demand green
    #[command(after_help = help::SELFTEST)]
    Selftest(Selftest),
    /// Run whole gates of this commit against itself, without a change and with planted ones, and print
    /// how often they erred and whether a change reads as large as it is
    #[command(after_help = help::PROVE)]
    Prove(Box<Prove>),
    /// Make the first baseline of the freeze out of several sessions, with its record
    #[command(after_help = help::FREEZE)]
    Freeze(Freeze),
    /// Move the baseline to newly measured sessions, with the record that justifies it
    #[command(after_help = help::BUMP)]
    Bump(Bump),
    /// Record a change of the policy that is in the work tree
    #[command(after_help = help::AMEND)]
    Amend(Amend),
    /// Go back to the baseline of an earlier record, by a new record
    #[command(after_help = help::ROLLBACK)]
    Rollback(Rollback),
    /// Find out whether the contract was changed otherwise than by these commands
    #[command(after_help = help::VERIFY)]
    Verify(Verify),
    /// Show how much of each limit a candidate uses, and how far all moves of the baseline went
    #[command(after_help = help::BUDGET)]
    Budget(Budget),
    /// Look for mistakes in policy, baseline, records, waivers and the files of continuous
    /// integration
    #[command(after_help = help::LINT)]
    Lint(Lint),
    /// Print the figures of a report as another tool takes them
    #[command(after_help = help::EXPORT)]
    Export(Export),
    /// Make a report out of what another tool measured
    #[command(after_help = help::IMPORT)]
    Import(Import),
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Print {
    /// How the answer is printed on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
}

/// Where the contract is.
#[derive(Debug, Args)]
pub struct Root {
    /// The directory that has perf/
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub root: PathBuf,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The project
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
    /// The router's application [default: the project's only one]
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
    /// Jobs for which platform of continuous integration [default: the one that the project uses]
    #[arg(long, value_name = "PLATFORM")]
    pub ci: Option<Platform>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub show: bool,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `runner`.
#[derive(Debug, Args)]
pub struct Runner {
    /// Fail where a dedicated runner is not as it should be
    #[arg(long)]
    pub strict: bool,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `manuals`.
#[derive(Debug, Args)]
pub struct Manuals {
    /// The prefix
    #[arg(long, value_name = "DIR")]
    pub prefix: PathBuf,
}

/// A platform of continuous integration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// .gitlab-ci.perf.yml
    Gitlab,
    /// .github/workflows/perf.yml
    Github,
    /// No jobs
    None,
}

/// The justification of a change.
#[derive(Debug, Args)]
pub struct Answers {
    /// What changed
    #[arg(long, value_name = "TEXT")]
    pub what: String,
    /// Why that is acceptable
    #[arg(long, value_name = "TEXT")]
    pub why_acceptable: String,
    /// Why the policy still makes sense
    #[arg(long, value_name = "TEXT")]
    pub why_policy_holds: String,
    /// Where the reports are: an https:// link, or a path that exists; may be repeated
    #[arg(long, value_name = "LINK", required = true)]
    pub artifact: Vec<String>,
}

/// Arguments of `freeze`.
#[derive(Debug, Args)]
pub struct Freeze {
    /// Where the contract is.
    #[command(flatten)]
    pub root: Root,
    /// The report of a session; repeated, at least 3 with 20 blocks in all
    #[arg(long, value_name = "FILE", required = true)]
    pub session: Vec<PathBuf>,
    /// The justification.
    #[command(flatten)]
    pub answers: Answers,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `bump`.
#[derive(Debug, Args)]
pub struct Bump {
    /// Where the contract is.
    #[command(flatten)]
    pub root: Root,
    /// Why the baseline moves
    #[arg(long)]
    pub reason: Reason,
    /// The report of a session; repeated, at least 3 with 20 blocks in all
    #[arg(long, value_name = "FILE", required = true)]
    pub session: Vec<PathBuf>,
    /// The justification.
    #[command(flatten)]
    pub answers: Answers,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Why a baseline moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reason {
    /// The router costs more, on purpose
    TradeOff,
    /// The router costs less
    Improvement,
    /// The router is the same, and is measured differently
    Correction,
}

/// Arguments of `amend`.
#[derive(Debug, Args)]
pub struct Amend {
    /// Where the contract is.
    #[command(flatten)]
    pub root: Root,
    /// The justification.
    #[command(flatten)]
    pub answers: Answers,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The number of the record whose baseline counts again
    #[arg(value_name = "NNNN")]
    pub number: u32,
    /// Where the contract is.
    #[command(flatten)]
    pub root: Root,
    /// The justification.
    #[command(flatten)]
    pub answers: Answers,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Where the contract is.
    #[command(flatten)]
    pub root: Root,
    /// Look at the commits that this revision does not have, such as refs/remotes/origin/main, and not
    /// at all of them
    #[arg(long, value_name = "REV")]
    pub against: Option<String>,
    /// Look at the files of the work tree alone, and not at how they came to be as they are
    #[arg(long, conflicts_with = "against")]
    pub files: bool,
    /// In a job: of a merge or pull request look at the commits that its target branch, which is
    /// fetched, does not have, else at all; and lint too
    #[arg(long, conflicts_with_all = ["against", "files"])]
    pub ci: bool,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `budget`.
#[derive(Debug, Args)]
pub struct Budget {
    /// Where the contract is.
    #[command(flatten)]
    pub root: Root,
    /// A measured report
    #[arg(long, value_name = "FILE")]
    pub candidate: Option<PathBuf>,
    /// The report of the baseline's commit, measured in turn with the candidate
    #[arg(long, value_name = "FILE", requires = "candidate")]
    pub replay: Option<PathBuf>,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `lint`.
#[derive(Debug, Args)]
pub struct Lint {
    /// Where the contract is.
    #[command(flatten)]
    pub root: Root,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The frozen report
    #[arg(long, value_name = "FILE")]
    pub baseline: PathBuf,
    /// How far each figure may move
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// Read baseline and policy of this revision instead of the work tree's, so that a change cannot
    /// vouch for itself; for example refs/remotes/origin/main
    #[arg(long, value_name = "REV")]
    pub trusted_ref: Option<String>,
    /// Exceptions from the policy; without such a file there are none
    #[arg(long, value_name = "FILE")]
    pub waivers: Option<PathBuf>,
    /// The report to judge: a path or a glob, may be repeated; of several matches the newest by its
    /// own timestamp is judged
    #[arg(long, value_name = "FILE", required = true)]
    pub candidate: Vec<PathBuf>,
    /// The report of the baseline's commit, measured in turn with the candidate: relative rules are
    /// then judged on the blocks, with stated error rates
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Judge once, after few blocks, with the error rates that the policy states for that
    #[arg(long)]
    pub smoke: bool,
    /// Write perf_gate_*.log, perf_summary_*.md, perf_verdict_*.json, and the same as JUnit, SARIF, annotations,
    /// code quality, metrics and TAP into this directory
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
    /// Names the artifacts; without it the candidate's timestamp does
    #[arg(long, value_name = "TEXT")]
    pub label: Option<Label>,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
    /// Print what the verdict follows from, as in the log among the artifacts
    #[arg(long)]
    pub explain: bool,
}

/// Arguments of `trend`.
#[derive(Debug, Args)]
pub struct Trend {
    /// Folders of artifacts, reports, or globs of either
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Where policy and records are.
    #[command(flatten)]
    pub root: Root,
    /// Write the charts as an HTML page, too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How it is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// A report or a verdict
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// Another
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// How it is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct Merge {
    /// Whose router the machines put under load: nothing in a report says it
    #[arg(long, value_name = "WHOSE")]
    pub routers: WhoseRouter,
    /// Where the report goes, which must not be there yet
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// The report of each machine, or one that was merged; `-` is standard input
    #[arg(value_name = "REPORT", required = true, num_args = 2..)]
    pub reports: Vec<PathBuf>,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Whose router machines put under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhoseRouter {
    /// Each machine's own, a shard or an instance: memory and counters are added
    Each,
    /// One for all, outside of their BEAMs: its memory is not known
    Shared,
}

impl From<WhoseRouter> for Routers {
    fn from(whose: WhoseRouter) -> Self {
        match whose {
            WhoseRouter::Each => Self::Each,
            WhoseRouter::Shared => Self::Shared,
        }
    }
}

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// The frozen report: two of its blocks make a change
    #[arg(long, value_name = "FILE", required_unless_present_any = ["replay", "spread"],
          conflicts_with = "replay")]
    pub baseline: Option<PathBuf>,
    /// Instead of a baseline: the frozen side of a replay of a commit against itself, and with
    /// --candidate the other side; may be repeated
    #[arg(long, value_name = "FILE", requires = "candidate")]
    pub replay: Vec<PathBuf>,
    /// The candidates of the replays, in the same order
    #[arg(long, value_name = "FILE", requires = "replay")]
    pub candidate: Vec<PathBuf>,
    /// With --replay: draw the blocks as they were measured, with whatever was planted in them
    #[arg(long, requires = "replay")]
    pub as_measured: bool,
    /// The policy
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// Gates simulated for each line of the table
    #[arg(long, value_name = "N", default_value_t = SIMULATED_GATES,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub gates: u32,
    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = SIMULATED_SEED)]
    pub seed: u64,
    /// Instead of the baseline's blocks: normal noise of so many percent
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub spread: Option<f64>,
    /// With --spread: so many percent of the blocks are worse by 30 % on average
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent,
          requires = "spread")]
    pub spikes: f64,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
    /// Simulate so many searches of perf-gate bisect for each line of a table, instead of gates
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub searches: Option<u32>,
    /// With --searches: commits between the ends
    #[arg(long, value_name = "N", default_value_t = 60, requires = "searches",
          value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub commits: u32,
    /// With --searches: so many percent of the commits do not build
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent,
          requires = "searches")]
    pub broken: f64,
}

fn percent(text: &str) -> Result<f64, &'static str> {
    let number: f64 = text.parse().map_err(|_| "give a number of percent")?;
    if (0.0..=100.0).contains(&number) { Ok(number) } else { Err("give 0 to 100 percent") }
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// The frozen report, whose blocks show the machine's noise
    #[arg(long, value_name = "FILE")]
    pub baseline: PathBuf,
    /// The policy
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `selftest`.
#[derive(Debug, Args)]
pub struct Selftest {
    /// The frozen report
    #[arg(long, value_name = "FILE")]
    pub baseline: PathBuf,
    /// The policy to test
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// A measured report to plant into
    #[arg(long, value_name = "FILE")]
    pub candidate: PathBuf,
    /// The frozen commit's report, where candidate and baseline were measured in turn
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct Export {
    /// What takes it
    #[arg(long, value_name = "FORMAT")]
    pub format: ExportFormat,
    /// Of github-action-benchmark: which figures, as a file of it has one direction
    #[arg(long, value_name = "DIRECTION", default_value = "smaller")]
    pub better: Better,
    /// Of openmetrics: without the report's time, as node_exporter's text files and the Pushgateway ask
    /// for
    #[arg(long)]
    pub no_timestamps: bool,
    /// The report; `-` is standard input
    #[arg(value_name = "REPORT")]
    pub report: PathBuf,
}

/// What a report is exported for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Prometheus and whatever reads OpenMetrics
    Openmetrics,
    /// HdrHistogram's percentile distribution
    Hgrm,
    /// HdrHistogram's interval log
    Hlog,
    /// Bencher
    Bmf,
    /// github-action-benchmark
    GithubActionBenchmark,
    /// Comma-separated values
    Csv,
    /// A JSON object a line
    JsonLines,
}

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Better {
    /// Latencies, memory and counts
    Smaller,
    /// Throughput
    Bigger,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The tool that measured
    #[arg(long, value_name = "TOOL")]
    pub format: ImportFormat,
    /// When it measured, in UTC, such as 2026-01-31T12:00:00Z: no tool's file says it, and no clock is
    /// asked
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    pub timestamp: Timestamp,
    /// The commit that was measured, in 40 hexadecimal digits; a candidate without one is INVALID
    #[arg(long, value_name = "COMMIT", value_parser = commit)]
    pub commit: Option<String>,
    /// The exit code of the tool, which a policy may ask for
    #[arg(long, value_name = "CODE")]
    pub exit_code: Option<i32>,
    /// Of hgrm: in what its values are
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<Unit>,
    /// Where the report goes, which must not be there yet [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What it wrote; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub file: Vec<PathBuf>,
}

/// A tool whose results are imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// Grafana k6: its summary
    K6,
    /// wrk2: its output with --latency
    Wrk2,
    /// HdrHistogram's percentile distribution
    Hgrm,
    /// basho_bench: summary.csv and one *_latencies.csv
    #[value(name = "basho_bench")]
    BashoBench,
    /// erlperf: its output
    Erlperf,
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Unit {
    /// Nanoseconds
    Ns,
    /// Microseconds
    Us,
    /// Milliseconds
    Ms,
    /// Seconds
    S,
}

impl Unit {
    /// How many milliseconds it is.
    #[must_use]
    pub fn in_ms(self) -> BigDecimal {
        let power = match self {
            Self::Ns => 6,
            Self::Us => 3,
            Self::Ms => 0,
            Self::S => -3,
        };
        BigDecimal::new(1.into(), power)
    }
}

fn timestamp(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::parse(text).ok_or("give a time in UTC, such as 2026-01-31T12:00:00Z")
}

fn commit(text: &str) -> Result<String, &'static str> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match text.len() == 40 && is_hex {
        true => Ok(text.to_owned()),
        false => Err("give all 40 digits, as `git rev-parse HEAD` prints them"),
    }
}

/// A part of a file's name: 1 to 64 of letters, digits, `.`, `_`, `-`, without a leading dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let fits =
            (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(allowed);
        fits.then(|| Self(text.to_owned())).ok_or(
            "give 1 to 64 characters out of letters, digits, `.`, `_` and `-`, and no leading dot",
        )
    }
}
