//! What tools of continuous integration read: one verdict in all formats, green in each where it is PASS and
//! nowhere else, whatever texts are in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::common;
use crate::common::showcase::{HOSTILE, looks_green, of_text, scenes};
use cp1_format::{Judgement, Metric, Outcome, Unserved, Verdict};
use perf_gate::artifacts::{self, Stamp};
use perf_gate::render::cases::{self, State};
use perf_gate::render::{Shown, annotations, code_quality, junit, markdown, metrics, sarif, tap};
use proptest::prelude::*;
use serde_json::{Value, json};

/// All scenes in one format, one below the other.
fn shown_over_all(render: impl Fn(&Shown<'_>) -> String) -> String {
    let page = |scene: &common::showcase::Scene| {
        let text = render(&Shown::new(&scene.verdict, &scene.inputs));
        format!("==== {}\n{text}", scene.name)
    };
    scenes().iter().map(page).collect()
}

#[test]
fn every_format_over_every_kind_of_verdict() {
    insta::assert_snapshot!("markdown", shown_over_all(markdown::render));
    insta::assert_snapshot!("junit", shown_over_all(|shown| junit::render(shown).unwrap()));
    insta::assert_snapshot!("sarif", shown_over_all(|shown| sarif::render(shown).unwrap()));
    insta::assert_snapshot!("annotations", shown_over_all(annotations::render));
    let quality = |shown: &Shown<'_>| code_quality::render(shown).unwrap();
    insta::assert_snapshot!("code_quality", shown_over_all(quality));
    insta::assert_snapshot!("metrics", shown_over_all(metrics::render));
    insta::assert_snapshot!("tap", shown_over_all(tap::render));
}

#[test]
fn the_scenes_have_every_outcome_and_every_judgement() {
    let scenes = scenes();
    let outcomes: BTreeSet<_> = scenes.iter().map(|scene| scene.verdict.outcome.word()).collect();
    assert_eq!(outcomes.len(), 5, "{outcomes:?}");
    let cases = |scene: &common::showcase::Scene| {
        cases::of(&Shown::new(&scene.verdict, &scene.inputs)).into_iter().map(|case| case.state)
    };
    for state in [State::Good, State::Moot, State::Waived, State::Bad, State::Open] {
        assert!(scenes.iter().flat_map(cases).any(|found| found == state), "{state:?}");
    }
}

#[test]
fn a_format_is_green_where_the_verdict_is_pass_and_nowhere_else() {
    for scene in scenes() {
        let expected = scene.verdict.outcome == Outcome::Pass;
        for (format, is_green) in looks_green(&Shown::new(&scene.verdict, &scene.inputs)) {
            assert_eq!(is_green, expected, "{format} of {}", scene.name);
        }
    }
}

#[test]
fn a_waived_rule_is_shown_as_waived_and_neither_as_good_nor_as_bad() {
    let scenes = scenes();
    let scene = scenes.iter().find(|scene| scene.name == "waived").unwrap();
    let shown = Shown::new(&scene.verdict, &scene.inputs);
    assert_eq!(scene.verdict.outcome, Outcome::Pass);
    let case = r#"<skipped message="waived: 1.29 ms"#;
    assert!(junit::render(&shown).unwrap().contains(case));
    assert!(junit::render(&shown).unwrap().contains(r#"errors="0""#));
    let sarif: Value = serde_json::from_str(&sarif::render(&shown).unwrap()).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(
        (&result["level"], &result["ruleId"]),
        (&json!("note"), &json!("cp1/latency_p99_ms"))
    );
    assert_eq!(result["suppressions"][0]["status"], "accepted");
    let quality: Value = serde_json::from_str(&code_quality::render(&shown).unwrap()).unwrap();
    assert_eq!(quality[0]["severity"], "info");
    assert!(quality[0]["description"].as_str().unwrap().contains("the codec is being rewritten"));
    assert!(annotations::render(&shown).contains("::notice file=perf/policy_cp1.json,line=5,"));
    assert!(tap::render(&shown).contains("change +40.22 %, limit at most +20 % # TODO a waiver"));
    assert!(metrics::render(&shown).contains("cp1_case_waived{case=\"latency_p99_ms\"} 1\n"));
    assert!(markdown::render(&shown).contains("| `waived` |"));
}

#[test]
fn what_cannot_be_judged_is_an_error_that_says_what_to_do() {
    for (name, word, cure) in [
        ("invalid", "INVALID", "cure: "),
        ("inconclusive", "INCONCLUSIVE", "measure longer"),
        ("incomparable", "INCOMPARABLE", "cpu_count differs: baseline 2, candidate 8"),
        ("unread", "INVALID", "the file is empty; cure: measure again"),
    ] {
        let scenes = scenes();
        let scene = scenes.iter().find(|scene| scene.name == name).unwrap();
        let shown = Shown::new(&scene.verdict, &scene.inputs);
        let texts = [
            junit::render(&shown).unwrap(),
            sarif::render(&shown).unwrap(),
            annotations::render(&shown),
            code_quality::render(&shown).unwrap(),
            tap::render(&shown),
        ];
        for text in texts {
            assert!(text.contains(word) && text.contains(cure), "{name}: {text}");
        }
        assert!(junit::render(&shown).unwrap().contains(&format!("<error message=\"{word}: ")));
    }
}

#[test]
fn a_fingerprint_does_not_depend_on_what_was_measured() {
    let prints = |figure: Value| {
        let scenes = scenes();
        let scene = scenes.iter().find(|scene| scene.name == "regression").unwrap();
        let mut verdict = scene.verdict.clone();
        verdict.rules[1].candidate = serde_json::from_value(figure).unwrap();
        verdict.inputs.candidate.path = "_artifacts/perf_baseline_another.json".to_owned();
        verdict.inputs.candidate.timestamp = None;
        let quality = code_quality::render(&Shown::new(&verdict, &scene.inputs)).unwrap();
        let quality: Value = serde_json::from_str(&quality).unwrap();
        let sarif = sarif::render(&Shown::new(&verdict, &scene.inputs)).unwrap();
        let sarif: Value = serde_json::from_str(&sarif).unwrap();
        let of_quality = quality.as_array().unwrap().iter().map(|it| it["fingerprint"].clone());
        let results = sarif["runs"][0]["results"].as_array().unwrap().iter();
        let of_sarif = results.map(|it| it["partialFingerprints"]["cp1Case/v1"].clone());
        (of_quality.collect::<Vec<_>>(), of_sarif.collect::<Vec<_>>())
    };
    let (quality, sarif) = prints(json!(1.5));
    assert_eq!(quality, sarif);
    assert_eq!(quality.len(), 3, "the verdict and two rules");
    assert_eq!(quality.iter().map(Value::to_string).collect::<BTreeSet<_>>().len(), 3);
    assert_eq!((quality, sarif), prints(json!(2.5)));
}

/// The place of the case of `rps` for a policy at this path.
fn place(path: &str) -> (String, u64) {
    let mut verdict = of_text("x", 0);
    verdict.inputs.policy.path = path.to_owned();
    let lines = BTreeMap::from([(Metric::Rps, 7)]);
    let shown = Shown { rule_lines: Some(&lines), ..Shown::alone(&verdict) };
    let cases = cases::of(&shown);
    assert!(cases.iter().all(|case| case.place.0 == cases[0].place.0));
    cases[1].place.clone()
}

#[test]
fn a_place_is_a_file_of_the_repository_and_the_line_of_its_rule() {
    let usual = ("perf/policy_cp1.json".to_owned(), 7);
    for path in [
        "perf/policy_cp1.json",
        "./perf/policy_cp1.json",
        "refs/remotes/origin/main:perf/policy_cp1.json",
        "refs/remotes/origin/main:./perf/policy_cp1.json",
        "/builds/group/project/perf/policy_cp1.json",
        "refs/remotes/origin/main:/builds/group/project/perf/policy_cp1.json",
        "../other place/perf/policy_cp1.json",
    ] {
        assert_eq!(place(path), usual, "{path}");
    }
    let elsewhere = ("services/router/perf/policy_cp1.json".to_owned(), 7);
    assert_eq!(place("services/router/perf/policy_cp1.json"), elsewhere);
    // What is no such file is not linked to, and its lines are not lines of the one that is.
    for path in [
        "/etc/passwd",
        "../policy.json",
        "perf/../../policy.json",
        "a//policy.json",
        "https://example.org/policy.json",
        "javascript:policy.json,line=3",
        "perf/policy_cp1.json,title=x::y",
        "perf/pol%0Aicy.json",
        "-x/policy.json",
        ".git/policy.json",
        "",
        "perf/ü.json",
        "xperf/policy_cp1.txt",
    ] {
        assert_eq!(place(path).0, "perf/policy_cp1.json", "{path}");
        assert!(matches!(place(path).1, 1 | 7), "{path}");
    }
    assert_eq!(place("/etc/policy.json").1, 1);
}

/// A verdict of this outcome that the judge may have given, with the texts of any file.
fn verdict(outcome: Outcome, text: &str, judgements: &[Judgement]) -> Verdict {
    let mut verdict = of_text(text, 1);
    (verdict.outcome, verdict.exit_code) = (outcome, outcome.exit_code());
    let rule = verdict.rules[0].clone();
    verdict.rules = Metric::ALL
        .into_iter()
        .zip(judgements)
        .map(|(metric, judgement)| {
            let mut rule = rule.clone();
            (rule.metric, rule.judgement) = (metric, *judgement);
            rule
        })
        .collect();
    let unserved = verdict.unserved[0].clone();
    let kinds = [Unserved::Error, Unserved::Timeout, Unserved::Rejected, Unserved::Skipped];
    verdict.unserved = kinds
        .into_iter()
        .zip(judgements.iter().rev())
        .map(|(outcome, judgement)| {
            let mut result = unserved.clone();
            (result.outcome, result.judgement) = (outcome, *judgement);
            result
        })
        .collect();
    verdict
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        prop::sample::select(HOSTILE).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn judged() -> impl Strategy<Value = (Outcome, Vec<Judgement>)> {
    let of = |outcome: Outcome, judgements: &'static [Judgement]| {
        let judgement = prop::sample::select(judgements);
        prop::collection::vec(judgement, 0..6).prop_map(move |judgements| (outcome, judgements))
    };
    const ALL: &[Judgement] = &[
        Judgement::Holds,
        Judgement::Waived,
        Judgement::Violated,
        Judgement::Undecided,
        Judgement::NotJudged,
    ];
    prop_oneof![
        of(Outcome::Pass, &[Judgement::Holds, Judgement::Waived]),
        of(Outcome::Regression, ALL),
        of(Outcome::Invalid, ALL),
        of(Outcome::Inconclusive, ALL),
        of(Outcome::Incomparable, ALL),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_text_makes_a_verdict_look_like_another((outcome, judgements) in judged(), text in text()) {
        let verdict = verdict(outcome, &text, &judgements);
        for (format, is_green) in looks_green(&Shown::alone(&verdict)) {
            prop_assert_eq!(is_green, outcome == Outcome::Pass, "{}", format);
        }
    }

    #[test]
    fn no_text_changes_the_shape_of_a_format(text in text()) {
        let (hostile, plain) = (verdict(Outcome::Regression, &text, &[Judgement::Violated; 6]),
            verdict(Outcome::Regression, "x", &[Judgement::Violated; 6]));
        let (hostile, plain) = (Shown::alone(&hostile), Shown::alone(&plain));
        let is_told = |c: char| c.is_control() && c != '\n';
        for artifact in artifacts::of(&hostile, &Stamp::new(None, None)).unwrap() {
            prop_assert!(!artifact.content.chars().any(is_told), "{}", artifact.content);
        }
        let lines = |text: String| text.lines().count();
        let (there, here) = (annotations::render(&hostile), annotations::render(&plain));
        prop_assert_eq!(commands(&there).len(), commands(&here).len());
        prop_assert_eq!(there.lines().count(), commands(&there).len());
        prop_assert_eq!(lines(tap::render(&hostile)), lines(tap::render(&plain)));
        prop_assert_eq!(metrics::render(&hostile), metrics::render(&plain));
        let elements = |text: String| text.matches(['<', '>']).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(elements(junit::render(&hostile).unwrap()), elements(junit::render(&plain).unwrap()));
        // No link in a message, and every place is the policy's.
        let sarif = sarif::render(&hostile).unwrap();
        prop_assert!(!sarif.contains("]("));
        for text in [sarif, code_quality::render(&hostile).unwrap()] {
            prop_assert_eq!(text.matches("perf/policy_cp1.json").count(), 11, "{}", text);
            prop_assert!(text.is_ascii());
        }
    }
}

/// The commands of a log as GitHub's runner takes them: name, properties, and data.
fn commands(log: &str) -> Vec<(String, BTreeMap<String, String>, String)> {
    let plain = |text: &str| {
        let text = text.replace("%3A", ":").replace("%2C", ",").replace("%0A", "\n");
        text.replace("%0D", "\r").replace("%25", "%")
    };
    let command = |line: &str| {
        let (head, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let property = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap();
            (key.to_owned(), plain(value))
        };
        Some((name.to_owned(), properties.split(',').map(property).collect(), plain(data)))
    };
    log.lines().filter_map(command).collect()
}

#[test]
fn an_annotation_is_read_back_as_it_was_meant() {
    let verdict = verdict(Outcome::Regression, "100 %0A::error::x, y:z", &[Judgement::Violated]);
    let log = annotations::render(&Shown::alone(&verdict));
    let commands = commands(&log);
    assert_eq!(commands.len(), 3, "the verdict, a rule and a share: {log}");
    let (name, properties, data) = &commands[0];
    assert_eq!(name, "error");
    assert_eq!(properties["file"], "perf/policy_cp1.json");
    assert_eq!(properties["title"], "CP1 verdict");
    assert!(data.starts_with("REGRESSION: 100 %0A::error::x, y:z\nwhat to do: "), "{data}");
}

#[test]
fn a_step_shows_the_verdict_and_the_first_rules_before_the_limit_of_ten() {
    let verdict = verdict(Outcome::Regression, "x", &[Judgement::Violated; 6]);
    let log = annotations::render(&Shown::alone(&verdict));
    let titles: Vec<_> =
        commands(&log).into_iter().map(|(_, properties, _)| properties["title"].clone()).collect();
    assert_eq!(titles[..3], ["CP1 verdict", "CP1 latency_p95_ms", "CP1 latency_p99_ms"]);
    assert!(titles[..7].contains(&"CP1 backpressure_active_total".to_owned()));
}

#[test]
fn figures_are_in_base_units_and_exact() {
    let scenes = scenes();
    let scene = scenes.iter().find(|scene| scene.name == "regression").unwrap();
    let text = metrics::render(&Shown::new(&scene.verdict, &scene.inputs));
    for line in [
        "cp1_gate_passes 0",
        "cp1_gate_exit_code 1",
        "cp1_latency_p99_seconds{side=\"baseline\"} 0.00092",
        "cp1_latency_p99_seconds{side=\"candidate\"} 0.00129",
        "cp1_memory_bytes{side=\"candidate\"} 33030144",
        "cp1_requests_per_second{side=\"candidate\"} 51200",
        "cp1_errors{side=\"candidate\"} 3",
        "cp1_change_ratio{metric=\"latency_p99_ms\"} 0.4022",
        "cp1_case_passes{case=\"latency_p99_ms\"} 0",
        "cp1_case_passes{case=\"rps\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn what_a_run_leaves_is_known_by_its_name() {
    let verdict = of_text("x", 0);
    let stamp = Stamp::new(None, None);
    let names =
        artifacts::of(&Shown::alone(&verdict), &stamp).unwrap().into_iter().map(|it| it.name);
    let reports = ["perf_baseline_1.json", "perf_replay_1.json"].map(str::to_owned);
    for name in names.chain(reports) {
        assert!(artifacts::is_of_a_run(&name), "{name}");
    }
    for name in
        ["perf_gate.toml", "perf_gate_run.rs", "policy_cp1.json", "perf_summary.md", "x.sarif"]
    {
        assert!(!artifacts::is_of_a_run(name), "{name}");
    }
}
