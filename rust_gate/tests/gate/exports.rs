//! `export`: the figures of a report in other tools' formats.

use crate::common;
use crate::common::{Answer, Room, full, minimal, set};
use serde_json::{Value, json};

const FORMATS: [&str; 7] =
    ["openmetrics", "hgrm", "hlog", "bmf", "github-action-benchmark", "csv", "json-lines"];

fn export(room: &Room, format: &str, more: &[&str]) -> Answer {
    room.run(&[&["export", "--format", format, "baseline.json"], more].concat())
}

#[track_caller]
fn exported(room: &Room, format: &str, more: &[&str]) -> String {
    let answer = export(room, format, more);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{format}: {answer:?}");
    answer.stdout
}

#[test]
fn each_format_of_a_full_report_is_as_it_was() {
    let room = Room::with(&full());
    for format in FORMATS {
        insta::assert_snapshot!(format, exported(&room, format, &[]));
    }
    insta::assert_snapshot!(
        "bigger",
        exported(&room, "github-action-benchmark", &["--better", "bigger"])
    );
}

#[test]
fn a_minimal_report_has_its_headlines_and_no_distribution() {
    let room = Room::new();
    for format in FORMATS {
        let answer = export(&room, format, &[]);
        if format.starts_with('h') {
            assert!(
                answer.code == 2 && answer.stderr.contains("it has no distributions"),
                "{answer:?}"
            );
        } else {
            assert!(answer.code == 0 && answer.stdout.contains("41"), "{answer:?}");
        }
    }
    room.change("baseline.json", |report| common::remove(report, "metrics.rps"));
    let none = export(&room, "github-action-benchmark", &["--better", "bigger"]);
    assert!(
        none.code == 2 && none.stderr.contains("no figure of which more is better"),
        "{none:?}"
    );
    assert_eq!(exported(&room, "json-lines", &[]).lines().count(), 5, "what is absent has no line");
}

#[test]
fn what_shows_nothing_is_not_exported() {
    for (path, value, said) in [
        ("run.status", json!("failed"), "the run ended early"),
        ("run.status", json!("unfinished"), "the run ended early"),
        ("metrics.rps", json!(1), "1 is not the median over the blocks"),
        ("histograms.0.data", json!("AAAA"), "the histogram is damaged"),
    ] {
        let room = Room::with(&full());
        room.change("baseline.json", |report| set(report, path, value));
        for format in FORMATS {
            let answer = export(&room, format, &[]);
            assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{format}: {answer:?}");
            assert!(answer.stderr.contains(said), "{answer:?}");
        }
    }
}

#[test]
fn a_report_without_figures_is_no_empty_text() {
    let room = Room::new();
    room.set("baseline.json", "metrics", json!({}));
    for format in FORMATS {
        let answer = export(&room, format, &[]);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{format}: {answer:?}");
        assert!(answer.stderr.contains("baseline.json: it has no figure at all; "), "{answer:?}");
    }
}

#[test]
fn figures_keep_their_digits_and_units_are_changed_exactly() {
    let room = Room::new();
    room.set(
        "baseline.json",
        "metrics",
        json!({"latency_p95_ms": 0.1, "rps": 51200.7,
        "mem_mb_total_erlang": 0.3, "errors_total": 0}),
    );
    let text = exported(&room, "openmetrics", &["--no-timestamps"]);
    for line in [
        "cp1_latency_p95_seconds 0.0001",
        "cp1_memory_bytes 314572.8",
        "cp1_errors 0",
        "cp1_requests_per_second 51200.7",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("p99"), "it was not measured");
    let lines = exported(&room, "json-lines", &[]);
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        first,
        json!({"timestamp": "2026-01-31T12:00:00Z",
        "commit": "0123456789abcdef0123456789abcdef01234567", "name": "latency_p95_ms", "unit": "ms",
        "value": 0.1})
    );
}

#[test]
fn each_line_of_json_fits_its_schema_and_each_row_of_csv_says_the_same() {
    let room = Room::with(&full());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../perf/schemas/figure.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let lines = exported(&room, "json-lines", &[]);
    let csv = exported(&room, "csv", &[]);
    let rows: Vec<_> = csv.split_terminator("\r\n").skip(1).collect();
    assert_eq!(rows.len(), lines.lines().count());
    for (line, row) in lines.lines().zip(rows) {
        let figure: Value = serde_json::from_str(line).unwrap();
        schema.validate(&figure).unwrap();
        let block = figure.get("block").map(ToString::to_string).unwrap_or_default();
        let text = |key: &str| figure[key].as_str().unwrap().to_owned();
        let cells = [
            text("timestamp"),
            text("commit"),
            block,
            text("name"),
            text("unit"),
            figure["value"].to_string(),
        ];
        assert_eq!(row.split(',').collect::<Vec<_>>()[..5], cells[..5]);
        let value: f64 = row.rsplit(',').next().unwrap().parse().unwrap();
        assert_eq!(Some(value), figure["value"].as_f64());
    }
}

#[test]
fn benchers_format_is_what_bencher_publishes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/schemas/bmf.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for report in [full(), minimal()] {
        let bmf: Value = serde_json::from_str(&exported(&Room::with(&report), "bmf", &[])).unwrap();
        schema.validate(&bmf).unwrap();
        let [(_, measures)] = bmf.as_object().unwrap().iter().collect::<Vec<_>>()[..] else {
            panic!("one benchmark: {bmf}");
        };
        assert_eq!(measures["rps"]["value"], report["metrics"]["rps"]);
        assert_eq!(measures["rps"].get("lower_value").is_some(), report.get("blocks").is_some());
    }
    assert!(schema.validate(&json!({"router": {"rps": {"lower_value": 1}}})).is_err());
}

#[test]
fn a_file_of_github_action_benchmark_has_one_direction() {
    let room = Room::with(&full());
    let names = |better: &str| -> Vec<String> {
        let text = exported(&room, "github-action-benchmark", &["--better", better]);
        let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
        for entry in &entries {
            // What the action demands of each entry.
            assert!(entry["name"].is_string() && entry["unit"].is_string(), "{entry}");
            assert!(
                entry["value"].is_number() && entry["range"].as_str().unwrap().starts_with("± ")
            );
        }
        entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("bigger"), ["rps"]);
    assert_eq!(names("smaller").len(), 5);
    assert!(!names("smaller").contains(&"rps".to_owned()));
}

#[test]
fn hostile_names_stay_inside_their_strings() {
    let hostile = "a\"} 1\n# EOF\\\u{1b}[31m\u{202e}";
    let room = Room::with(&full());
    room.change("baseline.json", |report| set(report, "load.adapter", json!(hostile)));
    for format in FORMATS {
        let text = exported(&room, format, &[]);
        let is_harmless = |c: char| matches!(c, '\n' | '\r' | ' '..='~');
        assert!(text.chars().all(is_harmless), "{format}: {text:?}");
    }
    let text = exported(&room, "openmetrics", &[]);
    assert_eq!(text.lines().filter(|line| *line == "# EOF").count(), 1, "{text}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    assert!(text.contains(r#"adapter="a\"} 1\\u{a}# EOF\\\\u{1b}[31m\\u{202e}""#), "{text}");
}
