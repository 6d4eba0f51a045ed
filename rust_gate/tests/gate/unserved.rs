//! A share of requests that were not served, and that the baseline served, is no pass.

use crate::common::{Answer, Room, full, full_of, late_by, minimal, pair, set};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Lets so many further requests of a loop end so, block by block, in the sum too.
fn unserved(report: &mut Value, phase: &str, outcome: &str, of_block: impl Fn(usize) -> u64) {
    let mut sum = 0;
    let add = |accounting: &mut Value, count: u64| {
        for key in [outcome, "offered"] {
            let before = accounting[phase][key].as_u64().unwrap();
            accounting[phase][key] = json!(before + count);
        }
    };
    for (index, block) in report["blocks"].as_array_mut().unwrap().iter_mut().enumerate() {
        sum += of_block(index);
        add(&mut block["accounting"], of_block(index));
    }
    add(&mut report["accounting"], sum);
}

fn rejecting(room: &Room, file: &str, of_block: impl Fn(usize) -> u64) {
    room.change(file, |report| unserved(report, "throughput", "rejected", of_block));
}

/// A replay of so many blocks.
fn replay(blocks: u64) -> Room {
    let room = Room::with(&full_of(3, 25_000));
    for (name, role) in [("replay.json", "frozen"), ("candidate.json", "candidate")] {
        let mut report = full_of(blocks, 25_000);
        pair(&mut report, role);
        room.json(name, &report);
    }
    room
}

fn check(room: &Room) -> Answer {
    let files = ["--candidate", "candidate.json", "--replay", "replay.json"];
    room.check_with(&[&files[..], &["--artifacts", "out", "--label", "one"]].concat())
}

#[test]
fn a_router_that_refuses_a_fifth_of_all_requests_is_no_pass() {
    for (phase, said) in [("throughput", "closed loop"), ("latency", "open loop")] {
        let room = Room::with(&full());
        room.change("candidate.json", |report| unserved(report, phase, "rejected", |_| 12_500));
        let further = ["--candidate", "candidate.json", "--artifacts", "out", "--label", "one"];
        let answer = room.check_with(&further);
        answer.is(1, &[&format!("requests that the baseline served: rejected in the {said}")]);
        for text in [answer.stdout, room.text("out/perf_summary_one.md")] {
            for part in ["Requests that were not served", "37,500 of", "VIOLATED", "has none"] {
                assert!(text.contains(part), "{part} is not in {text}");
            }
        }
        let verdict: Value = serde_json::from_str(&room.text("out/perf_verdict_one.json")).unwrap();
        assert_eq!(verdict["unserved"][0]["phase"], json!(phase));
        assert_eq!(verdict["unserved"][0]["outcome"], json!("rejected"));
        assert_eq!(verdict["unserved"][0]["judgement"], json!("violated"));
    }
}

#[test]
fn one_in_ten_thousand_is_tolerated_and_shown_and_one_more_is_not() {
    let room = Room::with(&full_of(1, 25_000));
    room.change("candidate.json", |report| unserved(report, "throughput", "rejected", |_| 5));
    room.check().is(0, &["rejected, closed loop", "5 of 50,005 (0.01 %)"]);
    room.change("candidate.json", |report| unserved(report, "throughput", "rejected", |_| 1));
    room.check().is(1, &["6 of 50,006"]);
}

#[test]
fn a_router_that_sheds_load_as_ever_passes_and_one_that_sheds_more_does_not() {
    // From 16 to 24 percent, in another order on either side.
    let spread = |phase: usize| move |index: usize| 10_000 + 1000 * ((index + phase) % 5) as u64;
    let room = replay(12);
    rejecting(&room, "replay.json", spread(0));
    rejecting(&room, "candidate.json", spread(2));
    check(&room).is(0, &["rejected, closed loop"]);
    rejecting(&room, "candidate.json", |_| 10_000);
    check(&room).is(1, &["rejected, closed loop: it grew, from block to block, beyond its noise"]);
}

