//! The settings of a measurement, each defined once. The name of a flag makes that of its variable and
//! that of its key in the project's file ([`crate::cli::sources`]): `--timeout-seconds`,
//! `PERF_TIMEOUT_SECONDS`, `timeout_seconds`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use cp1_format::{
    AdapterOption, Allowed, Amount, Arrivals, Distribution, KeyDistribution, Metric, Passive,
    is_driver_place, is_module, is_node, is_span,
};

use crate::cli::arguments::Print;

/// Where rebar3 leaves what it compiles, dependencies in `_checkouts` too.
const CODE_PATH: &str = "_build/perf/lib/*/ebin:_build/perf/checkouts/*/ebin";

/// What a command tells on its way.
#[derive(Debug, Clone, Copy, Args)]
pub struct Talking {
    /// Tell nothing on the way: only the answer and errors remain
    #[arg(long)]
    pub quiet: bool,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// What is measured.
    #[command(flatten)]
    pub settings: Settings,
    /// Where it is measured.
    #[command(flatten)]
    pub attach: AttachTo,
    /// Make no load, and watch the node's own traffic in windows, of which --blocks says how many: "calls",
    /// or prefixes of telemetry's spans with commas between, such as my_app.router.route
    #[arg(long, value_name = "WHAT", value_parser = spans, requires = "attach")]
    pub passive: Option<Spans>,
    /// Length of a window
    #[arg(long, value_name = "MS", default_value_t = 60_000, requires = "passive")]
    #[arg(value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    pub window_ms: u64,
    /// Where files go.
    #[command(flatten)]
    pub output: Output,
    /// How much is measured.
    #[command(flatten)]
    pub extent: Extent,
    /// What is told.
    #[command(flatten)]
    pub talk: Talking,
    /// Where the report goes; a report is never overwritten [default: a new one in --artifacts]
    #[arg(long, value_name = "FILE")]
    pub report_file: Option<PathBuf>,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// What is examined.
    #[command(flatten)]
    pub settings: Settings,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
    /// What is told.
    #[command(flatten)]
    pub talk: Talking,
}

/// Arguments of `flame`.
#[derive(Debug, Args)]
pub struct Flame {
    /// What is looked at.
    #[command(flatten)]
    pub settings: Settings,
    /// Where files go.
    #[command(flatten)]
    pub output: Output,
    /// What is told.
    #[command(flatten)]
    pub talk: Talking,
    /// The commit to set the work tree against [default: the baseline's]
    #[arg(long, value_name = "REV")]
    pub good: Option<String>,
    /// How long each build is under load while perf looks on
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = whole::<u32, 1, 600>)]
    pub seconds: u32,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `sessions`.
#[derive(Debug, Args)]
pub struct Sessions {
    /// What is measured.
    #[command(flatten)]
    pub settings: Settings,
    /// Where it is measured.
    #[command(flatten)]
    pub attach: AttachTo,
    /// Where files go.
    #[command(flatten)]
    pub output: Output,
    /// What is told.
    #[command(flatten)]
    pub talk: Talking,
    /// Sessions that are measured; a baseline needs three
    #[arg(long, value_name = "N", default_value = "3", value_parser = whole::<u32, 1, 99>)]
    pub sessions: u32,
    /// Blocks of each session
    #[arg(long, value_name = "N", default_value = "7", value_parser = whole::<u32, 1, 1000>)]
    pub blocks: u32,
    /// Time between two sessions
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = whole::<u64, 0, 86_400>)]
    pub pause_seconds: u64,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `prove`.
