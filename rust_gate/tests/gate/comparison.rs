//! Whether blocks of here and now are judged against the frozen ones; and whose baseline and policy
//! count.

use std::process::Command;

use crate::common::{Room, full, minimal, remove, set_memory};
use cp1_format::{Policy, Report, read_file};
use perf_gate::run::comparison::replay_needed;
use serde_json::json;

/// A baseline of three sessions that agree, and what a run here would say of itself.
fn room() -> Room {
    let room = Room::with(&full());
    room.change("baseline.json", |baseline| {
        set_memory(baseline, |_| 1.0);
        let session = |hour| json!({"timestamp": format!("2026-01-31T{hour}:00:00Z"), "blocks": 1});
        baseline["sessions"] = json!([session("10"), session("11"), session("12")]);
    });
    room.change("candidate.json", |here| {
        here["metrics"] = json!({});
        here["run"] = json!({"status": "unfinished"});
        for key in ["blocks", "accounting", "histograms"] {
            here.as_object_mut().unwrap().remove(key);
        }
    });
    room
}

/// Why a run here needs a replay.
fn needed(room: &Room) -> Option<String> {
    let frozen: Report = read_file(&room.path("baseline.json")).unwrap();
    let policy: Policy = read_file(&room.path("policy.json")).unwrap();
    let here: Report = read_file(&room.path("candidate.json")).unwrap();
    replay_needed(&frozen, &policy, &here)
}

#[test]
fn the_same_machine_and_load_and_sessions_that_agree_need_no_replay() {
    assert_eq!(needed(&room()), None);
}

#[test]
fn what_differs_is_named_and_asks_for_a_replay() {
    for (file, path, value, reason) in [
        ("candidate.json", "env.cpu_model", json!("Epyc"), "another cpu_model"),
        ("candidate.json", "load.concurrency", json!(9), "another load.concurrency"),
        ("candidate.json", "env.router_bench_version", json!("9"), "another router_bench_version"),
        ("candidate.json", "env.transport", json!("nats"), "another transport"),
        (
            "baseline.json",
            "sessions",
            json!([{"timestamp": "2026-01-31T10:00:00Z", "blocks": 3}]),
            "come from 1 session",
        ),
    ] {
        let room = room();
        room.set(file, path, value);
        let said = needed(&room).unwrap();
        assert!(said.contains(reason), "{reason}: {said}");
    }
    let room = room();
    // A baseline of a bench that did not read it, and a machine on which it cannot be read.
    room.change("baseline.json", |baseline| remove(baseline, "env.cpu_quota"));
    assert!(needed(&room).unwrap().contains("another cpu_quota"));
    room.change("candidate.json", |here| remove(here, "env.cpu_quota"));
    assert_eq!(needed(&room).unwrap(), "neither the baseline nor this machine states cpu_quota");
    let room = self::room();
    room.change("baseline.json", |baseline| {
        set_memory(baseline, |block| 1.0 + block as f64 / 10.0)
    });
    assert!(needed(&room).unwrap().contains("between the baseline's sessions"));
}

/// A repository whose last commit has the usual files, and a work tree with a laxer policy.
fn repository() -> Room {
    let room = Room::with(&minimal());
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
        let done = Command::new("git")
            .current_dir(room.path("."))
            .args(identity)
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "baseline.json", "policy.json"]);
    git(&["commit", "--quiet", "--message=freeze"]);
    room
}

#[test]
fn a_change_cannot_vouch_for_itself() {
    let room = repository();
    room.set("candidate.json", "metrics.latency_p95_ms", json!(0.6));
    room.set("policy.json", "rules.latency_p95_ms.relative.max_pct_increase", json!(80));
    let candidate = ["--candidate", "candidate.json"];
    room.check_with(&candidate).is(0, &[]);
    let trusted = ["--candidate", "candidate.json", "--trusted-ref", "main"];
    room.check_with(&trusted).is(1, &["main:baseline.json", "at most +15 %"]);

    // A baseline that was moved or removed in the work tree changes nothing.
    std::fs::remove_file(room.path("baseline.json")).unwrap();
    room.check_with(&trusted).is(1, &[]);
}

#[test]
fn a_revision_or_file_that_is_not_there_is_invalid() {
    let room = repository();
    let at = |revision| ["--candidate", "candidate.json", "--trusted-ref", revision];
    room.check_with(&at("HEAD:policy.json")).is_invalid(&["does not have the revision"]);
    room.check_with(&at("origin/main")).is_invalid(&["does not have the revision origin/main"]);
    let elsewhere = Room::new();
    elsewhere.check_with(&at("main")).is_invalid(&["is in no git repository; clone the project"]);
    let gone = ["check", "--baseline", "baseline.json", "--policy", "gone.json"];
    room.run(&[&gone[..], &at("main")].concat()).is_invalid(&["has no regular file", "gone.json"]);
}
