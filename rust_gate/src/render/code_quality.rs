//! GitLab's code quality report, a subset of Code Climate's: what blocks or is waived, at the policy's line.
//! GitLab compares it with the target branch's by fingerprint.

use cp1_format::{WriteError, to_json};
use serde_json::{Value, json};

use crate::render::Shown;
use crate::render::cases::{self, Case, State};

/// Renders the report; it is empty where everything holds.
///
/// # Errors
/// [`WriteError::Encode`], for nothing that is known.
pub fn render(shown: &Shown<'_>) -> Result<String, WriteError> {
    let cases = cases::of(shown);
    to_json(&cases.iter().filter_map(degradation).collect::<Vec<_>>())
}

fn degradation(case: &Case) -> Option<Value> {
    let severity = match case.state {
        State::Good | State::Moot => return None,
        State::Waived => "info",
        State::Bad | State::Open => "blocker",
    };
    let (path, line) = &case.place;
    let lines: Vec<_> =
        std::iter::once(&case.line).chain(&case.details).map(String::as_str).collect();
    Some(json!({
        "check_name": format!("cp1/{}", case.id),
        "description": format!("{}: {}", case.id, lines.join("; ")),
        "fingerprint": case.fingerprint,
        "severity": severity,
        "location": {"path": path, "lines": {"begin": line}},
    }))
}
