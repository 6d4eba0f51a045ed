//! What cannot be in what was measured, in one table: each figure of a block beside those that it has to
//! agree with. A report that breaks one of these was edited or written by a broken benchmark. Pure.
//!
//! Tolerances are what a sound report may show: times are bucket values of histograms with 3
//! significant digits, and a phase ends with its last answer.

use bigdecimal::BigDecimal;
use cp1_format::summary::{self, Percentile};
use cp1_format::{
    Block, FailedOutcome, LatencyPhase, MachineBlock, Merged, Metric, Nodes, Outcomes, Percentiles,
    Phase, RecoveryPhase, RecoveryWindow, Report, Routers, Series, ThroughputPhase,
};

use crate::judge::contradictions::Contradictions;

/// Most samples of a distribution, one in so many, that may be clamped or have gone backwards.
const MISREAD_ONE_IN: u64 = 1000;

/// By how much a time of a histogram may be off: its bucket, relatively, and its resolution.
const BUCKET_SHARE: f64 = 0.01;
const RESOLUTION_NS: f64 = 100.0;

/// A phase is at least one in so many parts as long as the plan says.
const PHASE_PARTS_MAX: u64 = 2;

/// One thing that must hold of a block: where it is looked for, and what is said if it does not hold.
struct Check {
    place: &'static str,
    finds: fn(&Block, &Report) -> Option<String>,
}

/// Every check of what was measured under a load of the bench, on one machine or several.
const OF_LOAD: [Check; 15] = [
    Check {
        place: "throughput.service_time.count",
        finds: |b, _| samples(b.throughput.service_time.count, b.accounting.throughput.ok),
    },
    Check {
        place: "latency.response_time.count",
        finds: |b, _| samples(b.latency.response_time.count, b.accounting.latency.ok),
    },
    Check {
        place: "latency.service_time.count",
        finds: |b, _| samples(b.latency.service_time.count, b.accounting.latency.ok),
    },
    Check { place: "latency.dispatch_lag.count", finds: lag_samples },
    Check { place: "latency.dispatch_lag.mean_ns", finds: |b, _| lag_of_answers(b) },
    Check {
        place: "latency.service_time",
        finds: |b, _| within(&b.latency.service_time, &b.latency.response_time),
    },
    Check {
        place: "throughput.service_time",
        finds: |b, _| distribution(&b.throughput.service_time),
    },
    Check { place: "latency.response_time", finds: |b, _| distribution(&b.latency.response_time) },
    Check { place: "latency.service_time", finds: |b, _| distribution(&b.latency.service_time) },
    Check { place: "latency.dispatch_lag", finds: |b, _| distribution(&b.latency.dispatch_lag) },
    Check {
        place: "throughput.duration_ns",
        finds: |b, report| {
            as_planned(
                b.throughput.duration_ns,
                report.load.as_ref().map(|load| load.throughput_ms),
            )
        },
    },
    Check {
        place: "latency.duration_ns",
        finds: |b, report| {
            as_planned(b.latency.duration_ns, report.load.as_ref().map(|load| load.latency_ms))
        },
    },
    Check {
        place: "accounting.throughput.skipped",
        finds: |b, _| {
            let skipped = b.accounting.throughput.skipped;
            (skipped > 0).then(|| format!("{skipped} skipped in a loop that skips nothing"))
        },
    },
    Check { place: "recovery.windows", finds: |b, _| windows(b) },
    Check { place: "recovery", finds: outage },
];

/// What the slices of such a block have to agree with; several machines have none in common.
const OF_SLICES: [Check; 3] = [
    Check {
        place: "throughput.slices.ok",
        finds: |b, _| samples(sum(&b.throughput.slices.ok), b.accounting.throughput.ok),
    },
    Check {
        place: "latency.slices.ok",
        finds: |b, _| samples(sum(&b.latency.slices.ok), b.accounting.latency.ok),
    },
    Check {
        place: "throughput.slices.duration_ns",
        finds: |b, _| {
            let (slices, phase) = (sum(&b.throughput.slices.duration_ns), b.throughput.duration_ns);
            (slices != phase).then(|| format!("{slices} ns in slices of a phase of {phase} ns"))
        },
    },
];

