//! A hiccup meter: a thread that sleeps in steps of 1 ms and records how late it wakes.
//!
//! What delays it delays any thread of this machine that wants to run: a host that gave the
//! processor to somebody else, throttling, other processes. The same meter as a process of the BEAM
//! sees the BEAM's own stalls too, so that the two together tell one from the other.
//!
//! Source of the method: Gil Tene's jHiccup. Every step has its own intended time on one fixed
//! grid, so a stall is charged to every step that should have happened meanwhile.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::clock::os_now_ns;
use crate::recorder::Recorder;
use crate::threads::{self, sleep_to};

/// Time between two intended wake-ups.
const STEP_NS: u64 = 1_000_000;

/// A running or finished meter. Dropping it ends its thread within some 1 ms.
pub struct HiccupHandle {
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl HiccupHandle {
    /// Starts the thread; what it sees is added to a recorder.
    ///
    /// # Errors
    /// The operating system's, where it gives no thread.
    pub fn start(recorder: Arc<Recorder>) -> io::Result<Self> {
        let start_ns = os_now_ns();
        let stop = Arc::new(AtomicBool::new(false));
        let thread_stop = Arc::clone(&stop);
        let thread = threads::spawn("router_hiccup", move || {
            threads::wake_promptly();
            run(start_ns, &thread_stop, &recorder);
        })?;
        Ok(Self { stop, thread: Mutex::new(Some(thread)) })
    }

    /// Asks the thread to end, which it does within some 1 ms. Never waits.
    pub fn stop(&self) {
        // Relaxed: the flag publishes no data.
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the thread and waits for its end: nothing more is recorded. May be called again.
    pub fn finish(&self) {
        self.stop();
        // Held while waiting, so that nobody reads before the end.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // `run` cannot panic; what was recorded stands in any case.
            let _ = thread.join();
        }
    }
}

impl Drop for HiccupHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(start_ns: u64, stop: &AtomicBool, recorder: &Recorder) {
    let mut intended_ns = start_ns + STEP_NS;
    loop {
        // Asked before the clock is read: a stall that lasts until the stop is recorded still.
        let is_last = stop.load(Ordering::Relaxed) || threads::is_exiting();
        let now_ns = os_now_ns();
        while intended_ns <= now_ns {
            recorder.record(now_ns - intended_ns);
            intended_ns += STEP_NS;
        }
        if is_last {
            return;
        }
        sleep_to(intended_ns);
    }
}
