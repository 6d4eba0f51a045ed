//! Exceptions from the policy, each with its end.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::date::Date;
use crate::decimal::Amount;
use crate::metric::Metric;
use crate::policy::PolicyVersion;
use crate::read::{Document, Segment, Violation};

/// `perf/waivers.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waivers {
    /// Which freeze they belong to.
    pub version: PolicyVersion,
    /// One for each metric at most.
    pub waivers: Vec<Waiver>,
}

/// Lets one metric exceed its relative limit for a while, up to a ceiling. The metric is still
/// measured and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Which metric; never a count, whose limit is 0.
    pub metric: Metric,
    /// How far it may move, in percent of the frozen figure; above the policy's limit.
    pub ceiling_pct: Amount,
    /// The last day on which it counts, by the candidate's own time in UTC.
    pub expires: Date,
    /// Where the work on the cause is followed: a link.
    pub issue: String,
    /// Why the release cannot wait.
    pub reason: String,
}

impl Document for Waivers {
    const KIND: &'static str = "list of waivers";
    const MAX_BYTES: u64 = 64 * 1024;

    fn check(&self) -> Result<(), Violation> {
        let mut seen = BTreeSet::new();
        for (index, waiver) in self.waivers.iter().enumerate() {
            let refuse = |key: &str, problem: &str, cure: &str| {
                let at = [Segment::from("waivers"), index.into(), key.into()];
                Err(Violation::new(at, problem, cure))
            };
            if waiver.metric.is_count() {
                let cure = "remove the waiver, and the cause of what is counted";
                return refuse("metric", "a count that must be 0 cannot be waived", cure);
            }
            if !seen.insert(waiver.metric) {
                return refuse("metric", "the metric is waived twice", "keep one of them");
            }
            if !waiver.issue.starts_with("https://") || waiver.issue.len() < 12 {
                return refuse(
                    "issue",
                    "this is no link",
                    "give the https:// address of the issue",
                );
            }
            if waiver.reason.split_whitespace().count() < 5 {
                return refuse("reason", "this is no reason", "say it in a sentence");
            }
        }
        Ok(())
    }
}
