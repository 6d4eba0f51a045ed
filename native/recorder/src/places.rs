//! Which workers are idle, and which arrivals wait for one: a hand-over between one dispatcher and
//! many workers without a lock.
//!
//! The dispatcher offers arrivals; a worker that has finished asks for the next. Whoever comes second
//! finds the other: an arrival that found nobody idle is put in line *before* the dispatcher looks for
//! an idle worker once more, and a worker that found nothing in line says that it is idle *before* it
//! looks at the line once more. A sequentially consistent fence stands between the two steps on both
//! sides, so at least one of the two sees the other, and no arrival stays behind while a worker is
//! idle. loom checks the interleavings.

use crate::primitive::{AtomicU64, Ordering, fence};
use crate::recorder::thread_slot;

const BITS: usize = u64::BITS as usize;

/// Workers by number, and a line of times.
pub struct Places {
    /// A bit for each worker, set while it is idle.
    idle: Box<[AtomicU64]>,
    /// A ring; what is in line are the places from `taken` to `put`.
    line: Box<[AtomicU64]>,
    /// The thread on which each worker was when it became idle. It wakes there at once; on another,
    /// which may be asleep, some 25 µs later.
    home: Box<[AtomicU64]>,
    put: AtomicU64,
    taken: AtomicU64,
}

/// What became of an offered arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// This worker has it; it was idle and is busy now.
    Taken {
        /// The worker.
        worker: usize,
        /// The intended time of what it has; of the offered arrival unless others were in line.
        intended_ns: u64,
    },
    /// It waits for the next worker that finishes.
    Waits,
    /// There is no place in line.
    Full,
}

impl Places {
    /// For that many workers, none of which is idle yet, and as many arrivals in line.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let cells = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            idle: cells(workers.div_ceil(BITS)),
            line: cells(workers),
            home: cells(workers),
            put: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        }
    }

    /// Gives an arrival to an idle worker, to one that was last on this thread if there is one, or puts
    /// it in line. Called by one thread at a time.
    pub fn offer(&self, intended_ns: u64) -> Offer {
        if let Some(worker) = self.claim() {
            return Offer::Taken { worker, intended_ns };
        }
        if !self.put_in_line(intended_ns) {
            return Offer::Full;
        }
        // Pairs with the fence in `next`.
        fence(Ordering::SeqCst);
        match self.claim().and_then(|worker| Some((worker, self.next(worker)?))) {
            Some((worker, intended_ns)) => Offer::Taken { worker, intended_ns },
            None => Offer::Waits,
        }
    }

    /// The intended time of the next arrival in line, for a worker that is not idle; `None` makes it
    /// idle, and its next arrival will be offered.
    pub fn next(&self, worker: usize) -> Option<u64> {
        let (word, bit) = (self.idle.get(worker / BITS)?, 1_u64 << (worker % BITS));
        let home = self.home.get(worker)?;
        loop {
            if let Some(intended_ns) = self.take_from_line() {
                return Some(intended_ns);
            }
            // Relaxed: a wish, not a promise. Written when it changes only: neighbours share its line.
            let here = thread_slot() as u64;
            if home.load(Ordering::Relaxed) != here {
                home.store(here, Ordering::Relaxed);
            }
            // Release: who claims this worker sees what it did.
            word.fetch_or(bit, Ordering::Release);
            // Pairs with the fence in `offer`.
            fence(Ordering::SeqCst);
            if self.waiting() == 0 {
                return None;
            }
            if word.fetch_and(!bit, Ordering::Acquire) & bit == 0 {
                // The dispatcher was faster: this worker has an arrival already.
                return None;
            }
        }
    }

    /// Idle workers.
    #[must_use]
    pub fn idle(&self) -> usize {
        let ones = |word: &AtomicU64| word.load(Ordering::Relaxed).count_ones() as usize;
        self.idle.iter().map(ones).sum()
    }

    /// Arrivals in line.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        // `taken` first: it never overtakes `put`, so the difference is never negative.
        let taken = self.taken.load(Ordering::Acquire);
        self.put.load(Ordering::Acquire).saturating_sub(taken)
    }

    /// An idle worker that was last on this thread, else the one with the lowest number.
    fn claim(&self) -> Option<usize> {
        let here = thread_slot() as u64;
        let is_here = |home: &AtomicU64| home.load(Ordering::Relaxed) == here;
        self.claim_where(|worker| self.home.get(worker).is_some_and(is_here))
            .or_else(|| self.claim_where(|_| true))
    }

    fn claim_where(&self, is_wanted: impl Fn(usize) -> bool) -> Option<usize> {
        for (index, word) in self.idle.iter().enumerate() {
            let mut left = word.load(Ordering::Relaxed);
            while left != 0 {
                let lowest = left & left.wrapping_neg();
                left &= !lowest;
                let worker = index * BITS + lowest.trailing_zeros() as usize;
                // Only workers set bits, and only this and their own `next` clear them. Acquire: pairs
                // with the Release that set it.
                if is_wanted(worker) && word.fetch_and(!lowest, Ordering::Acquire) & lowest != 0 {
                    return Some(worker);
                }
            }
        }
        None
    }

    fn put_in_line(&self, intended_ns: u64) -> bool {
        let put = self.put.load(Ordering::Relaxed);
        // Acquire: pairs with the exchange in `take_from_line`, so the place's last reader is done.
        let has_place = put - self.taken.load(Ordering::Acquire) < self.line.len() as u64;
        if let Some(place) = self.place(put).filter(|_| has_place) {
            place.store(intended_ns, Ordering::Relaxed);
            // Release: pairs with the Acquire in `take_from_line`, which reads the place.
            self.put.store(put + 1, Ordering::Release);
            return true;
        }
        false
    }

    fn take_from_line(&self) -> Option<u64> {
        let mut taken = self.taken.load(Ordering::Relaxed);
        loop {
            if taken >= self.put.load(Ordering::Acquire) {
                return None;
            }
            let intended_ns = self.place(taken)?.load(Ordering::Relaxed);
            match self.taken.compare_exchange(
                taken,
                taken + 1,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(intended_ns),
                Err(now) => taken = now,
            }
        }
    }

    fn place(&self, number: u64) -> Option<&AtomicU64> {
        let length = self.line.len() as u64;
        self.line.get(number.checked_rem(length)? as usize)
    }
}
