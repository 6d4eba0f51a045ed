//! The six figures of the freeze, and those that only some measurements have.

use std::fmt;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A figure that the freeze knows. The order is the order of every table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The median over blocks of the median over slices of 60 ms or more of the 95th percentile of the time
    /// from the intended start of a request to its answer, in the open loop.
    LatencyP95Ms,
    /// The same of the 99th percentile.
    LatencyP99Ms,
    /// The median over blocks of the median over slices of the successful requests a second, in the
    /// closed loop.
    Rps,
    /// Peak of `erlang:memory(total)` in the measured slices; 1 MB = 1024 × 1024 bytes.
    MemMbTotalErlang,
    /// Errors that driver or router saw in the measured slices.
    ErrorsTotal,
    /// Times that backpressure went from inactive to active in the measured slices.
    BackpressureActiveTotal,
    /// The median over blocks of the time from the beginning of an outage until requests are served as
    /// before; only where an outage was asked for.
    RecoveryMs,
    /// The median over blocks of the requests around an outage that were not served; only where one was
    /// asked for.
    RequestsLost,
    /// The peak of `erlang:memory(total)` in the node that had most of it; only where drivers reach several
    /// routers.
    MemMbWorstNode,
}

/// A way in which a figure can move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Up.
    Increase,
    /// Down.
    Decrease,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Increase, Self::Decrease];

    /// A signed change, such as a log, turned so that a move this way is above 0; and back.
    #[must_use]
    pub fn turned(self, change: f64) -> f64 {
        match self {
            Self::Increase => change,
            Self::Decrease => -change,
        }
    }

    /// The sign before a percentage.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Increase => "+",
            Self::Decrease => "-",
        }
    }

    /// In a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Increase => "increase",
            Self::Decrease => "decrease",
        }
    }
}

impl Metric {
    /// All, in table order.
    pub const ALL: [Self; 9] = [
        Self::LatencyP95Ms,
        Self::LatencyP99Ms,
        Self::Rps,
        Self::MemMbTotalErlang,
        Self::ErrorsTotal,
        Self::BackpressureActiveTotal,
        Self::RecoveryMs,
        Self::RequestsLost,
        Self::MemMbWorstNode,
    ];

    /// Whether only some measurements have it, so that without a rule nobody misses it.
    #[must_use]
    pub fn is_optional(self) -> bool {
        self.is_of_outage() || self == Self::MemMbWorstNode
    }

    /// Whether it is there only where an outage was asked for.
    #[must_use]
    pub fn is_of_outage(self) -> bool {
        matches!(self, Self::RecoveryMs | Self::RequestsLost)
    }

    /// The key in the files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LatencyP95Ms => "latency_p95_ms",
            Self::LatencyP99Ms => "latency_p99_ms",
            Self::Rps => "rps",
            Self::MemMbTotalErlang => "mem_mb_total_erlang",
            Self::MemMbWorstNode => "mem_mb_worst_node",
            Self::ErrorsTotal => "errors_total",
            Self::BackpressureActiveTotal => "backpressure_active_total",
            Self::RecoveryMs => "recovery_ms",
            Self::RequestsLost => "requests_lost",
        }
    }

    /// The name where a line has to hold several.
    #[must_use]
    pub fn short_name(self) -> &'static str {
        match self {
            Self::LatencyP95Ms => "p95",
            Self::LatencyP99Ms => "p99",
            Self::Rps => "rps",
            Self::MemMbTotalErlang => "memory",
            Self::MemMbWorstNode => "worst node",
            Self::ErrorsTotal => "errors",
            Self::BackpressureActiveTotal => "backpressure",
            Self::RecoveryMs => "recovery",
            Self::RequestsLost => "lost",
        }
    }

    /// The unit that a table prints behind the figure; empty for a count.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::LatencyP95Ms | Self::LatencyP99Ms | Self::RecoveryMs => "ms",
            Self::Rps => "/s",
            Self::MemMbTotalErlang | Self::MemMbWorstNode => "MB",
            Self::ErrorsTotal | Self::BackpressureActiveTotal | Self::RequestsLost => "",
        }
    }

    /// Which way this metric gets worse.
    #[must_use]
    pub fn worse(self) -> Direction {
        match self {
            Self::Rps => Direction::Decrease,
            Self::LatencyP95Ms
            | Self::LatencyP99Ms
            | Self::MemMbTotalErlang
            | Self::MemMbWorstNode
            | Self::ErrorsTotal
            | Self::BackpressureActiveTotal
            | Self::RecoveryMs
            | Self::RequestsLost => Direction::Increase,
        }
    }

    /// Whether the figure counts events of a whole run, of which a sound router has none.
    #[must_use]
    pub fn is_count(self) -> bool {
        matches!(self, Self::ErrorsTotal | Self::BackpressureActiveTotal)
    }

    /// Whether 0 is a real answer. Of the others it means "not measured": a router takes time, answers
    /// requests and uses memory.
    #[must_use]
    pub fn can_be_zero(self) -> bool {
        self.is_count() || self == Self::RequestsLost
    }
}

// Read as text: of a key that is read as a derived enum, a refusal's JSON path would not know the
// name.
impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::ALL.into_iter().find(|metric| metric.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            D::Error::custom(format!("unknown metric `{name}`, expected one of {known}"))
        })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
