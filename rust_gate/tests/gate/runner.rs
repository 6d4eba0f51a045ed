//! `perf-gate runner` on planted machines: each fault turns its own line, and no other.

use std::path::PathBuf;

use cp1_format::{CheckKind, MachineCheck, Said};
use machine_evidence::{Conditions, Moment, Tree};
use perf_gate::render::answers;
use perf_gate::run::hygiene::{Check, SecondBenchmark, Status, checks};

fn page(checks: &[Check]) -> String {
    answers::text(&Said::Runner(checks.iter().map(MachineCheck::from).collect()))
}

/// A machine as files: dedicated, tuned, idle.
struct Machine {
    directory: tempfile::TempDir,
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
            ("sys/fs/cgroup/cgroup.procs", ""),
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
    fn look(&self, later: &Self) -> Vec<Check> {
        let tree = Tree::at(self.directory.path());
        let after = Moment::of(&Tree::at(later.directory.path()));
        let conditions = Conditions::of(&tree);
        checks(&conditions, &Moment::of(&tree), &after, OWN, SecondBenchmark::Absent)
    }
}

/// The process that looks.
const OWN: u32 = 5;

/// The checks with a status.
fn names(checks: &[Check], of: fn(&Status) -> bool) -> Vec<&str> {
    checks.iter().filter(|check| of(&check.status)).map(|check| check.name).collect()
}

fn is_bad(status: &Status) -> bool {
    matches!(status, Status::Bad { .. })
}

fn found<'a>(checks: &'a [Check], name: &str) -> &'a str {
    &checks.iter().find(|check| check.name == name).unwrap().found
}

/// Whether a dedicated runner may be like this.
fn is_fit(checks: &[Check]) -> bool {
    !checks.iter().any(Check::is_unfit)
}

#[test]
fn a_dedicated_idle_machine_is_fine() {
    let machine = Machine::new();
    let checks = machine.look(&machine);
    insta::assert_snapshot!("dedicated", page(&checks));
    assert!(is_fit(&checks));
    assert_eq!(checks.iter().filter(|check| check.kind == CheckKind::Rule).count(), 7);
}

#[test]
fn each_fault_is_found_and_named() {
    type Plant = fn(&Machine);
    let planted: [(&str, &str, Plant); 15] = [
        ("governor", "powersave", |m| {
            m.write("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n");
        }),
        ("turbo", "on", |m| m.write("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n")),
        ("turbo", "on", |m| {
            m.remove("sys/devices/system/cpu/intel_pstate/no_turbo");
            m.write("sys/devices/system/cpu/cpufreq/boost", "1\n");
        }),
        ("SMT", "on", |m| m.write("sys/devices/system/cpu/smt/active", "1\n")),
        ("control group", "0.5 processors (50000 100000)", |m| {
            m.write("sys/fs/cgroup/runners/cpu.max", "50000 100000\n");
        }),
        ("control group", "3.5 processors (350000 100000)", |m| {
            m.write("proc/self/cgroup", "4:cpu,cpuacct:/box\n2:memory:/box\n");
            m.write("sys/fs/cgroup/cpu/cgroup.procs", "");
            m.write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "350000\n");
            m.write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
        }),
        ("other load", "load average 0.90", |m| m.write("proc/loadavg", "0.90 0 0 1/1 1\n")),
        ("pressure", "12.50 %", |m| m.write("proc/pressure/cpu", "some avg10=12.5 avg60=0\n")),
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
        ("SMT", "on", |m| m.write("sys/devices/system/cpu/smt/active", " 1 \n")),
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
        let checks = machine.look(&later);
        let printed = page(&checks);
        assert_eq!(names(&checks, is_bad), [check], "{printed}");
        assert!(self::found(&checks, check).contains(found), "{printed}");
        assert_eq!(printed.matches("cure: ").count(), 1, "{printed}");
        assert!(printed.ends_with("1 bad, 0 unknown"), "{printed}");
        assert!(!is_fit(&checks), "{printed}");
    }
}

#[test]
fn a_second_benchmark_is_told_and_a_lock_that_cannot_be_read_is_no_success() {
    let machine = Machine::new();
    let tree = Tree::at(machine.directory.path());
    for second in [SecondBenchmark::Runs, SecondBenchmark::Unknown] {
        let (conditions, moment) = (Conditions::of(&tree), Moment::of(&tree));
        let checks = checks(&conditions, &moment, &moment, OWN, second);
        let check = checks.iter().find(|check| check.name == "second benchmark").unwrap();
        assert!(check.is_unfit(), "{check:?}");
    }
}

#[test]
fn the_process_that_looks_does_not_disturb_itself() {
    let (machine, later) = (Machine::new(), Machine::new());
    for (machine, ticks) in [(&machine, 0), (&later, 50)] {
        let stat = format!("{OWN} (own) S 1 5 5 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 5 0 0\n");
        machine.write("proc/5/stat", stat);
    }
    assert!(is_fit(&machine.look(&later)));
}

#[test]
fn what_the_rules_ask_for_and_cannot_be_read_is_no_success() {
    for (file, check) in [
        ("proc/sys/kernel/osrelease", "kernel"),
        ("proc/self/cgroup", "control group"),
        ("sys/fs/cgroup/cgroup.procs", "control group"),
        ("proc/loadavg", "other load"),
        ("proc/stat", "steal time"),
        ("sys/devices/system/clocksource/clocksource0/current_clocksource", "time source"),
    ] {
        let machine = Machine::new();
        machine.remove(file);
        let checks = machine.look(&machine);
        let unknown = names(&checks, |status| *status == Status::Unknown);
        assert!(unknown.contains(&check), "{}", page(&checks));
        assert!(!is_fit(&checks), "{}", page(&checks));
    }
    // Advice that cannot be given is none that was not followed.
    let machine = Machine::new();
    machine.remove("sys/devices/system/cpu/smt/active");
    assert!(is_fit(&machine.look(&machine)));
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
    let checks = machine.look(&later);
    let printed = page(&checks);
    assert!(printed.chars().all(|c| matches!(c, '\n' | ' '..='~')), "{printed:?}");
    assert!(found(&checks, "busiest process").contains("100 % of a processor"), "{printed}");
    assert_eq!(found(&checks, "control group"), "its quota cannot be read");
}

#[test]
fn this_machine_can_be_looked_at() {
    let run = |arguments: &[&str]| {
        let mut command = assert_cmd::cargo::cargo_bin_cmd!("perf-gate");
        command.arg("runner").args(arguments).output().unwrap()
    };
    let output = run(&[]);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().filter(|line| line.get(8..15) == Some("rule   ")).count(), 7);
    // Whatever the machine is like, these are the two answers.
    assert!(matches!(run(&["--strict"]).status.code(), Some(0 | 1)));
    for wrong in [&["--loud"][..], &["--strict", "--strict"]] {
        assert_eq!(run(wrong).status.code(), Some(2));
    }
}
