//! What the gate asks of the bench and what the bench answers. Each is one JSON document; on the local
//! socket between the two, its length in 4 bytes, the most significant first, stands before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::block::Metrics;
use crate::decimal::Amount;
use crate::profile::Profiles;
use crate::read::{Document, Segment, Violation};
use crate::report::{Arrivals, Distribution, KeyDistribution, Report};

/// What a run measures. What is absent the bench chooses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The adapter module: a lower-case letter, then letters, digits, `_` and `@`.
    #[schemars(regex(pattern = "^[a-z][A-Za-z0-9_@]{0,200}$"))]
    pub adapter: String,
    /// What the adapter's `init/1` is given besides, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adapter_options: BTreeMap<String, AdapterOption>,
    /// Flags of the measured BEAMs, word by word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub erl_args: Vec<String>,
    /// Blocks at most.
    pub blocks: u32,
    /// Least discarded load before a block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_ms: Option<u32>,
    /// Closed loop of a block, all slices together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput_ms: Option<u32>,
    /// Open loop of a block, all slices together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u32>,
    /// Length of a slice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice_ms: Option<u32>,
    /// Arrival rate of the open loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
    /// Workers of the closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// How arrivals are spaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,
    /// How requests draw their key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeyDistribution>,
    /// Exponent of a Zipf distribution, and only of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_exponent: Option<Amount>,
    /// How many keys there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_count: Option<u64>,
    /// Seed of every random choice of the load, and of the orders of a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Limit of each call of the adapter's `init/1`, `transport/1`, `counters/1`, `control/2`, `outage/1` and
    /// `terminate/1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_timeout_ms: Option<u32>,
    /// Time for the whole run.
    pub timeout_ms: u64,
    /// A fault to plant, for example `delay_us=200`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// For how long the router is to be gone after the open loop of each block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage_ms: Option<u32>,
    /// By how much the p95 may be above that before the outage once the router has recovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage_tolerance_pct: Option<Amount>,
    /// Where the report goes.
    pub report_file: String,
    /// Where drivers are that share the load: `local`, `ssh:DESTINATION`, `MODULE:TEXT` with a module that
    /// starts one, or `NAME@HOST` of the cluster that the router runs in; none: the router's BEAM makes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Routers that the drivers reach, each in a BEAM of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routers: Option<u32>,
    /// How drivers reach routers; absent: encrypted where a driver is not on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// The address that routers listen on, and drivers reach them at; absent: loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<Ipv4Addr>,
    /// The nodes to measure in, which run already, instead of fresh BEAMs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attach: Option<Attach>,
    /// The build of a commit to measure instead of the work tree's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<CommitBuild>,
    /// The frozen build to measure in turn with the candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<FrozenBuild>,
    /// The values of an adapter's option to measure in turn, in place of one candidate; then `report_file` is
    /// that of the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variants: Option<VariantPlan>,
}

/// One build under several values of an adapter's option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantPlan {
    /// The option.
    pub option: String,
    /// Its values, at least two.
    pub values: Vec<VariantValue>,
}

/// A value of an adapter's option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantValue {
    /// The value.
    pub value: AdapterOption,
    /// Where its report goes.
    pub report_file: String,
}

/// Nodes that run already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// Their names, `name@host`: a router in each.
    #[schemars(inner(regex(pattern = "^[A-Za-z0-9_-]{1,100}@[A-Za-z0-9_.:-]{1,100}$")))]
    pub nodes: Vec<String>,
    /// The file that has their cookie; absent: `.erlang.cookie` in the home directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie_file: Option<String>,
    /// What may be done to their routers beside the load.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allow: BTreeSet<Allowed>,
    /// The own traffic of one is watched, and no load is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passive: Option<Passive>,
}

/// How the traffic of a node is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Passive {
    /// Spans of `telemetry`, each its event prefix with points between its atoms; none: the two calls in
    /// the router's code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<String>,
    /// Length of a window, which is a block.
    pub window_ms: u64,
}

/// What may hurt a router that others use.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// The adapter's `control/2`: errors and backpressure on purpose.
    Control,
    /// A planted fault.
    Fault,
    /// The adapter's `terminate/1` at the end of each block, in place of `detach/1`.
    Terminate,
}

/// The value of an adapter's option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AdapterOption {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Anything else.
    Text(String),
}

impl fmt::Display for AdapterOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Text(value) => f.pad(value),
        }
    }
}

