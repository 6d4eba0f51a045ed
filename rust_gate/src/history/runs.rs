//! The files of many runs, by the names that a run gives them: `perf_baseline_STAMP.json` the candidate's
//! report, `perf_replay_STAMP.json` the frozen side of its replay, `perf_verdict_STAMP.json` the answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cp1_format::Problem;

use super::HistoryError;
use crate::read::inputs::shown;
use crate::read::paths;

/// What a file of a run is, by the beginning of its name.
const PREFIXES: [(&str, Part); 3] = [
    ("perf_baseline_", Part::Candidate),
    ("perf_replay_", Part::Replay),
    ("perf_verdict_", Part::Verdict),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Candidate,
    Replay,
    Verdict,
}

/// The files of one run, as far as they are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// The candidate's report.
    pub candidate: Option<PathBuf>,
    /// The frozen commit's report, measured in turn with it.
    pub replay: Option<PathBuf>,
    /// The verdict.
    pub verdict: Option<PathBuf>,
}

/// The runs that paths name: files, folders, and patterns of either. Of a folder and those in it the files
/// count that have a run's names; directories that are links are not gone into, so that there is an end.
/// A file that is named counts as a report whatever its name is.
///
/// # Errors
/// A path that is not there, a directory that cannot be listed, or nothing that is a run's.
pub fn find(named: &[PathBuf]) -> Result<Vec<Run>, HistoryError> {
    let mut problems = Vec::new();
    let mut files = BTreeMap::new();
    for (real, path) in paths::named(named, &mut problems) {
        if path.is_dir() {
            walk(path, &mut files, &mut problems);
        } else {
            files.insert(real, path);
        }
    }
    if files.is_empty() && problems.is_empty() {
        problems.push(Problem {
            file: named.iter().map(|path| shown(path)).collect::<Vec<_>>().join(", "),
            place: None,
            message: "there is no perf_baseline_*.json, perf_replay_*.json or perf_verdict_*.json"
                .into(),
            cure: "give a folder of artifacts, or the files".into(),
        });
    }
    if !problems.is_empty() {
        return Err(HistoryError::Files(problems));
    }
    let mut runs = BTreeMap::<_, Run>::new();
    for (real, path) in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (part, stamp) = part_of(&name).unwrap_or((Part::Candidate, &name));
        // By the file itself, of which a link may stand elsewhere under the same name.
        let folder = real.parent().map(Path::to_owned).unwrap_or_default();
        let run = runs.entry((folder, stamp.to_owned())).or_default();
        match part {
            Part::Candidate => run.candidate = Some(path),
            Part::Replay => run.replay = Some(path),
            Part::Verdict => run.verdict = Some(path),
        }
    }
    Ok(runs.into_values().collect())
}

/// What a file of a run is, and which run's.
fn part_of(name: &str) -> Option<(Part, &str)> {
    let stem = name.strip_suffix(".json")?;
    PREFIXES.iter().find_map(|(prefix, part)| Some((*part, stem.strip_prefix(prefix)?)))
}

fn walk(root: PathBuf, files: &mut BTreeMap<PathBuf, PathBuf>, problems: &mut Vec<Problem>) {
    let mut directories = vec![root];
    while let Some(directory) = directories.pop() {
        let mut look = || -> std::io::Result<()> {
            for entry in std::fs::read_dir(&directory)? {
                let entry = entry?;
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    directories.push(path);
                } else if part_of(&entry.file_name().to_string_lossy()).is_some() {
                    files.insert(path.canonicalize().unwrap_or_else(|_| path.clone()), path);
                }
            }
            Ok(())
        };
        if let Err(error) = look() {
            problems.push(Problem {
                file: shown(&directory),
                place: None,
                message: format!("failed to search the folder: {error}"),
                cure: "check its permissions".into(),
            });
        }
    }
}
