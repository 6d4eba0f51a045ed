//! What several machines make together, of reports that can be one. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cp1_format::{
    Block, Digest, EncodedHistogram, Environment, EnvironmentField, FailureReason,
    HISTOGRAM_ENCODING, MachineBlock, Merged, MergedMachine, MergedRun, Percentiles, Phase,
    Problem, Quantity, Report, Routers, Run, summary,
};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use super::Part;
use crate::judge::histograms::Decoder;

/// Which distribution of a report it is.
type Key = (u32, Phase, Quantity);

const MEASURE: &str = "measure again with perf-gate bench";

/// A machine, with what it measured in each block.
pub(super) struct Machine {
    of: MergedMachine,
    blocks: Vec<MachineBlock>,
}

impl Machine {
    /// Whether it is the same run, whatever a copy says of when it was.
    pub(super) fn is(&self, other: &Self) -> bool {
        let runs = |machine: &Self| machine.of.runs.clone();
        runs(self) == runs(other) || !self.blocks.is_empty() && self.blocks == other.blocks
    }
}

/// One report of all.
///
/// # Errors
/// Why there is none.
pub(super) fn merged(parts: &[Part], routers: Routers) -> Result<Report, Box<Problem>> {
    let Some(first) = parts.first() else {
        return Err(Box::new(Problem {
            file: "the command line".to_owned(),
            place: None,
            message: "there is no report".to_owned(),
            cure: "name the report of each machine".to_owned(),
        }));
    };
    let too_large = || {
        Box::new(first.problem(
            "blocks",
            "its figures and those of the others are too large to add",
            MEASURE,
        ))
    };
    let mut machines: Vec<_> = parts.iter().flat_map(machines).collect();
    machines.sort_by_cached_key(place);
    let distributions = distributions(parts)?;
    let blocks = (1u32..).zip(first.report.blocks.iter().flatten()).map(|(number, _)| {
        let measured =
            machines.iter().map(|machine| machine.blocks.get(number as usize - 1).cloned());
        let measured = measured.collect::<Option<Vec<_>>>()?;
        let together = MachineBlock::together(routers, &measured)?;
        Some(block(number, parts, &together, measured, &distributions))
    });
    let blocks = blocks.collect::<Option<Vec<_>>>().ok_or_else(too_large)?;
    let accounting = summary::accounting(&blocks).ok_or_else(too_large)?;
    let metrics: Vec<_> = blocks.iter().map(|block| &block.metrics).collect();
    let metrics = summary::headline(&metrics);
    let (status, reason) = summary::ending(&blocks);
    let of_each: Vec<_> = machines.into_iter().map(|machine| machine.of).collect();
    let envs: Vec<_> = of_each.iter().map(|machine| &machine.env).collect();
    let env = Environment::common(&envs);
    let runs = || of_each.iter().flat_map(|machine| &machine.runs);
    let timestamp = runs().map(|run| &run.timestamp).min().cloned().ok_or_else(too_large)?;
    let durations = runs().map(|run| run.duration_ms).collect::<Option<Vec<_>>>();
    let exit_codes = parts.iter().map(|part| part.report.run.ct_exit_code);
    let merged = Merged { routers, machines: of_each.clone() };
    let load = merged.load().ok_or_else(too_large)?;
    let histograms = distributions
        .iter()
        .map(|(key, times)| encoded(*key, times).ok_or_else(too_large))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Report {
        schema: first.report.schema,
        timestamp,
        git: first.report.git.clone(),
        env,
        metrics,
        run: Run {
            ct_exit_code: exit_codes.collect::<Option<Vec<_>>>().and(Some(0)),
            status: Some(status),
            reason,
            planted_fault: first.report.run.planted_fault.clone(),
            duration_ms: durations.and_then(|all| all.into_iter().max()),
            imported_from: None,
        },
        load: Some(load),
        watched: None,
        merged: Some(merged),
        blocks: Some(blocks),
        accounting: Some(accounting),
        diagnostics: None,
        histograms: Some(histograms),
        series: None,
        controls: first.report.controls.clone(),
        sessions: None,
        pairing: None,
    })
}

/// Whether a report is that of a run, or was merged of it.
pub(super) fn has_run(part: &Part, sha256: &Digest) -> bool {
    let merged = part.report.merged.iter().flat_map(|merged| &merged.machines);
    part.sha256 == *sha256
        || merged.flat_map(|machine| &machine.runs).any(|run| run.sha256 == *sha256)
}

