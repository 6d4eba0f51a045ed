//! What a command prints for machines, with `--format json`: one document on standard output. A check
//! prints its [`Verdict`](crate::Verdict) instead.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::block::Metrics;
use crate::decimal::{Amount, Decimal};
use crate::merged::Routers;
use crate::metric::Metric;
use crate::plan::Finding;
use crate::read::{Document, Violation};
use crate::record::RecordKind;
use crate::report::{SchemaName, SchemaTag};
use crate::timestamp::Timestamp;
use crate::verdict::{Outcome, Problem};

/// The answer of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Name and version of this format.
    pub schema: SchemaTag,
    /// What was answered, by whom.
    pub answer: Said,
}

impl Answer {
    /// An answer of this version.
    #[must_use]
    pub fn new(answer: Said) -> Self {
        Self { schema: SchemaTag { name: SchemaName::Cp1Answer, version: 1 }, answer }
    }
}

impl Document for Answer {
    const KIND: &'static str = "answer";
    const MAX_BYTES: u64 = 16 * 1024 * 1024;

    fn check(&self) -> Result<(), Violation> {
        match self.schema {
            SchemaTag { name: SchemaName::Cp1Answer, version: 1 } => Ok(()),
            SchemaTag { .. } => Err(Violation::new(
                ["schema".into()],
                "this is not a cp1_answer of version 1",
                "use the gate of the version that wrote it",
            )),
        }
    }
}

/// What a command answers, by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// What a project was given.
    Init(Initialized),
    /// What was found of an adapter.
    Doctor(Vec<Finding>),
    /// What of a machine disturbs.
    Runner(Vec<MachineCheck>),
    /// Where a report is.
    Bench(BenchReport),
    /// What may become a baseline.
    Sessions(SessionReports),
    /// Where a flame graph is.
    Flame(FlameGraph),
    /// What several machines make together.
    Merge(MergedReport),
    /// How often gates err that were drawn.
    Simulate(Simulation),
    /// How often searches for a commit err that were drawn.
    SimulateSearches(SearchSimulation),
    /// How many blocks a policy needs.
    Plan(BlocksNeeded),
    /// What turned red and green.
    Selftest(Vec<PlantedChange>),
    /// How often gates err that were run.
    Prove(Proof),
    /// A first baseline.
    Freeze(Recorded),
    /// A moved baseline.
    Bump(Recorded),
    /// A changed policy.
    Amend(Recorded),
    /// An earlier baseline.
    Rollback(Recorded),
    /// Whether the contract was kept.
    Verify(Findings),
    /// Mistakes in the contract's files.
    Lint(Findings),
    /// How far all moves went.
    Budget(Budget),
}

/// A figure of a report: a line of `export --format json-lines`, and a row of `csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// When the report's run began.
    pub timestamp: Timestamp,
    /// The commit that was measured; absent where the report does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Which block, from 1; absent of a headline, which is of all blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<u32>,
    /// What, for example `latency_p95_ms` or `response_time_p999_ns`.
    pub name: String,
    /// In what; empty of a count.
    pub unit: String,
    /// How much, as the report says it.
    pub value: Amount,
}

/// One report of several machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergedReport {
    /// Where it is.
    pub report: String,
    /// Whose router it was.
    pub routers: Routers,
    /// Blocks of each machine, and so of the report.
    pub blocks: u64,
    /// The time in which all machines say that they measured, in percent of the shortest run, by clocks
    /// that nobody compared; absent where one does not say how long it measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together_pct: Option<u64>,
    /// The headline.
    pub metrics: Metrics,
    /// Metrics that a machine has, and of which nothing is known of all together.
    pub absent: Vec<Metric>,
    /// The machines, in the report's order.
    pub machines: Vec<MergedMachineOf>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

/// A machine of a merged report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergedMachineOf {
    /// The file that it was read of.
    pub file: String,
    /// When its run began.
    pub timestamp: Timestamp,
    /// Its share of the open loop's arrivals.
    pub rate_per_second: u64,
    /// Blocks that were disturbed there.
    pub disturbed_blocks: u64,
}

