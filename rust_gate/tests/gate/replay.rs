//! `check --replay`: the baseline's commit and the candidate, measured in turn.

use crate::common::{Answer, Room, fits_a_terminal, full_of, late_by, pair, remove, set_memory};
use cp1_format::Verdict;
use perf_gate::judge::verdict::decide;
use perf_gate::read::inputs::{self, Files};
use perf_gate::render::so_far;
use perf_gate::render::terminal::{self, Detail, Paint};
use serde_json::{Value, json};

const USUAL: [&str; 4] = ["--candidate", "candidate.json", "--replay", "replay.json"];

/// A replay of so many blocks; the candidate's memory is changed by a percentage, and every block of
/// both sides is spread by up to `spread` percent. Memory, because it needs no histogram.
fn room(blocks: u64, change_pct: f64, spread_pct: f64) -> Room {
    let mut baseline = full_of(3, 25_000);
    baseline["env"]["cpu_model"] = json!("another processor");
    let room = Room::with(&baseline);
    for (name, role, factor, phase) in [
        ("replay.json", "frozen", 1.0, 0_usize),
        ("candidate.json", "candidate", 1.0 + change_pct / 100.0, 3),
    ] {
        let mut report = full_of(blocks, 25_000);
        let spread = |index| ((index + phase) % 7) as f64 / 3.0 - 1.0;
        // -1 to 1 in steps of a third, the same for both sides but in another order.
        set_memory(&mut report, |index| factor * (1.0 + spread(index) * spread_pct / 100.0));
        pair(&mut report, role);
        report["timestamp"] = json!("2026-01-31T13:00:00Z");
        room.json(name, &report);
    }
    room
}

fn check(room: &Room) -> Answer {
    room.check_with(&USUAL)
}

/// The same files judged as a run does it after a block.
fn looked(room: &Room) -> Verdict {
    let inputs = inputs::read(&Files {
        baseline: &room.path("baseline.json"),
        policy: &room.path("policy.json"),
        trusted_ref: None,
        waivers: None,
        candidates: &[room.path("candidate.json")],
        replay: Some(&room.path("replay.json")),
        smoke: false,
    });
    decide(&inputs)
}

/// Whether more blocks are planned and may decide.
fn is_open(room: &Room) -> bool {
    looked(room).decision.is_some_and(|decision| decision.next_look.is_some())
}

fn disturb(room: &Room, file: &str, blocks: &[usize]) {
    room.change(file, |report| {
        for (index, block) in report["blocks"].as_array_mut().unwrap().iter_mut().enumerate() {
            let reasons = if blocks.contains(&index) { vec!["other_cpu_load"] } else { vec![] };
            block["disturbed"] = Value::from(reasons);
        }
    });
}

#[test]
fn equal_blocks_pass_at_the_first_look_whatever_machine_the_baseline_knew() {
    let room = room(9, 0.0, 0.0);
    check(&room).is(
        0,
        &[
            "estimate 0.00 %, bounds open to 0.00 %, must catch +30.00 %",
            "judged on 9 blocks, looks planned after 9, 12, 20",
            "the baseline was measured under other conditions, which the replay makes up for: \
             cpu_model",
        ],
    );
    assert!(!is_open(&room));
}

#[test]
fn what_neither_side_of_a_replay_states_is_the_same_machine_all_the_same() {
    let room = room(9, 0.0, 0.0);
    for file in ["replay.json", "candidate.json"] {
        room.change(file, |report| remove(report, "env.cpu_quota"));
    }
    check(&room).is(0, &["Conditions that neither report states:\n  cpu_quota"]);
    room.set("replay.json", "env.cpu_quota", json!("2"));
    check(&room).is(4, &["cpu_quota  baseline 2  candidate (absent)"]);
}

#[test]
fn a_change_beyond_the_limit_fails_at_the_first_look_that_can() {
    let room = room(12, 40.0, 3.0);
    check(&room).is(1, &["mem_mb_total_erlang", "VIOLATED", "must catch +30.00 %"]);
    assert!(!is_open(&room));
}

#[test]
fn a_change_within_the_limit_passes() {
    check(&room(9, 14.9, 3.0)).is(0, &[]);
}

#[test]
fn a_replay_is_shown_in_short_and_with_what_it_follows_from() {
    let room = room(12, 40.0, 3.0);
    disturb(&room, "candidate.json", &[0]);
    let judged = looked(&room);
    let page =
        |detail| terminal::render(&judged, detail, Paint::Plain, Some("_artifacts/perf_*_1.*"));
    for (name, detail) in [("short", Detail::Short), ("explained", Detail::Explained)] {
        // The directory of a test has another name each time.
        let page = page(detail).replace(&room.path("").display().to_string(), "/room/");
        fits_a_terminal(&page);
        let without_files = page.split("\n\n").filter(|part| !part.starts_with("Judged files:"));
        insta::assert_snapshot!(name, without_files.collect::<Vec<_>>().join("\n\n"));
    }
}

