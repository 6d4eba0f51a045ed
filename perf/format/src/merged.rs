//! One report of several machines that share no cluster: what each of them measured, and what follows of it
//! for all together. A merge writes by these functions and the gate checks every merged report by them.
//! Pure.
//!
//! # What is added
//!
//! Requests, errors, memory of routers that each machine has for itself, and times, sample by sample: of
//! counts, least, largest and mean this is done here; percentiles come of the distributions, added cell by
//! cell, and of nothing else. Rates are added: each machine's requests by its own measured time. No point in
//! time of one machine is compared with one of another, so what is made of moments (slices, sampled series)
//! is absent.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::block::{
    Accounting, Block, Counted, LatencyPhase, MemoryFigures, Metrics, Outcomes, Percentiles,
    ThroughputPhase, is_absent,
};
use crate::environment::Environment;
use crate::evidence::{Disturbance, Evidence};
use crate::nodes::Nodes;
use crate::read::{Segment, Violation};
use crate::record::Digest;
use crate::report::{Clock, Load};
use crate::timestamp::Timestamp;

/// Least time in percent of the shortest run in which all machines say that they measured, so that their
/// loads were one.
pub const TOGETHER_MIN_PCT: u64 = 80;

/// Fewest machines of a merged report.
pub const MACHINES_MIN: usize = 2;

/// What was merged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Merged {
    /// Whose router it was.
    pub routers: Routers,
    /// The machines, in an order that depends on nothing but what they measured; of each block's
    /// `machines` the order is the same.
    #[schemars(length(min = 2))]
    pub machines: Vec<MergedMachine>,
}

/// Whose router the machines put under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Routers {
    /// Each machine's own: a shard, or an instance.
    Each,
    /// One for all.
    Shared,
}

impl Routers {
    /// The word in files and sentences.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Each => "each",
            Self::Shared => "shared",
        }
    }
}

/// One machine of a merged report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergedMachine {
    /// The machine, its emulator and tools.
    pub env: Environment,
    /// The load that it offered.
    pub load: Load,
    /// The clock that timed its requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// Its report of each session; one, where the merged report is of one session.
    #[schemars(length(min = 1))]
    pub runs: Vec<MergedRun>,
}

/// A report that was merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MergedRun {
    /// When the run began, by its machine's own clock.
    pub timestamp: Timestamp,
    /// Wall time of all its blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// SHA-256 of the report's file.
    pub sha256: Digest,
}

/// What one machine measured in a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineBlock {
    /// Its requests.
    pub accounting: Accounting,
    /// Its closed loop, all slices together.
    pub throughput: ThroughputPhase,
    /// Its open loop, all slices together.
    pub latency: LatencyPhase,
    /// `erlang:memory(total)` of its BEAM.
    pub memory: MemoryFigures,
    /// Errors that it saw.
    pub errors: Counted,
    /// Backpressure activations that it saw.
    pub backpressure: Counted,
    /// Its drivers and routers, where drivers had its load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Nodes>,
    /// What was seen of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Why the block counts as disturbed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disturbed: Option<BTreeSet<Disturbance>>,
}

impl MachineBlock {
    /// What a machine's own report says of a block, without its slices.
    #[must_use]
    pub fn of(block: &Block) -> Self {
        let Block { accounting, throughput, latency, memory, errors, backpressure, .. } = block;
        Self {
            accounting: *accounting,
            throughput: ThroughputPhase { slices: Default::default(), ..throughput.clone() },
            latency: LatencyPhase { slices: Default::default(), ..latency.clone() },
            memory: *memory,
            errors: *errors,
            backpressure: *backpressure,
            nodes: block.nodes.clone(),
            evidence: block.evidence.clone(),
            disturbed: block.disturbed.clone(),
        }
    }

