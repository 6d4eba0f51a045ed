//! The jobs are what the tool generates: whatever differs is named, but for what cannot weaken them.

use std::path::Path;

use crate::common::repository::Repository;
use perf_gate::adopt::jobs::{self, Tool};
use perf_gate::contract::Contract;
use perf_gate::contract::ci_files::{Seen, look};
use perf_gate::contract::owned::{OWNED, TOOL};
use serde_json::{Value, json};

const GITLAB: &str = ".gitlab-ci.perf.yml";
const GITLAB_MAIN: &str = ".gitlab-ci.yml";
const GITHUB: &str = ".github/workflows/perf.yml";
const INCLUDE: &str = "include: {local: .gitlab-ci.perf.yml}\n";

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A directory with files of continuous integration.
struct Project(tempfile::TempDir, Tool);

impl Project {
    fn of(tool: Tool) -> Self {
        let project = Self(tempfile::tempdir().unwrap(), tool);
        project.write(GITLAB, &jobs::gitlab(tool));
        project.write(GITLAB_MAIN, INCLUDE);
        project.write(GITHUB, &jobs::github(tool, "main"));
        project
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.0.path().join(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        self.write(name, &text.replacen(from, to, 1));
    }

    fn look(&self) -> Seen {
        look(&Contract::at(self.0.path()), self.1).unwrap()
    }

    /// What was found, a line each.
    fn found(&self) -> String {
        let line = |problem: cp1_format::Problem| {
            let place = problem.place.unwrap_or_default();
            format!("{} {place}: {}\n", problem.file, problem.message)
        };
        self.look().problems.into_iter().map(line).collect()
    }
}

#[test]
fn the_files_of_this_repository_are_those_that_are_generated() {
    for (name, text) in
        [(GITLAB, jobs::gitlab(Tool::Built)), (GITHUB, jobs::github(Tool::Built, "main"))]
    {
        let path = root().join(name);
        if std::env::var_os("UPDATE_CI").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let is = std::fs::read_to_string(&path).unwrap();
        assert_eq!(is, text, "write {name} again: UPDATE_CI=1 cargo test -p perf-gate ci_files");
    }
    assert_eq!(look(&Contract::at(&root()), Tool::Built).unwrap().problems, []);
}

#[test]
fn only_the_repository_of_the_tool_builds_it() {
    let repository = Repository::new();
    assert_eq!(Tool::of(&repository.path("")), Tool::Installed);
    assert_eq!(Tool::of(tempfile::tempdir().unwrap().path()), Tool::Installed);
    assert_eq!(Tool::of(&root().join("rust_gate")), Tool::Installed, "it is not its root");
    if root().join(".git").exists() {
        assert_eq!(Tool::of(&root()), Tool::Built);
    }
}

#[test]
fn the_owners_of_this_repository_own_what_can_fake_a_measurement() {
    let text = std::fs::read_to_string(root().join("CODEOWNERS")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let owned: Vec<&str> = lines.map(|line| line.split_whitespace().next().unwrap()).collect();
    let wanted: Vec<&str> = OWNED.into_iter().chain(TOOL).collect();
    assert_eq!(owned, wanted);
}

/// An edit of a file: what is replaced by what.
type Edit = (&'static str, &'static str, &'static str);

const GATE_RULES: &str = "    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n      when: never\n    \
                          - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n    - if: $CI_PIPELINE_SOURCE \
                          == \"schedule\"\n";
const VERIFY_STEP: &str = "      - run: perf-gate verify --ci\n";
const GATE: &str = "    env:\n      PERF_MODE: gate\n";
const CHECKOUT: &str = "    steps:\n      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 \
                        # v5.0.0\n        with:\n          fetch-depth: 0\n      - run: perf-gate verify";

/// Edits of the generated files, each of which keeps a job from blocking, or may.
#[rustfmt::skip]
const WEAKER: &[Edit] = &[
    // GitLab: variables, at each level.
    (GITLAB, ".cp1:\n", "variables:\n  POLICY_FILE: perf/mine.json\n\n.cp1:\n"),
    (GITLAB, "    GIT_DEPTH: 0", "    POLICY_FILE: perf/mine.json\n    GIT_DEPTH: 0"),
    (GITLAB, "    PERF_MODE: gate", "    PERF_MODE: gate\n    POLICY_FILE: perf/mine.json"),
    (GITLAB, "    PERF_MODE: gate", "    PERF_MODE: gate\n    CANDIDATE_FILE: perf/good.json"),
    (GITLAB, "    PERF_MODE: gate", "    PERF_MODE: gate\n    BASELINE_FILE: perf/slow.json"),
    (GITLAB, "    PERF_MODE: gate", "    PERF_MODE: gate\n    PERF_TRUSTED_REF: HEAD"),
    (GITLAB, "    PERF_MODE: gate", "    PERF_MODE: gate\n    PERF_BUILD: 'true'"),
    (GITLAB, "    PERF_MODE: gate", "    PERF_MODE: gate\n    PERF_BLOCKS: 1"),
    (GITLAB, "    PERF_MODE: gate", "    PERF_MODE: gate\n    PATH: $CI_PROJECT_DIR/bin"),
    (GITLAB, "    PERF_MODE: gate", "    PERF_MODE: smoke"),
    (GITLAB, "  variables:\n    PERF_MODE: gate\n", ""),
    (GITLAB, "    GIT_DEPTH: 0", "    GIT_DEPTH: 1"),
    (GITLAB, "    GIT_DEPTH: 0", "    GIT_STRATEGY: none"),
    (GITLAB, "    GIT_DEPTH: 0", "    GIT_DEPTH: 0\n    CP1_KNOWN_GOOD: HEAD"),
    (GITLAB, "    GIT_DEPTH: 0", "    GIT_DEPTH: 0\n    CI_MERGE_REQUEST_TARGET_BRANCH_NAME: mine"),
    (GITLAB, "    GIT_DEPTH: 0", "    GIT_DEPTH: 0\n    CI_COMMIT_BEFORE_SHA: '0'"),
    (GITLAB, "    GIT_DEPTH: 0", "    GIT_DEPTH: 0\n    CI_DEFAULT_BRANCH: never"),
    (GITLAB, "refs/remotes/origin/$CI_MERGE_REQUEST_TARGET_BRANCH_NAME\n", "HEAD\n"),
    // GitLab: what runs besides, instead or around.
    (GITLAB, ".cp1:\n", "before_script: ['exit 0']\n\n.cp1:\n"),
    (GITLAB, ".cp1:\n", "default: {before_script: ['exit 0']}\n\n.cp1:\n"),
    (GITLAB, ".cp1:\n", "image: mine\n\n.cp1:\n"),
    (GITLAB, ".cp1:\n", ".cp1:\n  before_script: ['exit 0']\n"),
    (GITLAB, ".cp1:\n", ".cp1:\n  after_script: ['true']\n"),
    (GITLAB, ".cp1:\n", ".cp1:\n  hooks: {pre_get_sources_script: ['true']}\n"),
    (GITLAB, ".cp1:\n", ".cp1:\n  services: [mine]\n"),
    (GITLAB, ".cp1:\n", ".cp1:\n  cache: {paths: [_build/]}\n"),
    (GITLAB, ".cp1:\n", ".cp1:\n  image: {name: erlang, entrypoint: ['true']}\n"),
    (GITLAB, ".cp1:\n", ".cp1:\n  image: $IMAGE\n"),
    (GITLAB, "    default: false\n", "    default: true\n"),
    (GITLAB, "  inherit:\n    default: false\n    variables: false\n", ""),
    (GITLAB, "    - perf-gate verify --ci", "    - 'true'"),
    (GITLAB, "    - perf-gate verify --ci", "    - perf-gate verify --ci || true"),
    (GITLAB, "    - perf-gate verify --ci", "    - perf-gate verify --files"),
    (GITLAB, "    - perf-gate verify --ci", "    - set +e\n    - perf-gate verify --ci\n    - 'true'"),
    (GITLAB, "    - perf-gate verify --ci", "    - ./scripts/verify_contract.sh"),
    (GITLAB, "    PERF_MODE: gate\n  script:\n    - perf-gate run",
        "    PERF_MODE: gate\n  script:\n    - perf-gate run --blocks=1"),
    (GITLAB, "    PERF_MODE: gate\n  script:\n    - perf-gate run",
        "    PERF_MODE: gate\n  script:\n    - sed -i s/15/99/ perf/policy_cp1.json\n    - perf-gate run"),
    (GITLAB, "    PERF_MODE: gate\n  script:\n    - perf-gate run",
        "    PERF_MODE: gate\n  script: !reference [\"perf-gate run\"]"),
    // GitLab: whether it runs, and whether it counts.
    (GITLAB, "cp1_gate:\n", "cp1_gate:\n  allow_failure: true\n"),
    (GITLAB, "cp1_gate:\n", "cp1_gate:\n  allow_failure: {exit_codes: [1]}\n"),
    (GITLAB, ".cp1_measures:\n", ".cp1_measures:\n  allow_failure: true\n"),
    (GITLAB, "cp1_gate:\n", "cp1_gate:\n  when: manual\n"),
    (GITLAB, "cp1_gate:\n", "cp1_gate:\n  retry: 2\n"),
    (GITLAB, "cp1_gate:\n", "cp1_gate:\n  interruptible: true\n"),
    (GITLAB, "cp1_gate:\n", "cp1_gate:\n  parallel: {matrix: []}\n"),
    (GITLAB, "cp1_gate:\n", "cp1_gate:\n  trigger: {include: other.yml}\n"),
    (GITLAB, "cp1_gate:\n", "cp1_gate:\n  needs: [by_hand]\n"),
    (GITLAB, "cp1_gate:\n", "cp1_gate:\n  dependencies: [other]\n"),
    (GITLAB, "cp1_gate:\n", "cp1_gate:\n  environment: {name: x, action: stop}\n"),
    (GITLAB, "  needs: []\n", "  needs: [{job: by_hand, optional: true}]\n"),
    (GITLAB, "  needs: []\n", ""),
    (GITLAB, "  needs: []\n", "  needs: []\n  stage: .post\n"),
    (GITLAB, "  extends: .cp1_measures\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n      when",
        "  extends: [.cp1_measures, .mine]\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n      when"),
    (GITLAB, ".cp1:\n", ".mine: {allow_failure: true}\n.cp1:\n  extends: .mine\n"),
    (GITLAB, GATE_RULES, "    - when: never\n"),
    (GITLAB, GATE_RULES, "    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n      changes: [nothing]\n"),
    (GITLAB, GATE_RULES, "    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n      exists: [nothing]\n"),
    (GITLAB, GATE_RULES, "    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n      when: manual\n"),
    (GITLAB, GATE_RULES, "    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n      allow_failure: true\n"),
    (GITLAB, GATE_RULES, "    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n      variables: {PERF_MODE: smoke}\n"),
    (GITLAB, GATE_RULES, "    - if: $CI_COMMIT_BRANCH == \"none\"\n"),
    (GITLAB, "  extends: .cp1\n  rules:\n", "  extends: .cp1\n  rules:\n    - if: $CI\n      when: never\n"),
    (GITLAB, "    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n    - if: $CI_COMMIT_BRANCH", "    - if: $CI_COMMIT_BRANCH"),
    (GITLAB, "  rules:\n    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n      when", "  only: [tags]\n  except: [main]\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n      when"),
    (GITLAB, ".cp1:\n", "workflow: {rules: [{when: never}]}\n.cp1:\n"),
    (GITLAB, ".cp1:\n", "include: {local: other.yml}\n.cp1:\n"),
    (GITLAB, "cp1_gate:\n", "cp1_gates:\n"),
    (GITLAB, "cp1_gate:\n", ".cp1_gate:\n"),
    (GITLAB, "  resource_group: cp1_perf_host\n", ""),
    (GITLAB, "  tags: [cp1-perf]\n", ""),
    (GITLAB, "paths: [_artifacts/]", "paths: [nothing/]"),
    // GitLab: YAML that readers read differently.
    (GITLAB, "cp1_gate:\n", "cp1_gate: [\n"),
    (GITLAB, "cp1_gate:\n", "cp1_gate: {script: ['true']}\ncp1_gate:\n"),
    (GITLAB, "cp1_gate:\n", ".mine: &mine {allow_failure: true}\ncp1_gate:\n  <<: *mine\n"),
    (GITLAB, "cp1_gate:\n", ".mine: &mine {allow_failure: true}\ncp1_gate:\n  !!merge <<: *mine\n"),
    (GITLAB, "cp1_gate:\n", "---\ncp1_gate:\n"),
    (GITLAB, "cp1_gate:\n", "...\n---\ncp1_gate:\n"),
    (GITLAB, "cp1_gate:\n", "# \u{2028}before_script: ['exit 0']\ncp1_gate:\n"),
    (GITLAB, "cp1_gate:\n", "# \u{85}before_script: ['exit 0']\ncp1_gate:\n"),
    (GITLAB, "cp1_gate:\n", "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: [*f, *f, *f, *f, *f, *f, *f, *f, *f]\ncp1_gate:\n"),
    // GitLab: the file that includes it.
    (GITLAB_MAIN, INCLUDE, ""),
    (GITLAB_MAIN, INCLUDE, "include: {local: other.yml}\n"),
    (GITLAB_MAIN, INCLUDE, "include: [{local: .gitlab-ci.perf.yml, rules: [{when: never}]}]\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\ncp1_gate: {allow_failure: true}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\ncp1_gate: {script: ['true']}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\n.cp1: {before_script: ['exit 0']}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\n.cp1_measures: {variables: {POLICY_FILE: x}}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\ncp1_verify: {rules: [{when: never}]}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\n.x: &x {cp1_gate: {when: manual}}\n<<: *x\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\n.x: &x {when: manual}\ncp1_gate: {<<: *x}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\ncp1_gate: {script: !reference [perf-gate run]}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\nvariables: {CI_DEFAULT_BRANCH: never}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\nstages: [build]\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\nworkflow: {rules: [{when: never}]}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\nworkflow: {rules: [{if: $CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS, when: never}, {when: always}]}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\nworkflow: {rules: [{if: $CI_COMMIT_BRANCH}]}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\nworkflow: {rules: [{if: $CI_COMMIT_BRANCH, changes: [x]}]}\n"),
    (GITLAB_MAIN, INCLUDE, "spec: {inputs: {job: {}}}\n---\ninclude: {local: .gitlab-ci.perf.yml}\n\"$[[ inputs.job ]]\": {script: ['true']}\n"),
    (GITLAB_MAIN, INCLUDE, "include: [{local: .gitlab-ci.perf.yml}, /ci/*.yml]\n"),
    // GitHub: what starts it.
    (GITHUB, "  push:\n    branches: [\"main\"]\n", ""),
    (GITHUB, "    branches: [\"main\"]\n", "    branches: [\"mine\"]\n"),
    (GITHUB, "    branches: [\"main\"]\n", "    branches: [\"main\", \"!main\"]\n"),
    (GITHUB, "    branches: [\"main\"]\n", "    branches: [\"main\"]\n    paths: [nothing]\n"),
    (GITHUB, "    branches: [\"main\"]\n", "    branches-ignore: [\"main\"]\n"),
    (GITHUB, "    branches: [\"main\"]\n", "    tags: [x]\n"),
    (GITHUB, "  pull_request:\n", ""),
    (GITHUB, "  pull_request:\n", "  pull_request: {types: [labeled]}\n"),
    (GITHUB, "  pull_request:\n", "  pull_request: {paths-ignore: ['**']}\n"),
    (GITHUB, "  pull_request:\n", "  pull_request_target:\n"),
    (GITHUB, "  merge_group:\n", ""),
    (GITHUB, "17 3 * * *", "17 3 30 2 *"),
    (GITHUB, "  schedule:\n    - cron: \"17 3 * * *\"\n", ""),
    // GitHub: for all jobs.
    (GITHUB, "jobs:\n", "defaults: {run: {shell: 'true {0}'}}\njobs:\n"),
    (GITHUB, "jobs:\n", "defaults: {run: {working-directory: other}}\njobs:\n"),
    (GITHUB, "jobs:\n", "env: {POLICY_FILE: perf/mine.json}\njobs:\n"),
    (GITHUB, "jobs:\n", "concurrency: {group: all, cancel-in-progress: true}\njobs:\n"),
    (GITHUB, "  contents: read", "  contents: read\n  statuses: write"),
    // GitHub: for one.
    (GITHUB, "  cp1_gate:\n", "  cp1_other:\n"),
    (GITHUB, "  cp1_gate:\n", "  cp1_gate:\n    name: other\n"),
    (GITHUB, "  cp1_gate:\n", "  cp1_gate:\n    continue-on-error: true\n"),
    (GITHUB, "  cp1_gate:\n", "  cp1_gate:\n    container: mine\n"),
    (GITHUB, "  cp1_gate:\n", "  cp1_gate:\n    services: {x: {image: mine}}\n"),
    (GITHUB, "  cp1_gate:\n", "  cp1_gate:\n    strategy: {matrix: {x: []}}\n"),
    (GITHUB, "  cp1_gate:\n", "  cp1_gate:\n    needs: by_hand\n"),
    (GITHUB, "  cp1_gate:\n", "  cp1_gate:\n    environment: approved_by_hand\n"),
    (GITHUB, "  cp1_gate:\n", "  cp1_gate:\n    defaults: {run: {shell: 'true {0}'}}\n"),
    (GITHUB, "  cp1_gate:\n", "  cp1_gate:\n    concurrency: {group: x, cancel-in-progress: true}\n"),
    (GITHUB, "  cp1_gate:\n    if: github.event_name != 'pull_request'\n", "  cp1_gate:\n    if: false\n"),
    (GITHUB, "  cp1_verify:\n", "  cp1_verify:\n    if: github.actor != 'me'\n"),
    (GITHUB, "  cp1_gate:\n", "  fake: {name: cp1_verify, runs-on: x, steps: [{run: 'true'}]}\n  cp1_gate:\n"),
    (GITHUB, "  cp1_gate:\n", "  fake: {name: \"${{ 'cp1_verify' }}\", runs-on: x, steps: []}\n  cp1_gate:\n"),
    (GITHUB, "runs-on: [self-hosted, cp1-perf]", "runs-on: ${{ vars.RUNNER }}"),
    (GITHUB, GATE, "    env:\n      PERF_MODE: smoke\n"),
    (GITHUB, GATE, "    env:\n      PERF_MODE: gate\n      CANDIDATE_FILE: perf/good.json\n"),
    (GITHUB, GATE, "    env:\n      PERF_MODE: gate\n      POLICY_FILE: perf/mine.json\n"),
    (GITHUB, GATE, "    env:\n      PERF_MODE: gate\n      PERF_COMPARE: frozen\n"),
    (GITHUB, GATE, "    env:\n      PERF_MODE: gate\n      BASH_ENV: perf/x\n"),
    (GITHUB, "refs/remotes/origin/${{ github.base_ref }}", "${{ github.sha }}"),
    // GitHub: the steps.
    (GITHUB, VERIFY_STEP, "      - run: perf-gate verify --ci || true\n"),
    (GITHUB, VERIFY_STEP, "      - run: ./scripts/verify_contract.sh\n"),
    (GITHUB, VERIFY_STEP, "      - run: perf-gate verify --ci\n        continue-on-error: true\n"),
    (GITHUB, VERIFY_STEP, "      - run: perf-gate verify --ci\n        if: false\n"),
    (GITHUB, VERIFY_STEP, "      - run: perf-gate verify --ci\n        shell: 'true {0}'\n"),
    (GITHUB, VERIFY_STEP, "      - run: perf-gate verify --ci\n        working-directory: other\n"),
    (GITHUB, "${{ github.event.before }}", "${{ github.sha }}"),
    (GITHUB, "          CP1_BEFORE:", "          CP1_KNOWN_GOOD: HEAD\n          CP1_BEFORE:"),
    (GITHUB, "          CP1_BEFORE:", "          GITHUB_BASE_REF: mine\n          CP1_BEFORE:"),
    (GITHUB, CHECKOUT, "    steps:\n      - run: perf-gate verify"),
    (GITHUB, "          fetch-depth: 0\n      - run: perf-gate verify", "          fetch-depth: 0\n      - run: echo 'exit 0' > /usr/local/bin/perf-gate\n      - run: perf-gate verify"),
    (GITHUB, "          fetch-depth: 0\n      - run: perf-gate verify", "          fetch-depth: 0\n          ref: main\n      - run: perf-gate verify"),
    (GITHUB, "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8", "actions/checkout@v5"),
    (GITHUB, "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8", "mine/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8"),
    (GITHUB, "          path: _artifacts/\n\n", "          path: _artifacts/\n      - uses: mine/with-a-part-before@v1\n\n"),
];

#[test]
fn every_edit_that_can_weaken_a_job_is_named() {
    for edit in WEAKER {
        let (file, from, to) = edit;
        let project = Project::of(Tool::Installed);
        project.write("ci/more.yml", "cp1_verify: {retry: 2}\n");
        project.edit(file, from, to);
        let found = project.found();
        assert!(!found.is_empty(), "nothing was found: {edit:?}");
        let named = if to.contains("/ci/") { "ci/more.yml" } else { file };
        assert!(found.lines().all(|line| line.starts_with(named)), "{edit:?}\n{found}");
    }
}

/// Every place of a document, as a JSON pointer.
fn places(at: &str, value: &Value, all: &mut Vec<String>) {
    all.push(at.to_owned());
    let below = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(entries) => entries.iter().for_each(|(key, it)| places(&below(key), it, all)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, it)| places(&below(&i.to_string()), it, all));
        }
        _ => {}
    }
}

