//! Two reports or verdicts side by side.

use crate::common::{Room, full, minimal, set};
use cp1_format::{Difference, DifferenceKind};
use perf_gate::render::difference::render;
use proptest::prelude::*;
use serde_json::{Value, json};

fn diff(room: &Room, a: &str, b: &str) -> (String, Difference) {
    let text = room.run(&["diff", a, b]);
    assert_eq!((text.code, text.stderr.as_str()), (0, ""), "{text:?}");
    let json = room.run(&["diff", "--format=json", a, b]);
    assert!(json.stdout.is_ascii());
    let difference: Difference = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(cp1_format::to_json(&difference).unwrap(), json.stdout);
    assert_eq!(render(&difference), text.stdout, "both show one thing");
    assert!(text.stdout.lines().all(|line| line.chars().count() <= 80), "{}", text.stdout);
    (text.stdout, difference)
}

/// A room with two reports of the bench that differ.
fn room() -> Room {
    let room = Room::with(&full());
    room.change("candidate.json", |report| {
        set(report, "metrics.errors_total", json!(0));
        set(report, "env.cpu_model", json!("EPYC"));
        set(
            report,
            "env.vm_flags",
            json!("+sbwt none +S 4 -config production -kernel logger_level warning"),
        );
        set(report, "load.rate_per_second", json!(9000));
        set(report, "run.status", json!("generator_limited"));
        report["run"]["reason"] = json!("the load generator's own lateness is 70 % of the p99");
        for loops in ["accounting", "blocks.0.accounting"] {
            set(report, &format!("{loops}.latency.rejected"), json!(5));
            let offered = if loops == "accounting" { 75_000 } else { 25_000 };
            set(report, &format!("{loops}.latency.ok"), json!(offered - 5));
        }
    });
    room
}

#[test]
fn two_reports_stand_side_by_side() {
    let (text, difference) = diff(&room(), "baseline.json", "candidate.json");
    insta::assert_snapshot!("reports", text);
    assert_eq!(difference.a.kind, DifferenceKind::Report);
    assert_eq!(difference.metrics.len(), 6);
    let shares = difference.unserved[0].a.as_ref().zip(difference.unserved[0].b.as_ref()).unwrap();
    assert_eq!((shares.0.requests, shares.1.requests), (0, 5));
    let other: Vec<_> = difference
        .environment
        .iter()
        .filter(|field| !field.is_alike())
        .map(|f| &*f.field)
        .collect();
    assert_eq!(other, ["vm_flags", "cpu_model"]);
}

#[test]
fn two_verdicts_stand_side_by_side() {
    let room = Room::new();
    let check = |label: &str, code: i32| {
        let arguments = ["--candidate", "candidate.json", "--artifacts", ".", "--label", label];
        room.check_with(&arguments).is(code, &[]);
    };
    check("a", 0);
    room.set("candidate.json", "metrics.rps", json!(40_000));
    room.set("candidate.json", "metrics.errors_total", json!(3));
    check("b", 1);
    let (text, difference) = diff(&room, "perf_verdict_a.json", "perf_verdict_b.json");
    insta::assert_snapshot!("verdicts", text);
    assert_eq!(difference.b.kind, DifferenceKind::Verdict);
    let rps = difference.metrics.iter().find(|figure| figure.name == "rps").unwrap();
    assert_eq!(rps.change_pct.as_ref().unwrap().to_string(), "-21.88");
    assert!(difference.environment.is_empty() && !difference.notices.is_empty());
    // A report beside a verdict: what both say.
    let (text, mixed) = diff(&room, "candidate.json", "perf_verdict_b.json");
    assert!(mixed.metrics.iter().all(|figure| figure.a == figure.b), "{text}");
}

#[test]
fn a_report_beside_itself_differs_in_nothing() {
    let (_, difference) = diff(&room(), "candidate.json", "candidate.json");
    for fields in [&difference.environment, &difference.load, &difference.outcomes] {
        assert!(!fields.is_empty() && fields.iter().all(|field| field.is_alike()));
    }
    let figures = difference.metrics.iter().chain(&difference.supporting);
    for figure in figures {
        assert_eq!(figure.a, figure.b);
        assert!(figure.change_pct.as_ref().is_none_or(|change| change.is_zero()));
    }
}

#[test]
fn what_is_neither_is_refused() {
    let room = Room::new();
    room.bytes("empty.json", "");
    room.json("verdict.json", &json!({"schema": {"name": "cp1_verdict", "version": 2}}));
    for (file, said) in [
        ("empty.json", "the report empty.json: it is empty"),
        ("policy.json", "unknown field `gate`"),
        ("verdict.json", "the verdict verdict.json: at"),
        ("missing.json", "No such file"),
    ] {
        let answer = room.run(&["diff", "baseline.json", file]);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{answer:?}");
        assert!(answer.stderr.contains(said), "{answer:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_text_steers_a_terminal_or_leaves_the_page(text in any::<String>(), times in 1..30usize) {
        let text = text.repeat(times);
        let hostile = |mut report: Value| {
            report["env"]["cpu_model"] = json!(text);
            report["env"]["kernel"] = json!(text);
            report["run"]["reason"] = json!(text);
            report["run"]["planted_fault"] = json!(text);
            report
        };
        let told = |report: Value| {
            let report = cp1_format::parse(std::path::Path::new("r"), report.to_string().as_bytes());
            cp1_format::Told::Report(Box::new(report.unwrap()))
        };
        let (a, b) = (told(hostile(minimal())), told(minimal()));
        let path = std::path::PathBuf::from(&text);
        let page = render(&perf_gate::history::diff::between((&path, &a), (&path, &b)));
        for line in page.lines() {
            prop_assert!(line.chars().count() <= 80, "{}", line);
            let steers = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            prop_assert!(!line.chars().any(steers));
        }
    }
}
