//! A search for the commit that made the router worse.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decimal::{Amount, Decimal};
use crate::metric::Metric;
use crate::read::{Document, Segment, Violation};
use crate::report::{Load, SchemaName, SchemaTag};

/// `perf_bisection_<good>_<bad>.json`: how far a search is, so that it can go on, and what it found.
///
/// A *change* is what one block says: the natural log by which the metric of a commit differs from the
/// good commit's, both measured in turn, of which more is worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bisection {
    /// Name and version of this format.
    pub schema: SchemaTag,
    /// The commit that every other one is measured against.
    #[schemars(regex(pattern = "^[0-9a-f]{40}$"))]
    pub good: String,
    /// A digest of what the good commit runs; absent before it is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_code: Option<String>,
    /// What became worse; absent before the ends are known to differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sought: Option<Sought>,
    /// How often, at most, the search blames a commit that it is not, in percent.
    pub error_pct: Amount,
    /// The load of every block; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// The commits between the ends, parents first; the last one is the bad end.
    pub commits: Vec<BisectedCommit>,
    /// How it ended; absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<BisectionResult>,
}

/// What became worse, and by how much between the ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sought {
    /// The metric.
    pub metric: Metric,
    /// The change of each block of the bad end.
    pub ends: Vec<Decimal>,
}

/// A commit between the ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BisectedCommit {
    /// 40 lower-case hexadecimal digits.
    #[schemars(regex(pattern = "^[0-9a-f]{40}$"))]
    pub commit: String,
    /// When its author made it.
    pub date: String,
    /// Its first line.
    pub subject: String,
    /// Its parents among these commits, as positions in the list.
    pub parents: Vec<usize>,
    /// Whether it touches anything that may be compiled.
    pub is_compiled: bool,
    /// A digest of what it runs; absent before it is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What its blocks said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Decimal>,
    /// Why it cannot be measured, in words; absent where it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// How probable it is that it is the one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<Amount>,
}

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BisectionResult {
    /// The blocks do not show that the ends differ, so that nobody is blamed.
    EndsAlike,
    /// The ends differ, and the blocks between them contradict each other, so that nobody is blamed: what
    /// was brought may have been taken back in between.
    Undecided,
    /// It is one of these commits, as positions in the list: one, or those that cannot be told apart
    /// because some cannot be measured.
    Found {
        /// Positions in the list.
        commits: Vec<usize>,
        /// How probable it is that it is one of them, in percent.
        probability_pct: Amount,
        /// What the change is between the last of them and what came before the first, measured in turn;
        /// absent where one of both cannot be measured.
        #[serde(skip_serializing_if = "Option::is_none")]
        step: Option<Box<BisectedStep>>,
    },
}

/// By how much one commit differs from another one, measured in turn. Percentages of the figure, signed
/// as it moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BisectedStep {
    /// The commit before.
    pub from: String,
    /// Blocks.
    pub blocks: u64,
    /// Hodges-Lehmann estimate.
    pub estimate_pct: Decimal,
    /// Lower end of the 95 % interval; absent where the blocks are too few for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_pct: Option<Decimal>,
    /// Upper end of the 95 % interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_pct: Option<Decimal>,
}

impl Document for Bisection {
    const KIND: &'static str = "bisection";
    const MAX_BYTES: u64 = 16 * 1024 * 1024;

    fn check(&self) -> Result<(), Violation> {
        if self.schema.name != SchemaName::Cp1Bisection || self.schema.version != 1 {
            let at = [Segment::from("schema")];
            let cure = "begin the search anew, without this file";
            return Err(Violation::new(at, "this is no bisection of version 1", cure));
        }
        for (index, commit) in self.commits.iter().enumerate() {
            if commit.parents.iter().any(|parent| *parent >= index) {
                let at = [Segment::from("commits"), index.into(), "parents".into()];
                let cure = "begin the search anew, without this file";
                return Err(Violation::new(at, "a parent comes after its child", cure));
            }
        }
        Ok(())
    }
}