#[test]
fn what_does_not_decide_asks_for_more_blocks_until_the_last_look() {
    // The estimate is within the limit, but as far apart as the blocks are, twice the limit is not
    // ruled out.
    let early = room(9, 10.0, 40.0);
    check(&early).is(3, &["undecided", "next look after 12"]);
    assert!(is_open(&early));
    let last = room(20, 10.0, 60.0);
    check(&last).is(3, &["undecided"]);
    assert!(!is_open(&last));
    // Nor does an estimate beyond the limit decide where no bound is: the stated rate of false
    // alarms holds at the last look too.
    let beyond = room(20, 20.0, 60.0);
    check(&beyond)
        .is(3, &["undecided", "no further blocks are planned; longer blocks or a quieter"]);
    assert!(!is_open(&beyond));
}

#[test]
fn between_looks_it_says_where_the_run_stands_and_decides_nothing() {
    let so_far = |room: &Room| so_far::render(&looked(room));
    // Of six blocks there are no bounds at the levels of the gate.
    let text = so_far(&room(6, 40.0, 3.0));
    let said = "  so far     p95 0.00 %, p99 0.00 %, rps 0.00 %, memory +";
    assert!(text.starts_with(said) && text.lines().count() == 1, "{text}");
    let text = so_far(&room(12, 40.0, 3.0));
    assert!(text.contains("p95 0.00 % (0.00 % to 0.00 %)"), "{text}");
    let late = room(6, 0.0, 0.0);
    late.change("candidate.json", |report| late_by(report, |_| 70));
    assert!(so_far(&late).contains("rps not judged"));
}

#[test]
fn an_absolute_limit_on_a_time_is_not_judged_where_the_time_is_the_machines() {
    let room = room(9, 0.0, 0.0);
    room.change("policy.json", |policy| {
        policy["rules"]["latency_p99_ms"] = json!({"absolute": {"max": 0.000_001}});
        policy["rules"]["errors_total"] = json!({"absolute": {"equals": 0}});
    });
    check(&room).is(1, &["latency_p99_ms"]);
    let late = room;
    late.change("candidate.json", |report| late_by(report, |_| 70));
    check(&late).is(3, &["4 of 6 rules could not be judged"]);
}

#[test]
fn a_late_generator_on_either_side_leaves_everything_open_and_is_no_fault_of_a_file() {
    for (blocks, file, open) in [(9, "replay.json", true), (20, "candidate.json", false)] {
        let room = room(blocks, 40.0, 0.0);
        room.change(file, |report| late_by(report, |_| 70));
        check(&room).is(3, &["4 of 6 rules could not be judged", "rps, mem_mb_total_erlang"]);
        assert_eq!(is_open(&room), open);
    }
}

#[test]
fn blocks_of_which_each_was_disturbed_say_nothing_of_any_relative_rule() {
    let room = room(9, 0.0, 0.0);
    room.change("candidate.json", |report| set_memory(report, |_| 0.5));
    check(&room).is(0, &["improved by"]);
    disturb(&room, "replay.json", &[0, 2, 4, 6, 8]);
    disturb(&room, "candidate.json", &[1, 3, 5, 7]);
    check(&room).is(3, &["every block was disturbed", "4 of 6 rules could not be judged"]);
    assert!(!check(&room).stdout.contains("improved by"), "nor is it an improvement");
    assert!(is_open(&room), "further blocks may be better");
    // An error is one whatever the machine did.
    room.set("policy.json", "rules.errors_total.absolute.equals", json!(1));
    check(&room).is(1, &["errors: 0 is not the required 1"]);
}

/// Multiplies a column of every slice of the candidate, and the block's own figure with it.
fn change_slices(room: &Room, factor: u64) {
    room.change("candidate.json", |report| {
        for block in report["blocks"].as_array_mut().unwrap() {
            for ns in block["latency"]["slices"]["p99_ns"].as_array_mut().unwrap() {
                *ns = json!(ns.as_u64().unwrap() * factor);
            }
            let ms = block["metrics"]["latency_p99_ms"].as_f64().unwrap();
            block["metrics"]["latency_p99_ms"] = json!(ms * factor as f64);
        }
        let ms = report["metrics"]["latency_p99_ms"].as_f64().unwrap();
        report["metrics"]["latency_p99_ms"] = json!(ms * factor as f64);
    });
}

#[test]
fn what_changed_from_slice_to_slice_is_the_change() {
    let room = room(12, 0.0, 0.0);
    change_slices(&room, 2);
    check(&room).is(1, &["1 of 6 rules violated: latency_p99_ms", "estimate +100.00 %"]);
}

