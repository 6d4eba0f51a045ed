//! What stands beside the rules and is not judged: figures of the blocks, and why requests failed.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::path::Path;

use common::{Room, full};
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
        (answer.stdout.lines().count(), comment.lines().count())
    };
    let with = |sample: &str| {
        room.set("candidate.json", "blocks.0.reasons", json!([reason("error", "e", 1, sample)]));
        lines(&room)
    };
    assert_eq!(with("harmless"), with(hostile));
}
