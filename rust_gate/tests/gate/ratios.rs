//! Variants of one build as ratios: what they say, and what a policy makes of them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::{fits, fits_a_terminal, full_of, policy};
use cp1_format::{
    AdapterOption, Amount, Judgement, Policy, Ratio, RatioDecision, RatioFigure, Report,
    SchemaName, SchemaTag, Variant, Variants, parse,
};
use perf_gate::judge::ratios::{self, Side};
use perf_gate::render::variants;
use proptest::prelude::*;
use serde_json::{Value, json};

const BLOCKS: u64 = 12;

/// A variant that takes so many times as long, serves so much less and needs so much more memory; in one
/// block a little more than in another.
fn variant(times: f64, noise: f64) -> Report {
    changed(times, noise, |_| {})
}

fn changed(times: f64, noise: f64, change: impl Fn(&mut Value)) -> Report {
    let mut report = full_of(BLOCKS, 25_000);
    for (index, block) in report["blocks"].as_array_mut().unwrap().iter_mut().enumerate() {
        let factor = times * (1.0 + noise * (index as f64 - 5.5) / 5.5);
        let slices = &mut block["latency"]["slices"];
        slices["p50_ns"] = json!([300_000, 300_000]);
        for column in ["p50_ns", "p95_ns", "p99_ns"] {
            for ns in slices[column].as_array_mut().unwrap() {
                *ns = json!((ns.as_f64().unwrap() * factor).round() as u64);
            }
        }
        for ns in block["throughput"]["slices"]["duration_ns"].as_array_mut().unwrap() {
            *ns = json!((ns.as_f64().unwrap() * factor).round() as u64);
        }
        let memory = block["metrics"]["mem_mb_total_erlang"].as_f64().unwrap();
        block["metrics"]["mem_mb_total_erlang"] = json!(memory * factor);
    }
    change(&mut report);
    parse(Path::new("variant.json"), report.to_string().as_bytes()).unwrap()
}

/// The reports under their names, in order.
fn named<'a>(reports: &'a [(&'static str, Report)]) -> Vec<Side<'a>> {
    reports.iter().map(|(value, report)| Side { value, path: value, report }).collect()
}

fn limited(ratios: &Value) -> Policy {
    let mut whole = policy();
    whole["ratios"] = ratios.clone();
    parse(Path::new("policy.json"), whole.to_string().as_bytes()).unwrap()
}

fn of<'a>(ratios: &'a [Ratio], pair: (&str, &str), figure: RatioFigure) -> &'a Ratio {
    let is_it =
        |ratio: &&Ratio| (ratio.of.as_str(), ratio.to.as_str()) == pair && ratio.figure == figure;
    ratios.iter().find(is_it).unwrap()
}

fn estimate(ratio: &Ratio) -> f64 {
    ratio.estimate.as_ref().unwrap().approximate()
}

#[test]
fn bus_and_cryptography_are_steps_whose_product_is_the_whole() {
    let reports = [
        ("local", variant(1.0, 0.0)),
        ("nats", variant(3.0, 0.1)),
        ("nats-tls", variant(4.5, 0.1)),
    ];
    let (ratios, decision) = ratios::ratios(&named(&reports), "transport", None);
    assert_eq!(decision, None);
    let pairs: Vec<_> = ratios.iter().map(|ratio| (ratio.of.as_str(), ratio.to.as_str())).collect();
    assert_eq!(pairs.len(), 15);
    for pair in [("nats", "local"), ("nats-tls", "local"), ("nats-tls", "nats")] {
        assert!(pairs.contains(&pair), "{pairs:?}");
    }
    for figure in RatioFigure::ALL {
        let turned = |ratio: f64| if figure == RatioFigure::Rps { 1.0 / ratio } else { ratio };
        let close = |ratio: &Ratio, expected: f64| {
            let estimate = turned(estimate(ratio));
            assert!((estimate / expected - 1.0).abs() < 0.02, "{figure}: {estimate}");
            let (low, high) = (ratio.low.as_ref().unwrap(), ratio.high.as_ref().unwrap());
            let mut ends = [turned(low.approximate()), turned(high.approximate())];
            ends.sort_by(f64::total_cmp);
            assert!(ends[0] <= expected * 1.001 && expected <= ends[1] * 1.001, "{ends:?}");
        };
        close(of(&ratios, ("nats", "local"), figure), 3.0);
        close(of(&ratios, ("nats-tls", "nats"), figure), 1.5);
        close(of(&ratios, ("nats-tls", "local"), figure), 4.5);
    }
}

