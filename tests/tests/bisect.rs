//! The search for a commit, in a repository that is made for it.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cp1_format::{Bisection, BisectionResult, Metric, read_file};
use cp1_pipeline_tests::{Ended, gate_binary, left_running, root, signal};

/// A router that spins, holds and fails as its commit says, and the adapter in the same application, so
/// that it comes with the commit.
const ADAPTER: &str = r"-module(tiny_adapter).
-behaviour(router_bench_adapter).
-export([init/1, request/2, route/2, counters/1, terminate/1]).
init(_) ->
    Held = case tiny:held_bytes() of
        0 -> none;
        Bytes -> binary:copy(<<0>>, Bytes)
    end,
    {ok, Held}.
request(N, _) -> N.
route(N, _) -> tiny:route(N).
counters(_) -> #{errors_total => 0, backpressure_active_total => 0}.
terminate(_) -> ok.
";

const APPLICATION: &str = r#"{application, tiny, [{description, "routes"}, {vsn, "1"},
  {modules, [tiny, tiny_adapter]}, {registered, []}, {applications, [kernel, stdlib]}]}.
"#;

/// What a commit of the router is.
#[derive(Debug, Clone, Copy)]
struct Router {
    /// Rounds that each request spins.
    rounds: u32,
    held_bytes: u64,
    /// What makes its code another one, and nothing else.
    revision: u32,
}

const QUICK: Router = Router { rounds: 100, held_bytes: 0, revision: 0 };

impl Router {
    fn source(self, remark: &str) -> String {
        let Self { rounds, held_bytes, revision } = self;
        format!(
            "-module(tiny).\n-export([route/1, held_bytes/0, revision/0]).\n%% {remark}\n\
             route(N) -> spin({rounds}, N).\nheld_bytes() -> {held_bytes}.\n\
             revision() -> {revision}.\n\
             spin(0, _) -> ok;\nspin(Left, N) -> spin(Left - 1, erlang:phash2({{Left, N}})).\n"
        )
    }
}

/// A project in a git repository.
struct Project {
    directory: tempfile::TempDir,
    commits: Vec<String>,
}

impl Project {
    /// With a first commit.
    fn new(policy: &str) -> Self {
        let mut project = Self { directory: tempfile::tempdir().unwrap(), commits: Vec::new() };
        project.git(&["init", "--quiet", "--initial-branch=main"]);
        project.write("src/tiny_adapter.erl", ADAPTER);
        project.write("src/tiny.app", APPLICATION);
        project.write("perf/policy_cp1.json", policy);
        project.write(".gitignore", "/ebin/\n/_artifacts/\n/_build/\n");
        project.commit(QUICK, "a router");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
        let mut git = Command::new("git");
        git.arg("-C").arg(self.directory.path()).args(identity).args(arguments);
        let output = git.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&mut self, router: Router, subject: &str) {
        self.write("src/tiny.erl", &router.source(subject));
        self.commit_all(subject);
    }

    fn commit_all(&mut self, subject: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", subject]);
        self.commits.push(self.git(&["rev-parse", "HEAD"]));
    }

    /// A commit that cannot be compiled, and after it the router as it was before.
    fn broken(&mut self, subject: &str) {
        self.write("src/tiny.erl", "-module(tiny).\nthis is no Erlang\n");
        self.commit_all(subject);
    }

