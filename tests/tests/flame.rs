//! `perf-gate flame` with real BEAMs, and with a perf that is the machine's own or fails in its own way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cp1_format::{Answer, Said, parse};
use cp1_pipeline_tests::{Ended, Workplace, gate_binary, left_running, root, signal};
use roxmltree::Document;

/// A second of load for this commit against itself; what it reads and prints is looked at.
fn flame(workplace: &Workplace) -> Command {
    let as_usual = workplace.perf_gate();
    let mut gate = Command::new("env");
    gate.arg("--default-signal=INT").arg(gate_binary()).arg("flame");
    gate.args(["--seconds=1", "--good=HEAD", "--format=json", "--project"]).arg(root());
    gate.current_dir(workplace.path("")).stdin(Stdio::null());
    for (name, value) in as_usual.get_envs() {
        match value {
            Some(value) => gate.env(name, value),
            None => gate.env_remove(name),
        };
    }
    // What stands in the environment of each of its processes.
    gate.env("ARTIFACTS_DIR", workplace.path("artifacts"));
    gate
}

/// What an emulator with `+JPperf` leaves.
fn left_for_perf(pid: &str) -> Vec<PathBuf> {
    let names = [format!("/tmp/perf-{pid}.map"), format!("/tmp/jit-{pid}.dump")];
    names.into_iter().map(PathBuf::from).filter(|path| path.exists()).collect()
}

#[test]
fn both_builds_are_drawn_in_one_file_or_it_says_why_not() {
    let workplace = Workplace::with_baseline().unwrap();
    let mut probe = Command::new("perf");
    probe.args(["record", "--event", "cpu-clock", "--output"]).arg(workplace.path("probe.data"));
    probe.args(["--", "true"]).env("HOME", workplace.path(""));
    probe.stdout(Stdio::null()).stderr(Stdio::null());
    let is_usable = probe.status().is_ok_and(|status| status.success());

    let ended = workplace.run(&mut flame(&workplace)).unwrap();
    assert!(left_running(&workplace.path("artifacts")).unwrap().is_empty());
    if ended.code == Some(69) {
        assert!(ended.printed.contains("no flame graph: "), "{}", ended.printed);
        assert!(ended.answer.is_empty());
        // Else the emulator has no JIT.
        assert!(!is_usable || ended.printed.contains("has no JIT"), "{}", ended.printed);
        return;
    }
    assert_eq!(ended.code, Some(0), "{}", ended.printed);
    assert!(is_usable, "it cannot be: {}", ended.printed);
    let answer: Answer = parse(Path::new("answer"), ended.answer.as_bytes()).unwrap();
    let Said::Flame(graph) = answer.answer else { panic!("{}", ended.answer) };
    for build in [&graph.frozen, &graph.candidate] {
        assert!(build.samples > 0 && build.requests > 0 && build.request_ns > 0, "{graph:?}");
    }
    let file = workplace.only("perf_flame_").unwrap();
    assert_eq!(Path::new(&graph.file), file);
    assert_eq!(std::fs::read_dir(workplace.path("artifacts")).unwrap().count(), 1, "one file");
    let svg = std::fs::read_to_string(file).unwrap();
    assert_eq!(svg.len() as u64, graph.size_bytes);
    let document = Document::parse(&svg).unwrap();
    let titles: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("title"))
        .filter_map(|node| node.text())
        .collect();
    // In the difference and in both builds.
    let shown = |name: &str| titles.iter().filter(|title| title.starts_with(name)).count();
    assert!(shown("ref_router:") >= 3, "{titles:?}");
    assert!(shown("router_bench_closed_loop:") >= 3, "{titles:?}");
    for element in document.descendants().filter(|node| node.is_element()) {
        assert!(!["script", "a", "image", "use"].contains(&element.tag_name().name()));
        let of_element =
            |name: &str| element.attributes().any(|found| found.name().starts_with(name));
        assert!(!of_element("on") && !of_element("href") && !of_element("src"), "{element:?}");
    }
}

/// What a perf does that is none.
struct Fake<'a> {
    /// When it is to record a BEAM, of which `$pid` is the first.
    record: &'a str,
    /// When it is to print what it recorded.
    script: &'a str,
}

