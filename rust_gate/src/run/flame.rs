//! `perf-gate flame`: both builds under the same load, one after the other slice by slice, while perf looks
//! at their BEAMs. Nothing of it is measured or judged.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cp1_format::{Event, FlameGraph, Plan, Report, Request, Sampled, Sides, write_atomically};

use crate::cli::settings;
use crate::cli::sources::CommandLine;
use crate::contract::Contract;
use crate::escape::plain;
use crate::read::git::Git;
use crate::render::figures::short_commit;
use crate::render::flame::{Build, EVENT, FIELDS, SAMPLES_PER_SECOND, Stacks, render};
use crate::run::bench::Bench;
use crate::run::child::{self, Group, POLL, in_words};
use crate::run::comparison;
use crate::run::host::{Host, is_writable, listen, stamp};
use crate::run::interrupt::Interrupt;
use crate::run::progress::Progress;
use crate::run::{RunError, load_of, read};

/// How long perf may take for what takes it a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the time that is left is told.
const TICK: Duration = Duration::from_secs(1);

/// So much of what perf says is told, in bytes.
const SAID_MAX_BYTES: u64 = 600;

/// Where nothing is left behind: neither symbols of what was sampled, nor what a user set up for perf.
const HERMETIC: [(&str, &str); 2] = [("PERF_CONFIG", "/dev/null"), ("LC_ALL", "C")];

/// What came of it.
#[derive(Debug)]
pub enum Flame {
    /// The picture is there.
    Drawn(FlameGraph),
    /// There can be none here, and why.
    Unavailable(String),
    /// The time limit was reached, in words.
    OutOfTime(String),
}

/// Why there is no picture.
enum Stop {
    Unavailable(String),
    OutOfTime,
    Failed(RunError),
}

