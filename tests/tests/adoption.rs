//! The gate in a project of strangers: `docs/adopt.md`, line by line, with the installed tool.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cp1_format::{Amount, Metric, Outcome, Report, Timestamp, Verdict, read_file, to_json};
use cp1_pipeline_tests::{Ended, TWO_BLOCKS, left_alone, root, surefire};

/// The router of a stranger: a table of its own, in a process of its own.
const ROUTER: &str = r#"-module(tiny).
-behaviour(application).
-export([start/2, stop/1, route/1]).
start(_, _) ->
    Owner = spawn_link(fun() ->
        ets:new(tiny, [named_table, public, {read_concurrency, true}]),
        receive stop -> ok end
    end),
    {ok, Owner}.
stop(_) -> ok.
route(Key) -> _ = ets:lookup(tiny, Key), ok.
"#;

const ROUTER_APP: &str = r#"{application, tiny, [{description, "routes"}, {vsn, "1"}, {modules, []},
  {registered, [tiny]}, {mod, {tiny, []}}, {applications, [kernel, stdlib]}]}.
"#;

/// Settings of a measurement of some seconds.
const SHORT: [&str; 5] = [
    "--warmup-ms=100",
    "--throughput-ms=300",
    "--latency-ms=2100",
    "--rate=10000",
    "--concurrency=4",
];

/// A project in a directory with a space, a comma and an umlaut in its name, and the installed
/// tool beside it.
struct Stranger {
    directory: tempfile::TempDir,
}

impl Stranger {
    fn new() -> Self {
        let stranger = Self { directory: tempfile::tempdir().unwrap() };
        let mut package = Command::new(root().join("scripts/package.sh"));
        let packed = Ended::from(package.arg(stranger.path("packed")).output().unwrap());
        assert_eq!(packed.code, Some(0), "{}", packed.printed);
        let [tarball] = files(&stranger.path("packed")).try_into().unwrap();
        std::fs::create_dir(stranger.path("prefix")).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--strip-components=1", "--file"]).arg(tarball);
        assert!(tar.arg("--directory").arg(stranger.path("prefix")).status().unwrap().success());
        assert!(stranger.path("prefix/share/man/man1/perf-gate-run.1").is_file());
        assert!(stranger.path("prefix/share/bash-completion/completions/perf-gate").is_file());
        stranger
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn project(&self) -> PathBuf {
        self.path("a b, ü")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.project().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.project().join(name)).unwrap()
    }

