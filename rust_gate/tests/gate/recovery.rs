//! How a router comes back from an outage, as a policy limits it: an absent figure is no pass, the others stay as
//! they are, and no report is believed that its windows contradict.

use crate::common;
use crate::common::outages::{AFTER, BEFORE, WINDOW_NS, with_outage};
use crate::common::{Room, full, remove, set};
use serde_json::{Value, json};

fn limit(room: &Room, metric: &str, rule: Value) {
    room.change("policy.json", |policy| policy["rules"][metric] = rule);
}

/// Only the candidate had an outage, of so many windows.
fn room(bad: impl Fn(u64) -> u64) -> Room {
    let room = Room::with(&full());
    room.change("candidate.json", |report| with_outage(report, bad));
    room
}

#[test]
fn an_outage_leaves_the_ordinary_figures_comparable_with_those_of_a_report_without() {
    let said = [
        "recovery_ms is measured, but no rule judges it",
        "requests_lost is measured, but no rule judges it",
        "around outages 150 of 37500 requests were not served: error 150",
    ];
    room(|_| 5).check().is(0, &said);
    let other_way = Room::with(&full());
    other_way.change("baseline.json", |report| with_outage(report, |_| 5));
    other_way.check().is(0, &[]);
}

#[test]
fn both_figures_are_limited_by_themselves_and_the_limit_is_inclusive() {
    for (metric, holds, violated, words) in [
        ("recovery_ms", 250, 249, "250 ms is above the limit of 249 ms"),
        ("requests_lost", 50, 49, "50 is above the limit of 49"),
    ] {
        let room = room(|_| 5);
        limit(&room, metric, json!({"absolute": {"max": holds}}));
        room.check().is(0, &["all 7 rules hold"]);
        limit(&room, metric, json!({"absolute": {"max": violated}}));
        room.check().is(1, &[words, &format!("1 of 7 rules violated: {metric}")]);
    }
}

#[test]
fn an_outage_in_which_nothing_was_lost_holds_to_none() {
    let room = room(|_| 0);
    limit(&room, "requests_lost", json!({"absolute": {"equals": 0}}));
    limit(&room, "recovery_ms", json!({"absolute": {"max": 50}}));
    room.check().is(0, &["all 8 rules hold"]);
}

#[test]
fn a_rule_without_its_figure_is_no_pass_and_says_why() {
    for metric in ["recovery_ms", "requests_lost"] {
        let rule = || json!({"absolute": {"max": 100_000}});
        let unasked = Room::with(&full());
        limit(&unasked, metric, rule());
        unasked.check().is_invalid(&[
            &format!("{metric} was not measured, but a rule judges it: no outage was asked for"),
            "perf-gate run --outage-ms 200 (PERF_OUTAGE_MS)",
        ]);
        let minimal = Room::new();
        limit(&minimal, metric, rule());
        minimal.check().is_invalid(&["no outage was asked for"]);
        let not_offered = Room::with(&full());
        not_offered.set(
            "candidate.json",
            "load.outage",
            json!({"outage_ms": 200, "tolerance_pct": 15}),
        );
        limit(&not_offered, metric, rule());
        not_offered.check().is_invalid(&[
            "in 3 of 3 blocks, of which block 1 is the first, there was no outage",
            "give the adapter an outage/1",
        ]);
    }
}

#[test]
fn a_router_that_did_not_come_back_once_is_no_pass() {
    let said = "in 1 of 3 blocks, of which block 2 is the first, the router had not recovered when the last \
                window ended";
    let room = room(|block| if block == 2 { AFTER } else { 5 });
    room.check().is(0, &[&format!("recovery_ms is not known: {said}")]);
    limit(&room, "recovery_ms", json!({"absolute": {"max": 100_000}}));
    room.check().is_invalid(&[said, "docs/runbook.md"]);
}

#[test]
fn a_rule_about_the_change_needs_an_outage_on_both_sides_and_the_same_one() {
    let rule = || json!({"relative": {"max_pct_increase": 20}});
    let alone = room(|_| 5);
    limit(&alone, "recovery_ms", rule());
    alone.check().is_invalid(&["baseline.json", "recovery_ms is missing, but a relative rule"]);
    let both = room(|_| 5);
    limit(&both, "recovery_ms", rule());
    both.change("baseline.json", |report| with_outage(report, |_| 5));
    both.check().is(0, &["recovery 250 ms 250 ms 0.00 % at most +20 % ok"]);
    both.set("baseline.json", "load.outage.outage_ms", json!(150));
    both.check().is(4, &["load.outage", "150 ms, p95 within +15 %", "200 ms, p95 within +15 %"]);
}

