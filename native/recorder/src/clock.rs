//! The clock that times requests: the processor's time-stamp counter where it can be trusted, else
//! the operating system's monotonic clock.
//!
//! # When the counter is trusted
//!
//! On x86-64, when the processor declares it invariant (it ticks at one rate in every power state)
//! and the kernel lists it as a clock source (it has not found it unstable, nor out of step between
//! processors). It is calibrated once against the operating system's clock, over
//! [`CALIBRATION_NS`]; both ends are the tightest of several readings. Who reads [`now_ns`] and
//! [`os_now_ns`] at both ends of a run sees how far they drifted apart: a virtual machine that
//! moved to another host shows there.
//!
//! # Accuracy
//!
//! A calibration end is some 20 ns off, so an interval is some 20 parts in a million off; as much
//! as 1 µs in 50 ms.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long the calibration takes.
const CALIBRATION_NS: u64 = 2_000_000;

/// Nanoseconds of a monotonic clock that starts near the operating system's. Comparable between the
/// threads of a process; not with `erlang:monotonic_time/0`, and between processes only to the
/// calibration's accuracy.
#[inline]
#[must_use]
pub fn now_ns() -> u64 {
    // Relaxed: `select` stores before any thread that reads is told of the clock; zero means not
    // yet selected, and the fallback is right then.
    let scale = COUNTER.scale.load(Ordering::Relaxed);
    if scale == 0 {
        return os_now_ns();
    }
    let ticks = read_counter().wrapping_sub(COUNTER.base_ticks.load(Ordering::Relaxed));
    // A counter a few ticks behind on another processor must not wrap to centuries.
    let ticks = if ticks > u64::MAX / 2 { 0 } else { ticks };
    let elapsed = ((u128::from(ticks) * u128::from(scale)) >> SCALE_BITS) as u64;
    COUNTER.base_ns.load(Ordering::Relaxed).wrapping_add(elapsed)
}

/// The operating system's monotonic clock, in nanoseconds.
#[must_use]
pub fn os_now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; CLOCK_MONOTONIC exists on every system that
    // Erlang runs on, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// A tick is `scale / 2^32` nanoseconds; a scale of 0 means that the counter is not in use.
struct Counter {
    scale: AtomicU64,
    base_ticks: AtomicU64,
    base_ns: AtomicU64,
}

const SCALE_BITS: u32 = 32;

static COUNTER: Counter =
    Counter { scale: AtomicU64::new(0), base_ticks: AtomicU64::new(0), base_ns: AtomicU64::new(0) };

/// Chooses the clock, once, before anything is timed. Takes some 2 ms where it calibrates.
pub fn select() {
    if !counter_is_invariant() || COUNTER.scale.load(Ordering::Relaxed) != 0 {
        return;
    }
    let (begin_ticks, begin_ns) = tight_pair();
    while os_now_ns() < begin_ns + CALIBRATION_NS {
        std::hint::spin_loop();
    }
    let (end_ticks, end_ns) = tight_pair();
    let ticks = u128::from(end_ticks.saturating_sub(begin_ticks));
    let scale = (u128::from(end_ns - begin_ns) << SCALE_BITS).checked_div(ticks).unwrap_or(0);
    COUNTER.base_ticks.store(begin_ticks, Ordering::Relaxed);
    COUNTER.base_ns.store(begin_ns, Ordering::Relaxed);
    // Release: the bases before the scale that puts them to use.
    COUNTER.scale.store(u64::try_from(scale).unwrap_or(0), Ordering::Release);
}

/// A reading of both clocks at once: the one of several where the least time passed between.
fn tight_pair() -> (u64, u64) {
    let pair = || {
        let before = read_counter();
        let ns = os_now_ns();
        let after = read_counter();
        (after.wrapping_sub(before), before.wrapping_add(after.wrapping_sub(before) / 2), ns)
    };
    let tightest = (0..16).map(|_| pair()).min_by_key(|(width, _, _)| *width);
    tightest.map_or((0, 0), |(_, ticks, ns)| (ticks, ns))
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn read_counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction. It is not a barrier: a reading may move
    // by some ten nanoseconds against the instructions around it, below the cost of a NIF call.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn read_counter() -> u64 {
    os_now_ns()
}

#[cfg(target_arch = "x86_64")]
fn counter_is_invariant() -> bool {
    use std::arch::x86_64::__cpuid;
    const POWER_LEAF: u32 = 0x8000_0007;
    let declared =
        __cpuid(0x8000_0000).eax >= POWER_LEAF && __cpuid(POWER_LEAF).edx & (1 << 8) != 0;
    let listed = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
    declared
        && std::fs::read_to_string(listed)
            .is_ok_and(|sources| sources.split_whitespace().any(|source| source == "tsc"))
}

#[cfg(not(target_arch = "x86_64"))]
fn counter_is_invariant() -> bool {
    false
}

/// What is known of the clock in use.
#[derive(Debug, Clone, PartialEq)]
pub struct ClockInfo {
    /// Which clock.
    pub source: &'static str,
    /// Smallest step; for the operating system's clock as it declares it.
    pub resolution_ns: f64,
    /// Mean cost of a reading, measured now.
    pub read_cost_ns: f64,
}

impl ClockInfo {
    /// Looks, and reads the clock some ten thousand times (about half a millisecond).
    #[must_use]
    pub fn measure() -> Self {
        const READINGS: u32 = 16_384;
        let begin = os_now_ns();
        for _ in 0..READINGS {
            black_box(now_ns());
        }
        let elapsed = os_now_ns().saturating_sub(begin);
        let read_cost_ns = elapsed as f64 / f64::from(READINGS);
        match COUNTER.scale.load(Ordering::Relaxed) {
            0 => Self {
                source: "clock_gettime(CLOCK_MONOTONIC)",
                resolution_ns: os_resolution_ns(),
                read_cost_ns,
            },
            scale => Self {
                source: "time-stamp counter",
                resolution_ns: scale as f64 / (1_u64 << SCALE_BITS) as f64,
                read_cost_ns,
            },
        }
    }
}

fn os_resolution_ns() -> f64 {
    let mut resolution = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    // SAFETY: `resolution` is a valid timespec to write to.
    unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC, &raw mut resolution) };
    resolution.tv_nsec as f64
}
