//! `perf-gate explain`, of the reference router with changes that are planted in its sources.
//!
//! Where a planted change shows in calls, messages or the kind of a table, it is found whatever else the
//! machine does: no test depends on a measured time.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use cp1_format::{Amount, Explanation};
use cp1_pipeline_tests::{
    Ended, PEER, gate_binary, kill_beam, left_running, processes_with_environment, root, signal,
};

/// The router is compiled on both sides, its adapter and the bench are there.
const SETTINGS: &str = "adapter = \"ref_router_adapter\"
build = \"erlc +debug_info -o lib/ref_router/ebin router/*.erl\"
code_path = \"lib/*/ebin\"
concurrency = 4
seed = 1
";

/// Places that count as the first.
const FIRST: usize = 3;

/// A change of the router.
struct Planted {
    name: &'static str,
    changes: &'static [Change],
    /// Names of the place that was changed, one of which is to be found.
    places: &'static [&'static str],
}

struct Change {
    module: &'static str,
    old: &'static str,
    new: &'static str,
}

const DECIDE: &str =
    "        true -> ref_router_decision:run(Mode, Message, fun erlang:monotonic_time/1);";

const PLANTED: [Planted; 6] = [
    Planted {
        name: "a hash repeated",
        changes: &[Change {
            module: "ref_router_decision",
            old: "choose(Call, NowNs) ->
",
            new: "hash(0, _Message) -> ok;
hash(N, Message) -> _ = erlang:phash2(Message), hash(N - 1, Message).

choose(Call, NowNs) ->
    ok = hash(8, Call#call.message),
",
        }],
        places: &["ref_router_decision:hash/2", "erlang:phash2/1"],
    },
    Planted {
        name: "an extra process hop",
        changes: &[Change {
            module: "ref_router",
            old: DECIDE,
            new: "        true ->
            {_, Monitor} = spawn_monitor(fun() ->
                exit({decided, ref_router_decision:run(Mode, Message, fun erlang:monotonic_time/1)})
            end),
            receive {'DOWN', Monitor, process, _, {decided, Outcome}} -> Outcome end;",
        }],
        places: &["ref_router:-run/2-fun-0-/2", "ref_router:run/2"],
    },
    Planted {
        name: "a copied binary",
        changes: &[
            Change {
                module: "ref_router_transport_frame",
                old: "decode(encode(Provider, Message))",
                new: "decode(copied(encode(Provider, Message)))",
            },
            Change {
                module: "ref_router_transport_frame",
                old: "header(Name, Value) ->",
                new: "copied(Frame) -> binary:part(binary:copy(Frame, 20), 0, byte_size(Frame)).

header(Name, Value) ->",
            },
        ],
        places: &["ref_router_transport_frame:copied/1", "binary:copy/2"],
    },
    Planted {
        name: "a slower table type",
        changes: &[Change {
            module: "ref_router_session",
            old: "ets:new(ref_router_sessions, [set,",
            new: "ets:new(ref_router_sessions, [ordered_set,",
        }],
        places: &["ref_router_sessions"],
    },
    Planted {
        name: "a leak",
        changes: &[Change {
            module: "ref_router_session",
            old: "find(Table, Key, NowMs) ->
",
            new: "find(Table, Key, NowMs) ->
    true = ets:insert(Table, {make_ref(), Key, NowMs + 86400000}),
",
        }],
        places: &["ref_router_sessions", "ref_router_session:find/3"],
    },
    Planted {
        name: "a lock",
        changes: &[
            Change {
                module: "ref_router_owner",
                old: "init([]) ->
",
                new: "lock() ->
    receive
        {take, Holder, Reference} ->
            Monitor = monitor(process, Holder),
            Holder ! Reference,
            receive
                {leave, Reference} -> demonitor(Monitor, [flush]);
                {'DOWN', Monitor, process, _, _} -> ok
            end
    end,
    lock().

init([]) ->
    true = register(ref_router_lock, spawn_link(fun lock/0)),
",
            },
            Change {
                module: "ref_router",
                old: DECIDE,
                new: "        true -> locked(Mode, Message);",
            },
            Change {
                module: "ref_router",
                old: "count(Mode, Outcome) ->",
                new: "locked(Mode, Message) ->
    Reference = make_ref(),
    ref_router_lock ! {take, self(), Reference},
    receive Reference -> ok end,
    Outcome = ref_router_decision:run(Mode, Message, fun erlang:monotonic_time/1),
    ref_router_lock ! {leave, Reference},
    Outcome.

count(Mode, Outcome) ->",
            },
        ],
        places: &["ref_router_lock", "ref_router:locked/2", "ref_router_owner:lock/0"],
    },
];

struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    /// The reference router with its sources, in a repository of its own.
    fn new() -> Self {
        let mut rebar3 = Command::new("rebar3");
        rebar3.current_dir(root()).args(["as", "perf", "compile"]).stdin(Stdio::null());
        let compiled = Ended::from(rebar3.output().unwrap());
        assert_eq!(compiled.code, Some(0), "{}", compiled.printed);
        let project = Self { directory: tempfile::tempdir().unwrap() };
        let built = root().join("_build/perf/lib");
        let router = root().join("erlang/ref_router/src");
        let copies = [
            (built.join("ref_router/ebin/ref_router.app"), "lib/ref_router/ebin"),
            (built.join("ref_router_adapter/ebin"), "lib/ref_router_adapter"),
            (built.join("ref_router_adapter/src"), "lib/ref_router_adapter"),
            (built.join("router_bench/ebin"), "lib/router_bench"),
            (built.join("router_bench/priv"), "lib/router_bench"),
            (router, "."),
        ];
        for (from, to) in copies {
            let to = project.path(to);
            std::fs::create_dir_all(&to).unwrap();
            let mut copy = Command::new("cp");
            copy.args(["--recursive", "--dereference"]).arg(from).arg(&to);
            assert!(copy.status().unwrap().success());
        }
        std::fs::rename(project.path("src"), project.path("router")).unwrap();
        project.write("perf/perf_gate.toml", SETTINGS);
        project.write(
            ".gitignore",
            "/lib/router_bench/\n/lib/ref_router/ebin/*.beam\n/_build/\n/_artifacts/\n",
        );
        project.git(&["init", "--quiet", "--initial-branch=main"]);
        project.commit("a router");
        project.git(&["tag", "good"]);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
        let mut git = Command::new("git");
        git.arg("-C").arg(self.directory.path()).args(identity).args(arguments);
        let output = git.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    fn commit(&self, subject: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", subject]);
    }

    fn plant(&self, planted: &Planted) {
        self.git(&["reset", "--quiet", "--hard", "good"]);
        for Change { module, old, new } in planted.changes {
            let file = format!("router/{module}.erl");
            let source = std::fs::read_to_string(self.path(&file)).unwrap();
            assert_eq!(source.matches(old).count(), 1, "{}: {old}", planted.name);
            self.write(&file, &source.replace(old, new));
        }
        self.commit(planted.name);
    }

    fn gate(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("env");
        // A test in the background may have SIGINT ignored.
        command.arg("--default-signal=INT").arg(gate_binary()).args(arguments);
        for (name, _) in std::env::vars() {
            if ["PERF_", "CI_", "GITHUB_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        // By this its processes are found.
        command.env("ARTIFACTS_DIR", self.path("_artifacts"));
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    fn explain(&self) -> Explanation {
        let arguments = ["explain", "--good=good", "--format=json"];
        let ended = Ended::from(self.gate(&arguments).output().unwrap());
        assert_eq!(ended.code, Some(0), "{}", ended.printed);
        serde_json::from_str(&ended.answer).expect(&ended.printed)
    }
}

#[test]
fn a_planted_change_is_among_the_first_places() {
    let project = Project::new();
    let mut missed = Vec::new();
    println!("{:<22} rank  time explained  memory explained  price of tracing", "planted");
    for planted in &PLANTED {
        project.plant(planted);
        let Explanation { places, time, memory, .. } = project.explain();
        let rank = places.iter().position(|place| planted.places.contains(&&*place.name));
        let share = |share: Option<Amount>| share.map_or("-".into(), |share| format!("{share} %"));
        println!(
            "{:<22} {:>4}  {:>14}  {:>16}  {:>16.1}",
            planted.name,
            rank.map_or("-".into(), |rank| (rank + 1).to_string()),
            share(time.explained_pct),
            share(memory.explained_pct),
            time.traced_frozen_us.approximate() / time.frozen_us.approximate(),
        );
        if rank.is_none_or(|rank| rank >= FIRST) {
            missed.push((planted.name, places));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// An explanation that has begun: the gate, and what it says.
struct Begun {
    gate: Child,
    says: BufReader<ChildStderr>,
}

impl Begun {
    /// One of which a build is traced now.
    fn new(project: &Project) -> Self {
        let mut command = project.gate(&["explain", "--good=good"]);
        let mut gate = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut says = BufReader::new(gate.stderr.take().unwrap());
        let mut line = String::new();
        while !line.ends_with("under trace\n") {
            line.clear();
            assert_ne!(says.read_line(&mut line).unwrap(), 0, "it ended on its own");
        }
        let artifacts = project.path("_artifacts").display().to_string();
        let is_traced = || {
            let running = processes_with_environment(&artifacts).unwrap();
            running.values().any(|line| line.contains(PEER))
        };
        while !is_traced() {
            assert_eq!(gate.try_wait().unwrap(), None, "it ended on its own");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { gate, says }
    }

    fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.says.read_to_string(&mut said).unwrap();
        (self.gate.wait().unwrap().code(), said)
    }
}

#[test]
fn one_that_ends_early_leaves_no_process() {
    let project = Project::new();
    let artifacts = project.path("_artifacts");
    let begun = Begun::new(&project);
    signal(&begun.gate, "TERM").unwrap();
    let (code, said) = begun.ended();
    assert_eq!(code, Some(143), "{said}");
    assert_eq!(left_running(&artifacts).unwrap(), BTreeMap::new());

    let begun = Begun::new(&project);
    kill_beam(&artifacts, PEER).unwrap();
    let (code, said) = begun.ended();
    assert_eq!(code, Some(2), "{said}");
    let why = "the builds could not be traced: while the frozen build was traced: ";
    assert!(said.contains(why), "{said}");
    assert_eq!(left_running(&artifacts).unwrap(), BTreeMap::new());
}
