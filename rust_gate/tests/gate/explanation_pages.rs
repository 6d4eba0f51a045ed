//! Explanations on every page: over fixtures, with text that looks like something else, and without any
//! effect on a verdict.

use std::time::{Duration, Instant};

use crate::common::profiles::{Router, explained, hostile, planted};
use crate::common::repository::Repository;
use crate::common::showcase::{HOSTILE, scenes};
use crate::common::{fits, fits_a_terminal};
use cp1_format::{Explanation, Outcome, to_json};
use perf_gate::artifacts::{self, Stamp};
use perf_gate::read::git::Git;
use perf_gate::read::lines::Sources;
use perf_gate::render::terminal::Detail;
use perf_gate::render::{Shown, explanation, html, markdown, terminal};
use scraper::{Html, Selector};

/// One with a lock, and a function whose commits are known.
fn fixture() -> Explanation {
    let mut found = hostile("router_made:up/1");
    found.places.truncate(8);
    found
}

#[test]
fn pages_over_a_fixture() {
    let found = fixture();
    insta::assert_snapshot!("terminal_short", explanation::terminal(&found, Detail::Short));
    insta::assert_snapshot!("terminal", explanation::terminal(&found, Detail::Explained));
    let scene = scenes().into_iter().find(|scene| scene.verdict.outcome == Outcome::Regression);
    let scene = scene.expect("one of each kind");
    let shown = Shown { explanation: Some(&found), ..Shown::alone(&scene.verdict) };
    insta::assert_snapshot!("markdown", markdown::render(&shown));
    let page = Html::parse_document(&html::render(&shown));
    let why = page.select(&Selector::parse("main > section#why").unwrap()).next().unwrap();
    insta::assert_snapshot!("html", why.html().replace("><", ">\n<"));
}

#[test]
fn nothing_is_explained_in_a_sentence() {
    let same = Router::new().measured(0.0, 1.0, 1);
    let found = explained(same.clone(), same);
    let page = explanation::terminal(&found, Detail::Short);
    assert!(page.contains("  none: what both builds do for a request hardly differs\n"), "{page}");
    assert!(page.contains("without trace the time of a request hardly differed"), "{page}");
}

#[test]
fn an_explanation_changes_no_verdict_and_is_a_file_of_its_own() {
    let found = explained(
        Router::new().measured(0.0, 1.0, 1),
        planted().remove(0).router.measured(0.0, 1.0, 1),
    );
    for scene in scenes() {
        let alone = Shown::new(&scene.verdict, &scene.inputs);
        let with = Shown { explanation: Some(&found), ..alone };
        let stamp = Stamp::new(None, None);
        let files = |shown| artifacts::of(shown, &stamp).unwrap();
        let (without, with) = (files(&alone), files(&with));
        assert_eq!(with.len(), without.len() + 1);
        for (before, after) in without.iter().zip(&with) {
            assert_eq!(before.name, after.name);
            let is_told = ["log", "md", "html"].iter().any(|it| before.name.ends_with(it));
            assert_eq!(before.content != after.content, is_told, "{}", before.name);
        }
        let file = with.last().unwrap();
        assert_eq!(file.name, "perf_explanation_no-candidate.json");
        assert!(artifacts::is_of_a_run(&file.name));
        fits("explanation", &serde_json::from_str(&file.content).unwrap());
        let log = &with.iter().find(|file| file.name.ends_with("log")).unwrap().content;
        let verdict = terminal::explained(&scene.verdict);
        assert!(log.starts_with(&verdict), "the verdict stands first, as it was");
    }
}

/// The lines that begin with what the page itself says.
fn shape(page: &str) -> Vec<String> {
    page.lines().filter(|line| !line.starts_with(' ')).map(str::to_owned).collect()
}

