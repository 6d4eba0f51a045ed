//! The relative rules, judged on the blocks of both sides with stated error rates. Pure.
//!
//! # Disturbed blocks
//!
//! The answer counts all blocks. A metric is judged a second time without the blocks that were
//! disturbed (of a replay: on either side), and both are shown. Where all blocks pass it and the
//! undisturbed ones lie beyond its limit, it is undecided: more blocks are measured, in a replay on
//! both sides alike. So leaving blocks out can turn green to open, and never red to green.

use std::cell::OnceCell;

use bigdecimal::{BigDecimal, FromPrimitive as _};
use cp1_format::summary::{Percentile, median};
use cp1_format::{
    Block, BlocksResult, Decimal, Decision, DecisionPolicy, Direction, Metric, Policy, Report,
};

use crate::judge::decision::{
    Criteria, JudgedLimit, Ruling, decide, decide_whole, has_whole_blocks, held, is_beyond,
    percent_of_log,
};
use crate::statistics::shift::{Ranks, Shift};

/// Fewest blocks of a side that anything is said of.
pub const BLOCKS_MIN: usize = 2;

/// What would decide a rule that is undecided: before the last look, and at it.
const MORE_BLOCKS: &str = "more blocks, longer ones or a quieter machine would decide";
const NO_MORE_BLOCKS: &str =
    "no further blocks are planned; longer blocks or a quieter machine would decide";

/// The blocks of both sides.
#[derive(Debug, Clone)]
pub struct Sides<'a> {
    baseline: Vec<&'a Block>,
    candidate: Vec<&'a Block>,
    /// Whether both sides of a block were measured in turn.
    paired: bool,
    /// The ranks that are the bounds of every metric at these error rates: their distribution takes longer
    /// than all else that follows from them.
    ranks: OnceCell<(RanksOf, Ranks)>,
}

/// What ranks depend on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RanksOf {
    baseline: usize,
    candidate: usize,
    false_alarm: f64,
    miss: f64,
}

impl<'a> Sides<'a> {
    /// Both sides of a replay.
    #[must_use]
    pub fn in_turn(replay: &'a Report, candidate: &'a Report) -> Self {
        let (frozen, judged) = (replay.blocks.iter().flatten(), candidate.blocks.iter().flatten());
        let (baseline, candidate) = frozen.zip(judged).unzip();
        Self { baseline, candidate, paired: true, ranks: OnceCell::new() }
    }

    /// Frozen blocks and those of now.
    #[must_use]
    pub fn apart(frozen: &'a Report, candidate: &'a Report) -> Self {
        let of = |report: &'a Report| report.blocks.iter().flatten().collect();
        Self::of(of(frozen), of(candidate))
    }

    /// Two sets of blocks that were not measured in turn.
    pub(crate) fn of(baseline: Vec<&'a Block>, candidate: Vec<&'a Block>) -> Self {
        Self { baseline, candidate, paired: false, ranks: OnceCell::new() }
    }

    /// Estimate and bounds of a shift in words.
    pub(crate) fn words(&self, shift: &Shift, held: &JudgedLimit) -> String {
        let BlocksResult { estimate_pct, low_pct, high_pct, must_catch_pct, .. } =
            self.result(shift, held);
        format!(
            "estimate {} %, bounds {} to {}, must catch {} %",
            signed(&estimate_pct),
            bound(low_pct.as_ref()),
            bound(high_pct.as_ref()),
            signed(&must_catch_pct)
        )
    }

