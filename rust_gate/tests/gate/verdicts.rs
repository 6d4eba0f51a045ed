//! Every verdict with its exit code, what outranks what, and how each one looks.

use crate::common::{Room, full, full_of, late_by, minimal, remove, set};
use serde_json::json;

#[test]
fn equal_figures_pass() {
    let answer = Room::new().check();
    answer.is(0, &["all 6 rules hold"]);
    insta::assert_snapshot!("pass", answer.stdout);
    insta::assert_snapshot!("pass_short", Room::new().seen());
}

#[test]
fn a_full_report_passes_with_its_blocks_and_histograms_checked() {
    let answer = Room::with(&full()).check();
    answer.is(0, &["3 blocks", "the baseline's blocks come from 1 session"]);
}

#[test]
fn every_violated_rule_is_shown_and_not_only_the_first() {
    let room = Room::new();
    room.set("candidate.json", "metrics.latency_p95_ms", json!(0.4716));
    room.set("candidate.json", "metrics.rps", json!(40000));
    room.set("candidate.json", "metrics.errors_total", json!(3));
    room.set("candidate.json", "metrics.mem_mb_total_erlang", json!(20.79));
    let answer = room.check();
    answer.is(
        1,
        &[
            "3 of 6 rules violated",
            "0.4716 ms is above the limit of 0.4715 ms",
            "3 is not the required 0",
        ],
    );
    answer.is(1, &["mem_mb_total_erlang improved by 34.00 %: consider moving the baseline"]);
    insta::assert_snapshot!("regression", answer.stdout);
    insta::assert_snapshot!("regression_short", room.seen());
}

#[test]
fn limits_are_inclusive_in_decimal_and_not_in_binary() {
    let room = Room::new();
    room.set("baseline.json", "metrics.rps", json!(62));
    for (candidate, code) in [("55.8", 0), ("55.80", 0), ("55.79", 1), ("55.7999999999999999", 1)] {
        room.change("candidate.json", |report| {
            report["metrics"]["rps"] = serde_json::from_str("0.5").unwrap();
        });
        room.replace("candidate.json", "\"rps\": 0.5", &format!("\"rps\": {candidate}"));
        // All digits of a violating figure are shown: 55.8 would look as if the limit held.
        room.check().is(code, &[candidate.trim_end_matches('0')]);
    }
}

#[test]
fn an_absolute_limit_holds_at_its_own_figure() {
    let room = Room::new();
    room.set("policy.json", "rules.latency_p95_ms", json!({"absolute": {"max": 0.41}}));
    room.set("policy.json", "rules.rps", json!({"absolute": {"min": 51200}}));
    room.check().is(0, &["at most 0.41", "at least 51200"]);
    room.set("candidate.json", "metrics.rps", json!(51199.9));
    room.check().is(1, &["51199.9 /s is below the limit of 51200 /s"]);
}

#[test]
fn one_rule_may_have_a_relative_and_an_absolute_limit_and_both_must_hold() {
    let room = Room::new();
    let rule = json!({"relative": {"max_pct_increase": 15}, "absolute": {"max": 0.42}});
    room.set("policy.json", "rules.latency_p95_ms", rule);
    room.set("candidate.json", "metrics.latency_p95_ms", json!(0.43));
    room.check().is(1, &["at most +15 %,", "0.43 ms is above the limit of 0.42 ms"]);
}

#[test]
fn different_environments_are_incomparable_even_if_every_rule_holds() {
    let room = Room::new();
    room.set("candidate.json", "env.cpu_count", json!(4));
    room.set("candidate.json", "env.kernel", json!("Linux 6.12.1"));
    let answer = room.check();
    answer.is(4, &["cpu_count", "baseline Linux 6.1 ", "candidate Linux 6.12"]);
    insta::assert_snapshot!("incomparable", answer.stdout);
    insta::assert_snapshot!("incomparable_short", room.seen());
}

#[test]
fn a_field_that_only_one_side_has_is_a_difference() {
    let room = Room::new();
    room.change("baseline.json", |report| remove(report, "env.cpu_model"));
    room.check().is(4, &["cpu_model  baseline (absent)  candidate Xeon"]);
}

