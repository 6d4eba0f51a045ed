//! One build under several values of one option of its adapter, measured in turn: what each value costs, as
//! ratios; and the limits that a policy may set them.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::block::Accounting;
use crate::decimal::{Amount, Decimal};
use crate::environment::Environment;
use crate::metric::{Direction, Metric};
use crate::plan::AdapterOption;
use crate::read::{Document, Segment, Violation};
use crate::report::{Git, SchemaName, SchemaTag};
use crate::timestamp::Timestamp;
use crate::verdict::{Judgement, Notice};

/// A figure of which a ratio is made. The order is the order of every table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RatioFigure {
    /// Median of the time from the intended start of a request to its answer, in the open loop.
    LatencyP50Ms,
    /// Its 95th percentile.
    LatencyP95Ms,
    /// Its 99th percentile.
    LatencyP99Ms,
    /// Successful requests a second, in the closed loop.
    Rps,
    /// Peak of `erlang:memory(total)`.
    MemMbTotalErlang,
}

impl RatioFigure {
    /// All, in table order.
    pub const ALL: [Self; 5] = [
        Self::LatencyP50Ms,
        Self::LatencyP95Ms,
        Self::LatencyP99Ms,
        Self::Rps,
        Self::MemMbTotalErlang,
    ];

    /// The key in the files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.metric().map_or("latency_p50_ms", Metric::name)
    }

    /// The metric of the freeze that it is; `None` of the median.
    #[must_use]
    pub fn metric(self) -> Option<Metric> {
        match self {
            Self::LatencyP50Ms => None,
            Self::LatencyP95Ms => Some(Metric::LatencyP95Ms),
            Self::LatencyP99Ms => Some(Metric::LatencyP99Ms),
            Self::Rps => Some(Metric::Rps),
            Self::MemMbTotalErlang => Some(Metric::MemMbTotalErlang),
        }
    }

    /// The unit that a table prints behind the figure.
    #[must_use]
    pub fn unit(self) -> &'static str {
        self.metric().map_or("ms", Metric::unit)
    }

    /// Which way it gets worse.
    #[must_use]
    pub fn worse(self) -> Direction {
        self.metric().map_or(Direction::Increase, Metric::worse)
    }
}

// Read as text, as metrics are.
impl<'de> Deserialize<'de> for RatioFigure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::ALL.into_iter().find(|figure| figure.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            D::Error::custom(format!("unknown figure `{name}`, expected one of {known}"))
        })
    }
}

impl fmt::Display for RatioFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How far one variant's figure may be from another's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RatioRule {
    /// Of what gets worse upwards: the ratio may be at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ratio: Option<Amount>,
    /// Of `rps`: the ratio must be at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ratio: Option<Amount>,
    /// The ratio, beyond the limit, that must not pass; absent, a quarter beyond the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub must_catch_ratio: Option<Amount>,
    /// Why the limit is what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far beyond its limit a ratio must be caught where the policy does not say.
const MUST_CATCH_BEYOND: f64 = 1.25;

impl RatioRule {
    /// The limit of a figure.
    #[must_use]
    pub fn limit(&self, figure: RatioFigure) -> Option<&Amount> {
        match figure.worse() {
            Direction::Increase => self.max_ratio.as_ref(),
            Direction::Decrease => self.min_ratio.as_ref(),
        }
    }

    /// What must be caught of a figure: beyond its limit.
    #[must_use]
    pub fn must_catch(&self, figure: RatioFigure) -> Option<f64> {
        let limit = self.limit(figure)?.approximate();
        let beyond = match figure.worse() {
            Direction::Increase => limit * MUST_CATCH_BEYOND,
            Direction::Decrease => limit / MUST_CATCH_BEYOND,
        };
        Some(self.must_catch_ratio.as_ref().map_or(beyond, |given| given.approximate()))
    }

