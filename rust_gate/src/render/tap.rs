//! Test Anything Protocol, version 13: a test for each case. What is waived fails, and was to: `TODO`.

use crate::escape::tap;
use crate::render::Shown;
use crate::render::cases::{self, Case, State};

/// Renders the tests.
#[must_use]
pub fn render(shown: &Shown<'_>) -> String {
    let cases = cases::of(shown);
    let tests = cases.iter().zip(1..).map(|(case, number)| test(number, case));
    format!("TAP version 13\n1..{}\n{}", cases.len(), tests.collect::<String>())
}

fn test(number: usize, case: &Case) -> String {
    let (result, directive) = match case.state {
        State::Good => ("ok", ""),
        State::Moot => ("ok", " # SKIP the verdict says nothing of it"),
        State::Waived => ("not ok", " # TODO a waiver is in force"),
        State::Bad | State::Open => ("not ok", ""),
    };
    let (id, line) = (tap(&case.id), tap(&case.line));
    let details: String = case.details.iter().map(|line| format!("# {line}\n")).collect();
    format!("{result} {number} - {id}: {line}{directive}\n{details}")
}