#[test]
fn a_quota_against_none_another_quota_or_an_unknown_one_is_a_difference() {
    let room = Room::new();
    room.set("candidate.json", "env.cpu_quota", json!("3.5"));
    room.check().is(4, &["cpu_quota  baseline none  candidate 3.5"]);
    room.set("baseline.json", "env.cpu_quota", json!("3.500"));
    room.check().is(0, &["VERDICT: PASS"]);
    room.set("baseline.json", "env.cpu_quota", json!("4"));
    room.check().is(4, &["cpu_quota  baseline 4  candidate 3.5"]);
    room.change("baseline.json", |report| remove(report, "env.cpu_quota"));
    room.check().is(4, &["cpu_quota  baseline (absent)  candidate 3.5"]);
    room.set("baseline.json", "env.cpu_quota", json!("max"));
    room.check().is(2, &["env.cpu_quota", "expected `none`, or processors such as `3.5`"]);
}

#[test]
fn what_neither_of_two_measured_reports_states_is_no_equality() {
    let room = Room::with(&full());
    room.check().is(0, &["VERDICT: PASS"]);
    for file in ["baseline.json", "candidate.json"] {
        room.change(file, |report| remove(report, "env.cpu_model"));
    }
    room.check().is(
        4,
        &[
            "cpu_model  baseline (absent)  candidate (absent)",
            "neither report states cpu_model, so nothing says that they were measured alike",
        ],
    );
    // One that somebody wrote says no more about the other.
    room.change("baseline.json", |report| {
        *report = minimal();
        remove(report, "env.cpu_model");
    });
    room.check().is(4, &["cpu_model  baseline (absent)  candidate (absent)"]);
    room.set("policy.json", "environment", json!({"require": ["otp_release"]}));
    let answer = room.check();
    assert!(!answer.stdout.contains("cpu_model"), "{}", answer.stdout);
}

#[test]
fn another_transport_is_another_measurement_whatever_the_policy_says() {
    let room = Room::with(&full());
    room.check().is(0, &["VERDICT: PASS"]);
    // It may require nothing at all.
    room.set("policy.json", "environment", json!({"require": []}));
    room.set("candidate.json", "env.transport", json!("nats"));
    room.check().is(4, &["transport  baseline local  candidate nats"]);
    room.set("baseline.json", "env.transport", json!("nats"));
    room.check().is(0, &["VERDICT: PASS"]);
    room.set("candidate.json", "env.transport_tls_version", json!("TLSv1.3"));
    room.check().is(4, &["transport_tls_version  baseline none  candidate TLSv1.3"]);
    room.set("baseline.json", "env.transport_tls_version", json!("TLSv1.3"));
    room.set("baseline.json", "env.transport_tls_cipher", json!("TLS_AES_256_GCM_SHA384"));
    room.set("candidate.json", "env.transport_tls_cipher", json!("TLS_AES_128_GCM_SHA256"));
    room.check().is(4, &["transport_tls_cipher  baseline  ", "candidate TLS_AES_128_GCM_SHA256"]);
    room.set("candidate.json", "env.transport_tls_cipher", json!("TLS_AES_256_GCM_SHA384"));
    room.check().is(0, &["VERDICT: PASS"]);
    // Its server is the policy's to require.
    room.set("baseline.json", "env.transport_server", json!("nats-server 2.9.10"));
    room.set("candidate.json", "env.transport_server", json!("nats-server 2.10.27"));
    room.check().is(0, &["VERDICT: PASS"]);
    room.set("policy.json", "environment", json!({"require": ["transport_server"]}));
    room.check().is(4, &["transport_server  baseline nats-server 2.9.10  candidate nats-server 2"]);
}

#[test]
fn reports_of_local_routers_may_be_required_to_have_a_transport_in_common() {
    let room = Room::with(&full());
    let require = json!(["transport", "transport_server", "transport_tls_cipher"]);
    room.set("policy.json", "environment", json!({"require": require}));
    let answer = room.check();
    answer.is(0, &["VERDICT: PASS"]);
    assert!(!answer.stdout.contains("transport"), "{}", answer.stdout);
}

