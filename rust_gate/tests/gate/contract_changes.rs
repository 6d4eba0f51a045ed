//! `freeze`, `bump`, `amend`, `rollback`: what they write, and everything that they refuse.

use crate::common;
use crate::common::repository::{ANSWERS, Repository};
use crate::common::{late_by, remove, set, set_memory};
use perf_gate::contract::{Contract, digest, list, sound};
use perf_gate::judge::compare::Named;
use serde_json::{Value, json};

/// Every block of every session.
fn each_block(report: &mut Value, change: impl Fn(&mut Value)) {
    report["blocks"].as_array_mut().unwrap().iter_mut().for_each(change);
}

/// The same router in another amount of memory.
fn with_memory(repository: &Repository, factor: f64) {
    repository.sessions(|_, report| {
        report["git"]["commit"] = json!("89abcdef0123456789abcdef0123456789abcdef");
        set_memory(report, |block| factor * (1.0 + (block % 3) as f64 / 1000.0));
    });
}

#[test]
fn a_freeze_writes_a_baseline_of_all_sessions_and_the_record_that_has_its_digest() {
    let repository = Repository::new();
    repository.sessions(|_, _| {});
    let answer = repository.change("freeze", &[]);
    repository.done(&answer);
    assert!(answer.stdout.contains("git commit --message='perf: freeze 0001'"), "{answer:?}");
    let baseline: Value = serde_json::from_str(&repository.text("perf/baseline_cp1.json")).unwrap();
    assert_eq!(baseline["blocks"].as_array().unwrap().len(), 21);
    assert_eq!(baseline["blocks"][20]["block"], 21);
    assert_eq!(baseline["histograms"][20]["block"], 21);
    assert_eq!(baseline["load"]["blocks"], 21);
    let sessions = json!([
        {"timestamp": "2026-02-01T12:00:00Z", "blocks": 7},
        {"timestamp": "2026-02-02T12:00:00Z", "blocks": 7},
        {"timestamp": "2026-02-03T12:00:00Z", "blocks": 7}
    ]);
    assert_eq!(baseline["sessions"], sessions);
    let record = repository.text(&repository.record(1));
    assert!(record.starts_with("```json\n{\n"), "{record}");
    assert!(record.contains("| latency_p95_ms | - | 0."), "{record}");
    assert!(record.contains("> Customers asked for framing"), "{record}");
    repository.is_kept(&[]);

    // What was frozen can be judged against, and passes against itself.
    let root = repository.path("perf");
    let (baseline, policy) = (root.join("baseline_cp1.json"), root.join("policy_cp1.json"));
    let files = ["--baseline", baseline.to_str().unwrap(), "--policy", policy.to_str().unwrap()];
    let answer =
        repository.room.run(&[&["check"], &files[..], &["--candidate", "s1.json"]].concat());
    answer.is(0, &["judged on 7 blocks against 21 frozen ones"]);
}

#[test]
fn the_order_in_which_sessions_are_named_is_irrelevant() {
    let one = Repository::new();
    one.sessions(|_, _| {});
    one.done(&one.change("freeze", &[]));
    let other = Repository::new();
    other.sessions(|_, _| {});
    let named = ["freeze", "--session", "s2.json", "--session", "s0.json", "--session", "s1.json"];
    other.done(&other.gate(&[&named[..], &ANSWERS].concat()));
    assert_eq!(one.text("perf/baseline_cp1.json"), other.text("perf/baseline_cp1.json"));
}

