//! The bench and the gate together, through `scripts/perf_gate.sh`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cp1_format::{Block, Metric, Outcome, Report, RunStatus, Session, read_file, to_json};
use cp1_pipeline_tests::{
    BENCH, Ended, MINIMAL, PEER, TWO_BLOCKS, Workplace, gate_binary, kill_beam, left_running, root,
    signal, surefire, violated,
};

#[test]
fn a_machine_that_the_baseline_does_not_know_replays_its_commit() {
    let workplace = Workplace::new().unwrap();
    let mut baseline: Report = read_file(&root().join("perf/baseline_cp1.json")).unwrap();
    baseline.env.cpu_model = Some("a processor that nobody has".to_owned());
    std::fs::write(workplace.path("baseline.json"), to_json(&baseline).unwrap()).unwrap();
    std::fs::write(workplace.path("policy.json"), TWO_BLOCKS).unwrap();
    let replay = |fault: &str| {
        let mut command = workplace.perf_gate();
        command.env_remove("PERF_COMPARE").env_remove("PERF_BLOCKS").env("PERF_FAULT", fault);
        if fault.is_empty() {
            quick(&mut command);
        }
        workplace.run(&mut command).unwrap()
    };
    let ended = replay("");
    if !has_commit(&baseline.git.commit.unwrap()) {
        assert_eq!(ended.code, Some(2), "{}", ended.printed);
        assert!(ended.printed.contains("git fetch"), "how to deepen: {}", ended.printed);
        return;
    }
    // What the verdict of a real measurement is depends on the machine; the way to it does not.
    assert!(ended.printed.contains("judged on 2 blocks"), "{}", ended.printed);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{}", ended.printed);
    let frozen = workplace.as_on_a_quiet_machine("perf_replay_").unwrap();
    let candidate = workplace.as_on_a_quiet_machine("perf_baseline_").unwrap();

    // The policy of this repository can fail, on a candidate that was measured just now.
    let mut gate = Command::new(gate_binary());
    gate.arg("selftest").arg("--baseline").arg(frozen).arg("--candidate").arg(candidate);
    gate.arg("--policy").arg(root().join("perf/policy_cp1.json"));
    let ended = workplace.run(&mut gate).unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.printed);
    assert_eq!(ended.printed.lines().filter(|line| line.ends_with("red")).count(), 6);

    std::fs::remove_dir_all(workplace.path("artifacts")).unwrap();
    replay("delay_us=20000");
    let (ended, verdict) = workplace.judged_as_on_a_quiet_machine().unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.printed);
    assert_eq!(violated(&verdict), [Metric::Rps], "{}", ended.printed);
}

fn is_disturbed(block: &Block) -> bool {
    block.disturbed.as_ref().is_some_and(|reasons| !reasons.is_empty())
}

/// As many requests in less time, of a router that has no delay planted.
fn quick(command: &mut Command) -> &mut Command {
    command.env("PERF_RATE", "10000").env("PERF_LATENCY_MS", "2100")
}

