//! Every way a file can be wrong: exit code 2 with file, place and cure; never a pass, never a
//! panic.

use crate::common;
use crate::common::{Room, full, remove, set};
use serde_json::{Value, json};

const FILES: [&str; 3] = ["baseline.json", "policy.json", "candidate.json"];

#[test]
fn a_missing_file_is_not_a_pass() {
    for file in FILES {
        let room = Room::new();
        std::fs::remove_file(room.path(file)).unwrap();
        let cure = if file == "baseline.json" { "perf-gate freeze" } else { "check the path" };
        room.check().is_invalid(&[file, "No such file", cure]);
    }
}

#[test]
fn every_unreadable_file_is_reported_and_not_only_the_first() {
    let room = Room::new();
    room.bytes("baseline.json", "");
    room.bytes("policy.json", "{");
    room.bytes("candidate.json", "[]");
    room.check().is_invalid(&["3 problems", "  baseline.json\n", "  policy.json,", "  candidate"]);
}

#[test]
fn problems_stand_in_one_order_whichever_file_takes_longest_to_read() {
    for longest in ["baseline.json", "replay.json", "candidate.json"] {
        let room = Room::new();
        for file in ["baseline.json", "policy.json", "replay.json", "candidate.json"] {
            let length = if file == longest { 5_000_000 } else { 1 };
            room.bytes(file, format!("{}[", " ".repeat(length)));
        }
        let answer = room.check_with(&["--replay", "replay.json", "--candidate", "candidate.json"]);
        answer.is_invalid(&["4 problems"]);
        let places = ["baseline", "policy", "replay", "candidate"]
            .map(|file| answer.stdout.find(&format!("\n  {file}.json, line ")).expect(file));
        assert!(places.is_sorted(), "{}", answer.stdout);
    }
}