#[test]
fn stalls_that_few_slices_have_are_seen_in_whole_blocks() {
    // So many whole blocks have three times the p99, and not a slice's median shows it.
    let with_stalls = |blocks: usize| {
        let room = room(12, 0.0, 0.0);
        room.change("candidate.json", |report| {
            for block in report["blocks"].as_array_mut().unwrap().iter_mut().take(blocks) {
                let p99 = &mut block["latency"]["response_time"]["p99_ns"];
                *p99 = json!(p99.as_u64().unwrap() * 3);
            }
            report.as_object_mut().unwrap().remove("histograms");
        });
        room
    };
    let room = with_stalls(12);
    check(&room).is(
        1,
        &[
            "1 of 6 rules violated: latency_p99_ms",
            "estimate 0.00 %",
            "of whole blocks, all slices together: estimate +200.00 %",
        ],
    );
    // In some blocks only, they do not decide yet, and are no pass either.
    check(&with_stalls(5)).is(
        3,
        &["estimate 0.00 %", "all slices together, the estimate is beyond the limit: estimate +"],
    );
    // The other way round it is no reason for green.
    change_slices(&room, 2);
    room.change("candidate.json", |report| {
        for block in report["blocks"].as_array_mut().unwrap() {
            for percentile in ["p95_ns", "p99_ns"] {
                block["latency"]["response_time"][percentile] = json!(10_000);
            }
        }
    });
    check(&room).is(1, &["latency_p99_ms", "estimate +100.00 %"]);
}

#[test]
fn a_smoke_run_is_judged_once_by_a_plan_of_its_own() {
    let smoke = |room: &Room| room.check_with(&[&USUAL[..], &["--smoke"]].concat());
    let said = "judged on 6 blocks, looks planned after 6; false alarms of the gate: at most 10 %";
    smoke(&room(6, 0.0, 0.0)).is(0, &[said]);
    smoke(&room(6, 40.0, 3.0)).is(1, &[said, "mem_mb_total_erlang"]);
    check(&room(6, 40.0, 3.0)).is(3, &["next look after 9"]);
    let room = room(4, 0.0, 0.0);
    room.set("policy.json", "decision", json!({"smoke": {"blocks": 4, "miss_pct": 20}}));
    smoke(&room).is(0, &["looks planned after 4"]);
}

#[test]
fn an_improvement_is_no_regression_however_large() {
    check(&room(9, -60.0, 3.0))
        .is(0, &["mem_mb_total_erlang improved by 59.60 %", "estimate -60.18 %"]);
}

#[test]
fn leaving_disturbed_blocks_out_never_turns_red_to_green() {
    let red = room(12, 40.0, 3.0);
    disturb(&red, "candidate.json", &[0, 1, 2, 3, 4]);
    disturb(&red, "replay.json", &[]);
    check(&red).is(1, &["5 of 12 blocks of the candidate were disturbed"]);
}

#[test]
fn blocks_that_are_green_only_with_the_disturbed_ones_are_undecided() {
    let room = room(20, 0.0, 0.0);
    let undisturbed = [18, 19];
    disturb(&room, "replay.json", &(0..18).collect::<Vec<_>>());
    disturb(&room, "candidate.json", &[]);
    room.change("candidate.json", |report| {
        for index in undisturbed {
            report["blocks"][index]["memory"]["peak_bytes"] = json!(46_242_202_u64);
            report["blocks"][index]["metrics"]["mem_mb_total_erlang"] =
                json!(46_242_202.0 / 1_048_576.0);
        }
    });
    check(&room).is(3, &["all blocks pass, but the undisturbed ones lie beyond the limit"]);
}

#[test]
fn two_reports_that_are_no_replay_of_the_baseline_are_invalid() {
    let change = |file: &str, path: &str, value: Value, said: &str| {
        let room = room(9, 0.0, 0.0);
        room.set(file, path, value);
        check(&room).is_invalid(&[said]);
    };
    change("replay.json", "pairing.role", json!("candidate"), "the other side of a replay");
    change("candidate.json", "pairing.role", json!("frozen"), "the other side of a replay");
    change("candidate.json", "pairing.seed", json!(2), "come from different runs");
    change(
        "replay.json",
        "pairing.booted_first",
        Value::from(vec![true; 9]),
        "come from different runs",
    );
    change(
        "replay.json",
        "blocks.3.latency.slices.went_first",
        json!([true, true]),
        "taken in turn",
    );
    change("replay.json", "pairing.alive_together", json!(false), "come from different runs");
    change("replay.json", "git.commit", json!("f".repeat(40)), "not the commit");
    change("replay.json", "run.ct_exit_code", json!(1), "did not exit with 0");
    change("replay.json", "run.planted_fault", json!("delay_us=9"), "planted fault");
    change("replay.json", "run.status", json!("failed"), "failed");
    let room = room(9, 0.0, 0.0);
    room.change("candidate.json", |report| {
        report.as_object_mut().unwrap().remove("pairing");
    });
    check(&room).is_invalid(&["is no side of a replay"]);
    std::fs::remove_file(room.path("replay.json")).unwrap();
    check(&room).is_invalid(&["replay.json"]);
}