/// What one machine has to know, and several together cannot: of the generator's lateness a report keeps
/// percentiles and no distribution.
const OF_GENERATOR: [Check; 2] = [
    Check { place: "latency.dispatch_lag", finds: |b, _| lag_percentiles(&b.latency) },
    Check { place: "nodes", finds: nodes },
];

/// Every check of a block of watched traffic.
const OF_TRAFFIC: [Check; 7] = [
    Check {
        place: "traffic.slices.ok",
        finds: |b, _| {
            let traffic = b.traffic.as_ref()?;
            samples(sum(&traffic.slices.ok), b.accounting.traffic?.ok)
        },
    },
    Check {
        place: "traffic.service_time.count",
        finds: |b, _| samples(b.traffic.as_ref()?.service_time.count, b.accounting.traffic?.ok),
    },
    Check {
        place: "traffic.service_time",
        finds: |b, _| distribution(&b.traffic.as_ref()?.service_time),
    },
    Check {
        place: "traffic.slices.went_first",
        finds: |b, _| {
            let order = b.traffic.as_ref()?.slices.went_first.as_ref();
            order.map(|_| "watched traffic has no other side".to_owned())
        },
    },
    Check {
        place: "traffic.duration_ns",
        finds: |b, report| {
            let planned_ms = report.watched.as_ref().map(|watched| watched.window_ms);
            as_planned(b.traffic.as_ref()?.duration_ns, planned_ms)
        },
    },
    Check {
        place: "traffic.started",
        finds: |b, _| {
            let (started, seen) = (b.traffic.as_ref()?.started, b.accounting.traffic?.offered);
            (started > seen).then(|| format!("{started} began, and the accounting has {seen}"))
        },
    },
    Check {
        place: "accounting.traffic.skipped",
        finds: |b, _| {
            let skipped = b.accounting.traffic?.skipped;
            (skipped > 0).then(|| format!("{skipped} skipped, and nothing was to be sent"))
        },
    },
];

/// What both have.
const OF_ANY: [Check; 13] = [
    Check {
        place: "evidence.hiccups.native",
        finds: |b, _| hiccups(b).and_then(|h| watched(&h.native)),
    },
    Check {
        place: "evidence.hiccups.beam",
        finds: |b, _| hiccups(b).and_then(|h| watched(&h.beam)),
    },
    Check {
        place: "memory.samples",
        finds: |b, report| {
            let is_shared = |merged: &Merged| merged.routers == Routers::Shared;
            let is_elsewhere =
                b.machines.is_some() && report.merged.as_ref().is_some_and(is_shared);
            let is_missing = b.memory.samples == 0 && !is_elsewhere;
            is_missing.then(|| "memory without a sample".to_owned())
        },
    },
    Check {
        place: "memory.end_bytes",
        finds: |b, _| {
            let memory = b.memory;
            let range = memory.min_bytes..=memory.peak_bytes;
            (!range.contains(&memory.end_bytes)).then(|| {
                format!(
                    "{} is not from the smallest sample, {}, to the peak, {}",
                    memory.end_bytes, memory.min_bytes, memory.peak_bytes
                )
            })
        },
    },
    Check {
        place: "errors.driver",
        finds: |b, _| {
            let seen = summary::driver_errors(&b.accounting);
            let stated = b.errors.driver.filter(|stated| *stated != seen)?;
            Some(format!("{stated} are not the {seen} errors and timeouts of the accounting"))
        },
    },
    Check { place: "reasons", finds: |b, _| reasons(b, FailedOutcome::Error) },
    Check { place: "reasons", finds: |b, _| reasons(b, FailedOutcome::Timeout) },
    Check { place: "reasons", finds: |b, _| reasons(b, FailedOutcome::Rejected) },
    Check {
        place: "evidence.machine.steal_pct",
        finds: |b, _| share(b.evidence.as_ref()?.machine.as_ref()?.steal_pct.as_ref()),
    },
    Check {
        place: "evidence.machine.other_cpu_pct",
        finds: |b, _| share(b.evidence.as_ref()?.machine.as_ref()?.other_cpu_pct.as_ref()),
    },
    Check {
        place: "vm.scheduler_utilization_pct.normal",
        finds: |b, _| share(b.vm.as_ref()?.scheduler_utilization_pct.as_ref()?.normal.as_ref()),
    },
    Check {
        place: "vm.scheduler_utilization_pct.dirty",
        finds: |b, _| share(b.vm.as_ref()?.scheduler_utilization_pct.as_ref()?.dirty.as_ref()),
    },
    Check {
        place: "vm.run_queue.mean",
        finds: |b, _| {
            let queue = b.vm.as_ref()?.run_queue.as_ref()?;
            let is_above = queue.mean.approximate() > queue.max as f64;
            is_above.then(|| format!("{} is above the largest, {}", queue.mean, queue.max))
        },
    },
];

