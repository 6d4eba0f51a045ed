//! Makes one report of those of several sessions. Pure.

use cp1_format::{Merged, Problem, Report, Session, summary};

use super::problem;
use crate::judge::compare::Named;
use crate::judge::validity;

const MEASURE: &str =
    "measure every session on one machine, of one commit, with one set of settings";

/// One report whose blocks are those of all sessions, in the order of time.
///
/// # Errors
/// Why the reports are no sessions of one measurement.
pub fn assemble(sessions: &[Named<'_>]) -> Result<Report, Vec<Problem>> {
    let mut sessions = sessions.to_vec();
    sessions.sort_by(|one, other| one.document.timestamp.cmp(&other.document.timestamp));
    let Some((first, others)) = sessions.split_first() else {
        return Err(vec![problem("--session", "there is none", "give the report of each session")]);
    };
    let mut problems = Vec::new();
    for session in &sessions {
        if session.document.blocks.as_ref().is_none_or(Vec::is_empty) {
            problems.push(problem(session.path, "the report has no blocks", MEASURE));
        }
        if validity::ended_early(session.document) {
            problems.push(problem(session.path, "the run did not finish", MEASURE));
        }
        if session.document.sessions.is_some() {
            let message = "the report is made of sessions already";
            problems.push(problem(session.path, message, "give the reports as measured"));
        }
    }
    for pair in sessions.windows(2) {
        if let [one, other] = pair
            && one.document.timestamp == other.document.timestamp
        {
            let message = format!("this is the session of {} again", one.path);
            problems.push(problem(other.path, message, "give each session once"));
        }
    }
    for other in others {
        let differing = differences(first.document, other.document);
        if !differing.is_empty() {
            let message = format!("{} differs from {}", differing.join(", "), first.path);
            problems.push(problem(other.path, message, MEASURE));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let documents: Vec<_> = sessions.iter().map(|session| session.document).collect();
    Ok(joined(first.document, &documents))
}

/// What one report says of its measurement and the other does not.
fn differences(one: &Report, other: &Report) -> Vec<&'static str> {
    let lengths = |report: &Report| {
        report.load.as_ref().map(|load| (load.warmup_ms, load.throughput_ms, load.latency_ms))
    };
    let shape = |report: &Report| report.load.as_ref().map(cp1_format::Load::shape);
    let outage = |report: &Report| report.load.as_ref().and_then(|load| load.outage.clone());
    let watched = |report: &Report| report.watched.as_ref().map(cp1_format::Watched::shape);
    let parts = [
        ("git", one.git == other.git),
        ("env", one.env == other.env),
        ("load", shape(one) == shape(other) && lengths(one) == lengths(other)),
        ("load.outage", outage(one) == outage(other)),
        ("watched", watched(one) == watched(other)),
        ("merged", machines(one) == machines(other)),
        ("controls", one.controls == other.controls),
        ("run.planted_fault", one.run.planted_fault == other.run.planted_fault),
    ];
    parts.into_iter().filter(|(_, equal)| !equal).map(|(name, _)| name).collect()
}

/// Of several machines what must be the same in each session: all but when it was.
fn machines(report: &Report) -> Option<Merged> {
    let mut merged = report.merged.clone()?;
    merged.machines.iter_mut().for_each(|machine| {
        machine.runs.clear();
        // Of each session it may be another number.
        machine.load.blocks = 0;
    });
    Some(merged)
}

fn joined(first: &Report, sessions: &[&Report]) -> Report {
    let mut report = first.clone();
    let mut blocks = Vec::new();
    let mut histograms = Vec::new();
    let mut series = Vec::new();
    let mut numbered = Vec::new();
    for session in sessions {
        let before = blocks.len() as u32;
        let own = session.blocks.iter().flatten();
        blocks.extend(own.cloned().map(|mut block| {
            block.block += before;
            block
        }));
        let own = session.histograms.iter().flatten();
        histograms.extend(own.cloned().map(|mut histogram| {
            histogram.block += before;
            histogram
        }));
        series.extend(session.series.iter().flatten().cloned().map(|mut series| {
            series.block += before;
            series
        }));
        let measured = blocks.len() as u32 - before;
        numbered.push(Session { timestamp: session.timestamp.clone(), blocks: measured });
    }
    let metrics: Vec<_> = blocks.iter().map(|block| &block.metrics).collect();
    report.metrics = summary::headline(&metrics);
    report.accounting = summary::accounting(&blocks);
    let (status, reason) = summary::ending(&blocks);
    (report.run.status, report.run.reason) = (Some(status), reason);
    report.run.duration_ms = sessions.iter().map(|session| session.run.duration_ms).sum();
    if let Some(load) = &mut report.load {
        load.blocks = blocks.len() as u32;
    }
    for (index, machine) in
        report.merged.iter_mut().flat_map(|merged| &mut merged.machines).enumerate()
    {
        machine.load.blocks = blocks.len() as u32;
        let of_sessions =
            sessions.iter().filter_map(|session| session.merged.as_ref()?.machines.get(index));
        machine.runs = of_sessions.flat_map(|machine| machine.runs.clone()).collect();
    }
    if let Some(watched) = &mut report.watched {
        watched.blocks = blocks.len() as u32;
    }
    if let Some(diagnostics) = &mut report.diagnostics {
        diagnostics.spread_pct = summary::spread_pct(&metrics);
    }
    report.blocks = Some(blocks);
    report.histograms = first.histograms.is_some().then_some(histograms);
    report.series = first.series.is_some().then_some(series);
    report.sessions = Some(numbered);
    report
}