/// Whether this clone is deep enough.
fn has_commit(commit: &str) -> bool {
    let object = format!("{commit}^{{commit}}");
    let mut git = Command::new("git");
    let asked = git.arg("-C").arg(root()).args(["cat-file", "-e", &object]).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

/// Traffic that a node makes for itself, watched by two calls in its code, and what the gate says of it.
#[test]
fn traffic_that_a_node_has_is_watched_and_judged_against_its_like_alone() {
    let workplace = Workplace::new().unwrap();
    let mut build = Command::new("rebar3");
    let built = workplace.run(build.arg("compile").current_dir(root())).unwrap();
    assert_eq!(built.code, Some(0), "{}", built.printed);
    let ebin = root().join("_build/default/lib/router_bench/ebin");
    let watch = |name: &str| {
        let script = format!(
            r#"Route = fun(Again) ->
                   Mark = router_bench_mark:started(),
                   ok = router_bench_mark:ended(Mark, lists:nth(1, [ok, Mark])),
                   Again(Again)
               end,
               [spawn(fun() -> Route(Route) end) || _ <- [1, 2]],
               {{ok, _}} = router_bench:watch(#{{calls => true, blocks => 2, window_ms => 1500,
                   commit => <<"0123456789012345678901234567890123456789">>,
                   report_file => {:?}}}),
               halt(0)."#,
            workplace.path(name)
        );
        let mut erl = Command::new("erl");
        erl.args(["-noinput", "-pa"]).arg(&ebin).args(["-eval", &script]);
        let ended = workplace.run(&mut erl).unwrap();
        assert_eq!(ended.code, Some(0), "{}", ended.printed);
        for said in ["window 2 of 2: ", "ns a request: ", "traffic of the node's own"] {
            assert!(ended.printed.contains(said), "{}", ended.printed);
        }
    };
    watch("watched.json");
    watch("candidate.json");
    let policy = r#"{"version": "cp1", "rules": {
        "latency_p99_ms": {"absolute": {"max": 1000}},
        "mem_mb_total_erlang": {"relative": {"max_pct_increase": 300}}},
      "gate": {"require_candidate_ct_exit_code_zero": false, "require_all_metrics_present": false,
        "allow_attached": true, "not_offered": ["errors_total", "backpressure_active_total"]}}"#;
    std::fs::write(workplace.path("policy.json"), policy).unwrap();
    std::fs::write(workplace.path("load.json"), MINIMAL).unwrap();
    let judged = |baseline: &str| {
        let mut gate = Command::new(gate_binary());
        gate.args(["check", "--explain"]);
        for (flag, name) in [
            ("--baseline", baseline),
            ("--candidate", "candidate.json"),
            ("--policy", "policy.json"),
        ] {
            gate.arg(flag).arg(workplace.path(name));
        }
        workplace.run(&mut gate).unwrap()
    };
    // What the verdict of a real measurement is depends on the machine; the way to it does not.
    let ended = judged("watched.json");
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{}", ended.printed);
    assert!(ended.printed.contains("coordinated omission"), "{}", ended.printed);
    assert!(ended.printed.contains("recording cost the node"), "{}", ended.printed);
    let ended = judged("load.json");
    assert_eq!(ended.code, Some(4), "{}", ended.printed);
    assert!(ended.printed.contains("watched.source"), "{}", ended.printed);
}

#[test]
fn the_baselines_own_machine_is_judged_against_its_blocks_if_its_sessions_agree() {
    let workplace = Workplace::new().unwrap();
    std::fs::write(workplace.path("policy.json"), TWO_BLOCKS).unwrap();
    workplace.run(quick(&mut workplace.bench())).unwrap();
    // As if three sessions had measured the same block: they agree on whatever machine this is. How
    // freezing makes sessions stands in the gate's own tests.
    let path = workplace.only("perf_baseline_").unwrap();
    let measured: Report = read_file(&path).unwrap();
    let baseline = three_sessions(measured);
    std::fs::write(workplace.path("baseline.json"), to_json(&baseline).unwrap()).unwrap();
    std::fs::remove_dir_all(workplace.path("artifacts")).unwrap();

    let mut auto = workplace.perf_gate();
    quick(&mut auto).env_remove("PERF_COMPARE").env_remove("PERF_BLOCKS");
    let ended = workplace.run(&mut auto).unwrap();
    assert!(ended.printed.contains("judged on 2 blocks"), "{}", ended.printed);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{}", ended.printed);
    workplace.only("perf_replay_").unwrap_err();
}

/// Three sessions of the report's only block.
fn three_sessions(mut report: Report) -> Report {
    let blocks = report.blocks.take().unwrap_or_default();
    let numbered = |number: u32| {
        blocks.iter().cloned().map(move |mut block| {
            block.block = number;
            block
        })
    };
    report.blocks = Some((1..=3).flat_map(numbered).collect());
    let session = Session { timestamp: report.timestamp.clone(), blocks: 1 };
    report.sessions = Some(vec![session; 3]);
    // Of the three blocks together the bench would say more than this test needs.
    (report.histograms, report.series, report.accounting) = (None, None, None);
    if let Some(load) = &mut report.load {
        load.blocks = 3;
    }
    report
}

