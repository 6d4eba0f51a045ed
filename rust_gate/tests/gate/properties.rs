//! What must hold for every figure and every file.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr as _;

use crate::common::{full_of, minimal, policy, set};
use bigdecimal::{BigDecimal, Signed as _};
use cp1_format::{Metric, Outcome, Policy, Report, Verdict, parse};
use perf_gate::judge::verdict::decide;
use perf_gate::read::inputs::{Inputs, Source};
use perf_gate::render;
use proptest::prelude::*;
use serde_json::{Value, json};

fn source<T: cp1_format::Document>(path: &str, bytes: &[u8]) -> Source<T> {
    Source { path: path.to_owned(), document: parse(Path::new(path), bytes).ok() }
}

/// Judges three documents in memory; `None` where one cannot be read.
fn judge_bytes(baseline: &[u8], policy: &[u8], candidate: &[u8]) -> Option<Verdict> {
    let baseline = source::<Report>("baseline.json", baseline);
    let policy = source::<Policy>("policy.json", policy);
    let candidate = source::<Report>("candidate.json", candidate);
    if baseline.document.is_none() || policy.document.is_none() || candidate.document.is_none() {
        return None;
    }
    let (problems, notices) = (Vec::new(), Vec::new());
    Some(decide(&Inputs {
        baseline,
        candidate,
        replay: None,
        policy,
        rule_lines: BTreeMap::new(),
        waivers: None,
        problems,
        notices,
    }))
}

/// A minimal report with one figure in this very spelling.
fn with_figure(metric: &str, literal: &str) -> Vec<u8> {
    let mut report = minimal();
    set(&mut report, &format!("metrics.{metric}"), json!("HERE"));
    report.to_string().replace("\"HERE\"", literal).into_bytes()
}

fn judge_figures(metric: &str, rule: Value, baseline: &str, candidate: &str) -> Outcome {
    let mut policy = policy();
    set(&mut policy, &format!("rules.{metric}"), rule);
    judge_bytes(
        &with_figure(metric, baseline),
        policy.to_string().as_bytes(),
        &with_figure(metric, candidate),
    )
    .unwrap()
    .outcome
}

