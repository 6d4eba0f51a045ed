//! Verdicts that every format is shown over: one of each kind.

use std::path::Path;

use cp1_format::{
    Amount, Comparison, Date, Decimal, Decision, FieldDifference, Input, Judgement, Metric, Notice,
    Outcome, Phase, Policy, Problem, RuleResult, SchemaName, SchemaTag, Share, SupportingFigure,
    Unserved, UnservedResult, Verdict, Waiver, parse,
};
use perf_gate::judge::verdict::decide;
use perf_gate::read::inputs::{Inputs, Source};
use perf_gate::render::{Shown, annotations, code_quality, junit, markdown, metrics, sarif, tap};
use serde_json::{Value, json};

use super::{full, full_of, minimal, pair, policy, remove, set};

/// What was judged, and how.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) inputs: Inputs,
    pub(crate) verdict: Verdict,
}

fn source<T: cp1_format::Document>(path: &str, document: &Value) -> Source<T> {
    let document = parse(Path::new(path), document.to_string().as_bytes()).unwrap();
    Source { path: path.to_owned(), document: Some(document) }
}

fn scene(
    name: &'static str,
    baseline: &Value,
    candidate: &Value,
    further: impl FnOnce(&mut Inputs),
) -> Scene {
    let mut candidate = candidate.clone();
    candidate["timestamp"] = json!("2026-01-31T13:00:00Z");
    let mut inputs = Inputs {
        baseline: source("perf/baseline_cp1.json", baseline),
        candidate: source("_artifacts/perf_baseline_1.json", &candidate),
        replay: None,
        policy: source::<Policy>("perf/policy_cp1.json", &policy()),
        rule_lines: Metric::ALL.into_iter().zip(4..).collect(),
        waivers: None,
        problems: Vec::new(),
        notices: Vec::new(),
    };
    further(&mut inputs);
    Scene { name, verdict: decide(&inputs), inputs }
}

/// Changed at a path.
fn with(document: &Value, path: &str, value: Value) -> Value {
    let mut document = document.clone();
    set(&mut document, path, value);
    document
}

/// One of each kind of verdict.
pub(crate) fn scenes() -> Vec<Scene> {
    let (small, whole) = (minimal(), full());
    let none = |_: &mut Inputs| {};
    let slow = with(
        &with(&small, "metrics.latency_p99_ms", json!(1.29)),
        "metrics.errors_total",
        json!(3),
    );
    let mut unsealed = small.clone();
    remove(&mut unsealed, "run.ct_exit_code");
    let mut refusing = whole.clone();
    for place in ["accounting", "blocks.0.accounting"] {
        for (key, more) in [("rejected", 40_000), ("offered", 40_000)] {
            let path = format!("{place}.throughput.{key}");
            let pointer = format!("/{}", path.replace('.', "/"));
            let before = refusing.pointer(&pointer).unwrap().as_u64().unwrap();
            set(&mut refusing, &path, json!(before + more));
        }
    }
    let side = |role: &str| {
        let mut report = full_of(9, 20_000);
        pair(&mut report, role);
        report
    };
    let waivers = json!({"version": "cp1", "waivers": [{
        "metric": "latency_p99_ms", "ceiling_pct": 45, "expires": "2026-02-28",
        "issue": "https://example.org/issues/7", "reason": "the codec is being rewritten"
    }]});
    vec![
        scene("pass", &whole, &whole, none),
        scene("pass of a replay", &whole, &side("candidate"), |inputs| {
            inputs.replay = Some(source("_artifacts/perf_replay_1.json", &side("frozen")));
        }),
        scene("waived", &small, &with(&small, "metrics.latency_p99_ms", json!(1.29)), |inputs| {
            inputs.waivers = Some(source("perf/waivers.json", &waivers));
        }),
        scene("regression", &small, &slow, none),
        scene("regression of what was not served", &whole, &refusing, none),
        scene("invalid", &small, &unsealed, none),
        scene("inconclusive", &full_of(3, 4000), &full_of(3, 4000), none),
        scene("incomparable", &small, &with(&small, "env.cpu_count", json!(8)), none),
        scene("unread", &small, &small, |inputs| {
            inputs.candidate.document = None;
            inputs.problems = vec![Problem {
                file: "_artifacts/perf_baseline_1.json".to_owned(),
                place: None,
                message: "the file is empty".to_owned(),
                cure: "measure again".to_owned(),
            }];
        }),
    ]
}

