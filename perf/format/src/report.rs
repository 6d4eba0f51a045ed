//! The measured report: a candidate, and once frozen the baseline.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::block::{Accounting, Block, EncodedHistogram, Metrics, Series};
use crate::decimal::Amount;
use crate::environment::{Environment, EnvironmentField};
use crate::merged::Merged;
use crate::metric::Metric;
use crate::plan::AdapterOption;
use crate::read::{Document, Segment, Violation};
use crate::timestamp::Timestamp;
use crate::watched::Watched;

/// `perf_baseline_<time>.json` and `baseline_cp1.json`.
///
/// The minimal form has `timestamp`, `git.commit`, `env`, `metrics` and `run.ct_exit_code`. A
/// figure that was not measured is absent: never 0, never null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Name and version of this format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaTag>,
    /// When the run began.
    pub timestamp: Timestamp,
    /// What was measured.
    pub git: Git,
    /// Where it was measured.
    pub env: Environment,
    /// The headline figures: of a time, a rate or memory the median over blocks, of a count the sum.
    pub metrics: Metrics,
    /// How the run went.
    pub run: Run,
    /// The plan as run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// What was watched, where no load was the bench's; it takes the place of `load`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watched: Option<Watched>,
    /// The machines that measured, where their reports were merged; absent means one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<Merged>,
    /// What each finished block measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Vec<Block>>,
    /// Every request of every block, by what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounting: Option<Accounting>,
    /// Figures about the measurement itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Diagnostics>,
    /// The distributions behind the percentiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histograms: Option<Vec<EncodedHistogram>>,
    /// What the sampler saw over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Vec<Series>>,
    /// Whether the router's counters were seen to move when they should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controls: Option<BTreeMap<Metric, Control>>,
    /// The sessions that the blocks come from, in order; absent means one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Vec<Session>>,
    /// How the blocks were measured in turn with those of another commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairing: Option<Pairing>,
}

/// Blocks that were measured in one go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// When it began.
    pub timestamp: Timestamp,
    /// How many blocks it measured.
    #[schemars(range(min = 1))]
    pub blocks: u32,
}

/// One side of a replay: block k of the frozen commit and block k of the candidate were measured in
/// turn on one machine, slice by slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pairing {
    /// Which side this report is.
    pub role: Role,
    /// Seed of the orders: who boots first, and whose slice comes first.
    pub seed: u64,
    /// For each block, whether this side's BEAM was started before the other's.
    pub booted_first: Vec<bool>,
    /// Whether both sides lived at the same time; a router that cannot live twice on one machine is
    /// measured one side after the other.
    pub alive_together: bool,
}

/// A side of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The baseline's commit, measured again.
    Frozen,
    /// What is to be judged.
    Candidate,
}

/// What a positive control showed: 0 means something only of a counter that can move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// One was provoked in the router, and its counter counted it.
    Alive,
    /// The adapter offers no way to provoke one.
    NotOffered,
}

/// Name and version of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaTag {
    /// The format's name.
    pub name: SchemaName,
    /// The format's version: 3 of reports, 2 of verdicts, 1 of all others.
    #[schemars(range(min = 1, max = 3))]
    pub version: u32,
}

/// The formats that carry a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaName {
    /// [`Report`].
    Cp1Report,
    /// [`Verdict`](crate::Verdict).
    Cp1Verdict,
    /// [`Record`](crate::Record).
    Cp1Record,
    /// [`Trend`](crate::Trend).
    Cp1Trend,
    /// [`Difference`](crate::Difference).
    Cp1Difference,
    /// [`Answer`](crate::Answer).
    Cp1Answer,
    /// [`Bisection`](crate::Bisection).
    Cp1Bisection,
    /// [`Explanation`](crate::Explanation).
    Cp1Explanation,
    /// [`Variants`](crate::Variants).
    Cp1Variants,
}

/// The source that was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Git {
    /// Commit, 40 lower-case hexadecimal digits; absent outside a repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{40}$"))]
    pub commit: Option<String>,
    /// Tree of that commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{40}$"))]
    pub tree: Option<String>,
    /// Whether the work tree differed from the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty: Option<bool>,
}

