//! Signals that end a run.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Whether the run is to end, and with which exit code.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicUsize>);

/// What a process that SIGTERM ended exits with.
pub const TERMINATED: u8 = 143;

impl Interrupt {
    /// Listens from now on, for the life of this process.
    ///
    /// # Errors
    /// The operating system's.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        let (terminated, interrupted) = (usize::from(TERMINATED), 130);
        for (signal, code) in [(SIGINT, interrupted), (SIGTERM, terminated), (SIGHUP, terminated)] {
            signal_hook::flag::register_usize(signal, Arc::clone(&interrupt.0), code)?;
        }
        Ok(interrupt)
    }

    /// Ends the run with an exit code, as a signal does.
    pub fn end_with(&self, code: u8) {
        // Pairs with nothing: whoever polls sees it at the next look.
        self.0.store(usize::from(code), Ordering::Relaxed);
    }

    /// Takes the end of standard input for a SIGTERM too.
    pub fn listen_to_stdin(&self) {
        let interrupt = self.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 256];
            while io::stdin().read(&mut bytes).is_ok_and(|count| count > 0) {}
            interrupt.end_with(TERMINATED);
        });
    }

    /// The exit code, once there was a signal.
    #[must_use]
    pub fn code(&self) -> Option<u8> {
        u8::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|code| *code != 0)
    }
}