    /// The installed tool, in the project.
    fn gate(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(self.path("prefix/bin/perf-gate"));
        for (name, _) in std::env::vars() {
            if ["PERF_", "CI_", "GITHUB_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.current_dir(self.project()).stdin(Stdio::null()).args(arguments);
        Ended::from(command.output().unwrap())
    }

    /// A command that measures for some seconds.
    fn measure(&self, command: &str, further: &[&str]) -> Ended {
        self.gate(&[&[command], &SHORT[..], further].concat())
    }

    /// `rebar3 as perf ct` with the installed tool, measuring the frozen commit too.
    fn test_suite(&self) -> Ended {
        let mut rebar3 = Command::new("rebar3");
        for (name, _) in std::env::vars() {
            if ["PERF_", "CI_", "GITHUB_"].iter().any(|prefix| name.starts_with(prefix)) {
                rebar3.env_remove(name);
            }
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let with_tool = [self.path("prefix/bin")].into_iter().chain(std::env::split_paths(&path));
        rebar3.env("PATH", std::env::join_paths(with_tool).unwrap());
        rebar3.env("ERL_LIBS", self.path("prefix/lib")).env("PERF_COMPARE", "replay");
        for setting in SHORT {
            let (flag, value) = setting.trim_start_matches("--").split_once('=').unwrap();
            rebar3.env(format!("PERF_{}", flag.replace('-', "_").to_uppercase()), value);
        }
        rebar3.current_dir(self.project()).env("PWD", self.project()).args(["as", "perf", "ct"]);
        Ended::from(rebar3.stdin(Stdio::null()).output().unwrap())
    }

    fn git(&self, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
        let mut git = Command::new("git");
        git.arg("-C").arg(self.project()).args(identity).args(arguments);
        let output = git.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// The artifacts whose name begins so.
    fn artifacts(&self, prefix: &str) -> Vec<PathBuf> {
        let mut found = files(&self.project().join("_artifacts"));
        found.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix));
        found
    }

    /// The installed module of this name.
    fn beams(&self, module: &str) -> Vec<PathBuf> {
        let libraries = files(&self.path("prefix/lib")).into_iter();
        let modules = libraries.flat_map(|library| files(&library.join("ebin")));
        modules.filter(|path| path.file_stem().is_some_and(|stem| stem == module)).collect()
    }

    fn forget_artifacts(&self) {
        std::fs::remove_dir_all(self.project().join("_artifacts")).unwrap();
    }

    /// What the gate says of the only replay, had the machine not been busy with something else.
    fn judged_as_on_a_quiet_machine(&self) -> Verdict {
        let [replay] = self.artifacts("perf_replay_").try_into().unwrap();
        let [candidate] = self.artifacts("perf_baseline_").try_into().unwrap();
        for path in [&replay, &candidate] {
            let mut report: Report = read_file(path).unwrap();
            left_alone(&mut report);
            std::fs::write(path, to_json(&report).unwrap()).unwrap();
        }
        let files = [
            "check",
            "--baseline=perf/baseline_cp1.json",
            "--policy=perf/policy_cp1.json",
            "--artifacts=judged",
            "--label=quiet",
        ];
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let (replay, candidate) = (text(&replay), text(&candidate));
        self.gate(&[&files[..], &["--replay", &replay, "--candidate", &candidate]].concat());
        let verdict = read_file(&self.project().join("judged/perf_verdict_quiet.json")).unwrap();
        std::fs::remove_dir_all(self.project().join("judged")).unwrap();
        verdict
    }
}

/// What is in a directory, by name; nothing where there is none.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// A session of seven blocks out of a measured one, as a quiet machine would have it.
fn session(measured: &Report, hour: u32) -> Report {
    let mut report = measured.clone();
    left_alone(&mut report);
    (report.series, report.accounting, report.pairing) = (None, None, None);
    report.timestamp = Timestamp::parse(&format!("2026-01-31T{hour}:00:00Z")).unwrap();
    let block = report.blocks.take().unwrap().remove(0);
    let numbered = (1..=7).map(|number| {
        let mut block = block.clone();
        block.block = number;
        block
    });
    report.blocks = Some(numbered.collect());
    report.load.as_mut().unwrap().blocks = 7;
    report
}

/// A compiled module that says that it needs instructions of an emulator of later days.
fn of_a_newer_emulator(compiled: &[u8]) -> Vec<u8> {
    let chunk = compiled.windows(4).position(|name| name == b"Code").unwrap();
    // After the name: the sizes of chunk and header, the format, the highest instruction.
    let highest = chunk + 16;
    let mut newer = compiled.to_vec();
    newer[highest..highest + 4].copy_from_slice(&1000_u32.to_be_bytes());
    newer
}

fn serves_a_fifth_less(report: &mut Report) {
    for block in report.blocks.iter_mut().flatten() {
        let closed = &mut block.throughput;
        for duration in &mut closed.slices.duration_ns {
            *duration = *duration / 4 * 5;
        }
        closed.duration_ns = closed.slices.duration_ns.iter().sum();
        let served = block.metrics.0[&Metric::Rps].approximate() * 0.8;
        let served = Amount::parse(&format!("{served:.3}")).unwrap();
        block.metrics.0.insert(Metric::Rps, served.clone());
        // All blocks of a session are alike.
        report.metrics.0.insert(Metric::Rps, served);
    }
}

/// Compiles what has changed nothing: two applications, of which the frozen tree has but one.
const MAKEFILE: &str = "all:\n\
\tfor d in . perf/adapter; do [ ! -d $$d/src ] || ( cd $$d && mkdir -p ebin && \
erlc -o ebin src/*.erl && for a in src/*.app.src; do \
cp $$a ebin/$$(basename $$a .src); done ); done\n";

#[test]
fn a_project_without_rebar3_is_built_by_its_own_command_its_frozen_commit_too() {
    let stranger = Stranger::new();
    stranger.write("src/tiny.app.src", ROUTER_APP);
    stranger.write("src/tiny.erl", ROUTER);
    stranger.write("Makefile", MAKEFILE);
    stranger.git(&["init", "--quiet", "--initial-branch=main"]);
    let taken = stranger.gate(&["init"]);
    assert!(taken.printed.contains("name its build and code_path"), "{}", taken.printed);
    let settings = stranger.text("perf/perf_gate.toml");
    let settings =
        settings.replace("# build = ", "build = ").replace("# code_path = ", "code_path = ");
    assert!(settings.contains("\nbuild = \"make\"\ncode_path = ["), "{settings}");
    stranger.write("perf/perf_gate.toml", &settings);
    let adapter = "perf/adapter/src/tiny_perf_adapter.erl";
    let written = stranger.text(adapter).replace("route(_Request, _State)", "route(Key, _State)");
    stranger.write(adapter, &written.replace("{error, not_written_yet}", "tiny:route(Key)"));
    stranger.write("perf/policy_cp1.json", TWO_BLOCKS);
    stranger.write(".gitignore", "/_build/\n/_artifacts/\nebin/\n");
    stranger.commit("the adapter");
    let measured = stranger.measure("bench", &["--blocks=1"]);
    assert_eq!(measured.code, Some(0), "{}", measured.printed);
    let [path] = stranger.artifacts("perf_baseline_").try_into().unwrap();
    std::fs::rename(path, stranger.project().join("perf/baseline_cp1.json")).unwrap();
    let ended = stranger.measure("run", &["--compare=replay"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{}", ended.printed);
    assert!(ended.printed.contains("judged on 2 blocks"), "{}", ended.printed);
}

/// A project that has the bench as a dependency, in some way.
fn depends(way: &str) {
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path();
    let repository = root().canonicalize().unwrap();
    let shown = repository.display();
    let config = match way {
        "git" => format!(
            "{{deps, [{{router_bench, {{git, \"file://{shown}\", {{ref, \"HEAD\"}}}}}}]}}.\n"
        ),
        "_checkouts" => "{deps, [router_bench]}.\n".to_owned(),
        _ => format!("{{project_app_dirs, [\".\", \"{shown}\"]}}.\n"),
    };
    std::fs::create_dir_all(project.join("src")).unwrap();
    std::fs::create_dir_all(project.join("_checkouts")).unwrap();
    if way == "_checkouts" {
        std::os::unix::fs::symlink(&repository, project.join("_checkouts/router_bench")).unwrap();
    }
    std::fs::write(project.join("rebar.config"), config).unwrap();
    std::fs::write(project.join("src/tiny.app.src"), ROUTER_APP).unwrap();
    std::fs::write(project.join("src/tiny.erl"), ROUTER).unwrap();
    let mut rebar3 = Command::new("rebar3");
    rebar3.current_dir(project).arg("compile").stdin(Stdio::null());
    if way == "git" {
        // A clone builds on its own; what it builds is not measured here.
        rebar3.env("CARGO_TARGET_DIR", directory.path().join("target"));
        rebar3.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        rebar3.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    }
    let ended = Ended::from(rebar3.output().unwrap());
    assert_eq!(ended.code, Some(0), "{way}: {}", ended.printed);
    let parent =
        if way == "_checkouts" { "_build/default/checkouts" } else { "_build/default/lib" };
    let bench = project.join(parent).join("router_bench");
    let mut erl = Command::new("erl");
    erl.args(["-noshell", "-pa"])
        .arg(bench.join("ebin"))
        .args(["-eval", "io:put_chars(maps:get(profile, router_bench_nif:info())), halt()."]);
    let loaded = Ended::from(erl.output().unwrap());
    assert_eq!((loaded.code, loaded.printed.as_str()), (Some(0), "release"), "{way}");
    let gate = Command::new(bench.join("priv/perf-gate")).arg("--version").output().unwrap();
    assert!(gate.status.success(), "{way}: the gate comes with it");
}

#[test]
fn the_bench_is_a_dependency_from_git() {
    depends("git");
}

#[test]
fn the_bench_is_a_dependency_in_checkouts() {
    depends("_checkouts");
}

#[test]
fn the_bench_is_an_application_at_a_path() {
    depends("path");
}

#[test]
fn a_strangers_router_is_adopted_frozen_and_guarded() {
    let stranger = Stranger::new();
    stranger.write("rebar.config", "%% ours\n{erl_opts, [debug_info, warnings_as_errors]}.\n");
    stranger.write("src/tiny.app.src", ROUTER_APP);
    stranger.write("src/tiny.erl", ROUTER);
    stranger.git(&["init", "--quiet", "--initial-branch=main"]);
    stranger.commit("a router");

    // Take it to the project.
    let shown = stranger.gate(&["init", "--ci=gitlab", "--show"]);
    assert_eq!((shown.code, stranger.git(&["status", "--porcelain"])), (Some(0), String::new()));
    let taken = stranger.gate(&["init", "--ci=gitlab"]);
    assert_eq!(taken.code, Some(0), "{}", taken.printed);
    assert!(stranger.text("rebar.config").starts_with("%% ours\n{erl_opts, "));
    assert!(stranger.text("perf/policy_cp1.json").contains("\"not_offered\": []"));
    stranger.commit("the gate");
    let again = stranger.gate(&["init", "--ci=gitlab"]);
    assert_eq!((again.code, stranger.git(&["status", "--porcelain"])), (Some(0), String::new()));

    // The skeleton compiles, and says what is missing.
    let first = stranger.measure("bench", &["--blocks=1"]);
    assert_eq!(first.code, Some(0), "{}", first.printed);
    assert!(first.printed.contains("not_written_yet"), "{}", first.printed);
    stranger.forget_artifacts();
    let sick = stranger.gate(&["doctor"]);
    assert_eq!(sick.code, Some(1), "{}", sick.printed);
    let said = "WRONG  10 of 10 requests ended with error, the first with {error, not_written_yet}";
    assert!(sick.printed.contains(said), "{}", sick.printed);

    let adapter = "perf/adapter/src/tiny_perf_adapter.erl";
    let skeleton = stranger.text(adapter);
    let written = skeleton.replace("route(_Request, _State)", "route(Key, _State)");
    stranger.write(adapter, &written.replace("{error, not_written_yet}", "tiny:route(Key)"));
    stranger.write("perf/policy_cp1.json", TWO_BLOCKS);
    stranger.commit("the adapter");
    let well = stranger.gate(&["doctor"]);
    assert_eq!(well.code, Some(0), "{}", well.printed);
    assert!(well.printed.contains("fine   10 of 10 requests succeeded"), "{}", well.printed);
    let none = stranger.measure("run", &[]);
    assert_eq!(none.code, Some(2), "{}", none.printed);
    assert!(none.printed.contains("no baseline yet"), "{}", none.printed);
    assert!(none.printed.contains("perf-gate freeze"), "{}", none.printed);
    stranger.forget_artifacts();

    // A bench that a newer Erlang/OTP compiled is refused in words.
    let [beam] = stranger.beams("router_bench_conductor").try_into().unwrap();
    let compiled = std::fs::read(&beam).unwrap();
    std::fs::write(&beam, of_a_newer_emulator(&compiled)).unwrap();
    let refused = stranger.gate(&["doctor"]);
    std::fs::write(&beam, compiled).unwrap();
    assert_eq!(refused.code, Some(2), "{}", refused.printed);
    assert!(refused.printed.contains("it was compiled by a newer one"), "{}", refused.printed);

    // Freeze.
    let measured = stranger.measure("bench", &["--blocks=1"]);
    assert_eq!(measured.code, Some(0), "{}", measured.printed);
    let [path] = stranger.artifacts("perf_baseline_").try_into().unwrap();
    let report: Report = read_file(&path).unwrap();
    assert_eq!(report.git.dirty, Some(false), "what was measured is a commit");
    assert_eq!(report.git.commit.as_deref(), Some(stranger.git(&["rev-parse", "HEAD"]).as_str()));
    for hour in 10..13 {
        let file = format!("../s{hour}.json");
        std::fs::write(stranger.project().join(file), to_json(&session(&report, hour)).unwrap())
            .unwrap();
    }
    let answers = [
        "--what=The first baseline of this router, measured on its own machine.",
        "--why-acceptable=These are the figures that it has had in production since last year.",
        "--why-policy-holds=Its limits are relative, so they mean the same on these figures.",
        "--artifact=https://ci.example.org/jobs/17/artifacts",
        "--session=../s10.json",
        "--session=../s11.json",
        "--session=../s12.json",
    ];
    let frozen = stranger.gate(&[&["freeze"], &answers[..]].concat());
    assert_eq!(frozen.code, Some(0), "{}", frozen.printed);
    stranger.forget_artifacts();
    stranger.commit("freeze");
    let kept = stranger.gate(&["verify"]);
    assert_eq!(kept.code, Some(0), "{}", kept.printed);

    // Measured beside the frozen commit. What the verdict is depends on the machine.
    let replay = ["--compare=replay"];
    let ended = stranger.measure("run", &replay);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{}", ended.printed);
    assert!(ended.printed.contains("judged on 2 blocks"), "{}", ended.printed);
    stranger.forget_artifacts();

    // The same as a test suite.
    let ended = stranger.test_suite();
    let [path] = stranger.artifacts("perf_verdict_").try_into().expect(&ended.printed);
    let verdict: Verdict = read_file(&path).unwrap();
    let cases =
        surefire(&stranger.project().join("_build/perf+test/logs/last/junit_report.xml")).unwrap();
    let names: Vec<_> = cases.iter().map(|(name, _)| name.as_str()).collect();
    let rules = ["rps", "mem_mb_total_erlang", "errors_total", "backpressure_active_total"];
    assert_eq!(names, [&["verdict"], &rules[..]].concat(), "{}", ended.printed);
    assert_eq!(cases[0].1.is_none(), verdict.outcome == Outcome::Pass, "{cases:?}");
    assert_eq!(ended.code == Some(0), verdict.outcome == Outcome::Pass, "{}", ended.printed);
    stranger.forget_artifacts();

    // A change that makes each request far slower is stopped.
    let slower = ROUTER.replace("ok.\n", "timer:sleep(20).\n");
    assert_ne!(slower, ROUTER);
    stranger
        .write("src/tiny.erl", &slower.replace("stop(_) -> timer:sleep(20).", "stop(_) -> ok."));
    stranger.commit("more work for each request");
    let ended =
        stranger.measure("run", &[&replay[..], &["--rate=1000", "--latency-ms=1000"]].concat());
    assert!(matches!(ended.code, Some(1 | 3)), "{}", ended.printed);
    assert_eq!(stranger.judged_as_on_a_quiet_machine().outcome, Outcome::Regression);

    // Accepted in the open, with a record, and taken back with another.
    let first = stranger.git(&["rev-parse", "HEAD:perf/baseline_cp1.json"]);
    let mut report = report;
    report.git.commit = Some(stranger.git(&["rev-parse", "HEAD"]));
    report.git.tree = Some(stranger.git(&["rev-parse", "HEAD^{tree}"]));
    serves_a_fifth_less(&mut report);
    let mut sessions = Vec::new();
    for hour in 14..17 {
        let file = format!("../s{hour}.json");
        let text = to_json(&session(&report, hour)).unwrap();
        std::fs::write(stranger.project().join(&file), text).unwrap();
        sessions.push(format!("--session={file}"));
    }
    let sessions: Vec<&str> = sessions.iter().map(String::as_str).collect();
    stranger.forget_artifacts();
    let answers = &answers[..4];
    let moved = stranger.gate(&[&["bump", "--reason=trade-off"], answers, &sessions].concat());
    assert_eq!(moved.code, Some(0), "{}", moved.printed);
    stranger.commit("bump");
    let second = stranger.git(&["rev-parse", "HEAD:perf/baseline_cp1.json"]);
    assert_ne!(first, second);
    let back = stranger.gate(&[&["rollback", "0001"], answers].concat());
    assert_eq!(back.code, Some(0), "{}", back.printed);
    stranger.commit("rollback");
    assert_eq!(first, stranger.git(&["rev-parse", "HEAD:perf/baseline_cp1.json"]));
    let kept = stranger.gate(&["verify", "--against=HEAD~2"]);
    assert_eq!(kept.code, Some(0), "{}", kept.printed);

    // Nor does a change of the frozen file help it.
    let baseline = stranger.text("perf/baseline_cp1.json");
    stranger.write("perf/baseline_cp1.json", &baseline.replacen("\"rps\": ", "\"rps\": 1", 1));
    let broken = stranger.gate(&["verify"]);
    assert_eq!(broken.code, Some(1), "{}", broken.printed);
}