/// What cannot be in a block.
pub(crate) fn check_block(
    index: usize,
    block: &Block,
    report: &Report,
    found: &mut Contradictions<'_>,
) {
    let at = format!("blocks[{index}]");
    if block.traffic.is_some() {
        return check_tables(&[&OF_TRAFFIC, &OF_ANY], &at, block, report, found);
    }
    let Some(machines) = &block.machines else {
        return check_tables(
            &[&OF_LOAD, &OF_GENERATOR, &OF_SLICES, &OF_ANY],
            &at,
            block,
            report,
            found,
        );
    };
    check_tables(&[&OF_LOAD, &OF_ANY], &at, block, report, found);
    for (machine, measured) in machines.iter().enumerate() {
        let at = format!("{at}.machines[{machine}]");
        let alone = measured.as_block(block.block);
        check_tables(&[&OF_LOAD, &OF_GENERATOR, &OF_ANY], &at, &alone, report, found);
    }
    if let Some(merged) = &report.merged {
        check_together(merged.routers, machines, &at, block, found);
    }
}

fn check_tables(
    tables: &[&[Check]],
    at: &str,
    block: &Block,
    report: &Report,
    found: &mut Contradictions<'_>,
) {
    for Check { place, finds } in tables.iter().copied().flatten() {
        if let Some(message) = finds(block, report) {
            found.add(format!("{at}.{place}"), message);
        }
    }
}

/// What several machines measured together follows from what each did, but for percentiles, of which the
/// distributions tell.
fn check_together(
    routers: Routers,
    machines: &[MachineBlock],
    at: &str,
    block: &Block,
    found: &mut Contradictions<'_>,
) {
    let Some(together) = MachineBlock::together(routers, machines) else {
        found.add(format!("{at}.machines"), "their sums are beyond 64 bits".to_owned());
        return;
    };
    let bare = |times: &Percentiles| Percentiles {
        p50_ns: None,
        p90_ns: None,
        p95_ns: None,
        p99_ns: None,
        p999_ns: None,
        ..times.clone()
    };
    let Block { throughput, latency, .. } = block;
    let throughput =
        ThroughputPhase { service_time: bare(&throughput.service_time), ..throughput.clone() };
    let latency = LatencyPhase {
        response_time: bare(&latency.response_time),
        service_time: bare(&latency.service_time),
        dispatch_lag: bare(&latency.dispatch_lag),
        ..latency.clone()
    };
    let parts = [
        ("accounting", together.accounting == block.accounting),
        ("throughput", together.throughput == throughput),
        ("latency", together.latency == latency),
        ("memory", together.memory == block.memory),
        ("errors", together.errors == block.errors),
        ("backpressure", together.backpressure == block.backpressure),
        ("disturbed", together.disturbed == block.disturbed),
    ];
    for (place, _) in parts.into_iter().filter(|(_, is_so)| !is_so) {
        let message = "this is not what the block's machines make together".to_owned();
        found.add(format!("{at}.{place}"), message);
    }
}

