//! `perf-gate sessions`: the router measured several times under one load, for a new baseline.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cp1_format::{Load, Problem, Report, SessionLoad, SessionReports, read_file};

use crate::cli::settings;
use crate::cli::sources::CommandLine;
use crate::contract::{BASELINE, Contract, sound};
use crate::judge::compare::Named;
use crate::run::child::POLL;
use crate::run::host::{Host, clean, is_writable, listen, new_report};
use crate::run::interrupt::Interrupt;
use crate::run::measure::Ended;
use crate::run::progress::{Progress, about};
use crate::run::{RunError, read};

/// What came of the sessions.
#[derive(Debug)]
pub enum Sessions {
    /// Each may be part of a baseline, or the last one may not.
    Measured(SessionReports),
    /// The last one ran out of time, in words.
    OutOfTime(String),
}

/// Measures sessions, up to the first that no baseline could have.
///
/// # Errors
/// [`RunError`]
pub fn sessions(arguments: &settings::Sessions, line: &CommandLine) -> Result<Sessions, RunError> {
    let interrupt = listen()?;
    let progress = Progress::new(arguments.talk.quiet.into());
    let settings = &arguments.settings;
    let attach = Some(&arguments.attach);
    let host = Host { settings, attach, line, interrupt: &interrupt, progress: &progress };
    let project = &host.settings.project;
    let artifacts = host.artifacts(&arguments.output);
    let contract = Contract::at(project);
    let policy = contract.policy().map_err(read)?;
    is_writable(&artifacts)?;
    let mut measured = Vec::new();
    let mut load: Option<Load> = None;
    for number in 1..=arguments.sessions {
        if number > 1 {
            pause(Duration::from_secs(arguments.pause_seconds), &interrupt, &progress)?;
        }
        clean(project)?;
        let session = format!("session {number}/{}", arguments.sessions);
        progress.step(&session);
        progress.titled(session);
        let path = new_report(&artifacts)?;
        let measurement = host.report(&path, load.as_ref(), arguments.blocks, None)?;
        progress.step(&measurement.table);
        match measurement.ended {
            Ended::Complete => {}
            Ended::OutOfTime(why) => return Ok(Sessions::OutOfTime(why)),
            Ended::Interrupted(code) => return Err(RunError::Interrupted(code)),
            Ended::Failed(why) => return Err(RunError::NothingMeasured { why }),
        }
        let report: Report = read_file(&path).map_err(read)?;
        let shown = from_here(&path);
        progress.say(&format!("report: {}", shown.display()));
        let file = shown.to_string_lossy();
        let problems = sound::of_session(Named { path: &file, document: &report }, &policy);
        // What the first found is the load of all.
        load = load.or(report.load);
        measured.push(shown);
        if !problems.is_empty() {
            return Ok(Sessions::Measured(answer(&measured, load.as_ref(), problems, None)));
        }
    }
    let is_first = !contract.path(BASELINE).exists();
    let next = next(project, is_first, &measured);
    Ok(Sessions::Measured(answer(&measured, load.as_ref(), Vec::new(), Some(next))))
}

/// Waits, and ends early with the run.
fn pause(length: Duration, interrupt: &Interrupt, progress: &Progress) -> Result<(), RunError> {
    let end = Instant::now() + length;
    loop {
        if let Some(code) = interrupt.code() {
            return Err(RunError::Interrupted(code));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        progress.draw(&format!("the next session begins in {}", about(left)));
        std::thread::sleep(left.min(POLL));
    }
}

/// A path as one would type it here.
fn from_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| path.strip_prefix(here).ok());
    relative.unwrap_or(path).to_owned()
}

fn answer(
    measured: &[PathBuf],
    load: Option<&Load>,
    problems: Vec<Problem>,
    next: Option<String>,
) -> SessionReports {
    SessionReports {
        reports: measured.iter().map(|path| path.display().to_string()).collect(),
        problems,
        load: load.map(|load| SessionLoad {
            rate_per_second: load.rate_per_second,
            concurrency: load.concurrency,
        }),
        next,
    }
}

/// What makes a baseline of these sessions: on several lines, as a long one would be shortened.
fn next(project: &Path, is_first: bool, measured: &[PathBuf]) -> String {
    let mut text = String::from("perf-gate ");
    text.push_str(if is_first { "freeze" } else { "bump --reason …" });
    if project != Path::new(".") {
        let _ = write!(text, " --root {}", quoted(project));
    }
    for path in measured {
        let _ = write!(text, " \\\n  --session {}", quoted(path));
    }
    text.push_str(" \\\n  --what … --why-acceptable … --why-policy-holds … --artifact …");
    text
}

/// As a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::progress::Talk;

    #[test]
    fn the_next_command_names_every_session_as_a_shell_reads_it() {
        let sessions = ["_artifacts/a.json", "it's a b/ü.json"].map(PathBuf::from);
        let freeze = next(Path::new("."), true, &sessions);
        assert_eq!(
            freeze,
            "perf-gate freeze \\\n  --session _artifacts/a.json \\\n  \
             --session 'it'\\''s a b/ü.json' \\\n  \
             --what … --why-acceptable … --why-policy-holds … --artifact …"
        );
        let bump = next(Path::new("../p"), false, &sessions);
        assert!(
            bump.starts_with("perf-gate bump --reason … --root ../p \\\n  --session "),
            "{bump}"
        );
    }

    #[test]
    fn a_pause_ends_with_the_run() {
        let interrupt = Interrupt::default();
        let progress = Progress::new(Talk::Quiet);
        assert!(pause(Duration::ZERO, &interrupt, &progress).is_ok());
        interrupt.end_with(130);
        let ended = pause(Duration::from_secs(86_400), &interrupt, &progress);
        assert!(matches!(ended, Err(RunError::Interrupted(130))));
    }
}
