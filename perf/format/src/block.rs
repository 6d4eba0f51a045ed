//! What one side of a block measured: its figures, its requests, its distributions.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decimal::Amount;
use crate::evidence::{Disturbance, Evidence};
use crate::merged::{self, MachineBlock};
use crate::metric::Metric;
use crate::nodes::Nodes;
use crate::read::{Document, Segment, Violation};
use crate::recovery::RecoveryPhase;
use crate::vm::VmFigures;

/// How [`EncodedHistogram::data`] is encoded: HdrHistogram's V2 format, compressed, in base64.
pub const HISTOGRAM_ENCODING: &str = "hdrhistogram-v2-deflate-base64";

/// One fresh BEAM, warmed up, measured slice by slice, stopped. In a replay a BEAM of the other side
/// lives at the same time, and their slices come in turn. Where traffic was watched: a window of time of
/// a BEAM that runs anyway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Which block, from 1.
    pub block: u32,
    /// The block's own figures: of a time or a rate the median over slices, of memory the peak, of a
    /// count the sum.
    pub metrics: Metrics,
    /// Every request of the measured slices, by what became of it.
    pub accounting: Accounting,
    /// The closed-loop slices; absent where traffic was watched.
    #[serde(default, skip_serializing_if = "is_absent")]
    pub throughput: ThroughputPhase,
    /// The open-loop slices; absent where traffic was watched.
    #[serde(default, skip_serializing_if = "is_absent")]
    pub latency: LatencyPhase,
    /// What each machine measured; absent where it was one. The block's own figures are then those of all
    /// machines together, and it has no slices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machines: Option<Vec<MachineBlock>>,
    /// Requests of the node's own, in the place of both loops; absent where the bench made the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficPhase>,
    /// An open loop of its own after both, in which the router was gone for a while; absent where no outage
    /// was asked for, or the adapter has none. None of its requests is in any other figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryPhase>,
    /// `erlang:memory(total)` in the measured slices; absent where machines shared a router that is none
    /// of their BEAMs.
    #[serde(default, skip_serializing_if = "is_absent")]
    pub memory: MemoryFigures,
    /// Errors in the measured slices.
    pub errors: Counted,
    /// Backpressure activations in the measured slices; only the router can see them.
    pub backpressure: Counted,
    /// What each node did, where drivers elsewhere had the load; absent where the router's BEAM had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Nodes>,
    /// Why requests failed, the most frequent reason first; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<FailureReason>>,
    /// Messages in workers' mailboxes that nobody expected, thrown away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strays: Option<u64>,
    /// Processor time that this side's BEAM used while the other side was measured, in percent of one
    /// processor; absent without a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_cpu_pct: Option<Amount>,
    /// How the router was warmed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Warmup>,
    /// What was sampled inside the VM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm: Option<VmFigures>,
    /// What was seen of the machine meanwhile; absent where nobody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Why the block counts as disturbed; empty where nothing was found, absent where nobody
    /// looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disturbed: Option<BTreeSet<Disturbance>>,
}

/// The discarded load before the measured slices: slices of closed loop until throughput is steady.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// Whether the last slices were within 5 % of each other; if not, the cap ended it.
    pub steady: bool,
    /// Time it took.
    pub duration_ms: u64,
    /// Successful requests a second, slice by slice.
    pub rps: Vec<Amount>,
}

/// The requests of all measured slices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accounting {
    /// Closed loop; absent where traffic was watched.
    #[serde(default, skip_serializing_if = "is_absent")]
    pub throughput: Outcomes,
    /// Open loop; absent where traffic was watched.
    #[serde(default, skip_serializing_if = "is_absent")]
    pub latency: Outcomes,
    /// The node's own requests that began in the measured windows; absent where the bench made the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Outcomes>,
    /// Before, in and after an outage; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Outcomes>,
}

/// Whether something was not measured: what was has requests, samples, or took time.
pub(crate) fn is_absent<T: Default + PartialEq>(measured: &T) -> bool {
    *measured == T::default()
}

