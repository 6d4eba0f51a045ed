//! What two profiles are made of: planted changes come first, and what is no change does not come at all.

use std::path::Path;

use crate::common::profiles;
use crate::common::profiles::{
    Planted, REQUESTS, Router, explained, hostile, made, planted, process, table,
};
use cp1_format::{
    AdviceKind, Document as _, Explanation, FailedOutcome, FailureReason, Lock, MemoryKind,
    Processes, Profile, TimePartKind, parse, to_json,
};
use proptest::prelude::*;

/// Where a place stands that a planted change is known by, from 1.
fn rank(explanation: &Explanation, places: &[&str]) -> Option<usize> {
    let is_it = |name: &str| places.contains(&name);
    explanation.places.iter().position(|place| is_it(&place.name)).map(|at| at + 1)
}

fn names(explanation: &Explanation) -> Vec<String> {
    explanation.places.iter().map(|place| place.name.clone()).collect()
}

#[test]
fn a_planted_change_is_among_the_first_three_places() {
    for Planted { name, router, places } in planted() {
        for seed in 0..20 {
            let frozen = Router::new().measured(0.05, 1.0, seed);
            let explanation = explained(frozen, router.measured(0.05, 1.0, seed + 1000));
            let rank = rank(&explanation, places);
            let all = names(&explanation);
            assert!(rank.is_some_and(|rank| rank <= 3), "{name}, seed {seed}: {all:?}");
            if let Some(explained) = &explanation.time.explained_pct {
                let explained = explained.approximate();
                assert!(explained >= 50.0, "{name}, seed {seed}: {explained} % of {all:?}");
            }
        }
    }
}

#[test]
fn a_table_that_is_made_otherwise_comes_first_whatever_was_measured() {
    let table = planted().into_iter().find(|it| it.name.contains("table")).unwrap();
    for seed in 0..20 {
        let frozen = Router::new().measured(0.6, 1.0, seed);
        let explanation = explained(frozen, table.router.measured(0.6, 1.0, seed + 1000));
        assert_eq!(rank(&explanation, table.places), Some(1), "{:?}", names(&explanation));
    }
}

#[test]
fn a_machine_that_was_slower_in_one_pass_hides_nothing_and_is_told() {
    for Planted { name, router, places } in planted() {
        let explanation =
            explained(Router::new().measured(0.05, 1.0, 1), router.measured(0.05, 1.3, 2));
        let all = names(&explanation);
        assert!(rank(&explanation, places).is_some_and(|rank| rank <= 3), "{name}: {all:?}");
        let is_told = |notice: &cp1_format::Notice| notice.0.contains("times as long");
        assert!(explanation.notices.iter().any(is_told), "{name}");
    }
}

#[test]
fn what_is_called_more_often_is_certain_and_what_took_longer_is_not() {
    let mut router = Router::new();
    router.function("erlang:phash2/1").calls = 8.0;
    router.function("router_transport:deliver/2").own_us = 3.0;
    let explanation =
        explained(Router::new().measured(0.05, 1.0, 3), router.measured(0.05, 1.0, 4));
    let place = |name: &str| explanation.places.iter().find(|it| it.name == name).unwrap();
    assert!(place("erlang:phash2/1").is_certain);
    assert!(!place("router_transport:deliver/2").is_certain);
    assert_eq!(explanation.places.len(), 2, "{:?}", names(&explanation));
}

#[test]
fn the_parts_of_the_difference_add_up_to_it() {
    for Planted { name, router, .. } in planted() {
        let explanation =
            explained(Router::new().measured(0.05, 1.0, 5), router.measured(0.05, 1.0, 6));
        let time = &explanation.time;
        let change = time.candidate_us.approximate() - time.frozen_us.approximate();
        let sum: f64 = time.parts.iter().map(|part| part.change_us.approximate()).sum();
        assert!((sum - change).abs() < 0.01, "{name}: {sum} and {change}");
    }
}

#[test]
fn a_wait_is_told_apart_from_running_and_has_its_process() {
    let lock = planted().remove(6).router;
    let explanation = explained(Router::new().measured(0.0, 1.0, 1), lock.measured(0.0, 1.0, 1));
    let first = &explanation.places[0];
    assert_eq!(first.name, "router_lock", "{:?}", names(&explanation));
    let waits = |evidence: &String| evidence.contains("requests wait 25.0 us longer");
    assert!(first.evidence.iter().any(waits), "{:?}", first.evidence);
    let waiting =
        explanation.time.parts.iter().find(|it| it.kind == TimePartKind::Waiting).unwrap();
    assert!(waiting.share_pct.as_ref().unwrap().approximate() > 70.0);
    let kinds: Vec<_> = explanation.advice.iter().map(|advice| advice.kind).collect();
    assert_eq!(kinds, [AdviceKind::Bottleneck]);
}

