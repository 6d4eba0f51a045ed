//! What a verdict says, one case after another, as tools of continuous integration list it: the verdict
//! itself, every rule, and every kind of request that was not served.
//!
//! The first case is the verdict, and it is good where the verdict is PASS and nowhere else. So no list of
//! these cases looks green for a gate that blocks, whatever the rules say one by one.

use cp1_format::{Judgement, Outcome, Problem, RuleResult, UnservedResult, Verdict};
use sha2::{Digest as _, Sha256};

use crate::contract::POLICY;
use crate::escape::plain;
use crate::render::{Shown, figures};

/// What came of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It holds.
    Good,
    /// It holds, and nothing follows from it: files or conditions were such that the whole says nothing.
    Moot,
    /// Its limit is violated, and a waiver lets that pass for a while.
    Waived,
    /// Its limit is violated.
    Bad,
    /// It could not be decided, or not be judged. The gate blocks all the same, so this is no success.
    Open,
}

impl State {
    /// Whether it keeps the gate from passing.
    #[must_use]
    pub fn blocks(self) -> bool {
        matches!(self, Self::Bad | Self::Open)
    }
}

/// One of them. Its texts are harmless in a log, and lines have no line ends; what else a format takes for
/// a command is its renderer's to escape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it is about: a word that is the same in every run.
    pub id: String,
    /// What that means, for whoever has not read the policy.
    pub about: String,
    /// What came of it.
    pub state: State,
    /// The same in a line, with the figures.
    pub line: String,
    /// What else there is to know, in lines.
    pub details: Vec<String>,
    /// The file that makes the demand, from the repository on, and its line.
    pub place: (String, u64),
    /// Tells it from others, and is the same in every run in which the same came of it.
    pub fingerprint: String,
}

/// All of a verdict; the verdict itself is the first.
#[must_use]
pub fn of(shown: &Shown<'_>) -> Vec<Case> {
    let verdict = shown.verdict;
    let path = policy_path(&verdict.inputs.policy.path);
    let case = |id: String, about: String, word: &str, state, line, details, number: u64| {
        let fingerprint = fingerprint(&id, word);
        Case { id, about, state, line, details, place: (path.to_owned(), number), fingerprint }
    };
    let outcome = verdict.outcome;
    let line = format!("{}: {}", outcome.word(), plain(&verdict.summary));
    let about = "whether the gate passes as a whole".to_owned();
    let whole = case(
        "verdict".to_owned(),
        about,
        outcome.word(),
        state(outcome),
        line,
        reasons(verdict),
        1,
    );
    let lines = shown.rule_lines.filter(|_| is_policy(&verdict.inputs.policy.path));
    let rules = verdict.rules.iter().map(|rule| {
        let metric = rule.metric;
        let number = lines.and_then(|lines| lines.get(&metric)).copied().unwrap_or(1);
        let state = state_of(rule.judgement, outcome);
        let about = format!("whether {metric} stays within the limit of the policy");
        let word = rule.judgement.word();
        case(metric.name().to_owned(), about, word, state, line_of(rule), details(rule), number)
    });
    let unserved = verdict.unserved.iter().map(|result| {
        let (outcome_of, phase) = (result.outcome.name(), result.phase.name());
        let state = state_of(result.judgement, outcome);
        let id = format!("{outcome_of}_{}", phase.replace(' ', "_"));
        let about = format!("whether the share of {outcome_of} in the {phase} is the baseline's");
        let details = result.explanation.as_deref().map(plain).into_iter().collect();
        let word = result.judgement.word();
        case(id, about, word, state, line_of_unserved(result), details, 1)
    });
    std::iter::once(whole).chain(rules).chain(unserved).collect()
}

fn state(outcome: Outcome) -> State {
    match outcome {
        Outcome::Pass => State::Good,
        Outcome::Regression => State::Bad,
        Outcome::Invalid | Outcome::Inconclusive | Outcome::Incomparable => State::Open,
    }
}

