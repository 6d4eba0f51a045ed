//! Whatever the reader refuses, it says where (JSON path, line, column) and what to do.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::path::Path;

use cp1_format::{Document, Metric, Policy, ReadError, Report, Verdict, parse, read_file};
use proptest::prelude::*;

const REPORT: &str = r#"{
  "timestamp": "2026-01-31T12:00:00Z",
  "git": {"commit": "0123456789abcdef0123456789abcdef01234567"},
  "env": {"otp_release": "25", "cpu_count": 2, "kernel": "Linux 6.1.0"},
  "metrics": {
    "latency_p95_ms": 0.41,
    "rps": 51200.0,
    "errors_total": 0
  },
  "accounting": {
    "throughput": {"offered": 3, "ok": 3, "error": 0, "timeout": 0, "rejected": 0, "skipped": 0},
    "latency": {"offered": 3, "ok": 1, "error": 1, "timeout": 1, "rejected": 0, "skipped": 0}
  },
  "series": [{"block": 1, "name": "memory_total", "unit": "byte", "time_ms": [1], "values": [2]}],
  "run": {"ct_exit_code": 0}
}"#;

const POLICY: &str = r#"{
  "version": "cp1",
  "rules": {
    "latency_p95_ms": {"relative": {"max_pct_increase": 15}},
    "rps": {"relative": {"max_pct_decrease": 10}},
    "errors_total": {"absolute": {"equals": 0}}
  }
}"#;

fn refusal<T: Document + std::fmt::Debug>(text: &str) -> ReadError {
    parse::<T>(Path::new("a/file.json"), text.as_bytes()).unwrap_err()
}

