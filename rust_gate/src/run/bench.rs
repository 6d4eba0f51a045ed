//! The bench as a child: a BEAM that is asked and answers, over a socket that nobody else can open.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use cp1_format::{Event, MESSAGE_MAX_BYTES, Request, parse};

use crate::run::RunError;
use crate::run::child::{Group, POLL, in_words};
use crate::run::interrupt::Interrupt;

/// A BEAM boots in a second; a loaded machine may take some.
const BOOT: Duration = Duration::from_secs(60);

/// A BEAM halts in well under a second.
const HALT: Duration = Duration::from_secs(5);

/// A scheduler without work would spin for a while, and keep the measured BEAMs from a processor.
const NO_BUSY_WAIT: [&str; 6] = ["+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"];

/// Starts the bench with the plain argument, or says that this BEAM cannot load it.
const START: &str = "case code:ensure_loaded(router_bench_conductor) of \
                     {module, Module} -> Module:start(init:get_plain_arguments()); \
                     {error, _} -> halt(82) end.";

/// How [`START`] says it.
const NOT_LOADED: i32 = 82;

/// Longest path of a local socket, the least of the systems that have them.
const SOCKET_PATH_MAX_BYTES: usize = 100;

/// The bench, alive; it ends when this is dropped.
#[derive(Debug)]
pub struct Bench {
    group: Group,
    stream: UnixStream,
    received: Vec<u8>,
    /// Holds the socket's directory.
    _directory: tempfile::TempDir,
}

impl Bench {
    /// Starts it in a project, with a code path. Where the nodes that it meets speak TLS it does so too, with
    /// the options in a file.
    ///
    /// # Errors
    /// No Erlang, no bench on the code path, or it does not come.
    pub fn start(
        project: &Path,
        code_path: &[PathBuf],
        tls_options: Option<&Path>,
        interrupt: &Interrupt,
    ) -> Result<Self, RunError> {
        let failed = |source| RunError::BenchNotStarted { source };
        let directory = socket_directory().map_err(failed)?;
        let path = directory.path().join("bench");
        let listener = UnixListener::bind(&path).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let mut erl = Command::new("erl");
        erl.current_dir(project).args(["-noshell", "-noinput", "-boot", "no_dot_erlang"]);
        erl.args(NO_BUSY_WAIT);
        // Where it becomes a node, the cookie is the other node's; none is made in the home directory.
        erl.arg("-nocookie");
        if let Some(file) = tls_options {
            erl.args(["-proto_dist", "inet_tls", "-ssl_dist_optfile"]).arg(file);
        }
        // What it has to say it prints; a dump in the project helps nobody.
        erl.env("ERL_CRASH_DUMP_BYTES", "0");
        without_flags(&mut erl, std::env::vars_os().map(|(name, _)| name));
        for directory in code_path {
            erl.arg("-pa").arg(directory);
        }
        erl.args(["-eval", START, "-extra"]).arg(&path);
        if std::env::var_os("HOME").is_none() {
            erl.env("HOME", directory.path());
        }
        // What adapters and routers print is talk.
        erl.stdout(io::stderr());
        let mut group = Group::spawn(&mut erl).map_err(failed)?;
        let deadline = Instant::now() + BOOT;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
            if let Some(code) = interrupt.code() {
                return Err(RunError::Interrupted(code));
            }
            if let Some(status) = group.status().map_err(failed)? {
                if status.code() == Some(NOT_LOADED) {
                    return Err(RunError::BenchNotLoaded);
                }
                return Err(failed(ended(status)));
            }
            if Instant::now() >= deadline {
                return Err(failed(ErrorKind::TimedOut.into()));
            }
            std::thread::sleep(POLL);
        };
        stream.set_nonblocking(false).map_err(failed)?;
        stream.set_read_timeout(Some(POLL)).map_err(failed)?;
        Ok(Self { group, stream, received: Vec::new(), _directory: directory })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The bench has gone.
    pub fn ask(&mut self, request: &Request) -> Result<(), RunError> {
        let json = serde_json::to_vec(request).map_err(io::Error::from);
        let sent = json.and_then(|json| {
            let length = u32::try_from(json.len()).map_err(io::Error::other)?;
            self.stream.write_all(&length.to_be_bytes())?;
            self.stream.write_all(&json)
        });
        sent.map_err(|source| self.gone(source))
    }

