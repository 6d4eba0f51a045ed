//! What the cross-language tests share: short runs of `scripts/perf_gate.sh` in a directory of
//! their own.
//!
//! The runs are far too short for figures to trust. They use a policy whose limits on time are so
//! wide that only a planted fault crosses them, whatever else the machine is doing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use cp1_format::{Judgement, Metric, Report, Verdict, read_file, to_json};

/// Latency may be 18 ms, throughput may fall to a twentieth, memory may double: noise stays below,
/// and the planted faults go beyond by construction (a delay of 20 ms is at least 20 ms).
const WIDE_POLICY: &str = r#"{
  "version": "cp1",
  "rules": {
    "latency_p95_ms": {"absolute": {"max": 18}},
    "latency_p99_ms": {"absolute": {"max": 18}},
    "rps": {"relative": {"max_pct_decrease": 95}},
    "mem_mb_total_erlang": {"relative": {"max_pct_increase": 100}},
    "errors_total": {"absolute": {"equals": 0}},
    "backpressure_active_total": {"absolute": {"equals": 0}}
  }
}
"#;

/// Judged on two blocks: of so few the smallest probability of the test is one quarter, so one limit
/// alone may have all of the false alarms.
pub const TWO_BLOCKS: &str = r#"{
  "version": "cp1",
  "rules": {
    "rps": {"relative": {"max_pct_decrease": 50}},
    "mem_mb_total_erlang": {"absolute": {"max": 1000}},
    "errors_total": {"absolute": {"equals": 0}},
    "backpressure_active_total": {"absolute": {"equals": 0}}
  },
  "decision": {"looks": [2], "false_alarm_pct": 49, "miss_pct": 49}
}
"#;

/// Takes out of a report what a machine that was busy with something else left in it: a late load
/// generator, and blocks that count as disturbed.
pub fn left_alone(report: &mut Report) {
    (report.run.status, report.run.reason, report.histograms) = (None, None, None);
    for block in report.blocks.iter_mut().flatten() {
        let lag = &mut block.latency.dispatch_lag;
        let ends = [&mut lag.min_ns, &mut lag.mean_ns, &mut lag.max_ns];
        let percentiles =
            [&mut lag.p50_ns, &mut lag.p90_ns, &mut lag.p95_ns, &mut lag.p99_ns, &mut lag.p999_ns];
        for ns in ends.into_iter().chain(percentiles) {
            *ns = ns.map(|ns| ns.min(1));
        }
        block.disturbed = Some(BTreeSet::new());
    }
}

/// A report that is well-formed, and passes against itself.
pub const MINIMAL: &str = r#"{"timestamp": "2026-01-31T12:00:00Z",
  "git": {"commit": "0123456789012345678901234567890123456789"},
  "env": {"otp_release": "25"}, "run": {"ct_exit_code": 0}, "metrics": {"latency_p95_ms": 1,
  "latency_p99_ms": 1, "rps": 1, "errors_total": 0, "backpressure_active_total": 0,
  "mem_mb_total_erlang": 1}}
"#;

/// A directory with a policy and, once [`Workplace::freeze`] has run, a baseline; removed on drop.
pub struct Workplace {
    directory: tempfile::TempDir,
}

/// How a run ended.
pub struct Ended {
    /// The script's exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Everything it printed.
    pub printed: String,
    /// What of it was on standard output.
    pub answer: String,
}