/// Replaces text and wants place, problem and a cure of the refusal.
#[track_caller]
fn refused<T: Document + std::fmt::Debug>(
    whole: &str,
    from: &str,
    to: &str,
    json_path: &str,
    line: usize,
    problem: &str,
) {
    assert!(whole.contains(from), "{from}");
    let error = refusal::<T>(&whole.replacen(from, to, 1));
    let ReadError::Content { place, problem: said, cure, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((place.json_path.as_str(), place.line), (json_path, line), "{error}");
    assert!(said.contains(problem), "{error}");
    assert!(!cure.is_empty() && place.column > 0, "{error}");
    let shown = error.to_string();
    assert!(shown.contains("a/file.json") && shown.contains(&place.to_string()), "{shown}");
    assert_eq!(error.problem(), *said);
    assert_eq!(error.place(), Some(place.to_string()));
}

#[test]
fn a_limit_on_a_ratio_that_limits_nothing_is_refused_where_it_stands() {
    let with = |ratios: &str, path: &str, problem: &str| {
        let to = format!("\"version\": \"cp1\", \"ratios\": {ratios}");
        refused::<Policy>(POLICY, "\"version\": \"cp1\"", &to, path, 2, problem);
    };
    let of = |rules: &str| format!("{{\"transport\": {{\"nats/local\": {rules}}}}}");
    let at = |rest: &str| format!("ratios.transport.nats/local{rest}");
    parse::<Policy>(
        Path::new("p"),
        POLICY
            .replacen(
                "\"version\": \"cp1\"",
                &format!(
                    "\"version\": \"cp1\", \"ratios\": {}",
                    of(r#"{"latency_p50_ms": {"max_ratio": 3.5, "must_catch_ratio": 4},
                          "rps": {"min_ratio": 0.2, "reason": "a queue between"}}"#)
                ),
                1,
            )
            .as_bytes(),
    )
    .unwrap();
    with(r#"{"transport": {}}"#, "ratios.transport", "nothing is limited");
    for pair in ["nats", "nats/", "/nats", "nats/nats", "a/b/c"] {
        let ratios = format!("{{\"transport\": {{\"{pair}\": {{}}}}}}");
        with(&ratios, &format!("ratios.transport.{pair}"), "no two values");
    }
    with(&of("{}"), &at(""), "nothing is limited");
    with(&of(r#"{"rpm": {"max_ratio": 2}}"#), &at(".rpm"), "unknown figure `rpm`");
    with(&of(r#"{"rps": {}}"#), &at(".rps.min_ratio"), "no limit stops rps");
    with(&of(r#"{"rps": {"max_ratio": 2}}"#), &at(".rps.max_ratio"), "gets no worse that way");
    with(
        &of(r#"{"latency_p99_ms": {"max_ratio": 2, "min_ratio": 1}}"#),
        &at(".latency_p99_ms.min_ratio"),
        "gets no worse that way",
    );
    with(&of(r#"{"rps": {"min_ratio": 0}}"#), &at(".rps.min_ratio"), "a ratio of 0");
    with(
        &of(r#"{"rps": {"min_ratio": 0.2, "most": 1}}"#),
        &at(".rps.most"),
        "unknown field `most`",
    );
    for (rules, figure) in [
        (r#"{"rps": {"min_ratio": 0.2, "must_catch_ratio": 0.2}}"#, "rps"),
        (r#"{"rps": {"min_ratio": 0.2, "must_catch_ratio": 0}}"#, "rps"),
        (r#"{"latency_p95_ms": {"max_ratio": 2, "must_catch_ratio": 1.9}}"#, "latency_p95_ms"),
    ] {
        let place = at(&format!(".{figure}.must_catch_ratio"));
        with(&of(rules), &place, "is not beyond the limit");
    }
}

#[test]
fn a_server_or_a_cipher_of_no_transport_is_no_local_router() {
    for key in ["transport_server", "transport_tls_version", "transport_tls_cipher"] {
        refused::<Report>(
            REPORT,
            r#""otp_release": "25""#,
            &format!(r#""{key}": "x""#),
            &format!("env.{key}"),
            4,
            "names no transport",
        );
    }
}

#[test]
fn a_refused_value_of_a_report_is_located() {
    let refused = refused::<Report>;
    refused(REPORT, "0.41", "\"0.41\"", "metrics.latency_p95_ms", 6, "expected a number");
    refused(REPORT, "0.41", "null", "metrics.latency_p95_ms", 6, "null is not a figure");
    refused(REPORT, "0.41", "-0.41", "metrics.latency_p95_ms", 6, "-0.41 is negative");
    refused(REPORT, "0.41", "0", "metrics.latency_p95_ms", 6, "exactly 0 was not measured");
    refused(REPORT, "0.41", "1e31", "metrics.latency_p95_ms", 6, "at most 64 characters");
    refused(REPORT, "51200.0", "1e999", "metrics.rps", 7, "out of range");
    refused(REPORT, "51200.0", "NaN", "metrics.rps", 7, "expected value");
    refused(
        REPORT,
        "\"errors_total\": 0",
        "\"errors_total\": 0.5",
        "metrics.errors_total",
        8,
        "count",
    );
    refused(
        REPORT,
        "\"rps\"",
        "\"latency_p95_ms\"",
        "metrics",
        7,
        "`latency_p95_ms` is given twice",
    );
    refused(REPORT, "\"rps\"", "\"rpm\"", "metrics.rpm", 7, "unknown metric `rpm`");
    refused(REPORT, "\"cpu_count\"", "\"cpus\"", "env.cpus", 4, "unknown field `cpus`");
    refused(REPORT, "\"cpu_count\": 2", "\"cpu_count\": 2.5", "env.cpu_count", 4, "floating point");
    refused(REPORT, "01234567\"", "0123456\"", "git.commit", 3, "40 lower-case");
    refused(REPORT, "12:00:00Z", "12:00:00", "timestamp", 2, "expected a UTC time");
    refused(
        REPORT,
        "\"offered\": 3, \"ok\": 1",
        "\"offered\": 3, \"ok\": 2",
        "accounting.latency",
        12,
        "offered is not",
    );
    refused(REPORT, "\"time_ms\": [1]", "\"time_ms\": []", "series[0]", 14, "differ in length");
    refused(
        REPORT,
        "\"time_ms\": [1]",
        "\"time_ms\": [-1]",
        "series[0].time_ms[0]",
        14,
        "invalid value",
    );
    refused(
        REPORT,
        "  \"run\": {\"ct_exit_code\": 0}\n",
        "  \"x\": 1\n",
        "x",
        15,
        "unknown field `x`",
    );
    refused(REPORT, ",\n  \"run\": {\"ct_exit_code\": 0}\n", "\n", "", 15, "missing field `run`");
    let before_run = "  \"run\": {\"ct_exit_code\": 0}\n";
    let with = |more: &str| format!("  {more},\n{before_run}");
    let session = with(r#""sessions": [{"timestamp": "2026-01-31T12:00:00Z", "blocks": 3}]"#);
    refused(REPORT, before_run, &session, "sessions", 15, "the sessions have 3 blocks");
    let pairing = with(
        r#""pairing": {"role": "frozen", "seed": 1, "booted_first": [true], "alive_together": true}"#,
    );
    refused(REPORT, before_run, &pairing, "pairing.booted_first", 15, "1 places for 0 blocks");
}

#[test]
fn a_refused_value_of_a_policy_is_located() {
    let refused = refused::<Policy>;
    refused(POLICY, "15", "-15", "rules.latency_p95_ms.relative.max_pct_increase", 4, "negative");
    refused(POLICY, "10", "100", "rules.rps.relative.max_pct_decrease", 5, "never fails");
    refused(POLICY, "\"max_pct_increase\": 15", "", "rules.latency_p95_ms.relative", 4, "no limit");
    refused(POLICY, "\"absolute\": {\"equals\": 0}", "", "rules.errors_total", 6, "no limit");
    refused(
        POLICY,
        "\"equals\"",
        "\"equal\"",
        "rules.errors_total.absolute.equal",
        6,
        "unknown field",
    );
    let smoke = "\"decision\": {\"smoke\": {\"blocks\": 1}}, \"version\": \"cp1\"";
    refused(POLICY, "\"version\": \"cp1\"", smoke, "decision.smoke.blocks", 2, "no look");
    refused(POLICY, "\"cp1\"", "\"cp2\"", "version", 2, "unknown variant `cp2`");
}

#[test]
fn a_rule_that_limits_only_the_harmless_way_is_refused() {
    for metric in Metric::ALL {
        let (worse, better, beyond, before) = match metric {
            Metric::Rps => ("decrease", "increase", "min", "max"),
            _ => ("increase", "decrease", "max", "min"),
        };
        let policy = |rule: String| {
            format!("{{\"version\": \"cp1\",\n\"rules\": {{\"{metric}\":\n{rule}}}}}")
        };
        for rule in [
            format!(r#"{{"relative": {{"max_pct_{better}": 10}}}}"#),
            format!(r#"{{"absolute": {{"{before}": 7}}}}"#),
            format!(r#"{{"relative": {{"max_pct_{better}": 1}}, "absolute": {{"{before}": 7}}}}"#),
            r#"{"absolute": {"min": 0}}"#.to_owned(),
        ] {
            let error = refusal::<Policy>(&policy(rule));
            let ReadError::Content { place, problem, cure, .. } = &error else {
                panic!("{error}");
            };
            assert_eq!((place.json_path.as_str(), place.line), (&*format!("rules.{metric}"), 3));
            let said = format!("no limit stops {metric} from getting worse");
            assert!(problem.starts_with(&said) && problem.ends_with(worse), "{problem}");
            let cures = [format!("relative.max_pct_{worse}"), format!("absolute.{beyond}")];
            assert!(cures.iter().all(|key| cure.contains(key)), "{cure}");
        }
        for rule in [
            format!(r#"{{"relative": {{"max_pct_{worse}": 10}}}}"#),
            format!(r#"{{"relative": {{"max_pct_{worse}": 10, "max_pct_{better}": 10}}}}"#),
            format!(r#"{{"absolute": {{"{beyond}": 7}}}}"#),
            r#"{"absolute": {"equals": 0}}"#.to_owned(),
            format!(r#"{{"relative": {{"max_pct_{better}": 9}}, "absolute": {{"{beyond}": 7}}}}"#),
        ] {
            parse::<Policy>(Path::new("p"), policy(rule).as_bytes()).unwrap();
        }
    }
}

#[test]
fn a_verdict_whose_exit_code_says_something_else_is_refused() {
    let verdict = r#"{"schema": {"name": "cp1_verdict", "version": 2}, "outcome": "REGRESSION",
      "exit_code": 0, "summary": "", "inputs": {"baseline": {"path": ""}, "candidate": {"path": ""},
      "policy": {"path": ""}}, "comparison": {"differences": [], "unverified": []}, "rules": [],
      "problems": [], "notices": []}"#;
    refused::<Verdict>(verdict, "\"\"", "\"x\"", "exit_code", 2, "REGRESSION exits with 1");
}

#[test]
fn damage_to_the_whole_file_has_its_own_refusal_and_cure() {
    let bytes = |bytes: &[u8]| parse::<Policy>(Path::new("p"), bytes).unwrap_err();
    assert!(matches!(bytes(b""), ReadError::Empty { .. }));
    assert!(matches!(bytes(b" \n\t"), ReadError::Empty { .. }));
    for marked in [&b"\xef\xbb\xbf{}"[..], b"\xff\xfe{\0}\0", b"\xfe\xff\0{\0}"] {
        let error = bytes(marked);
        assert!(error.problem().contains("byte order mark"), "{error}");
        assert!(error.cure().contains("UTF-8 without"), "{error}");
    }
    assert!(matches!(bytes(b"{\xff"), ReadError::NotUtf8 { offset: 1, .. }));
    let large = vec![b' '; 256 * 1024 + 1];
    assert!(matches!(bytes(&large), ReadError::TooLarge { limit: 262_144, .. }));
    for error in [bytes(b""), bytes(b"\xff"), bytes(&large), bytes(b"{")] {
        assert!(!error.cure().is_empty() && !error.problem().is_empty());
        assert!(error.to_string().starts_with("failed to read the policy p: "), "{error}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let missing = read_file::<Report>(&directory.path().join("missing")).unwrap_err();
    assert!(matches!(missing, ReadError::Io { .. }), "{missing}");
    let not_a_file = read_file::<Report>(directory.path()).unwrap_err();
    assert!(not_a_file.to_string().contains("not a regular file"), "{not_a_file}");
}

#[test]
fn depth_is_limited() {
    for depth in [200, 50_000] {
        let error = refusal::<Policy>(&"[".repeat(depth));
        assert!(error.to_string().contains("recursion limit"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_panic(at in any::<prop::sample::Index>(), piece in prop::collection::vec(any::<u8>(), 0..8)) {
        for whole in [REPORT, POLICY] {
            let at = at.index(whole.len());
            let bytes = [&whole.as_bytes()[..at], &piece, &whole.as_bytes()[at..]].concat();
            let _ = parse::<Report>(Path::new("r"), &bytes);
            let _ = parse::<Policy>(Path::new("p"), &bytes);
            let _ = parse::<Verdict>(Path::new("v"), &bytes);
        }
    }
}