#[derive(Debug, Args)]
pub struct Prove {
    /// What is measured.
    #[command(flatten)]
    pub settings: Settings,
    /// Whose load, and by what it is judged.
    #[command(flatten)]
    pub contract: ContractFiles,
    /// What is told.
    #[command(flatten)]
    pub talk: Talking,
    /// Gates without a change
    #[arg(long, value_name = "N", default_value = "15", value_parser = whole::<u32, 1, 9999>)]
    pub gates: u32,
    /// Gates with 1.5 times the limit of p95 planted, and a third as many with each other change; 0
    /// where the adapter plants no faults [default: a third of --gates]
    #[arg(long, value_name = "N", value_parser = whole::<u32, 0, 9999>)]
    pub planted_gates: Option<u32>,
    /// Where the gates are kept, to go on with [default: _artifacts/prove]
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `bisect`.
#[derive(Debug, Args)]
pub struct Bisect {
    /// What is measured.
    #[command(flatten)]
    pub settings: Settings,
    /// Where files go.
    #[command(flatten)]
    pub output: Output,
    /// The revision that was good [default: the baseline's commit]
    #[arg(long, value_name = "REV")]
    pub good: Option<String>,
    /// The revision that is bad
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    pub bad: String,
    /// What became worse [default: what is furthest beyond its limit]
    #[arg(long, value_name = "METRIC", value_parser = metric)]
    pub metric: Option<Metric>,
    /// Search every commit, also those that were merged in
    #[arg(long)]
    pub all_parents: bool,
    /// How often, at most, the search may blame a commit that it is not, in percent
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = error_pct)]
    pub error_pct: Amount,
    /// Blocks of one commit in a row, at most
    #[arg(long, value_name = "N", default_value = "8", value_parser = whole::<u32, 1, 100>)]
    pub step_blocks: u32,
    /// How much is told.
    #[command(flatten)]
    pub talk: Talking,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// What is measured.
    #[command(flatten)]
    pub settings: Settings,
    /// Where it is measured.
    #[command(flatten)]
    pub attach: AttachTo,
    /// Where files go.
    #[command(flatten)]
    pub output: Output,
    /// How much is measured.
    #[command(flatten)]
    pub extent: Extent,
    /// Judge this report instead of measuring; a glob means its newest match
    #[arg(long, value_name = "FILE")]
    pub candidate: Option<PathBuf>,
    /// By what it is judged.
    #[command(flatten)]
    pub contract: ContractFiles,
    /// What the candidate is compared with
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub compare: Compare,
    /// Judge by baseline and policy of this revision, such as refs/remotes/origin/main, instead of the
    /// work tree's
    #[arg(long, value_name = "REV")]
    pub trusted_ref: Option<String>,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
    /// For the suite router_perf_SUITE: leave the artifacts of the verdict in this directory too, and end
    /// the run when standard input closes, as whoever started it has gone then
    #[arg(long, value_name = "DIR", hide = true)]
    pub common_test: Option<PathBuf>,
    /// What is told.
    #[command(flatten)]
    pub talk: Talking,
    /// Print what the verdict follows from, as in the log among the artifacts
    #[arg(long)]
    pub explain: bool,
    /// Do not look for the cause of a REGRESSION, function by function, in the time that is left, as
    /// perf-gate explain does; --explain prints how the verdict came to be, and looks for none
    #[arg(long)]
    pub no_explain: bool,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// What is explained.
    #[command(flatten)]
    pub settings: Settings,
    /// Where files go.
    #[command(flatten)]
    pub output: Output,
    /// What the work tree is compared with, such as HEAD~3 [default: the baseline's commit]
    #[arg(long, value_name = "REV")]
    pub good: Option<String>,
    /// The frozen report, whose commit and load count [default: perf/baseline_cp1.json]
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Plant a fault, as perf-gate run does
    #[arg(long, value_name = "FAULT")]
    pub fault: Option<String>,
    /// What is told.
    #[command(flatten)]
    pub talk: Talking,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Blocks of variants that no policy limits.
pub const VARIANT_BLOCKS: u32 = 9;

/// Arguments of `transport`.
#[derive(Debug, Args)]
pub struct Transport {
    /// What is measured.
    #[command(flatten)]
    pub settings: Settings,
    /// Where files go.
    #[command(flatten)]
    pub output: Output,
    /// What is told.
    #[command(flatten)]
    pub talk: Talking,
    /// The option of the adapter that takes several values
    #[arg(long, value_name = "NAME", default_value = "transport", value_parser = option_name)]
    pub variant_option: String,
    /// Its values, of which all are set against the first, and each against the one before it
    #[arg(long, value_name = "VALUES", default_value = "local,nats,nats-tls", value_parser = variants)]
    pub variants: VariantValues,
    /// Blocks, each with a fresh BEAM of each value [default: 9; as many as the looks of the policy take
    /// where that limits a ratio]
    #[arg(long, value_name = "N", value_parser = whole::<u32, 2, 100>)]
    pub blocks: Option<u32>,
    /// The policy that may limit ratios [default: perf/policy_cp1.json]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// How the answer is printed.
    #[command(flatten)]
    pub print: Print,
}

/// Where files go.
#[derive(Debug, Clone, Args)]
pub struct Output {
    /// Where reports and verdicts go [default: _artifacts]
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
}

