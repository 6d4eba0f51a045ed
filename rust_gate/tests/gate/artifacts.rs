//! The files that a check leaves, and sealing.

use crate::common;
use crate::common::{Room, full, minimal, remove};
use cp1_format::{Report, Verdict, read_file};
use serde_json::json;

fn artifacts(room: &Room, label: &[&str]) -> common::Answer {
    let usual = ["--candidate", "candidate.json", "--artifacts", "out/deep"];
    room.check_with(&[usual.as_slice(), label].concat())
}

fn names(room: &Room) -> Vec<String> {
    let entries = std::fs::read_dir(room.path("out/deep")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_candidates_own_time_names_the_artifacts() {
    let room = Room::new();
    let answer = artifacts(&room, &[]);
    answer.is(0, &[]);
    assert_eq!(
        names(&room),
        [
            "perf_annotations_20260131T130000Z.txt",
            "perf_cases_20260131T130000Z.terms",
            "perf_codequality_20260131T130000Z.json",
            "perf_gate_20260131T130000Z.log",
            "perf_junit_20260131T130000Z.xml",
            "perf_metrics_20260131T130000Z.txt",
            "perf_report_20260131T130000Z.html",
            "perf_sarif_20260131T130000Z.sarif",
            "perf_summary_20260131T130000Z.md",
            "perf_tap_20260131T130000Z.tap",
            "perf_verdict_20260131T130000Z.json"
        ]
    );
    // What was printed says where they are, and else what the log says.
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let place = ["Artifacts:", "out/deep/perf_*_20260131T130000Z.*"].map(str::to_owned);
    let log = words(&room.text("out/deep/perf_gate_20260131T130000Z.log"));
    assert_eq!(words(&answer.stdout), [log, place.to_vec()].concat());
    let verdict: Verdict =
        read_file(&room.path("out/deep/perf_verdict_20260131T130000Z.json")).unwrap();
    assert_eq!(verdict.exit_code, 0);
}

#[test]
fn artifacts_are_written_without_a_readable_candidate_too() {
    let room = Room::new();
    room.bytes("candidate.json", "");
    artifacts(&room, &[]).is(2, &[]);
    assert_eq!(names(&room).len(), 11);
    assert!(room.text("out/deep/perf_summary_no-candidate.md").contains("INVALID"));
}

#[test]
fn a_label_is_part_of_a_name_and_never_a_path() {
    let room = Room::new();
    artifacts(&room, &["--label", "job-1.2_x"]).is(0, &[]);
    assert!(names(&room).contains(&"perf_gate_job-1.2_x.log".to_owned()));
    for label in ["", ".hidden", "../up", "a/b", "a b", "ä", "a\nb", &"x".repeat(65)] {
        let answer = artifacts(&room, &["--label", label]);
        assert_eq!(answer.code, 2, "{label}");
        assert!(answer.stdout.is_empty(), "{label}");
    }
    assert_eq!(names(&room).len(), 11);
}

#[test]
fn a_pass_that_cannot_be_recorded_is_no_pass_and_a_regression_stays_one() {
    let room = Room::new();
    room.bytes("out", "a file where the directory should be");
    let answer = artifacts(&room, &[]);
    assert_eq!(answer.code, 2);
    assert!(answer.stderr.contains("failed to write out/deep/perf_gate_"), "{}", answer.stderr);
    assert!(answer.stderr.contains("check the directory"), "{}", answer.stderr);
    assert!(!answer.stdout.contains("Artifacts:"), "there are none: {}", answer.stdout);
    room.set("candidate.json", "metrics.errors_total", json!(1));
    let answer = artifacts(&room, &[]);
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains("failed to write"), "{}", answer.stderr);
}

#[test]
fn one_artifact_that_cannot_be_written_does_not_keep_the_others_away() {
    let room = Room::new();
    std::fs::create_dir_all(room.path("out/deep/perf_gate_x.log/in_the_way")).unwrap();
    let answer = artifacts(&room, &["--label", "x"]);
    assert_eq!(answer.code, 2);
    assert_eq!(names(&room).len(), 11);
    assert!(names(&room).contains(&"perf_verdict_x.json".to_owned()));
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let room = Room::with(&full());
    room.set("candidate.json", "env.cpu_count", json!(8));
    let first = artifacts(&room, &["--label", "1"]);
    let second = artifacts(&room, &["--label", "2"]);
    assert_eq!(first.stdout, second.stdout.replace("perf_*_2.*", "perf_*_1.*"));
    let files = names(&room);
    assert_eq!(files.len(), 22);
    for one in files.iter().filter(|name| name.contains("_1.")) {
        let other = one.replace("_1.", "_2.");
        assert_eq!(room.text(&format!("out/deep/{one}")), room.text(&format!("out/deep/{other}")));
    }
}

#[test]
fn a_closed_terminal_is_no_panic_and_no_pass() {
    let room = Room::new();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("perf-gate"))
        .current_dir(room.path(""))
        .args(["check", "--baseline", "baseline.json", "--policy", "policy.json"])
        .args(["--candidate", "candidate.json"])
        .stdout(std::fs::File::open("/dev/full").map_or(std::process::Stdio::null(), |_| {
            std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()
        }))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

fn seal(room: &Room, code: i32) -> Result<(), String> {
    perf_gate::run::seal::seal(&room.path("candidate.json"), code)
        .map_err(|error| error.to_string())
}

#[test]
fn a_sealed_report_has_the_exit_code_and_nothing_else_changed() {
    for report in [minimal(), full()] {
        let room = Room::with(&report);
        room.change("candidate.json", |report| remove(report, "run.ct_exit_code"));
        room.check().is_invalid(&["run.ct_exit_code"]);
        let mut expected: Report = read_file(&room.path("candidate.json")).unwrap();
        seal(&room, 0).unwrap();
        room.check().is(0, &[]);
        expected.run.ct_exit_code = Some(0);
        assert_eq!(read_file::<Report>(&room.path("candidate.json")).unwrap(), expected);
    }
}

#[test]
fn a_failed_test_run_is_sealed_as_failed() {
    let room = Room::new();
    room.change("candidate.json", |report| {
        remove(report, "run.ct_exit_code");
        report["run"]["status"] = json!("unfinished");
    });
    seal(&room, 137).unwrap();
    room.check().is_invalid(&["exited with 137", "before its end"]);
}

#[test]
fn a_report_is_sealed_once() {
    let room = Room::new();
    let before = room.text("candidate.json");
    for code in [0, 1] {
        let said = seal(&room, code).unwrap_err();
        assert!(said.contains("run.ct_exit_code is 0 already"), "{said}");
    }
    assert_eq!(room.text("candidate.json"), before);
}

#[test]
fn what_cannot_be_read_is_not_sealed() {
    let room = Room::new();
    for content in ["", "{}", "not json"] {
        room.bytes("candidate.json", content);
        let said = seal(&room, 0).unwrap_err();
        assert!(said.contains("candidate.json"), "{said}");
        assert_eq!(room.text("candidate.json"), content);
    }
    std::fs::remove_file(room.path("candidate.json")).unwrap();
    assert!(seal(&room, 0).is_err());
    assert!(!room.path("candidate.json").exists());
}
