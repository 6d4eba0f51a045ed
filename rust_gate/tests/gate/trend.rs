//! Many reports as one trend.

use crate::common;
use crate::common::repository::Repository;
use crate::common::{Answer, Room, minimal};
use cp1_format::{Against, Metric, RecordKind, Trend, Verdict, read_file};
use serde_json::{Value, json};

/// A number from 0 to 1 that looks drawn.
fn noise(index: usize) -> f64 {
    ((index * 7 + 3) % 11) as f64 / 11.0
}

fn report(index: usize, slower_by: f64) -> Value {
    let mut report = minimal();
    let day = 1 + index / 24;
    report["timestamp"] = json!(format!("2026-03-{day:02}T{:02}:00:00.5Z", index % 24));
    report["git"]["commit"] = json!(format!("{index:040x}"));
    report["metrics"]["latency_p95_ms"] = json!(0.4 * (1.0 + noise(index) / 50.0) * slower_by);
    report
}

/// A room with a contract and reports in `runs`.
fn room(reports: usize, slower_from: usize) -> Room {
    let room = Room::new();
    std::fs::create_dir_all(room.path("perf")).unwrap();
    std::fs::create_dir_all(room.path("runs/deep")).unwrap();
    room.json("perf/policy_cp1.json", &common::policy());
    for index in 0..reports {
        let slower_by = if index < slower_from { 1.0 } else { 1.1 };
        room.json(&format!("runs/perf_baseline_{index:04}.json"), &report(index, slower_by));
    }
    room
}

fn done(answer: &Answer) -> &str {
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{answer:?}");
    &answer.stdout
}

fn trend(room: &Room, arguments: &[&str]) -> Trend {
    let answer = room.run(&[&["trend", "--format=json"], arguments].concat());
    serde_json::from_str(done(&answer)).unwrap()
}

fn of(trend: &Trend, metric: Metric) -> &cp1_format::MetricTrend {
    trend.metrics.iter().find(|of| of.metric == metric).unwrap()
}

fn refused(room: &Room, arguments: &[&str], said: &[&str]) {
    let answer = room.run(&[&["trend"], arguments].concat());
    assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{answer:?}");
    for text in said {
        assert!(answer.stderr.contains(text), "`{text}` is not in {}", answer.stderr);
    }
}

#[test]
fn a_step_is_told_with_its_commit_its_size_and_its_significance() {
    let room = room(40, 25);
    let trend = trend(&room, &["runs"]);
    let [change] = of(&trend, Metric::LatencyP95Ms).figures.change_points.as_slice() else {
        panic!("{trend:?}");
    };
    assert_eq!((change.after_report, change.report), (24, 25));
    assert_eq!(trend.reports[25].commit, Some(format!("{:040x}", 25)));
    assert_eq!(change.p_value.to_string(), "0.001");
    assert!(of(&trend, Metric::LatencyP95Ms).is_worse(change));
    for other in [Metric::LatencyP99Ms, Metric::Rps, Metric::ErrorsTotal] {
        assert!(of(&trend, other).figures.change_points.is_empty());
    }
    insta::assert_snapshot!("step", done(&room.run(&["trend", "runs"])));
}

#[test]
fn the_changes_of_pairs_compare_where_the_figures_do_not() {
    let room = room(0, 0);
    for index in 0..30 {
        // The machine is 30 % slower every other day, and the router 8 % from report 18 on.
        let machine = if index / 5 % 2 == 0 { 1.0 } else { 1.3 };
        let router = if index < 18 { 1.0 } else { 1.08 };
        let name = |side: &str| format!("runs/perf_{side}_{index:04}.json");
        room.json(&name("baseline"), &report(index, machine * router));
        let mut replay = report(index, machine);
        replay["metrics"]["latency_p95_ms"] =
            json!(0.4 * machine * (1.0 + noise(index + 5) / 50.0));
        room.json(&name("replay"), &replay);
    }
    let trend = trend(&room, &["runs"]);
    let metric = of(&trend, Metric::LatencyP95Ms);
    assert_eq!(metric.changes.points.len(), 30);
    let places: Vec<_> = metric.changes.change_points.iter().map(|change| change.report).collect();
    assert_eq!(places, [18]);
    let limit = metric.limit.as_ref().unwrap();
    assert_eq!(limit.change_pct.to_string(), "15");
    assert!(limit.used.iter().all(|used| used.against == Against::Replay));
    let last = limit.used.last().unwrap().used_pct.approximate();
    let change = metric.changes.points.last().unwrap().value.approximate();
    assert!((last - change / 15.0 * 100.0).abs() < 0.1, "{last} of {change}");
    let rps = of(&trend, Metric::Rps).limit.as_ref().unwrap();
    assert_eq!(rps.change_pct.to_string(), "-10");
    assert!(rps.used.iter().all(|used| used.used_pct.is_zero()));
    insta::assert_snapshot!("pairs", done(&room.run(&["trend", "runs"])));
}

