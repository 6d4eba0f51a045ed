//! Judges a measured report (the candidate) against the frozen one (the baseline) and the policy.
//!
//! Data flows one way: [`arguments`] → [`inputs`] (all read before any judging) → [`compare`]
//! (pure: [`validity`], [`consistency`], [`replay`], [`samples`], [`rules`], [`blocks`] with
//! [`sessions`], [`decision`] and [`statistics`], and beside them [`supporting`] and [`failures`])
//! → [`verdict`] (pure) → [`render`] (pure) → [`artifacts`] → the exit code, decided in `main.rs`.
//!
//! # Determinism
//!
//! No clock and no environment variable is read, and nothing is iterated in hash order: the same
//! files give the same bytes.
//!
//! # Accuracy
//!
//! Limits are inclusive and judged in the decimal numbers that the files say, by multiplication
//! only. A division happens for the displayed change in percent and nowhere else.
//!
//! # Panics
//!
//! Nothing here panics, whatever the files hold.

pub mod arguments;
pub mod artifacts;
pub mod blocks;
pub mod compare;
pub mod consistency;
pub mod contract;
pub mod decision;
pub mod escape;
pub mod failures;
pub mod figure;
pub mod git;
pub mod histograms;
pub mod inputs;
pub mod load;
pub mod mode;
pub mod render;
pub mod replay;
pub mod replay_plan;
pub mod rules;
pub mod samples;
pub mod seal;
pub mod selftest;
pub mod sessions;
pub mod simulate;
pub mod statistics;
pub mod supporting;
pub mod tally;
pub mod trusted;
pub mod validity;
pub mod verdict;

use std::path::Path;

use cp1_format::{Verdict, WriteError};

use crate::arguments::Check;
use crate::artifacts::Stamp;
use crate::inputs::Files;

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
        trusted_ref: arguments.trusted_ref.as_deref(),
        waivers: arguments.waivers.as_deref(),
        candidates: &arguments.candidate,
        replay: arguments.replay.as_deref(),
        smoke: arguments.smoke,
    });
    let stamp = Stamp::new(arguments.label.as_ref(), inputs.candidate.document.as_ref());
    let verdict = verdict::decide(inputs);
    Ok(Checked {
        text: match arguments.so_far {
            true => render::so_far::render(&verdict),
            false => render::terminal::render(&verdict),
        },
        markdown: render::markdown::render(&verdict),
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