/// What was found of an adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// How it is.
    pub verdict: FindingVerdict,
    /// In words.
    pub text: String,
}

/// How something of an adapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingVerdict {
    /// As it must be.
    Fine,
    /// Allowed, and worth knowing.
    Note,
    /// Not as it must be.
    Wrong,
}

/// A commit that is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitBuild {
    /// The directory of its applications.
    pub lib_dir: String,
    /// The commit, 40 lower-case hexadecimal digits.
    pub commit: String,
}

/// The frozen side of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FrozenBuild {
    /// The directory of its applications.
    pub lib_dir: String,
    /// Where its report goes.
    pub report_file: String,
    /// The commit, 40 lower-case hexadecimal digits.
    pub commit: String,
    /// The commit's tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
}

/// What the gate asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Where would a run with this plan be? Answered by [`Event::Described`].
    Describe(Plan),
    /// Try the adapter. Answered by [`Event::Examined`].
    Examine(Plan),
    /// Measure. Answered by [`Event::Block`] after each block but the last, and at last by
    /// [`Event::Ended`] or [`Event::Failed`]; on the way by what the run does and finds.
    Measure(Plan),
    /// Route the same requests through both builds under trace. Answered by [`Event::Explained`] or
    /// [`Event::Failed`].
    Explain(Plan),
    /// Put the builds under load for a profiler. Answered by [`Event::Warm`] before and [`Event::Loaded`]
    /// after a load, each of which waits to be told to go on, and at last by [`Event::Served`] or
    /// [`Event::Failed`].
    Load(Plan),
    /// After a block: measure the next one. Of a load: go on.
    GoOn,
    /// After a block: the run ends here, complete.
    Stop,
}

/// What the bench answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// Where a run would be.
    Described(Box<Described>),
    /// What was found of the adapter.
    Examined(Vec<Finding>),
    /// What both builds did.
    Explained(Box<Profiles>),
    /// These BEAMs, by their processes, are warm, and wait for their load.
    Warm(Sides<u32>),
    /// The load has ended; the BEAMs are still there.
    Loaded,
    /// So many requests each build was sent under load.
    Served(Sides<u64>),
    /// The plan cannot be run; nothing was measured.
    Refused(Refused),
    /// What the run does from now on.
    Step(Step),
    /// The load that was chosen.
    Calibrated(Calibrated),
    /// What a block measured.
    Measured(BlockFigures),
    /// So many blocks are measured and in the report; the run waits.
    Block(u32),
    /// What all blocks measured, as a table for people.
    Table(String),
    /// The run is complete.
    Ended,
    /// The run failed, and why; the report says so too.
    Failed(String),
}

/// Something of each build: of the frozen one where there is one, or of one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sides<T> {
    /// The frozen one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<T>,
    /// The candidate's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<T>,
}

/// What a run does, told as it begins and never while a slice is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What.
    pub activity: Activity,
    /// In which block; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<u32>,
    /// What a block takes by the plan, about, all sides together; absent where that is not known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_ms: Option<u64>,
}

/// What a run does at a time, of all its sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// The adapter makes the router's counters move.
    Controls,
    /// The load is chosen.
    Calibration,
    /// The BEAMs of a block are started.
    Boot,
    /// Their routers are warmed up.
    WarmUp,
    /// Slices of the closed loop.
    ClosedLoop,
    /// Slices of the open loop.
    OpenLoop,
    /// An outage, and what comes after it.
    Recovery,
    /// Routers and BEAMs are stopped.
    Stop,
}

/// A load that the bench chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibrated {
    /// Throughput of the closed loop.
    pub rps: Amount,
    /// Its workers.
    pub concurrency: u32,
    /// Arrival rate of the open loop.
    pub rate_per_second: u32,
}

/// The figures of a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockFigures {
    /// Which block.
    pub block: u32,
    /// The frozen side's; absent without a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Metrics>,
    /// The candidate's; absent where variants are measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Metrics>,
    /// Those of the variants, in the order of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<VariantFigures>,
}

/// The figures of a variant in a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariantFigures {
    /// Its value.
    pub value: AdapterOption,
    /// Its figures.
    pub figures: Metrics,
}

/// A run before it begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Environment and load, as a report without figures.
    pub report: Report,
    /// The applications that always come from the candidate: the bench, and what needs it.
    pub bench_applications: Vec<String>,
    /// The release of Erlang/OTP.
    pub otp_release: String,
}

