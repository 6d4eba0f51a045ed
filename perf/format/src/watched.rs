//! Traffic that a node had anyway, and how it was watched.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decimal::Amount;

/// How traffic was watched: no load was the bench's, so there was no rate that it offered, nothing that it
/// was late with, and no throughput that the router was driven to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// Where the times come from.
    pub source: TimeSource,
    /// The spans, each its event prefix with points between its atoms; none of calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<String>,
    /// The adapter whose counters were read; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Windows planned, one after the other, each a block.
    pub blocks: u32,
    /// Length of a window.
    pub window_ms: u64,
    /// Least length of a slice, which has some 1,000 requests if there are that many.
    pub slice_ms: u64,
    /// Patience for requests that have not ended when their window does.
    pub drain_timeout_ms: u64,
    /// Cadence of the sampler.
    pub sample_interval_ms: u64,
    /// What recording cost; absent before the first window has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingCost>,
}

/// Where the times of watched requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// Events of `telemetry`, which say how long it was.
    Spans,
    /// Two calls in the router's code.
    Calls,
}

/// What it cost the node to record its requests: measured in that BEAM, on a probe of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordingCost {
    /// Of one request: its start and its end.
    pub request_ns: Amount,
    /// Of all requests of the windows, in percent of the time that the requests took; absent where none
    /// was served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_service_time_pct: Option<Amount>,
    /// Of all requests of the windows, in percent of the time of all schedulers.
    pub of_scheduler_time_pct: Amount,
}

impl Watched {
    /// What shapes the figures, as name and text: two reports with different shapes watched different
    /// things.
    #[must_use]
    pub fn shape(&self) -> [(&'static str, Option<String>); 5] {
        let spans = (!self.spans.is_empty()).then(|| self.spans.join(", "));
        [
            ("watched.source", Some(self.source.name().to_owned())),
            ("watched.spans", spans),
            ("watched.adapter", self.adapter.clone()),
            ("watched.window_ms", Some(self.window_ms.to_string())),
            ("watched.slice_ms", Some(self.slice_ms.to_string())),
        ]
    }
}

impl TimeSource {
    /// The word in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Calls => "calls",
        }
    }
}
