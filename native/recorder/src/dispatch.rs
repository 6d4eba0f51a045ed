//! An open loop: which arrival is due, which worker has it, and what became of it.
//!
//! One dispatcher asks again and again what to do ([`Dispatch::poll`]); each worker says when it has
//! finished ([`Dispatch::answered`]) and learns whether another arrival waits for it. All times are
//! of [`now_ns`].

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::now_ns;
use crate::places::{Offer, Places};
use crate::primitive::{AtomicU64, Ordering};
use crate::recorder::Recorder;
use crate::schedule::Schedule;
use crate::waking::Sleeper;
use crate::windows::{WindowFigures, Windows};

/// Idle workers that there are beside the busy ones, so that an arrival never waits until a worker
/// is made.
const SPARE_WORKERS: u64 = 2;

/// Set in an assigned time where no worker was idle when the arrival was due: the wait is the
/// router's, and not the dispatcher's lateness. Times have 63 bits.
const WAITED: u64 = 1 << 63;

/// The distributions that an open loop records.
#[derive(Clone)]
pub struct Recorders {
    /// From the intended start to the answer, of the successful requests.
    pub response_time: Arc<Recorder>,
    /// From the actual start to the answer, of the successful requests.
    pub service_time: Arc<Recorder>,
    /// From the intended to the actual start, of every request for which a worker was idle.
    pub dispatch_lag: Arc<Recorder>,
}

/// What the dispatcher is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    /// Tell this worker that it has an arrival.
    Hand(usize),
    /// Nothing, and ask again at once: an arrival was put in line, or skipped.
    Again,
    /// Give way to others, then ask again.
    Wait,
    /// Sleep until woken, then ask again.
    Sleep,
    /// Make a worker, with the number after the last one made.
    Grow,
    /// Every arrival was offered, and some are still being served.
    Drain,
    /// Every arrival was offered, and none is being served.
    Finished,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With success.
    Ok,
    /// With an error.
    Error,
    /// Without an answer in time.
    Timeout,
    /// Refused.
    Rejected,
}

/// Requests of one run by what became of them; successes are what the recorders count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DispatchCounts {
    /// Arrivals that were due.
    pub offered: u64,
    /// Of these not sent: every worker that there may be was busy.
    pub skipped: u64,
    /// Ended with an error.
    pub error: u64,
    /// Ended without an answer in time.
    pub timeout: u64,
    /// Refused.
    pub rejected: u64,
    /// Sent and not answered yet.
    pub in_flight: u64,
}

/// The arrivals of a run; only the dispatcher advances them.
struct Run {
    schedule: Schedule,
    /// Arrivals left, the next one included.
    left: u64,
    next_ns: u64,
    /// Number of the next arrival, from 1.
    number: u64,
    may_sleep: bool,
}

/// The open loop of a router.
pub struct Dispatch {
    places: Places,
    assigned_ns: Box<[Padded]>,
    workers_max: u64,
    /// Workers that the dispatcher was told to make, and of these those that have come.
    made: AtomicU64,
    come: AtomicU64,
    run: Mutex<Option<Run>>,
    sleeper: Arc<Sleeper>,
    recorders: Recorders,
    windows: Option<Windows>,
    offered: AtomicU64,
    skipped: AtomicU64,
    error: AtomicU64,
    timeout: AtomicU64,
    rejected: AtomicU64,
}

/// A cell on cache lines of its own.
#[repr(align(128))]
struct Padded(AtomicU64);