/// How much is measured, and what is planted.
#[derive(Debug, Clone, Args)]
pub struct Extent {
    /// smoke is the default in a merge or pull request, gate elsewhere
    #[arg(long, value_name = "MODE", default_value = "gate")]
    pub mode: Mode,
    /// Blocks, each with a fresh BEAM of each side: as many are measured, whatever they show [default:
    /// as many as the looks of the policy take]
    #[arg(long, value_name = "N", value_parser = whole::<u32, 1, 1000>)]
    pub blocks: Option<u32>,
    /// Plant a fault to see the gate fail: delay_us=N stall_ms=N error_ratio=R hold_bytes=N
    /// leak_bytes=N backpressure=1 crash_after=N
    #[arg(long, value_name = "FAULT")]
    pub fault: Option<String>,
}

/// Nodes that run already, to measure in.
#[derive(Debug, Clone, Default, Args)]
pub struct AttachTo {
    /// Measure in this node, which runs already, here or on another host, and not in fresh BEAMs; the load
    /// must be named, by --rate and --concurrency or by an attached baseline. Several, with commas between,
    /// have a router each, which the drivers of --nodes reach
    #[arg(long, value_name = "NODES", value_parser = attach_to)]
    pub attach: Option<AttachNodes>,
    /// The file that has the node's cookie [default: .erlang.cookie in the home directory]
    #[arg(long, value_name = "FILE")]
    pub attach_cookie_file: Option<PathBuf>,
    /// Speak TLS to the node, as its cluster does, with the options in this file, which is one for
    /// -ssl_dist_optfile of erl
    #[arg(long, value_name = "FILE")]
    pub attach_tls_file: Option<PathBuf>,
    /// What may be done to the node's router beside the load: control, fault, terminate, with commas
    /// between
    #[arg(long, value_name = "WHAT", value_parser = allowed, default_value = "")]
    pub attach_allow: AttachAllow,
    /// How its traffic is watched, where no load is made.
    #[arg(skip)]
    pub passive: Option<Passive>,
}

/// Names of nodes, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachNodes(pub Vec<String>);

/// Prefixes of spans; none of calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans(pub Vec<String>);

/// Where drivers are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(pub Vec<String>);

/// What may be done to a router that runs already.
pub type AttachAllow = BTreeSet<Allowed>;

/// The files that a candidate is judged by.
#[derive(Debug, Clone, Args)]
pub struct ContractFiles {
    /// The frozen report [default: perf/baseline_cp1.json]
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// The policy [default: perf/policy_cp1.json]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
}

/// What a candidate is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Compare {
    /// The baseline's figures where its machine and sessions allow it, else a replay
    Auto,
    /// The baseline's figures, on its machine
    Frozen,
    /// The baseline's commit, measured beside the candidate, in turn
    Replay,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Few blocks, wider error rates, as the policy says
    Smoke,
    /// As many blocks as it takes, up to the policy's last look
    Gate,
}