/// What cannot be in the sampled series: a counter that falls, more counted than the block says, memory
/// beyond its peak.
pub(crate) fn check_series(series: &[Series], blocks: &[Block], found: &mut Contradictions<'_>) {
    for (index, one) in series.iter().enumerate() {
        let block = (one.block as usize).checked_sub(1).and_then(|index| blocks.get(index));
        let message = match block {
            None => Some(format!("there is no block {}", one.block)),
            Some(_) if !one.time_ms.is_sorted() => Some("time goes backwards".to_owned()),
            Some(block) => sampled(one, block),
        };
        if let Some(message) = message {
            found.add(format!("series[{index}]"), format!("{}: {message}", one.name));
        }
    }
}

/// What cannot be in a report that has no blocks.
pub(crate) fn check_totals(report: &Report, found: &mut Contradictions<'_>) {
    let seen = report.accounting.as_ref().map(summary::driver_errors).map(BigDecimal::from);
    if let (Some(seen), Some(errors)) = (seen, report.metrics.get(Metric::ErrorsTotal))
        && errors.exact() < &seen
    {
        let message = format!("{errors} are fewer than the {seen} errors and timeouts counted");
        found.add("metrics.errors_total".into(), message);
    }
}

fn sampled(series: &Series, block: &Block) -> Option<String> {
    let routers = block.nodes.as_ref().map_or(&[][..], |nodes| &nodes.routers);
    let (errors, backpressure, memory) = match (series.router, routers) {
        (None, [] | [_]) => (&block.errors, &block.backpressure, &block.memory),
        (None, _) => return Some("it does not say of which router it is".to_owned()),
        (Some(number), _) => {
            let Some(of) = routers.iter().find(|one| one.router == number) else {
                return Some(format!("the block has no router {number}"));
            };
            (&of.errors, &of.backpressure, &of.memory)
        }
    };
    let (first, last) = (series.values.first()?, series.values.last()?);
    let counted = match series.name.as_str() {
        "errors_total" => errors.router,
        "backpressure_active_total" => backpressure.router,
        "memory_total" => {
            let range = memory.min_bytes..=memory.peak_bytes;
            let beyond = series.values.iter().find(|bytes| !range.contains(bytes))?;
            return Some(format!("{beyond} is beyond the block's smallest or largest"));
        }
        _ => return None,
    };
    // A counter that fell and was left out is no figure, and so no contradiction.
    let counted = counted?;
    if !series.values.is_sorted() {
        return Some("the counter fell, as of a router that restarted".to_owned());
    }
    let grown = last - first;
    (grown > counted).then(|| format!("it grew by {grown}, and the block counted {counted}"))
}

fn sum(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
}

fn samples(samples: u64, requests: u64) -> Option<String> {
    (samples != requests).then(|| format!("{samples} samples of {requests} successful requests"))
}

/// The windows of an outage have the requests of its accounting, and none more served than offered.
fn windows(block: &Block) -> Option<String> {
    let (recovery, outcomes) = (block.recovery.as_ref()?, block.accounting.recovery?);
    let sum = |of: fn(&RecoveryWindow) -> u64| {
        recovery.windows.iter().map(of).fold(0, |sum: u64, count| sum.saturating_add(count))
    };
    let (offered, ok) = (sum(|window| window.offered), sum(|window| window.ok));
    if (offered, ok) != (outcomes.offered, outcomes.ok) {
        let (of, served) = (outcomes.offered, outcomes.ok);
        return Some(format!(
            "{offered} requests, {ok} served, and the accounting has {of} and {served}"
        ));
    }
    let cannot_be = |window: &RecoveryWindow| {
        window.ok > window.offered || window.p95_ns.is_some() != (window.ok > 0)
    };
    let index = recovery.windows.iter().position(cannot_be)?;
    Some(format!("window {index} serves more than was offered, or has a p95 of nothing"))
}

