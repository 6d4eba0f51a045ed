//! `merge`: one report of machines that share no cluster; what it is, what it is judged as, and what is refused.

use crate::common;
use crate::common::machines::{SAMPLES, histogram, machine, times};
use crate::common::nodes::with_nodes;
use crate::common::outages::with_outage;
use crate::common::repository::Repository;
use crate::common::{Answer, Room, answered, full_of, minimal, pair, policy, remove, set, watched};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Machines 1 to 3 in `m1.json` to `m3.json`.
/// What somebody does to a block.
type Edit = fn(&mut Value);

fn room() -> Room {
    let room = Room::new();
    (1..=3).for_each(|number| room.json(&format!("m{number}.json"), &machine(number, 3, 1.0)));
    room
}

/// Judges a report against a copy of itself.
fn against_itself(room: &Room, file: &str) -> Answer {
    room.bytes("frozen.json", room.text(file));
    let files = ["check", "--explain", "--baseline", "frozen.json", "--policy", "policy.json"];
    room.run(&[&files[..], &["--candidate", file]].concat())
}

fn merge(room: &Room, files: &[&str], output: &str) -> Answer {
    room.run(&[&["merge", "--routers", "each", "--output", output], files].concat())
}

#[track_caller]
fn merged(room: &Room, files: &[&str], output: &str) -> Value {
    let answer = merge(room, files, output);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{answer:?}");
    serde_json::from_str(&room.text(output)).unwrap()
}

/// It refused, said this with a cure, and wrote nothing.
#[track_caller]
fn refused(room: &Room, answer: &Answer, said: &[&str]) {
    assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{said:?}: {answer:?}");
    for text in said {
        assert!(answer.stderr.contains(text), "`{text}` is not in:\n{}", answer.stderr);
    }
    assert!(!room.path("merged.json").exists(), "{said:?}: it was written");
}

