//! Wakes an open loop's dispatcher a little ahead of each arrival.
//!
//! Neither the kernel nor a runtime wakes anybody to the microsecond, and whoever waits awake all
//! the time uses up a processor. So the dispatcher sleeps between two arrivals that are far enough
//! apart, a thread wakes it [`LEAD_NS`] ahead of the later one, and it waits out the rest awake.
//!
//! Thread and dispatcher compute the same schedule, so both know for which arrivals the dispatcher
//! sleeps, and nothing is said between them but the wake-up itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::clock::{now_ns, os_now_ns};
use crate::primitive::{AtomicU64, Ordering};
use crate::schedule::Schedule;
use crate::threads::{self, sleep_to};

/// How far ahead of an arrival the dispatcher is woken: beyond the lateness of a thread's timer and
/// of a sleeping scheduler together, on a quiet machine.
pub const LEAD_NS: u64 = 250_000;

/// Two arrivals that are less than this apart are no occasion to sleep.
const GAP_NS: u64 = LEAD_NS + 100_000;

/// Longest sleep in one piece, so that a stop is heard soon whatever the rate.
const NAP_MAX_NS: u64 = 20_000_000;

/// Whether the dispatcher sleeps, and up to which arrival it was woken.
#[derive(Debug)]
pub struct Sleeper {
    asleep: AtomicU64,
    woken_for: AtomicU64,
}

impl Default for Sleeper {
    fn default() -> Self {
        Self { asleep: AtomicU64::new(0), woken_for: AtomicU64::new(0) }
    }
}

impl Sleeper {
    /// Whether the time from one arrival to the next is long enough to sleep.
    #[must_use]
    pub fn is_worth_it(from_ns: u64, to_ns: u64) -> bool {
        to_ns.saturating_sub(from_ns) >= GAP_NS
    }

    /// Says that the dispatcher sleeps until it is woken for the arrival with this number (from 1);
    /// `false` if that has happened already.
    pub fn falls_asleep(&self, number: u64) -> bool {
        // Both sides read and write `woken_for` in one step. If this one comes first, the other
        // acquires what it released and finds the flag up; else this one finds the number. Who takes
        // the flag back decides whether a message is on its way.
        self.asleep.swap(1, Ordering::Relaxed);
        self.woken_for.fetch_max(0, Ordering::AcqRel) < number
            || self.asleep.swap(0, Ordering::Relaxed) == 0
    }

    /// Says that the time to be awake for this arrival has come; whether the dispatcher sleeps, and
    /// must be told.
    pub fn wakes(&self, number: u64) -> bool {
        // Pairs with the step of `falls_asleep`.
        self.woken_for.swap(number, Ordering::AcqRel);
        self.asleep.swap(0, Ordering::Relaxed) != 0
    }

    pub(crate) fn reset(&self) {
        self.asleep.store(0, Ordering::Relaxed);
        self.woken_for.store(0, Ordering::Relaxed);
    }
}

/// A running or finished waker. Dropping it ends its thread within some 20 ms.
pub struct WakerHandle {
    stop: Arc<AtomicBool>,
}

impl WakerHandle {
    /// Starts the thread for the arrivals of a run. `wake` tells the dispatcher, and answers whether
    /// it is still there.
    ///
    /// # Errors
    /// The operating system's, where it gives no thread.
    pub fn start(
        schedule: Schedule,
        arrivals: u64,
        sleeper: Arc<Sleeper>,
        mut wake: impl FnMut() -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let thread_stop = Arc::clone(&stop);
        threads::spawn("router_bench_waker", move || {
            threads::wake_promptly();
            run(schedule, arrivals, &sleeper, &thread_stop, &mut wake);
        })?;
        Ok(Self { stop })
    }

    /// Asks the thread to end; it does within some 20 ms.
    pub fn stop(&self) {
        // Relaxed: the flag publishes no data.
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for WakerHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(
    mut schedule: Schedule,
    arrivals: u64,
    sleeper: &Sleeper,
    stop: &AtomicBool,
    wake: &mut impl FnMut() -> bool,
) {
    let mut before_ns = 0;
    for number in 1..=arrivals {
        // Also where it never sleeps: there may be billions of arrivals that are close together.
        if is_to_end(stop) {
            return;
        }
        let intended_ns = schedule.next_ns();
        if Sleeper::is_worth_it(before_ns, intended_ns) {
            if !sleep_until(intended_ns.saturating_sub(LEAD_NS), stop) {
                return;
            }
            if sleeper.wakes(number) && !wake() {
                return;
            }
        }
        before_ns = intended_ns;
    }
}

fn is_to_end(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed) || threads::is_exiting()
}

/// Sleeps until a time of [`now_ns`]; whether the thread goes on.
fn sleep_until(deadline_ns: u64, stop: &AtomicBool) -> bool {
    loop {
        if is_to_end(stop) {
            return false;
        }
        let now = now_ns();
        if now >= deadline_ns {
            return true;
        }
        // The time left is short, so it is the same by either clock.
        sleep_to(os_now_ns() + (deadline_ns - now).min(NAP_MAX_NS));
    }
}
