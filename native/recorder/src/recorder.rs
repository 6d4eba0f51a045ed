//! Many threads, one distribution.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::shard::{Ownership, Shard};
use crate::snapshot::Snapshot;
use crate::taken::Taken;

/// Keeps each shard's header on cache lines of its own; 128 because processors fetch lines in
/// pairs.
#[repr(align(128))]
struct Padded(Shard);

/// Records times from any thread.
pub struct Recorder {
    owned: Box<[Padded]>,
    shared: Padded,
    /// What had been recorded when [`Recorder::slice`] was last called. Writers never touch it.
    sliced: Mutex<Snapshot>,
    /// The same of [`Recorder::window`]; nothing before the first call.
    windowed: Mutex<Option<Snapshot>>,
}

impl Recorder {
    /// A recorder with a shard for each of the first `threads` threads that ever record in this
    /// process (0 to 1024; more are taken as 1024), and one that all others share.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let owned = (0..threads.min(1024)).map(|_| Padded(Shard::new())).collect();
        Self {
            owned,
            shared: Padded(Shard::new()),
            sliced: Mutex::new(Snapshot::empty()),
            windowed: Mutex::new(None),
        }
    }

    /// Records a time. Never blocks, never allocates, whatever the value.
    #[inline]
    pub fn record(&self, ns: u64) {
        let (shard, ownership) = self.shard();
        shard.record(ns, ownership);
    }

    /// Records the time between two readings of one clock, and gives it; 0 where time went
    /// backwards, which is counted instead.
    #[inline]
    pub fn record_between(&self, start_ns: u64, end_ns: u64) -> u64 {
        let (shard, ownership) = self.shard();
        if let Some(elapsed) = end_ns.checked_sub(start_ns) {
            shard.record(elapsed, ownership);
            elapsed
        } else {
            shard.record_backwards(ownership);
            0
        }
    }

    /// Adds up what was recorded so far, by all threads.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::empty();
        for Padded(shard) in self.owned.iter().chain([&self.shared]) {
            shard.add_to(&mut snapshot);
        }
        snapshot
    }

    /// What was recorded since this was last called, or ever. Of several callers each sample goes to
    /// one.
    #[must_use]
    pub fn slice(&self) -> Snapshot {
        let mut sliced = self.sliced.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.snapshot();
        let slice = now.since(&sliced);
        *sliced = now;
        slice
    }

    /// The same as [`Recorder::slice`], of windows that have slices of their own: neither call knows of
    /// the other.
    #[must_use]
    pub fn window(&self) -> Snapshot {
        let mut windowed = self.windowed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.snapshot();
        let window = now.since(windowed.as_ref().unwrap_or(&Snapshot::empty()));
        *windowed = Some(now);
        window
    }

    /// The same as [`Recorder::window`] with the exact minimum and maximum of all that was recorded so far,
    /// for [`Recorder::add`] to another recorder: of what is added up again and again both come out exact.
    #[must_use]
    pub fn take(&self) -> Taken {
        let mut window = self.window();
        if window.count() > 0 {
            let total = self.snapshot();
            (window.min_ns, window.max_ns) = (total.min_ns, total.max_ns);
        }
        Taken::new(&window)
    }

    /// Records what another recorder has recorded.
    pub fn add(&self, taken: &Taken) {
        self.shared.0.add(taken);
    }

    #[inline]
    fn shard(&self) -> (&Shard, Ownership) {
        // A thread's slot is unique in the process, so a shard found by it has no other writer.
        match self.owned.get(thread_slot()) {
            Some(Padded(shard)) => (shard, Ownership::Exclusive),
            None => (&self.shared.0, Ownership::Shared),
        }
    }
}

/// This thread's number, in the order in which threads first recorded; never given twice.
#[inline]
pub(crate) fn thread_slot() -> usize {
    const UNSET: usize = usize::MAX;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // Constant and without a destructor: an access is a plain load.
        static SLOT: Cell<usize> = const { Cell::new(UNSET) };
    }
    SLOT.with(|slot| {
        if slot.get() == UNSET {
            // Relaxed: only uniqueness matters.
            slot.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        slot.get()
    })
}
