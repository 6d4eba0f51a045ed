//! Text out of files is data: whatever it is, a page keeps its shape.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use cp1_format::{
    Amount, Comparison, Date, Decimal, Decision, FieldDifference, Input, Inputs, Judgement, Metric,
    Notice, Outcome, Phase, Problem, RuleResult, SchemaName, SchemaTag, Share, SupportingFigure,
    Unserved, UnservedResult, Verdict, Waiver,
};
use perf_gate::escape::{code, line, plain};
use perf_gate::render::{markdown, terminal};
use proptest::prelude::*;

/// A verdict with this text in every place that holds text.
fn verdict(text: &str, repeated: usize) -> Verdict {
    let t = || text.to_owned();
    let some = || Some(t());
    let input = || Input { path: t(), timestamp: some(), commit: some(), blocks: Some(3) };
    let difference = FieldDifference { field: t(), baseline: some(), candidate: some() };
    let problem = Problem { file: t(), place: some(), message: t(), cure: t() };
    let rule = |judgement| RuleResult {
        metric: Metric::Rps,
        baseline: Some(Amount::from(5)),
        candidate: None,
        change_pct: Some(Decimal::parse("-0.5").unwrap()),
        limit: t(),
        judgement,
        explanation: some(),
        on_blocks: None,
        on_undisturbed_blocks: None,
        on_whole_blocks: None,
        waiver: Some(Waiver {
            metric: Metric::Rps,
            ceiling_pct: Amount::from(5),
            expires: Date::parse("2026-01-31").unwrap(),
            issue: t(),
            reason: t(),
        }),
    };
    Verdict {
        schema: SchemaTag { name: SchemaName::Cp1Verdict, version: 2 },
        outcome: Outcome::Invalid,
        exit_code: 2,
        summary: t(),
        inputs: Inputs {
            baseline: input(),
            candidate: input(),
            replay: Some(input()),
            policy: input(),
            waivers: Some(input()),
        },
        decision: Some(Decision {
            blocks: 8,
            baseline_blocks: 8,
            paired: true,
            looks: vec![8, 12],
            next_look: Some(12),
            false_alarm_pct: Amount::from(1),
            miss_pct: Amount::from(1),
        }),
        comparison: Comparison {
            differences: vec![difference; repeated],
            unverified: vec![t(); repeated],
        },
        rules: vec![rule(Judgement::Holds), rule(Judgement::Violated)],
        unserved: vec![UnservedResult {
            phase: Phase::Latency,
            outcome: Unserved::Rejected,
            baseline: None,
            candidate: Share { requests: 1, offered: 5, pct: Amount::from(20) },
            limit: t(),
            judgement: Judgement::Violated,
            explanation: some(),
        }],
        supporting: vec![SupportingFigure {
            name: t(),
            unit: t(),
            baseline: Some(Amount::from(5)),
            candidate: None,
        }],
        problems: vec![problem; repeated],
        notices: vec![Notice(t()); repeated],
    }
}

/// Replaces every code span by a letter, the way CommonMark finds them: a run of backticks is
/// closed by the next run of the same length, else it is text.
fn without_code_spans(line: &str) -> String {
    let runs = |text: &str| text.chars().take_while(|c| *c == '`').count();
    let mut rest = line;
    let mut plain = String::new();
    while let Some(start) = rest.find('`') {
        plain.push_str(&rest[..start]);
        rest = &rest[start..];
        let length = runs(rest);
        let mut after = &rest[length..];
        let closed = loop {
            let Some(next) = after.find('`') else { break None };
            let candidate = runs(&after[next..]);
            after = &after[next + candidate..];
            if candidate == length {
                break Some(after);
            }
        };
        match closed {
            Some(after) => {
                plain.push('x');
                rest = after;
            }
            None => {
                plain.push_str(&rest[..length]);
                rest = &rest[length..];
            }
        }
    }
    plain + rest
}

fn skeleton(page: &str) -> Vec<String> {
    page.lines().map(without_code_spans).collect()
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
        prop::sample::select(
            &[
                "`",
                "``",
                "```",
                "|",
                "\\",
                "\\|",
                "\n",
                "\r\n",
                "\t",
                "\x1b[31m",
                "\x1b]0;x\x07",
                "<",
                "<!--",
                "-->",
                "</td>",
                "<script>",
                "&lt;",
                "*",
                "**",
                "_",
                "[x](http://x)",
                "![x](y)",
                "# ",
                "\n# ",
                "- ",
                "@someone",
                "#1",
                "http://example.org",
                "www.example.org",
                "~~",
                " ",
                "\u{202e}",
                "\u{2066}",
                "\u{200b}",
                "\u{feff}",
                "\u{85}",
                "\u{9b}",
                "\u{2028}",
                "\u{0}",
                "::error::",
                "x",
                "VERDICT: PASS (exit 0)",
            ][..]
        )
        .prop_map(str::to_owned),
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
    }

    #[test]
    fn no_text_changes_the_shape_of_a_comment(text in text()) {
        let page = markdown::render(&verdict(&text, 2));
        prop_assert!(!page.chars().any(is_hostile), "{page:?}");
        prop_assert_eq!(page.matches('<').count(), 1, "only the marker: {}", page);
        prop_assert_eq!(skeleton(&page), skeleton(&markdown::render(&verdict("x", 2))));
        // A table finds its cells before it finds code spans.
        for row in page.lines().filter(|line| line.starts_with('|')) {
            prop_assert!(matches!(row.matches('|').count(), 4 | 6 | 7), "{row}");
        }
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
    fn harmless_text_stays_as_it_is(text in "[a-zA-Z0-9 .,;:_/+%()äöüß日本-]{1,100}") {
        prop_assert_eq!(plain(&text), text);
    }
}

#[test]
fn a_comment_never_outgrows_what_a_forge_accepts() {
    for text in ["x".repeat(5000), "`".repeat(5000), "\u{1b}".repeat(5000), "日".repeat(5000)] {
        for repeated in [1, 10, 400] {
            let page = markdown::render(&verdict(&text, repeated));
            assert!(page.len() <= 60_000, "{}", page.len());
            assert!(page.starts_with("<!-- cp1-perf-gate -->\n## CP1 performance gate: INVALID\n"));
            if repeated > 10 {
                assert!(page.ends_with(" more lines are in the log.\n"));
            }
        }
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
