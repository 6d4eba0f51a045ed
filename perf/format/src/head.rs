//! What stands before the blocks of a report: enough to tell which of many reports is the newest, and to
//! chart all of them, without reading what each block measured.
//!
//! # What is trusted
//!
//! The one writer puts the head first, so it ends where a line begins with `  "blocks": [`. Up to there the
//! text is read by the one strict reader; what comes after is not looked at. A report of which this cannot
//! be done (written by another hand, in another order, damaged in its head) is read as a whole, and refused
//! by what that says. So a head is never an excuse: it says what the whole report would say, or the report
//! is none, which only reading it as a whole can find out.

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;

use crate::block::Metrics;
use crate::environment::Environment;
use crate::merged::Merged;
use crate::read::{Document, ReadError, Violation, open, parse, read_file};
use crate::report::{Git, Load, Report, Run, SchemaTag, check_head};
use crate::timestamp::Timestamp;
use crate::watched::Watched;

/// How much of a file is read to find its head; the bench writes heads of 2 KB.
const HEAD_MAX_BYTES: u64 = 16 * 1024;

/// What a head ends before.
const BODY: &[u8] = b"\n  \"blocks\": [";

/// The head of a [`Report`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Name and version of the format.
    pub schema: Option<SchemaTag>,
    /// When the run began.
    pub timestamp: Timestamp,
    /// What was measured.
    pub git: Git,
    /// Where it was measured.
    pub env: Environment,
    /// The headline figures.
    pub metrics: Metrics,
    /// How the run went.
    pub run: Run,
    /// The plan as run.
    pub load: Option<Load>,
    /// What was watched.
    pub watched: Option<Watched>,
    /// The machines that measured, where they are several.
    pub merged: Option<Merged>,
}

impl From<Report> for Head {
    fn from(report: Report) -> Self {
        let Report { schema, timestamp, git, env, metrics, run, load, watched, merged, .. } =
            report;
        Self { schema, timestamp, git, env, metrics, run, load, watched, merged }
    }
}

impl Document for Head {
    const KIND: &'static str = Report::KIND;
    const MAX_BYTES: u64 = Report::MAX_BYTES;

    fn check(&self) -> Result<(), Violation> {
        check_head(self.schema, &self.git, &self.metrics)
    }
}

/// Reads the head of a report: of what the one writer wrote, in time and memory that do not depend on how
/// much was measured.
///
/// # Errors
/// [`ReadError`], as of the whole report.
pub fn read_head(path: &Path) -> Result<Head, ReadError> {
    let mut text = Vec::new();
    let file = open(Report::KIND, Report::MAX_BYTES, path)?;
    file.take(HEAD_MAX_BYTES).read_to_end(&mut text).map_err(|source| ReadError::Io {
        kind: Report::KIND,
        path: path.to_owned(),
        source,
    })?;
    let before_blocks = text.windows(BODY.len()).position(|bytes| bytes == BODY);
    if let Some(end) =
        before_blocks.filter(|end| text.get(..*end).is_some_and(|t| t.ends_with(b",")))
    {
        text.truncate(end - 1);
        text.extend_from_slice(b"\n}");
        if let Ok(head) = parse(path, &text) {
            return Ok(head);
        }
    }
    read_file::<Report>(path).map(Head::from)
}
