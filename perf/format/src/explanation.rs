//! Why a candidate costs what it costs: two builds that did the same requests under trace, compared and
//! ranked by place. Nothing of it is judged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::block::FailedOutcome;
use crate::decimal::{Amount, Decimal};
use crate::profile::MemoryKind;
use crate::read::{Document, Segment, Violation};
use crate::report::{SchemaName, SchemaTag};
use crate::verdict::Notice;

/// Most entries of each list.
pub const EXPLAINED_MAX: usize = 1000;

/// What `perf-gate explain` writes and prints. Names, samples and subjects are foreign text: a renderer
/// escapes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// Name and version of this format.
    pub schema: SchemaTag,
    /// The build that was compared against.
    pub frozen: ExplainedBuild,
    /// The build that is explained.
    pub candidate: ExplainedBuild,
    /// What both did.
    pub load: ExplainedLoad,
    /// The time of a request.
    pub time: TimeShift,
    /// The memory after all requests.
    pub memory: MemoryShift,
    /// The places that changed, by how much of a shift they account for.
    pub places: Vec<ExplainedPlace>,
    /// So many further places are not in the list.
    #[serde(default)]
    pub places_left_out: u64,
    /// What the VM did for a request, without trace.
    pub work: Vec<WorkSides>,
    /// Requests that failed, by reason.
    pub failures: Vec<FailureSides>,
    /// What is unusual in the candidate itself, with its evidence.
    pub advice: Vec<Advice>,
    /// What a reader should know besides.
    pub notices: Vec<Notice>,
}

/// A build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainedBuild {
    /// Its commit, 40 lower-case hexadecimal digits; absent outside a repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{40}$"))]
    pub commit: Option<String>,
    /// Whether it has changes that this commit has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty: Option<bool>,
}

/// What both builds did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainedLoad {
    /// Seed of the keys.
    pub seed: u64,
    /// Requests of a pass.
    pub requests: u64,
    /// Workers that route them.
    pub workers: u32,
}

/// Time of a request, by wall clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeShift {
    /// In the frozen build, without trace.
    pub frozen_us: Amount,
    /// In the candidate, without trace.
    pub candidate_us: Amount,
    /// In the frozen build, under trace.
    pub traced_frozen_us: Amount,
    /// In the candidate, under trace.
    pub traced_candidate_us: Amount,
    /// What each traced call costs, by the running time with and without trace; it is taken out of the
    /// functions' own times.
    pub call_price_us: Amount,
    /// What the difference consists of, which adds up to it.
    pub parts: Vec<TimePart>,
    /// How much of the difference the places account for, in percent; absent where there is none to
    /// speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained_pct: Option<Amount>,
}

/// A part of the difference in time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimePart {
    /// Which.
    pub kind: TimePartKind,
    /// Its difference for a request.
    pub change_us: Decimal,
    /// In percent of the whole difference; absent where there is none to speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_pct: Option<Decimal>,
}

/// What the difference in time can consist of.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TimePartKind {
    /// Own time of the functions of the places.
    Places,
    /// Own time of all other functions.
    OtherFunctions,
    /// Collecting garbage.
    Collections,
    /// A request that neither runs nor collects: it waits for a process, a lock or a processor.
    Waiting,
    /// Whatever is left.
    Unexplained,
}

impl TimePartKind {
    /// In a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Places => "functions of the places below",
            Self::OtherFunctions => "all other functions",
            Self::Collections => "garbage collection",
            Self::Waiting => "waiting and scheduling",
            Self::Unexplained => "not explained",
        }
    }
}

/// Memory after all requests, everything collected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryShift {
    /// Each class of the VM.
    pub classes: Vec<ClassSides>,
    /// How much of the growth the places account for, in percent; absent where there is none to speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained_pct: Option<Amount>,
}

/// A class of memory on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassSides {
    /// Which.
    pub class: MemoryKind,
    /// In the frozen build.
    pub frozen_bytes: u64,
    /// In the candidate.
    pub candidate_bytes: u64,
}

/// Something that a change can be about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainedPlace {
    /// What it is.
    pub kind: PlaceKind,
    /// `module:function/arity`, the name of a table, what a process runs, a lock, a class of memory.
    pub name: String,
    /// Whether it belongs to the project; else to Erlang/OTP or a dependency.
    pub is_own: bool,
    /// On which side it is.
    pub state: PlaceState,
    /// Whether the change does not depend on the machine: it is called more or less often for a request,
    /// is new or gone, or made otherwise. What is not certain is a measured time or size.
    pub is_certain: bool,
    /// Its difference in the time of a request.
    pub change_us: Decimal,
    /// In percent of the whole difference in time; absent where there is none to speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_share_pct: Option<Decimal>,
    /// Its difference in memory; 0 where it holds none.
    pub change_bytes: i64,
    /// In percent of the whole difference in memory; absent where there is none to speak of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_share_pct: Option<Decimal>,
    /// What was seen, in words.
    pub evidence: Vec<String>,
    /// Functions that count for it.
    pub functions: Vec<FunctionSides>,
    /// The commits that changed its lines; absent where it is no function of the project, or its source
    /// was not found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<PlaceHistory>,
}