    /// The most memory that one router of it had.
    #[must_use]
    pub fn worst_peak_bytes(&self) -> u64 {
        self.nodes.as_ref().map_or(self.memory.peak_bytes, Nodes::worst_peak_bytes)
    }

    /// As a block without slices, and without figures of its own.
    #[must_use]
    pub fn as_block(&self, number: u32) -> Block {
        let Self { accounting, throughput, latency, memory, errors, backpressure, .. } = self;
        Block {
            block: number,
            metrics: Metrics::default(),
            accounting: *accounting,
            throughput: throughput.clone(),
            latency: latency.clone(),
            machines: None,
            traffic: None,
            recovery: None,
            memory: *memory,
            errors: *errors,
            backpressure: *backpressure,
            nodes: self.nodes.clone(),
            reasons: None,
            strays: None,
            idle_cpu_pct: None,
            warmup: None,
            vm: None,
            evidence: self.evidence.clone(),
            disturbed: self.disturbed.clone(),
        }
    }

    fn check(&self, path: &[Segment]) -> Result<(), Violation> {
        let within = |key| [path, &[Segment::from(key)]].concat();
        self.accounting.check(&within("accounting"))?;
        let is_other = self.accounting.traffic.is_some() || self.accounting.recovery.is_some();
        let missing = [
            ("accounting", is_other),
            ("throughput", is_absent(&self.throughput)),
            ("latency", is_absent(&self.latency)),
            ("memory", is_absent(&self.memory)),
        ];
        if let Some((key, _)) = missing.into_iter().find(|(_, is_missing)| *is_missing) {
            return Err(Violation::new(within(key), "nothing of a load of the bench", MERGE));
        }
        if let Some(nodes) = &self.nodes {
            nodes.check(&self.as_block(1), &within("nodes"))?;
        }
        has_no_slices(&self.throughput, &self.latency, path)
    }
}

const MERGE: &str = "merge the machines' reports again: perf-gate merge";

/// Slices of several machines are no slices of one time.
fn has_no_slices(
    throughput: &ThroughputPhase,
    latency: &LatencyPhase,
    path: &[Segment],
) -> Result<(), Violation> {
    let there =
        [("throughput", !is_absent(&throughput.slices)), ("latency", !is_absent(&latency.slices))];
    match there.into_iter().find(|(_, is_there)| *is_there) {
        None => Ok(()),
        Some((phase, _)) => {
            let at = path.iter().cloned().chain([phase.into(), "slices".into()]);
            Err(Violation::new(at, "slices of several machines are none of one time", MERGE))
        }
    }
}

impl MachineBlock {
    /// What all machines of a block measured together, as one: lengths are the longest, times have no
    /// percentiles, as these take the distributions, and of what was seen of several machines nothing is one.
    /// Of memory there are sums, where each machine has its router: the peak is at least that of all of them at
    /// a time; where the router is shared there is nothing, as the BEAMs that were looked at are those of the
    /// machines. Disturbed it is for all reasons of all machines; that is absent where nobody looked at one of
    /// them, and none was disturbed. `None` where something cannot be added in 64 bits.
    #[must_use]
    pub fn together(routers: Routers, machines: &[Self]) -> Option<Self> {
        let of_router = |count: fn(&MachineBlock) -> Option<u64>| {
            let counts = machines.iter().map(count);
            match routers {
                Routers::Each => sum(counts),
                // Each machine looked at the same counter, over its own time.
                Routers::Shared => {
                    Some(counts.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max()))
                }
            }
        };
        let of_driver = |count: fn(&MachineBlock) -> Option<u64>| sum(machines.iter().map(count));
        let times = |times: fn(&MachineBlock) -> &Percentiles| added(machines.iter().map(times));
        let longest = |ns: fn(&MachineBlock) -> u64| machines.iter().map(ns).max();
        let outcomes = |outcomes: fn(&MachineBlock) -> &Outcomes| {
            machines.iter().map(outcomes).try_fold(Outcomes::default(), |sum, more| sum.plus(more))
        };
        Some(Self {
            accounting: Accounting {
                throughput: outcomes(|machine| &machine.accounting.throughput)?,
                latency: outcomes(|machine| &machine.accounting.latency)?,
                traffic: None,
                recovery: None,
            },
            throughput: ThroughputPhase {
                duration_ns: longest(|machine| machine.throughput.duration_ns)?,
                slices: Default::default(),
                service_time: times(|machine| &machine.throughput.service_time)?,
            },
            latency: LatencyPhase {
                duration_ns: longest(|machine| machine.latency.duration_ns)?,
                slices: Default::default(),
                response_time: times(|machine| &machine.latency.response_time)?,
                service_time: times(|machine| &machine.latency.service_time)?,
                dispatch_lag: times(|machine| &machine.latency.dispatch_lag)?,
            },
            memory: match routers {
                Routers::Each => memory(machines)?,
                Routers::Shared => MemoryFigures::default(),
            },
            errors: Counted {
                driver: of_driver(|machine| machine.errors.driver)?,
                router: of_router(|machine| machine.errors.router)?,
            },
            backpressure: Counted {
                driver: of_driver(|machine| machine.backpressure.driver)?,
                router: of_router(|machine| machine.backpressure.router)?,
            },
            nodes: None,
            evidence: None,
            disturbed: disturbed(machines),
        })
    }
}

