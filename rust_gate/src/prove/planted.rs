//! What is planted to prove the gate, out of the policy's limits and of what a router was measured to
//! be, and how the gate read it. Pure.

use std::fmt;

use cp1_format::summary::median;
use cp1_format::{Decimal, DelayReading, Metric, Report};

use crate::judge::decision::JudgedLimit;

/// Bytes of a megabyte.
const MB_BYTES: f64 = 1_048_576.0;

/// Gates that have one change in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    /// Its name, also that of its directory.
    pub name: &'static str,
    /// Of which metric how many limits are planted; `None` plants nothing.
    pub planted: Option<(Metric, f64)>,
}

/// Gates of one commit against itself.
pub const SAME: Kind = Kind { name: "same", planted: None };

/// Gates that say whether a change reads as large as it is.
pub const P95_AT_1_5: Kind =
    Kind { name: "p95_at_1.5", planted: Some((Metric::LatencyP95Ms, 1.5)) };

/// In the order in which they are measured and shown.
pub const KINDS: [Kind; 7] = [
    SAME,
    P95_AT_1_5,
    Kind { name: "p95_at_2", planted: Some((Metric::LatencyP95Ms, 2.0)) },
    Kind { name: "rps_at_1.5", planted: Some((Metric::Rps, 1.5)) },
    Kind { name: "rps_at_2", planted: Some((Metric::Rps, 2.0)) },
    Kind { name: "memory_at_1.5", planted: Some((Metric::MemMbTotalErlang, 1.5)) },
    Kind { name: "memory_at_2", planted: Some((Metric::MemMbTotalErlang, 2.0)) },
];

impl Kind {
    /// How many gates it has, where so many are without a change and so many with the first delay.
    #[must_use]
    pub fn gates(&self, same: u32, planted: Option<u32>) -> u32 {
        let planted = planted.unwrap_or(same.div_ceil(3));
        match *self {
            SAME => same,
            P95_AT_1_5 => planted,
            _ => planted.div_ceil(3),
        }
    }
}

/// A fault that changes one metric by a known amount.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Each request takes so much longer, in microseconds with one decimal.
    DelayUs(f64),
    /// The router holds so many bytes more.
    HoldBytes(f64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DelayUs(us) => write!(f, "delay_us={us:.1}"),
            Self::HoldBytes(bytes) => write!(f, "hold_bytes={bytes:.0}"),
        }
    }
}

impl Fault {
    fn delay(us: f64) -> Self {
        Self::DelayUs((us * 10.0).round() / 10.0)
    }

    /// Of the text that a report has; `None` of another fault.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('=')? {
            ("delay_us", us) => us.parse().ok().map(Self::DelayUs),
            ("hold_bytes", bytes) => bytes.parse().ok().map(Self::HoldBytes),
            _ => None,
        }
    }
}

/// Why a change cannot be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDose {
    /// There is nothing to be a multiple of.
    #[error("the policy has no such relative limit")]
    NoLimit,
    /// There is nothing to be a share of.
    #[error("the baseline does not say how large it is here")]
    Unmeasured,
    /// The limit is too wide.
    #[error("that many limits leave no throughput")]
    NothingLeft,
}

/// What to plant for gates of a kind into a router that was measured like this; `None` where nothing
/// is planted.
///
/// # Errors
/// [`NoDose`]
pub fn dose(
    kind: &Kind,
    limits: &[JudgedLimit],
    measured: &Report,
) -> Result<Option<Fault>, NoDose> {
    let Some((metric, multiple)) = kind.planted else { return Ok(None) };
    let mut of_metric = limits.iter().filter(|held| held.metric == metric);
    let limit = of_metric.find(|held| held.direction == metric.worse()).ok_or(NoDose::NoLimit)?;
    let share = limit.limit_pct / 100.0 * multiple;
    let figure = measured.metrics.get(metric).ok_or(NoDose::Unmeasured)?.approximate();
    let fault = match metric {
        Metric::Rps if share >= 1.0 => return Err(NoDose::NothingLeft),
        Metric::Rps => {
            // The closed loop keeps that many processors busy, so a request takes so much of one.
            let request_us = busy_processors(measured).ok_or(NoDose::Unmeasured)? * 1e6 / figure;
            Fault::delay(request_us * (1.0 / (1.0 - share) - 1.0))
        }
        Metric::MemMbTotalErlang => Fault::HoldBytes((figure * MB_BYTES * share).round()),
        _ => Fault::delay(figure * 1000.0 * share),
    };
    Ok(Some(fault))
}