impl Workplace {
    /// A new one with the wide policy.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new() -> std::io::Result<Self> {
        let directory = tempfile::tempdir()?;
        std::fs::write(directory.path().join("policy.json"), WIDE_POLICY)?;
        Ok(Self { directory })
    }

    /// A new one that has a baseline too, for runs that are not about their figures.
    ///
    /// # Errors
    /// The operating system's.
    pub fn with_baseline() -> std::io::Result<Self> {
        let workplace = Self::new()?;
        std::fs::write(workplace.path("baseline.json"), MINIMAL)?;
        Ok(workplace)
    }

    /// A file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `scripts/perf_gate.sh` with one block of some 5 seconds, just long enough for a p99, at a
    /// rate at which few requests are in flight even while each takes 20 ms.
    #[must_use]
    pub fn perf_gate(&self) -> Command {
        self.command("perf_gate.sh")
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("env");
        // Whoever runs the tests in the background may have SIGINT ignored; a shell could not trap
        // it.
        command.arg("--default-signal=INT").arg(root().join("scripts").join(script));
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars() {
            if name.starts_with("PERF_") || name.starts_with("CI_") || name.starts_with("GITHUB_") {
                command.env_remove(name);
            }
        }
        command
            .env_remove("CANDIDATE_FILE")
            .env("ARTIFACTS_DIR", "artifacts")
            .env("BASELINE_FILE", "baseline.json")
            .env("POLICY_FILE", "policy.json")
            .env("PERF_COMPARE", "frozen")
            .env("PERF_BLOCKS", "1")
            .env("PERF_WARMUP_MS", "200")
            .env("PERF_THROUGHPUT_MS", "500")
            .env("PERF_RATE", "5000")
            .env("PERF_CONCURRENCY", "16")
            .env("PERF_LATENCY_MS", "4200");
        command
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// The operating system's.
    pub fn run(&self, command: &mut Command) -> std::io::Result<Ended> {
        command.output().map(Ended::from)
    }

    /// The gate alone on a terminal, under the same load and with these arguments; what is printed comes
    /// out of `script` (util-linux) as it went to the terminal.
    #[must_use]
    pub fn on_a_terminal(&self, arguments: &str) -> Command {
        let run =
            format!("{} run --project {} {arguments}", gate_binary().display(), root().display());
        let as_usual = self.perf_gate();
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &run, "/dev/null"]);
        command.current_dir(self.directory.path()).stdin(Stdio::null()).env("TERM", "xterm");
        for (name, value) in as_usual.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// `scripts/bench_router.sh` under the same load.
    #[must_use]
    pub fn bench(&self) -> Command {
        self.command("bench_router.sh")
    }

    /// Measures without a fault and makes that the baseline, as on a quiet machine.
    ///
    /// # Errors
    /// The operating system's, and a run that left no report.
    pub fn freeze(&self) -> std::io::Result<Ended> {
        let ended = self.run(&mut self.bench())?;
        std::fs::rename(self.as_on_a_quiet_machine("perf_baseline_")?, self.path("baseline.json"))?;
        std::fs::remove_dir_all(self.path("artifacts"))?;
        Ok(ended)
    }

    /// The only artifact whose name begins so.
    ///
    /// # Errors
    /// None or several, or the operating system's.
    pub fn only(&self, prefix: &str) -> std::io::Result<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.path("artifacts"))? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            if name.is_some_and(|name| name.starts_with(prefix)) {
                found.push(path);
            }
        }
        match found.as_slice() {
            [path] => Ok(path.clone()),
            _ => Err(Error::other(format!("{prefix}: {} artifacts", found.len()))),
        }
    }

    /// What the gate says of the only run, had the machine not been busy with something else.
    ///
    /// # Errors
    /// The operating system's, and a run that left no report.
    pub fn judged_as_on_a_quiet_machine(&self) -> std::io::Result<(Ended, Verdict)> {
        let mut gate = Command::new(gate_binary());
        gate.arg("check").arg("--baseline").arg(self.path("baseline.json"));
        gate.arg("--policy").arg(self.path("policy.json"));
        gate.arg("--candidate").arg(self.as_on_a_quiet_machine("perf_baseline_")?);
        if self.only("perf_replay_").is_ok() {
            gate.arg("--replay").arg(self.as_on_a_quiet_machine("perf_replay_")?);
        }
        gate.arg("--artifacts").arg(self.path("judged")).args(["--label", "quiet"]);
        let ended = self.run(&mut gate)?;
        let verdict = read_file(&self.path("judged/perf_verdict_quiet.json"));
        Ok((ended, verdict.map_err(Error::other)?))
    }

    /// A copy of the only report whose name begins so, as if the machine had been [left alone].
    ///
    /// [left alone]: left_alone
    ///
    /// # Errors
    /// None, or one that the reader refuses.
    pub fn as_on_a_quiet_machine(&self, prefix: &str) -> std::io::Result<PathBuf> {
        let mut report: Report = read_file(&self.only(prefix)?).map_err(Error::other)?;
        left_alone(&mut report);
        let path = self.path(&format!("{prefix}quiet.json"));
        std::fs::write(&path, to_json(&report).map_err(Error::other)?)?;
        Ok(path)
    }

    /// The report that the only run left.
    ///
    /// # Errors
    /// None, or one that the reader refuses.
    pub fn report(&self) -> std::io::Result<Report> {
        read_file(&self.only("perf_baseline_")?).map_err(Error::other)
    }

    /// The verdict of the only run.
    ///
    /// # Errors
    /// None, or one that the reader refuses.
    pub fn verdict(&self) -> std::io::Result<Verdict> {
        read_file(&self.only("perf_verdict_")?).map_err(Error::other)
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        // What was told on the way comes before the answer.
        let printed = format!("{}{answer}", String::from_utf8_lossy(&output.stderr));
        Self { code: output.status.code(), printed, answer }
    }
}

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The gate that `scripts/perf_gate.sh` builds.
#[must_use]
pub fn gate_binary() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(target).join("release/perf-gate")
}

