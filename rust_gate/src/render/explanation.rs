//! An explanation: the cells and sentences that every format has, and the page for a terminal and the log.

use cp1_format::{
    Amount, Decimal, ExplainedBuild, ExplainedPlace, Explanation, FailedOutcome, FailureSides,
    PlaceHistory, PlaceState,
};

use crate::escape::plain;
use crate::explain::figures::{number, size};
use crate::explain::places::{class_line, class_name};
use crate::render::figures::{change, grouped, short_commit};
use crate::render::terminal::{Detail, section, sentences, table, titled};

/// What stands above an explanation.
pub const HEADING: &str = "Why it costs what it costs";

/// What stands above the places.
pub const PLACES: &str = "Places, by what they add to a request's time or to memory:";

/// Headings of [`place_row`].
pub const PLACE_HEADINGS: [&str; 6] = ["place", "what", "seen", "time", "share", "memory"];

/// Headings of [`part_row`].
pub const PART_HEADINGS: [&str; 3] = ["of the difference in time", "for a request", "share"];

/// Headings of [`work_row`].
pub const WORK_HEADINGS: [&str; 3] = ["for a request, without trace", "before", "now"];

/// Headings of [`failure_row`].
pub const FAILURE_HEADINGS: [&str; 5] = ["failed requests", "reason", "before", "now", "sample"];

/// Places that are shown where there is little room, and lines of evidence of each.
const SHORT_PLACES: usize = 5;
const SHORT_EVIDENCE: usize = 2;

/// Commits that are shown of a function.
const SHORT_COMMITS: usize = 3;

/// Which builds these are.
#[must_use]
pub fn builds(explanation: &Explanation) -> String {
    let build = |build: &ExplainedBuild| {
        let commit = build.commit.as_deref().map(short_commit);
        let commit = commit.unwrap_or_else(|| "no commit".to_owned());
        let dirty = if build.dirty == Some(true) { " with changes" } else { "" };
        format!("{commit}{dirty}")
    };
    let load = &explanation.load;
    format!(
        "{} against {}: {} requests of {} workers, seed {}",
        build(&explanation.candidate),
        build(&explanation.frozen),
        grouped(&load.requests.to_string()),
        load.workers,
        load.seed
    )
}

/// The time of a request.
#[must_use]
pub fn time(explanation: &Explanation) -> String {
    let time = &explanation.time;
    let us = |amount: &Amount| number(amount.approximate());
    let explained = time
        .explained_pct
        .as_ref()
        .map(|explained| format!("; the places account for {explained} % of the difference"));
    format!(
        "a request took {} us, {} us before (under trace {} us and {} us){}",
        us(&time.candidate_us),
        us(&time.frozen_us),
        us(&time.traced_candidate_us),
        us(&time.traced_frozen_us),
        explained.unwrap_or_default()
    )
}

/// Parts of the difference in time as cells.
#[must_use]
pub fn part_rows(explanation: &Explanation) -> Vec<[String; 3]> {
    let row = |part: &cp1_format::TimePart| {
        [part.kind.name().to_owned(), us(&part.change_us), share(part.share_pct.as_ref())]
    };
    explanation.time.parts.iter().map(row).collect()
}

/// Classes of memory, and how much of the growth the places account for.
#[must_use]
pub fn memory(explanation: &Explanation) -> Vec<String> {
    let memory = &explanation.memory;
    let lines = memory
        .classes
        .iter()
        .map(|class| format!("memory, {}: {}", class_name(class.class), class_line(class)));
    let explained = memory
        .explained_pct
        .iter()
        .map(|explained| format!("tables and processes account for {explained} % of the growth"));
    lines.chain(explained).collect()
}

/// A place as cells.
#[must_use]
pub fn place_row(place: &ExplainedPlace) -> [String; 6] {
    let bytes = match place.change_bytes {
        0 => "-".to_owned(),
        bytes => format!("{}{}", if bytes > 0 { "+" } else { "" }, size(bytes as f64)),
    };
    [
        place.name.clone(),
        place.kind.name().to_owned(),
        seen(place).to_owned(),
        us(&place.change_us),
        share(place.time_share_pct.as_ref()),
        bytes,
    ]
}

/// How it is seen.
#[must_use]
pub fn seen(place: &ExplainedPlace) -> &'static str {
    match (place.state, place.is_certain) {
        (PlaceState::New, _) => "new",
        (PlaceState::Gone, _) => "gone",
        (PlaceState::Both, true) => "certain",
        (PlaceState::Both, false) => "measured",
    }
}

/// What the VM did as cells.
#[must_use]
pub fn work_rows(explanation: &Explanation) -> Vec<[String; 3]> {
    let row = |work: &cp1_format::WorkSides| {
        let cell = |amount: &Amount| {
            format!("{} {}", number(amount.approximate()), work.unit).trim().to_owned()
        };
        [work.name.clone(), cell(&work.frozen), cell(&work.candidate)]
    };
    explanation.work.iter().map(row).collect()
}

