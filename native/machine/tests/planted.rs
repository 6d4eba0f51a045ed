//! Machines that are planted as files, in every state that control groups can be in, and hostile
//! ones.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::Command;

use machine_evidence::control_group::{
    memory_limit_bytes, processor_quota, processor_set, throttling,
};
use machine_evidence::{
    Conditions, Fingerprint, Limit, Moment, Quota, Reading, Throttling, Tree, fingerprint,
};
use proptest::prelude::*;

/// A machine as files.
struct Planted {
    directory: tempfile::TempDir,
}

impl Planted {
    fn new(files: &[(&str, &str)]) -> Self {
        let planted = Self { directory: tempfile::tempdir().unwrap() };
        for (path, text) in files {
            planted.write(path, text);
        }
        planted
    }

    /// Version 2: the process in the innermost of three groups.
    fn version_2() -> Self {
        Self::new(&[
            ("proc/self/cgroup", "0::/slice/job/step\n"),
            ("sys/fs/cgroup/cgroup.procs", ""),
            ("sys/fs/cgroup/cpu.stat", "usage_usec 9\n"),
            ("sys/fs/cgroup/slice/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/slice/memory.max", "max\n"),
            ("sys/fs/cgroup/slice/job/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/slice/job/step/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/slice/job/step/memory.max", "max\n"),
        ])
    }

