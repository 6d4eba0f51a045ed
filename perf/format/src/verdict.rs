//! The verdict: everything that a report about a judgement says. Renderers see only this.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::block::{Phase, Unserved};
use crate::decimal::{Amount, Decimal};
use crate::metric::Metric;
use crate::read::{Document, Violation};
use crate::report::{SchemaName, SchemaTag};
use crate::waivers::Waiver;

/// `perf_verdict_<time>.json`. Texts may quote the judged files: a renderer escapes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Name and version of this format.
    pub schema: SchemaTag,
    /// The answer.
    pub outcome: Outcome,
    /// The exit code that says the same.
    pub exit_code: u8,
    /// The answer in a sentence.
    pub summary: String,
    /// The judged files.
    pub inputs: Inputs,
    /// Whether the two reports may be compared.
    pub comparison: Comparison,
    /// How the blocks were judged; absent where the figures were compared alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Every rule of the policy, in table order; empty where nothing could be judged.
    pub rules: Vec<RuleResult>,
    /// Requests that were not served, of each kind that a side has any of; absent where all were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unserved: Vec<UnservedResult>,
    /// Figures beside the rules, not judged: they say where a latency comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supporting: Vec<SupportingFigure>,
    /// Why nothing, or not everything, could be judged.
    pub problems: Vec<Problem>,
    /// What a reader should know besides.
    pub notices: Vec<Notice>,
}

/// How the blocks of both sides were judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Blocks of the candidate.
    pub blocks: u64,
    /// Blocks of the other side: the frozen ones, or the replayed ones.
    pub baseline_blocks: u64,
    /// Whether both sides of each block were measured in turn, slice by slice.
    pub paired: bool,
    /// The looks of the plan that counts, in blocks of the candidate: the policy's, or the only one of
    /// its smoke plan.
    pub looks: Vec<u32>,
    /// The next look, where the answer is open and more blocks are planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_look: Option<u32>,
    /// How often, at most, the gate fails without any change, in percent.
    pub false_alarm_pct: Amount,
    /// How often, at most, a metric that changed by what must be caught passes, in percent.
    pub miss_pct: Amount,
}

/// What the blocks of both sides say about one metric. Percentages are changes of the figure from
/// the frozen commit's to the candidate's, rounded to 2 places.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlocksResult {
    /// Blocks of the candidate.
    pub blocks: u64,
    /// Blocks of the other side.
    pub baseline_blocks: u64,
    /// Hodges-Lehmann estimate of the change.
    pub estimate_pct: Decimal,
    /// Lower bound; absent where the blocks are too few for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_pct: Option<Decimal>,
    /// Upper bound; absent where the blocks are too few for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_pct: Option<Decimal>,
    /// What must be caught.
    pub must_catch_pct: Decimal,
}

/// The answer. The order is not a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// Every rule holds.
    Pass,
    /// At least one rule is violated.
    Regression,
    /// A file is missing, malformed or incomplete: nothing can be judged.
    Invalid,
    /// Too noisy or too few samples.
    Inconclusive,
    /// The reports were measured under different conditions.
    Incomparable,
}

impl Outcome {
    /// The process exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Regression => 1,
            Self::Invalid => 2,
            Self::Inconclusive => 3,
            Self::Incomparable => 4,
        }
    }

    /// The word that tables print.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Regression => "REGRESSION",
            Self::Invalid => "INVALID",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Incomparable => "INCOMPARABLE",
        }
    }
}

/// The judged files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The frozen report.
    pub baseline: Input,
    /// The report under judgement.
    pub candidate: Input,
    /// The frozen commit's report, measured in turn with the candidate's; absent without a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Input>,
    /// The policy.
    pub policy: Input,
    /// The waivers; absent where there is no such file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waivers: Option<Input>,
}

/// A judged file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its path as resolved.
    pub path: String,
    /// When it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// The commit that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Blocks measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<u64>,
}

/// Whether the two reports may be compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Required fields that differ.
    pub differences: Vec<FieldDifference>,
    /// Required fields that neither report has.
    pub unverified: Vec<String>,
}

/// A field that differs, or that neither of two measured reports states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldDifference {
    /// Which.
    pub field: String,
    /// The baseline's; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// The candidate's; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
}

impl FieldDifference {
    /// Whether neither report states it.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.baseline.is_none() && self.candidate.is_none()
    }
}

/// What came of one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleResult {
    /// The metric.
    pub metric: Metric,
    /// The frozen figure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Amount>,
    /// The figure under judgement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Amount>,
    /// Change in percent of the baseline, rounded to 2 places; absent where the baseline is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_pct: Option<Decimal>,
    /// The limits in words, for example `at most +15 %`.
    pub limit: String,
    /// What came of it.
    pub judgement: Judgement,
    /// Why, where it is not simply that the rule holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// What the blocks say; absent where the figures were compared alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_blocks: Option<BlocksResult>,
    /// The same without the disturbed blocks; absent where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_undisturbed_blocks: Option<BlocksResult>,
    /// Of a percentile: what those of whole blocks say, all slices together, in which stalls stay
    /// visible that few slices have; they can fail the rule or hold it open, and pass nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_whole_blocks: Option<BlocksResult>,
    /// The waiver that is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiver: Option<Waiver>,
}

/// Requests of one loop that were not served, for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnservedResult {
    /// Of which loop.
    pub phase: Phase,
    /// What became of them.
    pub outcome: Unserved,
    /// The baseline's, or the replay's; absent where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Share>,
    /// The candidate's.
    pub candidate: Share,
    /// The limit in words.
    pub limit: String,
    /// What came of it.
    pub judgement: Judgement,
    /// Why, where it is not simply that the limit holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
}

/// A part of the requests of a loop, all blocks together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// How many.
    pub requests: u64,
    /// Of how many.
    pub offered: u64,
    /// The same in percent, rounded to 4 places.
    pub pct: Amount,
}

/// A figure of both sides that no rule judges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupportingFigure {
    /// What it is, for example `service time p95`.
    pub name: String,
    /// Its unit, for example `ms`.
    pub unit: String,
    /// The baseline's, or the replay's; absent where no block has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Amount>,
    /// The candidate's; absent where no block has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Amount>,
}

/// What came of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Every limit of the rule holds.
    Holds,
    /// A limit is violated, and a waiver is in force whose ceiling is not.
    Waived,
    /// A limit is violated.
    Violated,
    /// The blocks are too few or too far apart to say.
    Undecided,
    /// The figures do not say.
    NotJudged,
}

impl Judgement {
    /// The word that tables print.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Holds => "ok",
            Self::Waived => "waived",
            Self::Violated => "VIOLATED",
            Self::Undecided => "undecided",
            Self::NotJudged => "not judged",
        }
    }
}

/// Something that keeps a file from being judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Where in the file; absent where the file as a whole is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

/// Something that a reader should know besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Notice(pub String);

impl Document for Verdict {
    const KIND: &'static str = "verdict";
    const MAX_BYTES: u64 = 1024 * 1024;

    fn check(&self) -> Result<(), Violation> {
        if self.schema != (SchemaTag { name: SchemaName::Cp1Verdict, version: 2 }) {
            return Err(Violation::new(
                ["schema".into()],
                "this is not a cp1_verdict of version 2",
                "use the gate of the version that wrote the file",
            ));
        }
        if self.exit_code == self.outcome.exit_code() {
            return Ok(());
        }
        Err(Violation::new(
            ["exit_code".into()],
            format!("{} exits with {}", self.outcome.word(), self.outcome.exit_code()),
            "judge again",
        ))
    }
}