#[test]
fn what_is_no_sound_measurement_is_not_frozen() {
    type Plant = fn(usize, &mut Value);
    let planted: [(&str, Plant); 21] = [
        ("the work tree was not clean", |_, report| set(report, "git.dirty", json!(true))),
        ("the work tree was not clean", |_, report| remove(report, "git.dirty")),
        ("errors_total is 3", |_, report| {
            for place in ["metrics", "blocks.0.metrics"] {
                set(report, &format!("{place}.errors_total"), json!(1));
            }
            set(report, "blocks.0.errors.router", json!(1));
        }),
        ("backpressure_active_total is 3", |_, report| {
            for place in ["metrics", "blocks.0.metrics"] {
                set(report, &format!("{place}.backpressure_active_total"), json!(1));
            }
            set(report, "blocks.0.backpressure.router", json!(1));
        }),
        ("6 of 21 blocks were disturbed", |_, report| {
            set(report, "blocks.0.disturbed", json!(["cpu_stolen"]));
            set(report, "blocks.3.disturbed", json!(["cpu_stolen"]));
        }),
        ("nobody looked at the machine", |_, report| remove(report, "blocks.6.disturbed")),
        ("planted fault", |_, report| set(report, "run.planted_fault", json!("delay_us=9"))),
        ("run.planted_fault differs from", |session, report| {
            if session == 1 {
                set(report, "run.planted_fault", json!("delay_us=9"));
            }
        }),
        ("exited with 1", |session, report| {
            set(report, "run.ct_exit_code", json!(i32::from(session == 1)));
        }),
        ("did not finish", |_, report| set(report, "run.status", json!("unfinished"))),
        ("did not finish", |session, report| {
            set(report, "run.status", json!(["complete", "failed"][session % 2]));
        }),
        ("the load generator's own lateness (70 % of it)", |_, report| late_by(report, |_| 70)),
        ("mem_mb_total_erlang was not measured", |_, report| {
            remove(report, "metrics.mem_mb_total_erlang");
            each_block(report, |block| remove(block, "metrics.mem_mb_total_erlang"));
        }),
        ("this is the session of", |_, report| {
            set(report, "timestamp", json!("2026-02-01T12:00:00Z"))
        }),
        ("env differs from", |session, report| {
            set(report, "env.cpu_model", json!(["Xeon", "Epyc"][session % 2]));
        }),
        ("git differs from", |session, report| {
            let commit = format!("{session}").repeat(40);
            set(report, "git.commit", json!(commit));
        }),
        ("load differs from", |session, report| {
            set(report, "load.latency_ms", json!(5000 + session));
        }),
        ("arrivals were skipped", |_, report| {
            for place in ["accounting", "blocks.0.accounting"] {
                set(report, &format!("{place}.latency.skipped"), json!(1));
                let offered = &mut report
                    .pointer_mut(&format!("/{}/latency/offered", place.replace('.', "/")))
                    .unwrap();
                **offered = json!(offered.as_u64().unwrap() + 1);
            }
        }),
        ("the first halves of the sessions do not pass", |_, report| {
            set_memory(report, |block| if block < 3 { 1.0 } else { 1.4 });
        }),
        ("24 blocks as noisy as these would do", |_, report| {
            set_memory(report, |block| if block < 3 { 1.0 } else { 1.25 });
        }),
        ("is made of sessions already", |_, report| {
            report["sessions"] = json!([{"timestamp": "2026-02-01T12:00:00Z", "blocks": 7}]);
        }),
    ];
    for (said, plant) in planted {
        let repository = Repository::new();
        repository.sessions(plant);
        repository.refused(&repository.change("freeze", &[]), said);
    }
}

#[test]
fn too_few_sessions_or_blocks_or_samples_are_not_frozen() {
    let repository = Repository::new();
    repository.sessions(|_, _| {});
    let two = ["freeze", "--session", "s0.json", "--session", "s1.json"];
    let answer = repository.gate(&[&two[..], &ANSWERS].concat());
    repository.refused(&answer, "2 sessions, and 3 are needed");
    repository.refused(&answer, "14 blocks, and 20 are needed");
    repository.sessions(|session, report| {
        let timestamp = report["timestamp"].clone();
        *report = common::full_of(7, 19_999);
        report["timestamp"] = timestamp;
        report["git"]["dirty"] = json!(session > 9);
    });
    repository.refused(&repository.change("freeze", &[]), "19999");
}

/// Sessions of a router that has no such counters, under a policy with this as its `gate`.
fn without_counters(counters: &[&str], gate: &Value) -> Repository {
    let repository = Repository::new();
    let text = repository.text("perf/policy_cp1.json");
    let mut policy: Value = serde_json::from_str(&text).unwrap();
    for counter in ["errors_total", "backpressure_active_total"] {
        remove(&mut policy, &format!("rules.{counter}"));
    }
    policy["gate"] = gate.clone();
    repository.write("perf/policy_cp1.json", &policy.to_string());
    repository.commit("policy");
    repository.sessions(|_, report| lacks(report, counters));
    repository
}

