//! What must always hold of recorder and dispatch, whatever is recorded.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use latency_recorder::{
    Arrivals, Dispatch, HIGHEST_NS, HiccupHandle, Offer, Outcome, Places, Poll, Recorder,
    Recorders, Schedule, Share, Sleeper, Taken, WakerHandle, now_ns, os_now_ns,
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

/// Any number of 64 bits, small and extreme ones more often.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..100, any::<u64>(), Just(u64::MAX), Just(1_u64 << 63)]
}

/// DWARF 5, section 7.6.
fn write_leb128(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
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
    fn what_is_taken_in_parts_and_added_up_elsewhere_is_what_one_recorder_would_have(
        parts in proptest::collection::vec((times(), 0_usize..3), 1..6),
    ) {
        let (whole, merged) = (Recorder::new(1), Recorder::new(0));
        let drivers: Vec<Recorder> = (0..3).map(|_| Recorder::new(1)).collect();
        for (values, driver) in &parts {
            values.iter().for_each(|ns| whole.record(*ns));
            values.iter().for_each(|ns| drivers[*driver].record(*ns));
            for each in &drivers {
                let taken = each.take();
                prop_assert_eq!(&Taken::from_bytes(&taken.to_bytes()).unwrap(), &taken);
                merged.add(&taken);
            }
        }
        prop_assert_eq!(merged.snapshot(), whole.snapshot());
    }

    #[test]
    fn bytes_that_were_not_taken_are_refused_and_never_more(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let claimed: Vec<u8> = std::iter::once(1).chain(bytes.iter().copied()).collect();
        for bytes in [bytes, claimed] {
            if let Ok(taken) = Taken::from_bytes(&bytes) {
                prop_assert_eq!(bytes[0], 1);
                Recorder::new(0).add(&taken);
            }
        }
    }

    #[test]
    fn numbers_that_were_never_taken_are_refused_or_added_up_without_a_panic(
        head in proptest::collection::vec(number(), 5),
        counts in proptest::collection::vec((0_u64..30_000, number()), 0..4),
        times in 1..4,
    ) {
        let mut bytes = vec![1];
        let cells = counts.iter().flat_map(|(gap, count)| [*gap, *count]);
        head.into_iter().chain(cells).for_each(|number| write_leb128(&mut bytes, number));
        let recorder = Recorder::new(1);
        if let Ok(taken) = Taken::from_bytes(&bytes) {
            (0..times).for_each(|_| recorder.add(&taken));
        }
        for snapshot in [recorder.snapshot(), recorder.slice(), recorder.window()] {
            prop_assert_eq!(snapshot.encode_v2().is_ok(), i64::try_from(snapshot.count()).is_ok());
            let quantiles = snapshot.quantiles_ns(&[0.0, 0.999, 1.0]).unwrap_or_default();
            if let Some((lowest, highest)) = snapshot.min_ns().zip(snapshot.max_ns()) {
                let within = lowest.min(HIGHEST_NS)..=highest;
                prop_assert!(quantiles.iter().all(|ns| within.contains(ns)));
            }
        }
        prop_assert!(Taken::from_bytes(&recorder.take().to_bytes()).is_ok());
    }

    #[test]
    fn shares_together_are_the_schedule(
        seed in any::<u64>(), rate in 1_u64..=1_000_000, of in 1_u32..12, is_poisson in any::<bool>(),
    ) {
        let spacing = || if is_poisson { Arrivals::poisson(seed) } else { Arrivals::Constant };
        let schedule = |number, of| Schedule::new(spacing(), 7, rate, Share { number, of }).unwrap();
        let mut whole = schedule(0, 1);
        let mut shares: Vec<Schedule> = (0..of).map(|number| schedule(number, of)).collect();
        for arrival in 0..200 {
            prop_assert_eq!(shares[arrival % of as usize].next_ns(), whole.next_ns());
        }
        let none = Share { number: of, of };
        prop_assert!(Schedule::new(spacing(), 7, rate, none).is_err());
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
        let mut schedule = Schedule::new(Arrivals::Constant, start, rate, Share::WHOLE).unwrap();
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
        let schedule = || Schedule::new(Arrivals::poisson(seed), 5, rate, Share::WHOLE).unwrap();
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

fn recorders() -> Recorders {
    let new = || Arc::new(Recorder::new(2));
    Recorders { response_time: new(), service_time: new(), dispatch_lag: new() }
}

/// A loop whose arrivals are all due.
fn all_due(workers: usize, arrivals: u64) -> (Dispatch, Recorders) {
    let recorders = recorders();
    let dispatch = Dispatch::new(workers, recorders.clone());
    let schedule = Schedule::new(Arrivals::Constant, 0, 1_000_000, Share::WHOLE).unwrap();
    dispatch.begin(schedule, arrivals);
    (dispatch, recorders)
}

proptest! {
    #[test]
    fn every_arrival_is_served_or_skipped_whatever_comes_of_it(
        workers in 1_usize..70, outcomes in prop::collection::vec(0_u8..4, 1..200),
    ) {
        let (dispatch, recorders) = all_due(workers, outcomes.len() as u64);
        let mut outcomes_left = outcomes.iter();
        let mut of = || match outcomes_left.next().copied().unwrap_or_default() {
            0 => Outcome::Ok,
            1 => Outcome::Error,
            2 => Outcome::Timeout,
            _ => Outcome::Rejected,
        };
        let mut made = 0;
        loop {
            let mut busy = match dispatch.poll() {
                Poll::Hand(worker) => Some(worker),
                Poll::Grow => {
                    made += 1;
                    dispatch.ready(made - 1).unwrap().then_some(made - 1)
                }
                Poll::Finished => break,
                _ => None,
            };
            while let Some(worker) = busy {
                let more = dispatch.answered(worker, now_ns(), of()).unwrap();
                busy = more.then_some(worker);
            }
        }
        let counts = dispatch.counts();
        let ok = recorders.response_time.snapshot().count();
        prop_assert_eq!(counts.offered, outcomes.len() as u64);
        prop_assert_eq!(counts.in_flight, 0);
        prop_assert_eq!(
            counts.offered,
            ok + counts.error + counts.timeout + counts.rejected + counts.skipped
        );
        prop_assert_eq!(recorders.service_time.snapshot().count(), ok);
        prop_assert!(made <= workers);
    }

    /// Arrivals of 1 µs each, and the windows that they are intended in, whenever they are answered; the
    /// last one has what comes after it.
    #[test]
    fn every_arrival_is_in_the_window_of_its_intended_start(
        arrivals in 1_u64..400, window_us in 1_u64..50, count in 1_usize..20, failed in 0_u64..400,
    ) {
        let recorders = recorders();
        let dispatch = Dispatch::in_windows(1, recorders, window_us * 1000, count);
        dispatch.begin(Schedule::new(Arrivals::Constant, 5_000, 1_000_000, Share::WHOLE).unwrap(), arrivals);
        let (mut made, mut number) = (false, 0);
        let mut serve = |worker| {
            let outcome = if number == failed { Outcome::Error } else { Outcome::Ok };
            number += 1;
            dispatch.answered(worker, now_ns(), outcome).unwrap()
        };
        loop {
            let worker = match dispatch.poll() {
                Poll::Hand(worker) => Some(worker),
                Poll::Grow if !made => {
                    made = true;
                    dispatch.ready(0).unwrap().then_some(0)
                }
                Poll::Finished => break,
                _ => None,
            };
            if let Some(worker) = worker {
                while serve(worker) {}
            }
        }
        let counts = dispatch.counts();
        let windows = dispatch.windows().unwrap();
        prop_assert_eq!(windows.len(), count);
        let mut left = arrivals;
        for (index, window) in windows.iter().enumerate() {
            let due = if index + 1 == count { left } else { left.min(window_us) };
            prop_assert_eq!(window.offered, due, "window {}", index);
            prop_assert!(window.ok <= due && window.p95_ns.is_some() == (window.ok > 0));
            left -= due;
        }
        let ok: u64 = windows.iter().map(|window| window.ok).sum();
        prop_assert_eq!(arrivals, ok + counts.error + counts.skipped);
        prop_assert_eq!(Dispatch::new(1, self::recorders()).windows(), None);
    }

    #[test]
    fn the_slices_of_a_recorder_add_up_to_all_of_it(slices in prop::collection::vec(times(), 1..5)) {
        let recorder = Recorder::new(1);
        let mut counts = 0;
        for times in &slices {
            let alone = Recorder::new(0);
            times.iter().for_each(|ns| {
                recorder.record(*ns);
                alone.record(*ns);
            });
            let slice = recorder.slice();
            counts += slice.count();
            prop_assert_eq!(slice.count(), times.len() as u64);
            let (of_slice, alone) =
                (slice.quantiles_ns(&[0.5, 0.99]), alone.snapshot().quantiles_ns(&[0.5, 0.99]));
            for (one, other) in of_slice.iter().flatten().zip(alone.iter().flatten()) {
                prop_assert!(one.abs_diff(*other) <= other / 1000 + 1, "{one} {other}");
            }
        }
        prop_assert_eq!(recorder.snapshot().count(), counts);
        prop_assert_eq!(recorder.slice().count(), 0);
        // Windows go on beside slices.
        prop_assert_eq!(recorder.window().count(), counts);
        recorder.record(7);
        prop_assert_eq!((recorder.window().count(), recorder.window().count()), (1, 0));
        prop_assert_eq!(recorder.slice().count(), 1);
    }
}

#[test]
fn an_arrival_beyond_the_most_workers_is_skipped_and_counted_not_dropped_in_silence() {
    let (dispatch, _) = all_due(3, 100);
    let mut made = 0;
    while dispatch.poll() != Poll::Drain {
        if made < 3 {
            // Whoever comes finds an arrival in line sooner or later, and never finishes it.
            made += usize::from(dispatch.ready(made).is_some());
        }
    }
    let counts = dispatch.counts();
    assert_eq!((counts.offered, counts.skipped, counts.in_flight), (100, 97, 3));
}

#[test]
fn an_arrival_that_waited_for_a_worker_is_the_routers_and_no_lateness_of_the_dispatcher() {
    let (dispatch, recorders) = all_due(1, 2);
    assert_eq!(dispatch.poll(), Poll::Grow);
    assert_eq!(dispatch.ready(0), Some(false));
    assert_eq!(dispatch.poll(), Poll::Hand(0));
    // The only worker is busy and no other may be made: the second arrival is skipped, not lost.
    assert_eq!(dispatch.poll(), Poll::Again);
    assert_eq!(dispatch.answered(0, now_ns(), Outcome::Ok), Some(false));
    assert_eq!(dispatch.poll(), Poll::Finished);
    assert_eq!(dispatch.counts().skipped, 1);
    assert_eq!(recorders.dispatch_lag.snapshot().count(), 1);

    let (dispatch, recorders) = all_due(1, 1);
    assert_eq!(dispatch.poll(), Poll::Grow);
    assert_eq!(dispatch.poll(), Poll::Again, "it waits for the worker that is being made");
    assert_eq!(dispatch.ready(0), Some(true));
    assert_eq!(dispatch.answered(0, now_ns(), Outcome::Ok), Some(false));
    assert_eq!(recorders.response_time.snapshot().count(), 1);
    assert_eq!(recorders.dispatch_lag.snapshot().count(), 0);
    assert_eq!(dispatch.ready(1), None);
    assert_eq!(dispatch.answered(1, 0, Outcome::Ok), None);
}

#[test]
fn no_arrival_is_lost_between_a_dispatcher_and_many_threads() {
    const WORKERS: usize = 8;
    const ARRIVALS: u64 = 20_000;
    let (dispatch, recorders) = all_due(WORKERS, ARRIVALS);
    thread::scope(|scope| {
        let dispatch = &dispatch;
        let mut workers: Vec<mpsc::Sender<()>> = Vec::new();
        loop {
            match dispatch.poll() {
                Poll::Hand(worker) => workers[worker].send(()).unwrap(),
                Poll::Grow => {
                    let (sender, receiver) = mpsc::channel();
                    let number = workers.len();
                    workers.push(sender);
                    scope.spawn(move || {
                        let mut has = dispatch.ready(number).unwrap();
                        while has || receiver.recv().is_ok() {
                            has = dispatch.answered(number, now_ns(), Outcome::Ok).unwrap();
                        }
                    });
                }
                Poll::Finished => break,
                _ => thread::yield_now(),
            }
        }
    });
    let counts = dispatch.counts();
    assert_eq!((counts.offered, counts.in_flight), (ARRIVALS, 0));
    assert_eq!(recorders.response_time.snapshot().count() + counts.skipped, ARRIVALS);
}

#[test]
fn whoever_falls_asleep_after_the_wake_up_is_told_so_at_once() {
    let sleeper = Sleeper::default();
    assert!(sleeper.falls_asleep(1));
    assert!(sleeper.wakes(1), "somebody sleeps");
    assert!(!sleeper.wakes(1), "and is woken once");
    assert!(!sleeper.falls_asleep(1), "the time to be awake has come already");
    assert!(!sleeper.wakes(2), "nobody sleeps");
}

#[test]
fn a_waker_wakes_for_each_arrival_far_from_the_one_before_and_ends_when_nobody_is_there() {
    let sleeper = Arc::new(Sleeper::default());
    let schedule = Schedule::new(Arrivals::Constant, now_ns(), 1_000, Share::WHOLE).unwrap();
    let (woken, wakes) = mpsc::channel();
    let wake = move || woken.send(()).is_ok();
    assert!(sleeper.falls_asleep(3));
    let waker = WakerHandle::start(schedule.clone(), 5, Arc::clone(&sleeper), wake).unwrap();
    wakes.recv().unwrap();
    // The thread has let go of the other end once it has ended.
    assert!(wakes.recv().is_err(), "nobody slept for the others");
    drop(waker);

    let (woken, wakes) = mpsc::channel();
    let far_off =
        Schedule::new(Arrivals::Constant, now_ns() + 3_600_000_000_000, 1, Share::WHOLE).unwrap();
    let wake = move || woken.send(()).is_ok();
    drop(WakerHandle::start(far_off, 1, sleeper, wake).unwrap());
    assert!(wakes.recv().is_err(), "the thread ends when its handle is dropped");
}

#[test]
fn an_arrival_goes_to_an_idle_worker_of_this_thread_if_there_is_one() {
    let places = Places::new(200);
    let elsewhere = [3, 150];
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(elsewhere.map(|worker| places.next(worker)), [None; 2]));
    });
    assert_eq!(places.next(140), None);
    let offered = [1, 2, 3, 4].map(|intended_ns| places.offer(intended_ns));
    let taken = |worker, intended_ns| Offer::Taken { worker, intended_ns };
    assert_eq!(offered, [taken(140, 1), taken(3, 2), taken(150, 3), Offer::Waits]);
}

#[test]
fn a_hiccup_meter_counts_every_step_however_late_and_none_once_it_has_ended() {
    let before_ns = os_now_ns();
    let recorder = Arc::new(Recorder::new(0));
    let meter = HiccupHandle::start(Arc::clone(&recorder)).unwrap();
    let started_ns = os_now_ns();
    while os_now_ns() < started_ns + 30_000_000 {
        thread::yield_now();
    }
    let stop_ns = os_now_ns();
    meter.finish();
    let recorded = recorder.snapshot();
    let steps_min = (stop_ns - started_ns) / 1_000_000;
    let steps_max = (os_now_ns() - before_ns) / 1_000_000;
    assert!((steps_min..=steps_max).contains(&recorded.count()), "{}", recorded.count());
    meter.finish();
    assert_eq!(recorder.snapshot(), recorded);
}
