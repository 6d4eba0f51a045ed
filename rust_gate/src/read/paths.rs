//! From paths and patterns as typed to files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cp1_format::Problem;
use glob::MatchOptions;

use crate::read::inputs::shown;

/// The files that paths and patterns name, by real path, so that one file counts once.
pub(crate) fn named(
    patterns: &[PathBuf],
    problems: &mut Vec<Problem>,
) -> BTreeMap<PathBuf, PathBuf> {
    let mut files = BTreeMap::new();
    let mut add = |path: PathBuf| {
        files.entry(path.canonicalize().unwrap_or_else(|_| path.clone())).or_insert(path);
    };
    for pattern in patterns {
        let problem = |message: String, cure: &str| Problem {
            file: shown(pattern),
            place: None,
            message,
            cure: cure.into(),
        };
        let as_glob = pattern.to_str().filter(|text| text.contains(['*', '?', '[']));
        let Some(as_glob) = as_glob.filter(|_| pattern.symlink_metadata().is_err()) else {
            add(pattern.clone());
            continue;
        };
        // What is still being written has a name with a leading dot; `*` must not find it.
        let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
        let entries = match glob::glob_with(as_glob, options) {
            Ok(entries) => entries,
            Err(error) => {
                problems.push(problem(
                    format!("the pattern is malformed: {}", error.msg),
                    "correct the pattern, or give a path",
                ));
                continue;
            }
        };
        let mut matched = false;
        for entry in entries {
            matched = true;
            match entry {
                Ok(path) => add(path),
                Err(error) => problems.push(problem(
                    format!("failed to search {}: {}", error.path().display(), error.error()),
                    "check the permissions",
                )),
            }
        }
        if !matched {
            problems.push(problem(
                "no file matches".into(),
                "measure first, with perf-gate bench, or correct the pattern",
            ));
        }
    }
    files
}