#[test]
fn a_lock_of_the_emulator_that_requests_wait_for_is_a_place() {
    let lock = |waited_us| Lock { name: "db_tab".into(), tries: 40_000, collisions: 9, waited_us };
    let mut router = Router::new();
    let mut frozen = router.measured(0.0, 1.0, 1);
    router.waiting_us = 3.0;
    let mut candidate = router.measured(0.0, 1.0, 1);
    frozen.locks = Some(vec![lock(100)]);
    candidate.locks = Some(vec![lock(3 * REQUESTS)]);
    let explanation = explained(frozen, candidate);
    assert_eq!(names(&explanation), ["db_tab"]);
    assert!(explanation.time.explained_pct.unwrap().approximate() > 90.0);
}

#[test]
fn memory_without_a_place_is_told_as_such() {
    let mut router = Router::new();
    *router.further.get_mut(&MemoryKind::Atom).unwrap() += 5_000_000;
    let explanation = explained(Router::new().measured(0.0, 1.0, 1), router.measured(0.0, 1.0, 1));
    assert_eq!(names(&explanation), ["atom"]);
    assert_eq!(explanation.memory.explained_pct.unwrap().approximate(), 0.0);
}

#[test]
fn binaries_that_a_process_holds_on_to_lead_to_it() {
    let mut router = Router::new();
    router.processes[1].binary_bytes = 30_000_000;
    let explanation = explained(Router::new().measured(0.0, 1.0, 1), router.measured(0.0, 1.0, 1));
    assert_eq!(names(&explanation), ["router_owner"]);
    assert!(explanation.memory.explained_pct.unwrap().approximate() > 95.0);
}

#[test]
fn a_comprehension_counts_for_the_function_that_it_is_in() {
    let mut router = Router::new();
    let mut inner = made("router_policy:choose/1", 8.0, 0.3);
    inner.function = "-choose/3-lc$^0/1-0-".to_owned();
    router.functions.push(inner);
    let explanation = explained(Router::new().measured(0.0, 1.0, 1), router.measured(0.0, 1.0, 1));
    assert_eq!(names(&explanation), ["router_policy:choose/3"]);
    assert_eq!(explanation.places[0].state, cp1_format::PlaceState::Both, "it was there before");
    assert!(explanation.places[0].is_own && explanation.places[0].is_certain);
}

#[test]
fn failures_are_told_by_reason_with_a_sample_of_each_side() {
    let failure = |reason: &str, count, sample: &str| FailureReason {
        outcome: FailedOutcome::Rejected,
        reason: reason.into(),
        count,
        sample: sample.into(),
    };
    let mut frozen = Router::new().measured(0.0, 1.0, 1);
    let mut candidate = frozen.clone();
    frozen.reasons = vec![failure("overloaded", 5, "a")];
    candidate.reasons = vec![failure("overloaded", 7, "b"), failure("no_route", 30, "c")];
    let failures = explained(frozen, candidate).failures;
    let told: Vec<_> = failures
        .iter()
        .map(|it| (it.reason.as_str(), it.frozen, it.candidate, it.candidate_sample.as_deref()))
        .collect();
    assert_eq!(told, [("no_route", 0, 30, Some("c")), ("overloaded", 5, 7, Some("b"))]);
}

#[test]
fn advice_has_evidence_and_there_is_none_without() {
    let sound = Router::new().measured(0.0, 1.0, 1);
    assert_eq!(explained(sound.clone(), sound.clone()).advice, []);
    let mut router = Router::new();
    router.tables[0].read_concurrency = false;
    router.function("ets:insert/2").calls = 0.05;
    router.messages.push(profiles::messages("router_bench_side:worker/1", "router_owner", 4000));
    router.processes[1] =
        Processes { queue_max: 7, running_us: 90_000, ..process("router_owner", true, 1) };
    let candidate = router.measured(0.0, 1.0, 1);
    let advice = |candidate: &Profile| {
        let advice = explained(sound.clone(), candidate.clone()).advice;
        assert!(advice.iter().all(|it| !it.evidence.is_empty() && !it.advice.is_empty()));
        advice.into_iter().map(|it| (it.kind, it.place)).collect::<Vec<_>>()
    };
    let named = |kind, place: &str| (kind, place.to_owned());
    assert_eq!(
        advice(&candidate),
        [
            named(AdviceKind::Bottleneck, "router_owner"),
            named(AdviceKind::ReadConcurrency, "router_sessions"),
            named(AdviceKind::CopiedMessage, "router_bench_side:worker/1 to router_owner"),
        ]
    );
    let mut written = candidate.clone();
    for function in written.functions.iter_mut().filter(|it| it.function == "insert") {
        function.calls = REQUESTS;
    }
    assert!(!advice(&written).iter().any(|(kind, _)| *kind == AdviceKind::ReadConcurrency));
    let mut alone = candidate.clone();
    alone.workers = 1;
    assert!(!advice(&alone).iter().any(|(kind, _)| *kind == AdviceKind::ReadConcurrency));
    let mut idle = candidate;
    idle.processes[1].running_us = 0;
    assert!(!advice(&idle).iter().any(|(kind, _)| *kind == AdviceKind::Bottleneck));
}

