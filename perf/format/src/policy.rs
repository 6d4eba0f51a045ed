//! The policy: how far each figure may move.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decimal::{Amount, Decimal};
use crate::environment::EnvironmentField;
use crate::metric::Metric;
use crate::read::{Document, Segment, Violation};

/// `policy_cp1.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Which freeze this policy belongs to.
    pub version: PolicyVersion,
    /// One rule for each metric that is judged.
    pub rules: BTreeMap<Metric, Rule>,
    /// What a candidate must have before its figures count.
    #[serde(default)]
    pub gate: GatePolicy,
    /// Which environments may be compared directly.
    #[serde(default)]
    pub environment: EnvironmentPolicy,
}

/// The freezes that this gate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyVersion {
    /// Checkpoint 1.
    Cp1,
}

/// The limits of one metric. At least one limit; all that are given must hold; all are inclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Limits on the change from the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative: Option<Relative>,
    /// Limits on the figure itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute: Option<Absolute>,
    /// Why the limit is what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Limits on the change from the baseline, in percent of the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relative {
    /// The figure may be at most baseline × (100 + this) / 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pct_increase: Option<Amount>,
    /// The figure must be at least baseline × (100 − this) / 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pct_decrease: Option<Amount>,
}

/// Limits on the figure itself, in the metric's unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Absolute {
    /// The figure must be exactly this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<Amount>,
    /// The figure may be at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Amount>,
    /// The figure must be at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Amount>,
}

/// What a candidate must have before its figures count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatePolicy {
    /// The test run that measured must have exited with 0.
    pub require_candidate_ct_exit_code_zero: bool,
    /// All six metrics must be there, also one that no rule judges. A metric that a rule judges
    /// must be there whatever this says.
    pub require_all_metrics_present: bool,
}

impl Default for GatePolicy {
    fn default() -> Self {
        Self { require_candidate_ct_exit_code_zero: true, require_all_metrics_present: true }
    }
}

/// Which environments may be compared directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentPolicy {
    /// Parts of the fingerprint that must be equal.
    pub require: Vec<EnvironmentField>,
}

impl Default for EnvironmentPolicy {
    fn default() -> Self {
        Self { require: EnvironmentField::DEFAULT_REQUIRED.to_vec() }
    }
}

impl Document for Policy {
    const KIND: &'static str = "policy";
    const MAX_BYTES: u64 = 256 * 1024;

    fn check(&self) -> Result<(), Violation> {
        if self.rules.is_empty() {
            return Err(Violation::new(
                [Segment::from("rules")],
                "there is no rule, so nothing could ever fail",
                "give each metric its rule; perf/README.md has the six of the freeze",
            ));
        }
        self.rules.iter().try_for_each(|(metric, rule)| rule.check(*metric))
    }
}

impl Rule {
    fn check(&self, metric: Metric) -> Result<(), Violation> {
        let at = |keys: &[&str], problem: String, cure: &str| {
            let path = ["rules", metric.name()].into_iter().chain(keys.iter().copied());
            Err(Violation::new(path.map(Segment::from), problem, cure))
        };
        let relative = self.relative.as_ref();
        let absolute = self.absolute.as_ref();
        if relative.is_none() && absolute.is_none() {
            return at(&[], "the rule has no limit".into(), "give it `relative` or `absolute`");
        }
        if let Some(Relative { max_pct_increase: None, max_pct_decrease: None }) = relative {
            let cure = "give it `max_pct_increase` or `max_pct_decrease`";
            return at(&["relative"], "the rule has no limit".into(), cure);
        }
        if let Some(Absolute { equals: None, max: None, min: None }) = absolute {
            let cure = "give it `equals`, `max` or `min`";
            return at(&["absolute"], "the rule has no limit".into(), cure);
        }
        let decrease = relative.and_then(|limits| limits.max_pct_decrease.as_ref());
        if let Some(percent) = decrease.filter(|percent| ***percent >= Decimal::from(100)) {
            let problem =
                format!("a figure cannot fall by more than 100 %, so {percent} never fails");
            return at(&["relative", "max_pct_decrease"], problem, "give a limit below 100");
        }
        Ok(())
    }
}
