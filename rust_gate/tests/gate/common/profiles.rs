//! Profiles of a made router, as the bench measures them: with the price of tracing, noise, and functions of
//! the VM beside.

use std::collections::BTreeMap;

use cp1_format::{
    ExplainedBuild, Explanation, FailedOutcome, FailureReason, Function, LongRuns, MemoryKind,
    Messages, Processes, Profile, Profiles, SchedulerState, Table, Work,
};
use perf_gate::explain::{Explained, explanation};

pub(crate) const REQUESTS: u64 = 20_000;
pub(crate) const WORKERS: u32 = 4;

/// What tracing adds to a call, in us.
const PRICE_US: f64 = 0.4;

/// A function of the router: calls for a request, and own time of a call in us.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) module: &'static str,
    pub(crate) function: String,
    pub(crate) arity: u8,
    pub(crate) is_own: bool,
    pub(crate) calls: f64,
    pub(crate) own_us: f64,
}

pub(crate) fn made(name: &'static str, calls: f64, own_us: f64) -> Made {
    let (module, rest) = name.split_once(':').unwrap();
    let (function, arity) = rest.rsplit_once('/').unwrap();
    Made {
        module,
        function: function.to_owned(),
        arity: arity.parse().unwrap(),
        is_own: module.starts_with("router"),
        calls,
        own_us,
    }
}

/// A router before it is measured.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    pub(crate) functions: Vec<Made>,
    pub(crate) tables: Vec<Table>,
    pub(crate) processes: Vec<Processes>,
    pub(crate) messages: Vec<Messages>,
    /// What a request waits, in us.
    pub(crate) waiting_us: f64,
    /// What it collects garbage, in us.
    pub(crate) collecting_us: f64,
    /// Bytes outside of tables and processes, by class.
    pub(crate) further: BTreeMap<MemoryKind, u64>,
}

pub(crate) fn process(name: &str, is_own: bool, count: u64) -> Processes {
    Processes {
        name: name.to_owned(),
        is_own,
        count,
        bytes: 20_000 * count,
        binary_bytes: 0,
        reductions: 1000,
        running_us: if count > 1 { 160_000 } else { 50 },
        queue_max: 0,
    }
}

pub(crate) fn table(name: &str, owner: &str, kind: &str, rows: u64) -> Table {
    Table {
        name: name.to_owned(),
        owner: owner.to_owned(),
        kind: kind.to_owned(),
        count: 1,
        rows,
        bytes: 4096 + rows * 100,
        read_concurrency: true,
        write_concurrency: true,
    }
}

/// A message of each request.
pub(crate) fn messages(from: &str, to: &str, words: u64) -> Messages {
    let requests = 1000;
    Messages {
        from: from.to_owned(),
        to: to.to_owned(),
        count: requests,
        requests,
        words: words * requests,
        words_max: words + 3,
    }
}

impl Router {
    pub(crate) fn new() -> Self {
        Self {
            functions: vec![
                made("router:route/1", 1.0, 0.20),
                made("router:run/2", 1.0, 0.15),
                made("router_intake:enter/0", 1.0, 0.25),
                made("router_intake:leave/1", 1.0, 0.20),
                made("router_policy:choose/3", 1.0, 0.50),
                made("router_policy:weight/2", 3.0, 0.05),
                made("router_session:find/3", 1.0, 0.20),
                made("router_session:bind/5", 0.3, 0.40),
                made("router_transport:deliver/2", 1.0, 0.60),
                made("erlang:phash2/1", 1.0, 0.30),
                made("ets:lookup/2", 1.0, 0.35),
                made("ets:insert/2", 0.3, 0.60),
                made("atomics:add_get/3", 4.0, 0.04),
                made("maps:get/2", 5.0, 0.03),
                made("lists:keyfind/3", 1.0, 0.10),
                // What the VM does beside, some times in any pass.
                made("io_lib:format/2", 0.0003, 8.0),
            ],
            tables: vec![
                table("router_sessions", "router_owner", "set", 6000),
                table("ac_tab", "application_controller", "set", 200),
            ],
            processes: vec![
                process("router_bench_side:worker/1", false, u64::from(WORKERS)),
                process("router_owner", true, 1),
                process("application_controller", false, 1),
            ],
            messages: Vec::new(),
            waiting_us: 0.0,
            collecting_us: 0.2,
            further: [(MemoryKind::Atom, 400_000), (MemoryKind::Code, 9_000_000)].into(),
        }
    }