/// What a project was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Initialized {
    /// What was done with each file, in order.
    pub steps: Vec<InitStep>,
    /// What is to be done next.
    pub next: String,
}

/// What is done with one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InitStep {
    /// It is written.
    Write {
        /// Where.
        file: String,
    },
    /// It would be written, and was only to be shown.
    WouldWrite {
        /// Where.
        file: String,
        /// What.
        text: String,
    },
    /// It stays as it is.
    Keep {
        /// Where.
        file: String,
        /// Why.
        why: String,
    },
    /// Somebody has to do it.
    ByHand {
        /// What.
        what: String,
    },
}

/// Something of a machine that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineCheck {
    /// What.
    pub name: String,
    /// Why.
    pub kind: CheckKind,
    /// What came of it.
    pub status: CheckStatus,
    /// What was found.
    pub found: String,
    /// What helps, where it is bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

/// Why a check of a machine is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// The rules of determinism ask for it: a report pins it, or a block is marked as disturbed by
    /// it.
    Rule,
    /// It makes blocks spread less.
    Advice,
}

/// What came of a check of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// Not as it should be.
    Bad,
    /// It could not be found out.
    Unknown,
}

/// Where a report is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BenchReport {
    /// Its path.
    pub report: String,
}

/// A flame graph that was drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlameGraph {
    /// Where it is.
    pub file: String,
    /// Its size.
    pub size_bytes: u64,
    /// How long each build was under load.
    pub seconds: u32,
    /// The build that the candidate is set against.
    pub frozen: Sampled,
    /// The candidate.
    pub candidate: Sampled,
}

/// What a profiler saw of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// The commit; absent where what was built is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Samples of its threads.
    pub samples: u64,
    /// Requests that it was sent meanwhile.
    pub requests: u64,
    /// Processor time of all its threads for each request, by the samples.
    pub request_ns: u64,
}

/// Sessions that were measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionReports {
    /// The report of each.
    pub reports: Vec<String>,
    /// Why no baseline can have the last one; empty where each may be part of one.
    pub problems: Vec<Problem>,
    /// The load that all were measured under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<SessionLoad>,
    /// The command that makes a baseline of them, in lines; absent where there are problems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What further sessions must be given to be measured alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionLoad {
    /// Arrivals a second.
    pub rate_per_second: u64,
    /// Workers of the closed loop.
    pub concurrency: u32,
}

/// How often gates err that were drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    /// Gates of each line.
    pub gates: u32,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Where blocks come from, in words.
    pub source: String,
    /// What was planted and how the gates ended.
    pub lines: Vec<SimulatedGates>,
    /// What all blocks say of each limit, where they were drawn as they were measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<MeasuredChange>,
    /// Gates that failed without a change; absent where something may be planted in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_alarms: Option<Rate>,
}

/// How gates with one change ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedGates {
    /// Which metric was changed; absent where nothing was, or what was measured was left as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// By how many percent; absent of what was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_pct: Option<Decimal>,
    /// PASS, in percent of the gates.
    pub pass_pct: Decimal,
    /// REGRESSION, in percent of the gates.
    pub regression_pct: Decimal,
    /// INCONCLUSIVE, in percent of the gates.
    pub inconclusive_pct: Decimal,
    /// Blocks a gate took, on average.
    pub blocks: Decimal,
}

/// Searches for a commit that were drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchSimulation {
    /// Searches of each line.
    pub searches: u32,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Where blocks come from, in words.
    pub source: String,
    /// Commits between the ends.
    pub commits: u32,
    /// How many of them do not build, in percent.
    pub broken_pct: Decimal,
    /// What was planted and how the searches ended.
    pub lines: Vec<SimulatedSearches>,
}

/// How searches for one change ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedSearches {
    /// Which metric one of the commits changed.
    pub metric: Metric,
    /// By how many percent.
    pub change_pct: Decimal,
    /// At the commit, or at those that cannot be told from it.
    pub right: Rate,
    /// At another.
    pub wrong: Rate,
    /// Nobody was blamed.
    pub nobody: Rate,
    /// Commits that a search measured, on average.
    pub steps: Decimal,
    /// Blocks that it took, on average, those of the ends among them.
    pub blocks: Decimal,
}