    /// Version 1, with version 2 beside it that has no controller.
    fn version_1() -> Self {
        Self::new(&[
            ("proc/self/cgroup", "5:memory:/job/step\n4:cpu,cpuacct:/job/step\n0::/elsewhere\n"),
            ("sys/fs/cgroup/unified/cgroup.procs", ""),
            ("sys/fs/cgroup/cpu,cpuacct/cgroup.procs", ""),
            ("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/job/step/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/job/step/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/cgroup.procs", ""),
            ("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n"),
        ])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    fn tree(&self) -> Tree {
        Tree::at(self.directory.path())
    }

    fn quota(&self) -> Option<Limit<Quota>> {
        processor_quota(&self.tree())
    }
}

fn quota(quota_us: u64) -> Option<Limit<Quota>> {
    Some(Limit::Set(Quota::new(quota_us, 100_000).unwrap()))
}

#[test]
fn the_smallest_quota_counts_wherever_on_the_path_it_is() {
    let planted = Planted::version_2();
    assert_eq!(planted.quota(), Some(Limit::Unlimited));
    planted.write("sys/fs/cgroup/slice/cpu.max", "350000 100000\n");
    assert_eq!(planted.quota(), quota(350_000));
    planted.write("sys/fs/cgroup/slice/job/step/cpu.max", "800000 100000\n");
    assert_eq!(planted.quota(), quota(350_000), "a larger one below lifts nothing");
    planted.write("sys/fs/cgroup/slice/job/cpu.max", "10000 10000\n");
    assert_eq!(planted.quota(), quota(100_000), "by processors and not by microseconds");
    // The root has one where the process' own group is mounted as the root.
    planted.write("sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_eq!(planted.quota(), quota(50_000));
    planted.write("sys/fs/cgroup/other/cpu.max", "1 100000\n");
    assert_eq!(planted.quota(), quota(50_000), "a group beside the path binds nobody here");
}

#[test]
fn version_1_is_read_by_the_same_rules() {
    let planted = Planted::version_1();
    assert_eq!(planted.quota(), Some(Limit::Unlimited));
    assert_eq!(memory_limit_bytes(&planted.tree()), Some(Limit::Unlimited));
    planted.write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "200000\n");
    planted.write("sys/fs/cgroup/cpu,cpuacct/job/step/cpu.cfs_quota_us", "400000\n");
    planted.write("sys/fs/cgroup/memory/job/step/memory.limit_in_bytes", "1073741824\n");
    assert_eq!(planted.quota(), quota(200_000));
    assert_eq!(memory_limit_bytes(&planted.tree()), Some(Limit::Set(1_073_741_824)));
    // Version 2 has no say about a controller that version 1 has.
    planted.write("sys/fs/cgroup/unified/elsewhere/cpu.max", "1 100000\n");
    assert_eq!(planted.quota(), quota(200_000));
}

#[test]
fn a_container_that_sees_the_path_of_its_host_is_bound_by_what_is_mounted() {
    let planted = Planted::new(&[
        ("proc/self/cgroup", "4:cpu:/docker/0123\n"),
        ("sys/fs/cgroup/cpu/cgroup.procs", ""),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
    ]);
    assert_eq!(planted.quota(), quota(150_000));
}

#[test]
fn version_2_beside_version_1_is_found_where_it_is_mounted() {
    let planted = Planted::new(&[
        ("proc/self/cgroup", "2:name=systemd:/x\n0::/job\n"),
        ("sys/fs/cgroup/unified/cgroup.procs", ""),
        ("sys/fs/cgroup/unified/job/cpu.max", "70000 100000\n"),
    ]);
    assert_eq!(planted.quota(), quota(70_000));
}

#[test]
fn what_cannot_be_told_is_not_unlimited() {
    for wrong in ["", "\n", "x", "max", "1", "-1 100000", "0 100000", "5 0", "5 5 5", "max x"] {
        let planted = Planted::version_2();
        planted.write("sys/fs/cgroup/slice/cpu.max", wrong);
        assert_eq!(planted.quota(), None, "{wrong:?}");
        // A limit that is known does not make up for one that is not.
        planted.write("sys/fs/cgroup/slice/job/cpu.max", "50000 100000\n");
        assert_eq!(planted.quota(), None, "{wrong:?}");
    }
    for wrong in ["", "x", "-2", "0", "1 2"] {
        let planted = Planted::version_1();
        planted.write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", wrong);
        assert_eq!(planted.quota(), None, "{wrong:?}");
    }
    let planted = Planted::version_1();
    planted.write("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "5000");
    std::fs::remove_file(planted.path("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us")).unwrap();
    assert_eq!(planted.quota(), None, "a quota without its period");
    for table in ["", "0::/../../slice\n", "0::relative\n", "7:pids:/\n", "\u{0}\u{ff}"] {
        let planted = Planted::version_2();
        planted.write("proc/self/cgroup", table);
        assert_eq!(planted.quota(), None, "{table:?}");
    }
    let planted = Planted::version_2();
    std::fs::remove_file(planted.path("sys/fs/cgroup/cgroup.procs")).unwrap();
    assert_eq!(planted.quota(), None, "no group is mounted there");
}

#[test]
fn the_smallest_memory_limit_counts() {
    let planted = Planted::version_2();
    assert_eq!(memory_limit_bytes(&planted.tree()), Some(Limit::Unlimited));
    planted.write("sys/fs/cgroup/slice/memory.max", "4096\n");
    planted.write("sys/fs/cgroup/slice/job/step/memory.max", "8192\n");
    assert_eq!(memory_limit_bytes(&planted.tree()), Some(Limit::Set(4096)));
    planted.write("sys/fs/cgroup/slice/job/memory.max", "garbage\n");
    assert_eq!(memory_limit_bytes(&planted.tree()), None);
}

#[test]
fn the_innermost_set_of_processors_counts() {
    let planted = Planted::version_2();
    assert_eq!(processor_set(&planted.tree()), None);
    planted.write("sys/fs/cgroup/cpuset.cpus.effective", "0-7\n");
    assert_eq!(processor_set(&planted.tree()), Some(("0-7".to_owned(), 8)));
    planted.write("sys/fs/cgroup/slice/cpuset.cpus.effective", "2,4-5\n");
    assert_eq!(processor_set(&planted.tree()), Some(("2,4-5".to_owned(), 3)));
    planted.write("sys/fs/cgroup/slice/job/step/cpuset.cpus", "\n");
    assert_eq!(processor_set(&planted.tree()), Some(("2,4-5".to_owned(), 3)), "empty: inherited");
}

#[test]
fn a_parent_that_is_throttled_is_counted_and_so_is_each_above_it() {
    let planted = Planted::version_2();
    assert_eq!(throttling(&planted.tree()), None, "nobody accounts for a quota");
    let counted = |periods, us| Some(Throttling { periods, us });
    planted.write("sys/fs/cgroup/slice/cpu.stat", "nr_throttled 3\nthrottled_usec 700\n");
    assert_eq!(throttling(&planted.tree()), counted(3, 700));
    planted.write("sys/fs/cgroup/slice/job/step/cpu.stat", "nr_throttled 2\nthrottled_usec 50\n");
    assert_eq!(throttling(&planted.tree()), counted(5, 750));
    planted.write("sys/fs/cgroup/other/cpu.stat", "nr_throttled 9\nthrottled_usec 9\n");
    assert_eq!(throttling(&planted.tree()), counted(5, 750), "a group beside the path");
    for wrong in ["nr_throttled x\nthrottled_usec 1\n", "nr_throttled 1\n"] {
        planted.write("sys/fs/cgroup/slice/job/cpu.stat", wrong);
        assert_eq!(throttling(&planted.tree()), None, "{wrong:?}");
    }
    let planted = Planted::version_1();
    planted
        .write("sys/fs/cgroup/cpu,cpuacct/job/cpu.stat", "nr_throttled 4\nthrottled_time 9999\n");
    assert_eq!(throttling(&planted.tree()), counted(4, 9));
}

#[test]
fn a_whole_reading_is_found_below_a_directory() {
    let planted = Planted::version_2();
    let status = "Name:\tbeam.smp\nvoluntary_ctxt_switches:\t11\nnonvoluntary_ctxt_switches:\t4\n";
    for (path, text) in [
        ("proc/stat", "cpu  300 10 60 800 20 5 4 30 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"),
        ("proc/self/stat", "42 (a (b) 1 2) S 1 42 42 0 -1 9 9 9 9 9 150 50 7 7 20 0 9 0\n"),
        ("proc/pressure/cpu", "some avg10=0.00 avg60=1.52 avg300=0.30 total=12345\n"),
        ("proc/self/task/42/status", status),
        ("proc/self/task/43/status", status),
        ("proc/self/task/44/status", "ended while it was read"),
        ("sys/fs/cgroup/slice/cpu.stat", "nr_throttled 3\nthrottled_usec 70000\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "24\n"),
    ] {
        planted.write(path, text);
    }
    let reading = Reading::of(&planted.tree());
    assert_eq!(reading.cpu.map(|cpu| (cpu.busy, cpu.steal, cpu.total)), Some((370, 30, 1229)));
    assert_eq!((reading.own_ticks, reading.pressure_us), (Some(200), Some(12345)));
    assert_eq!(reading.throttling, Some(Throttling { periods: 3, us: 70_000 }));
    assert_eq!(reading.frequency_khz, Some(24));
    let switches = reading.switches.unwrap();
    assert_eq!(switches.keys().copied().collect::<Vec<_>>(), [42, 43]);
    assert!(switches.values().all(|of| (of.voluntary, of.involuntary) == (11, 4)));
}

#[test]
fn a_machine_without_files_says_nothing() {
    let nowhere = Tree::at("/nowhere");
    assert_eq!(Reading::of(&nowhere), Reading::default());
    assert_eq!(Fingerprint::of(&nowhere), Fingerprint::default());
    assert_eq!(Moment::of(&nowhere), Moment::default());
    assert_eq!(processor_quota(&nowhere), None);
    let conditions = Conditions::of(&nowhere);
    assert_eq!((conditions.quota, conditions.kernel, conditions.processors), (None, None, 1));
}

#[test]
fn of_a_file_without_end_the_beginning_is_read() {
    let planted = Planted::version_2();
    let stat = format!("cpu 1 2 3 4 5 6 7 8\n{}", "intr 1 2 3 4 5 6 7\n".repeat(500_000));
    planted.write("proc/stat", &stat);
    assert_eq!(Reading::of(&planted.tree()).cpu.map(|cpu| cpu.busy), Some(6));
    // A line that is cut short is none.
    planted.write("sys/fs/cgroup/slice/cpu.max", "1".repeat(3_000_000));
    assert_eq!(planted.quota(), None);
    let endless = Planted::version_2();
    std::fs::remove_file(endless.path("sys/fs/cgroup/slice/cpu.max")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", endless.path("sys/fs/cgroup/slice/cpu.max")).unwrap();
    assert_eq!(endless.quota(), None);
}

#[test]
fn a_pipe_where_a_file_should_be_is_not_waited_for() {
    let planted = Planted::version_2();
    let pipe = planted.path("proc/meminfo");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(Fingerprint::of(&planted.tree()).memory_total_mb, None);
}

#[test]
fn this_machine_has_a_kernel_and_counters() {
    let here = Tree::here();
    assert!(Fingerprint::of(&here).kernel.unwrap().starts_with("Linux "));
    let reading = Reading::of(&here);
    assert!(reading.cpu.is_some() && reading.own_ticks.is_some() && reading.switches.is_some());
    assert!(Moment::of(&here).processes.iter().any(|process| process.id == std::process::id()));
    assert!(fingerprint::resident_bytes(&here).is_some());
}

/// Every file that is read.
const FILES: [&str; 21] = [
    "proc/self/cgroup",
    "proc/stat",
    "proc/self/stat",
    "proc/self/statm",
    "proc/self/auxv",
    "proc/self/task/1/status",
    "proc/pressure/cpu",
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/loadavg",
    "proc/swaps",
    "proc/7/stat",
    "proc/sys/kernel/osrelease",
    "sys/fs/cgroup/cpu.max",
    "sys/fs/cgroup/cpu.stat",
    "sys/fs/cgroup/memory.max",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    "sys/fs/cgroup/cpuset.cpus.effective",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    "sys/devices/system/clocksource/clocksource0/current_clocksource",
    "sys/kernel/mm/transparent_hugepage/enabled",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_is_absence_and_no_panic(
        texts in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                "[0-9a-z:,./ \n=()-]{0,200}".prop_map(String::into_bytes),
                "(cpu|nr_throttled|some|MemTotal:|0::/|1:cpu:/)[ 0-9\n/]{0,60}".prop_map(String::into_bytes),
            ],
            FILES.len(),
        ),
    ) {
        let planted = Planted::new(&[
            ("sys/fs/cgroup/cgroup.procs", ""),
            ("sys/fs/cgroup/cpu/cgroup.procs", ""),
        ]);
        for (path, text) in FILES.iter().zip(&texts) {
            planted.write(path, text);
        }
        let tree = planted.tree();
        let _ = (Reading::of(&tree), Moment::of(&tree), fingerprint::resident_bytes(&tree));
        let Fingerprint { cpu_model, kernel, .. } = Fingerprint::of(&tree);
        let conditions = Conditions::of(&tree);
        // What a reader is shown is printable.
        let texts = [cpu_model, kernel, conditions.clock_source, conditions.huge_pages];
        for text in texts.into_iter().flatten().chain(conditions.governors) {
            prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{:?}", text);
        }
    }
}