#[test]
fn a_verdict_says_the_change_by_itself_and_beside_its_reports() {
    let room = room(0, 0);
    room.set("candidate.json", "metrics.latency_p95_ms", json!(0.43));
    room.check_with(&["--candidate", "candidate.json", "--artifacts", "runs", "--label", "7"])
        .is(0, &[]);
    let used = |trend: &Trend| {
        let limit = of(trend, Metric::LatencyP95Ms).limit.as_ref().unwrap().used.clone();
        assert_eq!(limit.len(), 1);
        (limit[0].used_pct.to_string(), limit[0].against)
    };
    let verdict: Verdict = read_file(&room.path("runs/perf_verdict_7.json")).unwrap();
    assert_eq!(verdict.rules[0].change_pct.as_ref().unwrap().to_string(), "4.88");
    let alone = trend(&room, &["runs"]);
    assert_eq!((alone.reports.len(), used(&alone)), (1, ("32.5".to_owned(), Against::Frozen)));
    assert!(
        of(&alone, Metric::LatencyP95Ms).changes.points.is_empty(),
        "it was not measured in turn"
    );
    room.json(
        "runs/perf_baseline_7.json",
        &serde_json::from_str(&room.text("candidate.json")).unwrap(),
    );
    let both = trend(&room, &["runs"]);
    assert_eq!((both.reports.len(), used(&both)), (1, ("32.5".to_owned(), Against::Frozen)));
    // What was not judged has no change.
    room.set("candidate.json", "run.ct_exit_code", json!(1));
    room.check_with(&["--candidate", "candidate.json", "--artifacts", "runs", "--label", "8"])
        .is(2, &[]);
}

#[test]
fn runs_that_are_no_measurement_of_the_router_are_left_out_and_counted() {
    let room = room(6, 9);
    let change = |index: usize, path: &str, value: Value| {
        room.set(&format!("runs/perf_baseline_{index:04}.json"), path, value);
    };
    change(0, "run", json!({"ct_exit_code": 1}));
    change(1, "run", json!({"status": "unfinished"}));
    change(2, "run", json!({"ct_exit_code": 0, "planted_fault": "delay_us=200"}));
    room.json("runs/deep/perf_baseline_copy.json", &report(4, 1.0));
    room.json("runs/perf_replay_0099.json", &report(99, 1.0));
    let trend = trend(&room, &["runs"]);
    assert_eq!(trend.reports.len(), 3);
    let left_out: Vec<_> =
        trend.left_out.iter().map(|left| (left.reason.as_str(), left.reports)).collect();
    assert_eq!(
        left_out,
        [
            ("the run failed, was stopped, or its tests failed", 2),
            ("measured with a planted fault", 1),
            ("no report or verdict tells of the candidate", 1),
            ("the same report a second time", 1),
        ]
    );
}

#[test]
fn other_machines_are_marked_and_other_routers_left_out() {
    let room = room(8, 9);
    let change = |index: usize, path: &str, value: Value| {
        room.set(&format!("runs/perf_baseline_{index:04}.json"), path, value);
    };
    change(3, "env.cpu_model", json!("another"));
    let load = |adapter: &str, seed: u64| {
        json!({
            "adapter": adapter, "blocks": 3, "warmup_ms": 1, "throughput_ms": 1, "latency_ms": 1,
            "slice_ms": 1, "rate_per_second": 1, "arrivals": "poisson", "concurrency": 1,
            "max_in_flight": 1, "drain_timeout_ms": 1, "sample_interval_ms": 1, "timeout_ms": 1, "seed": seed
        })
    };
    for (index, adapter) in [(5, "ours"), (6, "theirs"), (7, "ours")] {
        let path = room.path(format!("runs/perf_baseline_{index:04}.json"));
        let mut report: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        report["load"] = load(adapter, index);
        std::fs::write(path, report.to_string()).unwrap();
    }
    let trend = trend(&room, &["runs"]);
    let marked: Vec<_> = trend.reports.iter().map(|report| report.new_conditions).collect();
    // There and back, and a load where there was none; a new seed is no other load.
    assert_eq!(marked, [false, false, false, true, true, true, false]);
    assert_eq!(trend.left_out[0].reason, "measured through another adapter than the newest report");
}

