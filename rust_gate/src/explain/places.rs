//! What changed, gathered into places and ranked.
//!
//! A place is what a person can look at: a function, a table, a process. A function of the project is its own
//! place. What a table's functions (`ets`) or those of messages (`gen`, `gen_server`, …) took more counts for
//! the table that is made otherwise or grew, and for the process that is talked to more; what requests wait
//! longer, for the process in whose mailbox they stand, or that they talk to more, or for the emulator's lock.
//!
//! Places are ranked by the part of a request's time in the frozen build, or of its memory, that they add;
//! those that save some come last. A table that is made otherwise comes first: that it is was read and not
//! measured, and of how long its functions take little may be beyond noise.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use cp1_format::{
    ClassSides, ExplainedPlace, FunctionSides, Lock, MemoryKind, MemoryShift, PlaceKind,
    PlaceState, Profile, Profiles, TimeShift,
};

use super::compare::{Calls, Compared, Functions};
use super::division::{Times, explained};
use super::figures::{number, percent, signed, size};
use super::processes::{self, Running};
use super::tables::{self, Tables};
use super::{each, kept};
use crate::render::figures::grouped;

/// Most places that are told.
const PLACES_MAX: usize = 20;

/// Most functions that are told of a place.
const FUNCTIONS_MAX: usize = 10;

/// Functions of a place that its evidence speaks of.
const FUNCTIONS_TOLD: usize = 3;

/// Memory below which a place does not count: heaps of processes differ by that from one run to the next.
pub(super) const BYTES_LEAST: f64 = 256.0 * 1024.0;

/// And so much of all memory, by which two runs of one build differ, a third of a usual limit.
const BYTES_PART_LEAST: f64 = 0.05;

/// Part of a request's time below which waiting has no place.
const WAITING_LEAST: f64 = 0.01;

/// Modules whose functions a process calls to talk to another.
const TALKING: [&str; 5] = ["gen", "gen_server", "gen_statem", "gen_event", "proc_lib"];

/// Functions of `erlang` that do.
const TALKING_ERLANG: [&str; 7] = [
    "erlang:send/2",
    "erlang:send/3",
    "erlang:!/2",
    "erlang:monitor/2",
    "erlang:monitor/3",
    "erlang:demonitor/1",
    "erlang:demonitor/2",
];

/// The places, with the differences divided among them.
#[derive(Debug, Clone)]
pub struct Ranked {
    /// The places.
    pub places: Vec<ExplainedPlace>,
    /// Further ones.
    pub left_out: u64,
    /// The difference in time.
    pub time: TimeShift,
    /// The difference in memory.
    pub memory: MemoryShift,
}

/// A place before it is ranked.
#[derive(Debug, Clone)]
struct Draft {
    is_own: bool,
    state: PlaceState,
    is_certain: bool,
    /// Whether it is a table of another kind than before.
    is_made_otherwise: bool,
    /// Own time of its functions.
    own_us: f64,
    /// Of that what lies beyond noise.
    firm_us: f64,
    /// What requests wait for it.
    waiting_us: f64,
    bytes: f64,
    evidence: Vec<String>,
    functions: Vec<Compared>,
}

impl Draft {
    fn new(is_own: bool, state: PlaceState) -> Self {
        Self {
            is_own,
            state,
            is_certain: state != PlaceState::Both,
            is_made_otherwise: false,
            own_us: 0.0,
            firm_us: 0.0,
            waiting_us: 0.0,
            bytes: 0.0,
            evidence: Vec::new(),
            functions: Vec::new(),
        }
    }

    fn take(&mut self, function: &Compared) {
        self.own_us += function.change_us;
        self.firm_us += function.firm_us;
        self.is_certain |= function.calls != Calls::AsOften;
        self.functions.push(function.clone());
    }
}

type Drafts = BTreeMap<(PlaceKind, String), Draft>;

