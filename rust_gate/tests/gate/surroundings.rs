//! What is around the gate and not as usual: it works, or says in a sentence what is wrong, and never with
//! the code of a regression.

use std::fs::OpenOptions;
use std::process::{Command, Output, Stdio};

use crate::common::Room;
use serde_json::json;

/// Baseline, policy, and where files go, each where a room has it; the build tells that it ran.
const USUAL: [&str; 6] = [
    "--baseline=baseline.json",
    "--policy=policy.json",
    "--adapter=an_adapter",
    "--artifacts=out",
    "--build=touch built; exit 7",
    "--compare=frozen",
];

fn run(room: &Room) -> Command {
    let mut gate = Command::new(assert_cmd::cargo::cargo_bin!("perf-gate"));
    gate.arg("run").args(USUAL).current_dir(room.path("")).stdin(Stdio::null());
    // A lock of its own.
    gate.env("TMPDIR", room.path("."));
    gate
}

/// It said so, in a sentence, with 2 and without a verdict's code.
#[track_caller]
fn refuses(gate: &mut Command, said: &str) {
    let Output { status, stderr, .. } = gate.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(said), "{stderr}");
    assert!(!stderr.contains("internal error"), "{stderr}");
}

#[test]
fn a_candidate_that_does_not_compile_is_no_regression() {
    let room = Room::new();
    let said = "failed to build with `touch built; exit 7`";
    refuses(&mut run(&room), said);
    refuses(run(&room).env_remove("HOME"), said);
    refuses(run(&room).env("LC_ALL", "C"), said);
    refuses(run(&room).arg("--build=kill -KILL $$"), "where memory runs out");
    refuses(run(&room).arg("--build=true"), "nothing compiled is at _build/perf");
    assert!(room.path("built").exists());
}

#[test]
fn artifacts_that_cannot_be_written_are_told_before_anything_is_built() {
    let room = Room::new();
    room.bytes("out", "a file where the directory should be");
    refuses(&mut run(&room), "failed to write into ");
    let mut bench = Command::new(assert_cmd::cargo::cargo_bin!("perf-gate"));
    bench.current_dir(room.path("")).env("TMPDIR", room.path("."));
    bench.args(["bench", "--adapter=an_adapter", "--artifacts=out", "--build=touch built"]);
    refuses(&mut bench, "failed to write into ");
    assert!(!room.path("built").exists());
}

#[test]
fn a_missing_erl_a_lock_that_is_a_link_and_no_temporary_directory_have_their_sentence() {
    let room = Room::new();
    std::fs::create_dir_all(room.path("ebin")).unwrap();
    room.bytes("ebin/router_bench.beam", "");
    let started = ["--build=", "--code-path=ebin"];
    refuses(run(&room).args(started).env("PATH", ""), "install Erlang/OTP 25 or newer");
    refuses(run(&room).env("TMPDIR", room.path("nowhere")), "set TMPDIR to a directory");
    std::fs::remove_file(room.path("cp1_perf_gate.lock")).unwrap();
    std::os::unix::fs::symlink("baseline.json", room.path("cp1_perf_gate.lock")).unwrap();
    refuses(&mut run(&room), "it is a symbolic link; ");
}

#[test]
fn a_terminal_that_is_closed_is_no_panic_and_no_regression() {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let room = Room::new();
    let mut gate = run(&room);
    let output = gate.stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("failed to build"), "it went on: {said}");
    assert!(!said.contains("internal error"), "{said}");

    // Nobody has this verdict.
    room.set("candidate.json", "metrics.errors_total", json!(1));
    let judged = |gate: &mut Command| gate.arg("--candidate=candidate.json").status().unwrap();
    assert_eq!(judged(&mut run(&room)).code(), Some(1));
    assert_eq!(judged(run(&room).stdout(full())).code(), Some(1), "it is among the artifacts");
    std::fs::remove_dir_all(room.path("out")).unwrap();
    room.bytes("out", "");
    assert_eq!(judged(run(&room).stdout(full())).code(), Some(2));
    let help = run(&room).arg("--help").stdout(full()).status().unwrap();
    assert_eq!(help.code(), Some(2), "help that nobody got");
}