#[test]
fn a_figure_that_a_block_lacks_has_no_ratio_and_no_limit_on_it_holds() {
    let without = |report: &mut Value| {
        report["blocks"][3]["latency"]["slices"].as_object_mut().unwrap().remove("p50_ns");
    };
    let reports = [("a", variant(1.0, 0.0)), ("b", changed(1.0, 0.0, without))];
    let limits =
        json!({"pool": {"b/a": {"latency_p50_ms": {"max_ratio": 9}, "rps": {"min_ratio": 0.5}}}});
    let (ratios, decision) = ratios::ratios(&named(&reports), "pool", Some(&limited(&limits)));
    let lacking = of(&ratios, ("b", "a"), RatioFigure::LatencyP50Ms);
    assert_eq!((&lacking.estimate, &lacking.low, &lacking.high), (&None, &None, &None));
    assert_eq!(lacking.judged.as_ref().unwrap().judgement, Judgement::Undecided);
    let rps = of(&ratios, ("b", "a"), RatioFigure::Rps).judged.as_ref().unwrap();
    assert_eq!(rps.judgement, Judgement::Holds);
    assert_eq!(decision.unwrap().judgement, Judgement::Undecided);
}

fn judged(nats: Report, limits: &Value) -> (Judgement, Vec<Ratio>, RatioDecision) {
    let reports = [("local", variant(1.0, 0.0)), ("nats", nats)];
    let limits = json!({"transport": {"nats/local": limits}});
    let (ratios, decision) = ratios::ratios(&named(&reports), "transport", Some(&limited(&limits)));
    let decision = decision.unwrap();
    (decision.judgement, ratios, decision)
}

#[test]
fn a_limit_is_held_by_the_rule_that_judges_a_replay() {
    let p95 = |max: f64| json!({"latency_p95_ms": {"max_ratio": max}});
    // Within and beyond, each by more than the blocks differ.
    assert_eq!(judged(variant(3.0, 0.02), &p95(3.2)).0, Judgement::Holds);
    assert_eq!(judged(variant(3.0, 0.02), &p95(2.8)).0, Judgement::Violated);
    // The estimate is beyond, and the near bound is not.
    assert_eq!(judged(variant(3.0, 0.2), &p95(2.95)).0, Judgement::Undecided);
    // The estimate is within, and what must be caught is not ruled out.
    let narrow = json!({"latency_p95_ms": {"max_ratio": 3.05, "must_catch_ratio": 3.06}});
    assert_eq!(judged(variant(3.0, 0.2), &narrow).0, Judgement::Undecided);
    // Of throughput less is worse.
    let rps = |min: f64| json!({"rps": {"min_ratio": min}});
    assert_eq!(judged(variant(3.0, 0.02), &rps(0.3)).0, Judgement::Holds);
    assert_eq!(judged(variant(3.0, 0.02), &rps(0.4)).0, Judgement::Violated);
    // One that is violated is not made up for.
    let both = json!({"latency_p95_ms": {"max_ratio": 2}, "rps": {"min_ratio": 0.1}});
    let (judgement, ratios, _) = judged(variant(3.0, 0.02), &both);
    assert_eq!(judgement, Judgement::Violated);
    let rps = of(&ratios, ("nats", "local"), RatioFigure::Rps).judged.as_ref().unwrap();
    assert_eq!(rps.judgement, Judgement::Holds);
    let p99 = of(&ratios, ("nats", "local"), RatioFigure::LatencyP99Ms);
    assert_eq!(p99.judged, None, "nothing limits it");
}

#[test]
fn requests_that_were_not_served_pass_nothing_and_are_said() {
    let lossy = |report: &mut Value| {
        report["accounting"]["latency"]["ok"] = json!(BLOCKS * 25_000 - 7);
        report["accounting"]["latency"]["timeout"] = json!(7);
    };
    let p95 = |max: f64| json!({"latency_p95_ms": {"max_ratio": max}});
    let (judgement, ratios, decision) = judged(changed(3.0, 0.02, lossy), &p95(9.0));
    assert_eq!(judgement, Judgement::Undecided);
    let said = &of(&ratios, ("nats", "local"), RatioFigure::LatencyP95Ms).judged;
    assert!(said.as_ref().unwrap().explanation.contains("nats: 7 requests were not served"));
    assert_eq!(judged(changed(3.0, 0.02, lossy), &p95(2.0)).0, Judgement::Violated);
    let reports = [("local", variant(1.0, 0.0)), ("nats", changed(3.0, 0.0, lossy))];
    let notices = ratios::notices(&named(&reports), Some(&decision));
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].0.contains("nats: 7 of 300000 requests of the open loop were timeout"));
}

