//! What a build of a router does for its requests, function by function: counted and timed under trace in
//! a BEAM of its own, of which nothing is gated.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::block::FailureReason;
use crate::read::{Segment, Violation};

/// Most entries of each list of a profile.
const PROFILED_MAX: usize = 20_000;

/// Both builds, for the same seeded requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    /// The build that is compared against.
    pub frozen: Profile,
    /// The build that is explained.
    pub candidate: Profile,
}

/// One build. What is counted is of all requests of a pass together, from the first to the last; a pass
/// is repeated with the same requests for what cannot be traced at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Requests of each pass.
    pub requests: u64,
    /// Workers that route them, each one at a time.
    pub workers: u32,
    /// Wall time of all calls of the adapter's `route/2` together, in a pass without trace.
    pub routing_us: u64,
    /// The same in the pass in which functions are timed: tracing has a price, and it is paid by call.
    pub traced_routing_us: u64,
    /// What was called, by most own time.
    pub functions: Vec<Function>,
    /// So many functions, of least own time, are not in the list.
    #[serde(default)]
    pub functions_left_out: u64,
    /// What the VM did in the pass without trace.
    pub work: Work,
    /// Locks of the emulator by most waiting; absent where the emulator does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locks: Option<Vec<Lock>>,
    /// Bytes by class of `erlang:memory()` after all passes, everything collected.
    pub memory: BTreeMap<MemoryKind, u64>,
    /// Tables of ETS then, by most memory.
    pub tables: Vec<Table>,
    /// Processes by what they run, by most memory then.
    pub processes: Vec<Processes>,
    /// Messages between processes of the router, by most words copied.
    pub messages: Vec<Messages>,
    /// Runs that kept a scheduler for long, by most of them.
    pub long_runs: Vec<LongRuns>,
    /// Why requests were not answered with success.
    pub reasons: Vec<FailureReason>,
}

/// A function, in all processes together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Its module.
    pub module: String,
    /// Its name.
    pub function: String,
    /// Its arity.
    pub arity: u8,
    /// Whether its module belongs to the project; else it is Erlang/OTP's or a dependency's.
    pub is_own: bool,
    /// Calls (`call_count`).
    pub calls: u64,
    /// Time in the function itself, without what it calls that is traced too (`call_time`).
    pub own_us: u64,
    /// Words that it allocated itself (`call_memory`, from OTP 26); absent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<u64>,
}

/// What a VM did in a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Length of the pass.
    pub wall_us: u64,
    /// Processor time of the whole process (`runtime`).
    pub processor_us: u64,
    /// Reductions.
    pub reductions: u64,
    /// Garbage collections.
    pub collections: u64,
    /// Words that these reclaimed.
    pub reclaimed_words: u64,
    /// Context switches.
    pub context_switches: u64,
    /// Longest run queue, all schedulers together, of the samples taken.
    pub run_queue_max: u64,
    /// Time of all schedulers together by what they were at (microstate accounting).
    pub scheduler_us: BTreeMap<SchedulerState, u64>,
}

/// What a scheduler is at, as microstate accounting of every emulator has it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SchedulerState {
    /// Miscellaneous.
    Aux,
    /// Input and output.
    CheckIo,
    /// Running processes.
    Emulator,
    /// Collecting garbage.
    Gc,
    /// Everything else.
    Other,
    /// Running ports.
    Port,
    /// Waiting for work.
    Sleep,
}

/// A class of `erlang:memory()`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MemoryKind {
    /// All.
    Total,
    /// Heaps, stacks and mailboxes of processes.
    Processes,
    /// Everything that belongs to no process, the classes below among it.
    System,
    /// Atoms.
    Atom,
    /// Binaries outside of heaps.
    Binary,
    /// Loaded code.
    Code,
    /// Tables of ETS.
    Ets,
}

/// A lock of the emulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Its class, and its name where it has one.
    pub name: String,
    /// Tries.
    pub tries: u64,
    /// Tries that had to wait.
    pub collisions: u64,
    /// Time waited.
    pub waited_us: u64,
}

/// A table of ETS, or all tables of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// What its owner runs.
    pub owner: String,
    /// `set`, `ordered_set`, `bag` or `duplicate_bag`.
    pub kind: String,
    /// Tables of this name, kind and owner.
    pub count: u64,
    /// Rows of all of them.
    pub rows: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Whether it is made for readers at once.
    pub read_concurrency: bool,
    /// Whether it is made for writers at once.
    pub write_concurrency: bool,
}

/// Processes that run the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Processes {
    /// The registered name, or the initial call as `module:function/arity`, as `proc_lib` knows it.
    pub name: String,
    /// Whether the module that it runs belongs to the project.
    pub is_own: bool,
    /// How many at the end.
    pub count: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes of the binaries beyond 64 bytes that they hold on to; one that several hold counts for each.
    pub binary_bytes: u64,
    /// Reductions in the pass without trace.
    pub reductions: u64,
    /// Time of these in which they ran, of a sample of the requests, scaled to all of a pass.
    pub running_us: u64,
    /// Longest message queue of one of them, of the samples taken.
    pub queue_max: u64,
}

/// Messages between processes that run the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// What the sender runs.
    pub from: String,
    /// What the receiver runs.
    pub to: String,
    /// Messages, of a sample of the requests.
    pub count: u64,
    /// Requests of that sample.
    pub requests: u64,
    /// Words that were copied with all of them.
    pub words: u64,
    /// Words of the largest.
    pub words_max: u64,
}

/// Runs that kept a scheduler longer than `at_least_ms` (`system_monitor`, `long_schedule`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LongRuns {
    /// What the process runs.
    pub process: String,
    /// Where it was when it was scheduled out, as `module:function/arity`.
    pub place: String,
    /// How often.
    pub count: u64,
    /// From how long on it is noticed.
    pub at_least_ms: u64,
    /// The longest.
    pub longest_ms: u64,
}

impl Profiles {
    /// A profile of no request has nothing for a request, and one of any size could not be shown.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        let sides = [("frozen", &self.frozen), ("candidate", &self.candidate)];
        for (side, profile) in sides {
            let refuse = |key: &str, problem: &str, cure: &str| {
                let path = ["explained", side, key].map(Segment::from);
                Err(Violation::new(path, problem, cure))
            };
            if profile.requests == 0 {
                return refuse("requests", "nothing was routed", "give it more time");
            }
            let lengths = [
                ("functions", profile.functions.len()),
                ("locks", profile.locks.as_ref().map_or(0, Vec::len)),
                ("tables", profile.tables.len()),
                ("processes", profile.processes.len()),
                ("messages", profile.messages.len()),
                ("long_runs", profile.long_runs.len()),
                ("reasons", profile.reasons.len()),
            ];
            if let Some((key, _)) = lengths.into_iter().find(|(_, length)| *length > PROFILED_MAX) {
                return refuse(key, "this list is longer than a bench sends", "build both");
            }
        }
        Ok(())
    }
}
