//! What the sampler saw inside the VM of a block. None of it is gated; a figure whose probe could
//! not be read is absent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decimal::{Amount, Decimal};

/// The VM in the measured slices of a block: router, load generator and sampler together. Of several routers a
/// block has what can be said of all: what they did for a request together, the sum of their events and the longest
/// mailbox of any; the rest is each one's own ([`crate::Router`]).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmFigures {
    /// Reductions per request sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reductions_per_request: Option<Amount>,
    /// Garbage collections per request sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub garbage_collections_per_request: Option<Amount>,
    /// In reports of router_bench 0.4 and before, and read by nothing: a line through heaps that settle is
    /// no trend. [`crate::growth`] is made of the series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_growth: Option<MemoryGrowth>,
    /// Share of their time that schedulers were busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_utilization_pct: Option<SchedulerUtilization>,
    /// Processes and ports that waited for a scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_queue: Option<RunQueue>,
    /// Messages in the longest mailbox of the router's named processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_mailbox: Option<u64>,
    /// Garbage collections of one process that took 20 ms or more, in the open loop: watching
    /// for them costs throughput.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_gc: Option<u64>,
    /// Processes and ports that kept a scheduler 20 ms or more without a break; also where the
    /// operating system took the CPU away meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_schedule: Option<u64>,
    /// Time in backpressure: the share of samples in which it was active, of the time sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backpressure_active_ms: Option<u64>,
    /// The sampler's own figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampler: Option<SamplerFigures>,
}

/// Slope of the least-squares line through memory over time, with an interval for independent samples,
/// which those of memory are not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryGrowth {
    /// The slope; negative where memory shrank.
    pub bytes_per_minute: Decimal,
    /// Lower end of the interval.
    pub low_bytes_per_minute: Decimal,
    /// Upper end of the interval.
    pub high_bytes_per_minute: Decimal,
}

/// Busy share of the schedulers' time, from 0 to 100.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchedulerUtilization {
    /// Of all normal schedulers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normal: Option<Amount>,
    /// Of all dirty schedulers, CPU and I/O.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty: Option<Amount>,
}

/// Length of all run queues together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunQueue {
    /// Mean over samples.
    pub mean: Amount,
    /// Largest sample.
    pub max: u64,
}

/// How well the sampler did, and what it cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamplerFigures {
    /// How late its ticks came.
    pub lateness: Lateness,
    /// What each probe cost.
    pub probes: Vec<ProbeCost>,
}

/// Time from when a tick was due to when it came. With no tick there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lateness {
    /// Ticks.
    pub ticks: u64,
    /// Arithmetic mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_ns: Option<u64>,
    /// Largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ns: Option<u64>,
}

/// Duration of a probe's calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeCost {
    /// The probe, for example `memory`.
    pub name: String,
    /// Calls.
    pub samples: u64,
    /// Arithmetic mean.
    pub cost_mean_ns: u64,
    /// Largest.
    pub cost_max_ns: u64,
}