/// Without what a pointer points to.
fn without(document: &Value, place: &str) -> Value {
    let mut document = document.clone();
    let (parent, key) = place.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(entries) => {
            entries.remove(&key.replace("~1", "/").replace("~0", "~"));
        }
        Value::Array(list) => {
            list.remove(key.parse::<usize>().unwrap());
        }
        _ => unreachable!("only these have places below them"),
    }
    document
}

/// Whatever is taken away, replaced or added, at every place there is.
#[test]
fn no_place_of_a_generated_file_is_overlooked() {
    for (file, text, free) in [
        (
            GITLAB,
            jobs::gitlab(Tool::Installed),
            ["/.cp1/artifacts/expire_in", "/.cp1/timeout", "/.cp1_measures/tags/0", "add "]
                .as_slice(),
        ),
        (GITHUB, jobs::github(Tool::Installed, "main"), &["/name", "add /jobs"]),
    ] {
        let project = Project::of(Tool::Installed);
        let document: Value = serde_saphyr::from_str(&text).unwrap();
        let mut all = Vec::new();
        places("", &document, &mut all);
        let mut overlooked = Vec::new();
        let mut tried = 0;
        let mut is_found = |changed: &Value| {
            tried += 1;
            // JSON is YAML.
            project.write(file, &changed.to_string());
            !project.found().is_empty()
        };
        assert!(!is_found(&document));
        for place in &all {
            if !place.is_empty() && !is_found(&without(&document, place)) {
                overlooked.push(format!("without {place}"));
            }
            let mut other = document.clone();
            let value = other.pointer_mut(place).unwrap();
            *value = json!("other");
            if !is_found(&other) {
                overlooked.push(place.clone());
            }
            let mut more = document.clone();
            match more.pointer_mut(place).unwrap() {
                Value::Object(entries) => drop(entries.insert("other".to_owned(), json!("x"))),
                Value::Array(list) => list.insert(0, json!({"run": "other"})),
                _ => continue,
            }
            if !is_found(&more) {
                overlooked.push(format!("add {place}"));
            }
        }
        println!("{file}: {tried} changes");
        assert!(tried > all.len());
        overlooked.retain(|place| !place.contains("/runs-on"));
        overlooked.sort();
        assert_eq!(overlooked, free, "{file}");
    }
}