#[test]
fn what_more_than_doubles_is_open_until_the_blocks_decide() {
    // Before the first look that can be red.
    let few = replay(9);
    rejecting(&few, "replay.json", |_| 100);
    rejecting(&few, "candidate.json", |_| 10_000);
    check(&few).is(3, &["next look after 12", "it is open for requests rejected in the closed"]);
    // A burst in one block of many: no block-wise change, and more than double.
    let burst = replay(12);
    rejecting(&burst, "replay.json", |index| u64::from(index == 3) * 1000);
    rejecting(&burst, "candidate.json", |index| u64::from(index == 4) * 4000);
    check(&burst).is(3, &["more than doubled"]);
}

#[test]
fn what_only_disturbed_blocks_show_is_not_the_routers() {
    let room = replay(12);
    rejecting(&room, "candidate.json", |index| u64::from(index == 4) * 4000);
    check(&room).is(1, &["the baseline has none"]);
    room.change("candidate.json", |report| {
        for (index, block) in report["blocks"].as_array_mut().unwrap().iter_mut().enumerate() {
            block["disturbed"] = if index == 4 { json!(["host_stall"]) } else { json!([]) };
        }
    });
    check(&room).is(3, &["without the disturbed blocks it is not seen"]);
    let late = replay(12);
    late.change("candidate.json", |report| {
        late_by(report, |_| 70);
        unserved(report, "latency", "skipped", |_| 1000);
    });
    check(&late).is(3, &["skipped, open loop", "not judged"]);
}

#[test]
fn skipped_arrivals_of_a_generator_in_time_are_the_routers() {
    let room = replay(12);
    room.change("candidate.json", |report| unserved(report, "latency", "skipped", |_| 1000));
    check(&room).is(1, &["requests that the baseline served: skipped in the open loop"]);
}

#[test]
fn errors_are_judged_by_their_rule_and_without_one_by_their_share() {
    let room = Room::with(&full_of(1, 25_000));
    room.change("candidate.json", |report| {
        unserved(report, "latency", "timeout", |_| 4);
        for path in ["blocks.0.metrics.errors_total", "metrics.errors_total"] {
            set(report, path, json!(4));
        }
        set(report, "blocks.0.errors.driver", json!(4));
    });
    room.check().is(1, &["1 of 6 rules violated: errors_total;", "by errors_total"]);
    room.set("policy.json", "rules.errors_total", json!({"absolute": {"max": 4}}));
    room.check().is(0, &["timeout, open loop", "by errors_total"]);
    room.change("policy.json", |policy| {
        policy["rules"].as_object_mut().unwrap().remove("errors_total");
    });
    room.check().is(1, &["requests that the baseline served: timeout in the open loop"]);
}

#[test]
fn a_baseline_that_does_not_account_for_its_requests_leaves_a_share_open() {
    let room = Room::new();
    let outcomes = |rejected: u64| {
        json!({"offered": 50_000, "ok": 50_000 - rejected, "error": 0, "timeout": 0,
            "rejected": rejected, "skipped": 0})
    };
    let accounting = json!({"throughput": outcomes(10_000), "latency": outcomes(0)});
    room.set("candidate.json", "accounting", accounting.clone());
    room.check().is(3, &["baseline.json, accounting", "20 % of the candidate's were", "cure: "]);
    room.set("baseline.json", "accounting", accounting);
    room.check().is(0, &["10,000 of 50,000 (20 %)"]);
    assert!(!Room::with(&minimal()).check().stdout.contains("not served"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_share_beyond_the_tolerance_passes_where_the_baseline_has_none(
        counts in prop::collection::vec(0u64..2000, 3), phase in prop::sample::select(vec!["throughput", "latency"]),
    ) {
        let room = Room::with(&full());
        let sum: u64 = counts.iter().sum();
        room.change("candidate.json", |report| {
            unserved(report, phase, "rejected", |index| counts[index]);
        });
        let offered = if phase == "throughput" { 150_000 } else { 75_000 } + sum;
        prop_assert_eq!(room.check().code != 0, sum * 10_000 > offered);
    }
}