    /// As the bench measures it. Noise of a function is a part of its time, the machine's a factor of all.
    pub(crate) fn measured(&self, noise: f64, machine: f64, seed: u64) -> Profile {
        let mut random = fastrand::Rng::with_seed(seed);
        let total = |for_request: f64| (for_request * REQUESTS as f64).round() as u64;
        let functions: Vec<Function> = self
            .functions
            .iter()
            .map(|made| {
                let off = 1.0 + noise * (2.0 * random.f64() - 1.0);
                Function {
                    module: made.module.to_owned(),
                    function: made.function.clone(),
                    arity: made.arity,
                    is_own: made.is_own,
                    calls: total(made.calls),
                    own_us: total(made.calls * (made.own_us + PRICE_US) * off * machine),
                    words: None,
                }
            })
            .collect();
        let own: f64 = self.functions.iter().map(|made| made.calls * made.own_us).sum();
        let calls: f64 = self.functions.iter().map(|made| made.calls).sum();
        let wall = own + self.waiting_us;
        let running = total(own + 1.0 - self.collecting_us);
        let sum = |of: &dyn Fn(MemoryKind) -> u64| of(MemoryKind::Ets) + of(MemoryKind::Processes);
        let of_processes: u64 = self.processes.iter().map(|it| it.bytes).sum();
        let binaries: u64 = self.processes.iter().map(|it| it.binary_bytes).sum();
        let mut memory = self.further.clone();
        memory.insert(MemoryKind::Ets, self.tables.iter().map(|it| it.bytes).sum());
        memory.insert(MemoryKind::Processes, of_processes);
        *memory.entry(MemoryKind::Binary).or_default() += binaries;
        let of = |kind| memory.get(&kind).copied().unwrap_or(0);
        let others = of(MemoryKind::Atom) + of(MemoryKind::Code) + of(MemoryKind::Binary);
        let total_bytes = sum(&of) + others;
        memory.insert(MemoryKind::System, total_bytes - of(MemoryKind::Processes));
        memory.insert(MemoryKind::Total, total_bytes);
        Profile {
            requests: REQUESTS,
            workers: WORKERS,
            routing_us: total(wall),
            traced_routing_us: total(wall + calls * PRICE_US),
            functions,
            functions_left_out: 0,
            work: Work {
                wall_us: total(wall / f64::from(WORKERS)),
                processor_us: total(own + 1.2),
                reductions: total(calls * 10.0),
                collections: total(self.collecting_us / 10.0),
                reclaimed_words: total(self.collecting_us * 1000.0),
                context_switches: total(if self.waiting_us > 0.0 { 2.0 } else { 0.01 }),
                run_queue_max: 1,
                scheduler_us: [
                    (SchedulerState::Emulator, running),
                    (SchedulerState::Gc, total(self.collecting_us)),
                    (SchedulerState::Sleep, total(3.0)),
                ]
                .into(),
            },
            locks: None,
            memory,
            tables: self.tables.clone(),
            processes: self.processes.clone(),
            messages: self.messages.clone(),
            long_runs: Vec::new(),
            reasons: Vec::new(),
        }
    }

    pub(crate) fn function(&mut self, name: &str) -> &mut Made {
        let is_it =
            |made: &&mut Made| format!("{}:{}/{}", made.module, made.function, made.arity) == name;
        self.functions.iter_mut().find(is_it).unwrap()
    }
}

/// A planted change, and the places by which it is known.
pub(crate) struct Planted {
    pub(crate) name: &'static str,
    pub(crate) router: Router,
    pub(crate) places: &'static [&'static str],
}

