//! The jobs of continuous integration, in one definition: what `init` writes, and what `verify` compares
//! a project's files with.

use std::path::Path;

use crate::read::git::Git;

/// Where the judge comes from: never from the change that is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// A perf-gate that the machine has.
    Installed,
    /// The project is perf-gate's own: built of the target branch, beside the work tree.
    Built,
}

impl Tool {
    /// That of a project's jobs. Only in the repository that this program was built of do they build it: in
    /// any other one the scripts that do so would be the project's to write.
    #[must_use]
    pub fn of(project: &Path) -> Self {
        let place = |directory: &Path| {
            let git = Git::at(directory);
            let common = git.path(&git.text(&["rev-parse", "--git-common-dir"]).ok()?);
            Some((common.canonicalize().ok()?, git.text(&["rev-parse", "--show-prefix"]).ok()?))
        };
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(place);
        if own.is_some() && own == place(project) { Self::Built } else { Self::Installed }
    }
}

/// GitLab's file.
#[must_use]
pub fn gitlab(tool: Tool) -> String {
    let template = include_str!("templates/gitlab.yml");
    let [image, verify, smoke, gate] = match tool {
        Tool::Installed => [
            "  # image: one that has Erlang, the project's build tool, git and perf-gate"
                .to_owned(),
            "    - perf-gate verify --ci".to_owned(),
            "    - perf-gate run".to_owned(),
            "    - perf-gate run".to_owned(),
        ],
        Tool::Built => [
            // In a Docker executor a job is root, so scripts/setup.sh installs Erlang.
            "  image: rust:1.91-bookworm".to_owned(),
            format!(
                "    - |\n{}",
                indented(6, &[FETCH, &of_target("verify_contract.sh")].concat())
            ),
            format!("    - |\n{}", indented(6, &of_target("perf_gate.sh"))),
            "    - ./scripts/perf_gate.sh".to_owned(),
        ],
    };
    template
        .replace("{{image}}", &image)
        .replace("{{verify}}", &verify)
        .replace("{{smoke}}", &smoke)
        .replace("{{gate}}", &gate)
}

/// GitHub's file, for a project with this default branch.
#[must_use]
pub fn github(tool: Tool, branch: &str) -> String {
    let template = include_str!("templates/github.yml");
    let [runner, verify, measure] = match tool {
        Tool::Installed => {
            ["[self-hosted, cp1-perf]", "perf-gate verify --ci", "perf-gate run"].map(str::to_owned)
        }
        Tool::Built => [
            "ubuntu-latest".to_owned(),
            format!("|\n{}", indented(10, &of_target("verify_contract.sh"))),
            format!("|\n{}", indented(10, &of_target("perf_gate.sh"))),
        ],
    };
    template
        .replace("{{runner}}", &runner)
        .replace("{{verify}}", &verify)
        .replace("{{measure}}", &measure)
        .replace("{{branch}}", &serde_json::Value::from(branch).to_string())
}

/// Fetches the target branch of a merge request.
const FETCH: &str = r#"target=${CI_MERGE_REQUEST_TARGET_BRANCH_NAME:-}
if [ -n "$target" ]; then
  PERF_TRUSTED_REF=refs/remotes/origin/$target
  git fetch --quiet --no-tags origin "+refs/heads/$target:$PERF_TRUSTED_REF"
fi
"#;

/// Runs a script of the target branch on this work tree. Its tree is outside of this one, whose
/// `.cargo/config.toml` cargo would read otherwise.
fn of_target(script: &str) -> String {
    format!(
        r#"judge=$(mktemp -d)/judge
git worktree add --quiet --detach "$judge" "${{PERF_TRUSTED_REF:-HEAD}}"
code=0
CP1_PROJECT=$PWD "$judge/scripts/{script}" || code=$?
git worktree remove --force "$judge"
exit "$code"
"#
    )
}

fn indented(columns: usize, text: &str) -> String {
    let space = " ".repeat(columns);
    text.lines().map(|line| format!("{space}{line}")).collect::<Vec<_>>().join("\n")
}