/// Edits that cannot.
#[rustfmt::skip]
const AS_GOOD: &[Edit] = &[
    (GITLAB, ".cp1:\n", "build:\n  script: [make]\n\n.template: {script: [x]}\n\n.cp1:\n"),
    (GITLAB, ".cp1:\n", ".cp1:\n  image: registry.example.org/erlang-with-perf-gate:1\n"),
    (GITLAB, "cp1_verify:\n", "cp1_verify:\n  tags: [docker]\n"),
    (GITLAB, "tags: [cp1-perf]", "tags: [metal, cp1-perf]"),
    (GITLAB, ".cp1:\n", ".cp1:\n  stage: performance\n"),
    (GITLAB, "timeout: 30 minutes", "timeout: 1 hour"),
    (GITLAB, "    GIT_DEPTH: 0", "    GIT_DEPTH: \"0\"\n    PERF_TIMEOUT_SECONDS: 600"),
    (GITLAB, "paths: [_artifacts/]", "paths: [_artifacts/, log/]"),
    (GITLAB, "expire_in: 90 days", "expire_in: never"),
    (GITLAB, "cp1_gate:\n", "# a comment\n\ncp1_gate:\n"),
    (GITLAB, "  tags: [cp1-perf]\n", "  \"tags\":\n  - &label 'cp1-perf'\n"),
    (GITLAB_MAIN, INCLUDE, "include: .gitlab-ci.perf.yml\n"),
    (GITLAB_MAIN, INCLUDE, "include:\n  - /.gitlab-ci.perf.yml\n  - local: ci/*.yml\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: /ci/all.yml}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\ndefault: {image: erlang, before_script: [x]}\nvariables: {X: 1}\nstages: [build, test]\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\n.cp1: {image: erlang-with-perf-gate}\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\n.x: &x {script: [x]}\n.y: &y {when: manual}\nz:\n  <<: *x\n  <<: *y\n  before_script: [!reference [.x, script]]\n"),
    (GITLAB_MAIN, INCLUDE, "include: {local: .gitlab-ci.perf.yml}\nworkflow:\n  name: x\n  rules:\n    - if: $CI_PIPELINE_SOURCE == 'merge_request_event'\n    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n    - if: $CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS\n      when: never\n    - if: $CI_COMMIT_BRANCH\n"),
    (GITLAB_MAIN, INCLUDE, "include: [{local: .gitlab-ci.perf.yml}, {template: Jobs/SAST.gitlab-ci.yml}]\n"),
    (GITHUB, "name: perf\n", "name: performance\nrun-name: x\n"),
    (GITHUB, "17 3 * * *", "5 1 * * 1"),
    (GITHUB, "  pull_request:\n", "  pull_request: {}\n  workflow_dispatch:\n"),
    (GITHUB, "branches: [\"main\"]", "branches: [main, release]"),
    (GITHUB, "branches: [\"main\"]", "branches: [master]"),
    (GITHUB, "runs-on: [self-hosted, cp1-perf]", "runs-on: [self-hosted, metal]"),
    (GITHUB, "runs-on: [self-hosted, cp1-perf]", "runs-on: ubuntu-latest"),
    (GITHUB, "timeout-minutes: 30", "timeout-minutes: 60"),
    (GITHUB, GATE, "    env:\n      PERF_MODE: gate\n      PERF_TIMEOUT_SECONDS: 600\n"),
    (GITHUB, "  cp1_gate:\n", "  test: {name: 'test ${{ matrix.x }}', runs-on: x, steps: [{run: make}]}\n\n  cp1_gate:\n"),
    (GITHUB, "          path: _artifacts/\n\n", "          path: _artifacts/\n          retention-days: 90\n      - run: echo done\n\n"),
];

