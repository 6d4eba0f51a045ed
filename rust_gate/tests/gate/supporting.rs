//! What stands beside the rules and is not judged: figures of the blocks, and why requests failed.

use std::path::Path;

use crate::common;
use crate::common::{Room, full};
use cp1_format::{Report, parse};
use perf_gate::escape::{code, plain};
use perf_gate::judge::failures;
use serde_json::{Value, json};

/// Changes each block of a report, given its index.
fn each_block(report: &mut Value, change: impl Fn(u64, &mut Value)) {
    for (index, block) in (0..).zip(report["blocks"].as_array_mut().unwrap()) {
        change(index, block);
    }
}

#[test]
fn figures_beside_the_rules_are_medians_over_blocks_and_of_the_largest_the_largest() {
    let room = Room::with(&full());
    room.change("candidate.json", |report| {
        each_block(report, |index, block| {
            let latency = &mut block["latency"];
            latency["service_time"]["p95_ns"] = json!(600_000 + 1000 * index);
            latency["service_time"]["p99_ns"] = json!(650_000 + 1000 * index);
            latency["dispatch_lag"]["p95_ns"] = json!(9000 + 1000 * index);
            latency["dispatch_lag"]["p99_ns"] = json!(20_000 + 1000 * index);
            latency["response_time"]["p999_ns"] = json!(1_200_000 + 100_000 * index);
            latency["response_time"]["max_ns"] = json!(12_000_000 + 1_000_000 * index);
            block["idle_cpu_pct"] = json!(0.25 + 0.5 * index as f64);
        });
    });
    // The baseline has less: an absent figure is no 0.
    room.change("baseline.json", |report| {
        each_block(report, |index, block| {
            block["latency"]["service_time"]["p95_ns"] = json!(500_000 + 1000 * index);
        });
    });
    let further = ["--candidate", "candidate.json", "--artifacts", "out", "--label", "one"];
    let answer = room.check_with(&further);
    answer.is(0, &["Beside them:"]);
    insta::assert_snapshot!("terminal", answer.stdout);
    insta::assert_snapshot!("markdown", room.text("out/perf_summary_one.md"));
    let verdict: Value = serde_json::from_str(&room.text("out/perf_verdict_one.json")).unwrap();
    let max = json!({"name": "whole blocks max", "unit": "ms", "candidate": 14});
    assert_eq!(verdict["supporting"][7], max);
}

#[test]
fn without_figures_beside_the_rules_there_is_no_table() {
    let answer = Room::new().check();
    assert!(!answer.stdout.contains("Beside them:"), "{}", answer.stdout);
}

fn reason(outcome: &str, reason: &str, count: u64, sample: &str) -> Value {
    json!({"outcome": outcome, "reason": reason, "count": count, "sample": sample})
}

/// The notices of a report with these reasons in its first blocks.
fn notices(reasons: &[Value]) -> Vec<String> {
    let mut report = full();
    for (block, reasons) in report["blocks"].as_array_mut().unwrap().iter_mut().zip(reasons) {
        block["reasons"] = reasons.clone();
    }
    let report: Report = parse(Path::new("r"), report.to_string().as_bytes()).unwrap();
    failures::notices(&report).into_iter().map(|notice| notice.0).collect()
}

#[test]
fn reasons_are_summed_over_blocks_and_the_most_frequent_come_first() {
    let said = notices(&[
        json!([
            reason("timeout", "timeout", 1, "timeout"),
            reason("error", "no_route", 12, "{no_route,<<\"x\">>}"),
            reason("rejected", "overload", 2, "overload"),
        ]),
        json!([
            reason("error", "no_route", 7, "{no_route,<<\"y\">>}"),
            reason("rejected", "no_route", 3, "no_route"),
        ]),
    ]);
    assert_eq!(
        said,
        [
            "19 errors: no_route, for example {no_route,<<\"x\">>}",
            "3 rejections: no_route, for example no_route",
            "2 rejections: overload, for example overload",
            "1 timeout: timeout, for example timeout",
        ]
    );
    assert_eq!(notices(&[]), [""; 0]);
}

#[test]
fn of_many_kinds_the_rest_is_counted() {
    let kinds: Vec<_> = (1..=8).map(|n| reason("error", &format!("kind{n}"), n, "x")).collect();
    let said = notices(&[Value::from(kinds)]);
    assert_eq!(said.len(), 6);
    assert_eq!(said[0], "8 errors: kind8, for example x");
    assert_eq!(said[5], "and 3 more kinds of failures");
    let endless = reason("error", "e", u64::MAX, "x");
    let said = notices(&[json!([endless]), json!([endless])]);
    assert!(said[0].starts_with("18446744073709551615 errors"), "{said:?}");
}

