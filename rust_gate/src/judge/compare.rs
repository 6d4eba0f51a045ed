//! Two reports and a policy: every finding that the verdict rests on. Pure.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;

use cp1_format::{
    Comparison, Date, Judgement, Metric, Notice, Policy, Problem, Report, Rule, SupportingFigure,
    UnservedResult, Waivers,
};

use crate::judge::blocks::{self, BLOCKS_MIN, BlockJudge, Extent, Sides};
use crate::judge::conditions::{self, Measured};
use crate::judge::rules::{self, Answer, Breach};
use crate::judge::{
    consistency, failures, growth, merged, notices, recovery, replay, samples, sessions,
    supporting, unserved, validity, waivers, watched,
};

/// A report and the path that messages name.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The path.
    pub path: &'a str,
    /// What the file says.
    pub document: &'a Report,
}

/// A list of waivers and the path that messages name.
#[derive(Debug, Clone, Copy)]
pub struct Waived<'a> {
    /// The path.
    pub path: &'a str,
    /// What the file says.
    pub document: &'a Waivers,
}

/// Everything that was found. What outranks what is decided in [`crate::judge::verdict`].
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// Every rule of the policy, in table order.
    pub answers: Vec<Answer>,
    /// The blocks that were judged; `None` where the figures were compared alone.
    pub on_blocks: Option<Extent>,
    /// Whether nothing but counts was judged, for what the machine or the load generator did.
    pub is_unsound: bool,
    /// Requests that were not served.
    pub unserved: Vec<UnservedResult>,
    /// Figures beside the rules, not judged.
    pub supporting: Vec<SupportingFigure>,
    /// Whether the reports were measured under the same conditions.
    pub comparison: Comparison,
    /// Why a report cannot be judged, or judged against.
    pub invalid: Vec<Problem>,
    /// The candidate's planted fault: it may fail, but never pass.
    pub planted_fault: Option<Problem>,
    /// Why the figures do not suffice for a pass.
    pub doubts: Vec<Problem>,
    /// What a reader should know besides.
    pub notices: Vec<Notice>,
}

impl Findings {
    /// Whether a rule is violated by a limit of this kind.
    #[must_use]
    pub fn has(&self, breach: Breach) -> bool {
        self.answers.iter().any(|answer| answer.breach == Some(breach))
            || breach == Breach::Relative && self.is_any(Judgement::Violated)
    }

    /// Whether a share of unserved requests was judged so.
    fn is_any(&self, judgement: Judgement) -> bool {
        self.unserved.iter().any(|result| result.judgement == judgement)
    }

    /// Whether the blocks leave a rule open.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        let mut judgements = self.answers.iter().map(|answer| answer.result.judgement);
        judgements.any(|judgement| judgement == Judgement::Undecided)
            || self.is_any(Judgement::Undecided)
    }

    /// Whether further blocks may say what these do not.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_unsound || self.is_undecided()
    }
}

