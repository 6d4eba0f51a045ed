//! Frozen blocks judged with error rates, and what says how large those are: `simulate`, `plan`,
//! `selftest`.

use crate::common;
use crate::common::{Room, full_of, pair, set_memory};
use serde_json::{Value, json};

const FILES: [&str; 4] = ["--baseline", "baseline.json", "--policy", "policy.json"];
const POLICY: [&str; 2] = ["--policy", "policy.json"];

/// -1 to 1 in steps of a third.
fn spread(index: usize) -> f64 {
    (index % 7) as f64 / 3.0 - 1.0
}

/// A baseline of three sessions of four blocks each, the second of which has other memory; and a
/// candidate of nine blocks.
fn sessions(session_pct: f64, candidate_pct: f64) -> Room {
    let mut baseline = full_of(12, 25_000);
    set_memory(&mut baseline, |index| {
        let session = if (4..8).contains(&index) { session_pct } else { 0.0 };
        1.0 + (session + spread(index)) / 100.0
    });
    let at = |hour: u32| json!({"timestamp": format!("2026-01-31T{hour:02}:00:00Z"), "blocks": 4});
    baseline["sessions"] = json!([at(10), at(11), at(12)]);
    let room = Room::with(&baseline);
    let mut candidate = full_of(9, 25_000);
    candidate["timestamp"] = json!("2026-01-31T13:00:00Z");
    set_memory(&mut candidate, |index| 1.0 + (candidate_pct + spread(index)) / 100.0);
    room.json("candidate.json", &candidate);
    room
}

fn rules(room: &Room, more: &[&str]) -> Value {
    let usual = ["--candidate", "candidate.json", "--artifacts", "out", "--label", "x"];
    room.check_with(&[&usual[..], more].concat());
    let verdict: Value = serde_json::from_str(&room.text("out/perf_verdict_x.json")).unwrap();
    verdict["rules"].clone()
}

#[test]
fn frozen_blocks_of_sessions_that_agree_are_judged_with_error_rates() {
    sessions(0.0, 0.0).check().is(
        0,
        &["judged on 9 blocks against 12 frozen ones", "false alarms of the gate: at most 1 %"],
    );
    sessions(0.0, 40.0).check().is(1, &["judged on 9 blocks", "1 of 6 rules violated: mem_mb"]);
}

#[test]
fn sessions_that_disagree_give_no_error_rate() {
    let answer = sessions(6.0, 0.0).check();
    answer.is(0, &["mem_mb_total_erlang differs by 3.8 % between the baseline's sessions"]);
    assert!(!answer.stdout.contains("judged on"), "{}", answer.stdout);
    let one = sessions(0.0, 0.0);
    one.change("baseline.json", |report| {
        report.as_object_mut().unwrap().remove("sessions");
    });
    one.check().is(0, &["come from 1 session, and 3 are needed", "no error rate can be given"]);
}

#[test]
fn frozen_and_replay_agree_when_nothing_differs() {
    let room = sessions(0.0, 5.0);
    // The same nine blocks as baseline of three sessions, and as frozen side of a replay.
    let mut baseline = full_of(9, 25_000);
    set_memory(&mut baseline, |index| 1.0 + spread(index) / 100.0);
    let mut replay = baseline.clone();
    let at = |hour: u32, blocks: u32| json!({"timestamp": format!("2026-01-31T{hour:02}:00:00Z"), "blocks": blocks});
    baseline["sessions"] = json!([at(10, 3), at(11, 3), at(12, 3)]);
    room.json("baseline.json", &baseline);
    let frozen = rules(&room, &[]);
    pair(&mut replay, "frozen");
    room.json("replay.json", &replay);
    room.change("candidate.json", |report| pair(report, "candidate"));
    let replayed = rules(&room, &["--replay", "replay.json"]);
    for index in 0..6 {
        assert_eq!(replayed[index]["judgement"], frozen[index]["judgement"]);
        // The one is the median of changes, the other of differences over all pairs.
        let estimate = |rules: &Value| rules[index]["on_blocks"]["estimate_pct"].as_f64();
        let (paired, apart) =
            (estimate(&replayed).unwrap_or(0.0), estimate(&frozen).unwrap_or(0.0));
        assert!((paired - apart).abs() < 0.5, "{paired} {apart}");
    }
}

#[test]
fn simulated_gates_keep_the_rates_that_the_policy_states() {
    let room = Room::with(&full_of(9, 25_000));
    let noise = ["--spread", "4", "--spikes", "2", "--gates", "1000"];
    let answer = room.run(&[&["simulate"], &POLICY[..], &noise].concat());
    let share = |line: &str, column: usize| -> f64 {
        let cells: Vec<_> = line.split_whitespace().filter(|cell| *cell != "%").collect();
        cells[column].parse().unwrap()
    };
    let line = |start: &str| {
        let mut lines = answer.stdout.lines().rev();
        lines
            .find(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("{start}: {}", answer.stdout))
    };
    // Cells: planted, change, PASS, REGRESSION, INCONCLUSIVE, blocks.
    let nothing = line("nothing");
    assert!(share(nothing, 3) <= 1.0, "{nothing}");
    assert!(share(nothing, 4) <= 5.0, "{nothing}");
    for metric in ["latency_p95_ms", "latency_p99_ms", "rps", "mem_mb_total_erlang"] {
        let twice = line(metric);
        assert!(share(twice, 3) >= 99.0, "{twice}");
    }
    let again = room.run(&[&["simulate"], &POLICY[..], &noise].concat());
    assert_eq!(again.stdout, answer.stdout, "the same seed gives the same table");
}

