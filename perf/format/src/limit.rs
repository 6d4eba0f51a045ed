//! Which limits a rule has, and which way each of them looks.

use crate::decimal::Amount;
use crate::metric::Direction;
use crate::policy::{Absolute, Relative, Rule};

/// One limit of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit<'a> {
    /// What it limits.
    pub kind: LimitKind,
    /// How far: percent for a change, else the metric's unit.
    pub amount: &'a Amount,
}

/// What a limit limits. All are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    /// How far the figure may move from the baseline, this way.
    Change(Direction),
    /// The figure itself, which must be exactly this.
    Equals,
    /// The figure itself, which may be at most this.
    Max,
    /// The figure itself, which must be at least this.
    Min,
}

impl LimitKind {
    /// All of them, in the order in which a verdict names them.
    pub const ALL: [Self; 5] = [
        Self::Change(Direction::Increase),
        Self::Change(Direction::Decrease),
        Self::Equals,
        Self::Max,
        Self::Min,
    ];

    /// The key within a rule.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Change(Direction::Increase) => "relative.max_pct_increase",
            Self::Change(Direction::Decrease) => "relative.max_pct_decrease",
            Self::Equals => "absolute.equals",
            Self::Max => "absolute.max",
            Self::Min => "absolute.min",
        }
    }

    /// Whether `after` allows what `before` did not.
    #[must_use]
    pub fn is_looser(self, before: &Amount, after: &Amount) -> bool {
        match self {
            Self::Change(_) | Self::Max => after > before,
            Self::Equals => after != before,
            Self::Min => after < before,
        }
    }
}

impl Limit<'_> {
    /// Whether a figure that moves this way meets the limit sooner or later. No figure falls below
    /// a minimum of 0.
    #[must_use]
    pub fn stops(&self, direction: Direction) -> bool {
        match self.kind {
            LimitKind::Change(limited) => limited == direction,
            LimitKind::Equals => true,
            LimitKind::Max => direction == Direction::Increase,
            LimitKind::Min => direction == Direction::Decrease && !self.amount.is_zero(),
        }
    }
}

impl Rule {
    /// The limits that the rule has, in the order of [`LimitKind::ALL`].
    pub fn limits(&self) -> impl Iterator<Item = Limit<'_>> {
        LimitKind::ALL
            .into_iter()
            .filter_map(|kind| Some(Limit { kind, amount: self.limit(kind)? }))
    }

    /// The limit of a kind, if the rule has one.
    #[must_use]
    pub fn limit(&self, kind: LimitKind) -> Option<&Amount> {
        let Self { relative, absolute, .. } = self;
        match kind {
            LimitKind::Change(direction) => relative.as_ref()?.limit(direction),
            LimitKind::Equals => absolute.as_ref()?.equals.as_ref(),
            LimitKind::Max => absolute.as_ref()?.max.as_ref(),
            LimitKind::Min => absolute.as_ref()?.min.as_ref(),
        }
    }

    /// The limits on the change, in percent.
    pub fn relative_limits(&self) -> impl Iterator<Item = (Direction, &Amount)> {
        let relative = self.relative.iter();
        relative.flat_map(|relative| {
            Direction::ALL.into_iter().filter_map(|way| Some((way, relative.limit(way)?)))
        })
    }

    /// Whether the rule is judged against the baseline.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        self.relative.is_some()
    }
}

impl Relative {
    /// The limit on a move this way, in percent.
    #[must_use]
    pub fn limit(&self, direction: Direction) -> Option<&Amount> {
        match direction {
            Direction::Increase => self.max_pct_increase.as_ref(),
            Direction::Decrease => self.max_pct_decrease.as_ref(),
        }
    }

    /// The same ways limited, each at so many percent.
    #[must_use]
    pub fn at(&self, percent: &Amount) -> Self {
        let at = |limit: &Option<Amount>| limit.as_ref().map(|_| percent.clone());
        Self {
            max_pct_increase: at(&self.max_pct_increase),
            max_pct_decrease: at(&self.max_pct_decrease),
        }
    }

    pub(crate) fn has_no_limit(&self) -> bool {
        matches!(self, Self { max_pct_increase: None, max_pct_decrease: None })
    }
}

impl Absolute {
    pub(crate) fn has_no_limit(&self) -> bool {
        matches!(self, Self { equals: None, max: None, min: None })
    }
}
