//! `init`: writes what a project needs to be measured, and nothing over what is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cp1_format::{InitStep, Initialized, WriteError, is_module, write_atomically};

use crate::adopt::jobs::{self, Tool};
use crate::adopt::rebar_config::{Edit, with_profile};
use crate::cli::arguments::{Init, Platform};
use crate::contract::ci_files::{GITHUB, GITLAB};
use crate::contract::owned::OWNED;
use crate::read::git::Git;

const SETTINGS: &str = include_str!("templates/perf_gate.toml");
const POLICY: &str = include_str!("../../../perf/policy_cp1.json");
const ADAPTER: &str = include_str!("templates/adapter.erl");
const SUITE: &str = include_str!("../../../erlang/router_bench/perf/router_perf_SUITE.erl");
const ADAPTER_APP: &str = include_str!("templates/adapter.app.src");

/// Lines for `.gitignore`.
const IGNORED: [&str; 2] = ["/_build/", "/_artifacts/"];

/// A line for `.gitattributes`: a record is known by its bytes, which a checkout must not change.
const AS_IT_IS: &str = "/perf/** -text";

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is no application.
    #[error(
        "no application is in {}: neither src/*.app.src nor {{apps,lib}}/*/src/*.app.src; name the \
         router's with --app",
        .0.display()
    )]
    NoApplication(PathBuf),
    /// There are several.
    #[error("several applications are here: {0}; name the router's with --app")]
    Several(String),
    /// The name is none.
    #[error(
        "{0:?} is no application's name: a lower-case letter, then letters, digits, `_` and `@`"
    )]
    NoName(String),
    /// The operating system refused.
    #[error("failed to read {}: {source}; check its permissions", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What is done with one file.
enum Step {
    Write { file: String, text: String },
    Keep { file: String, why: &'static str },
    ByHand(String),
}

/// Says what it writes, and writes it unless it is only to be shown.
///
/// # Errors
/// [`InitError`]; nothing is written before everything was read.
pub fn init(arguments: &Init) -> Result<Initialized, InitError> {
    let project = arguments.project.as_path();
    let router = match &arguments.app {
        Some(name) => name.clone(),
        None => application(project)?,
    };
    if !is_module(&router) {
        return Err(InitError::NoName(router));
    }
    let mut steps = Vec::new();
    let adapter = format!("perf/adapter/src/{router}_perf_adapter");
    let policy = with_place_for_absent_counters(POLICY);
    let mut files = vec![
        ("perf/perf_gate.toml".to_owned(), SETTINGS),
        ("perf/policy_cp1.json".to_owned(), policy.as_str()),
        (format!("{adapter}.app.src"), ADAPTER_APP),
        (format!("{adapter}.erl"), ADAPTER),
    ];
    if project.join("rebar.config").exists() {
        files.push(("perf/suite/router_perf_SUITE.erl".to_owned(), SUITE));
    }
    let branch = Git::at(project).default_branch().unwrap_or_else(|| "main".to_owned());
    let (gitlab, github) = (jobs::gitlab(Tool::Installed), jobs::github(Tool::Installed, &branch));
    match platform(arguments, project) {
        Some(Platform::Gitlab) => files.push((GITLAB.to_owned(), &gitlab)),
        Some(Platform::Github) => files.push((GITHUB.to_owned(), &github)),
        Some(Platform::None) | None => {}
    }
    for (file, template) in files {
        steps.push(match project.join(&file).symlink_metadata() {
            Ok(_) => Step::Keep { file, why: "is there" },
            Err(_) => Step::Write { file, text: template.replace("{{router}}", &router) },
        });
    }
    steps.push(profile(project)?);
    steps.push(lines(project, ".gitignore", &IGNORED)?);
    steps.push(lines(project, ".gitattributes", &[AS_IT_IS])?);
    if let Some(owners) = owners(project) {
        let owned = OWNED.map(|pattern| format!("{pattern} @who-answers-for-operations"));
        steps.push(lines(project, owners, &owned.each_ref().map(String::as_str))?);
    }
    let mut done = Vec::new();
    for step in steps {
        done.push(match step {
            Step::Keep { file, why } => InitStep::Keep { file, why: why.to_owned() },
            Step::ByHand(what) => InitStep::ByHand { what },
            Step::Write { file, text } if arguments.show => InitStep::WouldWrite { file, text },
            Step::Write { file, text } => {
                write_atomically(&project.join(&file), text.as_bytes())?;
                InitStep::Write { file }
            }
        });
    }
    let next = format!(
        "write route/2 in {adapter}.erl, then perf-gate doctor; docs/adopt.md of perf-gate goes on from \
         there"
    );
    Ok(Initialized { steps: done, next })
}

/// The only application of the project.
fn application(project: &Path) -> Result<String, InitError> {
    let escaped = glob::Pattern::escape(&project.to_string_lossy());
    let mut names: Vec<String> = ["src", "apps/*/src", "lib/*/src"]
        .iter()
        .flat_map(|place| glob::glob(&format!("{escaped}/{place}/*.app.src")).into_iter().flatten())
        .filter_map(|path| {
            let name = path.ok()?.file_name()?.to_string_lossy().into_owned();
            name.strip_suffix(".app.src").map(ToOwned::to_owned)
        })
        .collect();
    names.sort();
    match names.as_slice() {
        [] => Err(InitError::NoApplication(project.to_owned())),
        [name] => Ok(name.clone()),
        _ => Err(InitError::Several(names.join(", "))),
    }
}

/// Which platform's file is written: what was asked for, else what the project has.
fn platform(arguments: &Init, project: &Path) -> Option<Platform> {
    arguments.ci.or_else(|| {
        if project.join(".gitlab-ci.yml").exists() {
            Some(Platform::Gitlab)
        } else if project.join(".github").is_dir() {
            Some(Platform::Github)
        } else {
            None
        }
    })
}

fn read(path: &Path) -> Result<Option<String>, InitError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(InitError::Io { path: path.to_owned(), source }),
    }
}