/// In a replay, whose sides have the same outage; nobody asked for one when the baseline was frozen.
#[test]
fn a_router_that_takes_longer_to_come_back_is_a_regression_on_blocks() {
    let room = Room::with(&full());
    for (name, role, windows) in [("replay.json", "frozen", 5), ("candidate.json", "candidate", 10)]
    {
        let mut report = common::full_of(12, 25_000);
        with_outage(&mut report, |block| windows + block % 2);
        common::pair(&mut report, role);
        report["timestamp"] = json!("2026-01-31T13:00:00Z");
        room.json(name, &report);
    }
    let rule = || json!({"relative": {"max_pct_increase": 20}});
    limit(&room, "recovery_ms", rule());
    limit(&room, "requests_lost", rule());
    let check = || room.check_with(&["--candidate", "candidate.json", "--replay", "replay.json"]);
    check().is(1, &["2 of 8 rules violated: recovery_ms, requests_lost", "fails until"]);
    room.change("replay.json", |report| with_outage(report, |block| 10 + block % 2));
    check().is(0, &["all 8 rules hold"]);
}

#[test]
fn what_contradicts_its_windows_is_refused() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 10] = [
        ("blocks[0].metrics.recovery_ms", |report| {
            set(report, "blocks.0.metrics.recovery_ms", json!(50));
        }),
        ("blocks[0].metrics.requests_lost", |report| {
            set(report, "blocks.0.metrics.requests_lost", json!(1));
        }),
        ("metrics.recovery_ms", |report| set(report, "metrics.recovery_ms", json!(50))),
        ("metrics.requests_lost", |report| remove(report, "metrics.requests_lost")),
        ("blocks[0].recovery.windows", |report| {
            set(report, "blocks.0.recovery.windows.21.ok", json!(250));
        }),
        ("blocks[0].recovery.windows", |report| {
            remove(report, "blocks.0.recovery.windows.21.p95_ns");
        }),
        ("blocks[0].recovery", |report| {
            set(report, "blocks.0.recovery.outage_ended_ns", json!(WINDOW_NS * BEFORE));
        }),
        ("blocks[0].recovery", |report| {
            set(report, "blocks.0.recovery.tolerance_pct", json!(1000));
        }),
        ("blocks[0].recovery", |report| remove(report, "load.outage")),
        ("blocks[0].recovery", |report| remove(report, "blocks.0.accounting.recovery")),
    ];
    for (place, change) in changes {
        let room = room(|_| 5);
        room.change("candidate.json", change);
        room.check().is_invalid(&["candidate.json", place]);
    }
}

#[test]
fn requests_around_an_outage_that_do_not_add_up_are_refused() {
    let room = room(|_| 5);
    room.set("candidate.json", "blocks.1.accounting.recovery.error", json!(49));
    room.check().is_invalid(&["blocks[1].accounting.recovery", "offered is not ok + error"]);
}

#[test]
fn every_format_shows_what_an_outage_cost() {
    let room = room(|_| 5);
    limit(&room, "recovery_ms", json!({"absolute": {"max": 100}}));
    limit(&room, "requests_lost", json!({"absolute": {"max": 1000}}));
    room.check_with(&["--candidate", "candidate.json", "--artifacts", "out", "--label", "x"])
        .is(1, &["recovery - 250 ms - at most 100 VIOLATED", "lost - 50 - at most 1000 ok"]);
    let mut formats = 0;
    for file in std::fs::read_dir(room.path("out")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        if text.contains("latency_p95_ms") || text.contains("latency_p95_seconds") {
            let named = |name: &str| text.contains(name);
            assert!(named("recovery_ms") || named("recovery_seconds"), "{path:?}");
            assert!(named("requests_lost"), "{path:?}");
            formats += 1;
        }
    }
    assert!(formats >= 6, "{formats}");
    for (format, name) in [
        ("csv", "recovery_ms"),
        ("json-lines", "recovery_ms"),
        ("openmetrics", "recovery_seconds"),
        ("github-action-benchmark", "recovery_ms"),
        ("bmf", "recovery_ms"),
    ] {
        let exported = room.run(&["export", "--format", format, "candidate.json"]);
        assert_eq!(exported.code, 0, "{exported:?}");
        assert!(exported.stdout.contains(name), "{format}: {}", exported.stdout);
        assert!(exported.stdout.contains("requests_lost"), "{format}: {}", exported.stdout);
    }
}