/// What became of the requests of a phase: `offered` is the sum of all others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// Requests that the plan called for; of watched traffic all that were seen.
    pub offered: u64,
    /// Answered with success.
    pub ok: u64,
    /// Answered with an error, or ended in an exception.
    pub error: u64,
    /// Not answered in time.
    pub timeout: u64,
    /// Refused by the router.
    pub rejected: u64,
    /// Not sent: as many requests were in flight as may be.
    pub skipped: u64,
}

impl Outcomes {
    /// Both together; `None` on overflow.
    #[must_use]
    pub fn plus(&self, more: &Self) -> Option<Self> {
        Some(Self {
            offered: self.offered.checked_add(more.offered)?,
            ok: self.ok.checked_add(more.ok)?,
            error: self.error.checked_add(more.error)?,
            timeout: self.timeout.checked_add(more.timeout)?,
            rejected: self.rejected.checked_add(more.rejected)?,
            skipped: self.skipped.checked_add(more.skipped)?,
        })
    }

    /// Sum of what became of the requests; `None` on overflow.
    #[must_use]
    pub fn accounted(&self) -> Option<u64> {
        [self.error, self.timeout, self.rejected, self.skipped]
            .into_iter()
            .try_fold(self.ok, u64::checked_add)
    }
}

/// What becomes of a request that is not answered with success.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Unserved {
    /// Answered with an error, or ended in an exception.
    Error,
    /// Not answered in time.
    Timeout,
    /// Refused by the router.
    Rejected,
    /// Not sent: as many requests were in flight as may be.
    Skipped,
}

impl Unserved {
    /// All, in the order of tables.
    pub const ALL: [Self; 4] = [Self::Error, Self::Timeout, Self::Rejected, Self::Skipped];

    /// The word in files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Rejected => "rejected",
            Self::Skipped => "skipped",
        }
    }

    /// How many of these requests it became of.
    #[must_use]
    pub fn of(self, outcomes: &Outcomes) -> u64 {
        match self {
            Self::Error => outcomes.error,
            Self::Timeout => outcomes.timeout,
            Self::Rejected => outcomes.rejected,
            Self::Skipped => outcomes.skipped,
        }
    }
}

impl Phase {
    /// All, in the order of a block.
    pub const ALL: [Self; 3] = [Self::Throughput, Self::Latency, Self::Traffic];

    /// In a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "closed loop",
            Self::Latency => "open loop",
            Self::Traffic => "watched traffic",
        }
    }

    /// The requests of this phase; `None` where it was not measured.
    #[must_use]
    pub fn of(self, accounting: &Accounting) -> Option<&Outcomes> {
        let of_load = |outcomes| accounting.traffic.is_none().then_some(outcomes);
        match self {
            Self::Throughput => of_load(&accounting.throughput),
            Self::Latency => of_load(&accounting.latency),
            Self::Traffic => accounting.traffic.as_ref(),
        }
    }
}

/// Why requests failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailureReason {
    /// How they count.
    pub outcome: FailedOutcome,
    /// What the reason is or begins with, for example `no_route` or `error:badarg`.
    pub reason: String,
    /// How many.
    #[schemars(range(min = 1))]
    pub count: u64,
    /// The first of them.
    pub sample: String,
}

/// How a request failed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FailedOutcome {
    /// With an error or an exception.
    Error,
    /// Without an answer in time.
    Timeout,
    /// Refused by the router.
    Rejected,
}

/// Figures of the closed loop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThroughputPhase {
    /// From the release of the workers to the last answer, all slices together.
    pub duration_ns: u64,
    /// The slices, in order; absent where several machines were merged.
    #[serde(default, skip_serializing_if = "is_absent")]
    pub slices: ClosedLoopSlices,
    /// Time from actual start to answer, of the successful requests.
    pub service_time: Percentiles,
}

/// Closed-loop slices, column by column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosedLoopSlices {
    /// In a replay: whether the slice came before its partner of the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub went_first: Option<Vec<bool>>,
    /// Requests answered with success.
    pub ok: Vec<u64>,
    /// From the release of the workers to the last answer.
    pub duration_ns: Vec<u64>,
}

