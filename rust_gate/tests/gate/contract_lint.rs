//! `lint`, and waivers in `check`: what is let pass for a while, and only that.

use crate::common;
use crate::common::Room;
use crate::common::repository::{Repository, pretty};
use serde_json::{Value, json};

fn waiver(expires: &str) -> Value {
    json!({"version": "cp1", "waivers": [{
        "metric": "latency_p95_ms", "ceiling_pct": 25, "expires": expires,
        "issue": "https://example.org/issues/7",
        "reason": "the codec is being rewritten in the next release"
    }]})
}

const WITH_WAIVERS: [&str; 4] = ["--candidate", "candidate.json", "--waivers", "waivers.json"];

/// A candidate of 2026-01-31 whose p95 is this many percent above the baseline's.
fn room(percent: f64, waivers: &Value) -> Room {
    let room = Room::new();
    room.set("candidate.json", "metrics.latency_p95_ms", json!(0.41 * (1.0 + percent / 100.0)));
    room.json("waivers.json", waivers);
    room
}

#[test]
fn a_waiver_lets_its_metric_pass_up_to_its_ceiling_until_its_day() {
    room(20.0, &waiver("2026-01-31")).check_with(&WITH_WAIVERS).is(
        0,
        &[
            "1 of 6 rules waived: latency_p95_ms",
            "waived up to 25 % until 2026-01-31",
            "https://example.org/issues/7",
            "+20.00 %",
        ],
    );
    // Red again the day after, beyond the ceiling, and without the file.
    room(20.0, &waiver("2026-01-30")).check_with(&WITH_WAIVERS).is(1, &["ended on 2026-01-30"]);
    room(26.0, &waiver("2026-01-31")).check_with(&WITH_WAIVERS).is(1, &["does not help"]);
    let none = room(20.0, &waiver("2026-01-31"));
    none.check().is(1, &[]);
    std::fs::remove_file(none.path("waivers.json")).unwrap();
    none.check_with(&WITH_WAIVERS).is(1, &[]);
    // What keeps its limit needs none.
    room(10.0, &waiver("2026-01-31")).check_with(&WITH_WAIVERS).is(0, &["the waiver can go"]);
    // Nothing else is waived.
    let other = room(20.0, &waiver("2026-01-31"));
    other.set("candidate.json", "metrics.latency_p99_ms", json!(9));
    other.check_with(&WITH_WAIVERS).is(1, &["1 of 6 rules violated: latency_p99_ms"]);
}

#[test]
fn a_waiver_that_is_none_is_invalid() {
    for (path, value, said) in [
        ("waivers.0.metric", json!("errors_total"), "cannot be waived"),
        ("waivers.0.metric", json!("*"), "unknown metric"),
        ("waivers.0.ceiling_pct", json!(15), "waives nothing"),
        ("waivers.0.ceiling_pct", json!(45.001), "more than 3 times the limit"),
        ("waivers.0.ceiling_pct", json!(-1), "negative"),
        ("waivers.0.expires", json!("2026-06-01"), "more than 90 days ahead"),
        ("waivers.0.expires", json!("never"), "expected a day"),
        ("waivers.0.issue", json!("see chat"), "no link"),
        ("waivers.0.reason", json!("urgent"), "no reason"),
        ("waivers.0.forever", json!(true), "unknown field"),
    ] {
        let mut waivers = waiver("2026-01-31");
        common::set(&mut waivers, path, value);
        room(0.0, &waivers).check_with(&WITH_WAIVERS).is_invalid(&["waivers.json", said]);
    }
    let mut twice = waiver("2026-01-31");
    let one = twice["waivers"][0].clone();
    twice["waivers"].as_array_mut().unwrap().push(one);
    room(0.0, &twice).check_with(&WITH_WAIVERS).is_invalid(&["waived twice"]);
    let absolute = room(0.0, &waiver("2026-01-31"));
    absolute.set("policy.json", "rules.latency_p95_ms", json!({"absolute": {"max": 9}}));
    absolute.check_with(&WITH_WAIVERS).is_invalid(&["no relative rule judges"]);
}

#[test]
fn a_sound_contract_has_nothing_to_find() {
    let answer = Repository::frozen().gate(&["lint"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (0, "nothing was found\n"), "{answer:?}");
}

#[test]
fn lint_names_each_mistake() {
    type Plant = fn(&Repository);
    let planted: [(&str, Plant); 8] = [
        ("no rule judges rps, which is measured", |r| {
            let mut policy = common::policy();
            policy["rules"].as_object_mut().unwrap().remove("rps");
            r.write("perf/policy_cp1.json", &pretty(&policy));
        }),
        ("unknown field `rule`", |r| r.edit("perf/policy_cp1.json", "\"rules\"", "\"rule\"")),
        ("rules.rps: the baseline did not measure it", |r| {
            let mut baseline = common::minimal();
            baseline["metrics"].as_object_mut().unwrap().remove("rps");
            r.write("perf/baseline_cp1.json", &pretty(&baseline));
        }),
        ("is not the median over the blocks", |r| {
            let mut baseline: Value =
                serde_json::from_str(&r.text("perf/baseline_cp1.json")).unwrap();
            baseline["metrics"]["rps"] = json!(1);
            r.write("perf/baseline_cp1.json", &pretty(&baseline));
        }),
        ("the limit of 0.001 % is under what the baseline's machine can see", |r| {
            r.edit(
                "perf/policy_cp1.json",
                "\"max_pct_decrease\": 10",
                "\"max_pct_decrease\": 0.001",
            );
        }),
        ("the name is not of the form", |r| r.write("perf/bumps/x.md", "")),
        ("the waiver of latency_p95_ms ended on 2020-01-31", |r| {
            r.write("perf/waivers.json", &pretty(&waiver("2020-01-31")));
        }),
        ("more than 90 days ahead", |r| {
            r.write("perf/waivers.json", &pretty(&waiver("2999-01-31")))
        }),
    ];
    for (said, plant) in planted {
        let repository = Repository::frozen();
        plant(&repository);
        let answer = repository.gate(&["lint"]);
        assert_eq!(answer.code, 1, "{said}: {answer:?}");
        assert!(answer.stdout.contains(said), "`{said}` is not in:\n{}", answer.stdout);
    }
}

#[test]
fn wrong_places_cannot_be_looked_at_and_that_is_no_success() {
    let room = Room::new();
    for command in [&["verify", "--files"][..], &["lint"]] {
        let answer = room.run(&[command, &["--root", "nowhere"]].concat());
        assert_eq!(answer.code, 1, "{answer:?}");
        assert!(answer.stdout.contains("perf/policy_cp1.json"), "{answer:?}");
    }
    for further in [&["--against", "main"][..], &[]] {
        let answer = room.run(&[&["verify", "--root", "nowhere"], further].concat());
        assert_eq!(answer.code, 2, "{answer:?}");
    }
}