#[test]
fn each_planted_fault_turns_exactly_the_metric_it_hits_red() {
    let workplace = Workplace::new().unwrap();
    let none = workplace.run(&mut workplace.perf_gate()).unwrap();
    assert_eq!(none.code, Some(2), "without a baseline nothing passes: {}", none.printed);
    assert!(none.printed.contains("there is no baseline yet"), "{}", none.printed);
    assert!(workplace.only("perf_baseline_").is_err(), "nor is anything measured");
    std::fs::remove_dir_all(workplace.path("artifacts")).unwrap();
    let first = workplace.freeze().unwrap();
    assert_eq!(first.code, Some(0), "{}", first.printed);
    assert!(first.printed.contains("report: "), "{}", first.printed);

    let planted: [(&str, &[Metric]); 4] = [
        ("delay_us=20000", &[Metric::LatencyP95Ms, Metric::LatencyP99Ms, Metric::Rps]),
        ("error_ratio=0.05", &[Metric::ErrorsTotal]),
        ("leak_bytes=2000", &[Metric::MemMbTotalErlang]),
        ("backpressure=1", &[Metric::BackpressureActiveTotal]),
    ];
    for (fault, hit) in planted {
        let ended = workplace.run(workplace.perf_gate().env("PERF_FAULT", fault)).unwrap();
        assert!(matches!(ended.code, Some(1 | 3)), "{fault}: {}", ended.printed);
        let (ended, verdict) = workplace.judged_as_on_a_quiet_machine().unwrap();
        assert_eq!(ended.code, Some(1), "{fault}: {}", ended.printed);
        assert_eq!(verdict.outcome, Outcome::Regression, "{fault}");
        assert_eq!(violated(&verdict), hit, "{fault}: {}", ended.printed);
        let report = workplace.report().unwrap();
        assert_eq!(report.run.planted_fault.as_deref(), Some(fault), "the report says so");
        assert!(ended.printed.contains(fault), "the verdict says so: {}", ended.printed);
        std::fs::remove_dir_all(workplace.path("artifacts")).unwrap();
    }

    let ended = workplace.run(&mut workplace.perf_gate()).unwrap();
    let report = workplace.report().unwrap();
    // On a machine that is busy with something else the generator may be late, or every block
    // disturbed, and the verdict says so.
    let passes = match (report.run.status, report.blocks.iter().flatten().all(is_disturbed)) {
        (Some(RunStatus::Complete), false) => Some(0),
        _ => Some(3),
    };
    assert_eq!(ended.code, passes, "an unplanted run passes: {}", ended.printed);
    let accounting = report.accounting.unwrap();
    for outcomes in [accounting.throughput, accounting.latency] {
        assert!(outcomes.offered > 0);
        assert_eq!(outcomes.offered, outcomes.ok, "every request is accounted for");
    }
    assert_eq!(report.run.ct_exit_code, Some(0));
    assert_eq!(report.run.planted_fault, None);
    for artifact in ["perf_gate_", "perf_report_", "perf_summary_", "perf_verdict_"] {
        workplace.only(artifact).unwrap();
    }

    // The shell does not expand a pattern in an assignment; the gate does. The newest is judged.
    let mut again = workplace.perf_gate();
    again.env("CANDIDATE_FILE", "artifacts/perf_baseline_*.json").env("ARTIFACTS_DIR", "again");
    let ended = workplace.run(&mut again).unwrap();
    assert_eq!(ended.code, passes, "{}", ended.printed);
}

#[test]
fn a_router_that_crashes_leaves_a_report_that_is_invalid() {
    let workplace = Workplace::with_baseline().unwrap();
    let mut crash = workplace.perf_gate();
    let ended = workplace.run(crash.env("PERF_FAULT", "crash_after=1000")).unwrap();
    assert_eq!(ended.code, Some(2), "{}", ended.printed);
    let report = workplace.report().unwrap();
    assert_eq!(report.run.status, Some(RunStatus::Failed));
    assert_ne!(report.run.ct_exit_code, Some(0), "the test run failed, and the report says so");
    assert!(report.run.reason.unwrap().contains("the router's process ref_router_"));
    assert!(ended.printed.contains("the router's process ref_router_"), "{}", ended.printed);
    // Without a verdict there is no 1 either.
    let ended = workplace.run(workplace.bench().env("PERF_FAULT", "crash_after=1000")).unwrap();
    assert_eq!(ended.code, Some(2), "{}", ended.printed);
}

#[test]
fn a_killed_beam_leaves_a_report_that_is_invalid_and_is_told_as_killed() {
    for (sign, status, said) in [
        (PEER, RunStatus::Failed, "killed"),
        (BENCH, RunStatus::Unfinished, "erl ended with signal: 9 (SIGKILL)"),
    ] {
        let workplace = Workplace::with_baseline().unwrap();
        let artifacts = workplace.path("artifacts");
        let child = in_its_first_block(&workplace, &artifacts);
        kill_beam(&artifacts, sign).unwrap();
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(2), "{}", ended.printed);
        assert!(ended.printed.contains(said), "{}", ended.printed);
        assert!(ended.printed.contains("where memory runs out"), "{}", ended.printed);
        assert_eq!(workplace.report().unwrap().run.status, Some(status));
        assert_eq!(workplace.verdict().unwrap().outcome, Outcome::Invalid);
        assert_eq!(left_running(&artifacts).unwrap(), BTreeMap::new());
    }
}