/// Gathers, ranks and divides.
#[must_use]
pub fn ranked(profiles: &Profiles, functions: &Functions, times: &Times) -> Ranked {
    let memory = Memory::of(profiles);
    let tables = tables::compared(profiles);
    let running = processes::compared(profiles);
    let mut drafts = Drafts::new();
    add_tables(&mut drafts, &tables, &running, &memory);
    add_processes(&mut drafts, &running, &memory);
    add_functions(&mut drafts, functions, &tables, &running);
    add_waiting(&mut drafts, profiles, &running, times);
    add_memory(&mut drafts, &memory);
    let scale = times.without_collecting(functions);
    for draft in drafts.values_mut() {
        draft.own_us *= scale;
        draft.firm_us *= scale;
    }
    let weight = |draft: &Draft| {
        let parts = [times.part(draft.firm_us + draft.waiting_us), memory.part(draft.bytes)];
        let most = parts.into_iter().fold(f64::MIN, f64::max);
        if most > 0.0 { most } else { parts.into_iter().fold(0.0, f64::min) }
    };
    let mut all: Vec<_> = drafts
        .into_iter()
        .map(|((kind, name), draft)| (weight(&draft), kind, name, draft))
        .collect();
    all.sort_by(|(weight_a, kind_a, name_a, a), (weight_b, kind_b, name_b, b)| {
        let tie = |draft: &Draft| Reverse((draft.is_certain, draft.is_own));
        let saves = |weight: f64, draft: &Draft| {
            let is_noise =
                draft.is_made_otherwise && !draft.functions.iter().any(|it| it.is_changed);
            weight < 0.0 && !is_noise
        };
        (saves(*weight_a, a).cmp(&saves(*weight_b, b)))
            .then(b.is_made_otherwise.cmp(&a.is_made_otherwise))
            .then(weight_b.abs().total_cmp(&weight_a.abs()))
            .then_with(|| tie(a).cmp(&tie(b)))
            .then_with(|| (kind_a, name_a).cmp(&(kind_b, name_b)))
    });
    let left_out = all.len().saturating_sub(PLACES_MAX);
    all.truncate(PLACES_MAX);
    let sum = |of: fn(&Draft) -> f64| all.iter().map(|(.., draft)| of(draft)).sum::<f64>();
    let time = times.divided(functions, sum(|it| it.own_us), sum(|it| it.waiting_us));
    // A class of memory is no place to look at: it stays unexplained.
    let held = all.iter().filter(|(_, kind, ..)| *kind != PlaceKind::Memory);
    let held = held.map(|(.., draft)| draft.bytes).sum::<f64>();
    let explained_pct = memory.share(held).map(explained);
    Ranked {
        places: all
            .into_iter()
            .map(|(_, kind, name, draft)| place(kind, name, draft, times, &memory))
            .collect(),
        left_out: left_out as u64,
        time,
        memory: MemoryShift { classes: memory.classes, explained_pct },
    }
}

fn place(
    kind: PlaceKind,
    name: String,
    mut draft: Draft,
    times: &Times,
    memory: &Memory,
) -> ExplainedPlace {
    let own_us = draft.own_us + draft.waiting_us;
    draft.functions.sort_by(|a, b| {
        b.change_us.abs().total_cmp(&a.change_us.abs()).then_with(|| a.name.cmp(&b.name))
    });
    let of_functions = draft.functions.iter().take(FUNCTIONS_TOLD).flat_map(evidence);
    let mut said = draft.evidence;
    said.extend(of_functions);
    ExplainedPlace {
        kind,
        name,
        is_own: draft.is_own,
        state: draft.state,
        is_certain: draft.is_certain,
        change_us: signed(own_us),
        time_share_pct: times.share(own_us).map(percent),
        // Within what a process can hold, so the cast is exact enough.
        change_bytes: draft.bytes.round() as i64,
        memory_share_pct: memory.share(draft.bytes).map(percent),
        evidence: said,
        functions: draft
            .functions
            .iter()
            .take(FUNCTIONS_MAX)
            .map(Compared::sides)
            .collect::<Vec<FunctionSides>>(),
        history: None,
    }
}

/// What differs of a function, in words.
fn evidence(function: &Compared) -> Vec<String> {
    let (before, after) = (function.frozen, function.candidate);
    let mut said = Vec::new();
    let how_often = match (function.state(), function.calls) {
        (PlaceState::New, _) => format!("{} times a request, new", number(after.calls)),
        (PlaceState::Gone, _) => format!("{} times a request before, gone", number(before.calls)),
        (_, Calls::AsOften) => format!("{} times a request, as before", number(after.calls)),
        _ => format!("{} times a request, {} before", number(after.calls), number(before.calls)),
    };
    let own = format!(
        "{} us of own time under trace, {} us before",
        number(after.own_us),
        number(before.own_us)
    );
    said.push(format!("{}: {how_often}; {own}", function.name));
    if let (Some(before), Some(after)) = (before.words, after.words)
        && (before - after).abs() >= 1.0
    {
        said.push(format!(
            "{}: {} words allocated for a request, {} before",
            function.name,
            number(after),
            number(before)
        ));
    }
    said
}