#[test]
fn moves_of_the_baseline_stand_where_they_happened() {
    let repository = Repository::frozen();
    let today = cp1_format::Date::today();
    for (name, days) in [("a", "2026-01-01"), ("b", "2999-01-01"), ("c", &today.to_string())] {
        let mut report = report(0, 1.1);
        report["timestamp"] = json!(format!("{days}T12:00:00Z"));
        repository.room.json(&format!("perf_baseline_{name}.json"), &report);
    }
    let answer = repository.gate(&["trend", "--format=json", "perf_baseline_*.json"]);
    let trend: Trend = serde_json::from_str(done(&answer)).unwrap();
    let [moved] = trend.moves.as_slice() else { panic!("{trend:?}") };
    assert_eq!((moved.number, moved.kind, moved.report), (1, RecordKind::Freeze, 1));
    // Before the first there is no baseline, and of that day nobody knows which.
    let used = &of(&trend, Metric::MemMbTotalErlang).limit.as_ref().unwrap().used;
    assert_eq!(
        used.iter().map(|used| (used.report, used.against)).collect::<Vec<_>>(),
        [(2, Against::Record)]
    );
    let text = repository.gate(&["trend", "perf_baseline_*.json"]);
    assert!(done(&text).contains("\nB 0001 "), "{}", text.stdout);
}

#[test]
fn what_a_commit_says_of_itself_is_text() {
    let repository = Repository::new();
    let hostile = "</q><script>alert(1)</script> \u{1b}[31m\u{202e}`|` ".repeat(20);
    let subject = hostile.trim();
    repository.write("router.erl", "-module(other).\n");
    let commit = repository.commit(subject);
    let tree = repository.git(&["rev-parse", "HEAD^{tree}"]);
    for index in 0..40 {
        let mut report = report(index, if index < 20 { 1.0 } else { 1.2 });
        match index {
            20 => report["git"]["commit"] = json!(commit.trim()),
            // No commit, though the repository has it.
            21 => report["git"]["commit"] = json!(tree.trim()),
            _ => {}
        }
        repository.room.json(&format!("perf_baseline_{index:04}.json"), &report);
    }
    let html = repository.room.path("trend.html");
    let html = format!("--html={}", html.display());
    let answer = repository.gate(&["trend", &html, "perf_baseline_*.json"]);
    let text = done(&answer);
    assert!(text.contains("    \"</q><script>alert(1)</script> \\u{1b}[31m\\u{202e}"), "{text}");
    is_harmless(text);
    let page = repository.room.text("trend.html");
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(!page.contains("<script") && !page.contains('\u{1b}') && !page.contains('\u{202e}'));
    let json = repository.gate(&["trend", "--format=json", "perf_baseline_*.json"]);
    let trend: Trend = serde_json::from_str(done(&json)).unwrap();
    let change = &of(&trend, Metric::LatencyP95Ms).figures.change_points[0];
    assert_eq!(change.subject.as_deref(), Some(subject));
    assert!(json.stdout.is_ascii());
}

/// A page of 80 columns that steers no terminal and has no figure that is none.
fn is_harmless(page: &str) {
    for line in page.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
        for none in ["NaN", "nan", "inf"] {
            assert!(!line.split([' ', '=']).any(|word| word == none), "{line}");
        }
    }
}

#[test]
fn charts_of_no_report_one_and_two_have_no_figure_that_is_none() {
    for (reports, said) in
        [(1, "1 report of 2026-03-01"), (2, "2 reports from 2026-03-01 to 2026-03-01")]
    {
        let room = room(reports, 1);
        let answer = room.run(&["trend", "--html=t.html", "runs"]);
        assert!(done(&answer).starts_with(&format!("CP1 trend: {said}\n")), "{}", answer.stdout);
        is_harmless(&answer.stdout);
        let page = room.text("t.html");
        assert!(!page.contains("NaN") && !page.contains("inf\""), "{page}");
        let drawn = if reports == 1 { 6 } else { 1 };
        assert_eq!(
            (page.matches("<svg").count(), page.matches("<p>always ").count()),
            (drawn, 6 - drawn)
        );
        assert!(room.path("t.html").metadata().unwrap().len() < 1_000_000);
    }
    let room = room(1, 1);
    room.set("runs/perf_baseline_0000.json", "run", json!({"ct_exit_code": 1}));
    let answer = room.run(&["trend", "--html=t.html", "runs"]);
    assert!(done(&answer).starts_with("CP1 trend: no report\nleft out: 1"), "{}", answer.stdout);
    assert!(!room.text("t.html").contains("<svg"));
}

