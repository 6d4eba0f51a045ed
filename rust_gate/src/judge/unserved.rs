//! Requests that were not served, loop by loop and kind by kind: a share that the baseline does not
//! have is no pass. Pure.
//!
//! # The rule
//!
//! The candidate's share over all blocks is compared with the baseline's, exactly.
//!
//! * Not more than [`TOLERANCE_PER_REQUESTS`] says above the baseline's: it **holds**.
//! * Beyond that, where the baseline has no such request at all: **violated**. Zero has no noise.
//! * Where the baseline has some too, as a router has that sheds load: **violated** if the exact lower
//!   bound of the change from block to block ([`crate::statistics::shift`]) is above no change, at the
//!   level of one limit; **undecided** if the share more than doubled and the bound does not say so;
//!   else it **holds**. Shares of requests come in bursts, so requests are no independent samples, and
//!   blocks are.
//! * What only disturbed blocks show is undecided, and where the machine or the load generator makes
//!   all figures unsound nothing is judged.
//!
//! Errors and timeouts are judged by the rule about `errors_total`, where the policy has one.

use bigdecimal::BigDecimal;
use cp1_format::{
    Accounting, Amount, Block, Decimal, Judgement, Outcomes, Phase, Policy, Report, Share,
    Unserved, UnservedResult, summary,
};

use crate::judge::decision::{self, Ruling};
use crate::statistics::shift;

/// One in so many requests is tolerated above the baseline's share.
pub const TOLERANCE_PER_REQUESTS: u64 = 10_000;

/// Decimal places of a share in percent.
const PERCENT_PLACES: i64 = 4;

const LIMIT: &str = "at most the baseline's, and 1 in 10,000";
const LIMIT_OF_RULE: &str = "by errors_total";

/// How both sides were measured and by what they are judged.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// Whether both sides of each block were measured in turn.
    pub paired: bool,
    /// Whether nothing but counts is judged, for what the machine or the load generator did.
    pub is_unsound: bool,
    /// What came of the rule about `errors_total`.
    pub of_errors: Option<Judgement>,
}

/// What came of every kind of which a side has any.
#[must_use]
pub fn results(baseline: &Report, candidate: &Report, basis: Basis<'_>) -> Vec<UnservedResult> {
    let kinds = Phase::ALL
        .into_iter()
        .flat_map(|phase| Unserved::ALL.map(|outcome| Kind { phase, outcome }));
    kinds.filter_map(|kind| kind.result(baseline, candidate, basis)).collect()
}

/// The share of a loop's requests that this became of; `None` where the report does not say.
#[must_use]
pub fn share(report: &Report, phase: Phase, outcome: Unserved) -> Option<Share> {
    Kind { phase, outcome }.of_report(report).map(Part::share)
}

/// One kind of unserved requests.
#[derive(Debug, Clone, Copy)]
struct Kind {
    phase: Phase,
    outcome: Unserved,
}

/// Some of so many requests.
#[derive(Debug, Clone, Copy)]
struct Part {
    requests: u64,
    offered: u64,
}

impl Part {
    fn share(self) -> Share {
        let Self { requests, offered } = self;
        let percent = BigDecimal::from(requests) * 100 / BigDecimal::from(offered.max(1));
        let pct = Amount::new(Decimal::shortest(&percent, PERCENT_PLACES));
        // A quotient of counts is no negative number.
        Share { requests, offered, pct: pct.unwrap_or_else(|_| Amount::from(0)) }
    }

    fn approximate(self) -> f64 {
        self.requests as f64 / self.offered.max(1) as f64
    }

    /// Whether this is a larger share than so many times the other one, and the tolerance.
    fn exceeds(self, times: u64, other: Self) -> bool {
        let (own, of) = (BigDecimal::from(self.requests), BigDecimal::from(self.offered.max(1)));
        let (others, of_others) =
            (BigDecimal::from(other.requests), BigDecimal::from(other.offered.max(1)));
        // Multiplied out: exact.
        let excess = own * &of_others - others * times * &of;
        excess * TOLERANCE_PER_REQUESTS > of * of_others
    }
}

impl Kind {
    /// `None` where this loop was not measured.
    fn part(self, accounting: &Accounting) -> Option<Part> {
        let outcomes: &Outcomes = self.phase.of(accounting)?;
        Some(Part { requests: self.outcome.of(outcomes), offered: outcomes.offered })
    }

    fn of_report(self, report: &Report) -> Option<Part> {
        let of_blocks = report.blocks.as_deref().and_then(summary::accounting);
        of_blocks.or(report.accounting).and_then(|accounting| self.part(&accounting))
    }

