//! Reports of traffic that the bench did not make: compared with their like, never with a load; what they
//! cannot say is said; and none that was tampered with passes.

use crate::common;
use crate::common::{Answer, Room, full, remove, set, watched};
use serde_json::{Value, json};

/// A policy of what watched traffic has.
fn policy() -> Value {
    let mut policy = common::policy();
    for metric in ["rps", "errors_total", "backpressure_active_total"] {
        remove(&mut policy["rules"], metric);
    }
    policy["gate"] = json!({"require_candidate_ct_exit_code_zero": false,
        "require_all_metrics_present": false, "allow_attached": true,
        "not_offered": ["errors_total", "backpressure_active_total"]});
    policy
}

fn room() -> Room {
    let room = Room::with(&watched());
    room.json("policy.json", &policy());
    room
}

fn check(room: &Room) -> Answer {
    room.check()
}

#[test]
fn watched_traffic_passes_against_its_like_and_says_what_it_does_not_know() {
    check(&room()).is(
        0,
        &[
            "the candidate is traffic that was watched, under no load of the bench",
            "coordinated omission",
            "no throughput is known",
            "recording cost the node 180.5 ns a request: 0.04 % of the requests' time and 0.05 % of its \
             schedulers' time",
            "windows of one BEAM as it runs are no blocks of fresh ones: the figures are compared alone",
            "traffic 5,000 /s 5,000 /s",
        ],
    );
}

#[test]
fn watched_traffic_that_got_slower_is_a_regression() {
    let room = room();
    room.change("baseline.json", |baseline| {
        for block in baseline["blocks"].as_array_mut().unwrap() {
            block["memory"] = json!({"samples": 60, "min_bytes": 20_000_000,
                "peak_bytes": 20_971_520, "end_bytes": 20_971_520});
            block["metrics"]["mem_mb_total_erlang"] = json!(20.0);
        }
        baseline["metrics"]["mem_mb_total_erlang"] = json!(20.0);
    });
    check(&room).is(1, &["mem_mb_total_erlang"]);
}

#[test]
fn watched_traffic_never_compares_with_a_load() {
    let room = room();
    room.json("baseline.json", &full());
    check(&room).is(
        4,
        &[
            "watched.source baseline (absent) candidate spans",
            "compares with watched traffic alone",
        ],
    );
    let room = Room::with(&full());
    room.json("baseline.json", &watched());
    room.json("policy.json", &policy());
    room.change("policy.json", |policy| remove(&mut policy["gate"], "not_offered"));
    check(&room).is(
        4,
        &[
            "watched.source baseline spans candidate (absent)",
            "compares with watched traffic alone",
        ],
    );
}

#[test]
fn what_was_watched_otherwise_does_not_compare() {
    for (path, value, field) in [
        ("watched.spans", json!(["my_app.other.route"]), "watched.spans"),
        ("watched.window_ms", json!(4000), "watched.window_ms"),
        ("watched.slice_ms", json!(500), "watched.slice_ms"),
        ("watched.source", json!("calls"), "watched.source"),
    ] {
        let room = room();
        room.set("candidate.json", path, value);
        check(&room).is(4, &[field]);
    }
}

#[test]
fn a_rule_over_throughput_says_that_there_is_none_and_what_to_do() {
    let room = room();
    room.set("policy.json", "rules.rps", json!({"relative": {"max_pct_decrease": 10}}));
    check(&room).is_invalid(&[
        "rps was not measured, but a rule judges it: how much traffic there was says nothing of how much \
         the router could have served",
        "take the rule out of the policy of watched traffic",
    ]);
    let room = self::room();
    room.set("policy.json", "rules.errors_total", json!({"absolute": {"equals": 0}}));
    room.set("policy.json", "gate.not_offered", json!(["backpressure_active_total"]));
    check(&room).is_invalid(&["nobody told the router's own counter", "watch with an adapter"]);
}

#[test]
fn a_share_of_requests_that_failed_and_did_not_before_is_a_regression() {
    let room = room();
    room.change("candidate.json", |candidate| {
        for block in candidate["blocks"].as_array_mut().unwrap() {
            let outcomes = &mut block["accounting"]["traffic"];
            outcomes["error"] = json!(100);
            outcomes["offered"] = json!(25_100);
            block["traffic"]["started"] = json!(25_100);
            block["errors"]["driver"] = json!(100);
        }
        candidate["accounting"]["traffic"]["error"] = json!(300);
        candidate["accounting"]["traffic"]["offered"] = json!(75_300);
    });
    check(&room).is(1, &["error, watched traffic", "the baseline has none"]);
}

#[test]
fn a_window_with_few_requests_is_no_pass() {
    let room = Room::with(&watched());
    room.json("policy.json", &policy());
    for name in ["baseline.json", "candidate.json"] {
        room.change(name, |report| {
            report["histograms"] = json!([]);
            remove(report, "histograms");
            for block in report["blocks"].as_array_mut().unwrap() {
                block["traffic"]["service_time"]["count"] = json!(19_999);
                block["traffic"]["slices"]["ok"] = json!([12_500, 7_499]);
                for key in ["offered", "ok"] {
                    block["accounting"]["traffic"][key] = json!(19_999);
                }
                block["traffic"]["started"] = json!(19_999);
            }
            for key in ["offered", "ok"] {
                report["accounting"]["traffic"][key] = json!(3 * 19_999);
            }
        });
    }
    check(&room).is(
        3,
        &[
            "blocks[0].traffic.service_time.count",
            "19999 samples leave fewer than 200 above the p99",
        ],
    );
}