fn lacks(report: &mut Value, counters: &[&str]) {
    for counter in counters {
        remove(report, &format!("metrics.{counter}"));
        each_block(report, |block| {
            remove(block, &format!("metrics.{counter}"));
            let of_router = counter.split('_').next().unwrap();
            remove(block, &format!("{of_router}.router"));
        });
    }
}

#[test]
fn a_counter_that_the_policy_says_the_router_does_not_have_is_not_missed_and_any_other_is() {
    let (errors, backpressure) = ("errors_total", "backpressure_active_total");
    let named = |counters: &[&str]| json!({"not_offered": counters});
    let repository = without_counters(&[backpressure], &named(&[backpressure]));
    repository.done(&repository.change("freeze", &[]));
    repository.commit("freeze");
    repository.is_kept(&[]);
    let root = repository.path("perf");
    let (baseline, policy) = (root.join("baseline_cp1.json"), root.join("policy_cp1.json"));
    let files = ["--baseline", baseline.to_str().unwrap(), "--policy", policy.to_str().unwrap()];
    let check = [&["check"], &files[..], &["--candidate", "s1.json"]].concat();
    repository.room.run(&check).is(0, &["backpressure_active_total is not judged"]);
    repository.sessions(|_, report| {
        lacks(report, &[backpressure]);
        report["git"]["commit"] = json!("89abcdef0123456789abcdef0123456789abcdef");
        set_memory(report, |block| 0.8 * (1.0 + (block % 3) as f64 / 1000.0));
    });
    repository.done(&repository.change("bump", &["--reason", "improvement"]));
    repository.commit("bump");
    repository.is_kept(&[]);
    let neither = without_counters(&[errors, backpressure], &named(&[errors, backpressure]));
    neither.done(&neither.change("freeze", &[]));
    let refused = [
        (vec![backpressure], named(&[]), "backpressure_active_total was not measured"),
        (vec![backpressure], named(&[errors]), "backpressure_active_total was not measured"),
        (vec![errors, backpressure], named(&[backpressure]), "errors_total was not measured"),
        (
            vec![backpressure],
            json!({"require_all_metrics_present": false}),
            "backpressure_active_total was not measured",
        ),
        (
            vec![],
            named(&[backpressure]),
            "backpressure_active_total is there, and the policy says that the router has none",
        ),
    ];
    for (counters, gate, said) in refused {
        let repository = without_counters(&counters, &gate);
        repository.refused(&repository.change("freeze", &[]), said);
    }
}

#[test]
fn a_second_freeze_is_refused() {
    let repository = Repository::frozen();
    repository.refused(&repository.change("freeze", &[]), "there is a baseline already");
    repository.git(&["rm", "--quiet", "perf/baseline_cp1.json"]);
    repository.git(&["commit", "--quiet", "--message=remove"]);
    repository
        .refused(&repository.change("freeze", &[]), "there are records of a baseline already");
}

#[test]
fn answers_that_are_none_are_refused() {
    let repository = Repository::frozen();
    with_memory(&repository, 1.1);
    for (option, answer, said) in [
        ("--what", "", "the answer is empty"),
        ("--why-acceptable", "TODO: say why this is acceptable to everyone", "a placeholder"),
        ("--why-policy-holds", "It is fine.", "fewer than 6 different words"),
        ("--why-policy-holds", ANSWERS[3], "it repeats another answer"),
        (
            "--what",
            "Bell \u{7} rings in every terminal that shows this record",
            "control characters",
        ),
        ("--artifact", "ftp://example.org/x", "no https:// link and no file"),
        ("--artifact", "no/such/file.json", "no https:// link and no file"),
    ] {
        let mut answers = ANSWERS.to_vec();
        let at = answers.iter().position(|text| *text == option).unwrap();
        answers[at + 1] = answer;
        let bump = [
            "bump",
            "--reason",
            "trade-off",
            "--session",
            "s0.json",
            "--session",
            "s1.json",
            "--session",
            "s2.json",
        ];
        repository.refused(&repository.gate(&[&bump[..], &answers].concat()), said);
    }
}

