//! Processes of a run: each in a group of its own, and none outlives the run.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, wait};

use crate::run::interrupt::Interrupt;

/// How long a process may take to end once it is asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether something has ended.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// A program and all that it starts in its process group; ended when this is dropped.
#[derive(Debug)]
pub struct Group {
    child: Child,
    is_over: bool,
}

impl Group {
    /// Starts a program, without standard input. Where it prints is the caller's to say: never to standard
    /// output, which is for the answer.
    ///
    /// # Errors
    /// The operating system's.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).stdin(Stdio::null()).spawn()?;
        Ok(Self { child, is_over: false })
    }

    /// What it prints, where that is piped and nobody has it yet.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The operating system's.
    pub fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its end, or ends it at an interruption, and does something at each look.
    ///
    /// # Errors
    /// The operating system's.
    pub fn wait(
        &mut self,
        interrupt: &Interrupt,
        mut at_each_look: impl FnMut(),
    ) -> io::Result<ExitStatus> {
        loop {
            at_each_look();
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if interrupt.code().is_some() {
                return self.end();
            }
            std::thread::sleep(POLL);
        }
    }

    /// Asks the group to end, and kills what has not after 10 s.
    ///
    /// # Errors
    /// The operating system's.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        self.signal(Signal::KILL);
        self.is_over = true;
        self.child.wait()
    }

    fn signal(&self, signal: Signal) {
        if let Ok(raw) = i32::try_from(self.child.id())
            && let Some(group) = Pid::from_raw(raw)
        {
            // A group without a member is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.end();
        }
    }
}

/// How a process ended, and of what that is usually a sign. A shell says 137 of what SIGKILL ended in it.
#[must_use]
pub fn in_words(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(9), _) | (_, Some(137)) => format!(
            "{status}: perf-gate did not kill it; usually the kernel does, where memory runs out, as dmesg and \
             the control group's memory.events say"
        ),
        _ => status.to_string(),
    }
}

/// Makes this process the parent of every process of the run whose own parent goes, so that
/// [`end_orphans`] finds it.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Waits for every child that is left, of the measured BEAMs above all, which end when the bench goes;
/// kills those that have not after 10 s. Only where no [`Group`] is alive.
pub fn end_orphans() {
    let deadline = Instant::now() + PATIENCE;
    // The error is that there is no child.
    while let Ok(ended) = wait(WaitOptions::NOHANG) {
        if ended.is_none() {
            if Instant::now() >= deadline {
                children().into_iter().for_each(|child| {
                    let _ = kill_process(child, Signal::KILL);
                });
            }
            std::thread::sleep(POLL);
        }
    }
}

/// As the kernel lists them, by the thread that started each.
fn children() -> Vec<Pid> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let pids = list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
            pids.collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(script: &str) -> String {
        in_words(Command::new("sh").args(["-c", script]).status().unwrap())
    }

    #[test]
    fn what_sigkill_ended_is_told_with_what_usually_sends_it() {
        for script in ["kill -KILL $$", "exit 137"] {
            assert!(ended(script).contains("memory runs out"), "{script}: {}", ended(script));
        }
        assert!(ended("kill -KILL $$").starts_with("signal: 9 (SIGKILL)"));
        assert_eq!(ended("exit 1"), "exit status: 1");
        assert!(ended("kill -TERM $$").starts_with("signal: 15"));
    }
}