#[test]
fn a_field_that_neither_side_has_is_named_as_unverified() {
    let room = Room::new();
    for file in ["baseline.json", "candidate.json"] {
        room.change(file, |report| remove(report, "env.cpu_model"));
    }
    room.check().is(0, &["Conditions that neither report states:\n  cpu_model"]);
}

#[test]
fn a_kernel_patch_release_is_no_difference() {
    let room = Room::new();
    room.set("candidate.json", "env.kernel", json!("Linux 6.1.99-generic"));
    room.check().is(0, &[]);
}

#[test]
fn another_load_is_incomparable() {
    for (field, value) in [
        ("adapter", json!("other_adapter")),
        ("rate_per_second", json!(4000)),
        ("concurrency", json!(9)),
        ("max_in_flight", json!(9)),
    ] {
        let room = Room::with(&full());
        room.set("candidate.json", &format!("load.{field}"), value);
        room.check().is(4, &[&format!("load.{field}")]);
    }
}

#[test]
fn errors_are_a_regression_even_in_another_environment() {
    let room = Room::new();
    room.set("candidate.json", "env.cpu_count", json!(4));
    room.set("candidate.json", "metrics.rps", json!(1));
    room.check().is(4, &["VIOLATED"]);
    room.set("candidate.json", "metrics.errors_total", json!(1));
    room.check().is(1, &["cpu_count"]);
}

#[test]
fn a_rule_that_breaks_both_kinds_of_limit_needs_no_baseline_to_be_a_regression() {
    let room = Room::new();
    let rule = json!({"relative": {"max_pct_increase": 15}, "absolute": {"max": 1}});
    room.set("policy.json", "rules.latency_p95_ms", rule);
    room.set("candidate.json", "env.cpu_count", json!(4));
    room.set("candidate.json", "metrics.latency_p95_ms", json!(0.9));
    room.check().is(4, &["VIOLATED"]);
    room.set("candidate.json", "metrics.latency_p95_ms", json!(1.01));
    room.check().is(1, &["VIOLATED"]);
}

#[test]
fn too_few_samples_are_inconclusive_and_not_a_pass() {
    let report = full_of(3, 4000);
    let room = Room::with(&report);
    let answer = room.check();
    answer.is(3, &["1 of 6 rules could not be judged: latency_p99_ms", "20000 samples a block"]);
    insta::assert_snapshot!("inconclusive", answer.stdout);
    insta::assert_snapshot!("inconclusive_short", room.seen());
    Room::with(&full_of(3, 3999)).check().is(3, &["latency_p95_ms, latency_p99_ms"]);
    Room::with(&full_of(2, 20_000)).check().is(0, &[]);
    Room::with(&full_of(2, 19_999)).check().is(3, &[]);
}

#[test]
fn too_few_samples_do_not_hide_another_regression() {
    let room = Room::with(&full_of(1, 4000));
    room.set("candidate.json", "metrics.backpressure_active_total", json!(1));
    room.set("candidate.json", "blocks.0.metrics.backpressure_active_total", json!(1));
    room.set("candidate.json", "blocks.0.backpressure.router", json!(1));
    room.check().is(1, &["1 is not the required 0"]);
}

#[test]
fn a_baseline_with_too_few_samples_cannot_carry_a_relative_rule() {
    let room = Room::with(&full());
    room.json("baseline.json", &full_of(3, 4000));
    room.check().is(3, &["baseline.json, blocks[0].latency.response_time.count"]);
    // An absolute rule does not look at the baseline.
    room.set("policy.json", "rules.latency_p99_ms", json!({"absolute": {"max": 1}}));
    room.check().is(0, &[]);
}

#[test]
fn a_run_that_says_it_has_too_few_samples_is_believed() {
    let room = Room::new();
    room.set("candidate.json", "run.status", json!("insufficient_samples"));
    room.check().is(3, &["latency_p95_ms, latency_p99_ms", "run.status"]);
}