#[test]
fn a_session_says_on_its_own_whether_a_baseline_can_have_it() {
    let reasons = |plant: fn(usize, &mut Value)| {
        let repository = Repository::new();
        repository.sessions(plant);
        let policy = Contract::at(&repository.path("")).policy().unwrap();
        let document = cp1_format::read_file(&repository.room.path("s0.json")).unwrap();
        list(&sound::of_session(Named { path: "s0.json", document: &document }, &policy))
    };
    assert_eq!(reasons(|_, _| {}), "");
    // Two of seven blocks may still be made up for by other sessions; four not.
    assert_eq!(reasons(|_, report| disturbed(report, 2)), "");
    let said = reasons(|_, report| disturbed(report, 4));
    assert!(said.contains("4 of 7 blocks were disturbed"), "{said}");
    let said = reasons(|_, report| set(report, "git.dirty", json!(true)));
    assert!(said.contains("git.dirty"), "{said}");
}

/// Disturbs so many blocks from the first.
fn disturbed(report: &mut Value, blocks: usize) {
    for (index, block) in report["blocks"].as_array_mut().unwrap().iter_mut().enumerate() {
        block["disturbed"] = json!(if index < blocks { vec!["other_cpu_load"] } else { vec![] });
    }
}

#[test]
fn a_bump_needs_the_reason_that_its_figures_show() {
    let repository = Repository::frozen();
    let bump = |reason| repository.change("bump", &["--reason", reason]);
    with_memory(&repository, 1.0);
    repository.refused(&bump("improvement"), "no metric became better beyond the noise");
    repository.refused(&bump("trade-off"), "nothing was traded");
    repository.refused(&bump("correction"), "nothing was corrected");

    repository.sessions(|_, report| set(report, "env.cpu_model", json!("Epyc")));
    repository.refused(&bump("trade-off"), "different conditions: cpu_model");
    repository.refused(&bump("improvement"), "different conditions: cpu_model");
    repository.done(&bump("correction"));
    repository.commit("correct");

    // One metric better, another worse beyond its limit.
    repository.sessions(|_, report| {
        set(report, "env.cpu_model", json!("Epyc"));
        report["git"]["commit"] = json!("89abcdef0123456789abcdef0123456789abcdef");
        set_memory(report, |block| 0.9 * (1.0 + (block % 3) as f64 / 1000.0));
        each_block(report, |block| {
            let duration = block["throughput"]["duration_ns"].as_u64().unwrap() * 2;
            block["throughput"]["duration_ns"] = json!(duration);
            for of_slice in block["throughput"]["slices"]["duration_ns"].as_array_mut().unwrap() {
                *of_slice = json!(of_slice.as_u64().unwrap() * 2);
            }
            block["metrics"]["rps"] = json!(50_000.0 / (duration as f64 / 1e9));
        });
        let mut rps: Vec<_> = report["blocks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block["metrics"]["rps"].as_f64().unwrap())
            .collect();
        rps.sort_by(f64::total_cmp);
        report["metrics"]["rps"] = json!(rps[3]);
    });
    repository.refused(&bump("improvement"), "rps became worse beyond its limit");
    repository.done(&bump("trade-off"));
    repository.commit("trade");
    repository.is_kept(&[]);
    let record = repository.text(&repository.record(3));
    assert!(record.contains("\"kind\": \"trade_off\""), "{record}");
    assert!(record.contains("| -10.00 % |") || record.contains("| -10 % |"), "{record}");
}

#[test]
fn a_bump_on_a_broken_contract_is_refused() {
    let repository = Repository::frozen();
    with_memory(&repository, 0.8);
    repository.edit("perf/baseline_cp1.json", "\"Xeon\"", "\"Epyc\"");
    repository.commit("edit");
    let answer = repository.change("bump", &["--reason", "improvement"]);
    repository.refused(&answer, "the baseline is not the one that record 0001 ended with");
}

#[test]
fn nothing_is_written_unless_all_of_it_can_be() {
    let repository = Repository::frozen();
    with_memory(&repository, 0.8);
    // A directory cannot be replaced by a file.
    let bumps = repository.path("perf/bumps");
    let before = std::fs::read_dir(&bumps).unwrap().count();
    let baseline = repository.text("perf/baseline_cp1.json");
    std::fs::rename(&bumps, repository.path("perf/elsewhere")).unwrap();
    std::os::unix::fs::symlink("/dev/null/none", &bumps).unwrap();
    let answer = repository.change("bump", &["--reason", "improvement"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert_eq!(repository.text("perf/baseline_cp1.json"), baseline);
    std::fs::remove_file(&bumps).unwrap();
    std::fs::rename(repository.path("perf/elsewhere"), &bumps).unwrap();
    assert_eq!(std::fs::read_dir(&bumps).unwrap().count(), before);
}

#[test]
fn bumps_that_add_up_stop_at_the_cap_of_the_policy() {
    let repository = Repository::new();
    let mut policy = common::policy();
    policy["budget"] = json!({"max_pct": {"mem_mb_total_erlang": 15}});
    repository.write("perf/policy_cp1.json", &common::repository::pretty(&policy));
    repository.sessions(|_, _| {});
    repository.done(&repository.change("freeze", &[]));
    repository.commit("freeze");
    with_memory(&repository, 1.1);
    repository.done(&repository.change("bump", &["--reason", "trade-off"]));
    repository.commit("bump");
    with_memory(&repository, 1.21);
    let answer = repository.change("bump", &["--reason", "trade-off"]);
    repository.refused(&answer, "made mem_mb_total_erlang worse by 21.00 %");

    let answer = repository.gate(&["budget", "--candidate", "s0.json"]);
    repository.done(&answer);
    let line = answer.stdout.lines().find(|line| line.starts_with("mem_mb_total_erlang")).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(
        cells,
        [
            "mem_mb_total_erlang",
            "+15",
            "%",
            "67",
            "%",
            "of",
            "it",
            "+10.00",
            "%",
            "0.00",
            "%",
            "+15",
            "%"
        ],
        "{answer:?}"
    );
}

#[test]
fn a_change_of_the_policy_has_a_record_of_its_own_kind() {
    let repository = Repository::frozen();
    let amend = || repository.gate(&[&["amend"], &ANSWERS[..]].concat());
    repository.refused(&amend(), "the policy is the recorded one");
    repository.edit("perf/policy_cp1.json", "\"max_pct_increase\": 20", "\"max_pct_increase\": 25");
    repository.is_broken(&[], &["the policy is not the one that the last record ended with"]);
    repository.done(&amend());
    repository.commit("amend");
    repository.is_kept(&[]);
    let record = repository.text(&repository.record(2));
    assert!(
        record
            .contains("looser: rules.latency_p99_ms.relative.max_pct_increase: 20 before, 25 now")
    );
    assert!(record.contains("\"kind\": \"policy\""));
    // The other way the figures stand in the order of time too.
    let policy = repository.text("perf/policy_cp1.json");
    let mut policy: serde_json::Value = serde_json::from_str(&policy).unwrap();
    common::set(&mut policy, "rules.latency_p99_ms.relative.max_pct_increase", json!(19));
    policy["rules"]["rps"]["absolute"] = json!({"min": 100});
    policy["decision"] = json!({"miss_pct": 0.5, "must_catch_pct": {"rps": 15}});
    policy["budget"] = json!({"max_pct": {"rps": 30}});
    repository.write("perf/policy_cp1.json", &policy.to_string());
    repository.done(&amend());
    repository.commit("amend");
    let record = repository.text(&repository.record(3));
    for said in [
        "rules.latency_p99_ms.relative.max_pct_increase: 25 before, 19 now",
        "rules.rps.absolute.min: the limit is new",
        "decision.miss_pct: 1 before, 0.5 now",
        "decision: rps must be caught at a decrease of 15 %, 20 % before",
        "budget.max_pct.rps: the cap is new",
    ] {
        assert!(record.contains(&format!("tighter: {said}")), "{said}: {record}");
    }
}

#[test]
fn a_rollback_goes_back_by_a_new_record() {
    let repository = Repository::frozen();
    let first = repository.text("perf/baseline_cp1.json");
    with_memory(&repository, 0.8);
    repository.done(&repository.change("bump", &["--reason", "improvement"]));
    repository.commit("bump");
    let rollback = |number| repository.gate(&[&["rollback", number], &ANSWERS[..]].concat());
    repository.refused(&rollback("7"), "there is no record 0007");
    repository.refused(&rollback("2"), "the baseline is that of record 0002");
    repository.done(&rollback("1"));
    repository.commit("roll back");
    repository.is_kept(&[]);
    assert_eq!(repository.text("perf/baseline_cp1.json"), first);
    let record = repository.text(&repository.record(3));
    assert!(record.contains("\"back_to\": 1"), "{record}");
    assert!(record.contains("The baseline is that of record 0001 again."), "{record}");
}

/// A repository whose baseline this gate cannot read, because an earlier gate froze it.
fn frozen_by_an_earlier_gate() -> Repository {
    const BASELINE: &str = "perf/baseline_cp1.json";
    let repository = Repository::frozen();
    let is = || digest::of_json(&repository.text(BASELINE)).unwrap().to_string();
    let before = is();
    repository.edit(BASELINE, "\"version\": 3", "\"version\": 1");
    repository.edit(&repository.record(1), &before, &is());
    repository.git(&["commit", "--quiet", "--all", "--amend", "--no-edit"]);
    repository
}

#[test]
fn only_a_correction_moves_a_baseline_of_an_earlier_format() {
    let repository = frozen_by_an_earlier_gate();
    let base = repository.git(&["rev-parse", "HEAD"]);
    let only = "the baseline is of an earlier format, so only a correction can move it";
    repository.is_broken(&[], &[only, "perf-gate bump --reason correction"]);

    // Even where the figures would bear the reason out.
    with_memory(&repository, 0.8);
    let bump = |reason| repository.change("bump", &["--reason", reason]);
    repository.refused(&bump("improvement"), only);
    repository.refused(&bump("trade-off"), only);
    repository.refused(&repository.gate(&[&["rollback", "1"], &ANSWERS[..]].concat()), only);
    repository.refused(&repository.gate(&[&["amend"], &ANSWERS[..]].concat()), only);

    repository.done(&bump("correction"));
    repository.commit("correct");
    repository.is_kept(&["--against", &base]);
    let head = |number| -> Value {
        let text = repository.text(&repository.record(number));
        let json = text.strip_prefix("```json\n").unwrap().split_once("\n```\n").unwrap().0;
        serde_json::from_str(json).unwrap()
    };
    let (frozen, corrected) = (head(1), head(2));
    assert_eq!(corrected["kind"], "correction");
    assert_eq!(corrected["metrics_before"], frozen["metrics_after"]);
    assert_eq!(corrected["baseline"]["before"], frozen["baseline"]["after"]);

    let back = repository.gate(&[&["rollback", "1"], &ANSWERS[..]].concat());
    repository.refused(&back, "the baseline of record 0001 is of an earlier format");
    assert!(!back.stderr.contains("cp1_report of version"), "a dump: {}", back.stderr);
}

#[test]
fn an_unreadable_baseline_that_no_record_vouches_for_is_not_of_an_earlier_format() {
    let repository = frozen_by_an_earlier_gate();
    with_memory(&repository, 1.0);
    repository.edit("perf/baseline_cp1.json", "\"Xeon\"", "\"Epyc\"");
    repository.commit("edit");
    let answer = repository.change("bump", &["--reason", "correction"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("failed to read the report"), "{answer:?}");
    assert_eq!(repository.git(&["status", "--porcelain"]), "", "something was written");
    repository.is_broken(&[], &["this is not a cp1_report of version 3"]);
}

#[test]
fn a_rollback_in_a_shallow_clone_says_how_to_deepen_it() {
    let repository = Repository::frozen();
    with_memory(&repository, 0.8);
    repository.done(&repository.change("bump", &["--reason", "improvement"]));
    repository.commit("bump");
    let url = format!("file://{}", repository.path("").display());
    common::repository::git(
        &repository.room.path("."),
        &["clone", "--quiet", "--depth=1", &url, "shallow"],
    );
    let shallow = repository.room.path("shallow");
    let rollback = ["rollback", "1", "--root", shallow.to_str().unwrap()];
    let answer = repository.room.run(&[&rollback[..], &ANSWERS].concat());
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("git fetch --unshallow"), "{answer:?}");
}
