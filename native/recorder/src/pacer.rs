//! Paces an open loop: a thread that announces arrivals at their intended times.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::clock::{now_ns, os_now_ns};
use crate::recorder::Recorder;
use crate::threads;

/// Longest sleep in one piece, so that a stop is heard soon whatever the rate.
const NAP_MAX_NS: u64 = 20_000_000;

/// When arrivals are intended: an endless series of times that never goes back.
///
/// Constant arrivals are computed from the start each time, so that nothing adds up and nothing
/// drifts. The gaps of Poisson arrivals are exponentially distributed, by inversion of seeded
/// uniform numbers.
#[derive(Debug, Clone)]
pub struct Schedule {
    start_ns: u64,
    rate_per_second: u64,
    arrivals: Arrivals,
    index: u64,
}

/// How arrivals are spaced.
#[derive(Debug, Clone)]
pub enum Arrivals {
    /// One every 1/rate seconds.
    Constant,
    /// Independent of each other; the same for the same seed.
    Poisson {
        /// Where the random numbers are.
        state: u64,
        /// Sum of the gaps so far; 53 bits hold a nanosecond for 104 days.
        elapsed_ns: f64,
    },
}

impl Arrivals {
    /// Poisson arrivals of a seed.
    #[must_use]
    pub fn poisson(seed: u64) -> Self {
        Self::Poisson { state: seed, elapsed_ns: 0.0 }
    }
}

/// Why there is no such schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleError;

impl std::fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the rate must be from 1 to 1,000,000 a second")
    }
}

impl std::error::Error for ScheduleError {}

impl Schedule {
    /// Arrivals from `start_ns` (of [`now_ns`]) on.
    ///
    /// # Errors
    /// [`ScheduleError`] for a rate of 0 or above 1,000,000 a second.
    pub fn new(
        arrivals: Arrivals,
        start_ns: u64,
        rate_per_second: u64,
    ) -> Result<Self, ScheduleError> {
        match rate_per_second {
            1..=1_000_000 => Ok(Self { start_ns, rate_per_second, arrivals, index: 0 }),
            _ => Err(ScheduleError),
        }
    }

    /// The intended start of the next arrival.
    pub fn next_ns(&mut self) -> u64 {
        let offset_ns = match &mut self.arrivals {
            Arrivals::Constant => {
                let offset =
                    u128::from(self.index) * 1_000_000_000 / u128::from(self.rate_per_second);
                u64::try_from(offset).unwrap_or(u64::MAX)
            }
            Arrivals::Poisson { state, elapsed_ns } => {
                let uniform = (splitmix64(state) >> 11) as f64 / (1_u64 << 53) as f64;
                *elapsed_ns -= (1.0 - uniform).ln() * 1e9 / self.rate_per_second as f64;
                *elapsed_ns as u64
            }
        };
        self.index += 1;
        self.start_ns.saturating_add(offset_ns)
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): every
/// seed is good, and the series of a seed never changes.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What a pacer does.
#[derive(Debug, Clone)]
pub struct PacerPlan {
    /// When.
    pub schedule: Schedule,
    /// How many arrivals.
    pub arrivals: u64,
    /// Most requests that a worker may have before it; an arrival beyond is skipped.
    pub in_flight_per_worker: u32,
}

/// Requests before each worker, kept by pacer and workers together.
pub struct InFlight {
    workers: Box<[Padded]>,
}

#[repr(align(128))]
struct Padded(AtomicU32);

impl InFlight {
    /// For that many workers, none of which has a request.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| Padded(AtomicU32::new(0))).collect() }
    }

    /// Takes a place before a worker, if there are fewer than `limit` taken.
    fn enter(&self, worker: usize, limit: u32) -> bool {
        self.workers.get(worker).is_some_and(|Padded(count)| {
            // Relaxed: the message that announces the request orders it; this only counts.
            let before = count.fetch_add(1, Ordering::Relaxed);
            if before >= limit {
                count.fetch_sub(1, Ordering::Relaxed);
            }
            before < limit
        })
    }