fn relative(metric: &str, percent: &str) -> Value {
    let key = if metric == "rps" { "max_pct_decrease" } else { "max_pct_increase" };
    serde_json::from_str(&format!(r#"{{"relative": {{"{key}": {percent}}}}}"#)).unwrap()
}

const GATED: [&str; 4] = ["latency_p95_ms", "latency_p99_ms", "rps", "mem_mb_total_erlang"];

/// A positive decimal as text, with up to 6 places.
fn figure() -> impl Strategy<Value = String> {
    (1..1_000_000_000u64, 0..7u32).prop_map(|(digits, places)| {
        BigDecimal::new(digits.into(), i64::from(places)).to_plain_string()
    })
}

/// Percent with up to 2 places, below 100.
fn percent() -> impl Strategy<Value = String> {
    (0..10_000u64).prop_map(|hundredths| BigDecimal::new(hundredths.into(), 2).to_plain_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn exactly_the_limit_passes_and_the_next_decimal_beyond_fails(
        metric in prop::sample::select(&GATED), baseline in figure(), pct in percent(), far in 1..12i64,
    ) {
        let sign = if metric == "rps" { -1 } else { 1 };
        let pct_exact = BigDecimal::from_str(&pct).unwrap();
        let limit: BigDecimal = BigDecimal::from_str(&baseline).unwrap()
            * (BigDecimal::from(100) + pct_exact * sign) * BigDecimal::new(1.into(), 2);
        let beyond = &limit + BigDecimal::new(sign.into(), limit.fractional_digit_count() + far);
        prop_assume!(beyond.is_positive());
        let rule = || relative(metric, &pct);
        let at_limit = judge_figures(metric, rule(), &baseline, &limit.to_plain_string());
        prop_assert_eq!(at_limit, Outcome::Pass);
        let violated = judge_figures(metric, rule(), &baseline, &beyond.to_plain_string());
        prop_assert_eq!(violated, Outcome::Regression);
    }

    #[test]
    fn worse_is_never_better(
        metric in prop::sample::select(&GATED), baseline in figure(), pct in percent(),
        one in figure(), other in figure(),
    ) {
        let (one_exact, other_exact) =
            (BigDecimal::from_str(&one).unwrap(), BigDecimal::from_str(&other).unwrap());
        let one_is_worse = (one_exact > other_exact) == (metric != "rps");
        let (worse, better) = if one_is_worse { (one, other) } else { (other, one) };
        let judge = |figure: &str| judge_figures(metric, relative(metric, &pct), &baseline, figure);
        if judge(&worse) == Outcome::Pass {
            prop_assert_eq!(judge(&better), Outcome::Pass);
        }
    }

    #[test]
    fn more_errors_never_pass(errors in 1..u64::MAX) {
        let rule = || json!({"absolute": {"equals": 0}});
        let judged = judge_figures("errors_total", rule(), "0", &errors.to_string());
        prop_assert_eq!(judged, Outcome::Regression);
    }

    #[test]
    fn the_unit_does_not_matter_to_a_relative_rule(
        metric in prop::sample::select(&GATED), baseline in figure(), candidate in figure(),
        pct in percent(), scale in figure(),
    ) {
        let scaled = |text: &str| {
            let exact = BigDecimal::from_str(text).unwrap() * BigDecimal::from_str(&scale).unwrap();
            exact.to_plain_string()
        };
        prop_assert_eq!(
            judge_figures(metric, relative(metric, &pct), &baseline, &candidate),
            judge_figures(metric, relative(metric, &pct), &scaled(&baseline), &scaled(&candidate))
        );
    }

    #[test]
    fn the_spelling_of_a_figure_does_not_matter(baseline in figure(), pct in percent()) {
        let spellings = [format!("{baseline}e0"), format!("{baseline}E+0")];
        for spelling in spellings {
            let rule = || relative("rps", &pct);
            prop_assert_eq!(judge_figures("rps", rule(), &baseline, &spelling), Outcome::Pass);
        }
    }

    #[test]
    fn the_same_documents_give_the_same_bytes(candidate in figure()) {
        let judge = || {
            let candidate = with_figure("rps", &candidate);
            let baseline = minimal().to_string();
            judge_bytes(baseline.as_bytes(), policy().to_string().as_bytes(), &candidate).unwrap()
        };
        let rendered = |verdict: &Verdict| {
            let json = cp1_format::to_json(verdict).unwrap();
            (render::terminal::explained(verdict), render::markdown::render(&render::Shown::alone(verdict)), json)
        };
        prop_assert_eq!(rendered(&judge()), rendered(&judge()));
    }

    #[test]
    fn arbitrary_bytes_never_pass(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let report = minimal().to_string();
        let policy = policy().to_string();
        prop_assert!(judge_bytes(&bytes, policy.as_bytes(), report.as_bytes()).is_none());
        prop_assert!(judge_bytes(report.as_bytes(), &bytes, report.as_bytes()).is_none());
        prop_assert!(judge_bytes(report.as_bytes(), policy.as_bytes(), &bytes).is_none());
    }
}

/// What a byte of a document is turned into.
fn damage() -> impl Strategy<Value = (prop::sample::Index, Vec<u8>, usize)> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3),
        prop::sample::select(
            &[
                "null",
                "-1",
                "0",
                "1e999",
                "NaN",
                "\"\"",
                "{}",
                "[]",
                ",",
                "}",
                "\"rps\":1,",
                "99999999",
            ][..]
        )
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (any::<prop::sample::Index>(), piece, 0..6usize)
}

fn damaged(whole: &[u8], (at, piece, removed): &(prop::sample::Index, Vec<u8>, usize)) -> Vec<u8> {
    let start = at.index(whole.len());
    let end = (start + removed).min(whole.len());
    [&whole[..start], piece, &whole[end..]].concat()
}

/// What a judgement rests on: whoever changes none of it may change the rest.
fn substance(bytes: &[u8]) -> Option<Report> {
    parse(Path::new("r"), bytes).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_damaged_candidate_never_panics_and_passes_only_if_its_figures_hold(change in damage()) {
        let whole = full_of(1, 20_000).to_string().into_bytes();
        let candidate = damaged(&whole, &change);
        let verdict = judge_bytes(&whole, policy().to_string().as_bytes(), &candidate);
        let Some(verdict) = verdict else { return Ok(()) };
        let text = render::terminal::explained(&verdict);
        prop_assert!(text.contains("VERDICT: "));
        if verdict.outcome == Outcome::Pass {
            let original = substance(&whole).unwrap();
            let report = substance(&candidate).unwrap();
            prop_assert_eq!(report.run.ct_exit_code, Some(0));
            prop_assert!(report.run.planted_fault.is_none());
            for metric in Metric::ALL.into_iter().filter(|metric| !metric.is_optional()) {
                let exact = |report: &Report| report.metrics.get(metric).unwrap().exact().clone();
                // Blocks stand behind the figures: only a rounding error can differ.
                let difference = (exact(&report) - exact(&original)).abs() * 100_000;
                prop_assert!(difference <= exact(&original).abs());
            }
        }
    }

    #[test]
    fn a_damaged_policy_never_panics_and_never_loses_its_rules(change in damage()) {
        let whole = policy().to_string().into_bytes();
        let policy = damaged(&whole, &change);
        let mut candidate = minimal();
        candidate["metrics"]["backpressure_active_total"] = json!(5_000_000_000u64);
        candidate["metrics"]["latency_p95_ms"] = json!(1e20);
        let baseline = minimal().to_string();
        let verdict = judge_bytes(baseline.as_bytes(), &policy, candidate.to_string().as_bytes());
        prop_assert!(verdict.is_none_or(|verdict| verdict.outcome == Outcome::Regression));
    }
}
