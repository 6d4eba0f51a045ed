//! Of many reports only the heads are read, and that hides none.

use std::path::Path;

use crate::common::{Room, full, full_of, minimal, pair};
use cp1_format::{Head, Report, parse, read_file, read_head, to_json};
use perf_gate::read::inputs::{self, Files};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A report as the one writer writes it.
fn written(report: &Value) -> String {
    let typed: Report = parse(Path::new("r"), report.to_string().as_bytes()).unwrap();
    to_json(&typed).unwrap()
}

fn at(mut report: Value, timestamp: &str) -> Value {
    report["timestamp"] = json!(timestamp);
    report
}

#[test]
fn the_head_says_what_the_whole_report_says() {
    let room = Room::new();
    let mut paired = full();
    pair(&mut paired, "candidate");
    for report in [minimal(), full(), paired] {
        let pretty = serde_json::to_string_pretty(&report).unwrap();
        for text in [written(&report), pretty, report.to_string()] {
            room.bytes("r.json", &text);
            let whole: Report = read_file(&room.path("r.json")).unwrap();
            assert_eq!(read_head(&room.path("r.json")).unwrap(), Head::from(whole), "{text}");
        }
    }
}

#[test]
fn what_the_blocks_measured_is_not_looked_at() {
    let room = Room::new();
    let text = written(&full());
    let (head, _) = text.split_once("\n  \"blocks\": [").unwrap();
    assert!(head.len() < 4000, "the one writer puts the head first");
    // Whatever follows, as much of it as a report may have.
    room.bytes("r.json", format!("{head}\n  \"blocks\": [{}", "\0".repeat(10_000_000)));
    assert_eq!(
        read_head(&room.path("r.json")).unwrap().timestamp.to_string(),
        "2026-01-31T12:00:00Z"
    );
    assert!(read_file::<Report>(&room.path("r.json")).is_err());
}

#[test]
fn a_head_that_is_no_head_is_refused_as_the_whole_report_is() {
    let room = Room::new();
    let text = written(&full());
    for (from, to) in [
        ("2026-01-31T12:00:00Z", "yesterday"),
        ("\"timestamp\"", "\"time\""),
        ("\"version\": 3", "\"version\": 2"),
        ("\"errors_total\": 0", "\"errors_total\": null"),
        ("\"errors_total\": 0", "\"errors_total\": 0, \"errors_total\": 0"),
        ("0123456789abcdef", "0123456789ABCDEF"),
        ("{", "{ \"timestamp\": \"2026-01-31T12:00:00Z\", "),
        ("{", "\u{feff}{"),
        ("{", "["),
        (&text[text.len() / 2..], ""),
        (&text[100..], ""),
        (&text, ""),
    ] {
        assert!(text.contains(from), "{from}");
        room.bytes("r.json", text.replacen(from, to, 1));
        let path = room.path("r.json");
        // A file that is cut short within its blocks is the one that a head does not tell.
        let whole = read_file::<Report>(&path).unwrap_err();
        match read_head(&path) {
            Err(error) => assert_eq!(error.to_string(), whole.to_string()),
            Ok(head) => assert!(from.len() == text.len() - text.len() / 2, "{head:?}"),
        }
    }
}

