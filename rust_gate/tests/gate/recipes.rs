//! The recipes of docs/recipes: they fit the platforms' schemas, and a comment has nothing of what a stranger's
//! code left but what perf-gate would write.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::showcase::{of_text, scenes};
use perf_gate::render::{Shown, markdown};
use serde_json::{Value, json};

const GITHUB: &str = "github_comment.yml";
const GITLAB: &str = "gitlab_comment.yml";
const SCANNING: &str = "github_code_scanning.yml";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join("docs/recipes").join(name)).unwrap()
}

fn recipe(name: &str) -> Value {
    serde_saphyr::from_str(&text(name)).unwrap()
}

#[test]
fn every_recipe_fits_its_platforms_schema() {
    let mut known = 0;
    for entry in std::fs::read_dir(root().join("docs/recipes")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let platform = if name.starts_with("gitlab") { "gitlab-ci" } else { "github-workflow" };
        let schema = root().join(format!("tests/schemas/{platform}.schema.json"));
        let schema: Value = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<_> =
            validator.iter_errors(&recipe(&name)).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
        known += 1;
    }
    assert_eq!(known, 3);
}

#[test]
fn a_workflow_that_may_write_runs_no_code_of_a_change_and_takes_no_text_into_its_script() {
    for name in [GITHUB, SCANNING] {
        let workflow = recipe(name);
        assert_eq!(
            workflow["on"].as_object().unwrap().keys().collect::<Vec<_>>(),
            ["workflow_run"]
        );
        assert_eq!(workflow["permissions"], json!({}), "{name}");
        for job in workflow["jobs"].as_object().unwrap().values() {
            assert!(job["if"].as_str().unwrap().starts_with("github.event.workflow_run.event == "));
            for step in job["steps"].as_array().unwrap() {
                assert!(step["uses"].is_null(), "nothing is checked out: {step}");
                assert!(!step["run"].as_str().unwrap().contains("${{"), "{step}");
            }
        }
    }
}

/// A directory in which the script of a recipe runs, with a stub of the platform's program.
struct Runner(tempfile::TempDir);

/// Answers as `gh api` and `curl` do, from files, and writes down what it was called with.
const STUB: &str = r#"#!/usr/bin/env bash
echo "$*" >>calls
case "$*" in
  *POST* | *PUT* | *PATCH*) cp page.md posted.md; echo '{}' ;;
  *pulls*) cat pulls.json ;;
  */merge_requests/5) cat request.json ;;
  */user) echo '{"id": 7}' ;;
  *notes* | *comments*) cat comments.json ;;
  *) exit 1 ;;
esac
"#;

impl Runner {
    fn with(page: &str) -> Self {
        let runner = Self(tempfile::tempdir().unwrap());
        for directory in ["run", "_artifacts", "bin"] {
            std::fs::create_dir(runner.path(directory)).unwrap();
        }
        for place in ["run", "_artifacts"] {
            runner.write(&format!("{place}/perf_summary_1.md"), page);
        }
        for program in ["gh", "curl"] {
            runner.write(&format!("bin/{program}"), STUB);
            let mode = PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(runner.path(&format!("bin/{program}")), mode).unwrap();
        }
        let pulls =
            json!([{"number": 4, "head": {"sha": "other"}}, {"number": 5, "head": {"sha": "abc"}}]);
        runner.write("pulls.json", &pulls.to_string());
        runner.write("request.json", r#"{"sha": "abc"}"#);
        runner.write("comments.json", "[]");
        runner
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs the script of a recipe; what it posts, and all calls.
    fn run(&self, name: &str) -> Result<(String, String), String> {
        let recipe = recipe(name);
        let script = match name {
            GITLAB => recipe["perf_comment"]["script"][0].clone(),
            _ => recipe["jobs"]["comment"]["steps"][1]["run"].clone(),
        };
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let variables = [
            ("GH_REPO", "o/r"),
            ("RUN_URL", "https://example.org/run"),
            ("COMMIT", "abc"),
            ("HEAD", "stranger:x"),
            ("PERF_COMMENT_TOKEN", "t"),
            ("CI_API_V4_URL", "https://example.org"),
            ("CI_PROJECT_ID", "3"),
            ("CI_MERGE_REQUEST_IID", "5"),
            ("CI_COMMIT_SHA", "abc"),
            ("CI_PIPELINE_URL", "https://example.org/run"),
        ];
        let done = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script.as_str().unwrap()])
            .current_dir(self.0.path())
            .env("PATH", path)
            .envs(variables)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        if done.status.success() {
            Ok((self.read("posted.md"), self.read("calls")))
        } else {
            Err(said)
        }
    }
}