fn state_of(judgement: Judgement, outcome: Outcome) -> State {
    match (judgement, outcome) {
        (Judgement::Holds, Outcome::Invalid | Outcome::Incomparable) => State::Moot,
        (Judgement::Holds, _) => State::Good,
        (Judgement::Waived, _) => State::Waived,
        (Judgement::Violated, _) => State::Bad,
        (Judgement::Undecided | Judgement::NotJudged, _) => State::Open,
    }
}

fn line_of(rule: &RuleResult) -> String {
    let [_, baseline, candidate, change, limit, word] = figures::row(rule);
    plain(&format!("{word}: {candidate}, the baseline {baseline}, change {change}, limit {limit}"))
}

fn line_of_unserved(result: &UnservedResult) -> String {
    let [_, baseline, candidate, limit, word] = figures::unserved(result);
    plain(&format!("{word}: {candidate}, the baseline {baseline}, limit {limit}"))
}

fn details(rule: &RuleResult) -> Vec<String> {
    // What it allows stands in the explanation.
    let waiver = rule.waiver.as_ref();
    let waiver = waiver.map(|waiver| format!("the waiver's reason: {}", plain(&waiver.reason)));
    rule.explanation.as_deref().map(plain).into_iter().chain(waiver).collect()
}

/// What to do, and what is wrong.
fn reasons(verdict: &Verdict) -> Vec<String> {
    let problem = |problem: &Problem| {
        let place = problem.place.as_ref().map(|place| format!(", {}", plain(place)));
        let (file, place) = (plain(&problem.file), place.unwrap_or_default());
        format!("{file}{place}: {}; cure: {}", plain(&problem.message), plain(&problem.cure))
    };
    let differs = |difference: &cp1_format::FieldDifference| {
        let side = |value: &Option<String>| value.as_deref().map_or("absent".to_owned(), plain);
        let (baseline, candidate) = (side(&difference.baseline), side(&difference.candidate));
        format!("{} differs: baseline {baseline}, candidate {candidate}", plain(&difference.field))
    };
    let to_do = format!("what to do: {}", to_do(verdict.outcome));
    let differences = verdict.comparison.differences.iter().map(differs);
    let problems = verdict.problems.iter().map(problem);
    std::iter::once(to_do).chain(problems).chain(differences).take(DETAILS_MAX).collect()
}

/// Most lines of details.
const DETAILS_MAX: usize = 20;

/// What a reader does now.
#[must_use]
pub fn to_do(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "nothing",
        Outcome::Regression => {
            "take back what costs more, or move the baseline by review (perf-gate bump)"
        }
        Outcome::Invalid => "cure the problems, then measure again",
        Outcome::Inconclusive => "measure longer, at a lower rate, or on a quieter machine",
        Outcome::Incomparable => "measure the frozen commit beside this one (--compare=replay)",
    }
}

fn fingerprint(id: &str, word: &str) -> String {
    let digest = Sha256::digest(format!("cp1 {id} {word}"));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Where the policy is in the repository: a tool makes a link of it. It is the path as typed where that is
/// plainly one below the directory in which the gate was started, which is the repository in a job; else
/// that of every project.
fn policy_path(typed: &str) -> &str {
    let path = below(typed);
    let is_plain = |part: &str| {
        let may = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && part.chars().all(may)
    };
    if path.ends_with(".json") && path.split('/').all(is_plain) { path } else { POLICY }
}

/// Whether the file is the one that is linked to, so that lines in it are lines there.
fn is_policy(typed: &str) -> bool {
    let path = below(typed);
    policy_path(typed) == path
        || path.strip_suffix(POLICY).is_some_and(|before| before.ends_with('/'))
}

/// Without a revision, which stands before a colon, and the directory that everything is below.
fn below(typed: &str) -> &str {
    let path = typed.rsplit_once(':').map_or(typed, |(_, path)| path);
    path.trim_start_matches("./")
}