#[test]
fn what_is_no_regular_file_of_a_reports_size_has_no_head() {
    let room = Room::new();
    let refused = |name: &str| read_head(&room.path(name)).unwrap_err().to_string();
    std::fs::create_dir(room.path("folder.json")).unwrap();
    assert!(refused("folder.json").contains("not a regular file"));
    assert!(refused("missing.json").contains("No such file"));
    // 16 GB of nothing, and a head.
    room.bytes("huge.json", written(&full()));
    let huge = std::fs::OpenOptions::new().write(true).open(room.path("huge.json")).unwrap();
    huge.set_len(16 << 30).unwrap();
    assert!(refused("huge.json").contains("larger than 16777216 bytes"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("loop.json", room.path("loop.json")).unwrap();
        assert!(refused("loop.json").contains("loop"), "{}", refused("loop.json"));
        let made = std::process::Command::new("mkfifo").arg(room.path("fifo.json")).status();
        assert!(made.unwrap().success());
        assert!(refused("fifo.json").contains("not a regular file"));
    }
}

#[test]
fn damage_behind_the_head_counts_only_in_the_newest() {
    let room = Room::new();
    std::fs::create_dir(room.path("runs")).unwrap();
    let (older, newer) = (at(full(), "2026-03-01T00:00:00Z"), at(full(), "2026-03-02T00:00:00Z"));
    room.json("baseline.json", &full());
    let damaged = |report: &Value| written(report).replace("\"block\": 2,", "\"block\": 7,");
    room.bytes("runs/a.json", damaged(&older));
    room.bytes("runs/b.json", written(&newer));
    room.check_with(&["--candidate", "runs/*.json"]).is(0, &["candidate: runs/b.json"]);
    room.bytes("runs/b.json", damaged(&newer));
    let answer = room.check_with(&["--candidate", "runs/*.json"]);
    answer.is_invalid(&["runs/b.json", "blocks[1].block", "this is block 2 by its place"]);
    // Alone, too.
    room.check_with(&["--candidate", "runs/a.json"]).is_invalid(&["this is block 2 by its place"]);
}

/// The candidate of a check of everything in a folder.
fn judged(folder: &Path) -> Option<Report> {
    let inputs = inputs::read(&Files {
        baseline: Path::new("none"),
        policy: Path::new("none"),
        trusted_ref: None,
        waivers: None,
        candidates: &[folder.join("*.json")],
        replay: None,
        smoke: false,
    });
    inputs.candidate.document
}

/// One damage: at a place, in parts of the file, so many bytes are replaced by others.
fn damage() -> impl Strategy<Value = (f64, usize, String)> {
    let text = prop_oneof![
        Just(String::new()),
        "[0-9]{1,3}",
        prop::sample::select(vec!["\n", "\"", "}", "]", ",", "null", "\n  \"blocks\": [", "\0"])
            .prop_map(str::to_owned),
        Just("\"timestamp\": \"2027-01-01T00:00:00Z\",".to_owned()),
    ];
    // Mostly near the beginning, where the head is.
    let place = prop_oneof![0.0..0.2f64, 0.0..1.0f64];
    (place, prop_oneof![Just(0), 1..4usize, Just(10_000)], text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_damage_hides_a_sound_report_that_is_newer(
        which in 0..3usize, damages in prop::collection::vec(damage(), 1..4),
    ) {
        let folder = TempDir::new().unwrap();
        let names = ["a.json", "b.json", "c.json"];
        for (index, name) in names.iter().enumerate() {
            let report = at(full_of(1, 200), &format!("2026-03-0{}T00:00:00Z", index + 1));
            let mut bytes = written(&report).into_bytes();
            for (place, length, text) in damages.iter().filter(|_| index == which) {
                let from = (bytes.len() as f64 * place) as usize;
                let to = (from + length).min(bytes.len());
                bytes.splice(from..to, text.bytes());
            }
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let whole = |name: &str| read_file::<Report>(&folder.path().join(name));
        let sound = names.iter().filter_map(|name| whole(name).ok());
        let newest = sound.map(|report| report.timestamp).max().unwrap();
        let chosen = judged(folder.path());
        if let Some(chosen) = &chosen {
            prop_assert_eq!(&chosen.timestamp, &newest);
        }
        // Fail closed: without a head, or as the newest, it must be read.
        if read_head(&folder.path().join(names[which])).is_err() {
            prop_assert!(chosen.is_none());
        }
        if names.iter().all(|name| whole(name).is_ok()) {
            prop_assert!(chosen.is_some());
        }
    }
}