/// Without blank lines, of which the filter adds some.
fn lines(page: &str) -> Vec<&str> {
    page.lines().filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_page_of_perf_gate_arrives_as_it_is() {
    for name in [GITHUB, GITLAB] {
        for scene in scenes() {
            let page = markdown::render(&Shown::alone(&scene.verdict));
            let (posted, _) = Runner::with(&page).run(name).unwrap();
            let (posted, page) = (lines(&posted), lines(&page));
            let (last, before) = posted.split_last().unwrap();
            assert_eq!(before, page, "{}", scene.name);
            assert!(last.contains("(https://example.org/run) of abc."), "{last}");
        }
        // Texts of hostile files, which perf-gate escapes.
        let page =
            markdown::render(&Shown::alone(&of_text("</details> @someone | <b> \r\n/merge #1", 2)));
        let (posted, _) = Runner::with(&page).run(name).unwrap();
        assert_eq!(lines(&posted).split_last().unwrap().1, lines(&page));
    }
}

#[test]
fn what_perf_gate_does_not_write_is_left_out() {
    let left_out = "(a line that perf-gate does not write)";
    for name in [GITHUB, GITLAB] {
        for line in [
            "@someone",
            "see #12",
            "#12 is mine",
            "/merge",
            "/approve",
            "![x](https://example.org/x.png)",
            "[click](https://example.org)",
            "https://example.org",
            "www.example.org",
            "<img src=x>",
            "<details open>",
            "<details><summary><b>x</b></summary>",
            "</details><script>",
            "<!-- cp1-perf-gate --><img>",
            "a@example.org",
            "| `a | @x` |",
            "``@x``",
            "```@x`",
            "`` ` @x ` ``",
            "\\`@x`",
            "`a",
            "~~~",
            "&#64;someone",
            "$x$",
            "ünlauter",
        ] {
            let page = format!("<!-- cp1-perf-gate -->\n## PASS\n\n{line}\n\nx\n");
            let (posted, _) = Runner::with(&page).run(name).unwrap();
            let posted = lines(&posted);
            assert_eq!(posted[..4], ["<!-- cp1-perf-gate -->", "## PASS", left_out, "x"], "{line}");
        }
        // A line break that only a reader of Markdown sees, and HTML in which code spans are none.
        let page = "<!-- cp1-perf-gate -->\n`a\r\r@x`\n<details><summary>x</summary>\n`<img src=x>` `@x`\n";
        let (posted, _) = Runner::with(page).run(name).unwrap();
        assert!(posted.starts_with("<!-- cp1-perf-gate -->\n\n`a@x`\n"), "{posted}");
        assert!(posted.contains("</summary>\n\n`<img src=x>`"), "{posted}");
    }
}

#[test]
fn only_the_pull_request_whose_commit_was_measured_gets_a_comment_whatever_the_page_says() {
    let page = "<!-- cp1-perf-gate -->\n4\n";
    let (_, calls) = Runner::with(page).run(GITHUB).unwrap();
    assert!(calls.contains("--raw-field head=stranger:x"), "{calls}");
    assert!(
        calls.contains("--method POST repos/o/r/issues/5/comments --field body=@page.md"),
        "{calls}"
    );
    assert!(!calls.contains("issues/4"), "{calls}");
    let runner = Runner::with(page);
    runner.write("pulls.json", "[]");
    let (posted, _) = runner.run(GITHUB).unwrap();
    assert_eq!(posted, "", "no pull request has this commit");
    let runner = Runner::with(page);
    runner.write("request.json", r#"{"sha": "newer"}"#);
    assert_eq!(runner.run(GITLAB).unwrap().0, "", "the merge request has another by now");
}

#[test]
fn the_comment_that_is_there_is_replaced_and_nobody_elses() {
    let page = "<!-- cp1-perf-gate -->\nx\n";
    let own = "<!-- cp1-perf-gate -->\nbefore";
    for (name, call, mine, theirs) in [
        (
            GITHUB,
            "--method PATCH repos/o/r/issues/comments/2 --field body=@page.md",
            json!({"id": 2, "user": {"login": "github-actions[bot]"}, "body": own}),
            json!({"id": 1, "user": {"login": "someone"}, "body": own}),
        ),
        (
            GITLAB,
            "--request PUT https://example.org/projects/3/merge_requests/5/notes/2 --data-urlencode",
            json!({"id": 2, "author": {"id": 7}, "body": own}),
            json!({"id": 1, "author": {"id": 8}, "body": own}),
        ),
    ] {
        let runner = Runner::with(page);
        runner.write("comments.json", &json!([theirs, mine]).to_string());
        let (posted, calls) = runner.run(name).unwrap();
        assert!(calls.contains(call) && !calls.contains("POST"), "{calls}");
        assert!(lines(&posted).contains(&"x"));
        let runner = Runner::with(page);
        runner.write("comments.json", &json!([theirs]).to_string());
        assert!(runner.run(name).unwrap().1.contains("POST"));
    }
}

#[test]
fn a_page_that_is_none_is_not_posted() {
    for name in [GITHUB, GITLAB] {
        for page in ["", "x\n", "<!-- other -->\n", " <!-- cp1-perf-gate -->\n"] {
            let runner = Runner::with(page);
            assert!(runner.run(name).is_err(), "{page}");
            assert_eq!(runner.read("posted.md"), "");
        }
        let runner = Runner::with("");
        for place in ["run", "_artifacts"] {
            let link = runner.path(&format!("{place}/perf_summary_1.md"));
            std::fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", link).unwrap();
        }
        assert!(runner.run(name).is_err());
        assert_eq!(runner.read("posted.md"), "");
    }
}