#[test]
fn a_directory_is_no_file() {
    for file in FILES {
        let room = Room::new();
        std::fs::remove_file(room.path(file)).unwrap();
        std::fs::create_dir(room.path(file)).unwrap();
        room.check().is_invalid(&[file, "not a regular file"]);
    }
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_refused_and_not_waited_for() {
    let room = Room::new();
    let made = std::process::Command::new("mkfifo").arg(room.path("pipe")).status().unwrap();
    assert!(made.success());
    room.check_with(&["--candidate", "pipe"]).is_invalid(&["pipe", "not a regular file"]);
}

#[test]
fn a_file_without_content_is_not_a_pass() {
    for file in FILES {
        for content in ["", " \n\t\r\n "] {
            let room = Room::new();
            room.bytes(file, content);
            room.check().is_invalid(&[file, "is empty"]);
        }
    }
}

#[test]
fn a_file_cut_short_at_any_byte_is_not_a_pass() {
    let room = Room::new();
    let whole = room.text("candidate.json");
    for end in (1..whole.trim_end().len()).step_by(41) {
        room.bytes("candidate.json", &whole[..end]);
        room.check().is_invalid(&["  candidate.json, ", "line ", "restore it, or measure again"]);
    }
}

#[test]
fn text_that_is_not_plain_json_is_refused() {
    for file in FILES {
        for (content, said) in [
            (b"\xef\xbb\xbf{}".to_vec(), "begins with a byte order mark"),
            (b"{\"a\": \"\xff\"}".to_vec(), "byte 7"),
            (b"\xfe\xff\0{\0}".to_vec(), "begins with a byte order mark"),
            (b"\0\0\0\0".to_vec(), "line 1 column 1"),
            (b"null".to_vec(), "null is not a figure"),
            (b"[]".to_vec(), "line 1"),
            (b"7".to_vec(), "line 1"),
            (b"{} {}".to_vec(), "trailing characters"),
            (b"{'a': 1}".to_vec(), "key must be a string"),
            (b"{\"a\": 1,}".to_vec(), "trailing comma"),
            (b"// json\n{}".to_vec(), "expected value"),
            ([b"[".repeat(20_000), b"]".repeat(20_000)].concat(), "recursion limit"),
            ([b"{\"a\":".repeat(20_000), b"1".to_vec()].concat(), "recursion limit"),
        ] {
            let room = Room::new();
            room.bytes(file, content);
            room.check().is_invalid(&[file, said]);
        }
    }
}

#[test]
fn what_follows_the_document_is_not_ignored() {
    for file in FILES {
        let room = Room::new();
        let text = room.text(file);
        room.bytes(file, format!("{text}\n{text}"));
        room.check().is_invalid(&[file, "trailing characters"]);
    }
}

#[test]
fn a_file_over_its_size_limit_is_refused() {
    for (file, limit) in [("policy.json", 256 * 1024), ("candidate.json", 16 * 1024 * 1024)] {
        let room = Room::new();
        let padding = " ".repeat(limit + 1 - room.text(file).len());
        let padded = room.text(file) + &padding;
        room.bytes(file, &padded[..limit]);
        room.check().is(0, &[]);
        room.bytes(file, padded);
        room.check().is_invalid(&[file, &format!("larger than {limit} bytes")]);
    }
}

#[test]
fn a_key_given_twice_at_any_depth_is_refused() {
    for (file, from, to) in [
        ("candidate.json", "{", "{\"timestamp\": \"2026-01-31T12:00:00Z\","),
        ("candidate.json", "\"rps\"", "\"rps\": 99999, \"rps\""),
        ("candidate.json", "\"ct_exit_code\": 0", "\"ct_exit_code\": 1, \"ct_exit_code\": 0"),
        ("candidate.json", "\"ct_exit_code\"", "\"ct_exit\\u005fcode\": 1, \"ct_exit_code\""),
        ("baseline.json", "\"cpu_count\"", "\"cpu_count\": 4, \"cpu_count\""),
        ("policy.json", "\"rps\"", "\"rps\": {\"absolute\": {\"min\": 1}}, \"rps\""),
        ("policy.json", "\"max_pct_increase\"", "\"max_pct_increase\": 99, \"max_pct_increase\""),
    ] {
        let room = Room::new();
        room.replace(file, from, to);
        room.check().is_invalid(&[file, "is given twice"]);
    }
}

#[test]
fn what_is_no_quantity_is_no_figure() {
    for metric in ["latency_p95_ms", "rps", "errors_total"] {
        for literal in [
            "null",
            "NaN",
            "-NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "-1",
            "-0.0001",
            "\"5\"",
            "\"\"",
            "true",
            "[1]",
            "{}",
            "01",
            "+1",
            ".5",
            "1.",
            "0x10",
            "1e31",
            "1_000",
            "1,5",
            "99999999999999999999999999999999999999999999999999999999999999999",
        ] {
            let room = Room::new();
            room.set("candidate.json", &format!("metrics.{metric}"), json!("HERE"));
            room.replace("candidate.json", "\"HERE\"", literal);
            room.check().is_invalid(&["  candidate.json, ", "line "]);
            let text = room.text("candidate.json");
            room.json("candidate.json", &common::minimal());
            room.bytes("baseline.json", text);
            room.check().is_invalid(&["  baseline.json, ", "line "]);
        }
    }
}

#[test]
fn a_latency_or_throughput_of_exactly_0_was_not_measured() {
    for metric in ["latency_p95_ms", "latency_p99_ms", "rps", "mem_mb_total_erlang"] {
        for literal in ["0", "-0", "0.0", "0e5", "-0.000"] {
            let room = Room::new();
            room.set("candidate.json", &format!("metrics.{metric}"), json!("HERE"));
            room.replace("candidate.json", "\"HERE\"", literal);
            room.check().is_invalid(&[&format!("metrics.{metric}, line "), "exactly 0"]);
        }
    }
}

#[test]
fn a_count_has_no_fraction() {
    let room = Room::new();
    room.set("candidate.json", "metrics.errors_total", json!(0.5));
    room.check().is_invalid(&["metrics.errors_total, line ", "0.5 is not a count"]);
}

#[test]
fn each_missing_metric_is_named_and_not_a_pass() {
    for metric in common::minimal()["metrics"].as_object().unwrap().keys() {
        let place = format!("metrics.{metric}");
        let room = Room::new();
        room.change("candidate.json", |report| remove(report, &place));
        room.check().is_invalid(&["candidate.json", &place, "a rule judges it", "not judged"]);
        // Not even a policy without this rule lets it go missing, unless it says so.
        room.change("policy.json", |policy| remove(policy, &format!("rules.{metric}")));
        room.check().is_invalid(&[&place, "the policy requires all six"]);
        room.set("policy.json", "gate.require_all_metrics_present", json!(false));
        room.check().is(0, &[]);
    }
}

#[test]
fn a_counter_that_the_router_does_not_have_is_a_line_in_the_policy_and_no_other_figure_is() {
    let room = Room::new();
    let counter = "backpressure_active_total";
    room.set("policy.json", "gate.not_offered", json!([counter]));
    let place = format!("gate.not_offered.{counter}");
    room.check().is_invalid(&["policy.json", &place, "a rule judges it"]);
    room.change("policy.json", |policy| remove(policy, &format!("rules.{counter}")));
    room.check().is_invalid(&[&format!("metrics.{counter}"), "the router has none"]);
    room.change("candidate.json", |report| remove(report, &format!("metrics.{counter}")));
    room.check().is(0, &["backpressure_active_total is not judged"]);
    for metric in ["rps", "latency_p95_ms"] {
        room.change("policy.json", |policy| remove(policy, &format!("rules.{metric}")));
        room.set("policy.json", "gate.not_offered", json!([metric]));
        room.check().is_invalid(&["policy.json", "this is no counter of the router"]);
    }
}

#[test]
fn a_report_of_a_node_that_ran_already_takes_a_policy_that_wants_it_and_a_baseline_like_it() {
    let room = Room::new();
    room.set("candidate.json", "env.attached", json!(true));
    room.check().is_invalid(&["candidate.json", "env.attached", "gate.allow_attached"]);
    room.set("policy.json", "gate.allow_attached", json!(true));
    room.check().is(4, &["env.attached", "baseline false", "candidate true"]);
    room.set("baseline.json", "env.attached", json!(true));
    room.check().is(0, &[]);
    room.set("policy.json", "gate.allow_attached", json!(false));
    room.check().is_invalid(&["baseline.json", "candidate.json", "does not allow"]);
    room.set("policy.json", "gate.allow_attached", json!(true));
    room.change("candidate.json", |report| remove(report, "env.attached"));
    room.check().is(4, &["env.attached", "baseline true", "candidate false"]);
    // What says the same in other words is the same.
    room.set("candidate.json", "env.attached", json!(false));
    room.change("baseline.json", |report| remove(report, "env.attached"));
    room.check().is(0, &[]);
}

#[test]
fn a_baseline_without_the_metric_of_a_relative_rule_is_no_baseline() {
    for metric in common::minimal()["metrics"].as_object().unwrap().keys() {
        let room = Room::new();
        room.change("baseline.json", |report| remove(report, &format!("metrics.{metric}")));
        if metric.ends_with("_total") {
            room.check().is(0, &[]);
        } else {
            room.check().is_invalid(&["baseline.json", &format!("metrics.{metric}")]);
        }
    }
}

#[test]
fn a_relative_rule_on_a_baseline_of_0_is_not_a_pass() {
    let room = Room::new();
    room.set("policy.json", "rules.errors_total", json!({"relative": {"max_pct_increase": 10}}));
    room.check().is_invalid(&["baseline.json", "metrics.errors_total", "no change from 0"]);
}

/// Changes the candidate, and wants the refusal to say all of this.
#[track_caller]
fn refused(change: impl FnOnce(&mut Value), said: &[&str]) {
    let room = Room::with(&full());
    room.change("candidate.json", change);
    room.check().is_invalid(said);
}

#[test]
fn a_part_that_is_missing_or_misshapen_is_named() {
    for part in ["timestamp", "git", "env", "metrics", "run"] {
        refused(|report| remove(report, part), &["candidate.json", part, "missing field"]);
    }
    for part in ["surprise", "metrics.surprise", "run.surprise", "env.surprise", "load.surprise"] {
        refused(|report| set(report, part, json!(1)), &["surprise", "line "]);
    }
    for (path, value) in [
        ("schema.version", json!(1)),
        ("schema.version", json!(2)),
        ("schema.version", json!(4)),
        ("schema.name", json!("cp1_verdict")),
        ("git.commit", json!("0123456")),
        ("git.commit", json!("0123456789ABCDEF0123456789ABCDEF01234567")),
        ("git.tree", json!("")),
        ("timestamp", json!("2026-01-31")),
        ("timestamp", json!("2026-01-31T12:00:00+01:00")),
        ("timestamp", json!("2026-02-30T12:00:00Z")),
        ("timestamp", json!(1769860800)),
        ("run.ct_exit_code", json!("0")),
        ("run.ct_exit_code", json!(0.5)),
        ("run.status", json!("done")),
        ("env.cpu_count", json!(-1)),
        ("env.cpu_count", json!(4294967296u64)),
        ("blocks.0.block", json!(2)),
        ("accounting.latency.offered", json!(1)),
        ("accounting.latency.ok", json!(18446744073709551615u64)),
        ("blocks.2.accounting.throughput.error", json!(1)),
        ("blocks.1.metrics.rps", json!(0)),
        ("blocks.1.throughput.slices.duration_ns", json!([1])),
        ("blocks.1.latency.slices.p95_ns", json!([1, 2, 3])),
        ("blocks.1.latency.slices.went_first", json!([true])),
    ] {
        let top = path.split('.').next().unwrap();
        refused(|report| set(report, path, value), &["  candidate.json, ", top, "line "]);
    }
}

#[test]
fn a_test_run_that_failed_or_did_not_say_is_not_a_pass() {
    let room = Room::new();
    for code in [1, 2, 137, -1] {
        room.set("candidate.json", "run.ct_exit_code", json!(code));
        room.check().is_invalid(&["run.ct_exit_code", &format!("exited with {code}")]);
    }
    room.change("candidate.json", |report| remove(report, "run.ct_exit_code"));
    room.check().is_invalid(&["run.ct_exit_code", "is missing", "`perf-gate bench`"]);
    room.set("policy.json", "gate.require_candidate_ct_exit_code_zero", json!(false));
    room.check().is(0, &[]);
}

#[test]
fn the_defaults_of_the_policy_are_the_strict_ones() {
    for absent in ["gate", "gate.require_candidate_ct_exit_code_zero"] {
        let room = Room::new();
        room.change("policy.json", |policy| remove(policy, absent));
        room.check().is(0, &[]);
        room.change("candidate.json", |report| remove(report, "run.ct_exit_code"));
        room.check().is_invalid(&["run.ct_exit_code"]);
    }
}

#[test]
fn a_run_that_ended_early_says_why_and_is_not_a_pass() {
    for (status, said) in [
        ("failed", "the run failed"),
        ("interrupted", "was stopped by whoever asked for it"),
        ("unfinished", "before its end"),
    ] {
        let room = Room::with(&full());
        room.set("candidate.json", "run.status", json!(status));
        room.check().is_invalid(&["run.status", said, "gives no reason"]);
        room.set("candidate.json", "run.reason", json!("block 2: the router died"));
        // Its figures need not add up: one problem, not twenty.
        room.set("candidate.json", "blocks", json!([]));
        room.check().is_invalid(&["1 problem,", said, ": block 2: the router died"]);
    }
}

#[test]
fn an_unsound_baseline_is_no_baseline() {
    for (path, value) in [
        ("run.status", json!("failed")),
        ("run.status", json!("unfinished")),
        ("run.planted_fault", json!("delay_us=200")),
        ("run.ct_exit_code", json!(137)),
        ("blocks", json!([])),
    ] {
        let room = Room::with(&full());
        room.set("baseline.json", path, value);
        room.check().is_invalid(&["  baseline.json, ", path]);
    }
    let room = Room::new();
    room.change("baseline.json", |report| remove(report, "run.ct_exit_code"));
    room.check().is(0, &[]);
    for status in ["insufficient_samples", "generator_limited"] {
        let room = Room::new();
        room.set("baseline.json", "run.status", json!(status));
        room.check().is_invalid(&["  baseline.json, run.status"]);
    }
}

#[test]
fn a_report_of_no_commit_is_not_judged() {
    for file in ["baseline.json", "candidate.json"] {
        let room = Room::new();
        room.change(file, |report| remove(report, "git.commit"));
        room.check().is_invalid(&[file, "git.commit"]);
    }
}

#[test]
fn throughput_that_fell_to_one_is_no_pass_under_a_limit_on_its_increase() {
    let room = Room::new();
    room.set("candidate.json", "metrics.rps", json!(1));
    room.check().is(1, &["1 of 6 rules violated: rps"]);
    room.set("policy.json", "rules.rps", json!({"relative": {"max_pct_increase": 10}}));
    room.check().is_invalid(&["policy.json, rules.rps", "a decrease", "relative.max_pct_decrease"]);
}

#[test]
fn a_policy_that_could_never_fail_is_refused() {
    let rule = |rule: Value| json!({"rps": rule});
    for (rules, said) in [
        (json!({}), "there is no rule"),
        (rule(json!({})), "no limit"),
        (rule(json!({"reason": "none"})), "no limit"),
        (rule(json!({"relative": {}})), "no limit"),
        (rule(json!({"absolute": {}})), "no limit"),
        (rule(json!({"relative": {"max_pct_decrease": 100}})), "more than 100 %"),
        (rule(json!({"relative": {"max_pct_decrease": 1000.5}})), "more than 100 %"),
        (rule(json!({"relative": {"max_pct_decrease": -1}})), "negative"),
        (rule(json!({"relative": {"max_pct_decrease": "10"}})), "expected a number"),
        (rule(json!({"relative": {"max_pct_decrese": 10}})), "unknown field"),
        (rule(json!({"relativ": {"max_pct_decrease": 10}})), "unknown field"),
        (rule(json!({"absolute": {"min": null}})), "null"),
        (rule(json!({"absolute": {"min": 0}})), "no limit stops rps"),
        (json!({"latency_p999_ms": {"absolute": {"max": 1}}}), "unknown metric"),
        (json!([]), "rules"),
    ] {
        let room = Room::new();
        room.set("policy.json", "rules", rules);
        room.check().is_invalid(&["  policy.json, ", "rules", said]);
    }
    for literal in ["NaN", "Infinity", "1e999"] {
        let room = Room::new();
        room.replace("policy.json", "15", literal);
        room.check().is_invalid(&["  policy.json, ", "line "]);
    }
    for (path, value) in [
        ("version", json!("cp2")),
        ("gates", json!({})),
        ("gate.require_candidate_exit_code_zero", json!(true)),
        ("gate.require_all_metrics_present", json!("yes")),
        ("environment", json!({"require": ["hostname"]})),
        ("environment", json!({"requires": []})),
    ] {
        let room = Room::new();
        room.set("policy.json", path, value);
        room.check().is_invalid(&["  policy.json, ", "line "]);
    }
}

#[test]
fn the_frozen_side_of_a_replay_is_no_candidate() {
    let mut report = common::full();
    common::pair(&mut report, "frozen");
    let room = Room::with(&report);
    room.check().is_invalid(&["candidate.json, pairing.role", "perf_baseline_*.json"]);
}