#[test]
fn a_hostile_sample_steers_neither_terminal_nor_comment_and_is_clipped() {
    let hostile = "\u{1b}[31m\u{1b}]0;x\u{7}\n## PASS\n`` | <img src=x> [a](http://b) \u{202e}@all";
    let long = hostile.repeat(100);
    for (name, sample) in [("one", hostile), ("two", long.as_str())] {
        let said = notices(&[json!([reason("error", sample, 1, sample)])]);
        let [said] = said.as_slice() else { panic!("{said:?}") };
        // 200 of the reason, 200 of the sample, two ellipses, and the words between.
        assert!(said.chars().count() <= 450, "{name}: {said}");
        let shown = plain(said);
        assert!(shown.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{name}: {shown:?}");
        assert!(!code(said).contains(['\n', '|', '<']), "{name}: {}", code(said));
    }

    let room = Room::with(&full());
    let lines = |room: &Room| {
        let further = ["--candidate", "candidate.json", "--artifacts", "out", "--label", "one"];
        let answer = room.check_with(&further);
        assert!(!answer.stdout.contains('\u{1b}'), "{}", answer.stdout);
        let comment = room.text("out/perf_summary_one.md");
        assert!(!comment.contains("\n## PASS"), "{comment}");
        comment.lines().count()
    };
    let with = |sample: &str| {
        room.set("candidate.json", "blocks.0.reasons", json!([reason("error", "e", 1, sample)]));
        lines(&room)
    };
    assert_eq!(with("harmless"), with(hostile));
}

/// Gives each block a series in which a class grows by so many bytes at each of 15 samples.
fn grow(report: &mut Value, name: &str, step: impl Fn(u64, u64) -> u64) {
    let blocks = report["blocks"].as_array().unwrap().len() as u64;
    let series = (0..blocks).map(|index| {
        let mut bytes = 1_000_000;
        let values: Vec<_> = (0..=15)
            .map(|sample| {
                bytes += step(index, sample);
                bytes
            })
            .collect();
        let time_ms: Vec<_> = (0..=15).map(|sample| sample * 400).collect();
        json!({"block": index + 1, "name": name, "unit": "byte", "time_ms": time_ms, "values": values})
    });
    report["series"] = series.collect();
}

#[test]
fn memory_that_grows_with_requests_is_told_by_class_and_what_settles_is_not() {
    // 25,000 requests in the 5,023 ms that are sampled after the closed loop: some 1,991 in 400 ms.
    let told = |blocks: u64, name: &str, step: &dyn Fn(u64, u64) -> u64| {
        let room = Room::with(&common::full_of(blocks, 25_000));
        room.change("candidate.json", |report| grow(report, name, step));
        let answer = room.check();
        assert_eq!(answer.stdout.contains("growth of"), answer.stdout.contains("grows steadily"));
        answer.stdout
    };
    // 9 bytes a request in the middle, and in one block but 4: less than a word cannot be excluded.
    let unsure = told(8, "memory_ets", &|index, _| 18_000 - u64::from(index == 0) * 10_000);
    assert!(!unsure.contains("growth of"), "{unsure}");
    let sure = told(8, "memory_ets", &|_, _| 18_000);
    assert!(sure.contains("growth of ETS"), "{sure}");
    // By block a little more or less.
    let leak = |index, _| 199_000 + index * 100;
    let text = told(8, "memory_ets", &leak);
    assert!(text.contains("growth of ETS"), "{text}");
    assert!(text.contains("ETS: memory grows steadily with requests: 100."), "{text}");
    for class in ["processes_used", "binary", "total"] {
        assert!(told(8, &format!("memory_{class}"), &leak).contains("growth of"), "{class}");
    }
    for (why, text) in [
        ("heaps that settle", told(8, "memory_ets", &|_, sample| 1_000_000 >> sample)),
        ("one jump", told(8, "memory_ets", &|_, sample| u64::from(sample == 10) * 9_000_000)),
        ("flat", told(8, "memory_ets", &|_, _| 0)),
        ("every second block", told(8, "memory_ets", &|index, _| index % 2 * 199_000)),
        ("too few blocks for an interval", told(5, "memory_ets", &leak)),
        ("no class that leaks", told(8, "memory_code", &leak)),
        ("less than a word a request", told(8, "memory_ets", &|_, _| 7 * 1991)),
    ] {
        assert!(!text.contains("growth of"), "{why}: {text}");
    }
}
