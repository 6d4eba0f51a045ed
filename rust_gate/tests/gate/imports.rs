//! `import`: what other tools measured, as a report that is judged.

use crate::common;
use crate::common::{Answer, Room, remove, set};
use serde_json::{Value, json};

/// A format, its sample files, and what else it has to be told.
type Sample<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

const K6: Sample<'static> = ("k6", &["k6_summary_export.json"], &[]);
const WRK2: Sample<'static> = ("wrk2", &["wrk2.txt"], &[]);
const HGRM: Sample<'static> = ("hgrm", &["latency.hgrm"], &["--unit", "us"]);
const BASHO_BENCH: Sample<'static> =
    ("basho_bench", &["basho_bench_summary.csv", "basho_bench_get_latencies.csv"], &[]);
const ERLPERF: Sample<'static> = ("erlperf", &["erlperf_full.txt"], &[]);

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TIME: [&str; 2] = ["--timestamp", "2026-01-31T12:00:00Z"];

/// A room with the samples.
fn room() -> Room {
    let room = Room::new();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, room.path(path.file_name().unwrap())).unwrap();
    }
    room.json("tools.json", &policy());
    room
}

/// The policy of docs/other_tools.md.
fn policy() -> Value {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/other_tools.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (_, rest) = docs.split_once("```json\n").unwrap();
    serde_json::from_str(rest.split_once("```").unwrap().0).unwrap()
}

fn import(room: &Room, (format, files, told): Sample<'_>, more: &[&str]) -> Answer {
    room.run(&[&["import", "--format", format], files, told, &TIME, more].concat())
}

