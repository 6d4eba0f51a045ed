//! Frozen rounds judged with error rates, and what says how large those are: `simulate`, `plan`,
//! `selftest`, `tally`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::path::Path;

use common::{Room, full_of, minimal, set_memory};
use cp1_format::parse;
use perf_gate::decision::{Ruling, decide, held};
use perf_gate::statistics::Ranks;
use serde_json::{Value, json};

const FILES: [&str; 4] = ["--baseline", "baseline.json", "--policy", "policy.json"];

/// -1 to 1 in steps of a third.
fn spread(index: usize) -> f64 {
    (index % 7) as f64 / 3.0 - 1.0
}

/// A baseline of three sessions of four rounds each, the second of which has other memory; and a
/// candidate of eight rounds.
fn sessions(session_pct: f64, candidate_pct: f64) -> Room {
    let mut baseline = full_of(12, 25_000);
    set_memory(&mut baseline, |index| {
        let session = if (4..8).contains(&index) { session_pct } else { 0.0 };
        1.0 + (session + spread(index)) / 100.0
    });
    let at = |hour: u32| json!({"timestamp": format!("2026-01-31T{hour:02}:00:00Z"), "rounds": 4});
    baseline["sessions"] = json!([at(10), at(11), at(12)]);
    let room = Room::with(&baseline);
    let mut candidate = full_of(8, 25_000);
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
fn frozen_rounds_of_sessions_that_agree_are_judged_with_error_rates() {
    sessions(0.0, 0.0).check().is(
        0,
        &["judged on 8 rounds against 12 frozen ones", "false alarms of the gate: at most 1 %"],
    );
    sessions(0.0, 40.0).check().is(1, &["judged on 8 rounds", "1 of 6 rules violated: mem_mb"]);
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
    let room = sessions(0.0, 20.0);
    // The same eight rounds as baseline of three sessions, and as frozen side of a replay.
    let mut baseline = full_of(8, 25_000);
    set_memory(&mut baseline, |index| 1.0 + spread(index) / 100.0);
    let mut replay = baseline.clone();
    let at = |hour: u32, rounds: u32| json!({"timestamp": format!("2026-01-31T{hour:02}:00:00Z"), "rounds": rounds});
    baseline["sessions"] = json!([at(10, 3), at(11, 3), at(12, 2)]);
    room.json("baseline.json", &baseline);
    let frozen = rules(&room, &[]);
    for (report, role) in [(&mut replay, "frozen"), (&mut json!(null), "candidate")] {
        let first = role == "frozen";
        let pairing = json!({"role": role, "seed": 1, "went_first": vec![first; 8]});
        if first {
            report["pairing"] = pairing;
            room.json("replay.json", report);
        } else {
            room.set("candidate.json", "pairing", pairing);
        }
    }
    assert_eq!(rules(&room, &["--replay", "replay.json"]), frozen);
    assert_eq!(frozen[3]["judgement"], "violated");
}

#[test]
fn simulated_gates_keep_the_rates_that_the_policy_states() {
    let room = Room::with(&full_of(8, 25_000));
    let noise = ["--spread", "8", "--spikes", "10", "--session", "5", "--gates", "1000"];
    let answer = room.run(&[&["simulate"], &FILES[..], &noise].concat());
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
    // Cells: planted, change, PASS, REGRESSION, INCONCLUSIVE, pairs.
    let nothing = line("nothing");
    assert!(share(nothing, 3) <= 1.0, "{nothing}");
    assert!(share(nothing, 4) <= 5.0, "{nothing}");
    for metric in ["latency_p95_ms", "latency_p99_ms", "rps", "mem_mb_total_erlang"] {
        let twice = line(metric);
        assert!(share(twice, 3) >= 99.0, "{twice}");
    }
    let again = room.run(&[&["simulate"], &FILES[..], &noise].concat());
    assert_eq!(again.stdout, answer.stdout, "the same seed gives the same table");
}

#[test]
fn a_loud_machine_costs_answers_and_not_false_alarms() {
    let room = Room::with(&full_of(8, 25_000));
    let noise = ["--spread", "80", "--spikes", "10", "--session", "5", "--gates", "1000"];
    let answer = room.run(&[&["simulate"], &FILES[..], &noise].concat());
    let nothing = answer.stdout.lines().find(|line| line.starts_with("nothing")).unwrap();
    // Planted, change, PASS, REGRESSION, INCONCLUSIVE, pairs.
    let cells: Vec<_> = nothing.split_whitespace().filter(|cell| *cell != "%").collect();
    let share = |column: usize| cells[column].parse::<f64>().unwrap();
    assert!(share(3) <= 1.0, "the stated rate of false alarms, at the last look too: {nothing}");
    assert!(share(4) >= 90.0, "{nothing}");
}

/// Gates with one metric whose limit is 15 %, at a round spread of 8 % with 10 % spiked rounds:
/// share that ended wrong or open, and mean pairs.
fn gates(effect_pct: f64, ranks: fn(usize, f64, f64) -> Ranks, is_paired: bool) -> (f64, f64) {
    const GATES: usize = 1000;
    let criteria = held(&parse(Path::new("p"), common::policy().to_string().as_bytes()).unwrap())
        .first()
        .unwrap()
        .criteria;
    let looks =
        [8, 12, 20, 30].map(|pairs| (pairs, ranks(pairs, criteria.false_alarm, criteria.miss)));
    let effect = (1.0 + effect_pct / 100.0).ln();
    let wanted = if effect_pct == 0.0 { Ruling::Pass } else { Ruling::Fail };
    let mut random = fastrand::Rng::with_seed(1);
    let (mut wrong, mut pairs) = (0, 0);
    for _ in 0..GATES {
        let mut round = || {
            // The sum of twelve uniform numbers is close to normal, with a variance of 1.
            let normal = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
            let spike = if random.f64() < 0.1 { -0.3 * (1.0 - random.f64()).ln() } else { 0.0 };
            0.08 * normal + spike
        };
        let (mut baseline, mut candidate) = (Vec::new(), Vec::new());
        for (number, (look, ranks)) in looks.iter().enumerate() {
            while baseline.len() < *look {
                baseline.push(round());
                candidate.push(round() + effect);
            }
            let shift = match is_paired {
                true => ranks.paired(&baseline, &candidate),
                false => ranks.unpaired(&baseline, &candidate),
            };
            let ruling = decide(&shift, &criteria);
            if ruling != Ruling::Undecided || number + 1 == looks.len() {
                wrong += usize::from(ruling != wanted);
                pairs += look;
                break;
            }
        }
    }
    (wrong as f64 / GATES as f64, pairs as f64 / GATES as f64)
}

#[test]
fn pairs_are_decided_sooner_by_mann_whitney_than_by_signed_rank() {
    for effect_pct in [0.0, 30.0] {
        let unpaired =
            gates(effect_pct, |n, low, high| Ranks::mann_whitney(n, n, low, high), false);
        let paired = gates(effect_pct, Ranks::signed_rank, true);
        eprintln!(
            "change {effect_pct} %: Mann-Whitney {:.1} pairs, {:.1} % not as it should be; \
             signed-rank {:.1} pairs, {:.1} %",
            unpaired.1,
            unpaired.0 * 100.0,
            paired.1,
            paired.0 * 100.0
        );
        assert!(unpaired.1 < paired.1, "{unpaired:?} {paired:?}");
        assert!(unpaired.0 <= 0.01, "{unpaired:?}");
    }
}

#[test]
fn rounds_of_a_quiet_machine_need_few_pairs_and_those_of_a_loud_one_more() {
    let room = sessions(0.0, 0.0);
    let plan = |room: &Room| room.run(&[&["plan"], &FILES[..]].concat());
    let quiet = plan(&room);
    assert_eq!(quiet.code, 0, "{}", quiet.stderr);
    assert!(quiet.stdout.contains("after 30 pairs, is enough"), "{}", quiet.stdout);
    room.change("baseline.json", |report| set_memory(report, |index| 1.0 + spread(index) * 0.7));
    let loud = plan(&room);
    assert!(loud.stdout.contains("not enough") || loud.stdout.contains("no number"), "{loud:?}");
}

#[test]
fn noise_takes_rounds_to_know() {
    for command in ["simulate", "plan"] {
        let answer = Room::with(&full_of(3, 25_000)).run(&[&[command], &FILES[..]].concat());
        assert_eq!(answer.code, 2);
        assert!(answer.stderr.contains("3 rounds"), "{}", answer.stderr);
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
    let room = Room::new();
    room.set("policy.json", "rules.errors_total", json!({"absolute": {"min": 0}}));
    let answer = selftest(&room);
    assert_eq!(answer.code, 2, "{}", answer.stdout);
    assert!(answer.stderr.contains("errors_total"), "{}", answer.stderr);
}

#[test]
fn nothing_is_planted_into_what_cannot_be_judged() {
    let room = Room::new();
    room.set("candidate.json", "run.ct_exit_code", json!(1));
    let answer = selftest(&room);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("the candidate itself is INVALID"), "{}", answer.stderr);
}

#[test]
fn verdicts_are_counted_with_their_intervals() {
    let room = Room::with(&minimal());
    for label in ["a", "b", "c"] {
        room.check_with(&["--candidate", "candidate.json", "--artifacts", "out", "--label", label]);
    }
    room.set("candidate.json", "metrics.rps", json!(1000));
    room.check_with(&["--candidate", "candidate.json", "--artifacts", "out", "--label", "d"]);
    let answer = room.run(&["tally", "out"]);
    for line in ["4 gates", "PASS                      3     75.0 %   19.4 to 99.4 %"] {
        assert!(answer.stdout.contains(line), "{}", answer.stdout);
    }
    let empty = room.run(&["tally", "."]);
    assert!(empty.code == 2 && empty.stderr.contains("run the gates first"), "{empty:?}");
    let figure = room.run(&["figure", "--report", "candidate.json", "rps"]);
    assert_eq!(figure.stdout, "1000\n");
}