/// How the run went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Exit code of the test run that measured; absent until it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ct_exit_code: Option<i32>,
    /// How far the run came; absent means complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// Why a run is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A fault that was planted on purpose, for example `delay_us=200`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planted_fault: Option<String>,
    /// Wall time of all blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The tool that measured, where its result was imported: what it calls a latency is comparable with
    /// its own alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<LoadTool>,
}

/// A tool whose results can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoadTool {
    /// Grafana k6.
    K6,
    /// wrk2.
    Wrk2,
    /// Whatever wrote HdrHistogram's percentile distribution.
    Hgrm,
    /// basho_bench.
    BashoBench,
    /// erlperf.
    Erlperf,
}

impl LoadTool {
    /// The word in files and sentences.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::K6 => "k6",
            Self::Wrk2 => "wrk2",
            Self::Hgrm => "hgrm",
            Self::BashoBench => "basho_bench",
            Self::Erlperf => "erlperf",
        }
    }
}

/// How far a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Every block was measured.
    Complete,
    /// Every block was measured, but one has too few samples above a gated percentile.
    InsufficientSamples,
    /// Every block was measured, but in most of them a gated percentile is for the most part the load
    /// generator's own lateness, not the router's.
    GeneratorLimited,
    /// A block ended early; `reason` says why.
    Failed,
    /// Whoever asked for the run stopped it, or has gone; the blocks that were measured until then are
    /// here.
    Interrupted,
    /// The run was still going on when this was written: what is read later was killed.
    Unfinished,
}

impl RunStatus {
    /// The word in the files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::InsufficientSamples => "insufficient_samples",
            Self::GeneratorLimited => "generator_limited",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Unfinished => "unfinished",
        }
    }
}

/// The plan as run. Two reports compare only where what shapes the load is equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// The adapter module.
    pub adapter: String,
    /// What its `init/1` was given besides, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adapter_options: BTreeMap<String, AdapterOption>,
    /// Blocks planned, each in a fresh BEAM.
    pub blocks: u32,
    /// Discarded load before the measured slices of a block.
    pub warmup_ms: u64,
    /// Closed loop of a block, all slices together.
    pub throughput_ms: u64,
    /// Open loop of a block, all slices together.
    pub latency_ms: u64,
    /// Length of a slice of the open loop, and of the closed loop.
    pub slice_ms: u64,
    /// Arrival rate of the open loop.
    pub rate_per_second: u64,
    /// The closed-loop throughput that the rate was derived from; absent where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration_rps: Option<Amount>,
    /// How the open loop's arrivals are spaced.
    pub arrivals: Arrivals,
    /// Workers of the closed loop.
    pub concurrency: u32,
    /// Most open-loop requests in flight, each with a worker of its own; an arrival beyond is skipped
    /// and counted.
    pub max_in_flight: u32,
    /// Drivers elsewhere that share the load; absent where the router's BEAM makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drivers: Option<u32>,
    /// Routers that drivers reach, each in a node of its own; absent without drivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routers: Option<u32>,
    /// What carries requests from drivers to routers; absent without drivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Patience for requests in flight at the end of a slice.
    pub drain_timeout_ms: u64,
    /// Cadence of the sampler.
    pub sample_interval_ms: u64,
    /// Time allowed for the whole run.
    pub timeout_ms: u64,
    /// Seed of every random choice of the load; absent of several machines together, which have theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How the keys of requests are drawn; absent in reports from before there was a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// The outage after the open loop of each block; absent where none was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage: Option<Outage>,
}

/// For how long the router is to be gone, and when it has recovered. It comes after all that is measured
/// otherwise, so that reports with and without one compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// How long.
    pub outage_ms: u64,
    /// By how much the p95 of a window may be above that before, in percent.
    pub tolerance_pct: Amount,
}

/// How the keys of requests are drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Which distribution.
    pub distribution: KeyDistribution,
    /// How many keys there are.
    pub count: u64,
    /// Exponent of a Zipf distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponent: Option<Amount>,
}

/// A distribution of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyDistribution {
    /// All keys alike.
    Uniform,
    /// Key k in proportion to 1/k^exponent.
    Zipf,
}

impl Outage {
    /// In a table: reports with other outages do not compare.
    #[must_use]
    pub fn shape(&self) -> String {
        format!("{} ms, p95 within +{} %", self.outage_ms, self.tolerance_pct)
    }
}

