//! The head of a record: why the contract changed, and from what to what.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::block::Metrics;
use crate::date::Date;
use crate::read::{Document, Segment, Violation};
use crate::report::{SchemaName, SchemaTag};

/// The head of `perf/bumps/NNNN-<date>-<slug>.md`: a fenced block of JSON, with which the file
/// begins. What follows it is rendered from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Name and version of this format.
    pub schema: SchemaTag,
    /// Which record, counted from 1.
    #[schemars(range(min = 1, max = 9999))]
    pub number: u32,
    /// When it was written.
    pub date: Date,
    /// What was done, and why.
    pub kind: RecordKind,
    /// The record that a rollback goes back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u32>,
    /// Digest of the record before, as the file is; absent in the first of the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// The baseline, by the digests of its canonical form.
    pub baseline: Change,
    /// The policy, by the digests of its canonical form; it changes in a record about the policy, and
    /// in no other.
    pub policy: Change,
    /// What changed in the policy, rule by rule; only in a record about the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_changes: Vec<String>,
    /// The figures of the baseline before, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_before: Option<Metrics>,
    /// The figures of the baseline after.
    pub metrics_after: Metrics,
    /// What changed.
    pub what: String,
    /// Why that is acceptable.
    pub why_acceptable: String,
    /// Why the policy still makes sense.
    pub why_policy_holds: String,
    /// Where the reports are that the figures come from: links, or paths.
    pub artifacts: Vec<String>,
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// The first baseline of the freeze.
    Freeze,
    /// A new baseline: the router costs more, on purpose.
    TradeOff,
    /// A new baseline: the router costs less.
    Improvement,
    /// A new baseline: the router is the same, and is measured differently.
    Correction,
    /// The baseline of an earlier record again.
    Rollback,
    /// Another policy, with the same baseline.
    Policy,
}

impl RecordKind {
    /// The word in a file's name and in tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::TradeOff => "trade-off",
            Self::Improvement => "improvement",
            Self::Correction => "correction",
            Self::Rollback => "rollback",
            Self::Policy => "policy",
        }
    }

    /// Whether the baseline before and after were measured alike, so that what lies between them is
    /// the router's.
    #[must_use]
    pub fn moves_the_router(self) -> bool {
        matches!(self, Self::TradeOff | Self::Improvement | Self::Rollback)
    }
}

/// A file before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Before; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// After.
    pub after: Digest,
}

/// SHA-256 of some bytes, as `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    const PREFIX: &'static str = "sha256:";

    /// Reads a digest; `None` where it is not of the form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix(Self::PREFIX)?;
        let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (hex.len() == 64 && hex.bytes().all(is_hex)).then(|| Self(text.to_owned()))
    }

    /// Of the hash itself.
    #[must_use]
    pub fn of_hash(hash: [u8; 32]) -> Self {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{}{hex}", Self::PREFIX))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom("expected sha256: and 64 hexadecimal digits"))
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})
    }
}

impl Document for Record {
    const KIND: &'static str = "record";
    const MAX_BYTES: u64 = 256 * 1024;

    fn check(&self) -> Result<(), Violation> {
        let refuse = |key: &str, problem: &str| {
            let cure = "records are written by perf-gate; restore this one";
            Err(Violation::new([Segment::from(key)], problem, cure))
        };
        self.metrics_after.check(&["metrics_after".into()])?;
        if let Some(before) = &self.metrics_before {
            before.check(&["metrics_before".into()])?;
        }
        if self.schema != (SchemaTag { name: SchemaName::Cp1Record, version: 1 }) {
            return refuse("schema", "this is not a cp1_record of version 1");
        }
        if !(1..=9999).contains(&self.number) {
            return refuse("number", "records are counted from 1 to 9999");
        }
        if self.baseline.before.is_some() != self.metrics_before.is_some() {
            return refuse("metrics_before", "a baseline before has figures, and none has none");
        }
        if self.baseline.before.is_none() != (self.kind == RecordKind::Freeze) {
            return refuse("baseline", "a freeze, and nothing else, has no baseline before");
        }
        let changes_policy = self.policy.before.as_ref() != Some(&self.policy.after);
        let may_change = matches!(self.kind, RecordKind::Policy | RecordKind::Freeze);
        if changes_policy != may_change
            || self.policy_changes.is_empty() == (self.kind == RecordKind::Policy)
        {
            return refuse("policy", "a record about the policy, and no other, changes it");
        }
        if self.back_to.is_some() != (self.kind == RecordKind::Rollback) {
            return refuse("back_to", "a rollback, and nothing else, goes back to a record");
        }
        if self.kind == RecordKind::Policy
            && self.baseline.before.as_ref() != Some(&self.baseline.after)
        {
            return refuse("baseline", "a record about the policy leaves the baseline alone");
        }
        Ok(())
    }
}