#[test]
fn what_cannot_weaken_a_job_may_differ() {
    for edit in AS_GOOD {
        let (file, from, to) = edit;
        let project = Project::of(Tool::Installed);
        project.write("ci/all.yml", "include: /.gitlab-ci.perf.yml\n");
        project.edit(file, from, to);
        assert_eq!(project.found(), "", "{edit:?}");
    }
    // A stage is named in one file and made in the other.
    let project = Project::of(Tool::Installed);
    project.edit(GITLAB, ".cp1:\n", ".cp1:\n  stage: performance\n");
    project.write(GITLAB_MAIN, &format!("{INCLUDE}stages: [build, performance]\n"));
    assert_eq!(project.found(), "");
    project.write(GITLAB_MAIN, &format!("{INCLUDE}stages: [build, test]\n"));
    assert!(project.found().contains("stages has no \"performance\""));
}

#[test]
fn the_files_of_both_tools_are_known_and_no_mixture_of_them() {
    for tool in [Tool::Installed, Tool::Built] {
        assert_eq!(Project::of(tool).found(), "", "{tool:?}");
    }
    let mixed = Project::of(Tool::Built);
    mixed.edit(GITLAB, "verify_contract.sh", "nothing.sh");
    assert!(mixed.found().contains(".gitlab-ci.perf.yml cp1_verify.script.0: expected is"));
    // In another project these scripts would be the project's to write.
    let theirs = Project::of(Tool::Installed);
    theirs.write(GITLAB, &jobs::gitlab(Tool::Built));
    theirs.write(GITHUB, &jobs::github(Tool::Built, "main"));
    let found = theirs.found();
    assert!(found.contains("cp1_gate.script.0: expected is \"perf-gate run\""), "{found}");
    assert!(found.contains("jobs.cp1_verify.steps.1.run: expected is"), "{found}");
    let partly = Project::of(Tool::Installed);
    partly
        .write(GITLAB_MAIN, &format!("{INCLUDE}cp1_gate: {{script: [./scripts/perf_gate.sh]}}\n"));
    assert!(partly.found().starts_with(".gitlab-ci.yml cp1_gate.script.0: expected is"));
    let other = Project::of(Tool::Built);
    other.edit(GITLAB, "rust:1.91-bookworm", "mine");
    assert!(other.found().contains(".cp1.image: expected is \"rust:1.91-bookworm\", and there is"));
}