/// An option that the bench does not accept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Its name in the plan; absent where the plan as a whole is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// What is wrong, in words.
    pub problem: String,
}

/// Largest message, in bytes: profiles name every function that was called.
pub const MESSAGE_MAX_BYTES: u64 = 4 * 1024 * 1024;

impl Document for Request {
    const KIND: &'static str = "request to the bench";
    const MAX_BYTES: u64 = MESSAGE_MAX_BYTES;

    fn check(&self) -> Result<(), Violation> {
        match self {
            Self::Describe(plan) => plan.check("describe"),
            Self::Examine(plan) => plan.check("examine"),
            Self::Measure(plan) => plan.check("measure"),
            Self::Explain(plan) => plan.check("explain"),
            Self::Load(plan) => plan.check("load"),
            Self::GoOn | Self::Stop => Ok(()),
        }
    }
}

impl Plan {
    /// Numbers are the bench's to judge, which has the same options in a shell; what becomes an atom
    /// or a path is judged here.
    fn check(&self, request: &str) -> Result<(), Violation> {
        let refuse = |key: &str, problem: &str, cure: &str| {
            Err(Violation::new([Segment::from(request), key.into()], problem, cure))
        };
        if !is_module(&self.adapter) {
            return refuse("adapter", "this is no module's name", "name the adapter module");
        }
        if self.key_exponent.is_some() != (self.keys == Some(KeyDistribution::Zipf)) {
            let problem = "a Zipf distribution has an exponent, and no other has one";
            return refuse("key_exponent", problem, "give keys as zipf:S");
        }
        if let Some(attach) = &self.attach
            && (attach.nodes.is_empty() || !attach.nodes.iter().all(|node| is_node(node)))
        {
            let path = [request, "attach", "nodes"].map(Segment::from);
            return Err(Violation::new(path, "these are no names of nodes", "give NAME@HOST"));
        }
        if let Some(attach) = &self.attach
            && attach.passive.is_some()
            && attach.nodes.len() > 1
        {
            let path = [request, "attach", "nodes"].map(Segment::from);
            return Err(Violation::new(path, "traffic is watched in one node", "give one"));
        }
        if !self.nodes.iter().all(|place| is_driver_place(place)) {
            return refuse(
                "nodes",
                "this is no place of a driver",
                "give local, ssh:DESTINATION, MODULE:TEXT or NAME@HOST",
            );
        }
        let passive = self.attach.as_ref().and_then(|attach| attach.passive.as_ref());
        if passive.is_some_and(|passive| !passive.spans.iter().all(|span| is_span(span))) {
            let path = [request, "attach", "passive", "spans"].map(Segment::from);
            let cure = "give the atoms of the prefix with points between: my_app.router.route";
            return Err(Violation::new(path, "this is no prefix of events", cure));
        }
        Ok(())
    }
}

/// Whether a text can be a prefix of events: nothing else becomes atoms.
#[must_use]
pub fn is_span(text: &str) -> bool {
    const ATOMS_MAX: usize = 10;
    text.split('.').count() <= ATOMS_MAX && text.split('.').all(is_module)
}

/// Whether a text says where a driver can be.
#[must_use]
pub fn is_driver_place(text: &str) -> bool {
    text == "local"
        || is_node(text)
        || text.split_once(':').is_some_and(|(module, argument)| {
            is_module(module)
                && (1..=200).contains(&argument.len())
                && argument.bytes().all(|byte| byte.is_ascii_graphic())
        })
}

/// Whether a text can be the name of a node: nothing else becomes an atom.
#[must_use]
pub fn is_node(text: &str) -> bool {
    let fits = |part: &str, others: &[u8]| {
        (1..=100).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
    };
    text.split_once('@').is_some_and(|(name, host)| fits(name, b"_-") && fits(host, b"_.:-"))
}

/// Whether a text can be the name of an adapter module: nothing else becomes an atom.
#[must_use]
pub fn is_module(text: &str) -> bool {
    text.len() <= 201
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@'))
}

impl Document for Event {
    const KIND: &'static str = "answer of the bench";
    const MAX_BYTES: u64 = MESSAGE_MAX_BYTES;

    fn check(&self) -> Result<(), Violation> {
        match self {
            Self::Described(described) => described.report.check(),
            Self::Explained(profiles) => profiles.check(),
            _ => Ok(()),
        }
    }
}