/// The sum of what all have, and nothing where one has none; `None` on overflow.
fn sum(counts: impl Iterator<Item = Option<u64>>) -> Option<Option<u64>> {
    let Some(counts) = counts.collect::<Option<Vec<u64>>>() else { return Some(None) };
    counts.into_iter().try_fold(0, u64::checked_add).map(Some)
}

fn memory(machines: &[MachineBlock]) -> Option<MemoryFigures> {
    let sum = |of: fn(&MemoryFigures) -> u64| {
        machines.iter().map(|machine| of(&machine.memory)).try_fold(0, u64::checked_add)
    };
    Some(MemoryFigures {
        samples: sum(|memory| memory.samples)?,
        min_bytes: sum(|memory| memory.min_bytes)?,
        peak_bytes: sum(|memory| memory.peak_bytes)?,
        end_bytes: sum(|memory| memory.end_bytes)?,
    })
}

/// All samples of several distributions, as far as their figures say it.
fn added<'a>(all: impl Iterator<Item = &'a Percentiles> + Clone) -> Option<Percentiles> {
    let sum = |of: fn(&Percentiles) -> u64| all.clone().map(of).try_fold(0, u64::checked_add);
    let sampled = || all.clone().filter(|times| times.count > 0);
    let known = |of: fn(&Percentiles) -> Option<u64>| sampled().map(of).collect::<Option<Vec<_>>>();
    let count = sum(|times| times.count)?;
    let total = sampled().try_fold(0_u128, |sum, times| {
        sum.checked_add(u128::from(times.mean_ns?) * u128::from(times.count))
    });
    let mean = total.and_then(|total| total.checked_div(count.into()));
    Some(Percentiles {
        count,
        clamped: sum(|times| times.clamped)?,
        time_went_backwards: sum(|times| times.time_went_backwards)?,
        min_ns: known(|times| times.min_ns).and_then(|all| all.into_iter().min()),
        mean_ns: mean.and_then(|mean| u64::try_from(mean).ok()),
        max_ns: known(|times| times.max_ns).and_then(|all| all.into_iter().max()),
        ..Percentiles::default()
    })
}

fn disturbed(machines: &[MachineBlock]) -> Option<BTreeSet<Disturbance>> {
    let known = machines.iter().filter_map(|machine| machine.disturbed.as_ref());
    let reasons: BTreeSet<_> = known.clone().flatten().copied().collect();
    let all_were_looked_at = known.count() == machines.len();
    (all_were_looked_at || !reasons.is_empty()).then_some(reasons)
}