fn add_tables(drafts: &mut Drafts, tables: &[Tables], running: &[Running], memory: &Memory) {
    for table in tables {
        let bytes = table.change_bytes();
        if !table.is_made_otherwise() && bytes.abs() < memory.least() {
            continue;
        }
        let is_own = running.iter().any(|owner| owner.is_own && table.is_of(&owner.name));
        let mut draft = Draft::new(is_own, table.state());
        draft.is_certain = table.is_made_otherwise();
        draft.is_made_otherwise = draft.is_certain && table.state() == PlaceState::Both;
        draft.bytes = bytes;
        draft.evidence = table.evidence();
        drafts.insert((PlaceKind::Table, table.name.clone()), draft);
    }
}

fn add_processes(drafts: &mut Drafts, running: &[Running], memory: &Memory) {
    let scale = memory.of_binaries(running);
    for processes in running {
        let bytes = processes.change_bytes() + processes.change_binary_bytes() * scale;
        let talks = processes.change_messages() != 0.0;
        let is_new = processes.is_own && processes.state() != PlaceState::Both;
        if !talks && !is_new && !processes.is_longer() && bytes.abs() < memory.least() {
            continue;
        }
        let mut draft = Draft::new(processes.is_own, processes.state());
        draft.is_certain = talks || processes.state() != PlaceState::Both;
        draft.bytes = if bytes.abs() < memory.least() { 0.0 } else { bytes };
        draft.evidence = processes.evidence();
        drafts.insert((PlaceKind::Process, processes.name.clone()), draft);
    }
}

fn add_functions(
    drafts: &mut Drafts,
    functions: &Functions,
    tables: &[Tables],
    running: &[Running],
) {
    let is_there = |kind, name: &String| drafts.contains_key(&(kind, name.clone()));
    // Which table was called, nobody says: the one that is made otherwise, else the one that grew most.
    let table = tables
        .iter()
        .filter(|table| is_there(PlaceKind::Table, &table.name))
        .max_by(|a, b| {
            let how = |table: &Tables| (table.is_made_otherwise(), table.rows());
            let grown = a.change_bytes().abs().total_cmp(&b.change_bytes().abs());
            (how(a).0.cmp(&how(b).0)).then(grown).then(how(a).1.cmp(&how(b).1))
        })
        .map(|table| {
            // A new table changes what a call takes by being called, and not by how it is made.
            let is_slower_by_make = table.is_made_otherwise() && table.state() == PlaceState::Both;
            (table.name.clone(), is_slower_by_make)
        });
    let spawned = spawned(running).map(|it| it.name.clone());
    // Who is talked to more, or less.
    let talked_to = |more: bool| {
        let talking = running.iter().filter(|it| is_there(PlaceKind::Process, &it.name));
        let by = |it: &Running| it.change_messages() * if more { 1.0 } else { -1.0 };
        let most = talking.filter(|it| by(it) > 0.0).max_by(|a, b| by(a).total_cmp(&by(b)));
        most.map(|it| it.name.clone())
    };
    let (more, fewer) = (talked_to(true), talked_to(false));
    let mut taken: Vec<((PlaceKind, String), &Compared)> = Vec::new();
    for function in &functions.all {
        let is_talk = TALKING.contains(&function.module.as_str())
            || TALKING_ERLANG.contains(&function.name.as_str());
        let server = match function.calls {
            Calls::More if is_spawning(function) && spawned.is_some() => spawned.as_ref(),
            Calls::More if is_talk => more.as_ref(),
            Calls::Fewer if is_talk => fewer.as_ref(),
            _ => None,
        };
        let key = match (&table, server) {
            (Some((name, made_otherwise)), _)
                if function.module == "ets"
                    && (function.is_changed || *made_otherwise && function.is_other()) =>
            {
                (PlaceKind::Table, name.clone())
            }
            (_, Some(name)) => (PlaceKind::Process, name.clone()),
            _ if function.is_changed => (PlaceKind::Function, function.place.clone()),
            _ => continue,
        };
        taken.push((key, function));
    }
    for (key, function) in taken {
        let draft = drafts.entry(key).or_insert_with(|| {
            let of_place = functions.all.iter().filter(|it| it.place == function.place);
            let mut states = of_place.map(Compared::state);
            let first = states.next().unwrap_or(PlaceState::Both);
            let state = if states.all(|it| it == first) { first } else { PlaceState::Both };
            Draft::new(function.is_own, state)
        });
        draft.take(function);
    }
}

