//! Two reports and a policy: every finding that the verdict rests on. Pure.

use std::collections::BTreeMap;

use cp1_format::{
    Comparison, Control, Date, Decision, FieldDifference, Judgement, Metric, Notice, Policy,
    Problem, Report, SupportingFigure, Waivers,
};

use crate::contract::waivers;
use crate::rounds::{self, ROUNDS_MIN, Sides};
use crate::rules::{self, Breach, Ruling};
use crate::{consistency, failures, replay, samples, sessions, supporting, validity};

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

/// Everything that was found. What outranks what is decided in [`crate::verdict`].
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// Every rule of the policy, in table order.
    pub rulings: Vec<Ruling>,
    /// How the rounds were judged; `None` where the figures were compared alone.
    pub decision: Option<Decision>,
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
        self.rulings.iter().any(|ruling| ruling.breach == Some(breach))
    }

    /// Whether the rounds leave a rule open.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        let mut judgements = self.rulings.iter().map(|ruling| ruling.result.judgement);
        judgements.any(|judgement| judgement == Judgement::Undecided)
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
    for report in [candidate, baseline] {
        // What a run that ended early leaves need not add up, and is refused already.
        if !validity::ended_early(report.document) {
            invalid.extend(consistency::check(report.path, report.document));
        }
    }
    let Judged { mut rulings, mut decision, mut doubts, alone } =
        judge(frozen, replayed, candidate, policy);
    let mut waived = in_force.notices.clone();
    if !in_force.waivers.is_empty() {
        let under_ceilings = judge(frozen, replayed, candidate, &in_force.policy);
        waived.extend(waivers::apply(&in_force, &mut rulings, &under_ceilings.rulings));
        if let Some(decision) = &mut decision {
            decision.next_look = rounds::next_look(policy, decision.rounds, &rulings);
        }
    }
    doubts.extend(skipped_arrivals(candidate));
    let comparison = comparison(baseline.document, candidate.document, policy);
    let mut notices = notices(baseline, candidate, policy);
    notices.extend(failures::notices(candidate.document));
    notices.extend(waived);
    if let Some(reason) = alone {
        notices.push(Notice(format!("{reason}: the figures are compared alone")));
    }
    if replayed.is_some() {
        notices.extend(elsewhere(frozen.document, candidate.document, policy));
    }
    if !comparison.differences.is_empty() {
        notices.push(Notice(
            "figures compare only under equal conditions: measure where the baseline was measured, \
             or freeze a baseline measured here"
                .to_owned(),
        ));
    }
    Findings {
        rulings,
        decision,
        supporting: supporting::figures(baseline.document, candidate.document),
        comparison,
        invalid,
        planted_fault: validity::planted_fault(candidate.path, candidate.document),
        doubts,
        notices,
    }
}

/// What the rules say of the figures.
pub(crate) struct Judged {
    pub(crate) rulings: Vec<Ruling>,
    pub(crate) decision: Option<Decision>,
    /// Metrics with too few samples to be judged.
    doubts: Vec<Problem>,
    /// Why the figures were compared alone and not the rounds; `None` where the rounds were.
    alone: Option<String>,
}

/// Judges every rule, on rounds wherever that is sound.
pub(crate) fn judge(
    frozen: Named<'_>,
    replayed: Option<Named<'_>>,
    candidate: Named<'_>,
    policy: &Policy,
) -> Judged {
    let baseline = replayed.unwrap_or(frozen);
    let shortages = shortages(baseline, candidate, policy);
    let mut rulings =
        rules::judge(policy, &baseline.document.metrics, &candidate.document.metrics, |metric| {
            shortages.get(&metric).map(|problem| problem.message.clone())
        });
    let sides = match replayed {
        Some(replayed) => Ok(Sides::pairs(replayed.document, candidate.document)),
        None => apart(frozen.document, candidate.document, policy),
    };
    let decision = sides.as_ref().ok().map(|sides| rounds::judge(policy, &mut rulings, sides));
    Judged { rulings, decision, doubts: shortages.into_values().collect(), alone: sides.err() }
}

/// The rounds of two reports that were not measured in turn; or why they cannot be judged as rounds.
fn apart<'a>(
    frozen: &'a Report,
    candidate: &'a Report,
    policy: &Policy,
) -> Result<Sides<'a>, String> {
    for (name, report) in [("candidate", candidate), ("baseline", frozen)] {
        match report.rounds.as_ref().map_or(0, Vec::len) {
            0 => return Err(format!("the {name} has no rounds")),
            few if few < ROUNDS_MIN => return Err(format!("the {name} has only {few} round")),
            _ => {}
        }
    }
    match sessions::disagreement(frozen, policy) {
        Some(reason) => Err(reason),
        None => Ok(Sides::apart(frozen, candidate)),
    }
}