impl<E: Into<RunError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Draws both builds.
///
/// # Errors
/// [`RunError`]
pub fn flame(arguments: &settings::Flame, line: &CommandLine) -> Result<Flame, RunError> {
    let interrupt = listen()?;
    let progress = Progress::new(arguments.talk.quiet.into());
    let host = Host {
        settings: &arguments.settings,
        attach: None,
        line,
        interrupt: &interrupt,
        progress: &progress,
    };
    let drawn = drawn(&host, arguments);
    child::end_orphans();
    match drawn {
        Ok(graph) => Ok(Flame::Drawn(graph)),
        Err(Stop::Unavailable(why)) => Ok(Flame::Unavailable(why)),
        Err(Stop::OutOfTime) => Ok(Flame::OutOfTime(format!(
            "stopped after {} s (PERF_TIMEOUT_SECONDS)",
            arguments.settings.timeout_seconds
        ))),
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn drawn(host: &Host<'_>, arguments: &settings::Flame) -> Result<FlameGraph, Stop> {
    let contract = Contract::at(&host.settings.project);
    let git = Git::at(&host.settings.project);
    let good = arguments.good.as_ref().map(|revision| git.commit(revision)).transpose()?;
    let baseline = match (contract.baseline(), &good) {
        (Ok(baseline), _) => Some(baseline),
        (Err(error), None) => return Err(read(error).into()),
        // Then the load is found.
        (Err(_), Some(_)) => None,
    };
    let of_baseline = |baseline: &Report| {
        let commit = comparison::commit(baseline)?.to_owned();
        Ok::<_, RunError>((commit, baseline.git.tree.clone()))
    };
    let (commit, tree) = match (good, &baseline) {
        (Some(commit), _) => (commit, None),
        (None, Some(baseline)) => of_baseline(baseline)?,
        (None, None) => return Err(RunError::Unread.into()),
    };
    let artifacts = host.artifacts(&arguments.output);
    is_writable(&artifacts)?;
    let load = load_of(baseline.as_ref())?;
    // Better now than after a build.
    let perf = Perf::new(host.interrupt)?;
    perf.is_usable()?;

    let (_lock, path) = host.prepare()?;
    let deadline = Instant::now() + Duration::from_secs(host.settings.timeout_seconds);
    // No report is written.
    let mut plan = host.plan(Path::new(""), load, 1, None)?;
    plan.throughput_ms = Some(arguments.seconds * 1000);
    let mut bench = host.bench(&path)?;
    let described = host.describe(&mut bench, &plan)?;
    let flavor = described.report.env.erts_flavor.as_deref().unwrap_or("unknown");
    if !flavor.starts_with("jit") {
        return Err(Stop::Unavailable(format!(
            "this Erlang/OTP has no JIT (its emulator is {}), and perf has no names for functions that are \
             interpreted; install an Erlang/OTP with the JIT",
            plain(flavor)
        )));
    }
    plan.replay = Some(host.frozen(&commit, tree.as_deref(), &described, &path)?);
    let seen = under_load(host, bench, &plan, &perf, deadline)?;

    let (frozen_stacks, candidate_stacks) = (seen.frozen.0, seen.candidate.0);
    let git = &described.report.git;
    let built = git.commit.as_ref().filter(|_| git.dirty == Some(false));
    let title = |what: &str, commit: Option<&String>| match commit {
        Some(commit) => format!("{what} {}", short_commit(commit)),
        None => what.to_owned(),
    };
    let (of_frozen, of_candidate) =
        (title("frozen build", Some(&commit)), title("candidate", built));
    let frozen = Build { title: &of_frozen, stacks: &frozen_stacks, requests: seen.frozen.1 };
    let candidate =
        Build { title: &of_candidate, stacks: &candidate_stacks, requests: seen.candidate.1 };
    let svg = render(&frozen, &candidate).map_err(|source| {
        let (what, path) = ("draw the samples of", "perf".into());
        RunError::Io { what, path, source }
    })?;
    let file = artifacts.join(format!("perf_flame_{}.svg", stamp()));
    write_atomically(&file, svg.as_bytes())?;
    let sampled = |build: &Build<'_>, commit: Option<&String>| Sampled {
        commit: commit.cloned(),
        samples: build.stacks.samples(),
        requests: build.requests,
        request_ns: build.request_ns(),
    };
    Ok(FlameGraph {
        file: file.strip_prefix(".").unwrap_or(&file).display().to_string(),
        size_bytes: svg.len() as u64,
        seconds: arguments.seconds,
        frozen: sampled(&frozen, Some(&commit)),
        candidate: sampled(&candidate, built),
    })
}

/// Both builds: what their threads did for how many requests.
struct Seen {
    frozen: (Stacks, u64),
    candidate: (Stacks, u64),
}

/// Lets the bench put both builds under load, and perf look on.
fn under_load(
    host: &Host<'_>,
    mut bench: Bench,
    plan: &Plan,
    perf: &Perf<'_>,
    deadline: Instant,
) -> Result<Seen, Stop> {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut plan = plan.clone();
    plan.timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1000);
    bench.ask(&Request::Load(plan.clone()))?;
    let mut recording: Option<(Recording, Sides<u32>)> = None;
    let mut stacks = Sides { frozen: None, candidate: None };
    loop {
        let wake = deadline.min(Instant::now() + TICK);
        match bench.answer(wake, host.interrupt)? {
            Some(Event::Step(step)) => host.progress.does(&step),
            Some(Event::Warm(pids)) => {
                recording = Some((perf.record(pids)?, pids));
                bench.ask(&Request::GoOn)?;
            }
            Some(Event::Loaded) => {
                if let Some((recording, pids)) = recording.take() {
                    host.progress.step("reading the samples");
                    let data = recording.end()?;
                    for (pid, stacks) in
                        [(pids.frozen, &mut stacks.frozen), (pids.candidate, &mut stacks.candidate)]
                    {
                        if let Some(pid) = pid {
                            *stacks = Some(perf.stacks(&data, pid, deadline)?);
                        }
                    }
                }
                bench.ask(&Request::GoOn)?;
            }
            Some(Event::Served(Sides { frozen: Some(frozen), candidate: Some(candidate) })) => {
                if let Sides { frozen: Some(of_frozen), candidate: Some(of_candidate) } = stacks {
                    return Ok(Seen {
                        frozen: (of_frozen, frozen),
                        candidate: (of_candidate, candidate),
                    });
                }
                return Err(RunError::NotLoaded("the bench named no BEAM".to_owned()).into());
            }
            Some(Event::Failed(why)) => return Err(RunError::NotLoaded(why).into()),
            Some(Event::Refused(refused)) => return Err(host.refusal(&plan, refused).into()),
            Some(_) => {
                let why = "the bench answers what it was not asked".to_owned();
                return Err(RunError::NotLoaded(why).into());
            }
            None if Instant::now() < deadline => host.progress.tick(),
            None => return Err(Stop::OutOfTime),
        }
    }
}