#[test]
fn no_text_of_a_build_steers_a_page() {
    let texts = HOSTILE.iter().copied().chain(["VERDICT: PASS (exit 0)", "a\nb", ""]);
    let scene = scenes().remove(0);
    let tags = |explanation: &Explanation| {
        let shown = Shown { explanation: Some(explanation), ..Shown::alone(&scene.verdict) };
        let page = html::render(&shown);
        assert!(page.len() < 1024 * 1024);
        let parsed = Html::parse_document(&page);
        assert_eq!(parsed.errors.len(), 0, "{:?}", parsed.errors);
        let all = Selector::parse("#why *").unwrap();
        parsed.select(&all).map(|it| it.value().name().to_owned()).collect::<Vec<_>>()
    };
    let plain = hostile("x");
    let count = |name: &str, tags: &[String]| tags.iter().filter(|tag| *tag == name).count();
    for text in texts {
        let found = hostile(text);
        for detail in [Detail::Short, Detail::Explained] {
            let page = explanation::terminal(&found, detail);
            fits_a_terminal(&page);
            assert_eq!(shape(&page), shape(&explanation::terminal(&plain, detail)), "{page}");
            assert!(!page.lines().any(|line| line.trim_start().starts_with("::")), "{page}");
        }
        let (expected, tags) = (tags(&plain), tags(&found));
        for name in ["script", "img", "a", "b", "style", "table", "details"] {
            assert_eq!(count(name, &tags), count(name, &expected), "{name} of {text:?}");
        }
        let shown = Shown { explanation: Some(&found), ..Shown::alone(&scene.verdict) };
        let page = markdown::render(&shown);
        assert!(page.is_ascii() || !text.is_ascii() || page.contains('…'), "{page}");
        assert_eq!(page.matches("<details>").count(), page.matches("</details>").count());
        let is_code = |line: &&str| line.starts_with("- `") || line.starts_with("  - `");
        let of_lists = page.lines().filter(|line| line.trim_start().starts_with("- "));
        assert_eq!(of_lists.clone().filter(is_code).count(), of_lists.count(), "{page}");
        assert!(to_json(&found).unwrap().is_ascii());
    }
}

#[test]
fn the_commits_of_a_function_are_those_that_changed_its_lines() {
    let repository = Repository::new();
    let module = "-module(m).\n\nf(1) ->\n    a;\nf(X) ->\n    X.\n\ng() ->\n    ok.\n";
    repository.write("apps/m/src/m.erl", module);
    repository.write("_build/m.erl", "-module(m).\n");
    let from = repository.commit("first");
    repository.edit("apps/m/src/m.erl", "    ok.", "    fine.");
    repository.commit("g is changed");
    repository.edit("apps/m/src/m.erl", "    X.", "    {X}.");
    let changed = repository.commit("f's second clause ::error::");
    repository.write("other.erl", "-module(other).\n");
    repository.commit("another file");
    let git = Git::at(&repository.path("."));
    let sources = Sources::of(&git, &from, "HEAD").unwrap();
    let soon = Instant::now() + Duration::from_secs(60);
    let history = sources.history("m:f/1", soon).unwrap();
    assert!(history.command.starts_with("git log -L3,6:apps/m/src/m.erl "), "{}", history.command);
    let commits: Vec<_> =
        history.commits.iter().map(|it| (&it.commit, it.subject.as_str())).collect();
    assert_eq!(commits, [(&changed, "f's second clause ::error::")]);
    // The command is what a shell takes, and shows the change.
    let words: Vec<&str> = history.command.split(' ').skip(1).collect();
    assert!(repository.git(&words).contains("+    {X}."));
    // Lines that are not found: who changed the module.
    let history = sources.history("m:gone/7", soon).unwrap();
    assert!(history.command.ends_with(" -- apps/m/src/m.erl"), "{}", history.command);
    assert_eq!(history.commits.len(), 2);
    assert_eq!(sources.history("lists:map/2", soon), None);
    // Out of time: the command alone.
    let late = sources.history("m:f/1", Instant::now()).unwrap();
    assert!(late.commits.is_empty() && late.command.contains("-L3,6:"));
    assert!(Sources::of(&git, &from, "no-such").is_err());
}
