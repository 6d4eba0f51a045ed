//! One thread's counters.

use crate::layout::{CELLS, HIGHEST_NS, cell_of};
use crate::primitive::{AtomicU64, Ordering};
use crate::snapshot::Snapshot;
use crate::taken::Taken;

/// Who else writes to a shard while we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Nobody: a load and a store will do.
    Exclusive,
    /// Other threads: read-modify-write.
    Shared,
}

/// Counters of one thread, or of all threads that have none of their own.
///
/// Every access is relaxed: counters are independent of each other, each is only ever added to, and
/// whoever needs exact totals has ordered the writers' end before the read by other means.
pub struct Shard {
    cells: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
    min_ns: AtomicU64,
    max_ns: AtomicU64,
    clamped: AtomicU64,
    backwards: AtomicU64,
}

impl Shard {
    /// A shard of the full layout, with its memory touched so that recording never faults it in.
    #[must_use]
    pub fn new() -> Self {
        Self::with_cells(CELLS)
    }

    /// A shard of the layout's first counters; longer times go uncounted. For model checking, which
    /// cannot afford the full layout.
    #[must_use]
    pub fn with_cells(cells: usize) -> Self {
        Self {
            cells: (0..cells).map(|_| AtomicU64::new(0)).collect(),
            sum_ns: AtomicU64::new(0),
            min_ns: AtomicU64::new(u64::MAX),
            max_ns: AtomicU64::new(0),
            clamped: AtomicU64::new(0),
            backwards: AtomicU64::new(0),
        }
    }

    /// Records a time.
    pub fn record(&self, ns: u64, ownership: Ownership) {
        if let Some(cell) = self.cells.get(cell_of(ns)) {
            add(cell, 1, ownership);
        }
        add(&self.sum_ns, ns.min(HIGHEST_NS), ownership);
        if ns > HIGHEST_NS {
            add(&self.clamped, 1, ownership);
        }
        if ns < self.min_ns.load(Ordering::Relaxed) {
            self.min_ns.fetch_min(ns, Ordering::Relaxed);
        }
        if ns > self.max_ns.load(Ordering::Relaxed) {
            self.max_ns.fetch_max(ns, Ordering::Relaxed);
        }
    }

    /// Counts a time that ended before it began.
    pub fn record_backwards(&self, ownership: Ownership) {
        add(&self.backwards, 1, ownership);
    }

    /// Adds what was taken elsewhere to counters that others may be writing to.
    pub(crate) fn add(&self, taken: &Taken) {
        for &(cell, count) in &taken.counts {
            if let Some(cell) = self.cells.get(cell) {
                add(cell, count, Ownership::Shared);
            }
        }
        add(&self.sum_ns, taken.sum_ns, Ownership::Shared);
        add(&self.clamped, taken.clamped, Ownership::Shared);
        add(&self.backwards, taken.time_went_backwards, Ownership::Shared);
        self.min_ns.fetch_min(taken.min_ns, Ordering::Relaxed);
        self.max_ns.fetch_max(taken.max_ns, Ordering::Relaxed);
    }

    /// Adds this shard's counters to a snapshot.
    pub fn add_to(&self, snapshot: &mut Snapshot) {
        for (total, cell) in snapshot.cells.iter_mut().zip(&self.cells) {
            *total = total.saturating_add(cell.load(Ordering::Relaxed));
        }
        snapshot.sum_ns = snapshot.sum_ns.wrapping_add(self.sum_ns.load(Ordering::Relaxed));
        snapshot.min_ns = snapshot.min_ns.min(self.min_ns.load(Ordering::Relaxed));
        snapshot.max_ns = snapshot.max_ns.max(self.max_ns.load(Ordering::Relaxed));
        snapshot.clamped = snapshot.clamped.saturating_add(self.clamped.load(Ordering::Relaxed));
        snapshot.time_went_backwards =
            snapshot.time_went_backwards.saturating_add(self.backwards.load(Ordering::Relaxed));
        snapshot.settle();
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self::new()
    }
}

#[inline]
fn add(cell: &AtomicU64, by: u64, ownership: Ownership) {
    match ownership {
        Ownership::Exclusive => {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        }
        Ownership::Shared => {
            cell.fetch_add(by, Ordering::Relaxed);
        }
    }
}
