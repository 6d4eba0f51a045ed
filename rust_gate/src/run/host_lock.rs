//! One benchmark at a time on a host: two would measure each other.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::run::RunError;
use crate::run::child::POLL;
use crate::run::hygiene::SecondBenchmark;
use crate::run::interrupt::Interrupt;
use crate::run::progress::Progress;

fn path() -> PathBuf {
    std::env::temp_dir().join("cp1_perf_gate.lock")
}

/// Opens the lock that is there. Where the directory is everybody's, anybody may have put anything in
/// its place: no link is followed, no pipe waited for, and nothing is ever written. A lock needs no
/// more than to be read, so that of another user serves as well.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => io::Error::other("it is a symbolic link"),
        _ => error,
    })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// The same, and makes it where there is none.
fn open_or_make(path: &Path) -> io::Result<File> {
    match open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => return opened,
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => {
            // Other users of this host read it, whatever this one's mask is.
            file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
            Ok(file)
        }
        // Another benchmark was quicker.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => open(path),
        Err(error) => Err(error),
    }
}

/// Whether another benchmark has the lock. Makes none.
#[must_use]
pub fn second_benchmark() -> SecondBenchmark {
    match open(&path()).map(|file| file.try_lock_shared()) {
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
pub fn take(
    patience: Duration,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<File, RunError> {
    take_at(path(), patience, interrupt, progress)
}

fn take_at(
    path: PathBuf,
    patience: Duration,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<File, RunError> {
    let failed = |source| RunError::Lock { cure: cure(&path), path: path.clone(), source };
    let file = open_or_make(&path).map_err(failed)?;
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
            let file = path.display();
            progress.say(&format!("another benchmark runs on this host; waiting for {file}"));
            is_told = true;
        }
        std::thread::sleep(POLL);
    }
}

/// What to do about a lock that cannot be opened.
fn cure(path: &Path) -> String {
    let own_directory =
        "set TMPDIR to a directory of your own, if no other user benchmarks on this host";
    match path.symlink_metadata() {
        Err(_) => "set TMPDIR to a directory that you can write to".to_owned(),
        Ok(found) if found.uid() == rustix::process::geteuid().as_raw() => {
            "no benchmark made it so; remove it".to_owned()
        }
        Ok(found) => format!(
            "it is of the user with number {}: have it removed while no benchmark runs, or {own_directory}",
            found.uid()
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;
    use crate::run::progress::Talk;

    fn take(path: &Path) -> Result<File, String> {
        let taken = take_at(
            path.to_owned(),
            Duration::ZERO,
            &Interrupt::default(),
            &Progress::new(Talk::Quiet),
        );
        taken.map_err(|error| error.to_string())
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn one_holder_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = take(&path).unwrap();
        assert!(take(&path).unwrap_err().contains("still runs after 0 s"));
        drop(held);
        take(&path).unwrap();
        assert_eq!(mode(&path), 0o644, "other users can hold it, and change nothing");
    }

    #[test]
    fn a_link_in_the_place_of_the_lock_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, target) = (directory.path().join("lock"), directory.path().join("precious"));
        std::fs::write(&target, "x").unwrap();
        std::fs::set_permissions(&target, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let said = take(&path).unwrap_err();
        assert!(
            said.contains("it is a symbolic link; no benchmark made it so; remove it"),
            "{said}"
        );
        assert_eq!((mode(&target), std::fs::read_to_string(&target).unwrap()), (0o600, "x".into()));
        std::fs::remove_file(&target).unwrap();
        assert!(take(&path).is_err(), "nor is one that leads nowhere");
        assert!(!target.exists());
    }

    #[test]
    fn a_pipe_in_the_place_of_the_lock_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(take(&path).unwrap_err().contains("no regular file"));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(take(&path).unwrap_err().contains("no regular file"));
    }

    #[test]
    fn a_lock_that_another_user_made_is_taken_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
        take(&path).unwrap();
        assert_eq!(mode(&path), 0o444);
    }

    #[test]
    fn without_a_directory_the_cure_names_tmpdir() {
        let directory = tempfile::tempdir().unwrap();
        let said = take(&directory.path().join("gone/lock")).unwrap_err();
        assert!(said.ends_with("set TMPDIR to a directory that you can write to"), "{said}");
    }
}