/// As perf does: until it is told to end, or what it records has ended.
const RECORDS: &str = "while kill -0 $pid 2>/dev/null; do sleep 0.05; done";

impl Fake<'_> {
    /// The command with this perf, which writes the processes that it is to record into `pids`.
    fn flame(&self, workplace: &Workplace) -> Command {
        let directory = workplace.path("path");
        std::fs::create_dir_all(&directory).unwrap();
        let Self { record, script } = self;
        let pids = workplace.path("pids");
        let pids = pids.display();
        let text = format!(
            r#"#!/bin/sh
command=$1
while [ $# -gt 0 ]; do
  case "$1" in --output) data=$2 ;; --pid) pids=$2 ;; esac
  shift
done
if [ "$command" = script ]; then
  {script}
  exit
fi
echo head > "$data"
[ -n "$pids" ] || exit 0
pid=${{pids%%,*}}
echo "$pids" > "{pids}.new" && mv "{pids}.new" "{pids}"
{record}
"#
        );
        std::fs::write(directory.join("perf"), text).unwrap();
        let executable = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.join("perf"), executable).unwrap();
        let mut gate = flame(workplace);
        let path = std::env::var("PATH").unwrap_or_default();
        gate.env("PATH", format!("{}:{path}", directory.display()));
        gate
    }
}

/// Nothing is left of it: no process, no file for perf, no picture.
fn nothing_is_left(workplace: &Workplace) {
    let left = left_running(&workplace.path("artifacts")).unwrap();
    assert!(left.is_empty(), "{left:?}");
    let pids = std::fs::read_to_string(workplace.path("pids")).unwrap();
    for pid in pids.trim().split(',') {
        assert_eq!(left_for_perf(pid), Vec::<PathBuf>::new());
    }
    assert!(workplace.only("perf_flame_").is_err());
}

#[test]
fn a_perf_that_fails_under_load_is_told_in_a_sentence_and_nothing_is_left() {
    let failing = [
        (RECORDS, "true", 69, "has no sample of cpu-clock in it"),
        (RECORDS, "echo garbage; echo; printf '\\377\\000 1/2 3: x:\\n\\n'", 69, "has no sample"),
        (RECORDS, "echo broken >&2; exit 7", 69, "could not read what it had recorded"),
        (RECORDS, "sleep 600", 124, "PERF_TIMEOUT_SECONDS"),
        ("echo no counter left >&2; exit 1", "true", 69, "no counter left"),
    ];
    for (record, script, code, said) in failing {
        let workplace = Workplace::with_baseline().unwrap();
        let mut gate = Fake { record, script }.flame(&workplace);
        if code == 124 {
            gate.arg("--timeout-seconds=20");
        }
        let ended: Ended = workplace.run(&mut gate).unwrap();
        assert_eq!(ended.code, Some(code), "{script}: {}", ended.printed);
        assert!(ended.printed.contains(said), "{script}: {}", ended.printed);
        assert!(ended.answer.is_empty(), "{}", ended.answer);
        nothing_is_left(&workplace);
    }
}

#[test]
fn a_signal_while_perf_looks_on_ends_all_of_it_and_leaves_nothing() {
    for (name, code) in [("INT", Some(130)), ("KILL", None)] {
        let workplace = Workplace::with_baseline().unwrap();
        let fake = Fake { record: RECORDS, script: "true" };
        let mut gate = fake.flame(&workplace);
        let mut gate =
            gate.arg("--seconds=60").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pids = loop {
            if let Ok(pids) = std::fs::read_to_string(workplace.path("pids")) {
                break pids;
            }
            assert!(gate.try_wait().unwrap().is_none(), "it ended before");
            std::thread::sleep(Duration::from_millis(20));
        };
        for pid in pids.trim().split(',') {
            assert_eq!(left_for_perf(pid).len(), 1, "the names that perf needs are there");
        }
        signal(&gate, name).unwrap();
        assert_eq!(gate.wait().unwrap().code(), code);
        nothing_is_left(&workplace);
    }
}
