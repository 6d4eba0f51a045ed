//! Compiling a project with its own command, and finding what came out.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::read::git::forget_repository;
use crate::run::RunError;
use crate::run::child::{Group, in_words};
use crate::run::interrupt::Interrupt;
use crate::run::progress::Progress;

/// How often it is looked what a build says.
const LOOK: Duration = Duration::from_millis(500);

/// So much of its end is looked at, in bytes.
const END_BYTES: u64 = 4096;

/// Which libraries a build finds besides its own.
#[derive(Debug, Clone, Copy)]
pub enum Libraries<'a> {
    /// Those of the environment, and the bench of this installation, if it is one.
    Candidate,
    /// Those in this directory and no other. The build is of another commit: what leads the candidate's
    /// build elsewhere must not lead this one there.
    Frozen(&'a Path),
}

/// Runs the build command in a directory. What it prints goes to standard error, or, where one line is
/// rewritten or nothing is told, is kept back until it fails.
///
/// # Errors
/// It cannot be started, or fails.
pub fn build(
    directory: &Path,
    command: &str,
    libraries: Libraries<'_>,
    interrupt: &Interrupt,
    progress: &Progress,
    what: &str,
) -> Result<(), RunError> {
    if command.trim().is_empty() {
        return Ok(());
    }
    progress.step(&format!("{what}: {command}"));
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).current_dir(directory);
    // Where rebar3 builds must be where the code path looks: a stale build there would be measured.
    shell.env_remove("REBAR_BASE_DIR");
    forget_repository(&mut shell);
    if std::env::var_os("HOME").is_none() {
        // Rebar3 crashes without one.
        shell.env("HOME", std::env::temp_dir());
    }
    match libraries {
        Libraries::Candidate => {
            if let Some(libraries) = with_installed(std::env::var_os("ERL_LIBS")) {
                shell.env("ERL_LIBS", libraries);
            }
        }
        Libraries::Frozen(libraries) => {
            for name in ["REBAR_BASE_DIR", "REBAR_CONFIG", "REBAR_PROFILE", "ERL_COMPILER_OPTIONS"]
            {
                shell.env_remove(name);
            }
            shell.env("ERL_LIBS", libraries);
        }
    }
    let failed = |problem: String| RunError::Build {
        command: command.to_owned(),
        directory: directory.to_owned(),
        problem,
    };
    let failed_to_run = |error: io::Error| failed(error.to_string());
    let mut kept =
        progress.keeps_output().then(tempfile::tempfile).transpose().map_err(failed_to_run)?;
    let streams = match &kept {
        Some(kept) => kept.try_clone().and_then(|out| Ok([out.into(), kept.try_clone()?.into()])),
        None => Ok([Stdio::from(io::stderr()), Stdio::inherit()]),
    };
    let [out, err] = streams.map_err(failed_to_run)?;
    shell.stdout(out).stderr(err);
    let mut group = Group::spawn(&mut shell).map_err(failed_to_run)?;
    let (begun, mut next) = (Instant::now(), Instant::now());
    let show = || {
        if Instant::now() < next {
            return;
        }
        next = Instant::now() + LOOK;
        let said = kept.as_ref().and_then(|kept| last_line(kept).ok()).unwrap_or_default();
        let said = if said.is_empty() { command.to_owned() } else { said };
        progress.draw(&format!("{what}, {} s: {said}", begun.elapsed().as_secs()));
    };
    let status = group.wait(interrupt, show).map_err(failed_to_run)?;
    match interrupt.code() {
        Some(code) => Err(RunError::Interrupted(code)),
        None if status.success() => Ok(()),
        None => {
            if let Some(kept) = &mut kept {
                let mut said = Vec::new();
                let read = kept.seek(SeekFrom::Start(0)).and_then(|_| kept.read_to_end(&mut said));
                read.map_err(failed_to_run)?;
                progress.complain(&String::from_utf8_lossy(&said));
            }
            Err(failed(in_words(status)))
        }
    }
}

/// The last line that a build printed into a file, which goes on printing where it is.
fn last_line(kept: &File) -> io::Result<String> {
    let length = kept.metadata()?.len();
    let from = length.saturating_sub(END_BYTES);
    let mut end = vec![0; usize::try_from(length - from).unwrap_or(0)];
    let read = std::os::unix::fs::FileExt::read_at(kept, &mut end, from)?;
    end.truncate(read);
    let text = String::from_utf8_lossy(&end);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    Ok(last.unwrap_or_default().trim().to_owned())
}

/// The directories of libraries with that of this installation at their end, if it has a bench.
fn with_installed(given: Option<OsString>) -> Option<OsString> {
    let bench = installed_bench().into_iter().next()?;
    let libraries = bench.parent()?.parent()?;
    let mut all = given.filter(|given| !given.is_empty()).unwrap_or_default();
    if !all.is_empty() {
        all.push(":");
    }
    all.push(libraries);
    Some(all)
}

/// The directories that the globs of a code path find in a directory, in their order.
#[must_use]
pub fn code_path(directory: &Path, globs: &str) -> Vec<PathBuf> {
    // What is before the globs is a path and no pattern.
    let escaped = glob::Pattern::escape(&directory.to_string_lossy());
    let found = globs.split(':').filter(|glob| !glob.is_empty()).flat_map(|text| {
        let pattern = match Path::new(text).is_absolute() {
            true => text.to_owned(),
            false => format!("{escaped}/{text}"),
        };
        glob::glob(&pattern).into_iter().flatten().flatten().collect::<Vec<_>>()
    });
    found.filter(|path| path.is_dir()).collect()
}

/// The bench of an installation: beside the directory that this program is in.
#[must_use]
pub fn installed_bench() -> Vec<PathBuf> {
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    let prefix = program.ok().and_then(|path| Some(path.parent()?.parent()?.to_owned()));
    prefix.map(|prefix| code_path(&prefix, "lib/router_bench-*/ebin")).unwrap_or_default()
}
