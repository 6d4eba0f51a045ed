//! The library's own threads: none outlives the process that it serves.
//!
//! A process that exits frees what its threads still use. The runtime that this library is loaded
//! into offers no callback for its halt before OTP 26, so the C library's exit handler asks all
//! threads to end and waits for them.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static EXITING: AtomicBool = AtomicBool::new(false);

/// Ten times the longest nap of a thread; one that takes longer is left to its fate.
const PATIENCE: Duration = Duration::from_millis(200);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The shortest time slice that Linux gives.
#[cfg(target_os = "linux")]
const SLICE_NS: u64 = 100_000;

/// Counts a thread from before its start to after its end.
struct Running;

impl Running {
    fn new() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts a thread, which ends early once [`is_exiting`].
pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let running = Running::new();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _running = running;
        body();
    })
}

/// Whether the process exits: nothing of it is to be used any more.
pub(crate) fn is_exiting() -> bool {
    EXITING.load(Ordering::SeqCst)
}

/// Lets the calling thread run as soon as it wakes, as far as Linux does without privileges.
///
/// A timer may ring up to 50 µs late to save power, and a thread that wakes waits for whoever has
/// the processor, some 3 ms, unless its own time slice is shorter (Linux 6.12 and later). Asked for
/// are 1 ns and [`SLICE_NS`]; where the kernel refuses, everything stays as it is.
#[cfg(target_os = "linux")]
pub(crate) fn wake_promptly() {
    const SIZE: u32 = size_of::<libc::sched_attr>() as u32;
    // SAFETY: all zero is a valid value of this struct of integers.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: both calls concern this thread only; `attributes` outlives them and is as long as
    // `SIZE` says. What is written back is what was read but for the slice.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64, 0_u64, 0_u64, 0_u64);
        let read = libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0);
        if read == 0 && attributes.sched_policy == libc::SCHED_OTHER as u32 {
            attributes.sched_runtime = SLICE_NS;
            libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn wake_promptly() {}

/// From now on the exit of the process ends the threads first. For when a library is loaded that
/// is never unloaded.
pub fn end_threads_at_exit() {
    static REGISTERED: Once = Once::new();
    extern "C" fn end_threads() {
        EXITING.store(true, Ordering::SeqCst);
        let mut waited = Duration::ZERO;
        while RUNNING.load(Ordering::SeqCst) > 0 && waited < PATIENCE {
            thread::sleep(LOOK_AGAIN);
            waited += LOOK_AGAIN;
        }
    }
    REGISTERED.call_once(|| {
        // SAFETY: the handler is a function of this library, which stays mapped; it cannot panic.
        // A refusal (no memory) leaves the exit as it would be without it.
        unsafe { libc::atexit(end_threads) };
    });
}

/// Sleeps until a time of [`crate::clock::os_now_ns`].
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
    std::thread::sleep(std::time::Duration::from_nanos(
        deadline_ns.saturating_sub(crate::clock::os_now_ns()),
    ));
}
