//! A check: read, judge, render, write.

use std::path::Path;

use cp1_format::{Verdict, WriteError};

use crate::artifacts::{self, Stamp};
use crate::cli::arguments::{Check, Label};
use crate::judge::verdict;
use crate::read::inputs::{self, Files, Inputs};
use crate::read::trusted::Trusted;
use crate::render::{markdown, so_far, terminal};

/// Everything that a check answers, before a byte of it is written.
#[derive(Debug)]
pub struct Checked {
    /// The answer and its reasons.
    pub verdict: Verdict,
    /// What names this check's artifacts.
    pub stamp: Stamp,
    /// The verdict for terminal and log.
    pub text: String,
    /// The verdict for a merge request.
    pub markdown: String,
    /// The verdict for machines.
    pub json: String,
}

/// Reads the files and judges.
///
/// # Errors
/// [`WriteError::Encode`] where the verdict has no JSON form.
pub fn check(arguments: &Check) -> Result<Checked, WriteError> {
    let inputs = inputs::read(&Files {
        baseline: &arguments.baseline,
        policy: &arguments.policy,
        trusted_ref: arguments
            .trusted_ref
            .as_deref()
            .map(|revision| Trusted { revision, project: Path::new(".") }),
        waivers: arguments.waivers.as_deref(),
        candidates: &arguments.candidate,
        replay: arguments.replay.as_deref(),
        smoke: arguments.smoke,
    });
    judge(inputs, arguments.label.as_ref(), false)
}

/// Judges what was read. `is_so_far`: the text says where a run stands, and not how it ends.
///
/// # Errors
/// [`WriteError::Encode`] where the verdict has no JSON form.
pub fn judge(
    inputs: Inputs,
    label: Option<&Label>,
    is_so_far: bool,
) -> Result<Checked, WriteError> {
    let stamp = Stamp::new(label, inputs.candidate.document.as_ref());
    let verdict = verdict::decide(inputs);
    Ok(Checked {
        text: match is_so_far {
            true => so_far::render(&verdict),
            false => terminal::render(&verdict),
        },
        markdown: markdown::render(&verdict),
        json: cp1_format::to_json(&verdict)?,
        verdict,
        stamp,
    })
}

impl Checked {
    /// Writes the artifacts, all that can be written.
    ///
    /// # Errors
    /// One for each artifact that could not be written.
    pub fn write_artifacts(&self, directory: &Path) -> Result<(), Vec<WriteError>> {
        artifacts::write(directory, &self.stamp, &self.text, &self.markdown, &self.json)
    }
}