fn busy_processors(measured: &Report) -> Option<f64> {
    let processors = measured.env.schedulers_online.or(measured.env.cpu_count)?;
    Some(f64::from(measured.load.as_ref()?.concurrency.min(processors)))
}

/// A planted change beside what the gate read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The planted delay as a share of the frozen side's p95.
    pub planted_pct: f64,
    /// What all blocks together say.
    pub read_pct: f64,
}

impl Reading {
    /// Of a delay, the frozen side's p95 beside it gate by gate, and the change that was read; `None`
    /// without a gate.
    #[must_use]
    pub fn new(delay_us: f64, frozen_p95_ms: Vec<f64>, read_pct: f64) -> Option<Self> {
        let planted_pct = delay_us / (median(frozen_p95_ms)? * 1000.0) * 100.0;
        Some(Self { planted_pct, read_pct })
    }

    /// 1 where a change reads as large as it is.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.read_pct / self.planted_pct
    }

    /// To the digits that say something; `None` where one is no number.
    #[must_use]
    pub fn answer(&self) -> Option<DelayReading> {
        Some(DelayReading {
            planted_pct: Decimal::of_fraction(self.planted_pct, 1)?,
            read_pct: Decimal::of_fraction(self.read_pct, 1)?,
            factor: Decimal::of_fraction(self.factor(), 2)?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use std::path::Path;

    use cp1_format::{Policy, parse};
    use proptest::prelude::*;

    use super::*;
    use crate::judge::decision::held;

    fn limits(p95: f64, rps: f64, memory: f64) -> Vec<JudgedLimit> {
        let policy = format!(
            r#"{{"version": "cp1", "rules": {{
                "latency_p95_ms": {{"relative": {{"max_pct_increase": {p95}}}}},
                "rps": {{"relative": {{"max_pct_decrease": {rps}}}}},
                "mem_mb_total_erlang": {{"relative": {{"max_pct_increase": {memory}}}}}}}}}"#
        );
        held(&parse::<Policy>(Path::new("policy"), policy.as_bytes()).unwrap())
    }

    fn measured(concurrency: u32) -> Report {
        let report = format!(
            r#"{{"timestamp": "2026-01-31T12:00:00Z",
            "git": {{"commit": "0123456789012345678901234567890123456789"}},
            "env": {{"otp_release": "25", "schedulers_online": 2, "cpu_count": 8}},
            "run": {{"ct_exit_code": 0}},
            "load": {{"adapter": "a", "blocks": 1, "warmup_ms": 1, "throughput_ms": 1,
              "latency_ms": 1, "slice_ms": 1, "rate_per_second": 1, "arrivals": "constant",
              "concurrency": {concurrency}, "max_in_flight": 1, "drain_timeout_ms": 1,
              "sample_interval_ms": 1, "timeout_ms": 1, "seed": 1}},
            "metrics": {{"latency_p95_ms": 0.02, "latency_p99_ms": 0.05, "rps": 200000,
              "errors_total": 0, "backpressure_active_total": 0, "mem_mb_total_erlang": 20}}}}"#
        );
        parse(Path::new("report"), report.as_bytes()).unwrap()
    }

    fn doses(limits: &[JudgedLimit], measured: &Report) -> Vec<String> {
        let dose = |kind| match dose(kind, limits, measured) {
            Ok(fault) => fault.map(|fault| fault.to_string()).unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        KINDS.iter().map(dose).collect()
    }

    #[test]
    fn doses_are_multiples_of_the_policys_limits_of_what_was_measured() {
        // p95 20 µs: 22.5 % and 30 %. A request keeps a processor for 10 µs: 15 % and 20 % less.
        let expected = [
            "",
            "delay_us=4.5",
            "delay_us=6.0",
            "delay_us=1.8",
            "delay_us=2.5",
            "hold_bytes=4718592",
            "hold_bytes=6291456",
        ];
        assert_eq!(doses(&limits(15.0, 10.0, 15.0), &measured(4)), expected);
        // One worker keeps one processor busy, so a request takes half as long.
        assert_eq!(doses(&limits(15.0, 10.0, 15.0), &measured(1))[4], "delay_us=1.3");
        assert_eq!(
            doses(&limits(30.0, 10.0, 15.0), &measured(4))[1..3],
            ["delay_us=9.0", "delay_us=12.0"]
        );
    }

    #[test]
    fn what_cannot_be_planted_says_why() {
        let said = doses(&limits(15.0, 50.0, 15.0), &measured(2));
        assert_eq!(said[4], NoDose::NothingLeft.to_string(), "twice 50 % is all");
        assert!(said[3].starts_with("delay_us="), "{}", said[3]);
        let mut unknown = measured(2);
        unknown.load = None;
        assert_eq!(doses(&limits(15.0, 10.0, 15.0), &unknown)[3], NoDose::Unmeasured.to_string());
        let none = doses(&[], &measured(2));
        assert_eq!(none[0], "");
        assert!(none[1..].iter().all(|said| *said == NoDose::NoLimit.to_string()), "{none:?}");
    }

    #[test]
    fn other_changes_have_a_third_as_many_gates_and_at_least_one() {
        let counts = |same, planted| KINDS.map(|kind| kind.gates(same, planted));
        assert_eq!(counts(15, None), [15, 5, 2, 2, 2, 2, 2]);
        assert_eq!(counts(1, None), [1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(counts(4, Some(0)), [4, 0, 0, 0, 0, 0, 0]);
        assert_eq!(counts(4, Some(7)), [4, 7, 3, 3, 3, 3, 3]);
    }

    #[test]
    fn a_fault_is_known_again_in_the_words_of_a_report() {
        for text in ["delay_us=1.0e6", "delay_us=1000000", "delay_us=1000000.0"] {
            assert_eq!(Fault::parse(text), Some(Fault::delay(1e6)), "{text}");
        }
        for other in ["stall_ms=20", "delay_us", "delay_us=x", ""] {
            assert_eq!(Fault::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_factor_is_what_was_read_over_what_was_planted() {
        let reading = Reading::new(5.0, vec![0.025, 0.01, 0.02], 31.25).unwrap();
        let answer = reading.answer().unwrap();
        let said = [answer.planted_pct, answer.read_pct, answer.factor].map(|it| it.to_string());
        assert_eq!(said, ["25.0", "31.3", "1.25"]);
        assert_eq!(Reading::new(5.0, vec![], 31.25), None);
    }

    proptest! {
        #[test]
        fn every_dose_is_read_back_as_it_is_written(
            p95 in 0.1..500.0f64, rps in 0.1..49.0f64, memory in 0.1..500.0f64, workers in 1..64u32,
        ) {
            let limits = limits(p95, rps, memory);
            for kind in &KINDS {
                let fault = dose(kind, &limits, &measured(workers)).unwrap();
                prop_assert_eq!(fault.and_then(|fault| Fault::parse(&fault.to_string())), fault);
            }
        }

        #[test]
        fn a_wider_limit_never_plants_less(limit in 0.1..24.0f64, wider in 1.0..2.0f64) {
            let amount = |limit: f64, kind: &Kind| {
                match dose(kind, &limits(limit, limit, limit), &measured(2)).unwrap() {
                    Some(Fault::DelayUs(amount) | Fault::HoldBytes(amount)) => amount,
                    None => 0.0,
                }
            };
            for kind in &KINDS {
                prop_assert!(amount(limit, kind) <= amount(limit * wider, kind));
            }
        }
    }
}
