//! A verdict on a terminal: `script` (util-linux) gives it one.

use std::process::{Command, Stdio};

use crate::common::Room;
use serde_json::json;

/// What a check prints on a terminal with these variables.
fn on_a_terminal(room: &Room, variables: &[(&str, &str)]) -> String {
    let gate = assert_cmd::cargo::cargo_bin!("perf-gate").display().to_string();
    let command = format!(
        "{gate} check --baseline baseline.json --policy policy.json --candidate candidate.json \
         --artifacts out --label one"
    );
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    script.current_dir(room.path("")).stdin(Stdio::null());
    script.env_remove("NO_COLOR").env("TERM", "xterm").envs(variables.iter().copied());
    let output = script.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn colors_are_for_a_terminal_whose_user_wants_them_and_never_in_a_log() {
    let room = Room::new();
    room.set("candidate.json", "metrics.errors_total", json!(1));
    let colored = on_a_terminal(&room, &[]);
    assert!(colored.contains("\u{1b}[1m\u{1b}[31mREGRESSION\u{1b}[0m (exit 1): "), "{colored:?}");
    assert!(colored.contains("\u{1b}[31mVIOLATED\u{1b}[0m"), "{colored:?}");
    assert!(!room.text("out/perf_gate_one.log").contains('\u{1b}'));
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_a_terminal(&room, &[variable]);
        assert!(plain.contains("VERDICT: REGRESSION (exit 1): "), "{plain:?}");
        assert!(!plain.contains('\u{1b}'), "{variable:?}: {plain:?}");
    }
    assert!(on_a_terminal(&room, &[("NO_COLOR", "")]).contains('\u{1b}'), "empty is unset");
    // Not a terminal.
    assert!(!room.check().stdout.contains('\u{1b}'));
}