/// The profile that compiles the adapter; a project without `rebar.config` has another build.
fn profile(project: &Path) -> Result<Step, InitError> {
    let file = "rebar.config".to_owned();
    let Some(text) = read(&project.join(&file))? else {
        return Ok(Step::ByHand(
            "this is no rebar3 project: name its build and code_path in perf/perf_gate.toml, and let \
             the build compile perf/adapter"
                .to_owned(),
        ));
    };
    Ok(match with_profile(&text) {
        Edit::Done => Step::Keep { file, why: "has the profile" },
        Edit::Text(text) => Step::Write { file, text },
        Edit::ByHand(what) => Step::ByHand(what),
    })
}

/// Lines at the end of a file.
fn lines(project: &Path, file: &str, wanted: &[&str]) -> Result<Step, InitError> {
    let text = read(&project.join(file))?.unwrap_or_default();
    // With or without the slashes it means the same here, and whoever owns it does.
    let bare = |line: &str| {
        let first = line.split_whitespace().next().unwrap_or_default();
        first.trim_matches('/').to_owned()
    };
    let has = |line: &&&str| text.lines().any(|have| bare(have) == bare(line));
    let missing: Vec<&str> = wanted.iter().filter(|line| !has(line)).copied().collect();
    let file = file.to_owned();
    if missing.is_empty() {
        return Ok(Step::Keep { file, why: "has the lines" });
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Ok(Step::Write { file, text: format!("{text}{gap}{}\n", missing.join("\n")) })
}

/// The file of owners, where the project has one.
fn owners(project: &Path) -> Option<&'static str> {
    let places = [".github/CODEOWNERS", ".gitlab/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];
    places.into_iter().find(|file| project.join(file).is_file())
}
/// The policy of the freeze with an empty list of counters that the router does not have, to be seen.
fn with_place_for_absent_counters(policy: &str) -> String {
    policy.replacen("\"gate\": {\n", "\"gate\": {\n    \"not_offered\": [],\n", 1)
}
