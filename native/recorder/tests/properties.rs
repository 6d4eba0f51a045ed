//! What must always hold of recorder and pacer, whatever is recorded.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use latency_recorder::{
    Arrivals, HIGHEST_NS, HiccupHandle, InFlight, PacerHandle, PacerPlan, Recorder, Schedule,
    now_ns, os_now_ns,
};
use proptest::prelude::*;

const QUANTILES: [f64; 7] = [0.0, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0];

/// Times of every magnitude, with the edges of the range.
fn times() -> impl Strategy<Value = Vec<u64>> {
    let any_magnitude = (0_u32..64).prop_flat_map(|bits| 0..=(u64::MAX >> bits));
    let edge = prop_oneof![
        Just(0_u64),
        Just(1),
        Just(2047),
        Just(2048),
        Just(HIGHEST_NS),
        Just(HIGHEST_NS + 1),
        Just(u64::MAX),
    ];
    proptest::collection::vec(prop_oneof![4 => any_magnitude, 1 => edge], 1..400)
}

/// The smallest value that at least that share of the sorted values is not above.
fn exact_quantile(sorted: &[u64], quantile: f64) -> u64 {
    let rank = (quantile * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

proptest! {
    #[test]
    fn quantiles_agree_with_a_sorted_vector_to_three_digits(values in times()) {
        let recorder = Recorder::new(1);
        values.iter().for_each(|ns| recorder.record(*ns));
        let snapshot = recorder.snapshot();
        let mut sorted: Vec<u64> = values.iter().map(|ns| *ns.min(&HIGHEST_NS)).collect();
        sorted.sort_unstable();
        let found = snapshot.quantiles_ns(&QUANTILES).unwrap();
        for (quantile, found) in QUANTILES.iter().zip(&found) {
            let exact = exact_quantile(&sorted, *quantile);
            prop_assert!(*found >= exact, "q{quantile}: {found} is below {exact}");
            prop_assert!(*found <= exact + exact / 1000 + 1, "q{quantile}: {found} for {exact}");
        }
        prop_assert!(found.is_sorted(), "quantiles are monotone: {found:?}");
        prop_assert_eq!(snapshot.count(), values.len() as u64);
        prop_assert_eq!(snapshot.min_ns(), values.iter().min().copied());
        prop_assert_eq!(snapshot.max_ns(), values.iter().max().copied());
        prop_assert_eq!(snapshot.clamped, values.iter().filter(|ns| **ns > HIGHEST_NS).count() as u64);
    }

    #[test]
    fn the_encoded_histogram_says_the_same(values in times()) {
        use base64::Engine as _;
        let recorder = Recorder::new(1);
        values.iter().for_each(|ns| recorder.record(*ns));
        let snapshot = recorder.snapshot();
        let bytes = base64::engine::general_purpose::STANDARD.decode(snapshot.encode_v2().unwrap());
        let read: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.unwrap().as_slice()).unwrap();
        prop_assert_eq!(read.len(), values.len() as u64);
        let (lowest, highest) = (snapshot.min_ns().unwrap(), snapshot.max_ns().unwrap());
        let quantile = |q: &f64| read.value_at_quantile(*q).clamp(lowest.min(HIGHEST_NS), highest);
        let quantiles: Vec<u64> = QUANTILES.iter().map(quantile).collect();
        prop_assert_eq!(quantiles, snapshot.quantiles_ns(&QUANTILES).unwrap());
    }

    #[test]
    fn a_time_that_went_backwards_is_counted_and_never_recorded(a in any::<u64>(), b in any::<u64>()) {
        let recorder = Recorder::new(1);
        let elapsed = recorder.record_between(a, b);
        let snapshot = recorder.snapshot();
        prop_assert_eq!(snapshot.count() + snapshot.time_went_backwards, 1);
        prop_assert_eq!(snapshot.time_went_backwards == 1, b < a);
        prop_assert_eq!(elapsed, b.saturating_sub(a));
    }

    #[test]
    fn constant_arrivals_never_drift_and_never_go_back(
        start in 0_u64..1 << 60, rate in 1_u64..=1_000_000,
    ) {
        let mut schedule = Schedule::new(Arrivals::Constant, start, rate).unwrap();
        let seconds = 3_000_u64.div_ceil(rate);
        let times: Vec<u64> = (0..=rate.min(3_000) * seconds).map(|_| schedule.next_ns()).collect();
        prop_assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        if rate <= 3_000 {
            prop_assert_eq!(times[(rate * seconds) as usize], start + seconds * 1_000_000_000);
        }
    }

    #[test]
    fn poisson_arrivals_repeat_with_their_seed_and_keep_their_rate(
        seed in any::<u64>(), rate in 1_u64..=100_000,
    ) {
        let schedule = || Schedule::new(Arrivals::poisson(seed), 5, rate).unwrap();
        let (mut one, mut other) = (schedule(), schedule());
        let times: Vec<u64> = (0..10_000).map(|_| one.next_ns()).collect();
        prop_assert!(times.iter().all(|time| *time == other.next_ns()));
        prop_assert!(times.is_sorted());
        // The sum of n gaps has a relative standard deviation of 1/sqrt(n): 1 %; six of them here.
        let mean_gap = (times[9_999] - 5) as f64 / 10_000.0;
        prop_assert!((mean_gap * rate as f64 / 1e9 - 1.0).abs() < 0.06, "{mean_gap} at {rate}");
        // A share of 1/e of exponential gaps is longer than their mean.
        let long = times.windows(2).filter(|pair| (pair[1] - pair[0]) as f64 > mean_gap).count();
        prop_assert!((3_300..4_100).contains(&long), "{long} of 9,999 gaps are above the mean");
    }
}

#[test]
fn no_sample_is_lost_when_more_threads_than_shards_record_and_readers_look_on() {
    const THREADS: u64 = 6;
    const RECORDS: u64 = 200_000;
    let recorder = Arc::new(Recorder::new(2));
    let writers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let recorder = Arc::clone(&recorder);
            thread::spawn(move || (0..RECORDS).for_each(|n| recorder.record(thread * RECORDS + n)))
        })
        .collect();
    let mut seen = 0;
    while !writers.iter().all(thread::JoinHandle::is_finished) {
        let count = recorder.snapshot().count();
        assert!(count >= seen, "a count went from {seen} to {count}");
        seen = count;
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let snapshot = recorder.snapshot();
    let total = THREADS * RECORDS;
    assert_eq!(snapshot.count(), total);
    assert_eq!(snapshot.mean_ns(), Some((total - 1) / 2), "the sum is exact");
    assert_eq!((snapshot.min_ns(), snapshot.max_ns()), (Some(0), Some(total - 1)));
}