    /// Places taken, before all workers together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.workers.iter().map(|Padded(count)| u64::from(count.load(Ordering::Relaxed))).sum()
    }

    /// Gives a worker's place back; whether there was such a worker with a place taken.
    pub fn leave(&self, worker: usize) -> bool {
        self.workers.get(worker).is_some_and(|Padded(count)| {
            let less = |count: u32| count.checked_sub(1);
            count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
        })
    }
}

/// What a pacer did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PacerCounts {
    /// Arrivals announced or skipped.
    pub offered: u64,
    /// Arrivals not announced, because their worker had its limit of requests.
    pub skipped: u64,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    offered: AtomicU64,
    skipped: AtomicU64,
}

/// A running or finished pacer. Dropping it ends its thread within some 20 ms.
pub struct PacerHandle {
    shared: Arc<Shared>,
}

impl PacerHandle {
    /// Starts the thread. Arrival `n` goes to worker `n % workers` through `announce(worker,
    /// intended_ns)`, which answers whether the worker is still there; the first that is not ends
    /// the pacer. How late each arrival was announced goes into `announce_lag`. `finish` runs last,
    /// in any case but the exit of the process.
    ///
    /// # Errors
    /// The operating system's, where it gives no thread.
    pub fn start(
        plan: PacerPlan,
        in_flight: Arc<InFlight>,
        announce_lag: Arc<Recorder>,
        mut announce: impl FnMut(usize, u64) -> bool + Send + 'static,
        finish: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread_shared = Arc::clone(&shared);
        threads::spawn("router_bench_pacer", move || {
            threads::wake_promptly();
            run(plan, &in_flight, &announce_lag, &thread_shared, &mut announce);
            if !threads::is_exiting() {
                finish();
            }
        })?;
        Ok(Self { shared })
    }

    /// Asks the thread to end; it does within some 20 ms, with the arrivals announced so far.
    pub fn stop(&self) {
        // Release/Acquire pair with the load in `run` is not needed: the flag publishes no data.
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// What was announced so far; final once `finish` has run.
    #[must_use]
    pub fn counts(&self) -> PacerCounts {
        PacerCounts {
            offered: self.shared.offered.load(Ordering::Acquire),
            skipped: self.shared.skipped.load(Ordering::Acquire),
        }
    }
}

impl Drop for PacerHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(
    mut plan: PacerPlan,
    in_flight: &InFlight,
    announce_lag: &Recorder,
    shared: &Shared,
    announce: &mut impl FnMut(usize, u64) -> bool,
) {
    let workers = in_flight.workers.len().max(1) as u64;
    for index in 0..plan.arrivals {
        let intended_ns = plan.schedule.next_ns();
        if !sleep_until(intended_ns, &shared.stop) {
            return;
        }
        let worker = (index % workers) as usize;
        // Release: pairs with the Acquire in `counts`, after `finish` has told a reader to look.
        if !in_flight.enter(worker, plan.in_flight_per_worker) {
            shared.skipped.fetch_add(1, Ordering::Release);
        } else if !announce(worker, intended_ns) {
            return;
        }
        announce_lag.record_between(intended_ns, now_ns());
        shared.offered.fetch_add(1, Ordering::Release);
    }
}

/// Sleeps until a time of [`now_ns`]; whether the pacer goes on.
fn sleep_until(deadline_ns: u64, stop: &AtomicBool) -> bool {
    loop {
        if stop.load(Ordering::Relaxed) || threads::is_exiting() {
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

/// Sleeps until a time of [`os_now_ns`].
#[cfg(target_os = "linux")]
pub(crate) fn sleep_to(deadline_ns: u64) {
    let deadline = libc::timespec {
        tv_sec: (deadline_ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (deadline_ns % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: `deadline` is a valid timespec; no remaining time is asked for. An interruption only
    // makes the caller's loop look again.
    unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &raw const deadline,
            std::ptr::null_mut(),
        )
    };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn sleep_to(deadline_ns: u64) {
    std::thread::sleep(std::time::Duration::from_nanos(deadline_ns.saturating_sub(os_now_ns())));
}