impl Load {
    /// What shapes the load, as name and text: two reports with different shapes measured different
    /// things.
    #[must_use]
    pub fn shape(&self) -> [(&'static str, String); 11] {
        let arrivals = match self.arrivals {
            Arrivals::Constant => "constant".to_owned(),
            Arrivals::Poisson => match self.seed {
                Some(seed) => format!("poisson, seed {seed}"),
                None => "poisson".to_owned(),
            },
        };
        let keys = match &self.keys {
            None => "unknown".to_owned(),
            Some(Keys { distribution: KeyDistribution::Uniform, count, .. }) => {
                format!("{count} uniform")
            }
            Some(Keys { distribution: KeyDistribution::Zipf, count, exponent }) => {
                let exponent = exponent.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("{count} zipf {exponent}")
            }
        };
        let options: Vec<String> =
            self.adapter_options.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let options = if options.is_empty() { "none".to_owned() } else { options.join(",") };
        [
            ("load.adapter", self.adapter.clone()),
            ("load.adapter_options", options),
            ("load.rate_per_second", self.rate_per_second.to_string()),
            ("load.arrivals", arrivals),
            ("load.concurrency", self.concurrency.to_string()),
            ("load.slice_ms", self.slice_ms.to_string()),
            ("load.max_in_flight", self.max_in_flight.to_string()),
            ("load.keys", keys),
            (
                "load.drivers",
                self.drivers.map_or_else(|| "none".to_owned(), |count| count.to_string()),
            ),
            ("load.routers", self.routers.unwrap_or(1).to_string()),
            (
                "load.distribution",
                self.distribution
                    .map_or("none", |distribution| match distribution {
                        Distribution::Tcp => "tcp",
                        Distribution::Tls => "tls",
                    })
                    .to_owned(),
            ),
        ]
    }
}

/// How nodes of distributed Erlang talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// In the open.
    Tcp,
    /// Encrypted, and each end proves who it is.
    Tls,
}

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// One every 1/rate seconds.
    Constant,
    /// A Poisson process: independent of each other.
    Poisson,
}

/// Figures about the measurement itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diagnostics {
    /// The clock that timed the requests.
    pub clock: Clock,
    /// Standard deviation over blocks in percent of the mean, from 2 blocks on.
    pub spread_pct: BTreeMap<Metric, Amount>,
}

/// A clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Which.
    pub source: String,
    /// Its smallest step.
    pub resolution_ns: Amount,
    /// Mean cost of a reading, measured when the recorder was loaded.
    pub read_cost_ns: Amount,
}

impl Document for Report {
    const KIND: &'static str = "report";
    const MAX_BYTES: u64 = 16 * 1024 * 1024;

    fn check(&self) -> Result<(), Violation> {
        check_head(self.schema, &self.git, &self.metrics)?;
        self.env.check()?;
        if let Some(accounting) = &self.accounting {
            accounting.check(&["accounting".into()])?;
        }
        for (index, block) in self.blocks.iter().flatten().enumerate() {
            block.check(index, &[Segment::from("blocks"), index.into()])?;
        }
        for (index, series) in self.series.iter().flatten().enumerate() {
            if series.time_ms.len() != series.values.len() {
                let at = [Segment::from("series"), index.into()];
                let problem = "`time_ms` and `values` differ in length";
                return Err(Violation::new(at, problem, "measure again"));
            }
        }
        self.check_watched()?;
        self.check_merged()?;
        self.check_sessions()?;
        self.check_pairing()
    }
}

impl Report {
    /// A part of the fingerprint; of machines that do not state it alike, what each states.
    #[must_use]
    pub fn fingerprint(&self, field: EnvironmentField) -> Option<String> {
        let Some(merged) = &self.merged else { return field.of(&self.env) };
        let of_machines: Vec<_> =
            merged.machines.iter().map(|machine| field.of(&machine.env)).collect();
        let (first, others) = of_machines.split_first()?;
        if others.iter().all(|other| other == first) {
            return first.clone();
        }
        let stated = |of_machine: Option<String>| of_machine.unwrap_or("not stated".to_owned());
        Some(of_machines.into_iter().map(stated).collect::<Vec<_>>().join(" + "))
    }

    /// Blocks in the report; a report without any has none in sessions either.
    fn block_count(&self) -> usize {
        self.blocks.as_ref().map_or(0, Vec::len)
    }

