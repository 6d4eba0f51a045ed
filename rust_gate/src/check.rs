//! A check: read, judge, render, write.

use std::path::Path;

use cp1_format::{Explanation, Verdict, WriteError};

use crate::artifacts::{self, Artifact, Stamp};
use crate::cli::arguments::{Check, Label};
use crate::judge::verdict;
use crate::read::commits;
use crate::read::inputs::{self, Files, Inputs};
use crate::read::trusted::Trusted;
use crate::render::Shown;

/// Everything that a check answers, before a byte of it is written.
#[derive(Debug)]
pub struct Checked {
    /// The answer and its reasons.
    pub verdict: Verdict,
    /// The files that show it; none where none are asked for.
    pub artifacts: Vec<Artifact>,
    /// What names them.
    pub stamp: Stamp,
    /// Why the candidate costs what it costs, where that was asked.
    pub explanation: Option<Explanation>,
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
    let project = arguments.artifacts.is_some().then_some(Path::new("."));
    judge(&inputs, arguments.label.as_ref(), project, None)
}

/// Judges what was read, and shows it; in files too where there is a project, whose repository is asked
/// which commits lie between baseline and candidate. An explanation is shown and changes nothing.
///
/// # Errors
/// [`WriteError::Encode`] where the verdict has no JSON form.
pub fn judge(
    inputs: &Inputs,
    label: Option<&Label>,
    project: Option<&Path>,
    explanation: Option<Explanation>,
) -> Result<Checked, WriteError> {
    let verdict = verdict::decide(inputs);
    let stamp = Stamp::new(label, inputs.candidate.document.as_ref());
    let shown = Shown::new(&verdict, inputs);
    let artifacts = match project {
        Some(project) => {
            let between = commits::between(project, shown.baseline, shown.candidate);
            artifacts::of(
                &Shown { commits: Some(&between), explanation: explanation.as_ref(), ..shown },
                &stamp,
            )?
        }
        None => Vec::new(),
    };
    Ok(Checked { verdict, artifacts, stamp, explanation })
}
