//! SARIF 2.1.0, as code scanning reads it: a result for whatever blocks or is waived.
//!
//! What could not be decided is a failure of level `error` too: the standard's kinds `open` and `review`
//! have no level, and a viewer shows such results as nothing to worry about.

use cp1_format::{Outcome, WriteError, to_json};
use serde_json::{Value, json};

use crate::escape::without_links;
use crate::render::Shown;
use crate::render::cases::{self, Case, State};

/// Renders the log.
///
/// # Errors
/// [`WriteError::Encode`], for nothing that is known.
pub fn render(shown: &Shown<'_>) -> Result<String, WriteError> {
    let verdict = shown.verdict;
    let cases = cases::of(shown);
    let rules: Vec<_> = cases.iter().map(rule).collect();
    let results: Vec<_> =
        cases.iter().enumerate().filter_map(|(index, case)| result(index, case)).collect();
    to_json(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "perf-gate",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            // One that runs beside others, such as a smoke run beside the gate, has its own name there.
            "automationDetails": {"id": "cp1-perf-gate/"},
            "invocations": [{
                "executionSuccessful": verdict.outcome != Outcome::Invalid,
                "exitCode": verdict.exit_code,
                "exitCodeDescription": verdict.outcome.word(),
            }],
            "columnKind": "utf16CodeUnits",
            "results": results,
        }],
    }))
}

fn rule(case: &Case) -> Value {
    json!({
        "id": format!("cp1/{}", case.id),
        "shortDescription": {"text": case.about},
        "defaultConfiguration": {"level": "error"},
    })
}

fn result(index: usize, case: &Case) -> Option<Value> {
    let level = match case.state {
        State::Good | State::Moot => return None,
        State::Waived => "note",
        State::Bad | State::Open => "error",
    };
    let (path, line) = &case.place;
    let lines: Vec<_> =
        std::iter::once(&case.line).chain(&case.details).map(String::as_str).collect();
    let text = without_links(&format!("{}: {}", case.id, lines.join("\n")));
    let suppressions = match case.state {
        State::Waived => {
            let justification = without_links(&case.details.join("\n"));
            json!([{"kind": "external", "status": "accepted", "justification": justification}])
        }
        _ => json!([]),
    };
    Some(json!({
        "ruleId": format!("cp1/{}", case.id),
        "ruleIndex": index,
        "kind": "fail",
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": path, "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": line},
        }}],
        "partialFingerprints": {"cp1Case/v1": case.fingerprint},
        "suppressions": suppressions,
    }))
}
