//! The comment and job summary, read by comrak, with which GitLab renders Markdown; it keeps to cmark-gfm, with
//! which GitHub does, down to the same tests.

use crate::common::showcase::{HOSTILE, of_text, scenes};
use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};
use cp1_format::Verdict;
use perf_gate::render::{Shown, markdown};
use proptest::prelude::*;

/// Longest of the platforms' shortest: GitHub's comments, in characters.
const COMMENT_MAX: usize = 65_536;

fn options() -> Options<'static> {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options
}

/// What a page is made of, in order, without what its texts say. HTML is told word by word.
fn shape(page: &str) -> Vec<String> {
    let arena = Arena::new();
    let root = parse_document(&arena, page, &options());
    let kind = |value: &NodeValue| match value {
        NodeValue::Text(_) => None,
        NodeValue::Code(_) => Some("code".to_owned()),
        NodeValue::HtmlBlock(block) => Some(block.literal.trim().to_owned()),
        NodeValue::HtmlInline(text) => Some(format!("inline {text}")),
        NodeValue::Link(_) | NodeValue::Image(_) => Some("LINK".to_owned()),
        value => {
            let text = format!("{value:?}");
            Some(text.split([' ', '(', '{']).next().unwrap_or_default().to_owned())
        }
    };
    root.descendants().filter_map(|node| kind(&node.data.borrow().value)).collect()
}

/// Whether this opens a fold, and nothing else.
fn is_fold(html: &str) -> bool {
    let summary =
        html.strip_prefix("<details><summary>").and_then(|it| it.strip_suffix("</summary>"));
    summary.is_some_and(|text| text.chars().all(|c| c.is_ascii_alphabetic() || c == ' '))
}

/// A page is well-formed: what is open is closed, one after the other, and nothing else is HTML.
fn is_well_formed(page: &str) -> Result<(), String> {
    let mut is_open = false;
    for (index, part) in shape(page).iter().enumerate() {
        match part.as_str() {
            markdown::MARKER if index == 1 => {}
            "</details>" if is_open => is_open = false,
            text if is_fold(text) && !is_open => is_open = true,
            text if text.contains('<') || text == "LINK" => {
                return Err(format!("{text} at {index}"));
            }
            _ => {}
        }
    }
    if is_open { Err("it ends in the midst of what is folded".to_owned()) } else { Ok(()) }
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        prop::sample::select(HOSTILE).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_text_changes_the_shape_of_a_comment(text in text()) {
        let page = markdown::render(&Shown::alone(&of_text(&text, 2)));
        prop_assert_eq!(shape(&page), shape(&markdown::render(&Shown::alone(&of_text("x", 2)))), "{}", page);
        prop_assert_eq!(is_well_formed(&page), Ok(()));
    }
}

#[test]
fn what_is_folded_is_still_markdown() {
    for scene in scenes() {
        let page = markdown::render(&Shown::alone(&scene.verdict));
        assert_eq!(is_well_formed(&page), Ok(()), "{}: {page}", scene.name);
        let shape = shape(&page);
        let folded = shape.iter().position(|part| part.contains("<summary>Judged files"));
        assert_eq!(shape[folded.expect("it is there") + 1], "Table", "{page}");
    }
    // Without the blank line it would not be, so this test can fail.
    let page = markdown::render(&Shown::alone(&scenes()[0].verdict))
        .replace("</summary>\n\n", "</summary>\n");
    assert!(is_well_formed(&page).is_err(), "{page}");
}

#[test]
fn a_reviewer_reads_outcome_what_happened_and_what_to_do_first() {
    for scene in scenes() {
        let Verdict { outcome, exit_code, summary, .. } = &scene.verdict;
        let page = markdown::render(&Shown::alone(&scene.verdict));
        let lines: Vec<_> = page.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines[0], "<!-- cp1-perf-gate -->");
        assert_eq!(lines[1], format!("## CP1 performance gate: {}", outcome.word()));
        assert_eq!(lines[2], format!("`{summary}` (exit {exit_code})"));
        assert!(lines[3].starts_with("What to do: `"), "{page}");
        if !scene.verdict.rules.is_empty() {
            assert!(lines[4].starts_with("| metric |"), "{page}");
        }
    }
}

#[test]
fn a_page_is_cut_where_platforms_refuse_more_and_stays_well_formed() {
    for text in ["x".repeat(5000), "`".repeat(5000), "\u{1b}".repeat(5000), "日".repeat(5000)] {
        for repeated in [1, 10, 100, 400] {
            let page = markdown::render(&Shown::alone(&of_text(&text, repeated)));
            assert!(page.len() <= COMMENT_MAX - 5_000, "{}", page.len());
            assert_eq!(is_well_formed(&page), Ok(()));
            assert!(page.starts_with("<!-- cp1-perf-gate -->\n## CP1 performance gate: INVALID\n"));
            if repeated > 10 {
                assert!(page.ends_with(" more lines are in the log.\n"), "{page}");
            }
        }
    }
    // Wherever the cut falls.
    for length in (20..300).step_by(7) {
        let page = markdown::render(&Shown::alone(&of_text(&"x".repeat(length), 300)));
        assert_eq!(is_well_formed(&page), Ok(()), "{length}");
    }
}
