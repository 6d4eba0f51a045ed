//! Profiles and explanations are bounded when they are read.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use cp1_format::{EXPLAINED_MAX, Event, Explanation, parse, to_json};
use serde_json::{Value, json};

fn profile() -> Value {
    json!({
        "requests": 1000, "workers": 2, "routing_us": 10_000, "traced_routing_us": 20_000,
        "functions": [{"module": "m", "function": "f", "arity": 1, "is_own": true,
            "calls": 1000, "own_us": 5}],
        "work": {"wall_us": 6000, "processor_us": 10_000, "reductions": 1, "collections": 1,
            "reclaimed_words": 1, "context_switches": 1, "run_queue_max": 1, "scheduler_us": {}},
        "memory": {}, "tables": [], "processes": [], "messages": [], "long_runs": [], "reasons": [],
    })
}

fn explained(frozen: &Value, candidate: &Value) -> Result<Event, String> {
    let event = json!({"explained": {"frozen": frozen, "candidate": candidate}});
    parse(Path::new("x"), event.to_string().as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn a_profile_of_no_request_and_an_endless_one_are_refused() {
    assert!(matches!(explained(&profile(), &profile()), Ok(Event::Explained(_))));
    let mut nothing = profile();
    nothing["requests"] = json!(0);
    let said = explained(&profile(), &nothing).unwrap_err();
    assert!(said.contains("explained.candidate.requests"), "{said}");
    let mut endless = profile();
    let function = endless["functions"][0].clone();
    endless["functions"] = Value::Array(vec![function; 20_001]);
    let said = explained(&endless, &profile()).unwrap_err();
    assert!(said.contains("explained.frozen.functions"), "{said}");
}

#[test]
fn an_explanation_of_another_version_and_an_endless_one_are_refused() {
    let explanation = json!({
        "schema": {"name": "cp1_explanation", "version": 1},
        "frozen": {"commit": "0123456789012345678901234567890123456789"}, "candidate": {},
        "load": {"seed": 1, "requests": 1000, "workers": 2},
        "time": {"frozen_us": 1, "candidate_us": 2, "traced_frozen_us": 3,
            "traced_candidate_us": 4, "call_price_us": 0.1, "parts": []},
        "memory": {"classes": []},
        "places": [], "work": [], "failures": [], "advice": [], "notices": [],
    });
    let read = |value: &Value| {
        parse::<Explanation>(Path::new("x"), value.to_string().as_bytes())
            .map_err(|error| error.to_string())
    };
    let sound = read(&explanation).unwrap();
    let again = parse::<Explanation>(Path::new("x"), to_json(&sound).unwrap().as_bytes()).unwrap();
    assert_eq!(again, sound, "what is written is read back");
    let mut other = explanation.clone();
    other["schema"]["version"] = json!(2);
    assert!(read(&other).unwrap_err().contains("cp1_explanation of version 1"));
    let mut endless = explanation.clone();
    endless["notices"] = Value::Array(vec![json!("x"); EXPLAINED_MAX + 1]);
    assert!(read(&endless).unwrap_err().contains("notices"));
    let mut negative = explanation;
    negative["time"]["frozen_us"] = json!(-1);
    assert!(read(&negative).is_err());
}