/// An outage is one that was planned, and ends after it begins, within its windows.
fn outage(block: &Block, report: &Report) -> Option<String> {
    let recovery = block.recovery.as_ref()?;
    let RecoveryPhase { outage_began_ns, outage_ended_ns, window_ns, tolerance_pct, .. } = recovery;
    let end_ns = window_ns.saturating_mul(recovery.windows.len() as u64);
    let Some(planned) = report.load.as_ref()?.outage.as_ref() else {
        return Some("an outage that load.outage does not plan".to_owned());
    };
    if planned.tolerance_pct != *tolerance_pct {
        let planned = &planned.tolerance_pct;
        return Some(format!("a tolerance of {tolerance_pct} %, where {planned} % is planned"));
    }
    let least_ns = planned.outage_ms.saturating_mul(1_000_000);
    let is_as_planned = *outage_began_ns < end_ns
        && outage_ended_ns.checked_sub(*outage_began_ns).is_some_and(|lasts| lasts >= least_ns);
    (!is_as_planned).then(|| {
        format!(
            "an outage from {outage_began_ns} to {outage_ended_ns} ns, of {end_ns} ns that were seen and {} ms \
             that were planned",
            planned.outage_ms
        )
    })
}

/// Drivers and routers are as many as the load says, of each of several machines too.
fn nodes(block: &Block, report: &Report) -> Option<String> {
    let load = report.load.as_ref()?;
    let planned = load.drivers.map(|drivers| (drivers, load.routers.unwrap_or(1)));
    let count = |nodes: &Nodes| (nodes.drivers.len() as u32, nodes.routers.len() as u32);
    let measured = block.nodes.as_ref().map(count);
    let text = |nodes: Option<(u32, u32)>| match nodes {
        None => "no drivers".to_owned(),
        Some((drivers, routers)) => format!("drivers {drivers}, routers {routers}"),
    };
    (measured != planned).then(|| format!("{}, and load has {}", text(measured), text(planned)))
}

fn lag_samples(block: &Block, _: &Report) -> Option<String> {
    let (count, outcomes) = (block.latency.dispatch_lag.count, &block.accounting.latency);
    let sent = outcomes.offered.saturating_sub(outcomes.skipped);
    let cannot_be = count > sent || (count == 0 && outcomes.ok > 0);
    cannot_be.then(|| format!("{count} samples of {sent} requests that were sent"))
}

fn lag_percentiles(
    LatencyPhase { response_time, dispatch_lag, .. }: &LatencyPhase,
) -> Option<String> {
    let missing = |percentile: &Percentile| {
        percentile.of(response_time).is_some() && percentile.of(dispatch_lag).is_none()
    };
    let percentile = Percentile::ALL.into_iter().find(missing)?;
    let key = percentile.key();
    Some(format!("there is no {key}, so the load generator's share of it is unknown"))
}

/// A response time contains the lateness of its request: where all were answered, the sum of the one is no
/// larger than that of the other.
fn lag_of_answers(block: &Block) -> Option<String> {
    let LatencyPhase { response_time, dispatch_lag, .. } = &block.latency;
    let total = |times: &Percentiles| Some(times.mean_ns? as f64 * times.count as f64);
    let (late, all) = (total(dispatch_lag)?, total(response_time)?);
    let all_answered = block.accounting.latency.ok
        == block.accounting.latency.offered.saturating_sub(block.accounting.latency.skipped);
    let slack = RESOLUTION_NS * response_time.count as f64;
    (all_answered && late > all * (1.0 + BUCKET_SHARE) + slack).then(|| {
        "the dispatcher was later than its requests took from their intended start".to_owned()
    })
}

/// Of the same requests a service time is part of the response time, so each percentile is no larger.
fn within(service: &Percentiles, response: &Percentiles) -> Option<String> {
    let names = ["min_ns", "p50_ns", "p90_ns", "p95_ns", "p99_ns", "p999_ns", "max_ns"];
    let pairs = ordered(service).into_iter().zip(ordered(response)).zip(names);
    pairs.into_iter().find_map(|((part, whole), name)| {
        let (part, whole) = (part?, whole?);
        is_above(part, whole)
            .then(|| format!("{name} is {part}, longer than the response time's {whole}"))
    })
}