    /// The next answer; `None` at the deadline.
    ///
    /// # Errors
    /// An interruption, a bench that has gone, an answer that cannot be read.
    pub fn answer(
        &mut self,
        deadline: Instant,
        interrupt: &Interrupt,
    ) -> Result<Option<Event>, RunError> {
        loop {
            if let Some(message) = self.message()? {
                let event = parse(Path::new("from the bench"), &message);
                return event.map(Some).map_err(|error| RunError::Answer(Box::new(error)));
            }
            if let Some(code) = interrupt.code() {
                return Err(RunError::Interrupted(code));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            let mut bytes = [0; 65536];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(self.gone(ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.received.extend(bytes.iter().take(count)),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(source) => return Err(self.gone(source)),
            }
        }
    }

    /// How its process ended says more than what became of its socket.
    fn gone(&mut self, source: io::Error) -> RunError {
        let deadline = Instant::now() + HALT;
        loop {
            match self.group.status() {
                Ok(Some(status)) => return RunError::BenchGone { source: ended(status) },
                Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
                Ok(None) | Err(_) => return RunError::BenchGone { source },
            }
        }
    }

    /// A whole message, if one has come: its length stands before it.
    fn message(&mut self) -> Result<Option<Vec<u8>>, RunError> {
        let Some((length, rest)) = self.received.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        if u64::from(length) > MESSAGE_MAX_BYTES {
            let source = io::Error::other("it sends what is no answer");
            return Err(RunError::BenchGone { source });
        }
        let message = rest.get(..length as usize).map(<[u8]>::to_vec);
        if message.is_some() {
            self.received.drain(..4 + length as usize);
        }
        Ok(message)
    }

    /// Hangs up, which ends the bench and the BEAMs that it measures; what has not ended soon is killed.
    pub fn end(self) {}
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        let deadline = Instant::now() + HALT;
        while matches!(self.group.status(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        let _ = self.group.end();
    }
}

fn ended(status: ExitStatus) -> io::Error {
    io::Error::other(format!("erl ended with {}", in_words(status)))
}

/// What the caller's shell exports for every BEAM (ERL_FLAGS, ERL_AFLAGS, ERL_ZFLAGS,
/// ERL_OTP25_FLAGS) must not shape this one, nor those that it starts.
fn without_flags(erl: &mut Command, names: impl Iterator<Item = OsString>) {
    for name in names {
        let bytes = name.as_bytes();
        if bytes.starts_with(b"ERL_") && bytes.ends_with(b"FLAGS") {
            erl.env_remove(name);
        }
    }
}

/// The path of a socket is short.
fn socket_directory() -> io::Result<tempfile::TempDir> {
    let directory = tempfile::Builder::new().prefix("perf-gate.").tempdir()?;
    if directory.path().as_os_str().len() + "/bench".len() <= SOCKET_PATH_MAX_BYTES {
        return Ok(directory);
    }
    tempfile::Builder::new().prefix("perf-gate.").tempdir_in("/tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_for_every_beam_are_taken_from_this_one() {
        let mut erl = Command::new("erl");
        let names = ["ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ERL_OTP25_FLAGS", "ERL_OTP30_FLAGS"];
        let kept = ["ERL_LIBS", "PATH", "MY_ERL_FLAGS", "ERL_CRASH_DUMP"];
        without_flags(&mut erl, names.iter().chain(&kept).map(Into::into));
        let removed: Vec<_> =
            erl.get_envs().map(|(name, value)| (name.to_str(), value.is_none())).collect();
        let mut expected: Vec<_> = names.iter().map(|name| (Some(*name), true)).collect();
        expected.sort_unstable();
        assert_eq!(removed, expected);
    }
}
