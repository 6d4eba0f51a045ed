//! Growth by memory class: what is planted into a series is read back, and settling is not taken for it.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use cp1_format::growth::{MemoryClass, Since, growth};
use cp1_format::{Block, Measured, Series, parse};
use proptest::prelude::*;

/// 1 s of closed loop, then 4 s of open loop with 5,000 requests a second.
fn block() -> Block {
    let outcomes = |ok: u64| serde_json::json!({"offered": ok, "ok": ok, "error": 0, "timeout": 0, "rejected": 0, "skipped": 0});
    let times = serde_json::json!({"count": 1, "clamped": 0, "time_went_backwards": 0});
    let block = serde_json::json!([{
        "block": 1, "metrics": {},
        "accounting": {"throughput": outcomes(9), "latency": outcomes(20_000)},
        "throughput": {"duration_ns": 1_000_000_000u64, "slices": {"ok": [], "duration_ns": []},
            "service_time": times},
        "latency": {"duration_ns": 4_000_000_000u64, "slices": {"ok": []}, "response_time": times,
            "service_time": times, "dispatch_lag": times},
        "memory": {"samples": 1, "min_bytes": 1, "peak_bytes": 1, "end_bytes": 1},
        "errors": {}, "backpressure": {}
    }]);
    let Measured(blocks) = parse(std::path::Path::new("b"), block.to_string().as_bytes()).unwrap();
    blocks.into_iter().next().unwrap()
}

fn of(since: Since, bytes_at: impl Fn(u64) -> f64) -> Option<f64> {
    growth(MemoryClass::Ets, since, &block(), &[series(None, 0, bytes_at)])
}

/// Of a router, whose time is longer by so much at its end.
fn series(router: Option<u32>, longer_ms: u64, bytes_at: impl Fn(u64) -> f64) -> Series {
    let time_ms: Vec<_> = (0..=15).map(|place| place * (5000 + longer_ms) / 15).collect();
    Series {
        block: 1,
        router,
        name: "memory_ets".to_owned(),
        unit: "byte".to_owned(),
        values: time_ms.iter().map(|time_ms| bytes_at(*time_ms).max(0.0) as u64).collect(),
        time_ms,
    }
}

proptest! {
    #[test]
    fn a_line_is_read_back_whatever_came_before_and_however_it_begins(
        per_request in 1.0f64..10_000.0, before in 0.0f64..1e9, jump in 0.0f64..1e8,
    ) {
        // 5 requests a millisecond; heaps that jump in the first half are no part of it.
        let settling = |time_ms: u64| if time_ms < 2500 { 0.0 } else { jump };
        for since in [Since::Half, Since::LastQuarter] {
            let seen = of(since, |ms| before + settling(ms) + per_request * 5.0 * ms as f64).unwrap();
            prop_assert!((seen / per_request - 1.0).abs() < 0.02, "{seen} of {per_request}");
        }
    }

    #[test]
    fn one_sample_that_is_off_moves_no_slope_far(per_request in 100.0f64..1000.0, place in 9usize..16) {
        let clean = |ms: u64| 1e6 + per_request * 5.0 * ms as f64;
        let off = |ms| clean(ms) + if ms == place as u64 * 1000 / 3 { 1e7 } else { 0.0 };
        let seen = of(Since::Half, off).unwrap();
        prop_assert!(seen > 0.5 * per_request && seen < 2.5 * per_request, "{seen} of {per_request}");
    }
}

#[test]
fn what_settles_slows_down_and_what_is_not_sampled_has_no_growth() {
    let settling = |ms: u64| 1e7 * (1.0 - (-(ms as f64) / 800.0).exp());
    let [whole, late] = [Since::Half, Since::LastQuarter].map(|since| of(since, settling).unwrap());
    assert!(late < whole / 2.0);
    for since in [Since::Half, Since::LastQuarter] {
        assert_eq!(of(since, |_| 5.0), Some(0.0));
        assert_eq!(growth(MemoryClass::Ets, since, &block(), &[]), None);
        assert_eq!(growth(MemoryClass::Binary, since, &block(), &[]), None);
    }
}

#[test]
fn routers_grow_by_what_each_grew_and_one_that_is_not_sampled_leaves_nothing_to_say() {
    let line = |per_request: f64| move |ms: u64| 1e6 + per_request * 5.0 * ms as f64;
    let routers = [series(Some(1), 0, line(100.0)), series(Some(2), 40, line(300.0))];
    let seen = growth(MemoryClass::Ets, Since::Half, &block(), &routers).unwrap();
    assert!((seen / 400.0 - 1.0).abs() < 0.03, "{seen}");
    let mut other = series(Some(2), 0, line(300.0));
    other.name = "memory_binary".to_owned();
    let missing = [series(Some(1), 0, line(100.0)), other];
    assert_eq!(growth(MemoryClass::Ets, Since::Half, &block(), &missing), None);
}