/// Looks at everything; stops at nothing. With a replay, what was frozen only says which commit is
/// the measure: its report of just now takes the place of the frozen figures.
#[must_use]
pub fn compare(
    frozen: Named<'_>,
    replayed: Option<Named<'_>>,
    candidate: Named<'_>,
    policy: &Policy,
    waivers: Option<Waived<'_>>,
) -> Findings {
    let baseline = replayed.unwrap_or(frozen);
    let mut invalid = validity::of_candidate(candidate.path, candidate.document, policy);
    let of_measure = match replayed {
        Some(_) => validity::of_measure,
        None => validity::of_baseline,
    };
    invalid.extend(of_measure(baseline.path, baseline.document, policy));
    if let Some(replayed) = replayed {
        invalid.extend(replay::problems(frozen, replayed, candidate));
    }
    // By the candidate's own time: the gate reads no clock.
    let today = Date::from(&candidate.document.timestamp);
    if let Some(Waived { path, document }) = waivers {
        invalid.extend(waivers::problems(path, document, policy, today));
    }
    let in_force = waivers::in_force(waivers.map(|waived| waived.document), policy, today);
    // Each by itself, and most of the work, so side by side; what is found stands in this order.
    thread::scope(|scope| {
        let of_baseline = scope.spawn(|| contradictions(baseline));
        invalid.extend(contradictions(candidate));
        invalid.extend(of_baseline.join().unwrap_or_else(|panic| resume_unwind(panic)));
    });
    let Judged { answers, on_blocks, mut doubts, is_unsound, alone } =
        judge(frozen, replayed, candidate, policy);
    let answers = match in_force.waivers.is_empty() {
        true => answers,
        false => {
            let under_ceilings = judge(frozen, replayed, candidate, &in_force.policy).answers;
            waivers::waived(&in_force, answers, under_ceilings)
        }
    };
    let unserved = unserved::results(
        baseline.document,
        candidate.document,
        unserved::Basis {
            policy,
            paired: replayed.is_some(),
            is_unsound,
            of_errors: answers
                .iter()
                .find(|answer| answer.result.metric == Metric::ErrorsTotal)
                .map(|answer| answer.result.judgement),
        },
    );
    doubts.extend(skipped_arrivals(candidate));
    doubts.extend(watched::failed_recordings(candidate));
    doubts.extend(unserved.iter().filter_map(|result| unknown_share(baseline, result)));
    let measured = if replayed.is_some() { Measured::InTurn } else { Measured::Apart };
    let comparison =
        conditions::comparison(baseline.document, candidate.document, policy, measured);
    let mut notices = notices::of_reports(baseline, candidate, policy);
    notices.extend(notices::improved(policy, &answers));
    notices.extend(failures::notices(candidate.document));
    notices.extend(recovery::notices(candidate.document, policy));
    notices.extend(watched::notices(baseline.document, candidate.document));
    notices.extend(merged::notices(baseline.document, candidate.document));
    let grown = growth::Grown::of(candidate.document);
    notices.extend(grown.notices());
    notices.extend(in_force.notices);
    notices.extend(waivers::needless(&answers));
    if let Some(reason) = alone {
        notices.push(Notice(format!("{reason}: the figures are compared alone")));
    }
    if replayed.is_some() {
        notices.extend(conditions::elsewhere(frozen.document, candidate.document, policy));
    }
    notices.extend(conditions::silent(&comparison));
    if !comparison.differences.is_empty() {
        notices.push(Notice(
            "figures compare only under equal conditions: measure where the baseline was measured, \
             or freeze a baseline measured here"
                .to_owned(),
        ));
    }
    Findings {
        answers,
        on_blocks,
        is_unsound,
        unserved,
        supporting: [
            supporting::figures(baseline.document, candidate.document),
            growth::figures(&growth::Grown::of(baseline.document), &grown),
        ]
        .concat(),
        comparison,
        invalid,
        planted_fault: validity::planted_fault(candidate.path, candidate.document),
        doubts,
        notices,
    }
}

/// What in a report contradicts the rest of it. What a run that ended early leaves need not add up, and is
/// refused already.
fn contradictions(report: Named<'_>) -> Vec<Problem> {
    match validity::ended_early(report.document) {
        true => Vec::new(),
        false => consistency::check(report.path, report.document),
    }
}

/// What the rules say of the figures.
pub(crate) struct Judged {
    pub(crate) answers: Vec<Answer>,
    /// The blocks that were judged, where that is sound.
    pub(crate) on_blocks: Option<Extent>,
    /// Why not every metric could be judged.
    doubts: Vec<Problem>,
    /// Whether nothing but counts was judged, for what the machine or the load generator did; further
    /// blocks may be better.
    is_unsound: bool,
    /// Why the figures were compared alone and not the blocks; `None` where the blocks were.
    alone: Option<String>,
}

/// Judges every rule, on blocks wherever that is sound.
pub(crate) fn judge(
    frozen: Named<'_>,
    replayed: Option<Named<'_>>,
    candidate: Named<'_>,
    policy: &Policy,
) -> Judged {
    let baseline = replayed.unwrap_or(frozen);
    let shortages = shortages(baseline, candidate, policy);
    let unsound = unsound(frozen, replayed, candidate, policy);
    let sides = match replayed {
        Some(replayed) => Ok(Sides::in_turn(replayed.document, candidate.document)),
        None => apart(frozen.document, candidate.document, policy),
    };
    let (blocks, alone) = match sides {
        Ok(sides) => (Some(BlockJudge::new(policy, sides)), None),
        Err(reason) => (None, Some(reason)),
    };
    let (of_baseline, of_candidate) = (&baseline.document.metrics, &candidate.document.metrics);
    let answers = rules::answers(policy, of_baseline, of_candidate, blocks.as_ref(), |metric| {
        let is_relative = policy.rules.get(&metric).is_some_and(Rule::is_relative);
        // A count is what it is, whatever the machine did.
        let unsound = unsound.first().filter(|_| is_relative || !metric.is_count());
        unsound.or_else(|| shortages.get(&metric)).map(|problem| problem.message.clone())
    });
    let is_unsound = !unsound.is_empty();
    let doubts = unsound.into_iter().chain(shortages.into_values()).collect();
    let on_blocks = blocks.map(|blocks| blocks.extent());
    Judged { answers, on_blocks, doubts, is_unsound, alone }
}