#[test]
fn a_page_needs_no_network_and_no_script() {
    let room = room(40, 25);
    done(&room.run(&["trend", "--html=t.html", "runs"]));
    let page = room.text("t.html");
    for fetched in ["http:", "https:", "//", "src=", "href=", "<script", "@import", "url("] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    assert!(page.contains("default-src 'none'") && page.contains("prefers-color-scheme:dark"));
    assert!(page.contains("p = 0.001") && page.contains("<title>CP1 trend: 40 reports"));
}

#[test]
fn many_reports_fit_a_page() {
    let room = room(0, 0);
    for index in 0..700 {
        room.json(&format!("runs/perf_baseline_{index:04}.json"), &report(index, 1.0));
    }
    let answer = room.run(&["trend", "--html=t.html", "runs"]);
    is_harmless(done(&answer));
    assert!(answer.stdout.starts_with("CP1 trend: 700 reports from 2026-03-01 to 2026-03-30"));
    assert!(room.path("t.html").metadata().unwrap().len() < 1_000_000);
}

#[test]
fn a_file_that_cannot_be_read_might_be_the_one_that_matters() {
    let room = room(3, 9);
    room.bytes("runs/perf_baseline_0001.json", "{\"timestamp\": 1}");
    room.bytes("runs/deep/perf_verdict_x.json", "[]");
    let said =
        ["runs/perf_baseline_0001.json", "runs/deep/perf_verdict_x.json", "nothing is shown"];
    refused(&room, &["runs"], &said);
    for index in 0..30 {
        room.bytes(&format!("runs/perf_baseline_x{index}.json"), "");
    }
    refused(&room, &["runs"], &["and 12 more"]);
}

#[test]
fn a_path_that_names_nothing_is_an_error() {
    let room = room(0, 0);
    room.bytes("runs/notes.txt", "no report");
    refused(&room, &["runs"], &["there is no perf_baseline_*.json"]);
    refused(&room, &["nowhere"], &["nowhere", "No such file"]);
    refused(&room, &["no*where"], &["no file matches"]);
    refused(&room, &["runs/notes.txt"], &["runs/notes.txt"]);
    refused(&room, &[], &["required arguments"]);
}

#[cfg(unix)]
#[test]
fn a_hostile_folder_ends() {
    use std::os::unix::fs::symlink;
    let room = room(3, 9);
    symlink("..", room.path("runs/deep/up")).unwrap();
    symlink(room.path("runs"), room.path("runs/deep/perf_baseline_loop.json")).unwrap();
    symlink("perf_baseline_0000.json", room.path("runs/perf_baseline_again.json")).unwrap();
    room.bytes("runs/.partial-x.json", "{");
    // A link to a folder is no report, whatever its name.
    refused(&room, &["runs"], &["perf_baseline_loop.json", "not a regular file"]);
    std::fs::remove_file(room.path("runs/deep/perf_baseline_loop.json")).unwrap();
    assert_eq!(trend(&room, &["runs"]).reports.len(), 3);
    assert_eq!(trend(&room, &["runs", "runs/*.json", "runs/deep"]).reports.len(), 3);
    symlink("self", room.path("runs/self")).unwrap();
    assert_eq!(trend(&room, &["runs"]).reports.len(), 3);
    let fifo = room.path("runs/perf_replay_0000.json");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    refused(&room, &["runs"], &["perf_replay_0000.json", "not a regular file"]);
}

#[test]
fn reports_of_one_time_are_all_points() {
    let room = room(4, 9);
    for index in 0..4 {
        let name = format!("runs/perf_baseline_{index:04}.json");
        room.set(&name, "timestamp", json!("2026-03-01T00:00:00Z"));
    }
    let once = trend(&room, &["runs"]);
    assert_eq!(once.reports.len(), 4);
    let commits: Vec<_> = once.reports.iter().filter_map(|report| report.commit.clone()).collect();
    assert!(commits.is_sorted(), "in an order that the files' names do not decide");
}

#[test]
fn the_answer_for_programs_is_as_its_schema_says() {
    let room = room(12, 6);
    let answer = room.run(&["trend", "--format=json", "runs"]);
    let trend: Trend = serde_json::from_str(done(&answer)).unwrap();
    assert_eq!(cp1_format::to_json(&trend).unwrap(), answer.stdout);
}