/// A verdict with this text in every place that holds text.
pub(crate) fn of_text(text: &str, repeated: usize) -> Verdict {
    let t = || text.to_owned();
    let some = || Some(t());
    let input = || Input { path: t(), timestamp: some(), commit: some(), blocks: Some(3) };
    let difference = FieldDifference { field: t(), baseline: some(), candidate: some() };
    let problem = Problem { file: t(), place: some(), message: t(), cure: t() };
    let rule = |(metric, judgement)| RuleResult {
        metric,
        baseline: Some(Amount::from(5)),
        candidate: None,
        change_pct: Some(Decimal::parse("-0.5").unwrap()),
        limit: t(),
        judgement,
        explanation: some(),
        on_blocks: None,
        on_undisturbed_blocks: None,
        on_whole_blocks: None,
        waiver: Some(Waiver {
            metric: Metric::Rps,
            ceiling_pct: Amount::from(5),
            expires: Date::parse("2026-01-31").unwrap(),
            issue: t(),
            reason: t(),
        }),
    };
    Verdict {
        schema: SchemaTag { name: SchemaName::Cp1Verdict, version: 2 },
        outcome: Outcome::Invalid,
        exit_code: 2,
        summary: t(),
        inputs: cp1_format::Inputs {
            baseline: input(),
            candidate: input(),
            replay: Some(input()),
            policy: input(),
            waivers: Some(input()),
        },
        decision: Some(Decision {
            blocks: 8,
            baseline_blocks: 8,
            paired: true,
            looks: vec![8, 12],
            next_look: Some(12),
            false_alarm_pct: Amount::from(1),
            miss_pct: Amount::from(1),
        }),
        comparison: Comparison {
            differences: vec![difference; repeated],
            unverified: vec![t(); repeated],
        },
        rules: [
            (Metric::Rps, Judgement::Holds),
            (Metric::MemMbTotalErlang, Judgement::Violated),
            (Metric::LatencyP95Ms, Judgement::Waived),
        ]
        .map(rule)
        .to_vec(),
        unserved: vec![UnservedResult {
            phase: Phase::Latency,
            outcome: Unserved::Rejected,
            baseline: None,
            candidate: Share { requests: 1, offered: 5, pct: Amount::from(20) },
            limit: t(),
            judgement: Judgement::Violated,
            explanation: some(),
        }],
        supporting: vec![SupportingFigure {
            name: t(),
            unit: t(),
            baseline: Some(Amount::from(5)),
            candidate: None,
        }],
        problems: vec![problem; repeated],
        notices: vec![Notice(t()); repeated],
    }
}

/// Whether what tools read says that all is well, the way they read it, format by format.
pub(crate) fn looks_green(shown: &Shown<'_>) -> Vec<(&'static str, bool)> {
    let lines_with = |text: &str, begin: &str| text.lines().any(|line| line.starts_with(begin));
    let junit = junit::render(shown).unwrap();
    let sarif: Value = serde_json::from_str(&sarif::render(shown).unwrap()).unwrap();
    let quality: Value = serde_json::from_str(&code_quality::render(shown).unwrap()).unwrap();
    let tap = tap::render(shown);
    let fails = |line: &str| line.starts_with("not ok ") && !line.contains(" # TODO ");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    vec![
        ("markdown", lines_with(&markdown::render(shown), "## CP1 performance gate: PASS")),
        // In the text of an element or attribute there is no angle bracket.
        ("junit", !["<failure", "<error"].iter().any(|element| junit.contains(element))),
        ("sarif", results.iter().all(|result| result["level"] == "note")),
        ("annotations", !lines_with(&annotations::render(shown), "::error ")),
        (
            "codequality",
            quality.as_array().unwrap().iter().all(|found| found["severity"] == "info"),
        ),
        ("metrics", lines_with(&metrics::render(shown), "cp1_gate_passes 1")),
        ("tap", !tap.lines().any(fails)),
    ]
}

/// What is likely to break a format.
pub(crate) const HOSTILE: &[&str] = &[
    "`",
    "``",
    "```",
    "|",
    "\\",
    "\\|",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\x1b[31m",
    "\x1b]0;x\x07",
    "<",
    "<!--",
    "-->",
    "</td>",
    "<script>",
    "</details>",
    "<details>",
    "<summary>",
    "&lt;",
    "&#60;",
    "&",
    "]]>",
    "<![CDATA[",
    "\"",
    "'",
    "*",
    "**",
    "_",
    "[x](http://x)",
    "![x](y)",
    "](",
    "# ",
    "\n# ",
    "- ",
    "@someone",
    "#1",
    "http://example.org",
    "www.example.org",
    "~~",
    " ",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "\u{85}",
    "\u{9b}",
    "\u{2028}",
    "\u{0}",
    "\u{fffe}",
    "\u{ffff}",
    "::error::",
    "::stop-commands::x",
    "##[error]",
    "%0A",
    "%0A::error::",
    "%",
    ":",
    ",",
    "# TODO",
    "# SKIP",
    "ok 1",
    "Bail out!",
    "1..0",
    "{",
    "}",
    "\"} 1",
    "x",
    "VERDICT: PASS (exit 0)",
];
