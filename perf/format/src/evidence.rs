//! Evidence about the machine: what tells "the router got slower" from "the machine was disturbed".
//!
//! Nothing here is judged and no figure is corrected by it. What could not be read is absent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::block::Percentiles;
use crate::decimal::Amount;

/// What was seen of the machine over the measured slices of a block.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// How late threads and processes woke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hiccups: Option<Hiccups>,
    /// Counters of the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// Fixed work, timed before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernels: Option<Kernels>,
    /// How far the clock that times requests and the operating system's drifted apart, either way,
    /// in parts per million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_drift_ppm: Option<Amount>,
}

/// Lateness of wake-ups intended every 1 ms. A stall of the host shows in both, a stall of the BEAM
/// only in its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hiccups {
    /// Of a thread outside the BEAM's schedulers.
    pub native: Percentiles,
    /// Of a BEAM process of high priority.
    pub beam: Percentiles,
}

/// Counters of the kernel: what they grew by over the measured slices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Processor time that the hypervisor gave to other guests, in percent of the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steal_pct: Option<Amount>,
    /// Processor time of other processes than the measured BEAM, in percent of the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_cpu_pct: Option<Amount>,
    /// Periods in which the control group, or one above it, ran out of its quota; summed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_periods: Option<u64>,
    /// How long the control group, or one above it, was kept from running; summed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_us: Option<u64>,
    /// Time in which some task of the machine waited for a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_pressure_some_us: Option<u64>,
    /// Times that a thread of the BEAM gave up its processor; threads that ended are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voluntary_context_switches: Option<u64>,
    /// Times that a thread of the BEAM was taken off its processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub involuntary_context_switches: Option<u64>,
    /// Frequency of the first processor before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_before_khz: Option<u64>,
    /// Frequency of the first processor after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_after_khz: Option<u64>,
}

/// Fixed work before and after the measured slices. Evidence, never a divisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kernels {
    /// Before the first slice.
    pub before: KernelTimes,
    /// After the last.
    pub after: KernelTimes,
}

/// Wall time of the fixed work, the fastest of a few runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelTimes {
    /// Arithmetic in registers.
    pub cpu_ns: u64,
    /// Dependent loads through 64 MiB.
    pub memory_ns: u64,
}

/// Why a block counts as disturbed; the bench derives it, `router_bench_disturbed` has the limits.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Disturbance {
    /// The hypervisor gave processor time to other guests.
    CpuStolen,
    /// Other processes used the processors.
    OtherCpuLoad,
    /// The control group, or one above it, ran out of its processor quota.
    CpuThrottled,
    /// Threads woke late, inside the BEAM and outside.
    HostStall,
    /// Processes of the BEAM woke later than threads outside: the router may have done it itself.
    VmStall,
    /// Arithmetic was slower or faster after than before.
    CpuSpeedChanged,
    /// Memory was slower or faster after than before.
    MemorySpeedChanged,
    /// The clock that times requests and the operating system's drifted apart.
    ClockDrift,
}

impl Disturbance {
    /// The word in the files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuStolen => "cpu_stolen",
            Self::OtherCpuLoad => "other_cpu_load",
            Self::CpuThrottled => "cpu_throttled",
            Self::HostStall => "host_stall",
            Self::VmStall => "vm_stall",
            Self::CpuSpeedChanged => "cpu_speed_changed",
            Self::MemorySpeedChanged => "memory_speed_changed",
            Self::ClockDrift => "clock_drift",
        }
    }
}