/// The machines of a report, each with its blocks: one, or those that were merged.
pub(super) fn machines(part: &Part) -> Vec<Machine> {
    let Report { merged, blocks, load, env, diagnostics, timestamp, run, .. } = &part.report;
    let blocks = || blocks.iter().flatten();
    if let Some(merged) = merged {
        let machine = |(index, of): (usize, &MergedMachine)| {
            let of_block = |block: &Block| block.machines.as_ref()?.get(index).cloned();
            Machine { of: of.clone(), blocks: blocks().filter_map(of_block).collect() }
        };
        return merged.machines.iter().enumerate().map(machine).collect();
    }
    let machine = load.as_ref().map(|load| Machine {
        of: MergedMachine {
            env: env.clone(),
            load: load.clone(),
            clock: diagnostics.as_ref().map(|diagnostics| diagnostics.clock.clone()),
            runs: vec![MergedRun {
                timestamp: timestamp.clone(),
                duration_ms: run.duration_ms,
                sha256: part.sha256.clone(),
            }],
        },
        blocks: blocks().map(MachineBlock::of).collect(),
    });
    machine.into_iter().collect()
}

/// Where a machine stands among all: by its load and itself, so that the machines of two merged reports
/// stand in one order whoever was named first; then by when, and which report it was.
fn place(machine: &Machine) -> (u64, Vec<String>, Vec<Option<String>>, String) {
    let MergedMachine { env, load, runs, .. } = &machine.of;
    let shape = load.shape().into_iter().map(|(_, text)| text).collect();
    let run = runs.first();
    let run = run.map(|run| format!("{} {}", run.timestamp.unix_ns(), run.sha256));
    let fingerprint = EnvironmentField::ALL.map(|field| field.of(env)).to_vec();
    (load.rate_per_second, shape, fingerprint, run.unwrap_or_default())
}

fn block(
    number: u32,
    parts: &[Part],
    together: &MachineBlock,
    machines: Vec<MachineBlock>,
    distributions: &BTreeMap<Key, Histogram<u64>>,
) -> Block {
    let index = number as usize - 1;
    let blocks = || parts.iter().filter_map(|part| part.report.blocks.as_ref()?.get(index));
    let strays = blocks().map(|block| block.strays).collect::<Option<Vec<_>>>();
    let mut block = Block {
        machines: Some(machines),
        reasons: reasons(blocks().flat_map(|block| block.reasons.iter().flatten())),
        strays: strays.and_then(|all| all.into_iter().try_fold(0, u64::checked_add)),
        ..together.as_block(number)
    };
    let (closed, open) = (&mut block.throughput, &mut block.latency);
    for (phase, quantity, times) in [
        (Phase::Throughput, Quantity::ServiceTime, &mut closed.service_time),
        (Phase::Latency, Quantity::ResponseTime, &mut open.response_time),
        (Phase::Latency, Quantity::ServiceTime, &mut open.service_time),
        (Phase::Latency, Quantity::DispatchLag, &mut open.dispatch_lag),
    ] {
        if let Some(all) = distributions.get(&(number, phase, quantity)) {
            set_percentiles(times, all);
        }
    }
    block.metrics = summary::block_metrics(&block);
    block
}

/// As the bench's recorder tells them.
fn set_percentiles(times: &mut Percentiles, all: &Histogram<u64>) {
    let (least, largest) = (times.min_ns.unwrap_or(0), times.max_ns.unwrap_or(u64::MAX));
    let at = |quantile| {
        let ns = all.value_at_quantile(quantile).min(largest);
        // Of times beyond its range a distribution has the end of it.
        (times.count > 0).then_some(ns.max(least.min(all.high())))
    };
    let [p50, p90, p95, p99, p999] = [0.5, 0.9, 0.95, 0.99, 0.999].map(at);
    (times.p50_ns, times.p90_ns, times.p95_ns) = (p50, p90, p95);
    (times.p99_ns, times.p999_ns) = (p99, p999);
}