/// The metrics whose rules are violated.
#[must_use]
pub fn violated(verdict: &Verdict) -> Vec<Metric> {
    let rules = verdict.rules.iter().filter(|rule| rule.judgement == Judgement::Violated);
    rules.map(|rule| rule.metric).collect()
}

/// The cases of a suite in the report of `cth_surefire`, in their order: of each that failed why.
///
/// # Errors
/// None, or no XML.
pub fn surefire(path: &Path) -> std::io::Result<Vec<(String, Option<String>)>> {
    let text = std::fs::read_to_string(path)?;
    let document = roxmltree::Document::parse(&text).map_err(Error::other)?;
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase"));
    let named = cases.map(|case| {
        let failure = case
            .children()
            .find(|node| node.has_tag_name("failure") || node.has_tag_name("skipped"));
        // A reason is an Erlang term, whose long strings are broken over lines.
        let lines =
            |text: &str| text.lines().map(str::trim).collect::<String>().replace("\"\"", "");
        let why = failure.map(|failure| lines(failure.text().unwrap_or_default()));
        (case.attribute("name").unwrap_or_default().to_owned(), why)
    });
    // What is around the cases is a case to Common Test.
    Ok(named
        .filter(|(name, _)| !["init_per_suite", "end_per_suite"].contains(&name.as_str()))
        .collect())
}

/// Sends a signal to a process.
///
/// # Errors
/// The operating system's.
pub fn signal(child: &Child, name: &str) -> std::io::Result<()> {
    let status =
        Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status()?;
    if status.success() { Ok(()) } else { Err(Error::other("kill failed")) }
}

/// The processes of a run that are still there some seconds after it: its artifacts directory
/// stands in the environment of each.
///
/// # Errors
/// The operating system's.
pub fn left_running(artifacts: &Path) -> std::io::Result<BTreeMap<u32, String>> {
    let mut left = BTreeMap::new();
    for _ in 0..500 {
        left = processes_with_environment(&artifacts.display().to_string())?;
        if left.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(left)
}

/// What is in the command line of a measured BEAM, and not in that of the benchmark's own.
pub const PEER: &str = "-user peer";

/// The same of the benchmark's own.
pub const BENCH: &str = "router_bench_conductor";

/// Kills a BEAM of a run outright, once there is one with this in its command line.
///
/// # Errors
/// The operating system's, and that no such process came within a minute.
pub fn kill_beam(artifacts: &Path, sign: &str) -> std::io::Result<()> {
    for _ in 0..3_000 {
        let processes = processes_with_environment(&artifacts.display().to_string())?;
        if let Some(pid) =
            processes.iter().find_map(|(pid, command)| command.contains(sign).then_some(pid))
        {
            let kill = Command::new("sh").arg("-c").arg(format!("kill -KILL {pid}")).status()?;
            return if kill.success() { Ok(()) } else { Err(Error::other("kill failed")) };
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(Error::other("no such BEAM was started"))
}

/// The processes that have this in their environment, with their command lines.
///
/// # Errors
/// The operating system's.
pub fn processes_with_environment(needle: &str) -> std::io::Result<BTreeMap<u32, String>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end while it is looked at; then it is not one that was left.
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(needle) {
            let command = std::fs::read(path.join("cmdline")).unwrap_or_default();
            found.insert(pid, String::from_utf8_lossy(&command).replace('\0', " "));
        }
    }
    Ok(found)
}
