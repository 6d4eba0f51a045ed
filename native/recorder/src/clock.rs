//! The clock that times requests.

use std::hint::black_box;

/// The monotonic clock of the operating system, in nanoseconds. Comparable between threads and
/// between processes of one host; not with `erlang:monotonic_time/0`, which is corrected.
#[must_use]
pub fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; CLOCK_MONOTONIC exists on every system that
    // Erlang runs on, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// What is known of the clock.
#[derive(Debug, Clone, PartialEq)]
pub struct ClockInfo {
    /// Which clock.
    pub source: &'static str,
    /// The resolution that the system declares.
    pub resolution_ns: u64,
    /// Mean cost of a reading, measured now.
    pub read_cost_ns: f64,
}

impl ClockInfo {
    /// Asks the system, and reads the clock some ten thousand times (about a millisecond).
    #[must_use]
    pub fn measure() -> Self {
        const READINGS: u32 = 16_384;
        let mut resolution = libc::timespec { tv_sec: 0, tv_nsec: 1 };
        // SAFETY: `resolution` is a valid timespec to write to.
        unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC, &raw mut resolution) };
        let begin = now_ns();
        for _ in 0..READINGS {
            black_box(now_ns());
        }
        let elapsed = now_ns().saturating_sub(begin);
        Self {
            source: "clock_gettime(CLOCK_MONOTONIC)",
            resolution_ns: resolution.tv_nsec as u64,
            read_cost_ns: elapsed as f64 / f64::from(READINGS),
        }
    }
}