#[test]
fn an_empty_recorder_has_no_percentile_rather_than_zero() {
    let snapshot = Recorder::new(1).snapshot();
    assert_eq!(snapshot.count(), 0);
    assert_eq!(snapshot.quantiles_ns(&[0.99]), None);
    assert_eq!((snapshot.min_ns(), snapshot.mean_ns(), snapshot.max_ns()), (None, None, None));
}

/// Runs a pacer to its end; gives the announced (worker, intended) pairs and the handle.
fn pace(
    plan: PacerPlan,
    workers: usize,
    answer: impl Fn(usize) -> bool + Send + 'static,
) -> (Vec<(usize, u64)>, PacerHandle) {
    let (sender, receiver) = mpsc::channel();
    let (finished, end) = mpsc::channel();
    let announce = move |worker, intended| {
        sender.send((worker, intended)).unwrap();
        answer(worker)
    };
    let in_flight = Arc::new(InFlight::new(workers));
    let finish = move || finished.send(()).unwrap();
    let lag = Arc::new(Recorder::new(0));
    let handle = PacerHandle::start(plan, in_flight, Arc::clone(&lag), announce, finish).unwrap();
    end.recv().unwrap();
    let announced: Vec<_> = receiver.iter().collect();
    assert!(lag.snapshot().count() <= announced.len() as u64 + handle.counts().skipped);
    (announced, handle)
}