/// Figures of the open loop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyPhase {
    /// From the first intended start to the last answer, all slices together.
    pub duration_ns: u64,
    /// The slices, in order: what is gated; absent where several machines were merged.
    #[serde(default, skip_serializing_if = "is_absent")]
    pub slices: OpenLoopSlices,
    /// Time from intended start to answer, of the successful requests of all slices.
    pub response_time: Percentiles,
    /// Time from actual start to answer, of the successful requests.
    pub service_time: Percentiles,
    /// Time from intended to actual start, of every request for which a worker was idle: the load
    /// generator's own lateness.
    pub dispatch_lag: Percentiles,
}

/// Figures of requests that the node had anyway. When each should have begun is not known: times count
/// from where it did, and one that had to wait for its turn is not charged for that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrafficPhase {
    /// Length of the window.
    pub duration_ns: u64,
    /// Requests that were seen to begin in the window. Of those beyond, only the end was seen; those that
    /// did not end count as timeouts.
    pub started: u64,
    /// Recordings that failed: of each, the request is in no figure.
    pub recordings_failed: u64,
    /// The slices, in order: percentiles are of the service time.
    pub slices: OpenLoopSlices,
    /// Time from actual start to answer, of the successful requests.
    pub service_time: Percentiles,
}

/// Open-loop slices, column by column. Percentiles are of the response time, from the intended start;
/// a slice without a success has none, so a block with such a slice has no such columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenLoopSlices {
    /// In a replay: whether the slice came before its partner of the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub went_first: Option<Vec<bool>>,
    /// Requests answered with success.
    pub ok: Vec<u64>,
    /// Median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ns: Option<Vec<u64>>,
    /// 95th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ns: Option<Vec<u64>>,
    /// 99th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ns: Option<Vec<u64>>,
}

/// A distribution of times. With no sample there are no percentiles.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Percentiles {
    /// Samples.
    pub count: u64,
    /// Samples beyond the histogram's range, recorded as its highest value.
    pub clamped: u64,
    /// Readings that ended before they began: never recorded.
    pub time_went_backwards: u64,
    /// Smallest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ns: Option<u64>,
    /// Arithmetic mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_ns: Option<u64>,
    /// Median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ns: Option<u64>,
    /// 90th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90_ns: Option<u64>,
    /// 95th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ns: Option<u64>,
    /// 99th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ns: Option<u64>,
    /// 99.9th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p999_ns: Option<u64>,
    /// Largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ns: Option<u64>,
}

/// `erlang:memory(total)`, sampled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryFigures {
    /// Samples taken.
    pub samples: u64,
    /// Smallest.
    pub min_bytes: u64,
    /// Largest: the block's figure.
    pub peak_bytes: u64,
    /// Last.
    pub end_bytes: u64,
}

/// Events, by who saw them. Whoever cannot count is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// Seen by the driver: errors and timeouts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<u64>,
    /// Seen by the router: the difference of its own counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<u64>,
}

/// Figures by name. An absent one was not measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Metrics(pub BTreeMap<Metric, Amount>);

/// A distribution, mergeable by every HdrHistogram tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncodedHistogram {
    /// Which block, from 1.
    pub block: u32,
    /// Which phase.
    pub phase: Phase,
    /// Which quantity.
    pub quantity: Quantity,
    /// Unit of the recorded values: always `ns`.
    #[schemars(regex(pattern = "^ns$"))]
    pub unit: String,
    /// Always [`HISTOGRAM_ENCODING`].
    #[schemars(regex(pattern = "^hdrhistogram-v2-deflate-base64$"))]
    pub encoding: String,
    /// The histogram.
    pub data: String,
}

/// A measured phase.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Closed loop.
    Throughput,
    /// Open loop.
    Latency,
    /// The node's own requests.
    Traffic,
}

