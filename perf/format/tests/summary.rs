//! What a summary says follows from what was measured, and from nothing that a block states.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::path::Path;

use cp1_format::summary::{
    Percentile, Summary, Unmeasured, accounting, figure, median, standard_deviation,
};
use cp1_format::{Block, Measured, Metric, RunStatus, parse};
use proptest::prelude::*;
use serde_json::{Value, json};

fn outcomes(ok: u64) -> Value {
    json!({"offered": ok, "ok": ok, "error": 0, "timeout": 0, "rejected": 0, "skipped": 0})
}

fn times(p95_ns: u64, p99_ns: u64) -> Value {
    json!({"count": 20_000, "clamped": 0, "time_went_backwards": 0,
        "p95_ns": p95_ns, "p99_ns": p99_ns})
}

/// A block whose slices have these percentiles, and that many successes in a second each.
fn block(slices_ns: &[u64], ok: &[u64]) -> Value {
    json!({
        "block": 1, "metrics": {"rps": 5, "errors_total": 77},
        "accounting": {"throughput": outcomes(9), "latency": outcomes(20_000)},
        "throughput": {"duration_ns": 1, "service_time": times(1, 1), "slices":
            {"ok": ok, "duration_ns": vec![1_000_000_000u64; ok.len()]}},
        "latency": {"duration_ns": 1, "response_time": times(100, 100),
            "service_time": times(1, 1), "dispatch_lag": times(1, 1),
            "slices": {"ok": slices_ns, "p95_ns": slices_ns, "p99_ns": slices_ns}},
        "memory": {"samples": 1, "min_bytes": 1, "peak_bytes": 1_572_864, "end_bytes": 1},
        "errors": {"router": 2}, "backpressure": {"router": 3}
    })
}

fn measured(mut blocks: Vec<Value>) -> Vec<Block> {
    for (index, block) in blocks.iter_mut().enumerate() {
        block["block"] = json!(index + 1);
    }
    let Measured(blocks) = parse(Path::new("b"), json!(blocks).to_string().as_bytes()).unwrap();
    blocks
}

fn summary(blocks: Vec<Value>) -> Summary {
    Summary::of(&measured(blocks)).unwrap()
}

fn shown(metric: Metric, metrics: &cp1_format::Metrics) -> Option<String> {
    metrics.get(metric).map(ToString::to_string)
}

#[test]
fn a_driver_that_saw_more_than_the_router_is_what_counts() {
    let mut one = block(&[1, 2, 4], &[5]);
    one["accounting"]["throughput"] = json!({"offered": 14, "ok": 9, "error": 2, "timeout": 3,
        "rejected": 0, "skipped": 0});
    let found = summary(vec![one, block(&[1, 2, 4], &[5])]);
    assert_eq!(found.blocks[0].driver_errors, 5);
    let of_block = |index: usize| shown(Metric::ErrorsTotal, &found.blocks[index].metrics);
    assert_eq!((of_block(0).unwrap(), of_block(1).unwrap()), ("5".into(), "2".into()));
    assert_eq!(shown(Metric::ErrorsTotal, &found.metrics).unwrap(), "7");
}

#[test]
fn what_was_not_measured_has_no_figure_and_no_headline() {
    type Change = fn(&mut Value);
    let cases: [(Metric, Unmeasured, Change); 5] = [
        (Metric::LatencyP95Ms, Unmeasured::NoSlices(Percentile::P95), |block| {
            block["latency"]["slices"].as_object_mut().unwrap().remove("p95_ns");
        }),
        (Metric::LatencyP99Ms, Unmeasured::NoWhole(Percentile::P99), |block| {
            block["latency"]["response_time"].as_object_mut().unwrap().remove("p99_ns");
        }),
        (Metric::Rps, Unmeasured::NoRate, |block| {
            block["throughput"]["slices"] = json!({"ok": [5], "duration_ns": [0]});
        }),
        (Metric::ErrorsTotal, Unmeasured::NotCounted, |block| block["errors"] = json!({})),
        (Metric::BackpressureActiveTotal, Unmeasured::NotCounted, |block| {
            block["backpressure"] = json!({});
        }),
    ];
    for (metric, why, change) in cases {
        let mut without = block(&[1], &[5]);
        change(&mut without);
        let blocks = measured(vec![block(&[1], &[5]), without]);
        assert_eq!(figure(metric, &blocks[1]), Err(why));
        let found = Summary::of(&blocks).unwrap();
        assert_eq!(shown(metric, &found.blocks[1].metrics), None);
        assert_eq!(shown(metric, &found.metrics), None, "{metric}");
        assert_eq!(found.blocks[1].metrics.0.len(), 5, "{metric}");
    }
    // A slice without a success is a rate of 0, and a block of such slices measured no throughput.
    let found = summary(vec![block(&[1], &[0, 0])]);
    assert_eq!(shown(Metric::Rps, &found.metrics), None);
    assert_eq!(Summary::of(&[]).unwrap().metrics.0.len(), 0);
}

#[test]
fn requests_beyond_64_bits_have_no_sum() {
    let mut huge = block(&[1], &[5]);
    huge["accounting"]["latency"] = outcomes(u64::MAX);
    let blocks = measured(vec![huge, block(&[1], &[5])]);
    assert_eq!(accounting(&blocks), None);
    assert_eq!(Summary::of(&blocks), None);
}