    /// The same without what was disturbed; `None` where nothing was, or too little is left.
    fn undisturbed(&self) -> Option<Self> {
        let is_quiet =
            |block: &&Block| block.disturbed.as_ref().is_none_or(|reasons| reasons.is_empty());
        let (baseline, candidate): (Vec<_>, Vec<_>) = if self.paired {
            let pairs = self.baseline.iter().copied().zip(self.candidate.iter().copied());
            pairs.filter(|(frozen, judged)| is_quiet(frozen) && is_quiet(judged)).unzip()
        } else {
            let quiet = |side: &[&'a Block]| side.iter().copied().filter(is_quiet).collect();
            (quiet(&self.baseline), quiet(&self.candidate))
        };
        let fewer = baseline.len() + candidate.len() < self.baseline.len() + self.candidate.len();
        let enough = baseline.len().min(candidate.len()) >= BLOCKS_MIN;
        (fewer && enough).then_some(Self {
            baseline,
            candidate,
            paired: self.paired,
            ranks: OnceCell::new(),
        })
    }

    /// How many blocks of the candidate there are.
    pub(crate) fn len(&self) -> usize {
        self.candidate.len()
    }

    /// Each block's change, of which more is worse, where sides were measured in turn; nothing where one is
    /// unknown.
    pub(crate) fn changes_of(&self, metric: Metric) -> Vec<f64> {
        let blocks = self.baseline.iter().zip(&self.candidate);
        let change = |(from, to): (&&Block, &&Block)| {
            Some(metric.worse().turned(change_of_slices(metric, from, to)?))
        };
        blocks.map(change).collect::<Option<_>>().unwrap_or_default()
    }

    /// Shift of a metric, of which more is worse.
    pub(crate) fn shift(&self, held: &JudgedLimit) -> Shift {
        let changes = match self.paired {
            true => self.changes(held, |from, to| change_of_slices(held.metric, from, to)),
            false => None,
        };
        self.shift_of(held, changes, |block| figure(block, held.metric))
    }

    /// The same of whole blocks, for a metric that has such figures.
    fn whole_shift(&self, held: &JudgedLimit) -> Option<Shift> {
        let of_block = |block: &Block| whole_figure(block, held.metric);
        let changes = match self.paired {
            true => self.changes(held, |from, to| log_ratio(of_block(from)?, of_block(to)?)),
            false => None,
        };
        has_whole_blocks(held.metric).then(|| self.shift_of(held, changes, of_block))
    }

    /// Each block's change; `None` where one is unknown.
    fn changes(
        &self,
        held: &JudgedLimit,
        change: impl Fn(&Block, &Block) -> Option<f64>,
    ) -> Option<Vec<f64>> {
        let blocks = self.baseline.iter().zip(&self.candidate);
        blocks.map(|(from, to)| Some(held.direction.turned(change(from, to)?))).collect()
    }

    /// Nothing is known where a block has no figure.
    fn shift_of(
        &self,
        held: &JudgedLimit,
        changes: Option<Vec<f64>>,
        of_block: impl Fn(&Block) -> Option<f64>,
    ) -> Shift {
        if self.paired {
            let changes = changes.unwrap_or_default();
            return self.ranks(&held.criteria, changes.len(), changes.len()).paired(&changes);
        }
        let logs = |side: &[&Block]| -> Option<Vec<f64>> {
            side.iter().map(|block| Some(held.direction.turned(of_block(block)?.ln()))).collect()
        };
        let (baseline, candidate) = (logs(&self.baseline), logs(&self.candidate));
        let (baseline, candidate) = (baseline.unwrap_or_default(), candidate.unwrap_or_default());
        self.ranks(&held.criteria, baseline.len(), candidate.len()).unpaired(&baseline, &candidate)
    }

    /// The ranks of the bounds of so many blocks.
    fn ranks(&self, criteria: &Criteria, baseline: usize, candidate: usize) -> Ranks {
        let Criteria { false_alarm, miss, .. } = *criteria;
        let ranks = || match self.paired {
            true => Ranks::signed_rank(candidate, false_alarm, miss),
            false => Ranks::mann_whitney(baseline, candidate, false_alarm, miss),
        };
        let of = RanksOf { baseline, candidate, false_alarm, miss };
        match self.ranks.get_or_init(|| (of, ranks())) {
            (known, ranks) if *known == of => *ranks,
            // Of a metric that not every block has.
            _ => ranks(),
        }
    }

    fn result(&self, shift: &Shift, held: &JudgedLimit) -> BlocksResult {
        let change = |log: f64| percent_of_log(log, held.direction).map(percent);
        let (low, high) = match held.direction {
            Direction::Increase => (shift.lower, shift.upper),
            Direction::Decrease => (shift.upper, shift.lower),
        };
        BlocksResult {
            blocks: self.candidate.len() as u64,
            baseline_blocks: self.baseline.len() as u64,
            estimate_pct: change(shift.estimate).unwrap_or_else(|| Decimal::from(0)),
            low_pct: change(low),
            high_pct: change(high),
            must_catch_pct: percent(held.direction.turned(held.must_catch_pct)),
        }
    }
}

/// A block's own figure.
pub(crate) fn figure(block: &Block, metric: Metric) -> Option<f64> {
    block.metrics.get(metric).map(|figure| figure.approximate())
}

/// The figure of the whole block, all slices together.
pub(crate) fn whole_figure(block: &Block, metric: Metric) -> Option<f64> {
    let ns = Percentile::of_metric(metric)?.of(block.times());
    ns.map(|ns| ns as f64)
}

/// The log by which a block's figure changed from one side to the other: the median over slices that
/// were measured in turn; of memory, which has no slices, that of the block.
pub(crate) fn change_of_slices(metric: Metric, from: &Block, to: &Block) -> Option<f64> {
    match (slices(from, metric), slices(to, metric)) {
        (Some(from), Some(to)) => {
            let in_turn = from.into_iter().zip(to);
            median(in_turn.map(|(from, to)| log_ratio(from, to)).collect::<Option<_>>()?)
        }
        _ => log_ratio(figure(from, metric)?, figure(to, metric)?),
    }
}

/// `None` where a figure is 0 or none at all.
pub(crate) fn log_ratio(from: f64, to: f64) -> Option<f64> {
    let log = (to / from).ln();
    log.is_finite().then_some(log)
}

/// A metric slice by slice, in any unit; `None` of a metric without slices, and of several machines.
pub(crate) fn slices(block: &Block, metric: Metric) -> Option<Vec<f64>> {
    let closed = &block.throughput.slices;
    match metric {
        _ if block.machines.is_some() => None,
        Metric::LatencyP95Ms | Metric::LatencyP99Ms => {
            let column = Percentile::of_metric(metric)?.of_slices(block.time_slices())?;
            Some(column.iter().map(|ns| *ns as f64).collect())
        }
        Metric::Rps => {
            let rows = closed.ok.iter().zip(&closed.duration_ns);
            Some(rows.map(|(ok, ns)| *ok as f64 / *ns as f64).collect())
        }
        Metric::MemMbTotalErlang
        | Metric::MemMbWorstNode
        | Metric::ErrorsTotal
        | Metric::BackpressureActiveTotal
        | Metric::RecoveryMs
        | Metric::RequestsLost => None,
    }
}

fn percent(number: f64) -> Decimal {
    Decimal::rounded(&BigDecimal::from_f64(number).unwrap_or_default(), 2)
}

/// Judges limits on the change on blocks.
#[derive(Debug, Clone)]
pub struct BlockJudge<'a> {
    all: Sides<'a>,
    undisturbed: Option<Sides<'a>>,
    limits: Vec<JudgedLimit>,
    would_decide: &'static str,
}