#[test]
fn a_loud_machine_costs_answers_and_not_false_alarms() {
    let room = Room::with(&full_of(9, 25_000));
    let noise = ["--spread", "80", "--spikes", "10", "--gates", "1000"];
    let answer = room.run(&[&["simulate"], &POLICY[..], &noise].concat());
    let nothing = answer.stdout.lines().find(|line| line.starts_with("nothing")).unwrap();
    // Planted, change, PASS, REGRESSION, INCONCLUSIVE, blocks.
    let cells: Vec<_> = nothing.split_whitespace().filter(|cell| *cell != "%").collect();
    let share = |column: usize| cells[column].parse::<f64>().unwrap();
    assert!(share(3) <= 1.0, "the stated rate of false alarms, at the last look too: {nothing}");
    assert!(share(4) >= 90.0, "{nothing}");
}

#[test]
fn a_quiet_machine_needs_few_blocks_and_a_loud_one_more() {
    let room = sessions(0.0, 0.0);
    let plan = |room: &Room| room.run(&[&["plan"], &FILES[..]].concat());
    let quiet = plan(&room);
    assert_eq!(quiet.code, 0, "{}", quiet.stderr);
    assert!(quiet.stdout.contains("after 20 blocks, is enough"), "{}", quiet.stdout);
    room.change("baseline.json", |report| set_memory(report, |index| 1.0 + spread(index) * 0.7));
    let loud = plan(&room);
    assert!(loud.stdout.contains("not enough") || loud.stdout.contains("no number"), "{loud:?}");
}

#[test]
fn gates_are_drawn_from_replays_with_either_sign_and_as_they_were_measured() {
    let room = sessions(0.0, 25.0);
    let mut replay = full_of(9, 25_000);
    set_memory(&mut replay, |index| 1.0 + spread(index) / 100.0);
    room.json("replay.json", &replay);
    let simulate = |more: &[&str]| {
        let usual = ["--replay", "replay.json", "--candidate", "candidate.json", "--gates", "200"];
        room.run(&[&["simulate"], &POLICY[..], &usual, more].concat())
    };
    let flipped = simulate(&[]);
    assert!(flipped.stdout.contains("9 blocks of replays with either sign"), "{flipped:?}");
    // The candidate's memory is a quarter larger in every block.
    let measured = simulate(&["--as-measured"]);
    let line = measured.stdout.lines().find(|line| line.starts_with("what was measured")).unwrap();
    let cells: Vec<_> = line.split_whitespace().filter(|cell| *cell != "%").collect();
    // Three words of what was planted, then PASS, REGRESSION, INCONCLUSIVE.
    assert_eq!(cells[3..6], ["0.00", "100.00", "0.00"], "{line}");
    let memory = measured.stdout.lines().find(|line| line.starts_with("mem_mb")).unwrap();
    assert!(memory.contains("+25.0") && memory.ends_with("over 9 blocks"), "{memory}");
    let apart = room.run(&[
        "simulate",
        "--policy",
        "policy.json",
        "--replay",
        "replay.json",
        "--replay",
        "replay.json",
        "--candidate",
        "candidate.json",
    ]);
    assert!(apart.code == 2 && apart.stderr.contains("2 reports as --replay"), "{apart:?}");
}

#[test]
fn noise_takes_blocks_to_know() {
    for command in ["simulate", "plan"] {
        let answer = Room::with(&full_of(3, 25_000)).run(&[&[command], &FILES[..]].concat());
        assert_eq!(answer.code, 2);
        assert!(answer.stderr.contains("3 blocks"), "{}", answer.stderr);
    }
}

fn selftest(room: &Room) -> common::Answer {
    room.run(&[&["selftest"], &FILES[..], &["--candidate", "candidate.json"]].concat())
}

#[test]
fn every_rule_turns_red_just_past_its_limit_and_green_when_improved() {
    for room in [Room::new(), Room::with(&full_of(3, 25_000)), sessions(0.0, 3.0)] {
        let answer = selftest(&room);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        let count = |word: &str| answer.stdout.lines().filter(|line| line.ends_with(word)).count();
        assert_eq!((count("red"), count("green")), (6, 6), "{}", answer.stdout);
    }
}

#[test]
fn a_policy_that_cannot_fail_is_an_error() {
    for (metric, min, said) in [
        ("errors_total", json!(0), "rules.errors_total"),
        ("rps", json!(1e-9), "rps: no figure violates this rule"),
    ] {
        let room = Room::new();
        let rule = format!("rules.{metric}");
        room.set("policy.json", &rule, json!({"absolute": {"min": min}}));
        let answer = selftest(&room);
        assert_eq!(answer.code, 2, "{}", answer.stdout);
        assert!(answer.stderr.contains(said), "{}", answer.stderr);
    }
}

#[test]
fn nothing_is_planted_into_what_cannot_be_judged() {
    let room = Room::new();
    room.set("candidate.json", "run.ct_exit_code", json!(1));
    let answer = selftest(&room);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("the candidate itself is INVALID"), "{}", answer.stderr);
}