/// The program, and a place for its files.
struct Perf<'a> {
    directory: tempfile::TempDir,
    interrupt: &'a Interrupt,
}

/// A recording that goes on.
struct Recording {
    group: Group,
    data: PathBuf,
    said: File,
}

impl<'a> Perf<'a> {
    fn new(interrupt: &'a Interrupt) -> Result<Self, RunError> {
        let directory = tempfile::Builder::new().prefix("perf-gate.").tempdir();
        let directory = directory.map_err(|source| RunError::Io {
            what: "make a directory in",
            path: std::env::temp_dir(),
            source,
        })?;
        Ok(Self { directory, interrupt })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `perf` with a subcommand, and where it complains.
    fn command(&self, subcommand: &str) -> Result<(Command, File), Stop> {
        let mut perf = Command::new("perf");
        perf.arg(subcommand).envs(HERMETIC).env("HOME", self.directory.path());
        perf.env_remove("DEBUGINFOD_URLS").stdout(Stdio::null());
        let said = tempfile::tempfile_in(self.directory.path());
        let said = said.and_then(|said| Ok((said.try_clone()?, said)));
        let (said, stderr) = said.map_err(|source| RunError::Io {
            what: "make a file in",
            path: self.directory.path().to_owned(),
            source,
        })?;
        perf.stderr(stderr);
        Ok((perf, said))
    }

    fn recorder(&self, data: &Path) -> Result<(Command, File), Stop> {
        let (mut perf, said) = self.command("record")?;
        perf.args(["--event", EVENT, "--freq", &SAMPLES_PER_SECOND.to_string()]);
        // The JIT keeps frame pointers for perf. Of what was sampled no copies are made.
        perf.args(["--call-graph", "fp", "--no-buildid", "--no-buildid-cache", "--quiet"]);
        perf.arg("--output").arg(data);
        Ok((perf, said))
    }

    /// That perf is there, and may sample a process of this user.
    fn is_usable(&self) -> Result<(), Stop> {
        if cfg!(not(target_os = "linux")) {
            let why = "flame graphs are made with perf, which only Linux has; run this on Linux";
            return Err(Stop::Unavailable(why.to_owned()));
        }
        let data = self.file("probe.data");
        let (mut perf, said) = self.recorder(&data)?;
        let mut group = spawned(perf.args(["--", "true"]))?;
        let Some(status) = self.ended(&mut group, Instant::now() + PATIENCE)? else {
            return Err(Stop::Unavailable(format!(
                "perf did not record the program `true` within {} s, and was ended; try it by hand: perf \
                 record true",
                PATIENCE.as_secs()
            )));
        };
        if !status.success() {
            return Err(Stop::Unavailable(refused(&quoted(said), status)));
        }
        if !has_content(&data) {
            return Err(Stop::Unavailable(nothing("perf record true")));
        }
        Ok(())
    }

    /// Begins to sample processes, and comes back when it does.
    fn record(&self, pids: Sides<u32>) -> Result<Recording, Stop> {
        let numbers: Vec<_> = [pids.frozen, pids.candidate]
            .into_iter()
            .flatten()
            .map(|pid| pid.to_string())
            .collect();
        let data = self.file(&format!("{}.data", numbers.join(".")));
        let (mut perf, said) = self.recorder(&data)?;
        let group = spawned(perf.arg("--pid").arg(numbers.join(",")))?;
        let mut recording = Recording { group, data, said };
        let deadline = Instant::now() + PATIENCE;
        // Its head is written once the counters are open.
        while !has_content(&recording.data) {
            if let Some(code) = self.interrupt.code() {
                return Err(RunError::Interrupted(code).into());
            }
            if let Some(status) = status(&mut recording.group)? {
                return Err(Stop::Unavailable(refused(&quoted(recording.said), status)));
            }
            if Instant::now() >= deadline {
                return Err(Stop::Unavailable(nothing("perf record")));
            }
            thread::sleep(POLL);
        }
        Ok(recording)
    }

    /// What was sampled of a process.
    fn stacks(&self, data: &Path, pid: u32, deadline: Instant) -> Result<Stacks, Stop> {
        let (mut perf, said) = self.command("script")?;
        // Without looking for inlined functions, each of which takes a process.
        perf.args(["--no-inline", "--fields", FIELDS, "--pid", &pid.to_string(), "--input"]);
        let mut group = spawned(perf.arg(data).stdout(Stdio::piped()))?;
        let stdout = group.take_stdout();
        let reader = thread::spawn(move || match stdout {
            Some(stdout) => Stacks::read(BufReader::new(stdout)),
            None => Ok(Stacks::default()),
        });
        let ended = self.ended(&mut group, deadline);
        drop(group);
        let read = reader.join();
        let Some(status) = ended? else { return Err(Stop::OutOfTime) };
        if !status.success() {
            return Err(Stop::Unavailable(format!(
                "perf could not read what it had recorded ({}): {}",
                in_words(status),
                quoted(said)
            )));
        }
        match read {
            Ok(Ok(stacks)) if stacks.samples() > 0 => Ok(stacks),
            _ => Err(Stop::Unavailable(format!(
                "what perf printed of process {pid} has no sample of {EVENT} in it; try it by hand: perf record \
                 --event {EVENT} --call-graph fp -- erl +JPperf map"
            ))),
        }
    }

    /// How it ended; `None` at the deadline, at which it is ended.
    fn ended(&self, group: &mut Group, deadline: Instant) -> Result<Option<ExitStatus>, Stop> {
        loop {
            if let Some(status) = status(group)? {
                return Ok(Some(status));
            }
            if let Some(code) = self.interrupt.code() {
                return Err(RunError::Interrupted(code).into());
            }
            if Instant::now() >= deadline {
                group.end().map_err(not_waited)?;
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }
}

impl Recording {
    /// Ends it, and says where its data is.
    fn end(mut self) -> Result<PathBuf, Stop> {
        if let Some(status) = status(&mut self.group)? {
            return Err(Stop::Unavailable(refused(&quoted(self.said), status)));
        }
        let status = self.group.end().map_err(not_waited)?;
        if std::os::unix::process::ExitStatusExt::signal(&status) == Some(9) {
            return Err(Stop::Unavailable(
                "perf went on recording when it was asked to end, and was killed; try it by hand: perf record \
                 sleep 1"
                    .to_owned(),
            ));
        }
        Ok(self.data)
    }
}

fn spawned(perf: &mut Command) -> Result<Group, Stop> {
    Group::spawn(perf).map_err(|error| {
        Stop::Unavailable(match error.kind() {
            io::ErrorKind::NotFound => "perf is not on the PATH; install it, on Debian with apt-get install \
                                        linux-perf, on Ubuntu with apt-get install linux-tools-generic"
                .to_owned(),
            _ => format!("perf cannot be started: {error}"),
        })
    })
}

fn status(group: &mut Group) -> Result<Option<ExitStatus>, Stop> {
    Ok(group.status().map_err(not_waited)?)
}

fn not_waited(source: io::Error) -> RunError {
    RunError::Io { what: "wait for", path: "perf".into(), source }
}

fn has_content(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.len() > 0)
}

/// The beginning of what perf said, on one line.
fn quoted(mut said: File) -> String {
    let mut bytes = Vec::new();
    let read = said
        .seek(SeekFrom::Start(0))
        .and_then(|_| said.take(SAID_MAX_BYTES).read_to_end(&mut bytes));
    let text = read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let words: Vec<_> = text.split_whitespace().collect();
    if words.is_empty() { "it says nothing".to_owned() } else { plain(&words.join(" ")) }
}

fn refused(said: &str, status: ExitStatus) -> String {
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    let paranoid = paranoid.map_or_else(|_| "unknown".to_owned(), |text| plain(text.trim()));
    format!(
        "perf cannot record here ({}): {said}. Where it lacks the permission: sysctl kernel.perf_event_paranoid=2, \
         which is {paranoid} now, or of a container --cap-add=PERFMON",
        in_words(status)
    )
}

fn nothing(command: &str) -> String {
    format!("{command} wrote nothing; try it by hand, or install the perf of this kernel")
}