#[test]
fn a_generator_that_was_late_itself_cannot_pass_nor_blame_the_router() {
    let room = Room::new();
    room.set("candidate.json", "run.status", json!("generator_limited"));
    room.check().is(3, &["latency_p95_ms, latency_p99_ms", "the load generator's own lateness"]);
    room.set("candidate.json", "metrics.latency_p99_ms", json!(500));
    room.set("candidate.json", "metrics.rps", json!(1));
    room.check().is(3, &["4 of 6 rules could not be judged"]);
    room.set("candidate.json", "metrics.errors_total", json!(1));
    room.check().is(1, &["1 of 6 rules violated: errors_total"]);
}

#[test]
fn a_tail_that_is_mostly_the_generators_own_is_not_judged_whatever_the_run_says() {
    let room = Room::with(&full());
    assert!(room.text("candidate.json").contains("\"status\": \"complete\""));
    // The median over the blocks counts: of these, 74 %.
    room.change("candidate.json", |report| late_by(report, |block| [74, 10, 90][block]));
    let answer = room.check();
    answer.is(
        3,
        &[
            "4 of 6 rules could not be judged: latency_p95_ms, latency_p99_ms, rps",
            "the p95 shows the load generator's own lateness (74 % of it), not the router's",
            "cure: measure on a quieter machine, or at a lower rate",
        ],
    );
    // Nor is a baseline's.
    room.change("baseline.json", |report| late_by(report, |block| [74, 74, 74][block]));
    room.change("candidate.json", |report| late_by(report, |block| [0, 0, 0][block]));
    room.check().is(3, &["baseline.json, blocks", "(74 % of it)"]);
}

#[test]
fn a_status_that_the_blocks_do_not_bear_out_changes_nothing() {
    for file in ["candidate.json", "baseline.json"] {
        for status in ["insufficient_samples", "generator_limited"] {
            let room = Room::with(&full());
            room.set(file, "run.status", json!(status));
            room.check().is(0, &["all 6 rules hold"]);
        }
    }
}

#[test]
fn a_tail_that_is_mostly_the_routers_is_judged() {
    let room = Room::with(&full());
    room.change("candidate.json", |report| late_by(report, |block| [66, 10, 90][block]));
    room.check().is(0, &["all 6 rules hold"]);
}

#[test]
fn one_percentile_that_is_the_generators_is_enough() {
    let room = Room::with(&full());
    room.change("candidate.json", |report| {
        late_by(report, |block| [10, 10, 10][block]);
        for block in report["blocks"].as_array_mut().unwrap() {
            block["latency"]["dispatch_lag"]["p99_ns"] = json!(600_000);
        }
    });
    room.check().is(3, &["4 of 6 rules could not be judged", "the p99", "(86 % of it)"]);
}

#[test]
fn a_counter_that_no_control_moved_is_noticed() {
    let room = Room::new();
    room.set("candidate.json", "controls", json!({"errors_total": "not_offered"}));
    room.check().is(0, &["no control showed that the router's errors_total can move"]);
    room.set("candidate.json", "controls", json!({"errors_total": "alive"}));
    room.check().is(0, &[]);
}

#[test]
fn skipped_arrivals_make_a_pass_inconclusive_with_and_without_the_total() {
    let room = Room::with(&full());
    let with_skipped = |report: &mut serde_json::Value, path: &str, offered: u64| {
        set(report, &format!("{path}.latency.skipped"), json!(7));
        set(report, &format!("{path}.latency.offered"), json!(offered));
    };
    room.change("candidate.json", |report| {
        with_skipped(report, "blocks.1.accounting", 25_007);
        with_skipped(report, "accounting", 75_007);
    });
    room.check().is(3, &["7 arrivals were not sent", "but arrivals were skipped"]);
    room.change("candidate.json", |report| remove(report, "accounting"));
    room.check().is(3, &["7 arrivals were not sent"]);
    // Nor does leaving out the blocks.
    let room = Room::new();
    room.set("candidate.json", "accounting", full()["accounting"].clone());
    room.change("candidate.json", |report| with_skipped(report, "accounting", 75_007));
    room.check().is(3, &["7 arrivals were not sent"]);
}