/// What stands on a terminal after this was printed on it.
fn screen(printed: &[u8]) -> vt100::Parser {
    let mut terminal = vt100::Parser::new(500, 80, 0);
    terminal.process(printed);
    terminal
}

#[test]
fn on_a_terminal_one_line_is_rewritten_and_the_verdict_alone_remains() {
    let workplace = Workplace::with_baseline().unwrap();
    // The scripts have built the gate that is called here without them.
    let built = workplace.run(workplace.perf_gate().arg("--help")).unwrap();
    assert_eq!(built.code, Some(0), "{}", built.printed);
    let output = workplace.on_a_terminal("").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(matches!(output.status.code(), Some(0..=4)), "{text}");
    for drawn in ["building router and bench, ", "block 1/1 boot", "block 1/1 open loop, 10 s left"]
    {
        assert!(text.contains(drawn), "`{drawn}` is not in:\n{text:?}");
        let before = text.split(drawn).next().unwrap();
        assert!(screen(before.as_bytes()).screen().contents().lines().count() <= 1, "{before:?}");
    }
    let terminal = screen(&output.stdout);
    let left = terminal.screen().contents();
    assert!(left.starts_with("CP1 performance gate\n"), "{left}");
    assert!(left.contains("\nVERDICT: ") && !left.contains("block 1/1"), "{left}");
    assert!(
        !terminal.screen().hide_cursor() && terminal.screen().cursor_position().1 == 0,
        "{text:?}"
    );
    let log = std::fs::read_to_string(workplace.only("perf_gate_").unwrap()).unwrap();
    assert!(!log.contains('\u{1b}'), "{log:?}");

    // Nor does anything remain of a build that fails, but what it said.
    let failed = workplace.on_a_terminal("--build='echo so; false'").output().unwrap();
    assert_eq!(failed.status.code(), Some(2));
    let left = screen(&failed.stdout).screen().contents();
    assert!(left.starts_with("so\nperf-gate: failed to build"), "{left}");
}

#[test]
fn a_log_has_a_line_for_each_step_and_a_quiet_one_the_verdict() {
    let workplace = Workplace::with_baseline().unwrap();
    let told = workplace.run(&mut workplace.perf_gate()).unwrap().printed;
    let steps = ["building router and bench: ", "trying the counters", "block 1 of 1: rps "];
    let places: Vec<_> = steps.iter().map(|step| told.find(step)).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{places:?} of {steps:?} in:\n{told}");
    // What rebar3 prints has its colors.
    assert!(!told.contains('\r') && !told.contains("\u{1b}[2K"), "{told:?}");

    std::fs::remove_dir_all(workplace.path("artifacts")).unwrap();
    let mut quiet = Command::new(gate_binary());
    quiet.args(["run", "--quiet", "--project"]).arg(root());
    for (name, value) in workplace.perf_gate().get_envs() {
        quiet.env(name, value.unwrap_or_default());
    }
    quiet.current_dir(workplace.path("")).stdin(Stdio::null());
    let told = workplace.run(&mut quiet).unwrap().printed;
    assert!(told.starts_with("CP1 performance gate\n"), "{told}");
    assert!(told.contains("\nVERDICT: "), "{told}");
}

/// A gate that is measuring, for longer than any test.
#[allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
fn in_its_first_block(workplace: &Workplace, artifacts: &Path) -> Child {
    let mut command = workplace.perf_gate();
    command.env("ARTIFACTS_DIR", artifacts).env("PERF_LATENCY_MS", "600000");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The report appears when the first block begins.
    while workplace.only("perf_baseline_").is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn a_run_that_is_stopped_leaves_artifacts_and_no_process() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let workplace = Workplace::with_baseline().unwrap();
        let artifacts = workplace.path("artifacts");
        let child = in_its_first_block(&workplace, &artifacts);
        signal(&child, name).unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{printed}");
        let report = workplace.report().unwrap();
        assert_eq!(report.run.status, Some(RunStatus::Unfinished));
        assert_eq!(report.run.ct_exit_code, Some(143), "the benchmark was ended by SIGTERM");
        assert_eq!(workplace.verdict().unwrap().outcome, Outcome::Invalid);
        assert_eq!(left_running(&artifacts).unwrap(), BTreeMap::new());
    }
}