    fn bisect(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(gate_binary());
        for (name, _) in std::env::vars() {
            if ["PERF_", "CI_", "GITHUB_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        let bench = root().canonicalize().unwrap().join("_build/perf/lib/router_bench/ebin");
        assert!(bench.is_dir(), "{} is not compiled", bench.display());
        command.current_dir(self.directory.path()).stdin(Stdio::null()).arg("bisect");
        command.arg("--adapter=tiny_adapter").arg(format!("--code-path=ebin:{}", bench.display()));
        command.arg("--build=mkdir -p ebin && cp src/tiny.app ebin && erlc -o ebin src/*.erl");
        command.env("ARTIFACTS_DIR", self.path("_artifacts")).args(arguments);
        command
    }

    /// What the only search left; `None` before it left anything.
    fn kept(&self) -> Option<Bisection> {
        let entries = std::fs::read_dir(self.path("_artifacts/bisect")).ok()?;
        let mut kept: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        kept.retain(|path| name_of(path).starts_with("perf_bisection_"));
        assert!(kept.len() <= 1, "{kept:?}");
        Some(read_file(kept.first()?).unwrap())
    }

    fn state(&self) -> Bisection {
        self.kept().unwrap()
    }

    fn is_as_it_was(&self, before: &str) {
        assert_eq!(self.git(&["status", "--porcelain=v2", "--branch"]), before);
        assert_eq!(self.git(&["worktree", "list"]).lines().count(), 1, "no work tree is left");
    }

    /// The commits that were found.
    fn found(&self) -> Vec<String> {
        let state = self.state();
        match state.result.unwrap() {
            BisectionResult::EndsAlike | BisectionResult::Undecided => Vec::new(),
            BisectionResult::Found { commits, .. } => {
                commits.into_iter().map(|index| state.commits[index].commit.clone()).collect()
            }
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// One limit, judged on two blocks: a change that is meant to be seen is many times as large.
const FEW_BLOCKS: &str = r#"{
  "version": "cp1",
  "rules": {"rps": {"relative": {"max_pct_decrease": 60}},
    "errors_total": {"absolute": {"equals": 0}},
    "backpressure_active_total": {"absolute": {"equals": 0}},
    "mem_mb_total_erlang": {"absolute": {"max": 10000}}},
  "decision": {"looks": [2], "false_alarm_pct": 49, "miss_pct": 49}
}
"#;

const SHORT: [&str; 5] =
    ["--warmup-ms=50", "--throughput-ms=200", "--latency-ms=200", "--rate=500", "--concurrency=2"];

/// Whether a commit was measured, and is kept.
fn is_measured(state: &Bisection) -> bool {
    state.commits.iter().any(|commit| !commit.changes.is_empty())
}

#[test]
fn the_commit_is_found_among_those_that_do_not_build_or_are_not_compiled() {
    let mut project = Project::new(FEW_BLOCKS);
    let slow = Router { rounds: 100_000, ..QUICK };
    project.commit(QUICK, "another remark, the same code");
    project.write("README.md", "words\n");
    project.commit_all("words");
    project.broken("does not build");
    project.commit(Router { revision: 1, ..QUICK }, "builds again");
    project.commit(slow, "makes it slow ${HOME} \u{1b}[31m");
    let culprit = project.commits.last().unwrap().clone();
    project.broken("does not build either");
    project.commit(Router { revision: 1, ..slow }, "another revision");
    project.commit(Router { revision: 2, ..slow }, "and another");
    project.write("changed.txt", "not committed");
    let good = project.commits[0].clone();
    let before = project.git(&["status", "--porcelain=v2", "--branch"]);
    let arguments: Vec<&str> =
        SHORT.into_iter().chain(["--good", &good, "--step-blocks=3"]).collect();

    // Interrupted, it leaves nothing behind.
    let mut bisect = project.bisect(&arguments);
    let mut child = bisect.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !project.kept().is_some_and(|state| is_measured(&state)) {
        assert_eq!(child.try_wait().unwrap(), None, "it ended on its own");
        std::thread::sleep(Duration::from_millis(20));
    }
    signal(&child, "TERM").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(left_running(&project.path("_artifacts")).unwrap(), BTreeMap::new());
    project.is_as_it_was(&before);
    let interrupted = project.state();
    assert!(interrupted.sought.is_some() && interrupted.result.is_none());

    // The same command goes on, and measures no block twice.
    let ended = Ended::from(project.bisect(&arguments).output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.printed);
    assert!(ended.printed.contains("going on with"), "{}", ended.printed);
    assert!(!ended.printed.contains("the ends:"), "they were measured: {}", ended.printed);
    assert_eq!(project.found(), [culprit.as_str()], "{}", ended.printed);
    let state = project.state();
    assert_eq!(state.sought, interrupted.sought);
    for (commit, before) in state.commits.iter().zip(&interrupted.commits) {
        assert!(commit.changes.starts_with(&before.changes), "{}", commit.subject);
    }
    assert_eq!(state.sought.as_ref().unwrap().metric, Metric::Rps);
    let words = &state.commits[1];
    assert!(!words.is_compiled && words.changes.is_empty() && words.skipped.is_none());
    assert!(state.commits[0].changes.is_empty(), "it runs the good end's code: {state:?}");
    let printed = &ended.printed;
    assert!(printed.contains(&format!("FOUND {}", &culprit[..12])), "{printed}");
    assert!(!printed.contains('\u{1b}'), "a commit's subject is never trusted");
    assert!(printed.contains("rps -"), "the step with its interval: {printed}");
    project.is_as_it_was(&before);

    // It says the same again, and measures nothing; as JSON too.
    let again = Ended::from(project.bisect(&arguments).output().unwrap());
    assert_eq!((again.code, &again.answer), (Some(0), &ended.answer));
    assert!(!again.printed.contains("step "), "{}", again.printed);
    let json = Ended::from(project.bisect(&arguments).arg("--format=json").output().unwrap());
    assert_eq!(
        cp1_format::parse::<Bisection>(Path::new("answer"), json.answer.as_bytes()).unwrap(),
        state
    );
}

#[test]
fn ends_that_run_the_same_code_blame_nobody() {
    let mut project = Project::new(FEW_BLOCKS);
    project.commit(QUICK, "a remark");
    project.commit(QUICK, "another remark");
    let good = project.commits[0].clone();
    let arguments: Vec<&str> = SHORT.into_iter().chain(["--good", &good]).collect();
    let ended = Ended::from(project.bisect(&arguments).output().unwrap());
    assert_eq!(ended.code, Some(3), "{}", ended.printed);
    assert!(ended.printed.contains("NOBODY"), "{}", ended.printed);
    assert!(project.found().is_empty());
}

#[test]
fn ends_without_the_time_to_compare_them_are_not_taken_to_be_alike() {
    let mut project = Project::new(&FEW_BLOCKS.replace("[2]", "[2, 100]"));
    project.commit(Router { revision: 1, ..QUICK }, "another revision");
    let good = project.commits[0].clone();
    let arguments: Vec<&str> =
        SHORT.into_iter().chain(["--good", &good, "--timeout-seconds=20"]).collect();
    let ended = Ended::from(project.bisect(&arguments).output().unwrap());
    // Two blocks of a busy machine may say anything but that.
    assert_ne!(ended.code, Some(3), "{}", ended.printed);
    let result = project.kept().and_then(|state| state.result);
    assert_ne!(result, Some(BisectionResult::EndsAlike), "{}", ended.printed);
}

#[test]
fn what_cannot_be_searched_is_said() {
    let mut project = Project::new(FEW_BLOCKS);
    project.commit(Router { rounds: 200, ..QUICK }, "more");
    let said = |arguments: &[&str]| {
        let ended = Ended::from(project.bisect(arguments).output().unwrap());
        assert_eq!(ended.code, Some(2), "{}", ended.printed);
        ended.printed
    };
    let (first, second) = (&project.commits[0], &project.commits[1]);
    assert!(said(&[]).contains("name it with --good"));
    assert!(said(&["--good", second, "--bad", first]).contains("is no ancestor of"));
    assert!(said(&["--good", second]).contains("there is no commit between"));
    assert!(said(&["--good", "nowhere"]).contains("does not have the revision nowhere"));
    assert!(said(&["--good", first, "--metric", "latency_p95_ms"]).contains("no relative limit"));
    assert!(said(&["--good", first, "--metric", "speed"]).contains("give one of latency_p95_ms"));
    assert!(said(&["--good", first, "--error-pct", "0"]).contains("from 0.01 to 50"));
}

/// Judged as this repository is, on as many blocks, under a load that is one of a small router.
#[test]
#[ignore = "a quarter of an hour of real measurement, whose outcome depends on the machine"]
fn each_of_three_real_searches_among_sixty_commits_finds_its_commit() {
    let policy = std::fs::read_to_string(root().join("perf/policy_cp1.json")).unwrap();
    let plain = Router { rounds: 8_000, ..QUICK };
    // 1.5 times the limit: 22.5 % of latency and of 13.5 MB, 15 % of throughput, which are 17.6 % of time.
    let planted = [
        (37, Metric::LatencyP95Ms, [300, 2_500], Router { rounds: 9_800, ..plain }),
        (12, Metric::MemMbTotalErlang, [300, 500], Router { held_bytes: 3_050_000, ..plain }),
        (50, Metric::Rps, [1_500, 300], Router { rounds: 9_412, ..plain }),
    ];
    let mut wrong = Vec::new();
    for (culprit, metric, [throughput_ms, latency_ms], worse) in planted {
        let mut project = Project::new(&policy);
        project.commit(plain, "the good end");
        let good = project.commits.last().unwrap().clone();
        for number in 1..=60 {
            let router = if number >= culprit { worse } else { plain };
            match number {
                5 | 23 | 36 | 55 => project.broken(&format!("{number} does not build")),
                8 | 30 | 44 => {
                    project.write("README.md", &format!("{number}\n"));
                    project.commit_all(&format!("{number} is words"));
                }
                _ => project.commit(Router { revision: number, ..router }, &format!("{number}")),
            }
        }
        let lengths =
            [format!("--throughput-ms={throughput_ms}"), format!("--latency-ms={latency_ms}")];
        let arguments = [
            &lengths[0],
            &lengths[1],
            "--warmup-ms=300",
            "--rate=800",
            "--concurrency=2",
            "--good",
            &good,
            "--metric",
            metric.name(),
        ];
        let begun = std::time::Instant::now();
        let ended = Ended::from(project.bisect(&arguments).output().unwrap());
        let state = project.state();
        let measured = state.commits.iter().filter(|commit| !commit.changes.is_empty()).count();
        let blocks: usize = state.commits.iter().map(|commit| commit.changes.len()).sum();
        let ends = state.sought.as_ref().map_or(0, |sought| sought.ends.len());
        println!(
            "{metric}: {measured} commits in {blocks} blocks and {ends} of the ends, {} s\n{}",
            begun.elapsed().as_secs(),
            ended.printed
        );
        let subjects = project.found();
        let is_right = state.commits.iter().any(|commit| {
            commit.subject == culprit.to_string() && subjects.contains(&commit.commit)
        });
        if !is_right {
            wrong.push((metric, ended.printed));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