/// The blocks of two reports that were not measured in turn; or why they cannot be judged as blocks.
fn apart<'a>(
    frozen: &'a Report,
    candidate: &'a Report,
    policy: &Policy,
) -> Result<Sides<'a>, String> {
    for (name, report) in [("candidate", candidate), ("baseline", frozen)] {
        match report.blocks.as_ref().map_or(0, Vec::len) {
            0 => return Err(format!("the {name} has no blocks")),
            few if few < BLOCKS_MIN => return Err(format!("the {name} has only {few} block")),
            _ => {}
        }
    }
    if frozen.watched.is_some() || candidate.watched.is_some() {
        return Err("windows of one BEAM as it runs are no blocks of fresh ones".to_owned());
    }
    match sessions::disagreement(frozen, policy) {
        Some(reason) => Err(reason),
        None => Ok(Sides::apart(frozen, candidate)),
    }
}

/// Why nothing but counts can be judged: every block was disturbed, or a percentile that a rule judges
/// shows the load generator's own lateness, which was late in the closed loop's minutes too.
fn unsound(
    frozen: Named<'_>,
    replayed: Option<Named<'_>>,
    candidate: Named<'_>,
    policy: &Policy,
) -> Vec<Problem> {
    let replay = replayed.map(|replayed| replayed.document);
    let disturbed = blocks::all_disturbed(replay, frozen.document, candidate.document);
    let disturbed = disturbed.then(|| Problem {
        file: candidate.path.to_owned(),
        place: Some("blocks".to_owned()),
        message: "every block was disturbed, so its figures show the machine".to_owned(),
        cure: "measure on a quieter machine: perf-gate runner".to_owned(),
    });
    let sides = [candidate, replayed.unwrap_or(frozen)];
    let late = policy.rules.keys().find_map(|metric| {
        sides.iter().find_map(|side| samples::generators_own(side.path, side.document, *metric))
    });
    disturbed.into_iter().chain(late).collect()
}

/// Of each metric that a rule judges, why it has too few samples to be judged.
fn shortages(
    baseline: Named<'_>,
    candidate: Named<'_>,
    policy: &Policy,
) -> BTreeMap<Metric, Problem> {
    let shortage =
        |report: Named<'_>, metric| samples::shortage(report.path, report.document, metric);
    let of_rule = |(&metric, rule): (&Metric, &Rule)| {
        let of_baseline = || shortage(baseline, metric).filter(|_| rule.is_relative());
        Some((metric, shortage(candidate, metric).or_else(of_baseline)?))
    };
    policy.rules.iter().filter_map(of_rule).collect()
}

/// Arrivals of the open loop that were never sent; with blocks their sum counts, so that leaving
/// out the total hides nothing.
pub(super) fn skipped(report: &Report) -> u64 {
    let total = report.accounting.map_or(0, |accounting| accounting.latency.skipped);
    let of_blocks = report.blocks.iter().flatten().map(|block| block.accounting.latency.skipped);
    of_blocks.fold(0, u64::saturating_add).max(total)
}

fn skipped_arrivals(candidate: Named<'_>) -> Option<Problem> {
    let skipped = skipped(candidate.document);
    (skipped > 0).then(|| Problem {
        file: candidate.path.to_owned(),
        place: Some("accounting.latency.skipped".to_owned()),
        message: format!(
            "{skipped} arrivals were not sent because too many requests were in flight; they would \
             have waited longest, so the percentiles are too low"
        ),
        cure:
            "measure again; if it stays so, the router does not keep up with load.rate_per_second"
                .to_owned(),
    })
}

/// A share that the baseline should have stated to be judged.
fn unknown_share(baseline: Named<'_>, result: &UnservedResult) -> Option<Problem> {
    let is_unknown = result.judgement == Judgement::NotJudged && result.baseline.is_none();
    is_unknown.then(|| Problem {
        file: baseline.path.to_owned(),
        place: Some("accounting".to_owned()),
        message: format!(
            "it does not say how many requests were {} in the {}, and {} % of the candidate's were",
            result.outcome.name(),
            result.phase.name(),
            result.candidate.pct
        ),
        cure: "freeze a report of the bench, which accounts for every request".to_owned(),
    })
}
