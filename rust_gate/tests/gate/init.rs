//! `init`: what a project needs, and nothing over what is there.

use std::path::{Path, PathBuf};

use cp1_format::Said;
use perf_gate::adopt::init::{InitError, init};
use perf_gate::adopt::jobs::Tool;
use perf_gate::cli::arguments::{Init, Platform, Print};
use perf_gate::contract::{Contract, ci_files};
use perf_gate::render::answers;

struct Project(tempfile::TempDir);

impl Project {
    fn with(files: &[(&str, &str)]) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        for (file, text) in files {
            let path = project.path(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        project
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    fn init(&self, app: Option<&str>, ci: Option<Platform>) -> Result<String, InitError> {
        let project = self.0.path().to_owned();
        let app = app.map(ToOwned::to_owned);
        let initialized = init(&Init { project, app, ci, show: false, print: Print::default() })?;
        Ok(answers::text(&Said::Init(initialized)))
    }
}

fn count(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
}

const APP: (&str, &str) = ("apps/router/src/router.app.src", "");

#[test]
fn nothing_that_is_there_is_written_over() {
    let project = Project::with(&[
        APP,
        ("rebar.config", "{erl_opts, []}."),
        ("perf/policy_cp1.json", "mine"),
        ("perf/adapter/src/router_perf_adapter.erl", "mine"),
        (".gitignore", "_build"),
        (".github/CODEOWNERS", "* @us\n/perf/ @us"),
    ]);
    let said = project.init(None, None).unwrap();
    for (file, text) in [
        ("perf/policy_cp1.json", "mine"),
        ("perf/adapter/src/router_perf_adapter.erl", "mine"),
        (".gitignore", "_build\n/_artifacts/\n"),
    ] {
        assert_eq!(project.text(file), text, "{said}");
    }
    let owners = project.text(".github/CODEOWNERS");
    assert!(owners.starts_with("* @us\n/perf/ @us\nrebar.config @who-answers-for"), "{owners}");
    assert!(owners.contains("\n/_checkouts/ @who-answers-for-operations\n"), "{owners}");
    assert!(project.text("rebar.config").starts_with("{erl_opts, []}.\n"));
    let suite = project.text("perf/suite/router_perf_SUITE.erl");
    assert!(suite.contains("\n-module(router_perf_SUITE).\n"), "{suite}");
    assert!(project.text("perf/perf_gate.toml").contains("adapter = \"router_perf_adapter\""));
    assert!(project.path(".github/workflows/perf.yml").is_file(), "the platform that it uses");
    assert!(!project.path(".gitlab-ci.perf.yml").exists());

    let files = count(project.0.path());
    let again = project.init(None, None).unwrap();
    assert!(!again.contains("write  "), "{again}");
    assert_eq!(count(project.0.path()), files);
}

#[test]
fn a_project_without_rebar3_is_told_what_to_name() {
    let project = Project::with(&[("src/mixed.app.src", "")]);
    let said = project.init(None, Some(Platform::None)).unwrap();
    assert!(said.contains("name its build and code_path in perf/perf_gate.toml"), "{said}");
    assert!(!project.path("rebar.config").exists());
    assert!(!project.path("perf/suite").exists());
}

#[test]
fn which_application_is_meant_is_asked_and_never_guessed() {
    let none = Project::with(&[("rebar.config", "")]);
    assert!(matches!(none.init(None, None), Err(InitError::NoApplication(_))));
    let several = Project::with(&[APP, ("apps/other/src/other.app.src", "")]);
    assert!(matches!(several.init(None, None), Err(InitError::Several(_))));
    several.init(Some("other"), None).unwrap();
    assert!(several.path("perf/adapter/src/other_perf_adapter.erl").is_file());
    for hostile in ["", "../x", "A", "x y", "x\n", "{{router}}"] {
        assert!(matches!(none.init(Some(hostile), None), Err(InitError::NoName(_))), "{hostile}");
    }
    assert_eq!(count(none.0.path()), 1, "nothing was written");
}

#[test]
fn the_jobs_are_those_that_lint_asks_for() {
    for (ci, file) in [
        (Platform::Gitlab, ".gitlab-ci.perf.yml"),
        (Platform::Github, ".github/workflows/perf.yml"),
    ] {
        let project = Project::with(&[APP]);
        project.init(None, Some(ci)).unwrap();
        assert!(project.path(file).is_file());
        let contract = Contract::at(project.0.path());
        assert_eq!(ci_files::look(&contract, Tool::Installed).unwrap().problems, []);
    }
}