/// A recorded time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// From intended start to answer.
    ResponseTime,
    /// From actual start to answer.
    ServiceTime,
    /// From intended to actual start, where a worker was idle.
    DispatchLag,
}

/// A quantity over the time of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Which block, from 1.
    pub block: u32,
    /// In which router's node, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<u32>,
    /// What was sampled, for example `memory_total`.
    pub name: String,
    /// Unit of the values, for example `byte`.
    pub unit: String,
    /// When, in this side's measured time: its slices laid end to end.
    pub time_ms: Vec<u64>,
    /// The value at that time.
    pub values: Vec<u64>,
}

/// Blocks as measured, whose figures are still open: what the bench asks a [`crate::summary`] of.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Measured(pub Vec<Block>);

impl Document for Measured {
    const KIND: &'static str = "list of blocks";
    const MAX_BYTES: u64 = 16 * 1024 * 1024;

    fn check(&self) -> Result<(), Violation> {
        self.0.iter().enumerate().try_for_each(|(index, block)| block.check(index, &[index.into()]))
    }
}

impl Block {
    /// Whether a block is sound at its place in the list, and whether its own tables are.
    pub(crate) fn check(&self, index: usize, path: &[Segment]) -> Result<(), Violation> {
        let within = |key| [path, &[Segment::from(key)]].concat();
        self.metrics.check(&within("metrics"))?;
        self.accounting.check(&within("accounting"))?;
        self.check_phases(path)?;
        if let Some(machines) = &self.machines {
            merged::check_block(machines, self, path)?;
        }
        self.check_slices(path)?;
        if let Some(nodes) = &self.nodes {
            nodes.check(self, &within("nodes"))?;
        }
        if self.block as usize != index + 1 {
            let problem = format!("this is block {} by its place", index + 1);
            return Err(Violation::new(within("block"), problem, "measure again"));
        }
        Ok(())
    }

    /// The times that are judged, all slices together: from the intended start, of watched traffic from
    /// the actual one.
    #[must_use]
    pub fn times(&self) -> &Percentiles {
        match &self.traffic {
            Some(traffic) => &traffic.service_time,
            None => &self.latency.response_time,
        }
    }

    /// The same, slice by slice.
    #[must_use]
    pub fn time_slices(&self) -> &OpenLoopSlices {
        match &self.traffic {
            Some(traffic) => &traffic.slices,
            None => &self.latency.slices,
        }
    }