#[test]
fn a_difference_is_named_by_its_place_and_both_values() {
    let project = Project::of(Tool::Installed);
    project.edit(GITHUB, "continue-on-error: true", "continue-on-error: false");
    project.edit(GITHUB, VERIFY_STEP, "      - run: 'true'\n");
    let named = [
        "jobs.cp1_smoke.continue-on-error: expected is true, and there is false",
        "jobs.cp1_verify.steps.1.run: expected is \"perf-gate verify --ci\", and there is \"true\"",
    ];
    let found = project.found();
    let mut lines: Vec<&str> = found.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, named.map(|named| format!("{GITHUB} {named}")));
}

#[test]
fn a_check_of_the_same_name_in_another_workflow_is_found() {
    for (text, is_found) in [
        ("on: push\njobs: {cp1_verify: {runs-on: x, steps: [{run: 'true'}]}}\n", true),
        ("on: push\njobs: {a: {name: CP1_verify, runs-on: x, steps: []}}\n", true),
        ("on: push\njobs: {a: {name: cp1_verify, \n", true),
        ("on: push\njobs: {a: {name: tests, runs-on: x, steps: []}}\n", false),
    ] {
        let project = Project::of(Tool::Installed);
        project.write(".github/workflows/other.yaml", text);
        let found = project.found();
        assert_eq!(found.starts_with(".github/workflows/other.yaml"), is_found, "{text}{found}");
    }
}