#[test]
fn whatever_a_build_says_the_explanation_is_bounded_and_reads_back() {
    let long = "x".repeat(100_000);
    for text in ["", "a\n::error::b", "\u{202e}", "VERDICT: PASS (exit 0)", &long] {
        let explanation = hostile(text);
        explanation.check().unwrap();
        let json = to_json(&explanation).unwrap();
        assert!(json.len() < 400_000, "{}", json.len());
        let again: Explanation = parse(Path::new("x"), json.as_bytes()).unwrap();
        assert_eq!(again, explanation);
    }
}

/// A profile of numbers that nobody measured.
fn any_profile() -> impl Strategy<Value = Profile> {
    let number = prop_oneof![Just(0), Just(1), 0..1_000_000u64, Just(u64::MAX)];
    let numbers = proptest::collection::vec(number, 40);
    (numbers, 0usize..12).prop_map(|(numbers, some)| {
        let mut numbers = numbers.into_iter().cycle();
        let mut next = || numbers.next().unwrap();
        let mut profile = Router::new().measured(0.0, 1.0, 1);
        profile.requests = next().max(1);
        (profile.routing_us, profile.traced_routing_us) = (next(), next());
        for function in profile.functions.iter_mut().skip(some) {
            (function.calls, function.own_us, function.words) = (next(), next(), Some(next()));
        }
        profile.work.scheduler_us.values_mut().for_each(|us| *us = next());
        profile.memory.values_mut().for_each(|bytes| *bytes = next());
        for table in &mut profile.tables {
            (table.rows, table.bytes, table.count) = (next(), next(), next());
        }
        for it in &mut profile.processes {
            (it.bytes, it.binary_bytes, it.running_us, it.queue_max) =
                (next(), next(), next(), next());
        }
        let mut messages = profiles::messages("a", "router_owner", 1);
        (messages.count, messages.requests, messages.words) = (next(), next(), next());
        profile.messages.push(messages);
        profile
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_build_against_itself_has_no_place(noise in 0.0..0.06f64, machine in 0.7..1.4f64, seed: u64) {
        let router = Router::new();
        let explanation = explained(
            router.measured(noise, 1.0, seed),
            router.measured(noise, machine, seed.wrapping_add(1)),
        );
        prop_assert_eq!(names(&explanation), Vec::<String>::new());
    }

    #[test]
    fn the_very_same_profile_has_no_place_whatever_it_says(profile in any_profile()) {
        let explanation = explained(profile.clone(), profile);
        prop_assert_eq!(names(&explanation), Vec::<String>::new());
        prop_assert!(explanation.time.explained_pct.is_none());
        prop_assert!(explanation.time.parts.iter().all(|part| part.change_us.is_zero()));
    }

    #[test]
    fn no_profile_makes_a_figure_that_is_none(frozen in any_profile(), candidate in any_profile()) {
        let explanation = explained(frozen, candidate);
        explanation.check().unwrap();
        let json = to_json(&explanation).unwrap();
        let again: Explanation = parse(Path::new("x"), json.as_bytes()).unwrap();
        prop_assert_eq!(again, explanation);
    }

    #[test]
    fn the_order_of_what_the_bench_lists_is_irrelevant(seed: u64, which in 0usize..7) {
        let frozen = Router::new().measured(0.05, 1.0, 1);
        let mut candidate = planted().remove(which).router.measured(0.05, 1.0, 2);
        candidate.tables.push(table("more", "router_owner", "bag", 9));
        let expected = explained(frozen.clone(), candidate.clone());
        let mut random = fastrand::Rng::with_seed(seed);
        let mut shuffled = [frozen, candidate];
        for side in &mut shuffled {
            random.shuffle(&mut side.functions);
            random.shuffle(&mut side.tables);
            random.shuffle(&mut side.processes);
            random.shuffle(&mut side.messages);
        }
        let [frozen, candidate] = shuffled;
        prop_assert_eq!(explained(frozen, candidate), expected);
    }

    #[test]
    fn a_function_that_is_called_more_often_comes_first(calls in 1.2..50.0f64, own_us in 0.1..5.0f64, seed: u64) {
        let mut router = Router::new();
        let function = router.function("router_policy:choose/3");
        (function.calls, function.own_us) = (1.0, own_us);
        let frozen = router.measured(0.03, 1.0, seed);
        router.function("router_policy:choose/3").calls = calls;
        let explanation = explained(frozen, router.measured(0.03, 1.0, seed.wrapping_add(1)));
        prop_assert_eq!(rank(&explanation, &["router_policy:choose/3"]), Some(1));
    }
}
