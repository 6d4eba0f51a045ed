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
