//! Which file is judged.

use crate::common::{Room, minimal};
use serde_json::json;

fn room_with(reports: &[(&str, &str)]) -> Room {
    let room = Room::new();
    std::fs::create_dir(room.path("runs")).unwrap();
    for (name, timestamp) in reports {
        let mut report = minimal();
        report["timestamp"] = json!(timestamp);
        room.json(&format!("runs/{name}"), &report);
    }
    room
}

const GLOB: [&str; 2] = ["--candidate", "runs/*.json"];

#[test]
fn of_several_matches_the_newest_by_its_own_timestamp_is_judged() {
    let room = room_with(&[
        ("z.json", "2026-01-31T12:00:00Z"),
        ("a.json", "2026-03-01T00:00:00Z"),
        ("m.json", "2026-02-28T23:59:59.9Z"),
    ]);
    // Name and time of the file say something else.
    room.set("runs/z.json", "metrics.errors_total", json!(1));
    room.check_with(&GLOB).is(0, &["candidate: runs/a.json", "3 reports match", "runs/a.json\n"]);
}

#[test]
fn of_equally_new_reports_the_greater_path_is_judged_and_the_verdict_says_so() {
    let room = room_with(&[("a.json", "2026-01-31T12:00:00Z"), ("b.json", "2026-01-31T12:00:00Z")]);
    room.check_with(&GLOB).is(0, &["candidate: runs/b.json", "2 reports carry the newest"]);
}

#[test]
fn a_glob_without_a_match_is_not_a_pass() {
    let room = room_with(&[]);
    room.check_with(&GLOB).is_invalid(&["runs/*.json", "no file matches", "perf-gate bench"]);
    // Neither is one of two.
    let both = ["--candidate", "candidate.json", "--candidate", "runs/*.json"];
    room.check_with(&both).is_invalid(&["runs/*.json", "no file matches"]);
}

#[test]
fn a_match_that_cannot_be_read_might_be_the_newest() {
    let room = room_with(&[("a.json", "2026-01-31T12:00:00Z")]);
    room.bytes("runs/b.json", "{\"timestamp\": \"2020-01-01T00:00:00Z\"}");
    std::fs::create_dir(room.path("runs/c.json")).unwrap();
    room.check_with(&GLOB).is_invalid(&[
        "  runs/b.json, ",
        "  runs/c.json\n",
        "2 problems",
        "candidate: runs/*.json",
    ]);
}

#[test]
fn a_path_that_exists_is_taken_literally_although_it_looks_like_a_glob() {
    let room = room_with(&[("[ab]*.json", "2026-01-31T12:00:00Z")]);
    room.bytes("runs/a.json", "broken");
    room.check_with(&["--candidate", "runs/[ab]*.json"]).is(0, &["candidate: runs/[ab]*.json"]);
}

#[test]
fn a_malformed_glob_is_named() {
    let room = Room::new();
    room.check_with(&["--candidate", "runs/a[.json"]).is_invalid(&["the pattern is malformed"]);
    room.check_with(&["--candidate", "runs/***"]).is_invalid(&["the pattern is malformed"]);
}

#[test]
fn what_is_still_being_written_is_no_match() {
    let room = room_with(&[("a.json", "2026-01-31T12:00:00Z")]);
    room.bytes("runs/.partial-x.json", "{");
    room.check_with(&GLOB).is(0, &[]);
}

#[test]
fn a_file_named_twice_counts_once() {
    let room = Room::new();
    let answer = room.check_with(&["--candidate", "candidate.json", "--candidate", "cand*.json"]);
    answer.is(0, &[]);
    assert!(!answer.stdout.contains("reports match"), "{}", answer.stdout);
}

#[test]
fn the_baseline_as_its_own_candidate_would_always_pass() {
    let room = Room::new();
    room.check_with(&["--candidate", "./baseline.json"]).is_invalid(&["would always pass"]);
    room.check_with(&["--candidate", "*e.json"]).is_invalid(&["would always pass"]);
}

#[cfg(unix)]
#[test]
fn a_link_to_the_baseline_is_the_baseline() {
    let room = Room::new();
    std::os::unix::fs::symlink(room.path("baseline.json"), room.path("link.json")).unwrap();
    room.check_with(&["--candidate", "link.json"]).is_invalid(&["link.json", "would always pass"]);
    std::os::unix::fs::symlink("nowhere", room.path("dangling.json")).unwrap();
    room.check_with(&["--candidate", "dangling.json"]).is_invalid(&["No such file"]);
}