/// A process of the project that is new, ran, and has ended: it was spawned for requests, and of several the
/// one that ran most.
fn spawned(running: &[Running]) -> Option<&Running> {
    let new = running.iter().filter(|it| it.is_own && it.is_spawned());
    new.max_by(|a, b| a.ran_us().total_cmp(&b.ran_us()).then_with(|| b.name.cmp(&a.name)))
}

fn is_spawning(function: &Compared) -> bool {
    let name = function.name.split_once(':').map_or("", |(_, name)| name);
    matches!(function.module.as_str(), "erlang" | "proc_lib")
        && (name.starts_with("spawn") || matches!(name, "exit/1" | "start_link/3" | "start/3"))
}

/// What requests wait longer, and for whom.
fn add_waiting(drafts: &mut Drafts, profiles: &Profiles, running: &[Running], times: &Times) {
    let waiting = times.waiting();
    let locks = locks(profiles);
    for (name, (before, after)) in &locks {
        if times.part(after.waited - before.waited) < WAITING_LEAST {
            continue;
        }
        let state = if before.tries > 0.0 { PlaceState::Both } else { PlaceState::New };
        let mut draft = Draft::new(false, state);
        draft.is_certain = false;
        draft.evidence = vec![format!(
            "waited for {} us of a request, {} us before; {} of {} tries had to wait, {} of {} before",
            number(after.waited),
            number(before.waited),
            number(after.collisions),
            number(after.tries),
            number(before.collisions),
            number(before.tries),
        )];
        drafts.insert((PlaceKind::Lock, name.clone()), draft);
    }
    if times.part(waiting) < WAITING_LEAST {
        return;
    }
    let by_queue = running.iter().filter(|it| it.is_waited_for()).max_by_key(|it| {
        let signs = u8::from(it.is_longer()) + u8::from(it.change_messages() > 0.0);
        (signs, it.queue_max(), Reverse(it.name.clone()))
    });
    let by_talk = || {
        let more = running.iter().filter(|it| it.change_messages() > 0.0);
        more.max_by(|a, b| a.change_messages().total_cmp(&b.change_messages()))
    };
    let by_lock = || {
        let waited =
            |(_, (before, after)): &(&String, &(Waited, Waited))| after.waited - before.waited;
        let found = locks.iter().max_by(|a, b| waited(a).total_cmp(&waited(b)));
        found
            .map(|(name, _)| (PlaceKind::Lock, name.clone()))
            .filter(|key| drafts.contains_key(key))
    };
    let of_process = by_queue.or_else(by_talk).or_else(|| spawned(running));
    let key = match of_process {
        Some(process) => Some((PlaceKind::Process, process.name.clone())),
        None => by_lock(),
    };
    let Some(key) = key else { return };
    let draft = drafts.entry(key).or_insert_with(|| {
        let mut draft = Draft::new(
            of_process.is_some_and(|it| it.is_own),
            of_process.map_or(PlaceState::Both, Running::state),
        );
        draft.evidence = of_process.map(Running::evidence).unwrap_or_default();
        draft
    });
    draft.waiting_us = waiting;
    draft.evidence.push(format!(
        "requests wait {} us longer than before, and this is what they are seen to wait for",
        number(waiting)
    ));
}

/// A lock of the emulator, for a request.
#[derive(Debug, Clone, Copy, Default)]
struct Waited {
    waited: f64,
    collisions: f64,
    tries: f64,
}

fn locks(profiles: &Profiles) -> BTreeMap<String, (Waited, Waited)> {
    let mut locks: BTreeMap<String, (Waited, Waited)> = BTreeMap::new();
    let mut add = |profile: &Profile, of: fn(&mut (Waited, Waited)) -> &mut Waited| {
        for Lock { name, tries, collisions, waited_us } in profile.locks.iter().flatten() {
            let side = of(locks.entry(kept(name)).or_default());
            side.waited += each(*waited_us, profile.requests);
            side.collisions += each(*collisions, profile.requests);
            side.tries += each(*tries, profile.requests);
        }
    };
    add(&profiles.frozen, |sides| &mut sides.0);
    add(&profiles.candidate, |sides| &mut sides.1);
    locks
}

