//! JUnit XML: a test case for each case. What could not be decided or judged is an `error`, which every
//! reader counts as red; a waived rule is `skipped` with its reason.

use std::io;

use cp1_format::WriteError;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::render::Shown;
use crate::render::cases::{self, Case, State};

/// The name of report, suite and class: readers tell cases apart by class and name.
const NAME: &str = "cp1_gate";

/// Renders the report.
///
/// # Errors
/// [`WriteError::Encode`], for nothing that is known.
pub fn render(shown: &Shown<'_>) -> Result<String, WriteError> {
    let mut suite = TestSuite::new(NAME);
    suite.add_test_cases(cases::of(shown).iter().map(test_case));
    let mut report = Report::new(NAME);
    report.add_test_suite(suite);
    report.to_string().map_err(|error| serde_json::Error::io(io::Error::other(error)).into())
}

fn test_case(case: &Case) -> TestCase {
    let mut status = match case.state {
        State::Good => TestCaseStatus::success(),
        State::Moot | State::Waived => TestCaseStatus::skipped(),
        State::Bad => TestCaseStatus::non_success(NonSuccessKind::Failure),
        State::Open => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    status.set_message(case.line.as_str()).set_type(kind(case.state));
    if !case.details.is_empty() {
        status.set_description(case.details.join("\n"));
    }
    let mut test = TestCase::new(case.id.as_str(), status);
    test.set_classname(NAME);
    if case.state == State::Good {
        test.set_system_out(case.line.as_str());
    }
    test
}

fn kind(state: State) -> &'static str {
    match state {
        State::Good => "good",
        State::Moot => "moot",
        State::Waived => "waived",
        State::Bad => "violated",
        State::Open => "undecided",
    }
}