    /// A block has both loops, or traffic.
    fn check_phases(&self, path: &[Segment]) -> Result<(), Violation> {
        let refused = |place: &'static str, problem: String| {
            let at = path.iter().cloned().chain([Segment::from(place)]);
            Err(Violation::new(at, problem, "measure again"))
        };
        let loops =
            [("throughput", is_absent(&self.throughput)), ("latency", is_absent(&self.latency))];
        let is_watched = self.traffic.is_some();
        if let Some((place, _)) = loops.into_iter().find(|(_, is_absent)| *is_absent != is_watched)
        {
            return refused(
                place,
                match is_watched {
                    true => "a block of watched traffic has no load of the bench".to_owned(),
                    false => format!("missing field `{place}`"),
                },
            );
        }
        if self.accounting.traffic.is_some() != is_watched {
            return refused("accounting", "this is not the accounting of such a block".to_owned());
        }
        if self.accounting.recovery.is_some() != self.recovery.is_some() {
            let problem =
                "an outage has both its windows and its accounting, or neither".to_owned();
            return refused("recovery", problem);
        }
        if let Some(recovery) = self.recovery.as_ref().filter(|_| is_watched) {
            let problem = format!(
                "a block of watched traffic has no load of the bench, and here are {} windows of one",
                recovery.windows.len()
            );
            return refused("recovery", problem);
        }
        Ok(())
    }

    /// What only a block of several machines may be without.
    pub(crate) fn check_is_of_one_machine(&self, path: &[Segment]) -> Result<(), Violation> {
        if self.machines.is_some() {
            let at = path.iter().cloned().chain(["machines".into()]);
            let problem = "the report does not say that it was merged";
            return Err(Violation::new(at, problem, "merge again: perf-gate merge"));
        }
        let is_load = self.traffic.is_none();
        let parts = [
            (&["throughput", "slices"][..], is_load && is_absent(&self.throughput.slices)),
            (&["latency", "slices"], is_load && is_absent(&self.latency.slices)),
            (&["memory"], is_absent(&self.memory)),
        ];
        match parts.into_iter().find(|(_, is_missing)| *is_missing) {
            None => Ok(()),
            Some((place, _)) => {
                let field = place.last().copied().unwrap_or_default();
                let at = path.iter().cloned().chain(place.iter().map(|key| Segment::from(*key)));
                Err(Violation::new(at, format!("missing field `{field}`"), "measure again"))
            }
        }
    }

    /// Every column of a table of slices has as many figures as the table has slices.
    fn check_slices(&self, path: &[Segment]) -> Result<(), Violation> {
        fn length<T>(column: &Option<Vec<T>>) -> Option<usize> {
            column.as_ref().map(Vec::len)
        }
        let (closed, open) = (&self.throughput.slices, self.time_slices());
        let of_times = if self.traffic.is_some() { "traffic" } else { "latency" };
        let closed_loop = [
            ("duration_ns", Some(closed.duration_ns.len())),
            ("went_first", length(&closed.went_first)),
        ];
        let open_loop = [
            ("p50_ns", length(&open.p50_ns)),
            ("p95_ns", length(&open.p95_ns)),
            ("p99_ns", length(&open.p99_ns)),
            ("went_first", length(&open.went_first)),
        ];
        for (phase, slices, columns) in [
            ("throughput", closed.ok.len(), &closed_loop[..]),
            (of_times, open.ok.len(), &open_loop),
        ] {
            for &(column, length) in columns {
                if let Some(length) = length.filter(|length| *length != slices) {
                    let at = [phase, "slices", column].map(Segment::from);
                    let problem = format!("{length} figures for {slices} slices");
                    return Err(Violation::new(
                        path.iter().cloned().chain(at),
                        problem,
                        "measure again",
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Metrics {
    /// One figure; `None` where it was not measured.
    #[must_use]
    pub fn get(&self, metric: Metric) -> Option<&Amount> {
        self.0.get(&metric)
    }

    pub(crate) fn check(&self, path: &[Segment]) -> Result<(), Violation> {
        for (metric, value) in &self.0 {
            let at = || path.iter().cloned().chain([Segment::from(metric.name())]);
            if metric.is_count() && !value.is_integer() {
                let problem = format!("{value} is not a count");
                return Err(Violation::new(at(), problem, "give a whole number, or measure again"));
            }
            if !metric.can_be_zero() && value.is_zero() {
                return Err(Violation::new(
                    at(),
                    "a figure of exactly 0 was not measured",
                    "measure again; leave out what was not measured",
                ));
            }
        }
        Ok(())
    }
}

impl Accounting {
    pub(crate) fn check(&self, path: &[Segment]) -> Result<(), Violation> {
        let loops = [("throughput", &self.throughput), ("latency", &self.latency)];
        for (key, outcomes) in loops {
            if is_absent(outcomes) != self.traffic.is_some() {
                let problem = match self.traffic {
                    Some(_) => "beside watched traffic there is no load of the bench",
                    None => "missing, or no request was made",
                };
                let at = path.iter().cloned().chain([key.into()]);
                return Err(Violation::new(at, problem, "measure again"));
            }
        }
        let further = [("traffic", &self.traffic), ("recovery", &self.recovery)];
        let further =
            further.into_iter().filter_map(|(key, outcomes)| Some((key, outcomes.as_ref()?)));
        for (key, outcomes) in loops.into_iter().chain(further) {
            if outcomes.accounted() != Some(outcomes.offered) {
                return Err(Violation::new(
                    path.iter().cloned().chain([key.into()]),
                    "offered is not ok + error + timeout + rejected + skipped",
                    "measure again: requests were lost or counted twice",
                ));
            }
        }
        Ok(())
    }
}