#[test]
fn a_gate_that_is_killed_outright_leaves_an_unfinished_report_and_no_process() {
    let workplace = Workplace::with_baseline().unwrap();
    let artifacts = workplace.path("artifacts");
    let mut child = in_its_first_block(&workplace, &artifacts);
    // Its wrapper has become the gate by now.
    signal(&child, "KILL").unwrap();
    child.wait().unwrap();
    assert_eq!(left_running(&artifacts).unwrap(), BTreeMap::new());
    let report = workplace.report().unwrap();
    assert_eq!((report.run.status, report.run.ct_exit_code), (Some(RunStatus::Unfinished), None));
}

#[test]
fn a_run_out_of_time_leaves_artifacts_and_no_process() {
    let workplace = Workplace::with_baseline().unwrap();
    let artifacts = workplace.path("artifacts");
    let mut command = workplace.perf_gate();
    command
        .env("ARTIFACTS_DIR", &artifacts)
        .env("PERF_LATENCY_MS", "600000")
        .env("PERF_TIMEOUT_SECONDS", "10");
    let ended = workplace.run(&mut command).unwrap();
    assert_eq!(ended.code, Some(2), "{}", ended.printed);
    let report = workplace.report().unwrap();
    assert!(matches!(report.run.status, Some(RunStatus::Failed | RunStatus::Unfinished)));
    assert_eq!(workplace.verdict().unwrap().outcome, Outcome::Invalid);
    assert_eq!(left_running(&artifacts).unwrap(), BTreeMap::new());
}

#[test]
fn a_setting_that_is_wrong_is_named_and_nothing_is_measured() {
    let workplace = Workplace::with_baseline().unwrap();
    for (name, value) in [
        ("PERF_BLOCKS", "ten"),
        ("PERF_RATE", "0"),
        ("PERF_TIMEOUT_SECONDS", "1e3"),
        ("PERF_MODE", "quick"),
        ("PERF_FAULT", "delay_us=x"),
        ("PERF_ERL_ARGS", "-sname router"),
        ("PERF_ADAPTER", "no/such"),
        ("PERF_ADAPTER", "no_such_adapter"),
    ] {
        let ended = workplace.run(workplace.perf_gate().env(name, value)).unwrap();
        assert_eq!(ended.code, Some(2), "{name}: {}", ended.printed);
        assert!(ended.printed.contains(&format!("{name} is \"{value}\"")), "{}", ended.printed);
        assert!(workplace.only("perf_baseline_").is_err(), "{name} measured");
    }
}

#[test]
fn a_candidate_that_was_left_by_an_earlier_run_is_not_judged_as_this_runs() {
    let workplace = Workplace::with_baseline().unwrap();
    let stale = workplace.path("artifacts/perf_baseline_20990101T000000Z.json");
    std::fs::create_dir_all(workplace.path("artifacts")).unwrap();
    // Newer than any run, and passing.
    std::fs::write(&stale, MINIMAL.replace("2026", "2099")).unwrap();
    let ended = workplace.run(workplace.perf_gate().env("PERF_FAULT", "crash_after=1000")).unwrap();
    assert_eq!(ended.code, Some(2), "{}", ended.printed);
    let judged = workplace.verdict().unwrap().inputs.candidate.path;
    assert_ne!(judged, stale.display().to_string());
}

#[test]
fn a_build_that_fails_is_no_regression() {
    let workplace = Workplace::with_baseline().unwrap();
    let ended = workplace.run(workplace.perf_gate().env("PERF_BUILD", "exit 1")).unwrap();
    assert_eq!(ended.code, Some(2), "{}", ended.printed);
    assert!(ended.printed.contains("failed to build with `exit 1`"), "{}", ended.printed);
}

