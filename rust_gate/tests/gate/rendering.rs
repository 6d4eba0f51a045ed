//! Text out of files is data: whatever it is, a page keeps its shape.

use crate::common::showcase::{HOSTILE, of_text as verdict};
use cp1_format::{Amount, Judgement};
use perf_gate::escape::{code, line, plain};
use perf_gate::render::terminal::{Detail, Paint};
use perf_gate::render::{Shown, erlang_terms, figures, terminal};
use proptest::prelude::*;

/// Replaces every string by a letter, the way Erlang finds them.
fn without_strings(terms: &str) -> String {
    let mut plain = String::new();
    let mut characters = terms.chars();
    while let Some(character) = characters.next() {
        plain.push(character);
        if character != '"' {
            continue;
        }
        loop {
            match characters.next() {
                Some('\\') => drop(characters.next()),
                Some('"') => break,
                Some(_) => {}
                None => return "a string that does not end".to_owned(),
            }
        }
    }
    plain
}

fn is_hostile(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(u32::from(character),
            0xad | 0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x2069 | 0xfeff
            | 0xe0001..=0xe007f)
}

/// Text that is likely to break something.
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
    fn no_text_steers_a_terminal_or_begins_a_line(text in text(), repeated in 1..6usize) {
        let text = text.repeat(repeated);
        for detail in [Detail::Short, Detail::Explained] {
            let page = terminal::render(&verdict(&text, 2), detail, Paint::Plain, Some(&text));
            prop_assert!(!page.chars().any(is_hostile), "{page:?}");
            let is_command =
                |line: &str| line.trim_start().starts_with("::") || line.contains("##");
            prop_assert!(!page.lines().any(is_command), "{page}");
            for line in page.lines() {
                prop_assert!(figures::width(line) <= 80, "{} columns: {line:?}", figures::width(line));
            }
            let of_x = terminal::render(&verdict("x", 2), detail, Paint::Plain, Some("x"));
            // What is told of the text alone: an input's name, a metric, a heading, the answer.
            let first_words = |page: &str| {
                let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with(' '));
                lines.map(|line| line[..line.find(' ').unwrap_or(line.len())].to_owned()).collect::<Vec<_>>()
            };
            prop_assert_eq!(first_words(&page), first_words(&of_x), "{}", page);
            let last = page.lines().rfind(|line| !line.starts_with(' ')).unwrap();
            prop_assert!(last.starts_with("VERDICT: INVALID (exit 2):"), "{last}");
        }
    }

    #[test]
    fn colors_add_nothing_but_colors(text in text()) {
        let verdict = verdict(&text, 1);
        let page = |paint| terminal::render(&verdict, Detail::Explained, paint, None);
        let (plain, colored) = (page(Paint::Plain), page(Paint::Colored));
        prop_assert!(!plain.contains('\u{1b}'), "an escape");
        prop_assert!(colored.contains("\u{1b}[1m\u{1b}[31mINVALID\u{1b}[0m"), "{colored:?}");
        let without = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"]
            .iter()
            .fold(colored, |page, escape| page.replace(escape, ""));
        prop_assert_eq!(without, plain);
        prop_assert_eq!(terminal::explained(&verdict), page(Paint::Plain), "the log");
    }

    #[test]
    fn no_text_changes_the_shape_of_a_term(text in text()) {
        let terms = |text: &str| {
            let verdict = verdict(text, 2);
            erlang_terms::render(&Shown::alone(&verdict))
        };
        let page = terms(&text);
        prop_assert!(page.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{page}");
        prop_assert_eq!(without_strings(&page), without_strings(&terms("x")));
    }

    #[test]
    fn escaped_text_is_short(text in any::<String>(), repeated in 1..40usize) {
        let long = text.repeat(repeated);
        prop_assert!(plain(&long).chars().count() <= 301);
        prop_assert!(code(&long).chars().count() <= 3 * 301 + 4);
    }

    #[test]
    fn a_long_text_does_not_hide_the_cure(file in any::<String>(), message in any::<String>()) {
        let (file, message) = (plain(&file.repeat(40)), plain(&message.repeat(40)));
        let shown = line(&format!("{file}: {message}; the cure"));
        prop_assert!(shown.ends_with("; the cure"));
        prop_assert!(line(&message.repeat(40)).chars().count() <= 2001);
    }

    #[test]
    fn harmless_text_stays_as_it_is(text in "([a-zA-Z0-9.,;_/+%()äöüß日本-][: ]?){1,50}") {
        prop_assert_eq!(plain(&text), text);
    }
}

#[test]
fn a_figure_is_as_short_as_a_reader_takes_it_in() {
    let rendered = |figure: &str, judgement| {
        let mut verdict = verdict("x", 0);
        let amount = Amount::parse(figure).unwrap();
        verdict.rules.truncate(1);
        verdict.rules[0].baseline = None;
        verdict.rules[0].candidate = Some(amount);
        verdict.rules[0].judgement = judgement;
        terminal::explained(&verdict)
    };
    for (figure, short) in [
        ("55.79999999999", "55.8 /s"),
        ("0.1512345", "0.151 /s"),
        ("0.0154321", "0.0154 /s"),
        ("0.00151", "0.00151 /s"),
        ("0.00000012345678", "0.000000123 /s"),
        ("1234567.89", "1,234,568 /s"),
        ("182294.37", "182,294 /s"),
        ("51200.0", "51,200 /s"),
        ("999.96", "1,000 /s"),
        ("7", "7 /s"),
        ("1e3", "1,000 /s"),
        ("0.41", "0.41 /s"),
    ] {
        for judgement in [Judgement::Holds, Judgement::Violated] {
            let page = rendered(figure, judgement);
            assert!(page.contains(&format!(" {short} ")), "{page}");
        }
    }
}
