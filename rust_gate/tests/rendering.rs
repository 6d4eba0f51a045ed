//! Text out of files is data: whatever it is, a page keeps its shape.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use common::showcase::{HOSTILE, of_text as verdict};
use cp1_format::{Amount, Judgement};
use perf_gate::escape::{code, line, plain};
use perf_gate::render::{Shown, erlang_terms, terminal};
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
    fn no_text_steers_a_terminal_or_adds_a_line(text in text()) {
        let page = terminal::render(&verdict(&text, 2));
        prop_assert!(!page.chars().any(is_hostile), "{page:?}");
        prop_assert_eq!(page.lines().count(), terminal::render(&verdict("x", 2)).lines().count());
        prop_assert!(page.lines().last().unwrap().starts_with("VERDICT: INVALID (exit 2): "));
        let is_command = |line: &str| line.trim_start().starts_with("::") || line.contains("##");
        prop_assert!(!page.lines().any(is_command), "{page}");
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
fn a_figure_is_short_unless_it_violates_its_limit() {
    let rendered = |figure: &str, judgement| {
        let mut verdict = verdict("x", 0);
        let amount = Amount::parse(figure).unwrap();
        verdict.rules.truncate(1);
        verdict.rules[0].baseline = None;
        verdict.rules[0].candidate = Some(amount);
        verdict.rules[0].judgement = judgement;
        terminal::render(&verdict)
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
        let held = rendered(figure, Judgement::Holds);
        assert!(held.contains(&format!(" {short} ")), "{held}");
    }
    let violated = rendered("55.79999999999", Judgement::Violated);
    assert!(violated.contains(" 55.79999999999 /s "), "{violated}");
    let violated = rendered("182294.3721", Judgement::Violated);
    assert!(violated.contains(" 182,294.3721 /s "), "{violated}");
}
