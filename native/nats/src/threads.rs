//! The library's threads: none outlives the process that it serves.
//!
//! A process that exits frees what its threads still use, and OTP 25 has no callback for its halt. So
//! the C library's exit handler tells all threads to end and waits for them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Once};
use std::thread;
use std::time::Duration;
use std::{io, thread::JoinHandle};

use tokio::sync::watch;

static RUNNING: AtomicUsize = AtomicUsize::new(0);
static ENDING: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

/// A thread that takes longer is left to its fate.
const PATIENCE: Duration = Duration::from_millis(500);
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

/// Starts a thread whose work ends early once [`ended`] does.
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
pub(crate) fn are_ending() -> bool {
    *ENDING.borrow()
}

/// Returns when the process exits.
pub(crate) async fn ended() {
    // The sender is static, so that there is no error.
    let _ = ENDING.subscribe().wait_for(|ending| *ending).await;
}

/// From now on the exit of the process ends the threads first.
pub(crate) fn end_at_exit() {
    static REGISTERED: Once = Once::new();
    extern "C" fn end_threads() {
        ENDING.send_replace(true);
        let mut waited = Duration::ZERO;
        while RUNNING.load(Ordering::SeqCst) > 0 && waited < PATIENCE {
            thread::sleep(LOOK_AGAIN);
            waited += LOOK_AGAIN;
        }
    }
    REGISTERED.call_once(|| {
        LazyLock::force(&ENDING);
        // SAFETY: the handler is a function of this library, which stays mapped; it cannot panic.
        // A refusal (no memory) leaves the exit as it would be without it.
        unsafe { libc::atexit(end_threads) };
    });
}
