//! GitHub's workflow commands: printed by a step, they are notes on the job's page and in the files of a
//! change. A step shows ten errors at most, so the verdict comes first.

use crate::escape::{command_data, command_property};
use crate::render::Shown;
use crate::render::cases::{self, Case, State};

/// Renders a line for whatever blocks or is waived, and one for the verdict.
#[must_use]
pub fn render(shown: &Shown<'_>) -> String {
    let cases = cases::of(shown);
    let is_told = |(index, case): &(usize, &Case)| {
        *index == 0 || !matches!(case.state, State::Good | State::Moot)
    };
    cases.iter().enumerate().filter(is_told).map(|(_, case)| line(case)).collect()
}

fn line(case: &Case) -> String {
    let command = if case.state.blocks() { "error" } else { "notice" };
    let (path, number) = &case.place;
    let (file, title) = (command_property(path), command_property(&format!("CP1 {}", case.id)));
    let lines: Vec<_> =
        std::iter::once(&case.line).chain(&case.details).map(String::as_str).collect();
    let data = command_data(&lines.join("\n"));
    format!("::{command} file={file},line={number},title={title}::{data}\n")
}