/// Failures of one reason as cells.
#[must_use]
pub fn failure_row(failure: &FailureSides) -> [String; 5] {
    let outcome = match failure.outcome {
        FailedOutcome::Error => "error",
        FailedOutcome::Timeout => "timeout",
        FailedOutcome::Rejected => "rejected",
    };
    let sample = failure.candidate_sample.as_ref().or(failure.frozen_sample.as_ref());
    [
        outcome.to_owned(),
        failure.reason.clone(),
        grouped(&failure.frozen.to_string()),
        grouped(&failure.candidate.to_string()),
        sample.cloned().unwrap_or_else(|| "-".to_owned()),
    ]
}

/// A difference in time with its sign.
fn us(us: &Decimal) -> String {
    let us = us.approximate();
    format!("{}{} us", if us > 0.0 { "+" } else { "" }, number(us))
}

fn share(share: Option<&Decimal>) -> String {
    share.map_or_else(|| "-".to_owned(), change)
}

/// The page for a terminal, in 80 columns. What stands at the beginning of a line is never a build's text.
#[must_use]
pub fn terminal(explanation: &Explanation, detail: Detail) -> String {
    let is_short = detail == Detail::Short;
    let only = |lines: Vec<String>| if is_short { Vec::new() } else { lines };
    let mut page = String::new();
    let mut head = sentences([plain(&builds(explanation))], "  ", "    ");
    head.extend(sentences([time(explanation)], "  ", "    "));
    section(&mut page, &format!("{HEADING}:"), head);
    section(&mut page, "", rows(PART_HEADINGS, part_rows(explanation)));
    section(&mut page, "", only(sentences(memory(explanation), "  ", "    ")));
    let shown = if is_short { SHORT_PLACES } else { usize::MAX };
    let places = explanation.places.iter().enumerate().take(shown);
    let mut lines: Vec<String> =
        places.flat_map(|(at, place)| of_place(at + 1, place, detail)).collect();
    let further = explanation.places.len().saturating_sub(shown) as u64;
    let further = further.saturating_add(explanation.places_left_out);
    if further > 0 {
        lines.push(format!("  and {further} more"));
    }
    if lines.is_empty() {
        lines.push("  none: what both builds do for a request hardly differs".to_owned());
    }
    section(&mut page, PLACES, lines);
    section(&mut page, "", only(rows(WORK_HEADINGS, work_rows(explanation))));
    let failures = explanation.failures.iter().map(failure_row).collect();
    section(&mut page, "", only(rows(FAILURE_HEADINGS, failures)));
    let advice = explanation.advice.iter().flat_map(|advice| {
        let mut lines = sentences([plain(&advice.place)], "  ", "    ");
        lines.extend(sentences([plain(&advice.evidence)], "    ", "      "));
        lines.extend(sentences([plain(&advice.advice)], "    ", "      "));
        lines
    });
    section(&mut page, "Advice, about the candidate itself:", advice.collect());
    let notices = explanation.notices.iter().map(|notice| plain(&notice.0));
    section(&mut page, "", sentences(notices, "  ", "    "));
    page
}

fn rows<const N: usize>(headings: [&str; N], rows: Vec<[String; N]>) -> Vec<String> {
    let rows = rows.into_iter().map(|row| row.map(|cell| plain(&cell)).to_vec()).collect();
    table(titled(headings, rows), 2)
}

fn of_place(number: usize, place: &ExplainedPlace, detail: Detail) -> Vec<String> {
    let [name, kind, seen, time, share, bytes] = place_row(place).map(|cell| plain(&cell));
    let figures = match (share.as_str(), bytes.as_str()) {
        ("-", "-") => time,
        (share, "-") => format!("{time} ({share})"),
        ("-", bytes) => format!("{time}, {bytes}"),
        (share, bytes) => format!("{time} ({share}), {bytes}"),
    };
    let mut lines =
        sentences([format!("{number}. {kind} {name}, {seen}: {figures}")], "  ", "     ");
    let (evidence, commits) = match detail {
        Detail::Short => (SHORT_EVIDENCE, SHORT_COMMITS),
        Detail::Explained => (usize::MAX, usize::MAX),
    };
    let evidence = place.evidence.iter().take(evidence).map(|said| plain(said));
    lines.extend(sentences(evidence, "     ", "       "));
    if let Some(PlaceHistory { command, commits: found }) = &place.history {
        lines.extend(sentences([plain(command)], "     ", "       "));
        let commits = found.iter().take(commits).map(|commit| {
            format!(
                "{} {} {}",
                short_commit(&commit.commit),
                plain(&commit.date),
                plain(&commit.subject)
            )
        });
        lines.extend(sentences(commits, "       ", "         "));
    }
    lines
}