#[track_caller]
fn imported(room: &Room, sample: Sample<'_>, more: &[&str]) -> Value {
    let answer = import(room, sample, more);
    assert_eq!(answer.code, 0, "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

/// Imports a sample as baseline and as candidate of the same name.
fn both(room: &Room, sample: Sample<'_>) {
    let report = imported(room, sample, &["--commit", COMMIT, "--exit-code", "0"]);
    room.json("baseline.json", &report);
    room.json("candidate.json", &report);
}

fn check(room: &Room) -> Answer {
    room.run(&[
        "check",
        "--baseline",
        "baseline.json",
        "--policy",
        "tools.json",
        "--candidate",
        "candidate.json",
    ])
}

#[test]
fn each_tool_gives_the_figures_that_it_has_in_exact_units_and_no_other() {
    let room = room();
    for (sample, metrics) in [
        // 59,994 of 60,000 requests succeeded, at 1999.9874 a second in all.
        (
            K6,
            json!({"latency_p95_ms": 0.6412505, "latency_p99_ms": 1.19975, "rps": 1999.78740126,
            "errors_total": 6}),
        ),
        (
            WRK2,
            json!({"latency_p95_ms": 10.015, "latency_p99_ms": 11.18, "rps": 2000.28,
            "errors_total": 0}),
        ),
        (HGRM, json!({"latency_p95_ms": 0.471295, "latency_p99_ms": 0.541183})),
        // The medians of 641, 652, 660 and of 1204, 1187, 1290 µs; 59,891 answers in 31.5 s.
        (
            BASHO_BENCH,
            json!({"latency_p95_ms": 0.652, "latency_p99_ms": 1.204,
            "rps": 1901.301587302, "errors_total": 3}),
        ),
        (ERLPERF, json!({"rps": 184000})),
    ] {
        let report = imported(&room, sample, &[]);
        assert_eq!(report["metrics"], metrics, "{sample:?}");
        assert_eq!(report["timestamp"], "2026-01-31T12:00:00Z");
        assert_eq!(report["run"]["imported_from"], sample.0);
        assert_eq!(report["git"], json!({}), "no commit was named");
        assert!(report["run"].get("ct_exit_code").is_none(), "no exit code was named");
        for absent in ["schema", "blocks", "accounting", "load", "histograms"] {
            assert!(report.get(absent).is_none(), "{sample:?} has {absent}");
        }
    }
    let env = imported(&room, ERLPERF, &[])["env"].clone();
    assert_eq!(
        env,
        json!({"otp_release": "25", "erts_version": "13.1.5", "erts_flavor": "jit",
        "schedulers_online": 2, "cpu_model": "Intel(R) Xeon(R) Processor @ 2.90GHz"})
    );
}

#[test]
fn both_shapes_of_a_k6_summary_say_the_same() {
    let room = room();
    let exported = imported(&room, K6, &[]);
    let mut handled = imported(&room, ("k6", &["k6_handle_summary.json"], &[]), &[]);
    assert_eq!(handled["run"]["duration_ms"], 30_000, "which the other shape does not say");
    remove(&mut handled, "run.duration_ms");
    assert_eq!(exported, handled);
}

#[test]
fn what_an_erlperf_table_is_like_depends_on_its_samples_and_its_rate_does_not() {
    let room = room();
    let basic = imported(&room, ("erlperf", &["erlperf_basic.txt"], &[]), &[]);
    assert_eq!(basic["metrics"], imported(&room, ERLPERF, &[])["metrics"]);
    for (number, rate) in [
        ("184 Ki", "184000"),
        ("76501", "76501"),
        ("150 Mi", "150000000"),
        ("101 Gi", "101000000000"),
    ] {
        let text = room.text("erlperf_basic.txt").replace("184 Ki", number);
        room.bytes("erlperf.txt", text);
        let report = imported(&room, ("erlperf", &["erlperf.txt"], &[]), &[]);
        assert_eq!(report["metrics"]["rps"].to_string(), rate);
    }
}

#[test]
fn the_unit_of_an_hgrm_file_is_asked_for() {
    let room = room();
    for (unit, p95_ms) in
        [("ns", "0.000471295"), ("us", "0.471295"), ("ms", "471.295"), ("s", "471295")]
    {
        let report = imported(&room, ("hgrm", &["latency.hgrm"], &["--unit", unit]), &[]);
        assert_eq!(report["metrics"]["latency_p95_ms"].to_string(), p95_ms, "{unit}");
    }
    let silent = import(&room, ("hgrm", &["latency.hgrm"], &[]), &[]);
    assert!(
        silent.code == 2 && silent.stderr.contains("which the file does not say"),
        "{silent:?}"
    );
    let told = import(&room, ("wrk2", &["wrk2.txt"], &["--unit", "ms"]), &[]);
    assert!(told.code == 2 && told.stderr.contains("of the other formats it is known"), "{told:?}");
}

#[test]
fn an_imported_report_passes_against_itself_and_fails_where_it_is_worse() {
    let room = room();
    for sample in [K6, WRK2, BASHO_BENCH] {
        both(&room, sample);
        let tool = sample.0;
        check(&room).is(
            0,
            &[
                &format!(
                    "the candidate was imported from {tool}: its figures are compared without error"
                ),
                "the candidate has no blocks: the figures are compared alone",
                "mem_mb_total_erlang was not measured, so nothing is known of it",
                "Conditions that neither report states:",
            ],
        );
        let figure = |report: &Value, metric: &str| report["metrics"][metric].as_f64().unwrap();
        for (metric, factor) in [("latency_p95_ms", 1.16), ("latency_p99_ms", 1.21), ("rps", 0.89)]
        {
            both(&room, sample);
            room.change("candidate.json", |report| {
                let worse = figure(report, metric) * factor;
                set(report, &format!("metrics.{metric}"), json!(worse));
            });
            check(&room).is(1, &[metric, "VIOLATED"]);
        }
        both(&room, sample);
        room.set("candidate.json", "metrics.errors_total", json!(11));
        check(&room).is(1, &["errors_total", "VIOLATED"]);
    }
}

#[test]
fn a_rule_about_what_a_tool_does_not_say_cannot_pass() {
    let room = room();
    both(&room, WRK2);
    // The policy of the freeze has six rules, and there are no others.
    room.check().is_invalid(&[
        "mem_mb_total_erlang was not measured, but a rule judges it",
        "backpressure_active_total was not measured, but a rule judges it",
    ]);
    room.set("tools.json", "gate", json!({}));
    check(&room)
        .is_invalid(&["mem_mb_total_erlang was not measured, but the policy requires all six"]);
    room.json("tools.json", &policy());
    both(&room, ERLPERF);
    check(&room).is_invalid(&["latency_p95_ms was not measured, but a rule judges it"]);
    let said = import(&room, ERLPERF, &[]).stderr;
    assert!(
        said.contains("no rule about it can pass: latency_p95_ms, latency_p99_ms, mem_mb"),
        "{said}"
    );
}

#[test]
fn neither_commit_nor_exit_code_is_guessed() {
    let room = room();
    both(&room, WRK2);
    room.json("candidate.json", &imported(&room, WRK2, &["--exit-code", "0"]));
    check(&room).is_invalid(&["git.commit", "does not say which commit was measured"]);
    room.json("candidate.json", &imported(&room, WRK2, &["--commit", COMMIT]));
    room.set("tools.json", "gate.require_candidate_ct_exit_code_zero", json!(true));
    check(&room).is_invalid(&["the exit code of the test run that measured is missing"]);
    let failed = imported(&room, WRK2, &["--commit", COMMIT, "--exit-code", "99"]);
    room.json("candidate.json", &failed);
    check(&room).is_invalid(&["exited with 99"]);
    let wrong: [&[&str]; 3] = [
        &["import", "--format", "wrk2", "wrk2.txt"],
        &["import", "--format", "wrk2", "wrk2.txt", "--timestamp", "2026-01-31 12:00"],
        &["import", "--format", "wrk2", "wrk2.txt", "--timestamp", TIME[1], "--commit", "0123abc"],
    ];
    for arguments in wrong {
        assert_eq!(room.run(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn reports_of_different_tools_do_not_compare() {
    let room = room();
    both(&room, WRK2);
    room.json("candidate.json", &imported(&room, K6, &["--commit", COMMIT]));
    check(&room).is(4, &["run.imported_from", "baseline wrk2", "candidate k6"]);
    let mut measured = common::minimal();
    measured["metrics"] = imported(&room, K6, &[])["metrics"].clone();
    room.json("candidate.json", &measured);
    check(&room).is(4, &["run.imported_from", "baseline wrk2", "candidate (absent)"]);
}

#[test]
fn too_few_requests_and_a_late_generator_are_no_pass() {
    let room = room();
    room.replace(
        "k6_summary_export.json",
        "\"vus\":",
        r#""dropped_iterations": {"count": 12, "rate": 0.4}, "vus":"#,
    );
    both(&room, K6);
    let report: Value = serde_json::from_str(&room.text("candidate.json")).unwrap();
    assert!(
        report["run"]["reason"].as_str().unwrap().contains("k6 dropped 12 iterations"),
        "{report}"
    );
    room.json("baseline.json", &imported(&self::room(), K6, &["--commit", COMMIT]));
    check(&room).is(3, &["the load generator's own lateness"]);

    let few = self::room();
    let text = few.text("k6_handle_summary.json");
    let fewer = text.replace("60000", "15000").replace("59994", "14994");
    few.bytes("k6_handle_summary.json", fewer);
    let sample = ("k6", &["k6_handle_summary.json"][..], &[][..]);
    few.json("candidate.json", &imported(&few, sample, &["--commit", COMMIT]));
    few.json("baseline.json", &imported(&self::room(), K6, &["--commit", COMMIT]));
    check(&few).is(3, &["too few samples"]);
    // Of a p95 alone they are enough.
    let text = few.text("k6_handle_summary.json").replace("\"p(99)\": 1.19975", "\"p(98)\": 1");
    few.bytes("k6_handle_summary.json", text);
    assert!(imported(&few, sample, &[])["run"].get("status").is_none());
}

#[test]
fn a_report_goes_where_it_is_asked_for_and_over_nothing() {
    let room = room();
    let written = import(&room, WRK2, &["-o", "new.json"]);
    assert_eq!((written.code, written.stdout.as_str()), (0, ""), "{written:?}");
    assert_eq!(room.text("new.json"), import(&room, WRK2, &[]).stdout);
    let again = import(&room, K6, &["-o", "new.json"]);
    assert!(again.code == 2 && again.stderr.contains("it is there already"), "{again:?}");
    assert_eq!(room.text("new.json"), import(&room, WRK2, &[]).stdout, "it is as it was");
}

#[test]
fn a_tool_can_be_piped_in_and_the_report_out() {
    let room = room();
    let piped = ["import", "--format", "wrk2", "-", TIME[0], TIME[1]];
    let report = room.run_on(&room.text("wrk2.txt"), &piped);
    assert_eq!(report.stdout, import(&room, WRK2, &[]).stdout);
    let refused = room.run_on("nothing", &piped);
    assert!(refused.stderr.contains("failed to import standard input: "), "{refused:?}");
}

#[test]
fn what_is_damaged_says_file_place_and_cure() {
    let k6 = |from, to, said| (K6, "k6_summary_export.json", from, to, said);
    let wrk2 = |from, to, said| (WRK2, "wrk2.txt", from, to, said);
    let hgrm = |from, to, said| (HGRM, "latency.hgrm", from, to, said);
    let summary = |from, to, said| (BASHO_BENCH, "basho_bench_summary.csv", from, to, said);
    let latencies = |from, to, said| (BASHO_BENCH, "basho_bench_get_latencies.csv", from, to, said);
    let erlperf = |from, to, said| (ERLPERF, "erlperf_full.txt", from, to, said);
    let cases: [(Sample<'_>, &str, &str, &str, &str); 38] = [
        k6("0.6412505", "NaN", "line 10"),
        k6("0.6412505", "null", "expected a number, found null"),
        k6("0.6412505", "-0.6", "metrics.http_req_duration{expected_response:true}.p(95)"),
        k6("0.6412505", "\"0.6\"", "expected a number"),
        k6("0.6412505", "1e400", "number out of range"),
        k6("0.6412505", "0", "latency_p95_ms would be exactly 0"),
        k6("\"passes\": 6", "\"passes\": 6.5", "6.5 is not a count"),
        k6("\"passes\": 6", "\"passes\": 60001", "60001 requests failed of 60000"),
        k6(
            "\"http_reqs\": {\"count\": 60000",
            "\"http_reqs\": {\"count\": 0",
            "there was no request",
        ),
        k6("\"http_reqs\"", "\"http_requests\"", "metrics.http_reqs: it is missing"),
        k6(
            "\"vus\":",
            "\"http_reqs\": {\"count\": 1, \"rate\": 1}, \"vus\":",
            "the key `http_reqs` is given twice",
        ),
        k6(
            "\"vus_max\": {\"max\": 50, \"min\": 50, \"value\": 50}\n    }\n}",
            "\"vus_max\": {\"m",
            "the file is cut short",
        ),
        k6(
            "http_req_duration{expected_response:true}",
            "x",
            "the times of the 6 failed requests too",
        ),
        k6("\"metrics\"", "\"figures\"", "missing field `metrics`"),
        wrk2("10.015     0.950000", "nan     0.950000", "line 43: expected a number, found nan"),
        wrk2("10.015     0.950000", "-10.015     0.950000", "-10.015 is negative"),
        wrk2("10.015     0.950000", "8.015     0.950000", "less than the one above"),
        wrk2("39500]", "39501]", "the rows end with 39500 of 39501 samples"),
        wrk2("#[Max", "#[Mix", "line 93: expected value, percentile, count"),
        wrk2(
            "HdrHistogram - Recorded Latency",
            "HdrHistogram - Uncorrected Latency",
            "run wrk2, and not wrk, with --latency",
        ),
        wrk2("99.000%", "98.000%", "the distribution has no 99.000%"),
        wrk2("11.18ms", "11.18", "expected a time with its unit"),
        wrk2("60018 requests in", "0 requests in", "there was no request"),
        wrk2("Requests/sec:   2000.28\n", "", "there is no line `Requests/sec"),
        wrk2(
            "Requests/sec:",
            "  Non-2xx or 3xx responses: 60019\nRequests/sec:",
            "60019 responses of 60018 were errors",
        ),
        wrk2(
            "Requests/sec:",
            "  Latency Distribution (HdrHistogram - Recorded Latency)\nRequests/sec:",
            "this is a second run",
        ),
        hgrm("Value", "\"Value\"", "there is no percentile distribution"),
        hgrm("#[Max", "#[Mix", "the file is cut short"),
        summary(
            "20014, 20012, 2",
            "20014, 20012, 3",
            "line 2: the total is not what was successful",
        ),
        summary(
            "20.0, 9.999",
            "10.0, 9.999",
            "line 3: this window does not come after the one above",
        ),
        summary(", 0, 0, 0\n", ", 0, 0", "the last line has no end"),
        summary("31.5, 1.498, 0, 0, 0\n", "31.5, 1.498, 0, 0, 0", "the last line has no end"),
        summary(
            "elapsed, window, total",
            "elapsed, total, window",
            "one of two files has the headings",
        ),
        latencies("641,", "x,", "line 2: expected a number, found x"),
        latencies("n, min", "min, n", "expected the headings elapsed, window, n, min"),
        erlperf("184 Ki    1.21%", "184 us    1.21%", "a timed run's average is no rate"),
        erlperf("Code ", "Timer accuracy problem detected\nCode ", "its timer was inaccurate"),
        erlperf(
            "10 us\n",
            "10 us\nother().  2 30 184 Ki 1.21% 184 Ki 187 Ki 10 us\n",
            "this is a second row",
        ),
    ];
    for (sample, file, from, to, said) in cases {
        let room = room();
        room.replace(file, from, to);
        let answer = import(&room, sample, &[]);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{file}, {to}: {answer:?}");
        assert!(answer.stderr.contains(said), "`{said}` is not in: {}", answer.stderr);
        assert!(answer.stderr.contains(file), "{}", answer.stderr);
        assert!(answer.stderr.contains("; "), "no cure: {}", answer.stderr);
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_or_says_the_same() {
    for sample in [K6, WRK2, HGRM, BASHO_BENCH] {
        let room = room();
        let whole = imported(&room, sample, &[])["metrics"].clone();
        let file = sample.1[0];
        let text = room.text(file);
        for tenth in 0..20 {
            room.bytes(file, &text.as_bytes()[..text.len() * tenth / 20]);
            let answer = import(&room, sample, &[]);
            if answer.code == 0 {
                // Below the last figure stands nothing that matters; a table may end after any row.
                let report: Value = serde_json::from_str(&answer.stdout).unwrap();
                let is_table = file.ends_with(".csv");
                assert!(is_table || report["metrics"] == whole, "{file} at {tenth}");
            }
        }
    }
}

#[test]
fn what_is_no_text_of_a_tool_is_refused() {
    let room = room();
    let huge = vec![b' '; 16 * 1024 * 1024 + 1];
    let kinds: [(&[u8], &str); 5] = [
        (&[], "is empty"),
        (b" \n\n", "is empty"),
        (b"\xff\xfe0\0", "byte order mark"),
        (b"Requests \xf0\x28", "is not UTF-8"),
        (&huge, "is larger than 16777216 bytes"),
    ];
    for (bytes, said) in kinds {
        for sample in [K6, WRK2, HGRM, BASHO_BENCH, ERLPERF] {
            room.bytes(sample.1[0], bytes);
            let answer = import(&room, sample, &[]);
            assert!(
                answer.code == 2 && answer.stderr.contains(said),
                "{sample:?}: {}",
                answer.stderr
            );
        }
    }
    let many: [Sample<'_>; 3] = [
        ("wrk2", &["wrk2.txt", "wrk2.txt"], &[]),
        ("basho_bench", &["basho_bench_summary.csv"], &[]),
        ("basho_bench", &["basho_bench_summary.csv", "basho_bench_summary.csv"], &[]),
    ];
    let room = self::room();
    for sample in many {
        assert_eq!(import(&room, sample, &[]).code, 2, "{sample:?}");
    }
}

#[test]
fn hostile_text_of_a_tool_does_not_reach_the_terminal() {
    let room = room();
    room.replace("erlperf_full.txt", "StdDev", "\u{1b}[31mX");
    let answer = import(&room, ERLPERF, &[]);
    assert!(answer.code == 2 && !answer.stderr.contains('\u{1b}'), "{answer:?}");
    let room = self::room();
    room.replace("erlperf_full.txt", "Intel(R)", "\u{1b}[31m\u{202e}");
    let report = import(&room, ERLPERF, &[]);
    assert!(report.code == 0 && report.stdout.is_ascii() && !report.stdout.contains('\u{1b}'));
}