/// What a place is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// A function, with the functions that the compiler makes of what is inside of it.
    Function,
    /// A table of ETS.
    Table,
    /// A process, or all that run the same.
    Process,
    /// A lock of the emulator.
    Lock,
    /// A class of memory that no table and no process accounts for.
    Memory,
}

impl PlaceKind {
    /// In a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Table => "table",
            Self::Process => "process",
            Self::Lock => "lock",
            Self::Memory => "memory",
        }
    }
}

/// On which side something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlaceState {
    /// In the candidate only.
    New,
    /// In the frozen build only.
    Gone,
    /// In both.
    Both,
}

/// A function on both sides, for a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionSides {
    /// `module:function/arity`.
    pub name: String,
    /// On which side it is called.
    pub state: PlaceState,
    /// Calls in the frozen build.
    pub frozen_calls: Amount,
    /// Calls in the candidate.
    pub candidate_calls: Amount,
    /// Own time in the frozen build, under trace.
    pub frozen_own_us: Amount,
    /// Own time in the candidate, under trace.
    pub candidate_own_us: Amount,
    /// The difference of own time, without the price of tracing and what all functions have in common.
    pub change_us: Decimal,
    /// Words that it allocated in the frozen build; absent where the VM does not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_words: Option<Amount>,
    /// Words that it allocated in the candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate_words: Option<Amount>,
}

/// Who changed a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceHistory {
    /// A command for a shell that shows each change.
    pub command: String,
    /// The commits, the latest first; empty where git was too slow, or none did.
    pub commits: Vec<PlaceCommit>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceCommit {
    /// 40 hexadecimal digits.
    pub commit: String,
    /// When it was written, by the author's calendar.
    pub date: String,
    /// The first line of its message.
    pub subject: String,
}

/// What the VM did, on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkSides {
    /// What, for example `reductions`.
    pub name: String,
    /// Its unit; empty for a count.
    pub unit: String,
    /// In the frozen build.
    pub frozen: Amount,
    /// In the candidate.
    pub candidate: Amount,
}

/// Requests that failed for one reason, on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailureSides {
    /// How they count.
    pub outcome: FailedOutcome,
    /// The reason.
    pub reason: String,
    /// How many in the frozen build.
    pub frozen: u64,
    /// How many in the candidate.
    pub candidate: u64,
    /// The first of them in the frozen build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_sample: Option<String>,
    /// The first of them in the candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate_sample: Option<String>,
}

/// What may be worth another design, seen in the candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// Which.
    pub kind: AdviceKind,
    /// About what: a process, a table, two processes.
    pub place: String,
    /// What was seen, with its figures.
    pub evidence: String,
    /// What may be done about it.
    pub advice: String,
}

/// What advice is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AdviceKind {
    /// One process that everything waits for.
    Bottleneck,
    /// A table that several processes read, without `read_concurrency`.
    ReadConcurrency,
    /// A message that is large, and copied.
    CopiedMessage,
    /// A run that keeps a scheduler for long.
    LongRun,
}

impl Document for Explanation {
    const KIND: &'static str = "explanation";
    const MAX_BYTES: u64 = 4 * 1024 * 1024;

    fn check(&self) -> Result<(), Violation> {
        if self.schema != (SchemaTag { name: SchemaName::Cp1Explanation, version: 1 }) {
            return Err(Violation::new(
                ["schema".into()],
                "this is not a cp1_explanation of version 1",
                "use the gate of the version that wrote the file",
            ));
        }
        let inner = |of: fn(&ExplainedPlace) -> usize| self.places.iter().map(of).max();
        let lengths = [
            ("places", Some(self.places.len())),
            ("places", inner(|place| place.evidence.len())),
            ("places", inner(|place| place.functions.len())),
            ("places", inner(|place| place.history.as_ref().map_or(0, |it| it.commits.len()))),
            ("work", Some(self.work.len())),
            ("failures", Some(self.failures.len())),
            ("advice", Some(self.advice.len())),
            ("notices", Some(self.notices.len())),
        ];
        match lengths.into_iter().find(|(_, length)| length.is_some_and(|it| it > EXPLAINED_MAX)) {
            Some((key, _)) => Err(Violation::new(
                [Segment::from(key)],
                format!("a list here has more than {EXPLAINED_MAX} entries"),
                "explain again",
            )),
            None => Ok(()),
        }
    }
}
