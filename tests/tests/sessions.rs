//! `perf-gate sessions` and `perf-gate prove`, in a project whose work tree is clean whatever that of
//! this repository is.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cp1_format::{Load, Report, RunStatus, read_file};
use cp1_pipeline_tests::{Ended, TWO_BLOCKS, gate_binary, left_running, root, signal};
use serde_json::Value;

/// What is compiled already; the frozen commit has no bench, as everywhere.
const SETTINGS: &str =
    "adapter = \"ref_router_adapter\"\nbuild = \"true\"\ncode_path = \"lib/*/ebin\"\n";

/// An adapter that plants no faults.
const PLAIN_ADAPTER: &str = "-module(plain).
-export([init/1, request/2, route/2, counters/1, terminate/1]).
init(Options) -> ref_router_adapter:init(Options).
request(N, State) -> ref_router_adapter:request(N, State).
route(Request, State) -> ref_router_adapter:route(Request, State).
counters(State) -> ref_router_adapter:counters(State).
terminate(State) -> ref_router_adapter:terminate(State).
";

/// Just enough requests for a p99, in little time.
const SHORT: [&str; 5] = [
    "--warmup-ms=50",
    "--throughput-ms=200",
    "--latency-ms=550",
    "--rate=40000",
    "--concurrency=4",
];

struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    /// The reference router of this repository, compiled, in a repository of its own.
    fn new() -> Self {
        let mut rebar3 = Command::new("rebar3");
        rebar3.current_dir(root()).args(["as", "perf", "compile"]).stdin(Stdio::null());
        let compiled = Ended::from(rebar3.output().unwrap());
        assert_eq!(compiled.code, Some(0), "{}", compiled.printed);
        let project = Self { directory: tempfile::tempdir().unwrap() };
        for (application, parts) in [
            ("ref_router", &["ebin"][..]),
            ("ref_router_adapter", &["ebin", "src"]),
            ("router_bench", &["ebin", "priv"]),
        ] {
            let built = root().join("_build/perf/lib").join(application);
            let copied = project.path("lib").join(application);
            std::fs::create_dir_all(&copied).unwrap();
            for part in parts {
                let mut copy = Command::new("cp");
                copy.args(["--recursive", "--dereference"]).arg(built.join(part)).arg(&copied);
                assert!(copy.status().unwrap().success());
            }
        }
        project.write("lib/plain/ebin/plain.erl", PLAIN_ADAPTER);
        let mut erlc = Command::new("erlc");
        erlc.current_dir(project.path("lib/plain/ebin")).arg("plain.erl");
        assert!(erlc.status().unwrap().success());
        project.write("perf/perf_gate.toml", SETTINGS);
        project.write("perf/policy_cp1.json", TWO_BLOCKS);
        project.write(".gitignore", "/lib/router_bench/\n/_build/\n/_artifacts/\n");
        project.git(&["init", "--quiet", "--initial-branch=main"]);
        project.git(&["add", "--all"]);
        project.git(&["commit", "--quiet", "--message=a router"]);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
        let mut git = Command::new("git");
        git.arg("-C").arg(self.directory.path()).args(identity).args(arguments);
        let output = git.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
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

    fn run(&self, arguments: &[&str]) -> Ended {
        Ended::from(self.gate(arguments).output().unwrap())
    }

    /// Starts a command, and waits until there is such a file.
    fn start(&self, arguments: &[&str], is_there: impl Fn() -> bool) -> Child {
        let mut command = self.gate(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !is_there() {
            assert_eq!(child.try_wait().unwrap(), None, "it ended on its own");
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }

    #[track_caller]
    fn is_stopped(&self, mut child: Child, name: &str, code: i32) {
        signal(&child, name).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(left_running(&self.path("_artifacts")).unwrap(), BTreeMap::new());
    }

    fn reports(&self) -> Vec<Report> {
        let files = named(&self.path("_artifacts"), "perf_baseline_");
        files.iter().map(|path| read_file(path).unwrap()).collect()
    }
}

/// The files whose name begins so, in its order.
fn named(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix));
    found.sort();
    found
}

#[test]
fn sessions_are_measured_under_the_load_that_the_first_one_found() {
    let project = Project::new();
    // The load is left open.
    let short = [&["sessions", "--sessions=2", "--pause-seconds=0", "--blocks=1"], &SHORT[..3]];
    let ended = project.run(&short.concat());
    let reports = project.reports();
    let commit = project.git(&["rev-parse", "HEAD"]);
    for report in &reports {
        assert_eq!(report.run.ct_exit_code, Some(0), "{}", ended.printed);
        assert_eq!(report.blocks.as_ref().unwrap().len(), 1);
        assert_eq!((report.git.commit.as_ref(), report.git.dirty), (Some(&commit), Some(false)));
    }
    let load = |report: &Report| {
        let Load { rate_per_second, concurrency, .. } = report.load.clone().unwrap();
        (rate_per_second, concurrency)
    };
    assert!(reports.windows(2).all(|pair| load(&pair[0]) == load(&pair[1])), "{}", ended.printed);
    // Whether a session is quiet enough for a baseline depends on the machine.
    match ended.code {
        Some(0) => {
            assert_eq!(reports.len(), 2);
            let (rate, concurrency) = load(&reports[0]);
            let load = format!("under the same load: --rate={rate} --concurrency={concurrency}\n");
            assert!(ended.printed.contains(&load), "{}", ended.printed);
            let (_, next) = ended.answer.split_once("\nnext:\n").unwrap();
            assert!(next.starts_with("perf-gate freeze \\\n  --session "), "{next}");
            for path in named(&project.path("_artifacts"), "perf_baseline_") {
                let path =
                    format!(" --session _artifacts/{} \\\n", path.file_name().unwrap().display());
                assert!(next.contains(&path), "{next}");
            }
        }
        Some(3) => {
            assert!(matches!(reports.len(), 1 | 2));
            let said = "no baseline can have this session\n_artifacts/perf_baseline_";
            assert!(ended.printed.contains(said), "{}", ended.printed);
        }
        _ => unreachable!("{}", ended.printed),
    }

    let faulty = project.run(&[&["sessions", "--adapter=no_such_adapter"], &SHORT[..]].concat());
    assert_eq!(faulty.code, Some(2), "{}", faulty.printed);
    project.write("lib/ref_router/ebin/changed", "");
    let dirty = project.run(&[&["sessions"], &SHORT[..]].concat());
    assert_eq!(dirty.code, Some(2), "{}", dirty.printed);
    assert!(dirty.printed.contains("has changes that no commit has"), "{}", dirty.printed);
    assert_eq!(project.reports().len(), reports.len(), "nor is anything measured");
}