#[test]
fn a_tree_stands_for_a_commit_that_is_gone() {
    let room = room(9, 0.0, 0.0);
    let tree = json!("e".repeat(40));
    room.set("baseline.json", "git.tree", tree.clone());
    room.set("replay.json", "git.tree", tree);
    room.set("replay.json", "git.commit", json!("f".repeat(40)));
    check(&room).is(0, &[]);
}

#[test]
fn an_absolute_limit_needs_no_statistics() {
    let room = room(9, 0.0, 0.0);
    room.set("policy.json", "rules.errors_total.absolute.equals", json!(1));
    check(&room).is(1, &["errors: 0 is not the required 1"]);
    assert!(!is_open(&room));
}

#[test]
fn the_policy_says_looks_and_what_must_be_caught() {
    let room = room(9, 14.0, 5.0);
    room.set("policy.json", "decision", json!({"must_catch_pct": {"mem_mb_total_erlang": 15.5}}));
    check(&room).is(3, &["must catch +15.50 %", "next look after 12"]);
    room.set("policy.json", "decision", json!({"looks": [4, 9]}));
    check(&room).is(0, &["looks planned after 4, 9"]);
    for (section, place) in [
        (json!({"looks": []}), "decision.looks"),
        (json!({"looks": [8, 8]}), "decision.looks"),
        (json!({"looks": [1]}), "decision.looks"),
        (json!({"looks": [101]}), "decision.looks"),
        (json!({"false_alarm_pct": 0}), "decision.false_alarm_pct"),
        (json!({"miss_pct": 50}), "decision.miss_pct"),
        (json!({"must_catch_pct": {"errors_total": 5}}), "decision.must_catch_pct.errors_total"),
        (json!({"must_catch_pct": {"rps": 10}}), "decision.must_catch_pct.rps"),
        (json!({"must_catch_pct": {"rps": 100}}), "decision.must_catch_pct.rps"),
        (json!({"look": [8]}), "decision.look"),
    ] {
        room.set("policy.json", "decision", section);
        check(&room).is_invalid(&[place]);
    }
}

#[test]
fn a_worse_candidate_never_has_a_better_verdict() {
    let severity = |change_pct: f64| match check(&room(12, change_pct, 20.0)).code {
        0 => 0,
        3 => 1,
        1 => 2,
        other => panic!("{change_pct}: {other}"),
    };
    let verdicts: Vec<_> = (-4..14).map(|step| severity(f64::from(step) * 5.0)).collect();
    assert!(verdicts.is_sorted(), "{verdicts:?}");
    assert_eq!((verdicts.first(), verdicts.last()), (Some(&0), Some(&2)));
}

#[test]
fn neither_the_order_of_the_blocks_nor_who_went_first_changes_the_figures() {
    let room = room(12, 12.0, 9.0);
    let rules = |room: &Room| {
        let answer =
            room.check_with(&[&USUAL[..], &["--artifacts", "out", "--label", "x"]].concat());
        let verdict: Value = serde_json::from_str(&room.text("out/perf_verdict_x.json")).unwrap();
        (answer.code, verdict["rules"].clone())
    };
    let before = rules(&room);
    for file in ["replay.json", "candidate.json"] {
        room.change(file, |report| {
            let blocks = report["blocks"].as_array_mut().unwrap();
            blocks.reverse();
            for (index, block) in blocks.iter_mut().enumerate() {
                block["block"] = json!(index + 1);
            }
            for first in report["pairing"]["booted_first"].as_array_mut().unwrap() {
                *first = json!(!first.as_bool().unwrap());
            }
            report.as_object_mut().unwrap().remove("histograms");
        });
    }
    assert_eq!(rules(&room), before);
}

#[test]
fn a_planted_fault_is_measured_until_it_decides() {
    let early = room(9, 10.0, 40.0);
    early.set("candidate.json", "run.planted_fault", json!("leak_bytes=10"));
    check(&early).is(3, &["next look after 12", "PLANTED FAULT"]);
    assert!(is_open(&early));
    let passing = room(9, 0.0, 0.0);
    passing.set("candidate.json", "run.planted_fault", json!("leak_bytes=10"));
    check(&passing).is(2, &["PLANTED FAULT"]);
}