#[test]
fn a_failed_recording_is_no_pass() {
    let room = room();
    room.set("candidate.json", "blocks.1.traffic.recordings_failed", json!(2));
    check(&room).is(3, &["2 recordings failed, so as many requests are in no figure"]);
    let room = self::room();
    room.set("baseline.json", "blocks.1.traffic.recordings_failed", json!(2));
    check(&room).is(0, &["2 recordings of the baseline failed"]);
}

#[test]
fn requests_that_were_not_seen_to_begin_are_told() {
    let room = room();
    room.set("candidate.json", "blocks.0.traffic.started", json!(24_000));
    check(&room).is(0, &["1000 requests of the candidate ended that were not seen to begin"]);
}

/// Each damage of a sound report, and what is said of it.
#[test]
fn a_damaged_report_is_invalid() {
    type Damage = (fn(&mut Value), &'static str);
    let damages: [Damage; 17] = [
        (|r| remove(r, "env.attached"), "traffic is watched in a node that runs already"),
        (|r| remove(r, "watched"), "the report does not say that it was watched"),
        (|r| r["load"] = full()["load"].clone(), "this is of a load of the bench"),
        (|r| remove(r, "blocks.1.traffic"), "missing field"),
        (
            |r| r["blocks"][1]["latency"] = full()["blocks"][1]["latency"].clone(),
            "a block of watched traffic has no load of the bench",
        ),
        (|r| r["blocks"][1] = full()["blocks"][1].clone(), "this is of a load of the bench"),
        (
            |r| set(r, "blocks.1.accounting", full()["blocks"][1]["accounting"].clone()),
            "accounting",
        ),
        (
            |r| {
                let latency = full()["blocks"][1]["accounting"]["latency"].clone();
                r["blocks"][1]["accounting"]["latency"] = latency;
            },
            "beside watched traffic there is no load of the bench",
        ),
        (|r| remove(r, "blocks.1.accounting.traffic"), "missing, or no request was made"),
        (
            |r| set(r, "blocks.1.accounting.traffic.error", json!(1)),
            "offered is not ok + error + timeout + rejected + skipped",
        ),
        (|r| set(r, "blocks.1.traffic.slices.ok", json!([1, 2])), "3 samples of 25000"),
        (|r| set(r, "blocks.1.traffic.slices.ok", json!([25_000])), "2 figures for 1 slices"),
        (|r| set(r, "blocks.1.traffic.started", json!(25_001)), "25001 began"),
        (|r| set(r, "blocks.1.traffic.duration_ns", json!(1)), "planned for 5000 ms"),
        (|r| set(r, "blocks.1.traffic.service_time.p99_ns", json!(1)), "histograms[1]"),
        (
            |r| set(r, "histograms.1.quantity", json!("response_time")),
            "the service times of block 2 are missing",
        ),
        (|r| set(r, "metrics.rps", json!(1000)), "a block did not measure this figure"),
    ];
    for (damage, said) in damages {
        for name in ["candidate.json", "baseline.json"] {
            let room = room();
            room.change(name, damage);
            check(&room).is_invalid(&[said]);
        }
    }
}

#[test]
fn a_load_with_watched_traffic_in_it_is_invalid() {
    let room = Room::with(&full());
    room.change("candidate.json", |report| {
        report["blocks"][1]["traffic"] = watched()["blocks"][1]["traffic"].clone();
    });
    check(&room).is_invalid(&["a block of watched traffic has no load of the bench"]);
    for (loop_of, place) in [("throughput", "throughput"), ("latency", "latency")] {
        let room = Room::with(&full());
        room.change("candidate.json", |report| remove(&mut report["blocks"][1], loop_of));
        check(&room).is_invalid(&[place, "missing field"]);
    }
}

#[test]
fn other_readers_know_watched_traffic() {
    let room = room();
    let page = ["--candidate", "candidate.json", "--artifacts", "out", "--label", "x"];
    let page = room.check_with(&page);
    assert_eq!(page.code, 0, "{}", page.stdout);
    assert!(room.text("out/perf_report_x.html").contains("watched.spans"));
    for (format, said) in [
        ("csv", "traffic_service_time_p99_ns"),
        ("openmetrics", "phase=\"watched_traffic\""),
        ("hlog", "traffic.service_time_ns"),
        ("hgrm", "#[Max"),
    ] {
        let exported = room.run(&["export", "--format", format, "candidate.json"]);
        assert_eq!(exported.code, 0, "{format}: {}", exported.stderr);
        assert!(exported.stdout.contains(said), "{format}: {}", exported.stdout);
    }
    let differs = room.run(&["diff", "baseline.json", "candidate.json"]);
    assert_eq!(differs.code, 0, "{}", differs.stderr);
}

#[test]
fn what_is_watched_is_said_with_the_node_and_can_be_atoms() {
    let room = room();
    let refused: [(&[&str], &str); 8] = [
        (&["--attach", "router@host,b"], "expected a node's name, NAME@HOST, or several"),
        (&["--attach", "a@host,b@host", "--passive", "calls"], "traffic is watched in one node"),
        (&["--passive", "calls"], "--attach"),
        (&["--attach", "router@host", "--window-ms", "1000"], "--passive"),
        (&["--attach", "router@host", "--passive", ""], "expected calls, or prefixes of spans"),
        (&["--attach", "router@host", "--passive", "Elixir.App"], "expected calls, or prefixes"),
        (&["--attach", "router@host", "--passive", "a..b"], "expected calls, or prefixes of spans"),
        (
            &["--attach", "router@host", "--passive", "calls", "--window-ms", "99"],
            "99 is not in 100..",
        ),
    ];
    for (arguments, said) in refused {
        let answer = room.run(&[&["bench"], arguments].concat());
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains(said), "{arguments:?}: {}", answer.stderr);
    }
}