/// Of each kind of failure how many, the most frequent first, and of the samples one whoever came first.
fn reasons<'a>(all: impl Iterator<Item = &'a FailureReason>) -> Option<Vec<FailureReason>> {
    let mut by_kind = BTreeMap::new();
    for FailureReason { outcome, reason, count, sample } in all {
        let of_kind = by_kind.entry((*outcome, reason)).or_insert((0_u64, sample));
        *of_kind = (of_kind.0.saturating_add(*count), of_kind.1.min(sample));
    }
    let of_kind = |((outcome, reason), (count, sample)): ((_, &String), (u64, &String))| {
        FailureReason { outcome, reason: reason.clone(), count, sample: sample.clone() }
    };
    let mut reasons: Vec<_> = by_kind.into_iter().map(of_kind).collect();
    reasons.sort_by_key(|reason| Reverse(reason.count));
    (!reasons.is_empty()).then_some(reasons)
}

/// The distributions that all reports have, each added up.
fn distributions(parts: &[Part]) -> Result<BTreeMap<Key, Histogram<u64>>, Box<Problem>> {
    let mut all = BTreeMap::<Key, Vec<Histogram<u64>>>::new();
    for part in parts {
        let mut decoder = Decoder::new();
        for encoded in part.report.histograms.iter().flatten() {
            let decoded = decoder.decode(encoded).and_then(|times| times.histogram());
            let times =
                decoded.map_err(|why| Box::new(part.problem("histograms", why, MEASURE)))?;
            all.entry((encoded.block, encoded.phase, encoded.quantity)).or_default().push(times);
        }
    }
    all.retain(|_, of_reports| of_reports.len() == parts.len());
    let sum = |(key, of_reports): (Key, Vec<Histogram<u64>>)| Some((key, added(&of_reports)?));
    let sums: Option<BTreeMap<_, _>> = all.into_iter().map(sum).collect();
    match (sums, parts.first()) {
        (Some(sums), _) => Ok(sums),
        (None, Some(part)) => Err(Box::new(part.problem(
            "histograms",
            "they cannot be added to those of the others",
            MEASURE,
        ))),
        (None, None) => Ok(BTreeMap::new()),
    }
}

/// Cell by cell, in the range of the widest; `None` where it does not hold a value.
fn added(all: &[Histogram<u64>]) -> Option<Histogram<u64>> {
    let highest = all.iter().map(Histogram::high).max()?;
    let mut sum = Histogram::new_with_bounds(1, highest, 3).ok()?;
    all.iter().try_for_each(|times| sum.add(times)).ok()?;
    Some(sum)
}

fn encoded((block, phase, quantity): Key, times: &Histogram<u64>) -> Option<EncodedHistogram> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(times, &mut bytes).ok()?;
    Some(EncodedHistogram {
        block,
        phase,
        quantity,
        unit: "ns".to_owned(),
        encoding: HISTOGRAM_ENCODING.to_owned(),
        data: STANDARD.encode(bytes),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[u64], highest: u64) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, highest, 3).unwrap();
        times.iter().for_each(|ns| histogram.record(*ns).unwrap());
        histogram
    }

    proptest! {
        #[test]
        fn the_sum_is_the_distribution_of_all_samples_however_it_is_made(
            samples in proptest::collection::vec(
                proptest::collection::vec(1u64..50_000_000_000, 0..60), 1..5),
            highest in 50_000_000_000_u64..(1 << 60),
        ) {
            let all: Vec<_> = samples.iter().zip(0..).map(|(of_one, n)| of(of_one, highest >> n >> 1 << 1 | 1 << 36)).collect();
            let union = of(&samples.concat(), all.iter().map(Histogram::high).max().unwrap());
            let sum = added(&all).unwrap();
            prop_assert_eq!(&sum, &union);
            prop_assert_eq!(sum.high(), union.high());
            for quantile in [0.5, 0.9, 0.95, 0.99, 0.999] {
                prop_assert_eq!(sum.value_at_quantile(quantile), union.value_at_quantile(quantile));
            }
            let backwards: Vec<_> = all.iter().rev().cloned().collect();
            prop_assert_eq!(&added(&backwards).unwrap(), &union);
            let (one, others) = all.split_at(all.len() / 2);
            let parts: Vec<_> = [one, others].into_iter().filter_map(added).collect();
            prop_assert_eq!(&added(&parts).unwrap(), &union);
            let key = (1, Phase::Latency, Quantity::ResponseTime);
            let written = encoded(key, &sum).unwrap();
            prop_assert_eq!(&Decoder::new().decode(&written).unwrap().histogram().unwrap(), &union);
        }
    }
}