impl<'a> BlockJudge<'a> {
    /// A judge by a policy's limits and error rates.
    #[must_use]
    pub fn new(policy: &Policy, sides: Sides<'a>) -> Self {
        let would_decide = match policy.decision.looks.last() {
            Some(last) if sides.candidate.len() < *last as usize => MORE_BLOCKS,
            _ => NO_MORE_BLOCKS,
        };
        Self { undisturbed: sides.undisturbed(), all: sides, limits: held(policy), would_decide }
    }

    /// The worst of what the limits of a metric say, which speaks for its rule; `None` where it has
    /// no limit on the change.
    #[must_use]
    pub fn worst_of(&self, metric: Metric) -> Option<OnBlocks> {
        let of_metric = self.limits.iter().filter(|held| held.metric == metric);
        let found = of_metric
            .map(|held| of_limit(&self.all, self.undisturbed.as_ref(), held, self.would_decide));
        found.max_by_key(|found| found.ruling)
    }

    /// How much it judges.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent {
            blocks: self.all.candidate.len() as u64,
            baseline_blocks: self.all.baseline.len() as u64,
            paired: self.all.paired,
        }
    }
}

/// The blocks that answers rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Of the candidate.
    pub blocks: u64,
    /// Of the baseline.
    pub baseline_blocks: u64,
    /// Whether both sides of a block were measured in turn.
    pub paired: bool,
}

impl Extent {
    /// By which error rates these blocks were judged; there is a next look only while they leave
    /// something open.
    #[must_use]
    pub fn decision(self, policy: &Policy, is_open: bool) -> Decision {
        let Self { blocks, baseline_blocks, paired } = self;
        let DecisionPolicy { looks, false_alarm_pct, miss_pct, .. } = &policy.decision;
        let further = looks.iter().copied().find(|look| u64::from(*look) > blocks);
        Decision {
            blocks,
            baseline_blocks,
            paired,
            looks: looks.clone(),
            next_look: further.filter(|_| is_open),
            false_alarm_pct: false_alarm_pct.clone(),
            miss_pct: miss_pct.clone(),
        }
    }
}

