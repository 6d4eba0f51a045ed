//! A campaign: cases by number, until time is up or one fails; the failing one is made as small as it
//! can be and kept.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// All that the process may allocate; what a campaign holds is a fraction of it.
const MEMORY_MAX_BYTES: u64 = 2 << 30;

/// A case that is not over after this time never will be: the longest take some 0.1 s.
const HUNG: Duration = Duration::from_secs(120);

/// Where no duration is given: enough to see that the campaign itself works.
const USUAL: Duration = Duration::from_secs(2);

/// Most steps of a case.
const STEPS_MAX: usize = 4;

/// What a case did to its files, by name.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    /// Which files it began with.
    pub(crate) choice: u64,
    /// The files as they are read.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    /// What was done to them, for a person.
    pub(crate) done: Vec<String>,
}

impl Trial {
    /// A file of it.
    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        let mut files = self.files.iter();
        files.find(|(of, _)| *of == name).map(|(_, bytes)| bytes.as_slice())
    }
}

/// What came of a case: a word to count it by, or what is wrong.
pub(crate) type Outcome = Result<String, String>;

/// What a campaign came to.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) seed: u64,
    pub(crate) message: String,
    pub(crate) done: Vec<String>,
    pub(crate) kept: PathBuf,
}

/// A kind of case. A case is a choice of files and some steps, each a number that says all of it.
pub(crate) trait Target {
    /// In messages and directories.
    fn name(&self) -> &'static str;
    /// Takes these steps, from the files that `choice` names.
    fn make(&self, choice: u64, steps: &[u64]) -> Trial;
    /// Looks at what the product makes of it.
    fn judge(&self, trial: &Trial) -> Outcome;
}

/// How long a campaign lasts.
pub(crate) fn duration() -> Duration {
    match std::env::var("FUZZ_SECONDS") {
        Ok(text) => Duration::from_secs(text.parse().expect("FUZZ_SECONDS is a number of seconds")),
        Err(_) => USUAL,
    }
}

fn first_seed() -> u64 {
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    std::env::var("FUZZ_SEED")
        .map_or_else(|_| now(), |text| text.parse().expect("FUZZ_SEED is a number"))
}

/// Runs a campaign and prints what it came to; a fault fails the test.
pub(crate) fn run(target: &impl Target) {
    if let Err(fault) = search(target, duration()) {
        let Fault { seed, message, done, kept } = fault;
        panic!(
            "{}: {message}\nafter: {}\nfiles: {}\nagain: FUZZ_SEED={seed}",
            target.name(),
            done.join("; "),
            kept.display()
        );
    }
}

/// The first fault within a time, made small.
pub(crate) fn search(target: &impl Target, duration: Duration) -> Result<(), Fault> {
    let limit = Rlimit { current: Some(MEMORY_MAX_BYTES), ..getrlimit(Resource::Data) };
    setrlimit(Resource::Data, limit).unwrap();
    let first = first_seed();
    let running = Arc::new(AtomicU64::new(first));
    let guard = watch(target.name(), &running);
    let mut distinct = HashSet::new();
    let mut outcomes = BTreeMap::<String, u64>::new();
    let at = File::create(directory().join(format!("{}.running", target.name()))).unwrap();
    let begun = Instant::now();
    let mut executions = 0;
    while executions == 0 || begun.elapsed() < duration {
        let seed = first.wrapping_add(executions);
        // Also for what ends the process: memory or stack.
        at.write_all_at(format!("FUZZ_SEED={seed:020}\n").as_bytes(), 0).unwrap();
        running.store(seed, Ordering::Relaxed);
        let (choice, steps) = case(seed);
        let trial = target.make(choice, &steps);
        distinct.insert(digest(&trial));
        executions += 1;
        match tried(target, &trial) {
            Ok(word) => *outcomes.entry(word).or_default() += 1,
            Err(message) => return Err(smallest(target, seed, message)),
        }
    }
    drop(guard);
    let outcomes: Vec<_> = outcomes.iter().map(|(word, count)| format!("{word} {count}")).collect();
    // Past the test runner, which keeps what a test prints to itself.
    let _ = writeln!(
        io::stdout(),
        "{}: {executions} executions, {} distinct, {:.0} s, from FUZZ_SEED={first}: {}",
        target.name(),
        distinct.len(),
        begun.elapsed().as_secs_f64(),
        outcomes.join(", ")
    );
    Ok(())
}

fn case(seed: u64) -> (u64, Vec<u64>) {
    let mut rng = Rng::with_seed(seed);
    let choice = rng.u64(..);
    let steps = (0..rng.usize(1..=STEPS_MAX)).map(|_| rng.u64(..)).collect();
    (choice, steps)
}

fn digest(trial: &Trial) -> u64 {
    let mut hasher = DefaultHasher::new();
    trial.files.hash(&mut hasher);
    hasher.finish()
}

fn tried(target: &impl Target, trial: &Trial) -> Outcome {
    panic::catch_unwind(AssertUnwindSafe(|| target.judge(trial))).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("it panicked: {}", text.unwrap_or_default()))
    })
}

/// Leaves out every step without which it fails too, and keeps the files.
fn smallest(target: &impl Target, seed: u64, message: String) -> Fault {
    let (choice, mut steps) = case(seed);
    let mut message = message;
    let mut index = 0;
    while index < steps.len() {
        let mut fewer = steps.clone();
        fewer.remove(index);
        match tried(target, &target.make(choice, &fewer)) {
            Err(still) => (steps, message) = (fewer, still),
            Ok(_) => index += 1,
        }
    }
    let trial = target.make(choice, &steps);
    let kept = directory().join(format!("{}-{seed}", target.name()));
    std::fs::create_dir_all(&kept).unwrap();
    for (name, bytes) in &trial.files {
        std::fs::write(kept.join(name), bytes).unwrap();
    }
    Fault { seed, message, done: trial.done, kept }
}

fn directory() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// Ends the process when one case runs for too long, until it is dropped.
fn watch(name: &'static str, running: &Arc<AtomicU64>) -> Arc<()> {
    let guard = Arc::new(());
    let (alive, running) = (Arc::downgrade(&guard), Arc::clone(running));
    std::thread::spawn(move || {
        let mut last = (running.load(Ordering::Relaxed), Instant::now());
        while alive.strong_count() > 0 {
            std::thread::sleep(Duration::from_millis(100));
            let seed = running.load(Ordering::Relaxed);
            if seed != last.0 {
                last = (seed, Instant::now());
            } else if last.1.elapsed() > HUNG {
                eprintln!("{name}: a case does not end; again: FUZZ_SEED={seed}");
                std::process::abort();
            }
        }
    });
    guard
}