impl Dispatch {
    /// For at most that many workers, which is the most requests in flight too.
    #[must_use]
    pub fn new(workers_max: usize, recorders: Recorders) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            places: Places::new(workers_max),
            assigned_ns: (0..workers_max).map(|_| Padded(zero())).collect(),
            workers_max: workers_max as u64,
            made: zero(),
            come: zero(),
            run: Mutex::new(None),
            sleeper: Arc::new(Sleeper::default()),
            recorders,
            windows: None,
            offered: zero(),
            skipped: zero(),
            error: zero(),
            timeout: zero(),
            rejected: zero(),
        }
    }

    /// The same, of which each run is seen in so many windows of a length too.
    #[must_use]
    pub fn in_windows(
        workers_max: usize,
        recorders: Recorders,
        window_ns: u64,
        count: usize,
    ) -> Self {
        Self { windows: Some(Windows::new(window_ns, count)), ..Self::new(workers_max, recorders) }
    }

    /// Begins a run of arrivals, and forgets what the run before counted. Gives what a
    /// [`crate::WakerHandle`] of the same schedule needs. Windows are of one run: a second adds to them.
    pub fn begin(&self, mut schedule: Schedule, arrivals: u64) -> Arc<Sleeper> {
        self.sleeper.reset();
        let counts = [&self.offered, &self.skipped, &self.error, &self.timeout, &self.rejected];
        for count in counts {
            count.store(0, Ordering::Relaxed);
        }
        let next_ns = schedule.next_ns();
        if let Some(windows) = &self.windows {
            windows.begin(next_ns);
        }
        let run = Run {
            next_ns,
            schedule,
            left: arrivals,
            number: 1,
            // The thread sleeps until then, whenever it was started.
            may_sleep: true,
        };
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
        Arc::clone(&self.sleeper)
    }

    /// What the dispatcher is to do now. Never blocks: while another thread asks, the answer is to
    /// wait.
    pub fn poll(&self) -> Poll {
        let Ok(mut guard) = self.run.try_lock() else { return Poll::Wait };
        let Some(run) = guard.as_mut() else { return Poll::Finished };
        if run.left == 0 {
            return if self.in_flight() == 0 { Poll::Finished } else { Poll::Drain };
        }
        if self.wants_worker() {
            self.made.fetch_add(1, Ordering::Relaxed);
            return Poll::Grow;
        }
        let now_ns = now_ns();
        if now_ns < run.next_ns {
            let sleeps = run.may_sleep && self.sleeper.falls_asleep(run.number);
            return if sleeps { Poll::Sleep } else { Poll::Wait };
        }
        let intended_ns = run.next_ns;
        run.left -= 1;
        run.number += 1;
        run.next_ns = run.schedule.next_ns();
        run.may_sleep = Sleeper::is_worth_it(intended_ns, run.next_ns);
        self.offered.fetch_add(1, Ordering::Relaxed);
        if let Some(windows) = &self.windows {
            windows.offered(intended_ns);
        }
        self.offer(intended_ns)
    }

    fn offer(&self, intended_ns: u64) -> Poll {
        // Whoever is still being made takes one from the line.
        let is_full = self.places.idle() == 0
            && self.made.load(Ordering::Relaxed) >= self.workers_max
            && self.places.waiting() >= self.starting();
        if is_full {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return Poll::Again;
        }
        match self.places.offer(intended_ns) {
            Offer::Taken { worker, intended_ns: assigned } => {
                let waited = if assigned == intended_ns { 0 } else { WAITED };
                self.assign(worker, assigned | waited);
                Poll::Hand(worker)
            }
            Offer::Waits => Poll::Again,
            Offer::Full => {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                Poll::Again
            }
        }
    }

    /// Says that a worker has come; whether an arrival waits for it already. `None` for a number that
    /// is no worker's.
    pub fn ready(&self, worker: usize) -> Option<bool> {
        self.assigned_ns.get(worker)?;
        self.come.fetch_add(1, Ordering::Relaxed);
        Some(self.next(worker))
    }

    /// Records how a worker's request ended, and whether another arrival waits for it: then it has
    /// that one. `None` for a number that is no worker's.
    pub fn answered(&self, worker: usize, start_ns: u64, outcome: Outcome) -> Option<bool> {
        let end_ns = now_ns();
        let assigned = self.assigned_ns.get(worker)?.0.load(Ordering::Relaxed);
        let intended_ns = assigned & !WAITED;
        let Recorders { response_time, service_time, dispatch_lag } = &self.recorders;
        match outcome {
            Outcome::Ok => {
                service_time.record_between(start_ns, end_ns);
                let elapsed_ns = response_time.record_between(intended_ns, end_ns);
                if let Some(windows) = &self.windows {
                    windows.served(intended_ns, elapsed_ns);
                }
            }
            Outcome::Error => add(&self.error),
            Outcome::Timeout => add(&self.timeout),
            Outcome::Rejected => add(&self.rejected),
        }
        if assigned & WAITED == 0 {
            dispatch_lag.record_between(intended_ns, start_ns);
        }
        Some(self.next(worker))
    }

    fn next(&self, worker: usize) -> bool {
        let waiting = self.places.next(worker);
        if let Some(intended_ns) = waiting {
            self.assign(worker, intended_ns | WAITED);
        }
        waiting.is_some()
    }

    /// The windows so far, in order; exact once the run is finished. `None` where there are none.
    #[must_use]
    pub fn windows(&self) -> Option<Vec<WindowFigures>> {
        self.windows.as_ref().map(Windows::figures)
    }

    /// Relaxed: a message tells the worker, or it is the worker itself.
    fn assign(&self, worker: usize, assigned: u64) {
        if let Some(Padded(cell)) = self.assigned_ns.get(worker) {
            cell.store(assigned, Ordering::Relaxed);
        }
    }

    fn starting(&self) -> u64 {
        let come = self.come.load(Ordering::Relaxed);
        self.made.load(Ordering::Relaxed).saturating_sub(come)
    }

    fn wants_worker(&self) -> bool {
        let wanted =
            self.places.waiting() + SPARE_WORKERS.saturating_sub(self.places.idle() as u64);
        self.starting() < wanted && self.made.load(Ordering::Relaxed) < self.workers_max
    }

    /// Requests with a worker or in line.
    fn in_flight(&self) -> u64 {
        let busy = self.come.load(Ordering::Relaxed).saturating_sub(self.places.idle() as u64);
        busy + self.places.waiting()
    }

    /// What became of the requests of this run so far; exact once it is finished.
    #[must_use]
    pub fn counts(&self) -> DispatchCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DispatchCounts {
            offered: of(&self.offered),
            skipped: of(&self.skipped),
            error: of(&self.error),
            timeout: of(&self.timeout),
            rejected: of(&self.rejected),
            in_flight: self.in_flight(),
        }
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