/// What is measured, and how.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The project: the directory that has perf/
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
    /// The adapter module that knows the router
    #[arg(long, value_name = "MODULE", value_parser = module)]
    pub adapter: Option<String>,
    /// What the adapter's init/1 is given besides: NAME=VALUE, with commas between; in the file a table
    #[arg(long, value_name = "OPTIONS", value_parser = adapter_options, default_value = "")]
    pub adapter_options: AdapterOptions,
    /// Flags of production for the measured BEAMs, such as "+S 4 +A 16 -config sys"; the adapter's
    /// init/1 starts the router
    #[arg(long, value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    pub erl_args: String,
    /// The command that compiles router and adapter, in the project, without REBAR_BASE_DIR; empty where
    /// they are compiled
    #[arg(long, value_name = "COMMAND", default_value = "rebar3 as perf compile")]
    pub build: String,
    /// Directories of compiled modules, from the project on: globs, with `:` between
    #[arg(long, value_name = "GLOBS", default_value = CODE_PATH)]
    pub code_path: String,
    /// Least discarded load before each block; five times that until throughput is steady [default:
    /// 1000]
    #[arg(long, value_name = "MS", value_parser = whole::<u32, 10, 600_000>)]
    pub warmup_ms: Option<u32>,
    /// Closed loop of a block, all slices [default: 1000]
    #[arg(long, value_name = "MS", value_parser = whole::<u32, 10, 600_000>)]
    pub throughput_ms: Option<u32>,
    /// Open loop of a block, all slices [default: 4000, or as long as 20,000 requests take]
    #[arg(long, value_name = "MS", value_parser = whole::<u32, 10, 600_000>)]
    pub latency_ms: Option<u32>,
    /// How long one side is measured before the other takes its turn; longer where 1,000 arrivals take
    /// longer [default: 60]
    #[arg(long, value_name = "MS", value_parser = whole::<u32, 10, 600_000>)]
    pub slice_ms: Option<u32>,
    /// Arrivals a second in the open loop [default: the baseline's, else found]
    #[arg(long, value_name = "N", value_parser = whole::<u32, 1, 1_000_000>)]
    pub rate: Option<u32>,
    /// Workers of the closed loop [default: the baseline's, else found]
    #[arg(long, value_name = "N", value_parser = whole::<u32, 1, 10_000>)]
    pub concurrency: Option<u32>,
    /// Drivers that share the load: local, ssh:DESTINATION, MODULE:TEXT with a module that starts one, or
    /// NAME@HOST of the cluster of the attached nodes, with commas between; none: the router's BEAM makes the
    /// load
    #[arg(long, value_name = "PLACES", value_parser = nodes, default_value = "")]
    pub nodes: Places,
    /// Routers that the drivers reach, each in a BEAM of its own [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u32, 1, 16>)]
    pub routers: Option<u32>,
    /// How drivers reach routers, tcp or tls [default: tls where a driver is not on this machine]
    #[arg(long, value_name = "HOW", value_parser = distribution)]
    pub distribution: Option<Distribution>,
    /// The address of this machine that drivers elsewhere reach the routers at [default: loopback]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<Ipv4Addr>,
    /// After the open loop of each block, let the router be gone for so long, and measure how it comes back:
    /// recovery_ms and requests_lost, which a policy may limit; where the adapter has outage/1 [default: no
    /// outage]
    #[arg(long, value_name = "MS", value_parser = whole::<u32, 10, 60_000>)]
    pub outage_ms: Option<u32>,
    /// How arrivals are spaced: constant or poisson
    #[arg(long, value_name = "HOW", value_parser = arrivals, default_value = "constant")]
    pub arrivals: Arrivals,
    /// How requests draw their key: uniform, or zipf:S with an exponent S above 0 and up to 10
    #[arg(long, value_name = "HOW", value_parser = keys, default_value = "uniform")]
    pub keys: KeyDraw,
    /// Keys that there are [default: 10000]
    #[arg(long, value_name = "N", value_parser = whole::<u64, 1, 4_294_967_296>)]
    pub key_count: Option<u64>,
    /// Seed of keys, arrivals, and who goes first [default: 1; of a replay a new one]
    #[arg(long, value_name = "N", value_parser = whole::<u64, 0, 9_007_199_254_740_992>)]
    pub seed: Option<u64>,
    /// Limit of each call of the adapter's init/1, connect/2, transport/1, counters/1, control/2, outage/1 and
    /// terminate/1 [default: 30000]
    #[arg(long, value_name = "MS", value_parser = whole::<u32, 100, 3_600_000>)]
    pub callback_timeout_ms: Option<u32>,
    /// Time limit of the measurement
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = whole::<u64, 10, 86_400>)]
    pub timeout_seconds: u64,
}

/// Options of an adapter, by name.
pub type AdapterOptions = BTreeMap<String, AdapterOption>;

/// Values of one option of an adapter, at least two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantValues(pub Vec<AdapterOption>);

/// How requests draw their key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyDraw {
    /// The distribution.
    pub distribution: KeyDistribution,
    /// Of a Zipf distribution its exponent.
    pub exponent: Option<Amount>,
}

fn metric(text: &str) -> Result<Metric, String> {
    let known = || Metric::ALL.map(Metric::name).join(", ");
    let found = Metric::ALL.into_iter().find(|metric| metric.name() == text);
    found.ok_or_else(|| format!("give one of {}", known()))
}

fn error_pct(text: &str) -> Result<Amount, &'static str> {
    let percent = Amount::parse(text).ok();
    let is_one = |percent: &Amount| (0.01..=50.0).contains(&percent.approximate());
    percent.filter(is_one).ok_or("give a number of percent from 0.01 to 50")
}

/// A whole number in a range.
pub(super) fn whole<T, const MIN: u64, const MAX: u64>(text: &str) -> Result<T, String>
where
    T: FromStr + TryFrom<u64> + Display,
{
    let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number));
    let typed =
        number.filter(|_| !text.starts_with('+')).and_then(|number| T::try_from(number).ok());
    typed.ok_or_else(|| format!("expected a whole number from {MIN} to {MAX}"))
}