#[test]
fn what_a_home_a_locale_or_a_variable_says_changes_nothing() {
    let workplace = Workplace::new().unwrap();
    let home = workplace.path("a home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join(".erlang"), "io:format(\"erlang-banana~n\").\n").unwrap();
    let elsewhere = workplace.path("elsewhere");
    let homes = [Some(&home), None];
    for (number, home) in homes.into_iter().enumerate() {
        let artifacts = workplace.path(&format!("{number} [a], ü"));
        let mut bench = workplace.bench();
        // Where cargo itself is.
        let real = std::env::var_os("HOME").map(PathBuf::from).unwrap();
        for (name, directory) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if std::env::var_os(name).is_none() {
                bench.env(name, real.join(directory));
            }
        }
        bench.env_remove("HOME").envs(home.map(|home| ("HOME", home)));
        bench.env("LC_ALL", "C").env("REBAR_BASE_DIR", &elsewhere).env("ARTIFACTS_DIR", &artifacts);
        let ended = workplace.run(quick(&mut bench)).unwrap();
        assert_eq!(ended.code, Some(0), "{}", ended.printed);
        assert!(!ended.printed.contains("banana"), "{}", ended.printed);
        assert!(!elsewhere.exists(), "what was built there would not be what was measured");
        assert_eq!(std::fs::read_dir(&artifacts).unwrap().count(), 1, "the report");
    }
}

#[test]
fn the_test_suite_has_a_case_for_each_rule_and_pages_whose_links_lead_somewhere() {
    let workplace = Workplace::with_baseline().unwrap();
    let mut suite = Command::new("rebar3");
    suite.current_dir(root()).env("PWD", root()).args(["as", "perf", "ct"]).stdin(Stdio::null());
    suite.envs(workplace.perf_gate().get_envs().filter_map(|(name, value)| Some((name, value?))));
    for (name, file) in [
        ("ARTIFACTS_DIR", "artifacts"),
        ("BASELINE_FILE", "baseline.json"),
        ("POLICY_FILE", "policy.json"),
    ] {
        suite.env(name, workplace.path(file));
    }
    // What a shell says to every BEAM is nothing that the measured one hears.
    quick(&mut suite).env("PERF_FAULT", "error_ratio=0.05").env("ERL_FLAGS", "+S 13:13");
    let ended = workplace.run(&mut suite).unwrap();
    assert_ne!(ended.code, Some(0), "{}", ended.printed);
    assert!(ended.printed.contains("VERDICT: REGRESSION"), "the table: {}", ended.printed);
    let report = workplace.report().unwrap();
    assert_eq!(report.run.ct_exit_code, Some(0));
    assert_ne!(report.env.schedulers_online, Some(13));

    // A case for each rule, red as the verdict has it.
    let logs = root().join("_build/perf+test/logs/last");
    let verdict = workplace.verdict().unwrap();
    let red = violated(&verdict);
    assert!(red.contains(&Metric::ErrorsTotal) && verdict.rules.len() == 6, "{red:?}");
    let said = format!("{} of 6 rules violated", red.len());
    let cases = surefire(&logs.join("junit_report.xml")).unwrap();
    let names: Vec<_> = verdict.rules.iter().map(|rule| rule.metric.name()).collect();
    let expected: Vec<_> = ["verdict"].into_iter().chain(names).collect();
    assert_eq!(cases.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected);
    for (name, failure) in &cases {
        match name.as_str() {
            "verdict" => assert!(failure.as_ref().unwrap().contains(&said), "{failure:?}"),
            _ if red.iter().any(|metric| metric.name() == name) => {
                assert!(failure.as_ref().unwrap().contains("VIOLATED"), "{failure:?}")
            }
            _ => assert_eq!(failure.is_none(), verdict.problems.is_empty(), "{name}: {failure:?}"),
        }
    }

    // The pages, opened as files.
    let page = only_page(&logs, "router_perf_suite.verdict.html");
    let text = std::fs::read_to_string(&page).unwrap();
    let links = links(&text, "log_private/");
    for kind in ["perf_gate_", "perf_report_", "perf_summary_", "perf_verdict_"] {
        assert!(links.iter().any(|link| link.contains(kind)), "{kind}: {links:?}");
    }
    for link in &links {
        assert!(page.with_file_name("").join(link).is_file(), "{link}");
    }
    assert_eq!(text.matches("<svg ").count(), 6, "the blocks of each metric");
    let page = only_page(&logs, "router_perf_suite.errors_total.html");
    assert_eq!(std::fs::read_to_string(page).unwrap().matches("<svg ").count(), 1);
    let overview = std::fs::read_to_string(only_page(&logs, "suite.log.html")).unwrap();
    assert!(overview.contains(&format!("REGRESSION: {said}: ")), "{overview}");

    // What the settings ask for that cannot be had fails every case.
    let ended = workplace.run(suite.env("PERF_BLOCKS", "ten")).unwrap();
    assert_ne!(ended.code, Some(0), "{}", ended.printed);
    let cases = surefire(&logs.join("junit_report.xml")).unwrap();
    assert_eq!(cases.len(), 7);
    for (name, failure) in cases {
        assert!(failure.as_ref().unwrap().contains("PERF_BLOCKS is"), "{name}: {failure:?}");
    }
}