impl Merged {
    /// The time in which all machines say that they measured a session, in percent of the shortest run, by
    /// clocks that nobody compared; `None` where one does not say how long it measured.
    #[must_use]
    pub fn together_pct(&self, session: usize) -> Option<u64> {
        let (mut begin, mut end, mut shortest) = (i128::MIN, i128::MAX, i128::MAX);
        for machine in &self.machines {
            let MergedRun { timestamp, duration_ms, .. } = machine.runs.get(session)?;
            let length = i128::from((*duration_ms).filter(|ms| *ms > 0)?).checked_mul(1_000_000)?;
            begin = begin.max(timestamp.unix_ns());
            end = end.min(timestamp.unix_ns().checked_add(length)?);
            shortest = shortest.min(length);
        }
        let common = end.checked_sub(begin)?.max(0);
        u64::try_from(common.checked_mul(100)?.checked_div(shortest)?).ok()
    }

    /// How many sessions it is of.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.machines.first().map_or(0, |machine| machine.runs.len())
    }

    /// What the machines offered together: rates, workers and requests in flight are sums, and what is drawn
    /// of a seed, or was found by each machine for itself, is theirs; `None` on overflow.
    #[must_use]
    pub fn load(&self) -> Option<Load> {
        let (first, _) = self.machines.split_first()?;
        let loads = || self.machines.iter().map(|machine| &machine.load);
        let workers = |of: fn(&Load) -> u32| loads().map(of).try_fold(0, u32::checked_add);
        Some(Load {
            rate_per_second: loads()
                .map(|load| load.rate_per_second)
                .try_fold(0, u64::checked_add)?,
            concurrency: workers(|load| load.concurrency)?,
            max_in_flight: workers(|load| load.max_in_flight)?,
            timeout_ms: loads().map(|load| load.timeout_ms).max()?,
            calibration_rps: None,
            seed: None,
            ..first.load.clone()
        })
    }

    /// What must hold of a merged report besides.
    pub(crate) fn check(
        &self,
        sessions: usize,
        load: Option<&Load>,
        blocks: Option<&[Block]>,
    ) -> Result<(), Violation> {
        let refused = |key: &'static str, problem: String| {
            Err(Violation::new(["merged".into(), key.into()], problem, MERGE))
        };
        if self.machines.len() < MACHINES_MIN {
            return refused("machines", format!("{} is no merge", self.machines.len()));
        }
        for machine in &self.machines {
            machine.env.check()?;
            if machine.runs.len() != sessions {
                let runs = machine.runs.len();
                return refused("machines", format!("{runs} runs of {sessions} sessions"));
            }
            if machine.load.seed.is_none() {
                return refused("machines", "a load has no `seed`".to_owned());
            }
        }
        if load != self.load().as_ref() {
            let problem = "this is not the sum of the machines' loads";
            return Err(Violation::new(["load".into()], problem, MERGE));
        }
        let Some(blocks) = blocks else {
            return Err(Violation::new(["blocks".into()], "missing field `blocks`", MERGE));
        };
        for (index, block) in blocks.iter().enumerate() {
            let machines = block.machines.as_ref().map_or(0, Vec::len);
            if machines != self.machines.len() {
                let at = ["blocks".into(), index.into(), "machines".into()];
                let problem = format!("{machines} of {} machines", self.machines.len());
                return Err(Violation::new(at, problem, MERGE));
            }
        }
        Ok(())
    }
}

/// A merged block has no slices, and each of its machines has what a block has.
pub(crate) fn check_block(
    machines: &[MachineBlock],
    block: &Block,
    path: &[Segment],
) -> Result<(), Violation> {
    has_no_slices(&block.throughput, &block.latency, path)?;
    for (index, machine) in machines.iter().enumerate() {
        let at = [path, &[Segment::from("machines"), index.into()]].concat();
        machine.check(&at)?;
    }
    Ok(())
}
