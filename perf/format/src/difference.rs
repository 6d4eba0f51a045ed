//! Two reports or verdicts side by side; nothing of it is judged.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::block::{Phase, Unserved};
use crate::decimal::{Amount, Decimal};
use crate::report::SchemaTag;
use crate::verdict::{Input, Notice, Share};

/// What `perf-gate diff A B --format json` prints. Texts may quote the files: a renderer escapes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Name and version of this format.
    pub schema: SchemaTag,
    /// The first file.
    pub a: DifferenceSide,
    /// The second.
    pub b: DifferenceSide,
    /// The metrics that a side has; of a verdict those of its candidate that a rule judges.
    pub metrics: Vec<FigureSides>,
    /// Figures beside them.
    pub supporting: Vec<FigureSides>,
    /// Requests that were not served, of each kind that a side has any of.
    pub unserved: Vec<UnservedSides>,
    /// How both ended.
    pub outcomes: Vec<FieldSides>,
    /// Where they were measured, every field that a side has; only of two reports.
    pub environment: Vec<FieldSides>,
    /// Under which load, every field that a side has; only of two reports.
    pub load: Vec<FieldSides>,
    /// What a reader should know besides.
    pub notices: Vec<Notice>,
}

/// One of the two files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DifferenceSide {
    /// What it is.
    pub kind: DifferenceKind,
    /// The file and what was measured; of a verdict the file and its candidate.
    pub input: Input,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// A measured report.
    Report,
    /// A verdict.
    Verdict,
}

impl DifferenceKind {
    /// In a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Verdict => "verdict",
        }
    }
}

/// A figure of both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FigureSides {
    /// What it is.
    pub name: String,
    /// Its unit; empty for a count.
    pub unit: String,
    /// The first file's; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<Amount>,
    /// The second's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<Amount>,
    /// Change in percent of the first, rounded to 2 places; absent from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_pct: Option<Decimal>,
}

/// Requests of one loop that were not served, for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnservedSides {
    /// Of which loop.
    pub phase: Phase,
    /// What became of them.
    pub outcome: Unserved,
    /// The first file's; absent where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<Share>,
    /// The second's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<Share>,
}

/// A text of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldSides {
    /// Which field.
    pub field: String,
    /// The first file's; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<String>,
    /// The second's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<String>,
}

impl FieldSides {
    /// Whether both say the same.
    #[must_use]
    pub fn is_alike(&self) -> bool {
        self.a == self.b
    }
}