    fn result(
        self,
        baseline: &Report,
        candidate: &Report,
        basis: Basis<'_>,
    ) -> Option<UnservedResult> {
        let (from, to) = (self.of_report(baseline), self.of_report(candidate)?);
        if to.requests == 0 && from.is_none_or(|part| part.requests == 0) {
            return None;
        }
        let of_rule =
            basis.of_errors.filter(|_| matches!(self.outcome, Unserved::Error | Unserved::Timeout));
        let (limit, (judgement, explanation)) = match of_rule {
            Some(judgement) => (LIMIT_OF_RULE, (judgement, None)),
            None => (LIMIT, self.judgement(baseline, candidate, from, to, basis)),
        };
        Some(UnservedResult {
            phase: self.phase,
            outcome: self.outcome,
            baseline: from.map(Part::share),
            candidate: to.share(),
            limit: limit.to_owned(),
            judgement,
            explanation: explanation.map(str::to_owned),
        })
    }

    fn judgement(
        self,
        baseline: &Report,
        candidate: &Report,
        from: Option<Part>,
        to: Part,
        Basis { policy, paired, is_unsound, .. }: Basis<'_>,
    ) -> (Judgement, Option<&'static str>) {
        let nothing = Part { requests: 0, offered: 1 };
        if is_unsound {
            return (
                Judgement::NotJudged,
                Some("the figures show the machine or the load generator"),
            );
        }
        let Some(from) = from else {
            return match to.exceeds(1, nothing) {
                true => (Judgement::NotJudged, Some("the baseline does not say how many it has")),
                false => (Judgement::Holds, None),
            };
        };
        let level = decision::false_alarm(policy);
        let all = Blocks::of(baseline, candidate, paired);
        match (self.ruling(from, to, &all, level), all.undisturbed()) {
            (Ruling::Pass, _) => (Judgement::Holds, None),
            (Ruling::Undecided, _) => {
                (Judgement::Undecided, Some("it more than doubled, and the blocks do not decide"))
            }
            (Ruling::Fail, Some(quiet)) if self.ruling_of(&quiet, level) != Ruling::Fail => {
                (Judgement::Undecided, Some("without the disturbed blocks it is not seen"))
            }
            (Ruling::Fail, _) if from.requests == 0 => {
                (Judgement::Violated, Some("the baseline has none"))
            }
            (Ruling::Fail, _) => {
                (Judgement::Violated, Some("it grew, from block to block, beyond its noise"))
            }
        }
    }

    fn ruling(self, from: Part, to: Part, blocks: &Blocks<'_>, level: f64) -> Ruling {
        if !to.exceeds(1, from) {
            Ruling::Pass
        } else if from.requests == 0 || blocks.lower(self, level) > 0.0 {
            Ruling::Fail
        } else if to.exceeds(2, from) {
            Ruling::Undecided
        } else {
            Ruling::Pass
        }
    }

    fn ruling_of(self, blocks: &Blocks<'_>, level: f64) -> Ruling {
        let sum = |side: &[&Block]| {
            side.iter().filter_map(|block| self.part(&block.accounting)).fold(
                Part { requests: 0, offered: 0 },
                |sum, part| Part {
                    requests: sum.requests.saturating_add(part.requests),
                    offered: sum.offered.saturating_add(part.offered),
                },
            )
        };
        self.ruling(sum(&blocks.baseline), sum(&blocks.candidate), blocks, level)
    }
}

/// The blocks of both sides.
struct Blocks<'a> {
    baseline: Vec<&'a Block>,
    candidate: Vec<&'a Block>,
    paired: bool,
}

impl<'a> Blocks<'a> {
    fn of(baseline: &'a Report, candidate: &'a Report, paired: bool) -> Self {
        let of = |report: &'a Report| report.blocks.iter().flatten().collect();
        Self { baseline: of(baseline), candidate: of(candidate), paired }
    }

    /// Those that nothing disturbed; `None` where that is all or, on a side, none.
    fn undisturbed(&self) -> Option<Self> {
        let is_quiet =
            |block: &&Block| block.disturbed.as_ref().is_none_or(|reasons| reasons.is_empty());
        let (baseline, candidate): (Vec<_>, Vec<_>) = if self.paired {
            let pairs = self.baseline.iter().copied().zip(self.candidate.iter().copied());
            pairs.filter(|(one, other)| is_quiet(one) && is_quiet(other)).unzip()
        } else {
            let quiet = |side: &[&'a Block]| side.iter().copied().filter(is_quiet).collect();
            (quiet(&self.baseline), quiet(&self.candidate))
        };
        let fewer = baseline.len() + candidate.len() < self.baseline.len() + self.candidate.len();
        let some = !baseline.is_empty() && !candidate.is_empty();
        (fewer && some).then_some(Self { baseline, candidate, paired: self.paired })
    }

    /// Lower bound of the change of a share from one side's blocks to the other's.
    fn lower(&self, kind: Kind, level: f64) -> f64 {
        let shares = |side: &[&Block]| -> Vec<f64> {
            let parts = side.iter().filter_map(|block| kind.part(&block.accounting));
            parts.map(Part::approximate).collect()
        };
        let (baseline, candidate) = (shares(&self.baseline), shares(&self.candidate));
        match self.paired {
            true => {
                let changes: Vec<_> =
                    candidate.iter().zip(&baseline).map(|(to, from)| to - from).collect();
                shift::paired(&changes, level, level).lower
            }
            false => shift::unpaired(&baseline, &candidate, level, level).lower,
        }
    }
}