#[test]
fn a_run_ends_as_its_blocks_allow() {
    let late = |p95_ns: u64, p99_ns: u64| {
        let mut block = block(&[1], &[5]);
        block["latency"]["dispatch_lag"] = times(p95_ns, p99_ns);
        block
    };
    let short = |count: u64| {
        let mut block = late(100, 100);
        block["latency"]["response_time"]["count"] = json!(count);
        block
    };
    for (blocks, status, reason) in [
        (vec![late(66, 66)], RunStatus::Complete, None),
        (vec![late(67, 1)], RunStatus::GeneratorLimited, Some("67 % of the p95")),
        (vec![late(70, 80)], RunStatus::GeneratorLimited, Some("80 % of the p99")),
        // The median of the blocks counts.
        (vec![late(1, 1), late(99, 99), late(2, 2)], RunStatus::Complete, None),
        (vec![short(20_000)], RunStatus::GeneratorLimited, Some("100 % of the p99")),
        (vec![late(1, 1), short(19_999)], RunStatus::InsufficientSamples, Some("19999 success")),
    ] {
        let found = summary(blocks);
        assert_eq!(found.status, status);
        assert_eq!(found.reason.is_some(), reason.is_some());
        assert!(found.reason.unwrap_or_default().contains(reason.unwrap_or_default()));
    }
    // One late driver is not hidden by those that are in time.
    let driven = |lags: [u64; 2]| {
        let mut block = late(1, 1);
        // The first of them offered all.
        let none =
            json!({"offered": 0, "ok": 0, "error": 0, "timeout": 0, "rejected": 0, "skipped": 0});
        let shares = [block["accounting"].clone(), json!({"throughput": none, "latency": none})];
        let drivers: Vec<Value> = (1..)
            .zip(lags.into_iter().zip(shares))
            .map(|(driver, (lag, accounting))| {
                json!({"driver": driver, "place": "local", "accounting": accounting,
                    "dispatch_lag": times(lag, lag), "clock_rate_ppm": 0,
                    "clock_rate_uncertainty_ppm": 1, "disturbed": [],
                    "env": {"otp_release": "25", "erts_version": "13.1.5", "schedulers_online": 1,
                        "nif_version": "0.5.0"}})
            })
            .collect();
        let router = json!({"router": 1, "memory": block["memory"], "errors": block["errors"],
            "backpressure": block["backpressure"], "disturbed": []});
        block["nodes"] = json!({"drivers": drivers, "routers": [router]});
        block
    };
    assert_eq!(summary(vec![driven([1, 2])]).status, RunStatus::Complete);
    assert_eq!(summary(vec![driven([1, 90])]).status, RunStatus::GeneratorLimited);
    // A distribution without a percentile says nothing of the generator.
    let mut blind = late(99, 99);
    blind["latency"]["dispatch_lag"] = json!({"count": 0, "clamped": 0, "time_went_backwards": 0});
    assert_eq!(summary(vec![blind]).status, RunStatus::Complete);
}

proptest! {
    #[test]
    fn figures_are_those_of_a_plain_computation(
        slices in prop::collection::vec(prop::collection::vec(1..10_000_000_000u64, 1..7), 1..6),
        order in any::<prop::sample::Index>(),
    ) {
        let plain = |slices: &Vec<u64>| {
            median(slices.iter().map(|ns| *ns as f64 / 1e6).collect()).unwrap()
        };
        let figures: Vec<f64> = slices.iter().map(plain).collect();
        let found = summary(slices.iter().map(|slices| block(slices, slices)).collect());
        let near = |stated: f64, own: f64| (stated - own).abs() <= own.abs() * 1e-9 + 1e-9;
        for (one, own) in found.blocks.iter().zip(&figures) {
            let stated = one.metrics.get(Metric::LatencyP95Ms).unwrap().approximate();
            prop_assert!(near(stated, *own), "{stated} {own}");
            let rps = one.metrics.get(Metric::Rps).unwrap().approximate();
            prop_assert!(near(rps, own * 1e6), "{rps} {own}");
        }
        let headline = found.metrics.get(Metric::LatencyP95Ms).unwrap().approximate();
        prop_assert!(near(headline, median(figures.clone()).unwrap()));
        let spread = found.spread_pct.get(&Metric::LatencyP95Ms).map(|pct| pct.approximate());
        let mean = figures.iter().sum::<f64>() / figures.len() as f64;
        let own = standard_deviation(&figures).map(|deviation| 100.0 * deviation / mean);
        prop_assert_eq!(spread.is_some(), slices.len() > 1);
        if let Some((spread, own)) = spread.zip(own) {
            prop_assert!((spread - own).abs() < 1e-5, "{spread} {own}");
        }
        // Neither order of slices nor that of blocks changes anything.
        let mut turned = slices.clone();
        turned.rotate_left(order.index(slices.len()));
        for slices in &mut turned {
            slices.reverse();
        }
        let other = summary(turned.iter().map(|slices| block(slices, slices)).collect());
        prop_assert_eq!(other.metrics, found.metrics);
    }
}