#[test]
fn what_a_repository_cannot_show_is_said() {
    let project = Project::of(Tool::Installed);
    let template = "include: [{local: .gitlab-ci.perf.yml}, {template: Jobs/SAST.gitlab-ci.yml}]\n";
    project.write(GITLAB_MAIN, template);
    let unseen = project.look().unseen.join("\n");
    for said in [
        "Jobs/SAST.gitlab-ci.yml",
        "variables of the project",
        "whether cp1_verify is a required check",
        "which branch is the default one is not known here",
    ] {
        assert!(unseen.contains(said), "{unseen}");
    }
    let alone = tempfile::tempdir().unwrap();
    assert_eq!(look(&Contract::at(alone.path()), Tool::Installed).unwrap(), Seen::default());
}

#[test]
fn the_default_branch_that_the_clone_knows_must_start_the_gate() {
    let repository = Repository::frozen();
    repository.write(GITHUB, &jobs::github(Tool::Installed, "main"));
    repository.commit("integrate");
    let answer = repository.gate(&["verify"]);
    assert!(answer.code == 0 && answer.stdout.ends_with("the contract is kept\n"), "{answer:?}");
    assert!(answer.stdout.contains("note: not seen from here: GitHub: which branch"), "{answer:?}");
    let head = "refs/remotes/origin/HEAD";
    repository.git(&["symbolic-ref", head, "refs/remotes/origin/trunk"]);
    repository.is_broken(&[], &["on.push.branches", "trunk"]);
    let lint = repository.gate(&["lint"]);
    assert!(lint.code == 1 && lint.stdout.contains("on.push.branches"), "{lint:?}");
}

#[test]
fn a_file_that_was_removed_is_found_against_a_revision() {
    for file in [GITLAB, GITHUB] {
        let repository = Repository::frozen();
        repository.write(GITLAB, &jobs::gitlab(Tool::Installed));
        repository.write(GITHUB, &jobs::github(Tool::Installed, "main"));
        repository.commit("integrate");
        repository.git(&["switch", "--quiet", "--create", "work"]);
        repository.git(&["rm", "--quiet", file]);
        repository.commit("remove");
        repository.is_broken(&["--against", "main"], &[file, "the file is gone"]);
    }
}
