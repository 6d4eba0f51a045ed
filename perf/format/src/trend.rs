//! Many reports in the order of time, metric by metric.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::date::Date;
use crate::decimal::{Amount, Decimal};
use crate::metric::{Direction, Metric};
use crate::record::RecordKind;
use crate::report::SchemaTag;
use crate::timestamp::Timestamp;
use crate::verdict::Notice;

/// What `perf-gate trend --format json` prints. Texts may quote files and commits: a renderer escapes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trend {
    /// Name and version of this format.
    pub schema: SchemaTag,
    /// Every report that counts, by its own timestamp; points name them by their place, from 0.
    pub reports: Vec<TrendReport>,
    /// Reports that are no point, by the reason.
    pub left_out: Vec<LeftOut>,
    /// The moves of the baseline, in order.
    pub moves: Vec<BaselineMove>,
    /// Each metric that a report has.
    pub metrics: Vec<MetricTrend>,
    /// How often, at most, a series without any change has a change point.
    pub significance: Decimal,
    /// What a reader should know besides.
    pub notices: Vec<Notice>,
}

/// A measured report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrendReport {
    /// When it was measured.
    pub timestamp: Timestamp,
    /// The commit that was measured; absent outside a repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether machine, emulator, tools or load differ from those of the report before.
    pub new_conditions: bool,
}

/// Reports that are no point of the trend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Why.
    pub reason: String,
    /// How many.
    pub reports: u64,
}

/// A record of a new baseline or policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselineMove {
    /// The record's number.
    pub number: u32,
    /// When it was written.
    pub date: Date,
    /// What it did.
    pub kind: RecordKind,
    /// What changed, in its own words.
    pub what: String,
    /// The first report of that day or later; as many as there are where none is.
    pub report: u64,
}

/// A metric over the reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricTrend {
    /// Which.
    pub metric: Metric,
    /// Its figure in each report that has it: comparable as far as the conditions are.
    pub figures: TrendSeries,
    /// Its change in percent from the frozen commit, of each report that was measured in turn with it: of
    /// the verdict the estimate, of two reports that of their figures. Comparable over machines.
    pub changes: TrendSeries,
    /// The limit on the change for the worse, as the policy has it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<TrendLimit>,
}

/// How far a figure may get worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrendLimit {
    /// The limit, signed as the figure moves.
    pub change_pct: Decimal,
    /// How much of it each report uses, in percent of it: 0 where the figure did not get worse.
    pub used: Vec<LimitUse>,
}

/// How much of a limit a report uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitUse {
    /// Which report.
    pub report: u64,
    /// In percent of the limit, rounded to 1 place; above 100 beyond it.
    pub used_pct: Amount,
    /// What the figure was compared with.
    pub against: Against,
}

/// What a figure was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The frozen commit, measured in turn with the candidate.
    Replay,
    /// The frozen figures, as the verdict had them.
    Frozen,
    /// The frozen figures of the baseline that was in force that day, by the records.
    Record,
}

impl Against {
    /// In a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Replay => "its replay",
            Self::Frozen => "the frozen figures",
            Self::Record => "the baseline of that day",
        }
    }
}

/// A figure of some of the reports, and where it changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrendSeries {
    /// The points, by report.
    pub points: Vec<TrendPoint>,
    /// The change points, by report.
    pub change_points: Vec<ChangePoint>,
}

/// A figure of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrendPoint {
    /// Which report.
    pub report: u64,
    /// The figure.
    pub value: Decimal,
}

/// A place from which on a series is another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePoint {
    /// The last report before.
    pub after_report: u64,
    /// The first report that is changed.
    pub report: u64,
    /// Of so many arrangements of these reports as this part, one splits as well as they do.
    pub p_value: Decimal,
    /// Median from the change point before, or the beginning.
    pub before: Decimal,
    /// Median up to the change point after, or the end.
    pub after: Decimal,
    /// The first line of what the commit of the first changed report says; absent where the repository
    /// does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl MetricTrend {
    /// Whether the figure got worse at a change point.
    #[must_use]
    pub fn is_worse(&self, change: &ChangePoint) -> bool {
        match self.metric.worse() {
            Direction::Increase => change.after > change.before,
            Direction::Decrease => change.after < change.before,
        }
    }
}