#[test]
fn too_few_samples_pass_no_percentile_and_disturbed_blocks_nothing() {
    let p99 = json!({"latency_p99_ms": {"max_ratio": 9}});
    let few = |report: &mut Value| {
        for block in report["blocks"].as_array_mut().unwrap() {
            block["latency"]["response_time"]["count"] = json!(100);
        }
    };
    assert_eq!(judged(variant(3.0, 0.02), &p99).0, Judgement::Holds);
    assert_eq!(judged(changed(3.0, 0.02, few), &p99).0, Judgement::Undecided);
    let disturbed = |report: &mut Value| {
        for block in report["blocks"].as_array_mut().unwrap() {
            block["disturbed"] = json!(["cpu_stolen"]);
        }
    };
    let rps = json!({"rps": {"min_ratio": 0.1}});
    assert_eq!(judged(changed(3.0, 0.02, disturbed), &rps).0, Judgement::Undecided);
}

#[test]
fn a_pair_that_a_policy_limits_has_to_be_measured() {
    let limits = json!({"transport": {
        "nats/local": {"rps": {"min_ratio": 0.1}}, "nats-tls/nats": {"rps": {"min_ratio": 0.5}}}});
    let limited = limited(&limits);
    let values =
        |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let unmeasured =
        |measured: &[&str]| ratios::unmeasured(&limited, "transport", &values(measured)).join(" ");
    assert_eq!(unmeasured(&["local", "nats", "nats-tls"]), "");
    assert_eq!(unmeasured(&["local", "nats"]), "nats-tls/nats");
    assert!(ratios::unmeasured(&limited, "pool", &values(&["1", "2"])).is_empty());
    // In whichever order they are measured.
    let reports = [
        ("nats", variant(3.0, 0.02)),
        ("local", variant(1.0, 0.0)),
        ("nats-tls", variant(9.0, 0.0)),
    ];
    let (ratios, decision) = ratios::ratios(&named(&reports), "transport", Some(&limited));
    assert!(of(&ratios, ("nats", "local"), RatioFigure::Rps).judged.is_some());
    assert_eq!(decision.unwrap().judgement, Judgement::Violated);
}

#[test]
fn the_page_fits_a_terminal_and_the_document_its_schema() {
    let reports = [
        ("local", variant(1.0, 0.0)),
        ("nats", variant(3.0, 0.02)),
        ("nats-tls", variant(3.3, 0.02)),
    ];
    let limits = json!({"transport": {"nats/local": {
        "latency_p95_ms": {"max_ratio": 2.5}, "latency_p99_ms": {"max_ratio": 4},
        "rps": {"min_ratio": 0.334}}}});
    let sides = named(&reports);
    let (ratios, decision) = ratios::ratios(&sides, "transport", Some(&limited(&limits)));
    let found = Variants {
        schema: SchemaTag { name: SchemaName::Cp1Variants, version: 1 },
        timestamp: reports[0].1.timestamp.clone(),
        git: reports[0].1.git.clone(),
        option: "transport".to_owned(),
        seed: 7,
        blocks: BLOCKS,
        confidence_pct: Amount::from(95),
        variants: sides
            .iter()
            .map(|side| Variant {
                value: AdapterOption::Text(side.value.to_owned()),
                report: format!("_artifacts/perf_variant_{}.json", side.value),
                env: side.report.env.clone(),
                figures: ratios::figures(side.report),
                accounting: side.report.accounting.unwrap(),
            })
            .collect(),
        ratios,
        notices: ratios::notices(&sides, decision.as_ref()),
        decision,
    };
    let figures: &BTreeMap<_, _> = &found.variants[0].figures;
    assert_eq!(figures.keys().copied().collect::<Vec<_>>(), RatioFigure::ALL);
    let json = cp1_format::to_json(&found).unwrap();
    fits("variants", &serde_json::from_str(&json).unwrap());
    assert_eq!(parse::<Variants>(Path::new("v"), json.as_bytes()).unwrap(), found);
    let page = variants::render(&found);
    fits_a_terminal(&page);
    insta::assert_snapshot!("variants", page);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_worse_variant_never_has_a_better_judgement(times in 1.0f64..4.0, worse in 1.0f64..2.0, noise in 0.0f64..0.3) {
        let limits = json!({"latency_p95_ms": {"max_ratio": 2}});
        let rank = |times: f64| match judged(variant(times, noise), &limits).0 {
            Judgement::Holds => 0,
            Judgement::Undecided => 1,
            _ => 2,
        };
        prop_assert!(rank(times * worse) >= rank(times));
    }

    #[test]
    fn the_ratio_the_other_way_is_its_reciprocal(times in 0.1f64..10.0, noise in 0.0f64..0.3) {
        let ratio = |first: &Report, second: &Report| {
            let reports = [("a", first.clone()), ("b", second.clone())];
            let (ratios, _) = ratios::ratios(&named(&reports), "o", None);
            estimate(of(&ratios, ("b", "a"), RatioFigure::LatencyP95Ms))
        };
        let (one, other) = (variant(1.0, 0.0), variant(times, noise));
        // Both are rounded to three digits.
        prop_assert!((ratio(&one, &other) * ratio(&other, &one) - 1.0).abs() < 0.02);
    }
}
