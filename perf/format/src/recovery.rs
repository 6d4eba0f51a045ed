//! How a router comes back from an outage: an open loop at the load's rate, in which it is gone for a while,
//! cut into windows by intended start.
//!
//! # When it has recovered
//!
//! A window is *good* where every request was served and the p95 is within the limit. The limit is the median
//! of the p95 of the windows before the outage and the tolerance above that; or, where that is more, the
//! highest of them, as what the windows show by themselves is no outage. The router has recovered at the
//! beginning of the first [`GOOD_IN_A_ROW`] good windows in a row that come after a bad one; one good window in
//! an outage is an accident, and one bad window long after it a hiccup. The time counts from the beginning of
//! the outage and is known to a window: where no window was bad, it is that of the one in which the outage
//! began.
//!
//! The last window before the outage is no measure, as its requests may have been under way.

use bigdecimal::{BigDecimal, ToPrimitive as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::block::FailureReason;
use crate::decimal::Amount;
use crate::summary::exact_median;

/// Good windows in a row that make a router recovered.
pub const GOOD_IN_A_ROW: usize = 3;

/// What was seen around an outage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryPhase {
    /// From the first intended start to the last answer.
    pub duration_ns: u64,
    /// Length of a window.
    #[schemars(range(min = 1))]
    pub window_ns: u64,
    /// By how much the p95 of a window may be above that before, in percent.
    pub tolerance_pct: Amount,
    /// When the outage was begun, from the first intended start on.
    pub outage_began_ns: u64,
    /// When it had been ended.
    pub outage_ended_ns: u64,
    /// The windows, in order.
    pub windows: Vec<RecoveryWindow>,
    /// Why requests failed, the most frequent reason first; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<FailureReason>>,
}

/// The requests whose intended start is in a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryWindow {
    /// Requests that the plan called for.
    pub offered: u64,
    /// Answered with success, whenever that was.
    pub ok: u64,
    /// 95th percentile of the response time of these; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ns: Option<u64>,
}

/// Why it is not known when a router had recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRecovered {
    /// There is nothing to compare with.
    #[error(
        "no window before the outage served every request, so nothing says what recovered means"
    )]
    NoMeasure,
    /// Not while it was looked at.
    #[error("the router had not recovered when the last window ended")]
    Never,
}

impl RecoveryPhase {
    /// Time from the beginning of the outage until the router had recovered.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn recovered_ns(&self) -> Result<u64, NotRecovered> {
        let limit = self.limit_ns().ok_or(NotRecovered::NoMeasure)?;
        let first = self.first_window();
        let is_good: Vec<bool> =
            self.windows.iter().skip(first).map(|w| w.is_good(limit)).collect();
        let Some(bad) = is_good.iter().position(|is_good| !is_good) else {
            // Of less than a row of windows nothing is known.
            let is_known = is_good.len() >= GOOD_IN_A_ROW;
            return if is_known { Ok(self.time_to(first + 1)) } else { Err(NotRecovered::Never) };
        };
        let is_back = |row: &[bool]| row.iter().all(|is_good| *is_good);
        let after = is_good.get(bad..).unwrap_or_default();
        let back = after.windows(GOOD_IN_A_ROW).position(is_back).ok_or(NotRecovered::Never)?;
        Ok(self.time_to(first + bad + back))
    }

    /// The largest p95 of a good window, to a nanosecond; `None` where nothing before the outage is a measure.
    #[must_use]
    pub fn limit_ns(&self) -> Option<u64> {
        let before = self.windows.iter().take(self.first_window().saturating_sub(1));
        let before = before.filter(|window| window.ok == window.offered);
        let figures: Vec<u64> = before.filter_map(|window| window.p95_ns).collect();
        let highest = *figures.iter().max()?;
        let median = exact_median(figures.into_iter().map(BigDecimal::from).collect())?;
        let tolerated = BigDecimal::from(100) + self.tolerance_pct.exact();
        let limit = median * tolerated * BigDecimal::new(1.into(), 2);
        // Beyond 64 bits nothing is above it.
        Some(limit.to_u64().unwrap_or(u64::MAX).max(highest))
    }

    /// The window in which the outage was begun.
    fn first_window(&self) -> usize {
        let first = self.outage_began_ns.checked_div(self.window_ns);
        first.and_then(|first| usize::try_from(first).ok()).unwrap_or(usize::MAX)
    }

    /// Time to the beginning of a window.
    fn time_to(&self, window: usize) -> u64 {
        let begins_ns = (window as u64).saturating_mul(self.window_ns);
        begins_ns.saturating_sub(self.outage_began_ns)
    }
}

impl RecoveryWindow {
    fn is_good(&self, limit_ns: u64) -> bool {
        let is_within = self.p95_ns.is_none_or(|p95_ns| p95_ns <= limit_ns);
        self.ok == self.offered && is_within
    }
}