/// Why no figure of these reports says anything of the router, not even rps and memory: in every block
/// the machine was disturbed.
pub(crate) fn all_disturbed(replay: Option<&Report>, frozen: &Report, candidate: &Report) -> bool {
    let is_disturbed =
        |block: &Block| block.disturbed.as_ref().is_some_and(|reasons| !reasons.is_empty());
    let of = |report: &Report| -> Vec<bool> {
        report.blocks.iter().flatten().map(is_disturbed).collect()
    };
    let all = |blocks: &[bool]| !blocks.is_empty() && blocks.iter().all(|disturbed| *disturbed);
    match replay {
        Some(replay) => {
            let sides = of(replay).into_iter().zip(of(candidate));
            all(&sides.map(|(one, other)| one || other).collect::<Vec<_>>())
        }
        None => all(&of(candidate)) || all(&of(frozen)),
    }
}

/// What blocks say of one limit.
#[derive(Debug, Clone, PartialEq)]
pub struct OnBlocks {
    /// The answer.
    pub ruling: Ruling,
    /// Of all blocks.
    pub all: BlocksResult,
    /// Without those that were disturbed.
    pub undisturbed: Option<BlocksResult>,
    /// Of whole blocks, all slices together.
    pub whole: Option<BlocksResult>,
    /// The same in words.
    pub explanation: String,
}

fn of_limit(
    all: &Sides<'_>,
    undisturbed: Option<&Sides<'_>>,
    held: &JudgedLimit,
    would_decide: &str,
) -> OnBlocks {
    let shift = all.shift(held);
    let by_slices = decide(&shift, &held.criteria);
    let whole = all.whole_shift(held);
    let by_whole = whole.map_or(Ruling::Pass, |whole| decide_whole(&whole, &held.criteria));
    // Of what whole blocks say and slices do not, stalls that only few slices have are the cause.
    let stalls = by_whole > by_slices;
    let without = undisturbed.map(|sides| (sides, sides.shift(held)));
    let is_contradicted = by_slices == Ruling::Pass
        && without.is_some_and(|(_, shift)| is_beyond(&shift, &held.criteria));
    let ruling = match by_slices {
        _ if stalls => by_whole,
        Ruling::Pass if is_contradicted => Ruling::Undecided,
        ruling => ruling,
    };
    let words = all.words(&shift, held);
    let what_next = match (ruling, whole) {
        (Ruling::Pass, _) => String::new(),
        (Ruling::Fail, Some(whole)) if stalls => format!(
            "; of whole blocks, all slices together: {}: stalls that only few slices have",
            all.words(&whole, held)
        ),
        (Ruling::Undecided, Some(whole)) if stalls => format!(
            "; of whole blocks, all slices together, the estimate is beyond the limit: {}: {would_decide}",
            all.words(&whole, held)
        ),
        (Ruling::Fail, _) => match held.direction {
            Direction::Decrease => "; it fails until the estimate is back above its limit",
            Direction::Increase => "; it fails until the estimate is back below its limit",
        }
        .to_owned(),
        (Ruling::Undecided, _) if is_contradicted => format!(
            "; all blocks pass, but the undisturbed ones lie beyond the limit: {would_decide}"
        ),
        (Ruling::Undecided, _) => format!("; {would_decide}"),
    };
    OnBlocks {
        ruling,
        all: all.result(&shift, held),
        undisturbed: without.map(|(sides, shift)| sides.result(&shift, held)),
        whole: whole.map(|whole| all.result(&whole, held)),
        explanation: format!("{words}; {}{what_next}", seen(held, &shift)),
    }
}

/// What these blocks could have seen.
fn seen(held: &JudgedLimit, shift: &Shift) -> String {
    let seen = held.criteria.limit.max(shift.estimate - shift.lower);
    match percent_of_log(seen, held.direction).map(percent) {
        Some(seen) => format!("a change of {} % would have been seen", signed(&seen)),
        None => "so few blocks can decide a pass, and nothing red".to_owned(),
    }
}

fn bound(percent: Option<&Decimal>) -> String {
    percent.map_or_else(|| "open".to_owned(), |percent| format!("{} %", signed(percent)))
}

fn signed(percent: &Decimal) -> String {
    let text = percent.to_string();
    if text.starts_with('-') || percent.is_zero() { text } else { format!("+{text}") }
}
