//! The policy: how far each figure may move.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decimal::{Amount, Decimal};
use crate::environment::EnvironmentField;
use crate::metric::{Direction, Metric};
use crate::read::{Document, Segment, Violation};
use crate::variants::{RatioPolicy, check_ratios};

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
    /// How blocks are judged.
    #[serde(default)]
    pub decision: DecisionPolicy,
    /// How far all moves of the baseline together may go.
    #[serde(default)]
    pub budget: BudgetPolicy,
    /// How far the router under one value of an adapter's option may be from the same under another, such as
    /// `{"transport": {"nats/local": {"latency_p95_ms": {"max_ratio": 6}}}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ratios: RatioPolicy,
}

/// How far all moves of the baseline together may go, from the first baseline of the freeze.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetPolicy {
    /// For each metric that has a cap: by how much it may have become worse, in percent of the first
    /// baseline. Corrections of the measurement do not count.
    pub max_pct: BTreeMap<Metric, Amount>,
}

/// How blocks are judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionPolicy {
    /// Blocks after which they are judged; ascending. After the last look nothing more is measured.
    pub looks: Vec<u32>,
    /// How often, at most, the whole gate may fail without any change, in percent.
    pub false_alarm_pct: Amount,
    /// How often, at most, a metric that changed by what must be caught may pass, in percent.
    pub miss_pct: Amount,
    /// What must be caught, in percent of the frozen figure; of a metric that is not named here,
    /// twice its limit.
    pub must_catch_pct: BTreeMap<Metric, Amount>,
    /// What takes the place of looks and error rates in a smoke run.
    pub smoke: SmokePolicy,
}

impl Default for DecisionPolicy {
    fn default() -> Self {
        Self {
            // The fewest blocks of a replay that can pass, and the first number that can fail.
            looks: vec![9, 12, 20],
            false_alarm_pct: Amount::from(1),
            miss_pct: Amount::from(1),
            must_catch_pct: BTreeMap::new(),
            smoke: SmokePolicy::default(),
        }
    }
}

/// How the blocks of a smoke run are judged: once, after few of them, with error rates of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SmokePolicy {
    /// Blocks after which they are judged.
    pub blocks: u32,
    /// How often, at most, the whole gate may fail without any change, in percent.
    pub false_alarm_pct: Amount,
    /// How often, at most, a metric that changed by what must be caught may pass, in percent.
    pub miss_pct: Amount,
}

impl Default for SmokePolicy {
    fn default() -> Self {
        // The fewest blocks of a replay of which both answers can come.
        Self { blocks: 6, false_alarm_pct: Amount::from(10), miss_pct: Amount::from(10) }
    }
}

/// How many blocks a look may come after: one has no spread, and a hundred no time limit allows.
const LOOKS: std::ops::RangeInclusive<u32> = 2..=100;

/// The freezes that this gate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyVersion {
    /// Checkpoint 1.
    Cp1,
}

/// The limits of one metric, of which one at least stops it from getting worse. All that are given
/// must hold; all are inclusive.
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
    /// All six metrics must be there, also one that no rule judges; the two of an outage are none of them. A
    /// metric that a rule judges must be there whatever this says.
    pub require_all_metrics_present: bool,
    /// Counters that the router does not have: no rule judges them, and no report may have them.
    pub not_offered: BTreeSet<Metric>,
    /// Reports of a router that ran already may be judged. Their blocks share a BEAM of which nobody
    /// knows what it did before.
    pub allow_attached: bool,
}

impl Default for GatePolicy {
    fn default() -> Self {
        Self {
            require_candidate_ct_exit_code_zero: true,
            require_all_metrics_present: true,
            not_offered: BTreeSet::new(),
            allow_attached: false,
        }
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
        self.rules.iter().try_for_each(|(metric, rule)| rule.check(*metric))?;
        self.gate.check(&self.rules)?;
        self.decision.check(&self.rules)?;
        self.budget.check()?;
        check_ratios(&self.ratios)
    }
}

impl GatePolicy {
    fn check(&self, rules: &BTreeMap<Metric, Rule>) -> Result<(), Violation> {
        let at = |metric: Metric, problem: &str, cure: &str| {
            let path = ["gate", "not_offered", metric.name()];
            Err(Violation::new(path.map(Segment::from), problem, cure))
        };
        for metric in &self.not_offered {
            if !metric.is_count() {
                return at(*metric, "this is no counter of the router", "remove it");
            }
            if rules.contains_key(metric) {
                return at(*metric, "a rule judges it", "remove the rule, or this line");
            }
        }
        Ok(())
    }
}

impl Policy {
    /// The same policy as a smoke run is judged by.
    #[must_use]
    pub fn for_smoke(self) -> Self {
        let SmokePolicy { blocks, false_alarm_pct, miss_pct } = self.decision.smoke.clone();
        let decision =
            DecisionPolicy { looks: vec![blocks], false_alarm_pct, miss_pct, ..self.decision };
        Self { decision, ..self }
    }
}