/// The only page of this name in the folder of a run's logs.
#[allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
fn only_page(logs: &Path, name: &str) -> PathBuf {
    let mut places = vec![logs.canonicalize().unwrap()];
    let mut found = Vec::new();
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                places.push(path);
            } else if path.file_name().is_some_and(|file| file == name) {
                found.push(path);
            }
        }
    }
    let [page] = found.try_into().unwrap();
    page
}

/// Where a page links to, of what begins so.
fn links<'a>(page: &'a str, beginning: &str) -> Vec<&'a str> {
    let all = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    all.filter(|link| link.starts_with(beginning)).collect()
}

#[test]
fn documentation_that_lacks_something_is_no_documentation() {
    let directory = tempfile::tempdir().unwrap();
    let docs = |name: &str, text: &str| {
        let file = directory.path().join(format!("{name}.erl"));
        std::fs::write(&file, text).unwrap();
        let mut script = Command::new(root().join("scripts/docs.escript"));
        script.arg(directory.path().join("pages")).arg(&file).stdin(Stdio::null());
        Ended::from(script.output().unwrap())
    };
    let sound = "%% @doc A module.\n-module(sound).\n-export([one/1]).\n\
                 %% @doc One.\n-spec one(term()) -> 1.\none(_) -> 1.\n";
    let ended = docs("sound", sound);
    assert_eq!(ended.code, Some(0), "{}", ended.printed);
    assert!(directory.path().join("pages/sound.html").is_file());
    for (part, instead, said) in [
        ("%% @doc A module.\n", "", "the module has no @doc"),
        ("%% @doc One.\n", "", "one/1 has no @doc"),
        ("-spec one(term()) -> 1.\n", "", "one/1 has no -spec"),
        ("One.", "One {@link two/2}.", "links #two-2, which is nowhere"),
        ("One.", "One {@link gone:two/2}.", "links gone.html#two-2, which is nowhere"),
        ("One.", "One `quoted.", "sound.erl"),
        ("%% @doc One.", "%% @dock One.", "tag @dock not recognized"),
        ("one(_) -> 1.", "one(_) -> .", "sound.erl"),
    ] {
        assert!(sound.contains(part), "{part}");
        let ended = docs("sound", &sound.replace(part, instead));
        assert_eq!(ended.code, Some(1), "{instead}: {}", ended.printed);
        assert!(ended.printed.contains(said), "{instead}: {}", ended.printed);
    }
    // What is of the inside needs its words, and has no page.
    let inside = sound.replace("-module", "%% @private\n-module");
    assert_eq!(docs("sound", &inside).code, Some(0));
    assert!(!directory.path().join("pages/sound.html").exists());
    assert_eq!(docs("sound", &inside.replace("%% @doc One.\n", "")).code, Some(1));
}

#[test]
fn an_unknown_argument_is_refused_and_help_lists_every_setting() {
    let workplace = Workplace::new().unwrap();
    let ended = workplace.run(workplace.perf_gate().arg("--fast")).unwrap();
    assert_eq!(ended.code, Some(2));
    let ended = workplace.run(workplace.perf_gate().arg("--help")).unwrap();
    assert_eq!(ended.code, Some(0));
    for setting in [
        "CANDIDATE_FILE",
        "BASELINE_FILE",
        "POLICY_FILE",
        "ARTIFACTS_DIR",
        "PERF_ADAPTER",
        "PERF_MODE",
        "PERF_BLOCKS",
        "PERF_WARMUP_MS",
        "PERF_THROUGHPUT_MS",
        "PERF_LATENCY_MS",
        "PERF_RATE",
        "PERF_CONCURRENCY",
        "PERF_CALLBACK_TIMEOUT_MS",
        "PERF_TIMEOUT_SECONDS",
        "PERF_FAULT",
    ] {
        assert!(ended.printed.contains(setting), "{setting}");
    }
}
