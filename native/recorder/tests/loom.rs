//! Every interleaving of a shard's writers and readers, of a dispatcher and its workers, and of a
//! dispatcher and its waker.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p latency_recorder --test loom --release`
#![cfg(loom)]

use latency_recorder::{Offer, Ownership, Places, Shard, Sleeper};
use loom::sync::Arc;
use loom::thread;

fn snapshot_of(shard: &Shard) -> latency_recorder::Snapshot {
    let mut snapshot = latency_recorder::Snapshot::empty();
    shard.add_to(&mut snapshot);
    snapshot
}

#[test]
fn one_owner_and_a_reader_lose_nothing() {
    loom::model(|| {
        let shard = Arc::new(Shard::with_cells(4));
        let writer = {
            let shard = Arc::clone(&shard);
            thread::spawn(move || {
                shard.record(1, Ownership::Exclusive);
                shard.record(1, Ownership::Exclusive);
            })
        };
        let early = snapshot_of(&shard).count();
        let late = snapshot_of(&shard).count();
        assert!(early <= late && late <= 2);
        writer.join().unwrap();
        let end = snapshot_of(&shard);
        assert_eq!((end.count(), end.mean_ns()), (2, Some(1)));
    });
}

#[test]
fn two_sharers_lose_nothing() {
    loom::model(|| {
        let shard = Arc::new(Shard::with_cells(4));
        let writers: Vec<_> = [1, 3]
            .map(|ns| {
                let shard = Arc::clone(&shard);
                thread::spawn(move || shard.record(ns, Ownership::Shared))
            })
            .into_iter()
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let end = snapshot_of(&shard);
        assert_eq!(end.count(), 2);
        assert_eq!((end.min_ns(), end.mean_ns(), end.max_ns()), (Some(1), Some(2), Some(3)));
    });
}

#[test]
fn a_reader_never_sees_a_minimum_above_the_maximum_or_beyond_what_it_counts() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let shard = Arc::new(Shard::with_cells(3));
        let writers = [2, 1].map(|ns| {
            let shard = Arc::clone(&shard);
            thread::spawn(move || shard.record(ns, Ownership::Shared))
        });
        let early = snapshot_of(&shard);
        if let Some((lowest, highest)) = early.min_ns().zip(early.max_ns()) {
            assert!((1..=2).contains(&lowest) && (lowest..=2).contains(&highest));
            assert!(early.count() < 2 || (lowest, highest) == (1, 2));
        }
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let end = snapshot_of(&shard);
        assert_eq!((end.count(), end.min_ns(), end.max_ns()), (2, Some(1), Some(2)));
    });
}

/// Up to the end of the test a worker takes what it finds in line; what it took.
fn take_all(places: &Places, worker: usize) -> u64 {
    let mut taken = 0;
    while places.next(worker).is_some() {
        taken += 1;
    }
    taken
}

#[test]
fn no_arrival_stays_in_line_while_a_worker_is_idle() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let places = Arc::new(Places::new(2));
        let workers: Vec<_> = [0, 1]
            .map(|worker| {
                let places = Arc::clone(&places);
                thread::spawn(move || take_all(&places, worker))
            })
            .into_iter()
            .collect();
        let handed = [7, 9]
            .map(|intended_ns| places.offer(intended_ns))
            .into_iter()
            .filter(|offer| matches!(offer, Offer::Taken { .. }))
            .count() as u64;
        let taken: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        assert_eq!(handed + taken, 2, "each arrival is somebody's, and nobody else's");
        assert_eq!(places.waiting(), 0);
        assert_eq!(places.idle() as u64, 2 - handed);
    });
}

#[test]
fn nobody_sleeps_whose_wake_up_has_passed() {
    loom::model(|| {
        let sleeper = Arc::new(Sleeper::default());
        let waker = {
            let sleeper = Arc::clone(&sleeper);
            thread::spawn(move || sleeper.wakes(1))
        };
        let sleeps = sleeper.falls_asleep(1);
        let is_told = waker.join().unwrap();
        assert_eq!(sleeps, is_told, "asleep with a message on its way, or awake without one");
    });
}
