//! What several machines make together does not depend on their order, and is nothing where it cannot be told.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use cp1_format::{
    Counted, Digest, LatencyPhase, MachineBlock, MemoryFigures, Merged, MergedMachine, MergedRun,
    Outcomes, Percentiles, Report, Routers, ThroughputPhase, Timestamp, read_file,
};
use proptest::prelude::*;

fn times() -> impl Strategy<Value = Percentiles> {
    (0..1u64 << 40, 1..1u64 << 20, 0..1u64 << 40).prop_map(|(min, count, more)| Percentiles {
        count,
        min_ns: Some(min),
        mean_ns: Some(min + more / 2),
        max_ns: Some(min + more),
        ..Percentiles::default()
    })
}

fn machine() -> impl Strategy<Value = MachineBlock> {
    let counted = (proptest::option::of(0..1u64 << 40), proptest::option::of(0..1u64 << 40));
    let counted = counted.prop_map(|(driver, router)| Counted { driver, router });
    (times(), times(), counted, 1..1u64 << 40).prop_map(|(one, other, errors, n)| MachineBlock {
        accounting: cp1_format::Accounting {
            latency: Outcomes { offered: 2 * n, ok: n, skipped: n, ..Outcomes::default() },
            ..Default::default()
        },
        throughput: ThroughputPhase {
            duration_ns: n,
            service_time: other.clone(),
            ..Default::default()
        },
        latency: LatencyPhase {
            duration_ns: n,
            response_time: one,
            service_time: other,
            ..Default::default()
        },
        memory: MemoryFigures { samples: n, min_bytes: n, peak_bytes: 3 * n, end_bytes: 2 * n },
        errors,
        backpressure: errors,
        nodes: None,
        evidence: None,
        disturbed: None,
    })
}

proptest! {
    #[test]
    fn what_machines_make_together_does_not_depend_on_their_order(
        machines in proptest::collection::vec(machine(), 2..6),
        shared in any::<bool>(),
    ) {
        let routers = if shared { Routers::Shared } else { Routers::Each };
        let together = MachineBlock::together(routers, &machines).unwrap();
        let backwards: Vec<_> = machines.iter().rev().cloned().collect();
        prop_assert_eq!(&MachineBlock::together(routers, &backwards).unwrap(), &together);
        let sum = |of: fn(&MachineBlock) -> u64| machines.iter().map(of).sum::<u64>();
        let outcomes = together.accounting.latency;
        prop_assert_eq!(outcomes.offered, sum(|machine| machine.accounting.latency.offered));
        prop_assert_eq!(outcomes.accounted(), Some(outcomes.offered));
        let response = &together.latency.response_time;
        prop_assert_eq!(response.count, sum(|machine| machine.latency.response_time.count));
        prop_assert!(response.min_ns <= response.mean_ns && response.mean_ns <= response.max_ns);
        prop_assert_eq!(response.p99_ns, None);
        let seen: Option<Vec<u64>> = machines.iter().map(|machine| machine.errors.router).collect();
        let expected = seen.map(|seen| match shared {
            true => seen.into_iter().max().unwrap(),
            false => seen.into_iter().sum(),
        });
        prop_assert_eq!(together.errors.router, expected);
        let peak = if shared { 0 } else { sum(|machine| machine.memory.peak_bytes) };
        prop_assert_eq!(together.memory.peak_bytes, peak);
    }

    #[test]
    fn a_sum_beyond_64_bits_is_none(one in machine()) {
        let mut other = one.clone();
        other.accounting.latency.ok = u64::MAX - one.accounting.latency.ok + 1;
        let too_many = [one.clone(), other];
        prop_assert_eq!(MachineBlock::together(Routers::Each, &too_many), None);
        let mut other = one.clone();
        other.latency.response_time.count = u64::MAX;
        prop_assert_eq!(MachineBlock::together(Routers::Shared, &[one, other]), None);
    }
}

/// Machines that say so of when they measured.
fn merged(runs: &[(&str, Option<u64>)]) -> Merged {
    let frozen = concat!(env!("CARGO_MANIFEST_DIR"), "/../baseline_cp1.json");
    let report: Report = read_file(frozen.as_ref()).unwrap();
    let machine = |(time, duration_ms): &(&str, Option<u64>)| MergedMachine {
        env: report.env.clone(),
        load: report.load.clone().unwrap(),
        clock: None,
        runs: vec![MergedRun {
            timestamp: Timestamp::parse(time).unwrap(),
            duration_ms: *duration_ms,
            sha256: Digest::of_hash([0; 32]),
        }],
    };
    Merged { routers: Routers::Each, machines: runs.iter().map(machine).collect() }
}

#[test]
fn the_common_time_is_told_in_percent_of_the_shortest_run_and_nothing_of_what_is_not_stated() {
    let noon = "2026-01-31T12:00:00Z";
    let of = |runs: &[_]| merged(runs).together_pct(0);
    assert_eq!(of(&[(noon, Some(100_000)), (noon, Some(60_000))]), Some(100));
    let late = "2026-01-31T12:00:30.000Z";
    assert_eq!(of(&[(noon, Some(60_000)), (late, Some(60_000))]), Some(50));
    assert_eq!(of(&[(late, Some(60_000)), (noon, Some(60_000)), (noon, Some(40_000))]), Some(25));
    assert_eq!(of(&[(noon, Some(10_000)), (late, Some(10_000))]), Some(0));
    assert_eq!(of(&[(noon, Some(10_000)), (late, None)]), None);
    assert_eq!(of(&[(noon, Some(0)), (noon, Some(1))]), None);
    let ends = [("0001-01-01T00:00:00Z", Some(u64::MAX)), ("9999-12-31T23:59:59Z", Some(u64::MAX))];
    assert_eq!(of(&ends), Some(99));
    assert_eq!(merged(&[(noon, Some(1))]).together_pct(1), None, "there is one session");
}

#[test]
fn rates_and_workers_are_added_and_no_seed_is_everybodys() {
    let mut two = merged(&[("2026-01-31T12:00:00Z", Some(1)), ("2026-01-31T12:00:00Z", Some(1))]);
    two.machines[1].load.rate_per_second = 7;
    let load = two.load().unwrap();
    assert_eq!((load.rate_per_second, load.concurrency, load.seed), (20_007, 4, None));
    two.machines[1].load.rate_per_second = u64::MAX;
    assert_eq!(two.load(), None);
}