/// Where the baseline was measured under other conditions than the replay.
fn elsewhere(frozen: &Report, candidate: &Report, policy: &Policy) -> Option<Notice> {
    let differences = comparison(frozen, candidate, policy).differences;
    let fields: Vec<_> = differences.into_iter().map(|difference| difference.field).collect();
    (!fields.is_empty()).then(|| {
        Notice(format!(
            "the baseline was measured under other conditions, which the replay makes up for: {}",
            fields.join(", ")
        ))
    })
}

/// Of each metric that a rule judges, why it has too few samples to be judged.
fn shortages(
    baseline: Named<'_>,
    candidate: Named<'_>,
    policy: &Policy,
) -> BTreeMap<Metric, Problem> {
    let shortage =
        |report: Named<'_>, metric| samples::shortage(report.path, report.document, metric);
    let of_rule = |(&metric, rule)| {
        let of_baseline = || shortage(baseline, metric).filter(|_| rules::is_relative(rule));
        Some((metric, shortage(candidate, metric).or_else(of_baseline)?))
    };
    policy.rules.iter().filter_map(of_rule).collect()
}

/// Arrivals of the open loop that were never sent; with rounds their sum counts, so that leaving
/// out the total hides nothing.
fn skipped(report: &Report) -> u64 {
    let total = report.accounting.map_or(0, |accounting| accounting.latency.skipped);
    let of_rounds = report.rounds.iter().flatten().map(|round| round.accounting.latency.skipped);
    of_rounds.fold(0, u64::saturating_add).max(total)
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

pub(crate) fn comparison(baseline: &Report, candidate: &Report, policy: &Policy) -> Comparison {
    let mut comparison = Comparison::default();
    let mut compare = |field: &str, baseline: Option<String>, candidate: Option<String>| {
        if baseline.is_none() && candidate.is_none() {
            comparison.unverified.push(field.to_owned());
        } else if baseline != candidate {
            let field = field.to_owned();
            comparison.differences.push(FieldDifference { field, baseline, candidate });
        }
    };
    for field in &policy.environment.require {
        compare(field.name(), field.of(&baseline.env), field.of(&candidate.env));
    }
    if let (Some(baseline), Some(candidate)) = (&baseline.load, &candidate.load) {
        for ((field, baseline), (_, candidate)) in
            baseline.shape().into_iter().zip(candidate.shape())
        {
            compare(field, Some(baseline), Some(candidate));
        }
    }
    comparison
}

fn notices(baseline: Named<'_>, candidate: Named<'_>, policy: &Policy) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut say = |text: String| notices.push(Notice(text));
    if let Some(fault) = &candidate.document.run.planted_fault {
        say(format!("THE CANDIDATE WAS MEASURED WITH A PLANTED FAULT: {fault}"));
    }
    for (name, report) in [("baseline", baseline.document), ("candidate", candidate.document)] {
        if report.git.dirty == Some(true) {
            say(format!("the {name} was measured with changes that its commit does not have"));
        }
        if let Some(text) = disturbed(name, report) {
            say(text);
        }
    }
    for (metric, control) in candidate.document.controls.iter().flatten() {
        if *control == Control::NotOffered {
            say(format!(
                "no control showed that the router's {metric} can move: its 0 may be dead"
            ));
        }
    }
    if skipped(baseline.document) > 0 {
        say("the baseline skipped arrivals, so its percentiles are too low".to_owned());
    }
    match (&baseline.document.load, &candidate.document.load) {
        (Some(_), None) => {
            say("the candidate does not say under which load it was measured".into())
        }
        (None, Some(_)) => say("the baseline does not say under which load it was measured".into()),
        _ => {}
    }
    if policy.environment.require.is_empty() {
        say("the policy requires no part of the environment to be equal".to_owned());
    }
    for metric in candidate.document.metrics.0.keys() {
        if !policy.rules.contains_key(metric) {
            say(format!("{metric} is measured, but no rule judges it"));
        }
    }
    for (&metric, rule) in &policy.rules {
        let (from, to) =
            (baseline.document.metrics.get(metric), candidate.document.metrics.get(metric));
        if let Some(percent) = rules::stale_by_pct(metric, rule, from, to) {
            say(format!("{metric} improved by {percent} %: consider moving the baseline"));
        }
    }
    notices
}

/// How many rounds were disturbed and why; nothing where none was, or where nobody looked.
fn disturbed(name: &str, report: &Report) -> Option<String> {
    let known: Vec<_> =
        report.rounds.iter().flatten().filter_map(|round| round.disturbed.as_ref()).collect();
    let disturbed = known.iter().filter(|reasons| !reasons.is_empty()).count();
    let mut rounds_by_reason = BTreeMap::<_, u64>::new();
    for reason in known.iter().copied().flatten() {
        *rounds_by_reason.entry(reason.name()).or_default() += 1;
    }
    let reasons: Vec<_> =
        rounds_by_reason.iter().map(|(reason, rounds)| format!("{reason} in {rounds}")).collect();
    (disturbed > 0).then(|| {
        let (known, reasons) = (known.len(), reasons.join(", "));
        format!("{disturbed} of {known} rounds of the {name} were disturbed: {reasons}")
    })
}
