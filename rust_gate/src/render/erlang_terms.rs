//! The verdict as Erlang terms, for `file:consult/1`: of them the suite `router_perf_SUITE` makes a test case
//! of each rule. Pure ASCII, and no text of a file becomes an atom.
//!
//! ```text
//! {verdict, failed, "REGRESSION: 1 of 6 rules violated: rps", ["p99 is that of 12 requests; measure longer"]}.
//! {rule, rps, failed, "51,200 /s -> 40,960 /s, -20.00 %, at most -10 %: VIOLATED", "<svg ...>"}.
//! ```

use std::fmt::Write as _;

use cp1_format::{Judgement, Outcome, Problem, RuleResult, UnservedResult, Verdict};

use crate::escape::{erlang, line};
use crate::render::{Shown, figures, strip};

/// A term for the whole, and one for each rule.
#[must_use]
pub fn render(shown: &Shown<'_>) -> String {
    let verdict = shown.verdict;
    let (outcome, reasons) = (verdict.outcome, reasons(verdict).map(|reason| text(&reason)));
    let mut terms = format!(
        "{{verdict, {}, {}, [{}]}}.\n",
        status(outcome == Outcome::Pass),
        text(&format!("{}: {}", outcome.word(), verdict.summary)),
        reasons.collect::<Vec<_>>().join(", ")
    );
    for rule in &verdict.rules {
        let picture = strip::render(shown, rule.metric).unwrap_or_default();
        let passes = passes(rule, verdict);
        let doubt = match holds(rule) && !passes {
            true => {
                format!("; no success, as the whole is {}: {}", outcome.word(), verdict.summary)
            }
            false => String::new(),
        };
        let (status, said) = (status(passes), text(&(sentence(rule) + &doubt)));
        let picture = erlang(&picture);
        // Writing to a string cannot fail.
        let _ = writeln!(terms, "{{rule, {}, {status}, {said}, {picture}}}.", rule.metric);
    }
    terms
}

fn text(said: &str) -> String {
    erlang(&line(said))
}

fn status(passes: bool) -> &'static str {
    if passes { "passed" } else { "failed" }
}

/// A rule that holds is no success where the figures are in doubt, or not those of the router alone.
fn passes(rule: &RuleResult, verdict: &Verdict) -> bool {
    let is_sound = !matches!(verdict.outcome, Outcome::Invalid | Outcome::Incomparable);
    holds(rule) && is_sound && verdict.problems.is_empty()
}

fn holds(rule: &RuleResult) -> bool {
    matches!(rule.judgement, Judgement::Holds | Judgement::Waived)
}

/// The row of the table, and why.
fn sentence(rule: &RuleResult) -> String {
    let [_, baseline, candidate, change, limit, word] = figures::row(rule);
    let why = rule.explanation.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    format!("{baseline} -> {candidate}, {change}, {limit}: {word}{why}")
}

/// Why the whole is no success, beside the rules.
fn reasons(verdict: &Verdict) -> impl Iterator<Item = String> {
    let problems = verdict.problems.iter().map(|problem| {
        let Problem { file, place, message, cure } = problem;
        let place = place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        format!("{file}: {place}{message}; {cure}")
    });
    let unserved = verdict.unserved.iter().filter(|result| result.judgement != Judgement::Holds);
    let unserved = unserved.map(|result| {
        let [name, baseline, candidate, limit, word] = figures::unserved(result);
        let UnservedResult { explanation, .. } = result;
        let why = explanation.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        format!("{name}: {baseline} -> {candidate}, {limit}: {word}{why}")
    });
    let differences = verdict.comparison.differences.iter().map(|difference| {
        let or_absent = |text: &Option<String>| text.clone().unwrap_or_else(|| "absent".to_owned());
        let (baseline, candidate) =
            (or_absent(&difference.baseline), or_absent(&difference.candidate));
        format!("{} differs: {baseline}, {candidate}", difference.field)
    });
    problems.chain(unserved).chain(differences)
}