/// What blocks say of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeasuredChange {
    /// Which.
    pub metric: Metric,
    /// By how many percent it changed.
    pub change_pct: Decimal,
    /// Over so many blocks.
    pub blocks: u64,
}

/// Some of so many, with the exact 95 % interval of Clopper and Pearson.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// Lower end in percent.
    pub low_pct: Decimal,
    /// Upper end in percent.
    pub high_pct: Decimal,
}

/// How many blocks a policy needs on the machine of a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlocksNeeded {
    /// How often what must be caught is to be found, in percent.
    pub detection_pct: Decimal,
    /// How often what did not change is to pass, in percent.
    pub passes_pct: Decimal,
    /// Of each relative limit.
    pub limits: Vec<LimitBlocks>,
    /// The policy's last look.
    pub last_look: u64,
    /// What all limits need; absent where a hundred blocks do not suffice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<u64>,
}

/// How many blocks a limit needs. A number that is absent is above a hundred.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitBlocks {
    /// Of which metric.
    pub metric: Metric,
    /// How much its blocks spread, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread_pct: Option<Decimal>,
    /// To find what must be caught.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_catch: Option<u64>,
    /// And to pass what did not change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_pass_too: Option<u64>,
}

/// A change that a selftest planted, which the rule answered as it must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlantedChange {
    /// Into which metric.
    pub metric: Metric,
    /// What, in words.
    pub planted: String,
    /// What the rule answered.
    pub answer: Light,
}

/// What a rule answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Light {
    /// It is violated.
    Red,
    /// It holds.
    Green,
}

/// How often gates err that were run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Gates with one change in common, or without one.
    pub kinds: Vec<ProvenGates>,
    /// Whether a delay reads as large as it is; absent where none was planted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<DelayReading>,
}

/// Gates with one change in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvenGates {
    /// Where they are kept; its last part is the kind's name.
    pub directory: String,
    /// How they ended.
    pub tally: Tally,
    /// How gates end that are drawn from their blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Simulation>,
    /// Why none can be drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_drawn: Option<String>,
}

/// How gates ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// How many there are.
    pub gates: u64,
    /// Each outcome that can be.
    pub outcomes: Vec<OutcomeRate>,
    /// Blocks of a side that a gate took, on average; absent where none was judged on blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Decimal>,
    /// Of each metric the median of what was estimated.
    pub estimates: Vec<MedianEstimate>,
}

/// How often gates ended so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutcomeRate {
    /// How.
    pub outcome: Outcome,
    /// In percent of the gates.
    pub pct: Decimal,
    /// How many, with an interval.
    pub rate: Rate,
}

/// What gates estimated of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MedianEstimate {
    /// Of which.
    pub metric: Metric,
    /// The median of their estimates of the change.
    pub change_pct: Decimal,
}

/// A planted delay beside what the gates read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelayReading {
    /// As a share of the frozen side's p95.
    pub planted_pct: Decimal,
    /// What all blocks together say.
    pub read_pct: Decimal,
    /// 1 where a change reads as large as it is.
    pub factor: Decimal,
}

/// A record that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Its number.
    pub number: u32,
    /// Why.
    pub kind: RecordKind,
    /// Its path, from the root of the contract.
    pub record: String,
    /// The file that it is about.
    pub about: String,
    /// How both are committed, as a shell reads it.
    pub commands: Vec<String>,
}

/// What a look at the contract found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is not wrong, and an owner should know.
    pub notes: Vec<String>,
}

/// How far all moves of the baseline together went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Since when, in words.
    pub since: String,
    /// Of each relative limit.
    pub limits: Vec<LimitBudget>,
}

/// How much of a limit is used, and how far its metric moved. Percentages are changes of the figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitBudget {
    /// Of which metric.
    pub metric: Metric,
    /// The limit.
    pub limit_pct: Decimal,
    /// How much of it a candidate uses, in words; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
    /// The same in percent of the limit; absent where it is no number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_pct: Option<Decimal>,
    /// How far moves of the router went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_pct: Option<Decimal>,
    /// How far corrections of the measurement went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected_pct: Option<Decimal>,
    /// How far moves may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap_pct: Option<Decimal>,
}