/// Classes that grew beyond what their tables and processes account for.
fn add_memory(drafts: &mut Drafts, memory: &Memory) {
    let held = |kind: PlaceKind| {
        let of_kind = drafts.iter().filter(|((of, _), _)| *of == kind);
        of_kind.map(|(_, draft)| draft.bytes).sum::<f64>()
    };
    let (tables, processes) = (held(PlaceKind::Table), held(PlaceKind::Process));
    let grown = |kind| memory.change(kind).unwrap_or(0.0);
    // Processes hold heaps and binaries, and of what they hold it is not said which.
    let of_processes = grown(MemoryKind::Processes) + grown(MemoryKind::Binary) - processes;
    let others = [
        (MemoryKind::Ets, grown(MemoryKind::Ets) - tables),
        (MemoryKind::Binary, grown(MemoryKind::Binary).min(of_processes)),
        (MemoryKind::Processes, grown(MemoryKind::Processes).min(of_processes)),
        (MemoryKind::Atom, grown(MemoryKind::Atom)),
        (MemoryKind::Code, grown(MemoryKind::Code)),
        (MemoryKind::System, memory.other_system()),
    ];
    for (kind, bytes) in others {
        if bytes < memory.least() {
            continue;
        }
        let mut draft = Draft::new(false, PlaceState::Both);
        draft.bytes = bytes;
        draft.evidence = vec![format!(
            "{} more than before, which no table and no process that was seen accounts for",
            size(bytes)
        )];
        drafts.insert((PlaceKind::Memory, class_name(kind).to_owned()), draft);
    }
}

/// What a class of memory is called.
#[must_use]
pub fn class_name(kind: MemoryKind) -> &'static str {
    match kind {
        MemoryKind::Total => "total",
        MemoryKind::Processes => "processes",
        MemoryKind::System => "system",
        MemoryKind::Atom => "atom",
        MemoryKind::Binary => "binary",
        MemoryKind::Code => "code",
        MemoryKind::Ets => "ets",
    }
}

/// Memory of both builds by class.
#[derive(Debug)]
struct Memory {
    classes: Vec<ClassSides>,
}

impl Memory {
    fn of(profiles: &Profiles) -> Self {
        let kinds = [
            MemoryKind::Total,
            MemoryKind::Processes,
            MemoryKind::System,
            MemoryKind::Atom,
            MemoryKind::Binary,
            MemoryKind::Code,
            MemoryKind::Ets,
        ];
        let class = |class: MemoryKind| {
            Some(ClassSides {
                class,
                frozen_bytes: *profiles.frozen.memory.get(&class)?,
                candidate_bytes: *profiles.candidate.memory.get(&class)?,
            })
        };
        Self { classes: kinds.into_iter().filter_map(class).collect() }
    }

    fn sides(&self, kind: MemoryKind) -> Option<(f64, f64)> {
        let class = self.classes.iter().find(|class| class.class == kind)?;
        Some((class.frozen_bytes as f64, class.candidate_bytes as f64))
    }

    fn change(&self, kind: MemoryKind) -> Option<f64> {
        self.sides(kind).map(|(before, after)| after - before)
    }

    fn total(&self) -> f64 {
        self.sides(MemoryKind::Total).map_or(0.0, |(before, _)| before)
    }

    /// What is not to be told apart from nothing.
    fn least(&self) -> f64 {
        BYTES_LEAST.max(BYTES_PART_LEAST * self.total())
    }

    fn part(&self, bytes: f64) -> f64 {
        if self.total() > 0.0 { bytes / self.total() } else { 0.0 }
    }

    /// A size as a share of the growth.
    fn share(&self, bytes: f64) -> Option<f64> {
        let change = self.change(MemoryKind::Total)?;
        (change.abs() >= self.least()).then(|| bytes / change)
    }

    /// What the classes of the system do not have.
    fn other_system(&self) -> f64 {
        let classes =
            [MemoryKind::Atom, MemoryKind::Binary, MemoryKind::Code, MemoryKind::Ets].into_iter();
        let known: f64 = classes.filter_map(|kind| self.change(kind)).sum();
        self.change(MemoryKind::System).map_or(0.0, |all| all - known)
    }

    /// Which part of the binaries held counts for each that holds them: one that several hold is there once.
    fn of_binaries(&self, running: &[Running]) -> f64 {
        let held: f64 = running.iter().map(Running::change_binary_bytes).sum();
        match self.change(MemoryKind::Binary) {
            Some(grown) if held.abs() > grown.abs() => grown.abs() / held.abs(),
            _ => 1.0,
        }
    }
}

/// A class of memory in one line: what it holds, and held before.
#[must_use]
pub fn class_line(class: &ClassSides) -> String {
    let (before, after) = (class.frozen_bytes as f64, class.candidate_bytes as f64);
    let more = grouped(&format!("{:.0}", (after - before).abs()));
    let sign = if after < before { '-' } else { '+' };
    format!("{}, {} before ({sign}{more} bytes)", size(after), size(before))
}
