//! The two sides of a comparison, as far as their reports could be read.

use cp1_format::{Block, Report};
use maud::{Markup, html};

use crate::render::Shown;

/// Most blocks of a side that are drawn; a policy's looks end at a hundred.
pub(super) const BLOCKS_MAX: usize = 100;

/// A side of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The frozen report; with a replay that of the frozen commit, measured again.
    Baseline,
    /// What is judged.
    Candidate,
}

impl Side {
    pub(super) const ALL: [Self; 2] = [Self::Baseline, Self::Candidate];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Candidate => "candidate",
        }
    }
}

/// The reports behind the figures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides<'a> {
    baseline: Option<&'a Report>,
    candidate: Option<&'a Report>,
    /// Whether both sides of a block were measured in turn.
    pub(super) is_paired: bool,
}

impl<'a> Sides<'a> {
    pub(super) fn of(shown: &Shown<'a>) -> Self {
        Self {
            baseline: shown.replay.or(shown.baseline),
            candidate: shown.candidate,
            is_paired: shown.replay.is_some(),
        }
    }

    pub(super) fn report(&self, side: Side) -> Option<&'a Report> {
        match side {
            Side::Baseline => self.baseline,
            Side::Candidate => self.candidate,
        }
    }

    /// The blocks that are drawn.
    pub(super) fn blocks(&self, side: Side) -> &'a [Block] {
        let blocks =
            self.report(side).and_then(|report| report.blocks.as_deref()).unwrap_or_default();
        blocks.get(..BLOCKS_MAX).unwrap_or(blocks)
    }

    /// How many blocks are not drawn.
    pub(super) fn left_out(&self) -> usize {
        let count = |side| self.report(side).and_then(|r| r.blocks.as_ref()).map_or(0, Vec::len);
        Side::ALL.into_iter().map(|side| count(side).saturating_sub(BLOCKS_MAX)).sum()
    }
}

/// How the sides are told apart: by form and line as well as by color.
pub(super) fn legend(further: &Markup) -> Markup {
    html! {
        ul.legend {
            li {
                svg viewBox="0 0 34 12" aria-hidden="true" {
                    path.line.baseline d="M1 6L33 6" {}
                    circle.point.baseline cx="17" cy="6" r="3.5" {}
                }
                "baseline"
            }
            li {
                svg viewBox="0 0 34 12" aria-hidden="true" {
                    path.line.candidate d="M1 6L33 6" {}
                    path.point.candidate d=(diamond(17.0, 6.0)) {}
                }
                "candidate"
            }
            (further)
        }
    }
}

/// The candidate's point.
pub(super) fn diamond(x: f64, y: f64) -> String {
    let (west, east, north, south) = (x - 4.2, x + 4.2, y - 4.2, y + 4.2);
    format!("M{west:.1} {y:.1}L{x:.1} {north:.1}L{east:.1} {y:.1}L{x:.1} {south:.1}Z")
}
