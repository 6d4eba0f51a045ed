//! Every format by its published schema, or by a program that users have: xmllint, promtool, prove and cmark-gfm,
//! which scripts/setup.sh --test installs.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::common::showcase::{HOSTILE, of_text, scenes};
use cp1_format::{Outcome, Verdict};
use perf_gate::render::{Shown, code_quality, junit, markdown, metrics, sarif, tap};
use serde_json::{Value, json};

fn schema(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/schemas").join(name)
}

/// Verdicts of every kind, and with hostile texts.
fn verdicts() -> Vec<Verdict> {
    let mut random = fastrand::Rng::with_seed(13);
    let mut text =
        || -> String { (0..8).map(|_| random.choice(HOSTILE).unwrap()).copied().collect() };
    let hostile: Vec<_> = (0..40).map(|_| of_text(&text(), 2)).collect();
    scenes().into_iter().map(|scene| scene.verdict).chain(hostile).collect()
}

/// Runs a program that must be there.
fn run(program: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; scripts/setup.sh --test installs it"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Of this tree, where scripts/setup.sh has put it there.
fn promtool(input: &str) -> Output {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../_build/test_tools/usr/bin/promtool");
    let program = if own.exists() { own.display().to_string() } else { "promtool".to_owned() };
    run(&program, &["check", "metrics"], input)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn junit_fits_the_schema_of_jenkins() {
    let directory = tempfile::tempdir().unwrap();
    let schema = schema("junit.xsd").display().to_string();
    let mut files = Vec::new();
    for (index, verdict) in verdicts().iter().enumerate() {
        let file = directory.path().join(format!("{index}.xml"));
        std::fs::write(&file, junit::render(&Shown::alone(verdict)).unwrap()).unwrap();
        files.push(file.display().to_string());
    }
    let mut arguments = vec!["--noout", "--nonet", "--schema", &schema];
    arguments.extend(files.iter().map(String::as_str));
    let done = run("xmllint", &arguments, "");
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(said(&done).matches(" validates\n").count(), files.len());
    // The schema finds what is wrong.
    let broken = std::fs::read_to_string(&files[0]).unwrap().replacen(
        "<testcase ",
        "<testcase colour=\"\" ",
        1,
    );
    std::fs::write(&files[0], broken).unwrap();
    let done = run("xmllint", &["--noout", "--nonet", "--schema", &schema, &files[0]], "");
    assert!(!done.status.success() && said(&done).contains("colour"), "{}", said(&done));
}

#[test]
fn sarif_fits_its_schema() {
    // Of the schema one pattern, that of a language, has a bracket too much: no regular expression to those who
    // look closely.
    let text = std::fs::read_to_string(schema("sarif-2.1.0.schema.json")).unwrap();
    assert!(text.contains("[a-zA-Z]{2}]?$"), "it is corrected: leave this out");
    let schema: Value =
        serde_json::from_str(&text.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}?$")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut results = 0;
    for verdict in verdicts() {
        let log: Value =
            serde_json::from_str(&sarif::render(&Shown::alone(&verdict)).unwrap()).unwrap();
        let errors: Vec<_> = validator.iter_errors(&log).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{log}");
        let run = &log["runs"][0];
        for result in run["results"].as_array().unwrap() {
            // What the standard says, and its schema does not.
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
            assert_eq!(result["kind"], "fail", "no other kind may have a level");
            results += 1;
        }
        let mut broken = log.clone();
        broken["runs"][0]["columnKind"] = json!("x");
        assert!(!validator.is_valid(&broken));
    }
    assert!(results > 100, "{results}");
}

#[test]
fn code_quality_has_the_fields_that_gitlab_documents() {
    for verdict in verdicts() {
        let report: Value =
            serde_json::from_str(&code_quality::render(&Shown::alone(&verdict)).unwrap()).unwrap();
        let found = report.as_array().unwrap();
        let mut fingerprints = Vec::new();
        for entry in found {
            for text in ["description", "check_name", "fingerprint"] {
                assert!(!entry[text].as_str().unwrap().is_empty(), "{entry}");
            }
            let severities = ["info", "minor", "major", "critical", "blocker"];
            assert!(severities.contains(&entry["severity"].as_str().unwrap()), "{entry}");
            let path = entry["location"]["path"].as_str().unwrap();
            assert!(!path.starts_with(['/', '.']), "relative to the repository: {path}");
            assert!(entry["location"]["lines"]["begin"].as_u64().unwrap() > 0, "{entry}");
            fingerprints.push(entry["fingerprint"].clone());
        }
        let is_empty = verdict.outcome == Outcome::Pass
            && verdict.rules.iter().all(|rule| rule.waiver.is_none());
        assert_eq!(found.is_empty(), is_empty, "{report}");
    }
}

#[test]
fn promtool_and_gitlab_take_the_metrics() {
    for verdict in verdicts() {
        let text = metrics::render(&Shown::alone(&verdict));
        let done = promtool(&text);
        assert!(done.status.success(), "{}\n{text}", said(&done));
        // GitLab splits a line as a shell does: name with labels, and value.
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert_eq!(line.split(' ').count(), 2, "{line}");
        }
    }
    let done = promtool("# TYPE cp1_x gauge\ncp1_x{a=\"} 1\n");
    assert!(!done.status.success(), "{}", said(&done));
}

#[test]
fn prove_says_pass_where_the_verdict_is_pass_and_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    for (index, verdict) in verdicts().iter().enumerate() {
        let file = directory.path().join(format!("{index}.tap"));
        std::fs::write(&file, tap::render(&Shown::alone(verdict))).unwrap();
        let done = run("prove", &["--verbose", &file.display().to_string()], "");
        let text = said(&done);
        assert_eq!(done.status.success(), verdict.outcome == Outcome::Pass, "{text}");
        assert!(!text.contains("Parse errors"), "{text}");
        let tests = 1 + verdict.rules.len() + verdict.unserved.len();
        assert!(text.contains(&format!("Files=1, Tests={tests}, ")), "{text}");
    }
}

#[test]
fn the_renderer_of_github_finds_tables_in_what_is_folded_and_no_html_of_others() {
    for verdict in verdicts() {
        let page = markdown::render(&Shown::alone(&verdict));
        let extensions = ["--extension", "table", "--extension", "autolink", "--unsafe"];
        let done = run("cmark-gfm", &extensions, &page);
        assert!(done.status.success(), "{}", said(&done));
        let html = said(&done);
        let tables = page
            .lines()
            .filter(|line| line.starts_with("| --- ") || line.starts_with("| ---|"))
            .count();
        assert_eq!(html.matches("<table>").count(), tables, "{page}\n{html}");
        assert!(tables > 0 && !html.contains("<p>|"), "{html}");
        for tag in ["<details>", "</details>", "<summary>"] {
            assert_eq!(html.matches(tag).count(), page.matches(tag).count(), "{html}");
        }
        let known = [
            "<!-- cp1",
            "<h2>",
            "</h2>",
            "<h3>",
            "</h3>",
            "<p>",
            "</p>",
            "<ul>",
            "</ul>",
            "<li>",
            "</li>",
            "<code>",
            "</code>",
            "<table>",
            "</table>",
            "<thead>",
            "</thead>",
            "<tbody>",
            "</tbody>",
            "<tr>",
            "</tr>",
            "<th>",
            "</th>",
            "<td>",
            "</td>",
            "<details>",
            "</details>",
            "<summary>",
            "</summary>",
        ];
        for (at, _) in html.match_indices('<') {
            assert!(known.iter().any(|tag| html[at..].starts_with(tag)), "{}", &html[at..]);
        }
    }
}
