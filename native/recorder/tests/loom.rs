//! Every interleaving of a shard's writers and readers.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p latency_recorder --test loom --release`
#![cfg(loom)]

use latency_recorder::{Ownership, Shard};
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