fn ordered(times: &Percentiles) -> [Option<u64>; 7] {
    let Percentiles { min_ns, p50_ns, p90_ns, p95_ns, p99_ns, p999_ns, max_ns, .. } = times;
    [*min_ns, *p50_ns, *p90_ns, *p95_ns, *p99_ns, *p999_ns, *max_ns]
}

fn is_above(one: u64, other: u64) -> bool {
    one as f64 > other as f64 * (1.0 + BUCKET_SHARE) + RESOLUTION_NS
}

/// What no distribution of requests can be: out of order, or misread.
fn distribution(times: &Percentiles) -> Option<String> {
    in_order(times).or_else(|| misread(times))
}

fn in_order(times: &Percentiles) -> Option<String> {
    let known: Vec<_> = ordered(times).into_iter().flatten().collect();
    if times.count == 0 && !known.is_empty() {
        return Some("percentiles of no sample".to_owned());
    }
    if let Some((lower, upper)) =
        known.iter().zip(known.iter().skip(1)).find(|(lower, upper)| is_above(**lower, **upper))
    {
        return Some(format!("its percentiles fall, from {lower} to {upper}"));
    }
    let beyond = |mean: &u64| {
        times.min_ns.is_some_and(|min| is_above(min, *mean))
            || times.max_ns.is_some_and(|max| is_above(*mean, max))
    };
    let mean = times.mean_ns.filter(beyond)?;
    Some(format!("its mean of {mean} is beyond its smallest or largest"))
}

fn misread(times: &Percentiles) -> Option<String> {
    let misread = times.clamped.saturating_add(times.time_went_backwards);
    (misread > 0 && misread.saturating_mul(MISREAD_ONE_IN) > times.count).then(|| {
        format!(
            "of {} samples {} were beyond the range, and {} ended before they began",
            times.count, times.clamped, times.time_went_backwards
        )
    })
}

fn hiccups(block: &Block) -> Option<&cp1_format::Hiccups> {
    block.evidence.as_ref()?.hiccups.as_ref()
}

/// A meter that was watched woke at least once. It may have woken early by the clock that times requests,
/// which is another than that of timers.
fn watched(times: &Percentiles) -> Option<String> {
    match times.count {
        0 => Some("no sample, so nobody watched".to_owned()),
        _ => in_order(times),
    }
}

fn as_planned(duration_ns: u64, planned_ms: Option<u64>) -> Option<String> {
    let planned_ms = planned_ms?;
    let least_ns = planned_ms.saturating_mul(1_000_000) / PHASE_PARTS_MAX;
    (duration_ns < least_ns)
        .then(|| format!("{duration_ns} ns of a phase that was planned for {planned_ms} ms"))
}

fn reasons(block: &Block, outcome: FailedOutcome) -> Option<String> {
    let Outcomes { error, timeout, rejected, .. } = Phase::ALL
        .into_iter()
        .filter_map(|phase| phase.of(&block.accounting))
        .fold(Outcomes::default(), |sum, of| Outcomes {
            error: sum.error.saturating_add(of.error),
            timeout: sum.timeout.saturating_add(of.timeout),
            rejected: sum.rejected.saturating_add(of.rejected),
            ..sum
        });
    let (noun, counted) = match outcome {
        FailedOutcome::Error => ("errors", error),
        FailedOutcome::Timeout => ("timeouts", timeout),
        FailedOutcome::Rejected => ("rejections", rejected),
    };
    let of_outcome = block.reasons.iter().flatten().filter(|reason| reason.outcome == outcome);
    let given = of_outcome.fold(0, |sum: u64, reason| sum.saturating_add(reason.count));
    (given > counted).then(|| format!("reasons of {given} {noun}, and {counted} were counted"))
}

fn share(percent: Option<&cp1_format::Amount>) -> Option<String> {
    let percent = percent.filter(|percent| percent.approximate() > 101.0)?;
    Some(format!("{percent} % of all is more than all"))
}