#[test]
fn requests_rates_memory_and_distributions_of_two_machines_are_added_block_by_block() {
    let room = room();
    let report = merged(&room, &["m1.json", "m2.json"], "merged.json");
    common::fits("report", &report);
    for number in 1..=3u64 {
        let block = &report["blocks"][number as usize - 1];
        let union = histogram(&[times(1, number, 1.0), times(2, number, 1.0)].concat());
        let response = &block["latency"]["response_time"];
        assert_eq!(response["count"], 2 * SAMPLES);
        for (key, quantile) in
            [("p50_ns", 0.5), ("p95_ns", 0.95), ("p99_ns", 0.99), ("p999_ns", 0.999)]
        {
            assert_eq!(response[key], union.value_at_quantile(quantile), "{key}");
        }
        let p99_ms = union.value_at_quantile(0.99) as f64 / 1e6;
        assert_eq!(block["metrics"]["latency_p99_ms"].as_f64(), Some(p99_ms));
        assert_eq!(block["accounting"]["latency"]["ok"], 2 * SAMPLES);
        assert_eq!(block["accounting"]["throughput"]["offered"], 100_000);
        assert_eq!(block["memory"]["peak_bytes"], 2 * (33_030_144 + number * 4096));
        let rate = 2.0 * 50_000.0 / ((976_562_500 + number * 1_000_003) as f64 / 1e9);
        let rps = block["metrics"]["rps"].as_f64().unwrap();
        assert!((rps / rate - 1.0).abs() < 1e-9, "{rps} is not {rate}");
        for absent in ["evidence", "warmup", "vm", "idle_cpu_pct"] {
            assert!(block.get(absent).is_none(), "{absent}");
        }
        assert!(block["latency"].get("slices").is_none());
        assert!(block["throughput"].get("slices").is_none());
        // No report has its distribution, so nothing is known of its tail.
        assert_eq!(block["latency"]["service_time"]["count"], 2 * SAMPLES);
        assert!(block["latency"]["service_time"].get("p99_ns").is_none());
        assert_eq!(block["machines"].as_array().unwrap().len(), 2);
    }
    assert_eq!(report["accounting"]["latency"]["ok"], 3 * 2 * SAMPLES);
    let load = &report["load"];
    assert_eq!((&load["rate_per_second"], &load["concurrency"]), (&json!(10_000), &json!(16)));
    assert!(load.get("seed").is_none(), "each machine has its own");
    assert_eq!(report["merged"]["machines"][1]["load"]["seed"], 2);
    assert_eq!(report["timestamp"], "2026-01-31T12:00:01Z");
    for absent in ["diagnostics", "series", "pairing", "sessions"] {
        assert!(report.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn neither_the_order_of_reports_nor_their_grouping_changes_a_byte() {
    let room = room();
    let of = |files: &[&str], output: &str| {
        merged(&room, files, output);
        room.text(output)
    };
    let all = of(&["m1.json", "m2.json", "m3.json"], "all.json");
    assert_eq!(all, of(&["m3.json", "m1.json", "m2.json"], "other.json"));
    of(&["m2.json", "m3.json"], "two.json");
    assert_eq!(all, of(&["two.json", "m1.json"], "grouped.json"));
    of(&["m3.json", "m1.json"], "others.json");
    assert_eq!(all, of(&["m2.json", "others.json"], "grouped_otherwise.json"));
}

#[test]
fn the_answer_tells_which_machine_is_which_and_one_report_comes_from_standard_input() {
    let room = room();
    let usual = ["merge", "--routers", "each", "--output", "merged.json", "--format", "json"];
    let answer = room.run_on(&room.text("m1.json"), &[&usual[..], &["m2.json", "-"]].concat());
    let told = answered("merge", &answer, 0);
    assert_eq!(told["machines"][0]["file"], "standard input");
    assert_eq!(told["machines"][1]["file"], "m2.json");
    assert_eq!((&told["together_pct"], &told["blocks"]), (&json!(98), &json!(3)));
    assert_eq!((&told["absent"], &told["notes"]), (&json!([]), &json!([])));
    let text = merge(&room, &["m2.json", "m3.json"], "text.json");
    for line in ["  machine 1: m2.json, 2026-01-31T12:00:02Z", "report: text.json"] {
        assert!(text.stdout.contains(line), "{}", text.stdout);
    }
    let again = merge(&room, &["m1.json", "m2.json"], "merged.json");
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("no report is overwritten"), "{}", again.stderr);
}

/// Baseline and candidate of two machines, of which the candidate's are so much slower.
fn judged(slower: f64, change: impl Fn(&mut Value)) -> Room {
    let room = Room::new();
    for number in [1, 2] {
        room.json(&format!("b{number}.json"), &machine(number, 9, 1.0));
        let mut candidate = machine(number, 9, slower);
        candidate["timestamp"] = json!(format!("2026-02-01T12:00:{number:02}Z"));
        change(&mut candidate);
        room.json(&format!("c{number}.json"), &candidate);
    }
    std::fs::remove_file(room.path("baseline.json")).unwrap();
    std::fs::remove_file(room.path("candidate.json")).unwrap();
    merged(&room, &["b1.json", "b2.json"], "baseline.json");
    room
}

#[test]
fn merged_reports_are_judged_against_each_other() {
    let room = judged(1.0, |_| {});
    merged(&room, &["c1.json", "c2.json"], "candidate.json");
    room.check().is(0, &["the candidate is merged of 2 machines"]);
    let room = judged(1.3, |_| {});
    merged(&room, &["c2.json", "c1.json"], "candidate.json");
    room.check().is(1, &["latency_p95_ms"]);
}

#[test]
fn a_merged_report_compares_with_one_of_as_many_machines_and_the_same_loads_alone() {
    let room = judged(1.0, |_| {});
    let answer = room.check_with(&["--candidate", "c1.json"]);
    answer.is(4, &["merged.machines", "measure on as many machines, under the same loads"]);
    let single = ["check", "--baseline", "b1.json", "--policy", "policy.json"];
    merged(&room, &["c1.json", "c2.json"], "candidate.json");
    room.run(&[&single[..], &["--candidate", "candidate.json"]].concat())
        .is(4, &["merged.machines"]);

    room.json("c3.json", &machine(3, 9, 1.0));
    merged(&room, &["c1.json", "c2.json", "c3.json"], "three.json");
    room.check_with(&["--candidate", "three.json"])
        .is(4, &["merged.machines baseline 2 candidate 3"]);

    let room = judged(1.0, |report| {
        let more = report["load"]["seed"] == 1;
        set(report, "load.rate_per_second", json!(if more { 6000 } else { 4000 }));
    });
    merged(&room, &["c1.json", "c2.json"], "candidate.json");
    room.check().is(4, &["merged.machines[0].load.rate_per_second baseline 5000 candidate 4000"]);

    let room = judged(1.0, |_| {});
    let usual =
        ["merge", "--routers", "shared", "--output", "candidate.json", "c1.json", "c2.json"];
    assert_eq!(room.run(&usual).code, 0);
    room.check_with(&["--candidate", "candidate.json"])
        .is(2, &["mem_mb_total_erlang was not measured"]);
}

#[test]
fn unlike_machines_compare_with_machines_that_are_unlike_in_the_same_way() {
    let bigger = |report: &mut Value| {
        if report["load"]["seed"] == 2 {
            set(report, "env.cpu_model", json!("EPYC"));
            set(report, "load.rate_per_second", json!(8000));
        }
    };
    let room = judged(1.0, bigger);
    merged(&room, &["c1.json", "c2.json"], "candidate.json");
    room.check().is(4, &["cpu_model baseline Xeon candidate Xeon + EPYC"]);
    room.change("b2.json", bigger);
    std::fs::remove_file(room.path("baseline.json")).unwrap();
    let answer = merge(&room, &["b2.json", "b1.json"], "baseline.json");
    assert!(answer.stdout.contains("note: the machines differ in cpu_model"), "{}", answer.stdout);
    room.check().is(0, &[]);
}

/// Four sessions of two machines, `s0.json` to `s3.json`.
fn sessions(room: &Room, routers: &str) {
    for session in 0..4 {
        for number in [1, 2] {
            let slower = 1.0 + session as f64 / 10_000.0;
            let mut report = machine(number, 8, slower);
            report["timestamp"] = json!(format!("2026-02-0{}T12:00:0{number}Z", session + 1));
            common::set_memory(&mut report, |block| 1.0 + (block % 3) as f64 / 1000.0);
            room.json(&format!("s{session}m{number}.json"), &report);
        }
        let files = [format!("s{session}m2.json"), format!("s{session}m1.json")];
        let output = format!("s{session}.json");
        let usual = ["merge", "--routers", routers, "--output", &output, &files[0], &files[1]];
        assert_eq!(room.run(&usual).code, 0);
    }
}

/// A policy of what is known of a router that machines share.
fn policy_of_shared() -> Value {
    let mut policy = policy();
    remove(&mut policy, "rules.mem_mb_total_erlang");
    set(&mut policy, "gate.require_all_metrics_present", json!(false));
    policy
}

#[test]
fn a_router_that_machines_share_is_frozen_without_its_memory() {
    let repository = Repository::new();
    sessions(&repository.room, "shared");
    let refused = repository.change("freeze", &[]);
    repository.refused(&refused, "mem_mb_total_erlang was not measured, but a rule judges it");
    repository.room.json("repo/perf/policy_cp1.json", &policy_of_shared());
    repository.commit("policy");
    repository.done(&repository.change("freeze", &[]));
    repository.room.json("policy.json", &policy_of_shared());
    let files = ["check", "--explain", "--baseline", "repo/perf/baseline_cp1.json"];
    let candidate = ["--policy", "policy.json", "--candidate", "s3.json"];
    repository.room.run(&[files, candidate].concat()).is(0, &["the router's memory is not known"]);
}

#[test]
fn merged_sessions_become_a_baseline_that_a_merged_candidate_is_judged_by() {
    let repository = Repository::new();
    let room = &repository.room;
    sessions(room, "each");
    let frozen = repository.change("freeze", &[]);
    repository.done(&frozen);
    repository.commit("freeze");
    repository.is_kept(&[]);
    let baseline: Value = serde_json::from_str(&repository.text("perf/baseline_cp1.json")).unwrap();
    common::fits("report", &baseline);
    assert_eq!(baseline["merged"]["machines"][0]["runs"].as_array().unwrap().len(), 3);
    assert_eq!(baseline["blocks"].as_array().unwrap().len(), 24);
    let files = ["--baseline", "repo/perf/baseline_cp1.json", "--policy", "policy.json"];
    let check = |candidate: &str| {
        room.run(&[&["check", "--explain"], &files[..], &["--candidate", candidate]].concat())
    };
    // Of blocks, with error rates: the sessions agree.
    check("s3.json").is(0, &["8 blocks", "24 blocks"]);
    check("s3m1.json").is(4, &["merged.machines baseline 2 candidate 1"]);

    let measuring = ["run", "--project", "repo", "--baseline", "repo/perf/baseline_cp1.json"];
    let answer =
        room.run(&[&measuring[..], &["--policy", "policy.json", "--adapter", "a"]].concat());
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("the baseline is merged of several machines"), "{answer:?}");
}

#[test]
fn of_a_shared_router_memory_is_absent_and_its_counters_are_not_counted_twice() {
    let room = room();
    for (number, seen) in [(1, 2), (2, 3)] {
        room.change(&format!("m{number}.json"), |report| {
            let block = &mut report["blocks"][0];
            block["backpressure"]["router"] = json!(seen);
            block["errors"] = json!({"driver": number, "router": seen});
            block["metrics"]["backpressure_active_total"] = json!(seen);
            block["metrics"]["errors_total"] = json!(seen);
            block["accounting"]["latency"]["error"] = json!(number);
            block["accounting"]["latency"]["offered"] = json!(SAMPLES + number);
            report["metrics"]["backpressure_active_total"] = json!(seen);
            report["metrics"]["errors_total"] = json!(seen);
            report["accounting"]["latency"]["error"] = json!(number);
            report["accounting"]["latency"]["offered"] = json!(3 * SAMPLES + number);
        });
    }
    let shared = ["merge", "--routers", "shared", "--format", "json", "--output"];
    let answer = room.run(&[&shared[..], &["shared.json", "m1.json", "m2.json"]].concat());
    assert_eq!(answered("merge", &answer, 0)["absent"], json!(["mem_mb_total_erlang"]));
    let report: Value = serde_json::from_str(&room.text("shared.json")).unwrap();
    let block = &report["blocks"][0];
    assert_eq!(block["backpressure"], json!({"router": 3}), "the most that one of them saw");
    assert_eq!(block["errors"], json!({"driver": 3, "router": 3}));
    assert!(
        block.get("memory").is_none() && report["metrics"].get("mem_mb_total_erlang").is_none()
    );
    common::fits("report", &report);

    let each = merged(&room, &["m1.json", "m2.json"], "each.json");
    assert_eq!(each["blocks"][0]["errors"], json!({"driver": 3, "router": 5}));
    assert_eq!(each["metrics"]["backpressure_active_total"], 5);
    assert_eq!(each["accounting"]["latency"]["error"], 3);
    let mut policy = policy_of_shared();
    // Errors were seen: of counts nothing is asked here.
    for count in ["errors_total", "backpressure_active_total"] {
        remove(&mut policy, &format!("rules.{count}"));
    }
    room.json("policy.json", &policy);
    against_itself(&room, "shared.json").is(0, &[]);
    let files = ["check", "--explain", "--baseline", "shared.json", "--policy", "policy.json"];
    room.run(&[&files[..], &["--candidate", "each.json"]].concat())
        .is(4, &["merged.routers baseline shared candidate each"]);
}

#[test]
fn drivers_and_routers_of_each_machine_are_kept_and_the_worst_node_is_that_of_all() {
    let room = room();
    for (machine, worst_mib) in [(1, 20), (2, 21)] {
        room.change(&format!("m{machine}.json"), |report| with_nodes(report, worst_mib));
    }
    let report = merged(&room, &["m1.json", "m2.json"], "merged.json");
    common::fits("report", &report);
    let of_machine = |name: &str| -> Value {
        let report: Value = serde_json::from_str(&room.text(name)).unwrap();
        report["blocks"][0]["nodes"].clone()
    };
    let machines = report["blocks"][0]["machines"].as_array().unwrap();
    let nodes: Vec<_> = machines.iter().map(|machine| machine["nodes"].clone()).collect();
    for name in ["m1.json", "m2.json"] {
        assert!(nodes.contains(&of_machine(name)), "{name}");
    }
    assert!(report["blocks"][0].get("nodes").is_none());
    assert_eq!(report["metrics"]["mem_mb_worst_node"], 21);
    against_itself(&room, "merged.json").is(0, &[]);
    let edits: [(Edit, &str); 3] = [
        (
            |block| block["machines"][0]["nodes"]["routers"][0]["memory"]["peak_bytes"] = json!(1),
            "the routers' peaks of memory are not that of the block",
        ),
        (
            |block| remove(block, "machines.0.nodes"),
            "no drivers, and load has drivers 2, routers 2",
        ),
        (
            |block| block["metrics"]["mem_mb_worst_node"] = json!(3),
            "is not the 21 that follows from the machines' routers",
        ),
    ];
    for (edit, said) in edits {
        let mut edited = report.clone();
        edit(&mut edited["blocks"][0]);
        room.json("edited.json", &edited);
        against_itself(&room, "edited.json").is(2, &[said]);
    }
}

#[test]
fn an_outage_of_one_machine_is_none_of_all() {
    let room = room();
    room.change("m2.json", |report| with_outage(report, |_| 4));
    let answer = merge(&room, &["m1.json", "m2.json"], "merged.json");
    refused(&room, &answer, &["load.outage: an outage is one router's at one time", "--outage-ms"]);
}

#[test]
fn machines_that_share_a_router_must_have_measured_at_once_and_others_are_told() {
    let room = room();
    room.set("m2.json", "timestamp", json!("2026-01-31T13:00:00Z"));
    let files = ["m1.json", "m2.json"];
    let shared = ["merge", "--routers", "shared", "--output", "merged.json"];
    refused(
        &room,
        &room.run(&[&shared[..], &files].concat()),
        &["at once in 0 %", "begin on all machines at once"],
    );
    let answer = merge(&room, &files, "each.json");
    assert!(
        answer.stdout.contains("note: the machines measured at once in 0 %"),
        "{}",
        answer.stdout
    );
    against_itself(&room, "each.json")
        .is(0, &["the machines of the candidate measured at once in 0 % of the shortest run"]);
    room.change("m2.json", |report| remove(report, "run.duration_ms"));
    let answer = room.run(&[&shared[..], &["m1.json", "m2.json"]].concat());
    refused(&room, &answer, &["does not say how long its run took"]);
}

#[test]
fn a_block_is_disturbed_if_it_was_on_one_machine_and_the_verdict_says_on_which() {
    let room = room();
    room.set("m2.json", "blocks.1.disturbed", json!(["cpu_stolen"]));
    room.set("m1.json", "blocks.1.disturbed", json!(["host_stall"]));
    room.change("m1.json", |report| remove(report, "blocks.2.disturbed"));
    let report = merged(&room, &["m1.json", "m2.json"], "merged.json");
    assert_eq!(report["blocks"][0]["disturbed"], json!([]));
    assert_eq!(report["blocks"][1]["disturbed"], json!(["cpu_stolen", "host_stall"]));
    assert!(report["blocks"][2].get("disturbed").is_none(), "nobody looked at one of them");
    against_itself(&room, "merged.json").is(
        0,
        &["disturbed blocks of the candidate: 1 on machine 1 (host_stall); 1 on machine 2 (cpu_stolen)"],
    );
}

#[test]
fn what_cannot_be_one_measurement_is_refused_with_its_file_and_cure() {
    type Change = fn(&mut Value);
    let unlike: [(&str, Change); 12] = [
        ("git.commit differs from m1.json", |it| set(it, "git.commit", json!("a".repeat(40)))),
        ("git.tree differs", |it| set(it, "git.tree", json!("a".repeat(40)))),
        ("git.dirty differs", |it| remove(it, "git.dirty")),
        ("load.adapter differs", |it| set(it, "load.adapter", json!("other"))),
        ("load.adapter_options differs", |it| {
            set(it, "load.adapter_options", json!({"transport": "nats"}));
        }),
        ("load.arrivals differs", |it| set(it, "load.arrivals", json!("poisson"))),
        ("load.slice_ms differs", |it| set(it, "load.slice_ms", json!(125))),
        ("env.transport differs", |it| set(it, "env.transport", json!("nats"))),
        ("env.router_bench_version differs", |it| {
            set(it, "env.router_bench_version", json!("0.1.0"));
        }),
        ("env.attached differs", |it| set(it, "env.attached", json!(true))),
        ("run.planted_fault differs", |it| set(it, "run.planted_fault", json!("delay_us=5"))),
        ("controls differs", |it| remove(it, "controls")),
    ];
    let of_one: [(&str, Change); 13] = [
        ("git.commit: it does not say which commit", |it| remove(it, "git.commit")),
        ("git.dirty: the work tree was not clean", |it| set(it, "git.dirty", json!(true))),
        ("run.status: the run is failed", |it| set(it, "run.status", json!("failed"))),
        ("run.status: the run is unfinished", |it| set(it, "run.status", json!("unfinished"))),
        ("run.status: the run is interrupted", |it| set(it, "run.status", json!("interrupted"))),
        ("run.ct_exit_code: the test run that measured exited with 1", |it| {
            set(it, "run.ct_exit_code", json!(1));
        }),
        ("insufficient_samples: 19999 successful requests", |it| {
            *it = full_of(3, 19_999);
            set(it, "git.dirty", json!(false));
        }),
        ("generator_limited: the load generator's own lateness is 90 %", |it| {
            common::late_by(it, |_| 90);
        }),
        ("watched: watched traffic is no load", |it| *it = watched()),
        ("blocks: only a report of the bench", |it| *it = minimal()),
        ("blocks: only a report of the bench", |it| remove(it, "histograms")),
        ("pairing: this is a side of a replay", |it| pair(it, "candidate")),
        ("sessions: the report is made of sessions already", |it| {
            set(it, "sessions", json!([{"timestamp": "2026-01-31T12:00:00Z", "blocks": 3}]));
        }),
    ];
    for (said, change) in unlike.into_iter().chain(of_one) {
        let room = room();
        room.change("m2.json", change);
        refused(
            &room,
            &merge(&room, &["m1.json", "m2.json"], "merged.json"),
            &["m2.json at ", said, "; "],
        );
    }
    let room = room();
    room.json("m2.json", &machine(2, 4, 1.0));
    refused(
        &room,
        &merge(&room, &["m1.json", "m2.json"], "merged.json"),
        &["blocks differs from m1.json"],
    );
    let both = |it: &mut Value| set(it, "env.attached", json!(true));
    let room = self::room();
    room.change("m1.json", both);
    room.change("m2.json", both);
    let shared = ["merge", "--routers", "shared", "--output", "merged.json", "m1.json", "m2.json"];
    refused(&room, &room.run(&shared), &["env.attached", "this machine has a router of its own"]);
}

#[test]
fn no_run_is_counted_twice_under_whatever_name() {
    let room = room();
    let refuse = |files: &[&str]| {
        let answer = merge(&room, files, "merged.json");
        refused(&room, &answer, &["has the run of", "give the report of each machine once"]);
    };
    refuse(&["m1.json", "m1.json"]);
    room.bytes("copy.json", room.text("m1.json") + "\n");
    refuse(&["m1.json", "m2.json", "copy.json"]);
    room.set("copy.json", "timestamp", json!("2026-01-31T12:00:30Z"));
    room.set("copy.json", "load.seed", json!(77));
    refuse(&["m1.json", "copy.json"]);
    merged(&room, &["m1.json", "m2.json"], "two.json");
    refuse(&["two.json", "m2.json"]);
    refuse(&["two.json", "copy.json"]);
    merged(&room, &["m2.json", "m3.json"], "others.json");
    refuse(&["two.json", "others.json"]);
    let shared = ["merge", "--routers", "shared", "--output", "merged.json", "two.json", "m3.json"];
    refused(
        &room,
        &room.run(&shared),
        &["two.json at merged.routers: it was merged with --routers each"],
    );
    let one = room.run(&["merge", "--routers", "each", "--output", "merged.json", "m1.json"]);
    refused(&room, &one, &["2 values required"]);
    let nobody_asked = room.run(&["merge", "--output", "merged.json", "m1.json", "m2.json"]);
    refused(&room, &nobody_asked, &["--routers <WHOSE>"]);
}

#[test]
fn hostile_reports_are_refused_and_no_text_of_theirs_steers_a_terminal() {
    type Change = fn(&mut Value);
    let hostile: [(&str, Change); 6] = [
        ("this is not base64", |it| set(it, "histograms.0.data", json!("\u{1b}[2J"))),
        ("the histogram is damaged", |it| set(it, "histograms.0.data", json!("AAAA"))),
        ("given twice", |it| {
            let again = it["histograms"][0].clone();
            it["histograms"].as_array_mut().unwrap().push(again);
        }),
        ("there is no such quantity in a block 9", |it| set(it, "histograms.0.block", json!(9))),
        ("offered is not ok + error", |it| set(it, "accounting.latency.ok", json!(0))),
        ("missing field `slices`", |it| remove(it, "blocks.0.latency.slices")),
    ];
    for (said, change) in hostile {
        let room = room();
        room.change("m2.json", change);
        let answer = merge(&room, &["m1.json", "m2.json"], "merged.json");
        assert!(!answer.stderr.contains('\u{1b}'), "{answer:?}");
        refused(&room, &answer, &[said]);
    }
    // Each for itself is sound, and their sum is beyond 64 bits.
    let room = room();
    for number in [1, 2] {
        room.change(&format!("m{number}.json"), |report| {
            for key in ["min_bytes", "peak_bytes", "end_bytes"] {
                report["blocks"][0]["memory"][key] = json!(u64::MAX - number);
            }
            let mb = (u64::MAX - number) as f64 / 1_048_576.0;
            report["blocks"][0]["metrics"]["mem_mb_total_erlang"] = json!(mb);
            let third = report["blocks"][2]["metrics"]["mem_mb_total_erlang"].clone();
            report["metrics"]["mem_mb_total_erlang"] = third;
        });
    }
    refused(&room, &merge(&room, &["m1.json", "m2.json"], "merged.json"), &["too large to add"]);
    let room = self::room();
    for number in [1, 2] {
        room.set(
            &format!("m{number}.json"),
            "env.cpu_model",
            json!(format!("\u{1b}[31m{number}\nVERDICT: PASS")),
        );
    }
    let answer = merge(&room, &["m1.json", "m2.json"], "merged.json");
    assert!(answer.stdout.contains("note: the machines differ in cpu_model"), "{answer:?}");
    assert!(!answer.stdout.contains('\u{1b}') && !answer.stdout.contains("VERDICT"), "{answer:?}");
}

#[test]
fn a_merged_report_that_was_edited_is_invalid() {
    type Change = fn(&mut Value);
    let edited: [(&str, Change); 16] = [
        ("is not what the block's machines make together", |it| {
            set(it, "blocks.0.memory.peak_bytes", json!(40_000_000));
        }),
        ("follows from the machines' closed loops", |it| {
            set(it, "blocks.0.metrics.rps", json!(200_000.0));
        }),
        ("follows from the machines' closed loops", |it| {
            set(it, "blocks.0.machines.1.throughput.duration_ns", json!(500_000_001));
        }),
        ("blocks[0].accounting this is not what", |it| {
            set(
                it,
                "blocks.0.machines.0.accounting.throughput",
                json!(
                {"offered": 60_000, "ok": 60_000, "error": 0, "timeout": 0, "rejected": 0, "skipped": 0}),
            );
        }),
        ("blocks[1].disturbed this is not what", |it| {
            set(it, "blocks.1.machines.0.disturbed", json!(["cpu_stolen"]));
        }),
        ("follows from latency.response_time.p99_ns", |it| {
            set(it, "blocks.0.metrics.latency_p99_ms", json!(0.1));
        }),
        ("p99_ns is", |it| {
            set(it, "blocks.0.latency.response_time.p99_ns", json!(1_000_000));
            set(it, "blocks.0.metrics.latency_p99_ms", json!(1.0));
        }),
        ("there is no p99_ns, so the load generator's share of it is unknown", |it| {
            remove(it, "blocks.0.machines.0.latency.dispatch_lag.p99_ns");
        }),
        ("1 of 2 machines", |it| {
            it["blocks"][0]["machines"].as_array_mut().unwrap().pop();
        }),
        ("1 is no merge", |it| {
            it["merged"]["machines"].as_array_mut().unwrap().pop();
        }),
        ("this is not the sum of the machines' loads", |it| {
            set(it, "load.rate_per_second", json!(5000));
        }),
        ("the report does not say that it was merged", |it| {
            remove(it, "merged");
            set(it, "load.seed", json!(1));
        }),
        ("2 runs of 1 sessions", |it| {
            let run = it["merged"]["machines"][0]["runs"][0].clone();
            it["merged"]["machines"][0]["runs"].as_array_mut().unwrap().push(run);
        }),
        ("slices of several machines are none of one time", |it| {
            set(
                it,
                "blocks.0.latency.slices",
                json!({"ok": [50_000], "p95_ns": [1], "p99_ns": [1]}),
            );
        }),
        ("several machines have none in common", |it| set(it, "series", json!([]))),
        ("nothing of a load of the bench", |it| {
            let none = json!({"samples": 0, "min_bytes": 0, "peak_bytes": 0, "end_bytes": 0});
            set(it, "blocks.0.machines.0.memory", none);
        }),
    ];
    let room = judged(1.0, |_| {});
    merged(&room, &["c1.json", "c2.json"], "sound.json");
    let sound = room.text("sound.json");
    for (said, change) in edited {
        room.bytes("candidate.json", &sound);
        room.change("candidate.json", change);
        room.check().is_invalid(&[said]);
    }
    // The generator of one machine alone: what all saw together does not show it.
    room.bytes("candidate.json", &sound);
    room.change("candidate.json", |report| {
        for block in report["blocks"].as_array_mut().unwrap() {
            for key in ["p95_ns", "p99_ns"] {
                let response = block["machines"][0]["latency"]["response_time"][key].clone();
                block["machines"][0]["latency"]["dispatch_lag"][key] = response;
            }
        }
    });
    room.check().is(3, &["load generator's own lateness"]);
}

#[test]
fn a_merged_report_is_exported_compared_and_drawn_as_any_other() {
    let room = judged(1.0, |_| {});
    merged(&room, &["c1.json", "c2.json"], "candidate.json");
    for format in
        ["openmetrics", "hgrm", "hlog", "bmf", "github-action-benchmark", "csv", "json-lines"]
    {
        let answer = room.run(&["export", "--format", format, "candidate.json"]);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{format}: {answer:?}");
    }
    let spectrum = room.run(&["export", "--format", "hgrm", "candidate.json"]).stdout;
    assert!(spectrum.contains(&format!("Total count    = {:>12}]", 9 * 2 * SAMPLES)), "{spectrum}");
    let compared = room.run(&["diff", "b1.json", "candidate.json"]);
    assert!(compared.code == 0 && compared.stdout.contains("routers"), "{compared:?}");
    let answer = room.run(&[
        "check",
        "--baseline",
        "baseline.json",
        "--policy",
        "policy.json",
        "--candidate",
        "candidate.json",
        "--artifacts",
        "out",
        "--label",
        "merged",
    ]);
    answer.is(0, &[]);
    let page = room.text("out/perf_report_merged.html");
    assert!(page.contains("merged of 2 machines"), "the page tells of it");
    std::fs::create_dir_all(room.path("perf")).unwrap();
    room.json("perf/policy_cp1.json", &policy());
    let trend = room.run(&["trend", "b1.json", "baseline.json", "candidate.json"]);
    assert_eq!(trend.code, 0, "{trend:?}");
    for command in ["plan", "selftest"] {
        let files = ["--baseline", "baseline.json", "--policy", "policy.json"];
        let candidate: &[&str] =
            if command == "selftest" { &["--candidate", "candidate.json"] } else { &[] };
        let answer = room.run(&[&[command], &files[..], candidate].concat());
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{command}: {answer:?}");
    }
}

/// Errors, timeouts, rejections and skipped arrivals of a loop.
type Unserved = [u64; 4];

/// The same of a machine, and the errors that its router saw.
type Seen = (Unserved, u64);

fn outcomes() -> impl Strategy<Value = Unserved> {
    [0u64..1 << 40, 0u64..1 << 40, 0u64..1 << 40, 0u64..1 << 40]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_request_of_every_machine_is_in_the_sum_and_nothing_else(
        unserved in proptest::collection::vec((outcomes(), 0u64..1 << 50), 2..5),
    ) {
        let room = Room::new();
        let keys = ["error", "timeout", "rejected", "skipped"];
        let mut files = Vec::new();
        for (number, (counts, seen)) in (1u64..).zip(&unserved) {
            let mut report = machine(number, 1, 1.0);
            let mut offered = SAMPLES;
            for (key, count) in keys.iter().zip(counts) {
                offered += count;
                report["blocks"][0]["accounting"]["latency"][*key] = json!(count);
            }
            report["blocks"][0]["accounting"]["latency"]["offered"] = json!(offered);
            report["accounting"] = report["blocks"][0]["accounting"].clone();
            let driver = counts[0] + counts[1];
            report["blocks"][0]["errors"] = json!({"driver": driver, "router": seen});
            report["blocks"][0]["strays"] = json!(number);
            for figures in ["blocks.0.metrics.errors_total", "metrics.errors_total"] {
                set(&mut report, figures, json!(driver.max(*seen)));
            }
            if counts[0] > 0 {
                report["blocks"][0]["reasons"] = json!([{"outcome": "error", "reason": "no_route",
                    "count": counts[0], "sample": format!("no_route {number}")}]);
            }
            let file = format!("m{number}.json");
            room.json(&file, &report);
            files.push(file);
        }
        let files: Vec<_> = files.iter().map(String::as_str).collect();
        let report = merged(&room, &files, "merged.json");
        let sum = |of: &dyn Fn(&Seen) -> u64| unserved.iter().map(of).sum::<u64>();
        let latency = &report["accounting"]["latency"];
        for (index, key) in keys.iter().enumerate() {
            prop_assert_eq!(&latency[*key], &json!(sum(&|(counts, _)| counts[index])));
        }
        let offered = latency["offered"].as_u64().unwrap();
        let machines = unserved.len() as u64;
        prop_assert_eq!(offered, machines * SAMPLES + sum(&|(counts, _)| counts.iter().sum()));
        let block = &report["blocks"][0];
        prop_assert_eq!(&block["errors"]["router"], &json!(sum(&|(_, seen)| *seen)));
        prop_assert_eq!(&block["strays"], &json!((1..=machines).sum::<u64>()));
        let errors = sum(&|(counts, _)| counts[0]);
        if errors > 0 {
            prop_assert_eq!(&block["reasons"][0]["count"], &json!(errors));
        }
        let answer = against_itself(&room, "merged.json");
        prop_assert!(!answer.stdout.contains("INVALID"), "{}", answer.stdout);
    }
}