    fn check(&self, figure: RatioFigure, at: &[Segment]) -> Result<(), Violation> {
        let refuse = |key: &str, problem: String, cure: &str| {
            let path = at.iter().cloned().chain([Segment::from(key)]);
            Err(Violation::new(path, problem, cure))
        };
        let (needed, other, is_other_given) = match figure.worse() {
            Direction::Increase => ("max_ratio", "min_ratio", self.min_ratio.is_some()),
            Direction::Decrease => ("min_ratio", "max_ratio", self.max_ratio.is_some()),
        };
        if is_other_given {
            let problem = format!("{figure} gets no worse that way");
            return refuse(other, problem, "remove it");
        }
        let Some(limit) = self.limit(figure) else {
            let problem = format!("no limit stops {figure} from getting worse");
            return refuse(needed, problem, "give it");
        };
        if limit.is_zero() {
            let problem = "a ratio of 0 always or never fails".to_owned();
            return refuse(needed, problem, "give a ratio above 0");
        }
        if let Some(caught) = &self.must_catch_ratio {
            let is_beyond = match figure.worse() {
                Direction::Increase => caught > limit,
                Direction::Decrease => caught < limit && !caught.is_zero(),
            };
            if !is_beyond {
                let problem = format!("{caught} is not beyond the limit of {limit}");
                let cure = "what must be caught lies beyond what is tolerated, and is above 0";
                return refuse("must_catch_ratio", problem, cure);
            }
        }
        Ok(())
    }
}

/// Limits by the adapter's option, then by two of its values (`nats/local`: the first one's figure over the
/// second one's), then by figure.
pub type RatioPolicy = BTreeMap<String, BTreeMap<String, BTreeMap<RatioFigure, RatioRule>>>;

/// The two values of a pair such as `nats/local`.
#[must_use]
pub fn pair(text: &str) -> Option<(&str, &str)> {
    text.split_once('/')
        .filter(|(of, to)| !of.is_empty() && !to.is_empty() && of != to && !to.contains('/'))
}

pub(crate) fn check_ratios(ratios: &RatioPolicy) -> Result<(), Violation> {
    for (option, pairs) in ratios {
        let at = [Segment::from("ratios"), option.as_str().into()];
        if pairs.is_empty() {
            let cure = "give two values and a figure, as {\"nats/local\": {\"rps\": {\"min_ratio\": 0.2}}}";
            return Err(Violation::new(at, "nothing is limited", cure));
        }
        for (name, rules) in pairs {
            let at = [&at[..], &[name.as_str().into()]].concat();
            if pair(name).is_none() {
                let cure = "name the worse first: nats/local";
                return Err(Violation::new(at, "these are no two values", cure));
            }
            if rules.is_empty() {
                return Err(Violation::new(at, "nothing is limited", "give a figure its limit"));
            }
            for (figure, rule) in rules {
                let at = [&at[..], &[figure.name().into()]].concat();
                rule.check(*figure, &at)?;
            }
        }
    }
    Ok(())
}

/// `perf_variants_<time>.json`, and what `perf-gate transport` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variants {
    /// Name and version of this format.
    pub schema: SchemaTag,
    /// When it was measured.
    pub timestamp: Timestamp,
    /// What was measured.
    pub git: Git,
    /// The adapter's option.
    pub option: String,
    /// Seed of the orders in which the variants were measured.
    pub seed: u64,
    /// Blocks of each variant.
    pub blocks: u64,
    /// How often an interval has the true ratio in it, at least, in percent.
    pub confidence_pct: Amount,
    /// The variants, the one that all are set against first.
    pub variants: Vec<Variant>,
    /// By how much they differ.
    pub ratios: Vec<Ratio>,
    /// What the policy says; absent where it limits no ratio of this option.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<RatioDecision>,
    /// What a reader should know besides.
    pub notices: Vec<Notice>,
}

/// One value of the option.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The value.
    pub value: AdapterOption,
    /// Its report.
    pub report: String,
    /// What its requests went through.
    pub env: Environment,
    /// The median of each figure over its blocks.
    pub figures: BTreeMap<RatioFigure, Amount>,
    /// What became of its requests.
    pub accounting: Accounting,
}

/// One figure of one variant over that of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// The variant, by its value as text.
    pub of: String,
    /// What it is set against.
    pub to: String,
    /// Which figure.
    pub figure: RatioFigure,
    /// Hodges-Lehmann estimate; absent where a block lacks the figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Decimal>,
    /// Lower end of the interval; absent where the blocks are too few for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<Decimal>,
    /// Upper end of the interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<Decimal>,
    /// What the policy says of it; absent where it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<JudgedRatio>,
}

/// A ratio held to its limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgedRatio {
    /// The limit.
    pub limit: Amount,
    /// The answer.
    pub judgement: Judgement,
    /// Why, in words.
    pub explanation: String,
}

/// How ratios were judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RatioDecision {
    /// The worst of what the limits say.
    pub judgement: Judgement,
    /// Blocks after which they are judged.
    pub looks: Vec<u32>,
    /// How often, at most, any limit is said to be violated that is not, in percent.
    pub false_alarm_pct: Amount,
    /// How often, at most, a ratio that must be caught passes, in percent.
    pub miss_pct: Amount,
}

impl Document for Variants {
    const KIND: &'static str = "comparison of variants";
    const MAX_BYTES: u64 = 1024 * 1024;

    fn check(&self) -> Result<(), Violation> {
        if self.schema.name != SchemaName::Cp1Variants || self.schema.version != 1 {
            let at = [Segment::from("schema")];
            let cure = "measure again: perf-gate transport";
            return Err(Violation::new(at, "this is no comparison of version 1", cure));
        }
        Ok(())
    }
}
