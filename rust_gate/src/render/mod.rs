//! The verdict for readers. A renderer sees the verdict, and where it draws what a verdict does not
//! hold, the reports behind it; it judges nothing, and does nothing.

#![deny(clippy::disallowed_methods)]

use cp1_format::{Report, Verdict};

use crate::read::inputs::Inputs;

pub mod answers;
pub mod chart;
pub mod difference;
pub mod figures;
pub mod markdown;
pub mod so_far;
pub mod terminal;
pub mod trend_html;
pub mod trend_terminal;
pub mod wrap;

/// What is shown: a verdict, and the reports that it judged, as far as they could be read.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The answer and its reasons.
    pub verdict: &'a Verdict,
    /// The frozen report.
    pub baseline: Option<&'a Report>,
    /// The frozen commit's report, measured in turn with the candidate's.
    pub replay: Option<&'a Report>,
    /// The report under judgement.
    pub candidate: Option<&'a Report>,
}

impl<'a> Shown<'a> {
    /// A verdict with what it was made of.
    #[must_use]
    pub fn new(verdict: &'a Verdict, inputs: &'a Inputs) -> Self {
        Self {
            verdict,
            baseline: inputs.baseline.document.as_ref(),
            replay: inputs.replay.as_ref().and_then(|replay| replay.document.as_ref()),
            candidate: inputs.candidate.document.as_ref(),
        }
    }
}
