//! One benchmark at a time on a host: two would measure each other.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::run::RunError;
use crate::run::child::POLL;
use crate::run::hygiene::SecondBenchmark;
use crate::run::interrupt::Interrupt;

fn path() -> PathBuf {
    std::env::temp_dir().join("cp1_perf_gate.lock")
}

/// Whether another benchmark has the lock. Makes none.
#[must_use]
pub fn second_benchmark() -> SecondBenchmark {
    match File::open(path()).map(|file| file.try_lock_shared()) {
        Ok(Ok(())) => SecondBenchmark::Absent,
        Ok(Err(TryLockError::WouldBlock)) => SecondBenchmark::Runs,
        Err(error) if error.kind() == ErrorKind::NotFound => SecondBenchmark::Absent,
        Ok(Err(TryLockError::Error(_))) | Err(_) => SecondBenchmark::Unknown,
    }
}

/// Takes the lock, or waits for it, visibly; it is free again when the file is closed, however this
/// process ends.
///
/// # Errors
/// It cannot be opened, or is not free in time.
pub fn take(patience: Duration, interrupt: &Interrupt) -> Result<File, RunError> {
    let path = path();
    let failed = |source| RunError::Lock { path: path.clone(), source };
    let file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
    // For other users of this host; only its owner may say so.
    let _ = file.set_permissions(std::fs::Permissions::from_mode(0o666));
    let deadline = Instant::now() + patience;
    let mut is_told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) => {}
        }
        if let Some(code) = interrupt.code() {
            return Err(RunError::Interrupted(code));
        }
        if Instant::now() >= deadline {
            return Err(RunError::Busy { path, seconds: patience.as_secs() });
        }
        if !is_told {
            println!("another benchmark runs on this host; waiting for {}", path.display());
            is_told = true;
        }
        std::thread::sleep(POLL);
    }
}