fn recorder() -> Arc<Recorder> {
    Arc::new(Recorder::new(0))
}

fn plan(arrivals: u64, in_flight_per_worker: u32) -> PacerPlan {
    let schedule = Schedule::new(Arrivals::Constant, now_ns(), 100_000).unwrap();
    PacerPlan { schedule, arrivals, in_flight_per_worker }
}

#[test]
fn every_arrival_is_announced_in_turn_at_its_intended_time() {
    let plan = plan(1000, u32::MAX);
    let mut schedule = plan.schedule.clone();
    let (announced, handle) = pace(plan, 7, |_| true);
    let expected: Vec<_> = (0..1000).map(|n| (n % 7, schedule.next_ns())).collect();
    assert_eq!(announced, expected);
    assert_eq!((handle.counts().offered, handle.counts().skipped), (1000, 0));
}

#[test]
fn an_arrival_beyond_the_cap_is_skipped_and_counted_not_dropped_in_silence() {
    let (announced, handle) = pace(plan(100, 3), 4, |_| true);
    assert_eq!(announced.len(), 12, "three for each of four workers that never finish one");
    assert_eq!((handle.counts().offered, handle.counts().skipped), (100, 88));
}

#[test]
fn a_place_given_back_is_used_again_and_none_can_be_given_back_twice() {
    let in_flight = InFlight::new(1);
    assert!(!in_flight.leave(0));
    assert!(!in_flight.leave(1));
    assert_eq!(in_flight.total(), 0);
    let announced = Arc::new(AtomicU64::new(0));
    let shared = Arc::new(in_flight);
    let (counter, worker) = (Arc::clone(&announced), Arc::clone(&shared));
    let (finished, end) = mpsc::channel();
    let answer_at_once = move |index, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        worker.leave(index)
    };
    let finish = move || finished.send(()).unwrap();
    let handle =
        PacerHandle::start(plan(50, 1), shared, recorder(), answer_at_once, finish).unwrap();
    end.recv().unwrap();
    assert_eq!(announced.load(Ordering::Relaxed), 50);
    assert_eq!(handle.counts().skipped, 0);
}

#[test]
fn a_pacer_ends_when_a_worker_is_gone_and_when_it_is_dropped() {
    let (announced, _) = pace(plan(1000, 10), 2, |worker| worker == 0);
    assert_eq!(announced.len(), 2);

    let far_off = Schedule::new(Arrivals::Constant, now_ns() + 3_600_000_000_000, 1).unwrap();
    let plan = PacerPlan { schedule: far_off, arrivals: 1, in_flight_per_worker: 1 };
    let (finished, end) = mpsc::channel();
    let finish = move || finished.send(()).unwrap();
    let handle =
        PacerHandle::start(plan, Arc::new(InFlight::new(1)), recorder(), |_, _| true, finish)
            .unwrap();
    drop(handle);
    end.recv().unwrap();
}

#[test]
fn a_hiccup_meter_counts_every_step_however_late_and_the_same_once_it_has_ended() {
    let before_ns = os_now_ns();
    let meter = HiccupHandle::start().unwrap();
    let started_ns = os_now_ns();
    while os_now_ns() < started_ns + 30_000_000 {
        thread::yield_now();
    }
    let stop_ns = os_now_ns();
    let recorded = meter.finish();
    let steps_min = (stop_ns - started_ns) / 1_000_000;
    let steps_max = (os_now_ns() - before_ns) / 1_000_000;
    assert!((steps_min..=steps_max).contains(&recorded.count()), "{}", recorded.count());
    assert_eq!(meter.finish(), recorded);
}