fn adapter_options(text: &str) -> Result<AdapterOptions, &'static str> {
    let expected = "expected NAME=VALUE, with commas between";
    let option = |text: &str| {
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty())?;
        Some((name.to_owned(), option_value(value)))
    };
    let texts = text.split(',').filter(|text| !text.is_empty());
    texts.map(option).collect::<Option<_>>().ok_or(expected)
}

fn nodes(text: &str) -> Result<Places, &'static str> {
    let places: Vec<_> =
        text.split(',').filter(|place| !place.is_empty()).map(ToOwned::to_owned).collect();
    if places.iter().all(|place| is_driver_place(place)) {
        Ok(Places(places))
    } else {
        Err("expected local, ssh:DESTINATION, MODULE:TEXT or NAME@HOST, with commas between")
    }
}

fn distribution(text: &str) -> Result<Distribution, &'static str> {
    match text {
        "tcp" => Ok(Distribution::Tcp),
        "tls" => Ok(Distribution::Tls),
        _ => Err("expected tcp or tls"),
    }
}

fn attach_to(text: &str) -> Result<AttachNodes, &'static str> {
    let nodes: Vec<_> = text.split(',').map(ToOwned::to_owned).collect();
    let expected = "expected a node's name, NAME@HOST, or several with commas between";
    if nodes.iter().all(|node| is_node(node)) { Ok(AttachNodes(nodes)) } else { Err(expected) }
}

fn spans(text: &str) -> Result<Spans, &'static str> {
    if text == "calls" {
        return Ok(Spans(Vec::new()));
    }
    let prefixes: Vec<_> = text.split(',').map(ToOwned::to_owned).collect();
    let expected =
        "expected calls, or prefixes of spans such as my_app.router.route, with commas between";
    if prefixes.iter().all(|prefix| is_span(prefix)) { Ok(Spans(prefixes)) } else { Err(expected) }
}

fn allowed(text: &str) -> Result<AttachAllow, &'static str> {
    let one = |word: &str| match word {
        "control" => Ok(Allowed::Control),
        "fault" => Ok(Allowed::Fault),
        "terminate" => Ok(Allowed::Terminate),
        _ => Err("expected control, fault or terminate, with commas between"),
    };
    text.split(',').filter(|word| !word.is_empty()).map(one).collect()
}

fn option_value(text: &str) -> AdapterOption {
    match (text, text.parse()) {
        ("true" | "false", _) => AdapterOption::Boolean(text == "true"),
        (_, Ok(number)) => AdapterOption::Integer(number),
        _ => AdapterOption::Text(text.to_owned()),
    }
}

fn option_name(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("expected the name of an option") } else { Ok(text.to_owned()) }
}

/// Most variants that are alive at once.
const VARIANTS_MAX: usize = 8;

fn variants(text: &str) -> Result<VariantValues, &'static str> {
    let values: Vec<_> = text.split(',').map(option_value).collect();
    let shown: BTreeSet<_> = values.iter().map(ToString::to_string).collect();
    let is_sound = shown.len() == values.len() && !text.split(',').any(str::is_empty);
    if is_sound && (2..=VARIANTS_MAX).contains(&values.len()) {
        Ok(VariantValues(values))
    } else {
        Err("expected 2 to 8 values that differ, with commas between")
    }
}

fn module(text: &str) -> Result<String, &'static str> {
    let expected = "expected the name of an adapter module";
    if is_module(text) { Ok(text.to_owned()) } else { Err(expected) }
}

fn arrivals(text: &str) -> Result<Arrivals, &'static str> {
    match text {
        "constant" => Ok(Arrivals::Constant),
        "poisson" => Ok(Arrivals::Poisson),
        _ => Err("expected constant or poisson"),
    }
}

fn keys(text: &str) -> Result<KeyDraw, &'static str> {
    if text == "uniform" {
        return Ok(KeyDraw { distribution: KeyDistribution::Uniform, exponent: None });
    }
    let exponent = text.strip_prefix("zipf:").and_then(|exponent| Amount::parse(exponent).ok());
    let in_range = |exponent: &Amount| {
        let number = exponent.approximate();
        number > 0.0 && number <= 10.0
    };
    match exponent.filter(in_range) {
        Some(exponent) => {
            Ok(KeyDraw { distribution: KeyDistribution::Zipf, exponent: Some(exponent) })
        }
        None => Err("expected uniform, or zipf:S with an exponent S above 0 and up to 10"),
    }
}
