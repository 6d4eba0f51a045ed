//! The types of every file that crosses a boundary of the CP1 performance freeze: the measured
//! report (a candidate, and once frozen the baseline), the policy, its waivers, the verdict, and the
//! records of what was frozen; of what gate and bench tell each other; of what is printed about many
//! reports, or two; of what explains a verdict; and of what commands answer to machines.
//!
//! Each file has one strict reader ([`read_file`], [`parse`], of a report's head [`read_head`]) and one writer ([`to_json`],
//! [`write_atomically`]). This crate is the only place where a file's shape is written down in
//! code; the JSON Schemas in `perf/schemas/` are generated from it.
//!
//! # What the reader refuses
//!
//! An empty file, a file over its size limit, text that is not UTF-8, a key given twice, an unknown
//! key, `null`, a string where a number belongs, a negative or non-finite number, a number of
//! absurd length or magnitude, and every contradiction that a type's [`Document::check`] knows. The
//! error names the file, the JSON path, the line and the cure.
//!
//! # Accuracy
//!
//! Figures that are judged are [`Decimal`]s: the numbers that the file says, not their nearest
//! binary fractions.
//!
//! # Panics
//!
//! Nothing in this crate panics, whatever the input.

mod answer;
mod bisection;
mod block;
mod date;
mod decimal;
mod difference;
mod environment;
mod evidence;
mod explanation;
pub mod growth;
mod head;
mod limit;
pub mod merged;
mod metric;
mod nodes;
mod plan;
mod policy;
mod profile;
mod quota;
mod read;
mod record;
pub mod recovery;
mod report;
pub mod summary;
mod timestamp;
mod told;
mod trend;
mod variants;
mod verdict;
mod vm;
mod waivers;
mod watched;
mod write;

pub use answer::{
    Answer, BenchReport, BlocksNeeded, Budget, CheckKind, CheckStatus, DelayReading, Figure,
    Findings, FlameGraph, InitStep, Initialized, Light, LimitBlocks, LimitBudget, MachineCheck,
    MeasuredChange, MedianEstimate, MergedMachineOf, MergedReport, OutcomeRate, PlantedChange,
    Proof, ProvenGates, Rate, Recorded, Said, Sampled, SearchSimulation, SessionLoad,
    SessionReports, SimulatedGates, SimulatedSearches, Simulation, Tally,
};
pub use bisection::{BisectedCommit, BisectedStep, Bisection, BisectionResult, Sought};
pub use block::{
    Accounting, Block, ClosedLoopSlices, Counted, EncodedHistogram, FailedOutcome, FailureReason,
    HISTOGRAM_ENCODING, LatencyPhase, Measured, MemoryFigures, Metrics, OpenLoopSlices, Outcomes,
    Percentiles, Phase, Quantity, Series, ThroughputPhase, TrafficPhase, Unserved, Warmup,
};
pub use date::Date;
pub use decimal::{Amount, Decimal, NumberError};
pub use difference::{
    Difference, DifferenceKind, DifferenceSide, FieldSides, FigureSides, UnservedSides,
};
pub use environment::{ContainerLimits, Environment, EnvironmentField, kernel_major_minor};
pub use evidence::{Disturbance, Evidence, Hiccups, KernelTimes, Kernels, Machine};
pub use explanation::{
    Advice, AdviceKind, ClassSides, EXPLAINED_MAX, ExplainedBuild, ExplainedLoad, ExplainedPlace,
    Explanation, FailureSides, FunctionSides, MemoryShift, PlaceCommit, PlaceHistory, PlaceKind,
    PlaceState, TimePart, TimePartKind, TimeShift, WorkSides,
};
pub use head::{Head, read_head};
pub use limit::{Limit, LimitKind};
pub use merged::{MachineBlock, Merged, MergedMachine, MergedRun, Routers};
pub use metric::{Direction, Metric};
pub use nodes::{Driver, DriverEnvironment, Nodes, Router};
pub use plan::{
    Activity, AdapterOption, Allowed, Attach, BlockFigures, Calibrated, CommitBuild, Described,
    Event, Finding, FindingVerdict, FrozenBuild, MESSAGE_MAX_BYTES, Passive, Plan, Refused,
    Request, Sides, Step, VariantFigures, VariantPlan, VariantValue, is_driver_place, is_module,
    is_node, is_span,
};
pub use policy::{
    Absolute, BudgetPolicy, DecisionPolicy, EnvironmentPolicy, GatePolicy, Policy, PolicyVersion,
    Relative, Rule, SmokePolicy,
};
pub use profile::{
    Function, Lock, LongRuns, MemoryKind, Messages, Processes, Profile, Profiles, SchedulerState,
    Table, Work,
};
pub use quota::CpuQuota;
pub use read::{
    Document, Place, ReadError, Segment, Violation, line_of, parse, read_bytes, read_file, text,
};
pub use record::{Change, Digest, Record, RecordKind};
pub use recovery::{NotRecovered, RecoveryPhase, RecoveryWindow};
pub use report::{
    Arrivals, Clock, Control, Diagnostics, Distribution, Git, KeyDistribution, Keys, Load,
    LoadTool, Outage, Pairing, Report, Role, Run, RunStatus, SchemaName, SchemaTag, Session,
};
pub use timestamp::Timestamp;
pub use told::Told;
pub use trend::{
    Against, BaselineMove, ChangePoint, LeftOut, LimitUse, MetricTrend, Trend, TrendLimit,
    TrendPoint, TrendReport, TrendSeries,
};
pub use variants::{
    JudgedRatio, Ratio, RatioDecision, RatioFigure, RatioPolicy, RatioRule, Variant, Variants, pair,
};
pub use verdict::{
    BlocksResult, Comparison, Decision, FieldDifference, Input, Inputs, Judgement, Notice, Outcome,
    Problem, RuleResult, Share, SupportingFigure, UnservedResult, Verdict,
};
pub use vm::{
    Lateness, MemoryGrowth, ProbeCost, RunQueue, SamplerFigures, SchedulerUtilization, VmFigures,
};
pub use waivers::{Waiver, Waivers};
pub use watched::{RecordingCost, TimeSource, Watched};
pub use write::{WriteError, to_json, write_atomically};