    /// A load is the bench's, or it is not: of all blocks, and of all requests.
    fn check_watched(&self) -> Result<(), Violation> {
        let is_watched = self.watched.is_some();
        let is_unlike = |is_traffic: bool| is_traffic != is_watched;
        let mut blocks = self.blocks.iter().flatten();
        let place = if is_watched && self.load.is_some() {
            "load"
        } else if is_watched && self.pairing.is_some() {
            "pairing"
        } else if is_watched && self.env.attached != Some(true) {
            let problem =
                "traffic is watched in a node that runs already, and the report does not say so";
            let place = ["env".into(), "attached".into()];
            return Err(Violation::new(place, problem, "watch again"));
        } else if self.accounting.is_some_and(|all| is_unlike(all.traffic.is_some())) {
            "accounting"
        } else if blocks.any(|block| is_unlike(block.traffic.is_some())) {
            "blocks"
        } else {
            return Ok(());
        };
        let problem = match is_watched {
            true => "the report says that traffic was watched, and this is of a load of the bench",
            false => "this is of watched traffic, and the report does not say that it was watched",
        };
        Err(Violation::new([place.into()], problem, "measure again"))
    }

    /// What several machines measured is said of each, and nothing is said of their moments.
    fn check_merged(&self) -> Result<(), Violation> {
        let Some(merged) = &self.merged else {
            for (index, block) in self.blocks.iter().flatten().enumerate() {
                block.check_is_of_one_machine(&["blocks".into(), index.into()])?;
            }
            if self.load.as_ref().is_some_and(|load| load.seed.is_none()) {
                let at = ["load".into(), "seed".into()];
                return Err(Violation::new(at, "missing field `seed`", "measure again"));
            }
            return Ok(());
        };
        let of_one = [
            ("watched", self.watched.is_some()),
            ("diagnostics", self.diagnostics.is_some()),
            ("series", self.series.is_some()),
            ("pairing", self.pairing.is_some()),
        ];
        if let Some((key, _)) = of_one.into_iter().find(|(_, is_there)| *is_there) {
            let problem = "several machines have none in common";
            return Err(Violation::new([key.into()], problem, "merge again: perf-gate merge"));
        }
        let sessions = self.sessions.as_ref().map_or(1, Vec::len);
        merged.check(sessions, self.load.as_ref(), self.blocks.as_deref())
    }

    fn check_sessions(&self) -> Result<(), Violation> {
        let Some(sessions) = &self.sessions else { return Ok(()) };
        let blocks: u64 = sessions.iter().map(|session| u64::from(session.blocks)).sum();
        if sessions.iter().any(|session| session.blocks == 0) || blocks != self.block_count() as u64
        {
            let problem =
                format!("the sessions have {blocks} blocks, the report {}", self.block_count());
            return Err(Violation::new(["sessions".into()], problem, "measure again"));
        }
        Ok(())
    }

    fn check_pairing(&self) -> Result<(), Violation> {
        let Some(pairing) = &self.pairing else { return Ok(()) };
        let places = pairing.booted_first.len();
        if places != self.block_count() {
            let at = ["pairing".into(), "booted_first".into()];
            let problem = format!("{places} places for {} blocks", self.block_count());
            return Err(Violation::new(at, problem, "measure again"));
        }
        Ok(())
    }
}

/// What must hold of the head of a report, whatever follows.
pub(crate) fn check_head(
    schema: Option<SchemaTag>,
    git: &Git,
    metrics: &Metrics,
) -> Result<(), Violation> {
    if !matches!(schema, None | Some(SchemaTag { name: SchemaName::Cp1Report, version: 3 })) {
        return Err(Violation::new(
            ["schema".into()],
            "this is not a cp1_report of version 3",
            "use the gate of the version that wrote the file",
        ));
    }
    for (key, hash) in [("commit", &git.commit), ("tree", &git.tree)] {
        let is_hash = |text: &String| {
            text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !hash.as_ref().is_none_or(is_hash) {
            return Err(Violation::new(
                ["git".into(), key.into()],
                "expected 40 lower-case hexadecimal digits",
                "give the full hash, as `git rev-parse` prints it",
            ));
        }
    }
    metrics.check(&["metrics".into()])
}