#[test]
fn a_planted_fault_can_fail_but_never_pass() {
    let room = Room::new();
    room.set("candidate.json", "run.planted_fault", json!("delay_us=200"));
    room.check().is_invalid(&["measured with a planted fault: delay_us=200"]);
    room.set("candidate.json", "metrics.latency_p99_ms", json!(2));
    room.check().is(1, &["THE CANDIDATE WAS MEASURED WITH A PLANTED FAULT: delay_us=200"]);
}

#[test]
fn invalid_outranks_every_violation() {
    let room = Room::new();
    room.set("candidate.json", "metrics.errors_total", json!(9));
    room.set("candidate.json", "run.ct_exit_code", json!(1));
    let answer = room.check();
    answer.is_invalid(&["VIOLATED", "the test run that measured exited with 1"]);
    insta::assert_snapshot!("invalid", answer.stdout);
    insta::assert_snapshot!("invalid_short", room.seen());
}

#[test]
fn a_metric_without_a_rule_is_named() {
    let room = Room::new();
    room.change("policy.json", |policy| remove(policy, "rules.rps"));
    room.check().is(0, &["rps is measured, but no rule judges it", "all 5 rules hold"]);
}

#[test]
fn what_a_reader_should_know_is_a_notice() {
    let room = Room::with(&full());
    room.json("candidate.json", &minimal());
    room.set("candidate.json", "git.dirty", json!(true));
    room.set("policy.json", "environment", json!({"require": []}));
    room.check().is(
        1,
        &[
            "the candidate has no blocks",
            "changes that its commit does not have",
            "the candidate does not say under which load",
            "the policy requires no part of the environment",
        ],
    );
}

#[test]
fn disturbed_blocks_are_counted_with_their_reasons_and_change_no_verdict() {
    let room = Room::with(&full());
    room.set("candidate.json", "blocks.0.disturbed", json!(["cpu_stolen", "host_stall"]));
    room.set("candidate.json", "blocks.1.disturbed", json!([]));
    room.set("candidate.json", "blocks.2.disturbed", json!(["host_stall"]));
    let answer = room.check();
    let notice = "2 of 3 blocks of the candidate were disturbed: cpu_stolen in 1, host_stall in 2";
    answer.is(0, &[notice]);
    assert!(!answer.stdout.contains("of the baseline"), "nobody looked: {}", answer.stdout);

    room.set("candidate.json", "blocks.0.disturbed", json!(["bad_luck"]));
    room.check().is_invalid(&["blocks[0].disturbed"]);
}

#[test]
fn the_comment_for_a_merge_request_has_marker_tables_and_problems() {
    let room = Room::new();
    room.set("candidate.json", "run.ct_exit_code", json!(1));
    room.set("candidate.json", "metrics.rps", json!(40000));
    room.set("candidate.json", "env.cpu_model", json!("AMD | <b>EPYC</b> `x`"));
    let further = ["--candidate", "candidate.json", "--artifacts", "out", "--label", "one"];
    room.check_with(&further).is(2, &[]);
    insta::assert_snapshot!("summary", room.text("out/perf_summary_one.md"));
    insta::assert_snapshot!("verdict", room.text("out/perf_verdict_one.json"));
}

#[test]
fn the_help_names_every_exit_code() {
    let room = Room::new();
    insta::assert_snapshot!("help", room.run(&["--help"]).stdout);
    insta::assert_snapshot!("help_check", room.run(&["check", "--help"]).stdout);
    insta::assert_snapshot!("help_run", room.run(&["run", "--help"]).stdout);
}

#[test]
fn wrong_usage_is_no_verdict_and_exits_with_2() {
    let room = Room::new();
    for arguments in [
        &[][..],
        &["check"],
        &["judge"],
        &["check", "--baseline", "b", "--policy", "p"],
        &["check", "--baseline", "b", "--policy", "p", "--candidate", "c", "--force"],
        &["run", "--blocks", "ten"],
        &["bench", "--force"],
    ] {
        assert_eq!(room.run(arguments).code, 2, "{arguments:?}");
    }
}