impl BudgetPolicy {
    fn check(&self) -> Result<(), Violation> {
        let count = self.max_pct.keys().find(|metric| metric.is_count());
        count.map_or(Ok(()), |metric| {
            let path = ["budget", "max_pct", metric.name()].map(Segment::from);
            let cure = "remove it; its absolute rule is its budget";
            Err(Violation::new(path, "a count has no percentage to move by", cure))
        })
    }
}

impl DecisionPolicy {
    fn check(&self, rules: &BTreeMap<Metric, Rule>) -> Result<(), Violation> {
        let at = |keys: &[&str], problem: String, cure: &str| {
            let path = ["decision"].into_iter().chain(keys.iter().copied());
            Err(Violation::new(path.map(Segment::from), problem, cure))
        };
        let ascends = self.looks.is_sorted_by(|earlier, later| earlier < later);
        let in_range = self.looks.iter().all(|look| LOOKS.contains(look));
        if self.looks.is_empty() || !ascends || !in_range {
            let problem = format!("{:?} are no looks", self.looks);
            return at(&["looks"], problem, "give ascending numbers of blocks from 2 to 100");
        }
        if !LOOKS.contains(&self.smoke.blocks) {
            let problem = format!("{} blocks are no look", self.smoke.blocks);
            return at(&["smoke", "blocks"], problem, "give a number of blocks from 2 to 100");
        }
        for (place, percent) in [
            (&["false_alarm_pct"][..], &self.false_alarm_pct),
            (&["miss_pct"], &self.miss_pct),
            (&["smoke", "false_alarm_pct"], &self.smoke.false_alarm_pct),
            (&["smoke", "miss_pct"], &self.smoke.miss_pct),
        ] {
            if percent.is_zero() || **percent >= Decimal::from(50) {
                let problem = format!("an error rate of {percent} % can never or always be met");
                return at(place, problem, "give a percentage above 0 and below 50");
            }
        }
        for (metric, percent) in &self.must_catch_pct {
            let place = ["must_catch_pct", metric.name()];
            let Some(rule) = rules.get(metric).filter(|rule| rule.is_relative()) else {
                let problem = "no relative rule judges this metric".to_owned();
                return at(&place, problem, "remove it, or give the metric a relative rule");
            };
            for (direction, limit) in rule.relative_limits() {
                if limit >= percent {
                    let problem = format!("{percent} % is not above the limit of {limit} %");
                    return at(
                        &place,
                        problem,
                        "what must be caught lies beyond what is tolerated",
                    );
                }
                if direction == Direction::Decrease && **percent >= Decimal::from(100) {
                    let problem = format!("a figure cannot fall by {percent} %");
                    return at(&place, problem, "give a percentage below 100");
                }
            }
        }
        Ok(())
    }
}

impl Rule {
    fn check(&self, metric: Metric) -> Result<(), Violation> {
        let at = |keys: &[&str], problem: String, cure: &str| {
            let path = ["rules", metric.name()].into_iter().chain(keys.iter().copied());
            Err(Violation::new(path.map(Segment::from), problem, cure))
        };
        if self.relative.is_none() && self.absolute.is_none() {
            return at(&[], "the rule has no limit".into(), "give it `relative` or `absolute`");
        }
        if self.relative.as_ref().is_some_and(Relative::has_no_limit) {
            let cure = "give it `max_pct_increase` or `max_pct_decrease`";
            return at(&["relative"], "the rule has no limit".into(), cure);
        }
        if self.absolute.as_ref().is_some_and(Absolute::has_no_limit) {
            let cure = "give it `equals`, `max` or `min`";
            return at(&["absolute"], "the rule has no limit".into(), cure);
        }
        let mut decreases = self.relative_limits().filter(|(way, _)| *way == Direction::Decrease);
        if let Some((_, percent)) = decreases.find(|(_, percent)| ***percent >= Decimal::from(100))
        {
            let problem =
                format!("a figure cannot fall by more than 100 %, so {percent} never fails");
            return at(&["relative", "max_pct_decrease"], problem, "give a limit below 100");
        }
        let worse = metric.worse();
        if !self.limits().any(|limit| limit.stops(worse)) {
            let problem = format!(
                "no limit stops {metric} from getting worse, which is {an} {name}",
                an = match worse {
                    Direction::Increase => "an",
                    Direction::Decrease => "a",
                },
                name = worse.name(),
            );
            let cure = match worse {
                Direction::Increase => {
                    "give it `relative.max_pct_increase`, `absolute.max` or \
                     `absolute.equals`"
                }
                Direction::Decrease => {
                    "give it `relative.max_pct_decrease`, `absolute.min` above 0 or \
                     `absolute.equals`"
                }
            };
            return at(&[], problem, cure);
        }
        Ok(())
    }
}