/// The only document on standard output, in which a command answers.
fn answered(ended: &Ended, command: &str) -> Value {
    let schema = std::fs::read(root().join("perf/schemas/answer.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let document: Value = serde_json::from_str(&ended.answer).expect(&ended.printed);
    jsonschema::validator_for(&schema).unwrap().validate(&document).unwrap();
    document["answer"][command].clone()
}

#[test]
fn what_measures_answers_in_one_document_and_talks_elsewhere() {
    let project = Project::new();
    let examined = project.run(&["doctor", "--format=json"]);
    let found = answered(&examined, "doctor");
    assert!(found.as_array().unwrap().iter().all(|one| one["verdict"] != "wrong"), "{found}");
    let measured = project.run(&[&["bench", "--blocks=1", "--format=json"], &SHORT[..]].concat());
    let report = answered(&measured, "bench")["report"].as_str().unwrap().to_owned();
    assert!(project.path(&report).is_file(), "{report}");
    let sessions = ["sessions", "--sessions=1", "--blocks=1", "--format=json"];
    let sessions = project.run(&[&sessions, &SHORT[..]].concat());
    let answer = answered(&sessions, "sessions");
    let is_usable = answer["problems"].as_array().unwrap().is_empty();
    assert_eq!(sessions.code, Some(if is_usable { 0 } else { 3 }), "{answer}");
    assert_eq!(
        (answer.get("next").is_some(), answer["reports"].as_array().unwrap().len()),
        (is_usable, 1)
    );
}

#[test]
fn a_session_that_is_stopped_leaves_its_report_and_no_process() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let project = Project::new();
        let long = ["sessions", "--latency-ms=600000", "--rate=5000", "--concurrency=4"];
        let child = project.start(&long, || !project.reports().is_empty());
        project.is_stopped(child, name, code);
        let [report] = project.reports().try_into().unwrap();
        assert_eq!(report.run.status, Some(RunStatus::Unfinished));
        assert_eq!(report.run.ct_exit_code, Some(143));
    }
}

#[test]
fn a_proof_goes_on_where_it_was_stopped() {
    let project = Project::new();
    let prove =
        [&["prove", "--gates=1", "--planted-gates=0", "--directory=_artifacts/kept"], &SHORT[..]];
    let prove = prove.concat();
    let baseline = project.path("_artifacts/kept/baseline.json");
    let child = project.start(&prove, || baseline.exists());
    project.is_stopped(child, "TERM", 143);
    let verdicts = || named(&project.path("_artifacts/kept/same"), "perf_verdict_");
    assert_eq!(verdicts(), Vec::<PathBuf>::new(), "a gate that was stopped is none");
    let measured = std::fs::read(&baseline).unwrap();

    let ended = project.run(&prove);
    assert_eq!(ended.code, Some(0), "{}", ended.printed);
    assert!(ended.printed.contains("same 1 of 1: VERDICT: "), "{}", ended.printed);
    assert_eq!(verdicts().len(), 1);
    assert_eq!(std::fs::read(&baseline).unwrap(), measured, "measured once");
    let at_end =
        |printed: &str| printed[printed.rfind("_artifacts/kept/same\n").unwrap()..].to_owned();
    let tables = at_end(&ended.answer);
    assert!(tables.contains("\n1 gates, rates with 95 % intervals"), "{}", ended.printed);
    assert!(tables.contains("no gates drawn: 2 blocks measured"), "{}", ended.printed);

    let again = project.run(&prove);
    assert_eq!((again.code, at_end(&again.answer)), (Some(0), tables));
    assert!(!again.printed.contains("VERDICT"), "nothing is measured again: {}", again.printed);

    // What cannot be planted is said before anything is measured.
    let plain =
        project.run(&[&prove[..], &["--adapter=plain", "--gates=2", "--planted-gates=1"]].concat());
    assert_eq!(plain.code, Some(2), "{}", plain.printed);
    for said in ["p95_at_2: left out", "cannot be planted: ", "plant nothing: --planted-gates=0"] {
        assert!(plain.printed.contains(said), "`{said}` is not in:\n{}", plain.printed);
    }
    assert_eq!(verdicts().len(), 1);
}