/// The router with each change.
pub(crate) fn planted() -> Vec<Planted> {
    let plant = |name, places, change: &dyn Fn(&mut Router)| {
        let mut router = Router::new();
        change(&mut router);
        Planted { name, router, places }
    };
    let worker = "router_bench_side:worker/1";
    vec![
        plant("a hash repeated", &["erlang:phash2/1"], &|router| {
            router.function("erlang:phash2/1").calls = 8.0;
        }),
        plant("an extra process hop", &["router_hop", "router_hop:handle_call/3"], &|router| {
            router.functions.extend([
                made("router_hop:ask/1", 1.0, 0.1),
                made("router_hop:handle_call/3", 1.0, 0.2),
                made("gen_server:call/2", 1.0, 0.2),
                made("gen_server:reply/2", 1.0, 0.1),
                made("gen:call/4", 1.0, 0.2),
                made("gen:do_call/4", 1.0, 0.4),
                made("erlang:monitor/3", 1.0, 0.3),
                made("erlang:demonitor/2", 1.0, 0.2),
                made("gen_server:loop/7", 1.0, 0.2),
            ]);
            router
                .processes
                .push(Processes { running_us: 30_000, ..process("router_hop", true, 1) });
            router
                .messages
                .extend([messages(worker, "router_hop", 12), messages("router_hop", worker, 8)]);
            router.waiting_us = 6.0;
        }),
        plant("a process for each request", &["router:-run/2-fun-0-/2"], &|router| {
            router.functions.extend([
                made("erlang:spawn_monitor/1", 1.0, 0.3),
                made("erlang:spawn_opt/4", 1.0, 2.0),
                made("erlang:exit/1", 1.0, 0.2),
            ]);
            let name = "router:-run/2-fun-0-/2";
            router.processes.push(Processes {
                count: 0,
                bytes: 0,
                running_us: 60_000,
                ..process(name, true, 1)
            });
            router.waiting_us = 4.0;
        }),
        plant("a copied binary", &["binary:copy/1"], &|router| {
            router.functions.push(made("binary:copy/1", 1.0, 2.5));
            router.collecting_us = 0.5;
        }),
        plant("a slower type of table", &["router_sessions"], &|router| {
            router.tables[0].kind = "ordered_set".to_owned();
            router.function("ets:lookup/2").own_us = 0.8;
            router.function("ets:insert/2").own_us = 1.2;
        }),
        plant("a leak", &["router_sessions", "router_session:remember/2"], &|router| {
            router.tables[0].rows += REQUESTS;
            router.tables[0].bytes += REQUESTS * 150;
            router.function("ets:insert/2").calls += 1.0;
            router.functions.push(made("router_session:remember/2", 1.0, 0.1));
        }),
        plant("a lock", &["router_lock"], &|router| {
            router.functions.extend([
                made("router_lock:acquire/0", 1.0, 0.1),
                made("router_lock:release/1", 1.0, 0.1),
                made("router_lock:handle_call/3", 2.0, 0.2),
                made("gen_server:call/2", 2.0, 0.2),
                made("gen:call/4", 2.0, 0.2),
                made("gen:do_call/4", 2.0, 0.4),
            ]);
            router.processes.push(Processes {
                running_us: 90_000,
                queue_max: 3,
                ..process("router_lock", true, 1)
            });
            router
                .messages
                .extend([messages(worker, "router_lock", 10), messages("router_lock", worker, 6)]);
            router.waiting_us = 25.0;
        }),
    ]
}

pub(crate) fn explained(frozen: Profile, candidate: Profile) -> Explanation {
    let build = |digit: &str| ExplainedBuild { commit: Some(digit.repeat(40)), dirty: Some(false) };
    let explained = Explained { frozen: build("a"), candidate: build("b"), seed: 7 };
    explanation(&Profiles { frozen, candidate }, explained)
}

/// An explanation that has everything, with a name, a sample and a subject that look like something else.
pub(crate) fn hostile(text: &str) -> Explanation {
    let mut router = planted().remove(6).router;
    router.tables.push(table(text, text, text, 50_000));
    router.tables[2].read_concurrency = false;
    router.processes.push(Processes { queue_max: 9, ..process(text, true, 1) });
    router.messages.push(messages(text, "router_lock", 4000));
    let mut function = made("router:route/1", 2.0, 1.0);
    function.function = text.to_owned();
    router.functions.push(function);
    let mut candidate = router.measured(0.0, 1.0, 1);
    candidate.long_runs.push(LongRuns {
        process: text.to_owned(),
        place: text.to_owned(),
        count: 3,
        at_least_ms: 1,
        longest_ms: 12,
    });
    candidate.reasons.push(FailureReason {
        outcome: FailedOutcome::Error,
        reason: text.to_owned(),
        count: 5,
        sample: text.to_owned(),
    });
    let mut explanation = explained(Router::new().measured(0.0, 1.0, 1), candidate);
    // As git is asked, and of bounded length.
    let text: String = text.chars().take(200).collect();
    for place in &mut explanation.places {
        place.history = Some(cp1_format::PlaceHistory {
            command: format!("git log -L1,9:{text} a..b"),
            commits: vec![cp1_format::PlaceCommit {
                commit: "c".repeat(40),
                date: "2026-01-31".to_owned(),
                subject: text.clone(),
            }],
        });
    }
    explanation
}
