//! The verdict for readers. A renderer sees the verdict, and where it draws what a verdict does not
//! hold, the reports behind it; it judges nothing, and does nothing.

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use cp1_format::{Explanation, Metric, Policy, Report, Verdict};

use crate::read::commits::Between;
use crate::read::inputs::Inputs;

pub mod annotations;
pub mod answers;
pub mod bisection;
pub mod cases;
pub mod chart;
pub mod code_quality;
pub mod difference;
pub mod erlang_terms;
pub mod explanation;
pub mod figures;
pub mod flame;
pub mod html;
pub mod junit;
pub mod markdown;
pub mod metrics;
pub mod sarif;
pub mod so_far;
pub mod strip;
pub mod tap;
pub mod terminal;
pub mod trend_html;
pub mod trend_terminal;
pub mod variants;
pub mod wrap;

/// What is shown: a verdict, and the files that it was made of, as far as they could be read.
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
    /// The line of the policy on which each rule begins.
    pub rule_lines: Option<&'a BTreeMap<Metric, u64>>,
    /// What judged them.
    pub policy: Option<&'a Policy>,
    /// The commits between baseline and candidate; `None` where git was not asked.
    pub commits: Option<&'a Between>,
    /// Why the candidate costs what it costs; `None` where nobody asked.
    pub explanation: Option<&'a Explanation>,
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
            rule_lines: Some(&inputs.rule_lines),
            policy: inputs.policy.document.as_ref(),
            commits: None,
            explanation: None,
        }
    }

    /// A verdict without them.
    #[must_use]
    pub fn alone(verdict: &'a Verdict) -> Self {
        Self {
            verdict,
            baseline: None,
            replay: None,
            candidate: None,
            rule_lines: None,
            policy: None,
            commits: None,
            explanation: None,
        }
    }
}
