//! `scripts/runner_check.sh` on made-up machines: each fault turns its own line, and no other.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cp1_pipeline_tests::root;

/// A machine as files: dedicated, tuned, idle.
struct Machine {
    directory: tempfile::TempDir,
}

/// What was said: status and text by check, everything that was printed, and the exit code.
struct Said {
    checks: BTreeMap<String, (String, String)>,
    printed: String,
    code: i32,
}

const STAT: &str = "cpu 100 0 100 1000 0 0 0 10 0 0\ncpu0 50 0 50 500 0 0 0 5 0 0\n\
                    cpu1 50 0 50 500 0 0 0 5 0 0\n";

impl Machine {
    fn new() -> Self {
        let machine = Self { directory: tempfile::tempdir().unwrap() };
        for (name, text) in [
            ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
            ("proc/cpuinfo", "flags : fpu tsc\n"),
            ("proc/stat", STAT),
            ("proc/loadavg", "0.10 0.20 0.30 1/100 99\n"),
            ("proc/pressure/cpu", "some avg10=0.20 avg60=0.10 avg300=0.00 total=1\n"),
            ("proc/self/cgroup", "0::/runners/one\n"),
            ("proc/swaps", "Filename Type Size Used Priority\n"),
            ("proc/sys/vm/swappiness", "60\n"),
            ("proc/77/stat", "77 (a name) S 1 77 77 0 -1 0 0 0 0 0 10 10 0 0 20 0 1 0 5 0 0\n"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n"),
            ("sys/devices/system/cpu/smt/active", "0\n"),
            ("sys/devices/system/node/node0/cpulist", "0-1\n"),
            ("sys/fs/cgroup/runners/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/runners/one/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/runners/one/cpuset.cpus.effective", "0-1\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
        ] {
            machine.write(name, text);
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    /// Looks at it, and later at `later`.
    fn check(&self, later: &Self, arguments: &[&str]) -> Said {
        let temporary = tempfile::tempdir().unwrap();
        let output = Command::new(root().join("scripts/runner_check.sh"))
            .args(arguments)
            .env("RUNNER_CHECK_ROOT", self.directory.path())
            .env("RUNNER_CHECK_ROOT_LATER", later.directory.path())
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "something was left");
        let printed = String::from_utf8(output.stdout).unwrap();
        let checks = printed.lines().filter(|line| line.len() > 35 && !line.starts_with(' '));
        let check = |line: &str| {
            let part = |from: usize, to: usize| line[from..to].trim().to_owned();
            (part(16, 35), (part(0, 8), line[35..].to_owned()))
        };
        Said { checks: checks.map(check).collect(), printed, code: output.status.code().unwrap() }
    }
}

impl Said {
    /// The checks with this status.
    fn with(&self, status: &str) -> Vec<&str> {
        let found = self.checks.iter().filter(|(_, (said, _))| said == status);
        found.map(|(name, _)| name.as_str()).collect()
    }
}

#[test]
fn a_dedicated_idle_machine_is_fine() {
    let machine = Machine::new();
    let said = machine.check(&machine, &["--strict"]);
    assert_eq!((said.code, said.with("ok").len()), (0, 16), "{}", said.printed);
    assert!(said.printed.ends_with("\n16 ok, 0 bad, 0 unknown\n"), "{}", said.printed);
}

#[test]
fn each_fault_is_found_and_named() {
    type Plant = fn(&Machine);
    let planted: [(&str, &str, Plant); 14] = [
        ("governor", "powersave", |m| {
            m.write("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n");
        }),
        ("turbo", "on", |m| m.write("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n")),
        ("turbo", "on", |m| {
            m.remove("sys/devices/system/cpu/intel_pstate/no_turbo");
            m.write("sys/devices/system/cpu/cpufreq/boost", "1\n");
        }),
        ("SMT", "on", |m| m.write("sys/devices/system/cpu/smt/active", "1\n")),
        ("control group", "cpu.max 50000 100000", |m| {
            m.write("sys/fs/cgroup/runners/cpu.max", "50000 100000\n");
        }),
        ("control group", "cpu.cfs_quota_us 50000 of 100000", |m| {
            m.write("proc/self/cgroup", "4:cpu,cpuacct:/box\n2:memory:/box\n");
            m.write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "50000\n");
            m.write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
        }),
        ("other load", "load average 0.90", |m| m.write("proc/loadavg", "0.90 0 0 1/1 1\n")),
        ("pressure", "12.5 %", |m| m.write("proc/pressure/cpu", "some avg10=12.5 avg60=0\n")),
        ("time source", "hpet", |m| {
            m.write("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
        }),
        ("swap", "swappiness 60", |m| {
            m.write("proc/swaps", "Filename Type\n/dev/sda2 partition\n");
        }),
        ("huge pages", "always", |m| {
            m.write("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
        }),
        ("memory nodes", "2", |m| m.write("sys/devices/system/node/node1/cpulist", "\n")),
        ("busiest process", "20 % of a processor: a name (77)", |_| {}),
        ("steal time", "5 of 100 ticks", |_| {}),
    ];
    for (check, found, plant) in planted {
        let (machine, later) = (Machine::new(), Machine::new());
        plant(&machine);
        if check == "busiest process" {
            let stat = "77 (a name) S 1 77 77 0 -1 0 0 0 0 0 15 15 0 0 20 0 1 0 5 0 0\n";
            later.write("proc/77/stat", stat);
        }
        if check == "steal time" {
            later.write("proc/stat", STAT.replace("1000 0 0 0 10", "1095 0 0 0 15"));
        }
        let said = machine.check(&later, &["--strict"]);
        assert_eq!(said.with("bad"), [check], "{}", said.printed);
        assert!(said.checks[check].1.contains(found), "{}", said.printed);
        assert!(said.printed.contains("cure: "), "{}", said.printed);
        assert_eq!(said.code, 1, "{}", said.printed);
        assert_eq!(machine.check(&later, &[]).code, 0, "without --strict it only tells");
    }
}

#[test]
fn what_the_rules_ask_for_and_cannot_be_read_is_no_success() {
    for (file, check) in [
        ("proc/sys/kernel/osrelease", "kernel"),
        ("proc/self/cgroup", "control group"),
        ("proc/loadavg", "other load"),
        ("proc/stat", "steal time"),
        ("sys/devices/system/clocksource/clocksource0/current_clocksource", "time source"),
    ] {
        let machine = Machine::new();
        machine.remove(file);
        let said = machine.check(&machine, &["--strict"]);
        assert!(said.with("unknown").contains(&check), "{}", said.printed);
        assert_eq!(said.code, 1, "{}", said.printed);
    }
    // Advice that cannot be given is none that was not followed.
    let machine = Machine::new();
    machine.remove("sys/devices/system/cpu/smt/active");
    assert_eq!(machine.check(&machine, &["--strict"]).code, 0);
}

#[test]
fn what_files_say_is_data() {
    let (machine, later) = (Machine::new(), Machine::new());
    let hostile = "\u{1b}[2J\u{7}$(touch /tmp/x) \u{202e}name";
    machine.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", hostile);
    machine.write("proc/self/cgroup", format!("0::/../../etc\n0::/{hostile}\n"));
    machine.write("proc/loadavg", hostile);
    for (machine, ticks) in [(&machine, 10), (&later, 60)] {
        let rest = format!("S 1 77 77 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 5 0 0\n");
        machine.write("proc/77/stat", format!("77 (bad) {hostile}) {rest}"));
    }
    let said = machine.check(&later, &[]);
    assert!(said.printed.chars().all(|c| matches!(c, '\n' | ' '..='~')), "{:?}", said.printed);
    assert!(said.checks["busiest process"].1.contains("100 % of a processor"), "{}", said.printed);
}

#[test]
fn this_machine_can_be_looked_at() {
    let script = root().join("scripts/runner_check.sh");
    let output = Command::new(&script).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("rule").count(), 7);
    for wrong in [&["--loud"][..], &["--strict", "--strict"]] {
        let output = Command::new(&script).args(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}
