//! What is exported is read back by programs that others wrote, with the same figures; completions and
//! manual pages are taken by the shells and readers that they are for.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cp1_format::{Metric, Report, read_file};
use cp1_pipeline_tests::{gate_binary, root};
use serde_json::Value;

/// A report with all that a bench measures.
const REPORT: &str = "perf/baseline_cp1.json";

fn baseline() -> Report {
    read_file(&root().join(REPORT)).unwrap()
}

/// What a command prints, which must succeed.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let output: Output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn export(format: &str, more: &[&str]) -> String {
    let mut gate = Command::new(gate_binary());
    printed(gate.args(["export", "--format", format]).args(more).arg(root().join(REPORT)))
}

/// What `read_back.py` makes of a file.
fn read_back(how: &str, files: &[&Path]) -> Value {
    let tests = root().join("tests/other_tools/read_back.py");
    let python = root().join("_build/test_python/bin/python");
    assert!(python.exists(), "{} is not there; run scripts/setup.sh --test", python.display());
    serde_json::from_str(&printed(Command::new(python).arg(tests).arg(how).args(files))).unwrap()
}

/// Prometheus' tool, wherever `scripts/setup.sh --test` found or put it.
fn promtool() -> Command {
    let own = root().join("_build/test_tools/usr/bin/promtool");
    if own.exists() { Command::new(own) } else { Command::new("promtool") }
}

#[test]
fn openmetrics_is_read_back_by_prometheus_own_parser_with_the_same_figures() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("metrics.txt");
    std::fs::write(&file, export("openmetrics", &[])).unwrap();
    let samples = read_back("openmetrics", &[&file]);
    let report = baseline();
    let blocks = report.blocks.as_ref().unwrap();
    let sample = |name: &str, block: Option<u32>| {
        let block = block.map(|block| Value::from(block.to_string()));
        let mut all = samples.as_array().unwrap().iter();
        let found = all.find(|it| it[0] == name && it[1].get("block") == block.as_ref());
        found.unwrap_or_else(|| panic!("no {name} of {block:?}"))
    };
    let seconds = report.timestamp.unix_seconds() as f64;
    for (metric, name, factor) in [
        ("latency_p95_ms", "latency_p95_seconds", 1e-3),
        ("latency_p99_ms", "latency_p99_seconds", 1e-3),
        ("rps", "requests_per_second", 1.0),
        ("mem_mb_total_erlang", "memory_bytes", 1_048_576.0),
        ("errors_total", "errors", 1.0),
        ("backpressure_active_total", "backpressure_activations", 1.0),
    ] {
        let figures = |metrics: &cp1_format::Metrics| -> BTreeMap<String, f64> {
            let named = metrics.0.iter().map(|(metric, it)| (metric.to_string(), it.approximate()));
            named.collect()
        };
        let is = |found: &Value, figure: f64| {
            let value = found[2].as_f64().unwrap();
            assert!((value - figure * factor).abs() <= 1e-12 * value.abs(), "{found}: {figure}");
            assert_eq!(found[3].as_f64(), Some(seconds), "{found}");
        };
        is(sample(&format!("cp1_{name}"), None), figures(&report.metrics)[metric]);
        for block in blocks {
            let found = sample(&format!("cp1_block_{name}"), Some(block.block));
            is(found, figures(&block.metrics)[metric]);
        }
    }
}

#[test]
fn promtool_finds_nothing_to_say_and_stores_every_sample_under_the_reports_time() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("metrics.txt");
    let text = export("openmetrics", &[]);
    std::fs::write(&file, &text).unwrap();
    for text in [&text, &export("openmetrics", &["--no-timestamps"])] {
        std::fs::write(directory.path().join("checked.txt"), text).unwrap();
        let input = std::fs::File::open(directory.path().join("checked.txt")).unwrap();
        let checked = promtool().args(["check", "metrics"]).stdin(input).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert_eq!((checked.status.code(), said.as_ref()), (Some(0), ""), "{checked:?}");
    }
    let data = directory.path().join("data");
    printed(promtool().args(["tsdb", "create-blocks-from", "openmetrics"]).arg(&file).arg(&data));
    // The dump looks for a log of writes, which blocks alone do not have.
    std::fs::create_dir(data.join("wal")).unwrap();
    let dumped = printed(promtool().args(["tsdb", "dump"]).arg(&data));
    let lines = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(dumped.lines().count(), lines(&text), "{dumped}");
    let ms = baseline().timestamp.unix_seconds() * 1000;
    assert!(dumped.lines().all(|line| line.ends_with(&format!(" {ms}"))), "{dumped}");

    // What is no OpenMetrics is found to be none.
    std::fs::write(&file, text.replace("# EOF\n", "")).unwrap();
    let broken = promtool()
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .arg(&file)
        .arg(directory.path().join("none"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!broken.status.success(), "{broken:?}");
}

#[test]
fn a_log_of_histograms_is_read_back_by_another_library_with_the_same_percentiles() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.hlog");
    std::fs::write(&file, export("hlog", &[])).unwrap();
    let found = read_back("hlog", &[&file]);
    let report = baseline();
    let (blocks, encoded) = (report.blocks.as_ref().unwrap(), report.histograms.as_ref().unwrap());
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), encoded.len());
    for (found, encoded) in found.iter().zip(encoded) {
        assert!(found["end_ms"].as_f64() > found["start_ms"].as_f64(), "{found}");
        if found["tag"] != "open_loop.response_time_ns" {
            continue;
        }
        let block = &blocks[encoded.block as usize - 1].latency.response_time;
        assert_eq!(found["count"].as_u64(), Some(block.count));
        for (name, own) in [("p95_ns", block.p95_ns), ("p99_ns", block.p99_ns)] {
            // Three significant digits, and which value stands for a bucket is the reader's choice.
            let (found, own) = (found[name].as_f64().unwrap(), own.unwrap() as f64);
            assert!((found - own).abs() <= own * 2e-3 + 1.0, "{name}: {found}, and {own}");
        }
    }
}

#[test]
fn a_percentile_distribution_is_that_of_the_log_in_another_library_and_comes_back_in_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let (log, file) = (directory.path().join("report.hlog"), directory.path().join("report.hgrm"));
    std::fs::write(&log, export("hlog", &[])).unwrap();
    std::fs::write(&file, export("hgrm", &[])).unwrap();
    let other = read_back("hgrm", &[&file, &log]);
    let rows = other["rows"].as_array().unwrap();
    assert!(rows.len() > 100, "{}", rows.len());
    for row in rows {
        assert_eq!(row["value_ns"], row["library_value_ns"], "{row}");
        assert_eq!(row["count"], row["library_count"], "{row}");
    }
    let arguments = ["import", "--format", "hgrm", "--unit", "us", "--timestamp"];
    let mut gate = Command::new(gate_binary());
    let report = printed(gate.args(arguments).arg("2026-01-31T12:00:00Z").arg(&file));
    let report: Report = cp1_format::parse(&file, report.as_bytes()).unwrap();
    for (metric, percentile) in [(Metric::LatencyP95Ms, "p95_ns"), (Metric::LatencyP99Ms, "p99_ns")]
    {
        let ns = (report.metrics.get(metric).unwrap().approximate() * 1e6).round() as u64;
        assert_eq!(Some(ns), other[percentile].as_u64(), "{metric}");
    }
}

/// What an installation has, beneath a directory.
fn manuals() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    printed(Command::new(gate_binary()).arg("manuals").arg("--prefix").arg(directory.path()));
    let share = directory.path().join("share");
    (directory, share)
}

#[test]
fn each_shell_takes_its_completions() {
    let (_directory, share) = manuals();
    for (shell, option, file) in [
        ("bash", "-n", "bash-completion/completions/perf-gate"),
        ("zsh", "-n", "zsh/site-functions/_perf-gate"),
        ("fish", "--no-execute", "fish/vendor_completions.d/perf-gate.fish"),
    ] {
        printed(Command::new(shell).arg(option).arg(share.join(file)));
    }
    let fish = format!(
        "source {}; complete --do-complete 'perf-gate export --format '",
        share.join("fish/vendor_completions.d/perf-gate.fish").display()
    );
    let completed = printed(Command::new("fish").args(["--no-config", "--command", &fish]));
    assert!(completed.lines().any(|line| line.starts_with("openmetrics")), "{completed}");
}

#[test]
fn every_manual_page_is_read_without_a_complaint() {
    let (_directory, share) = manuals();
    let pages: Vec<_> = std::fs::read_dir(share.join("man/man1")).unwrap().collect();
    assert!(pages.len() > 15, "{}", pages.len());
    for page in pages {
        let page = page.unwrap().path();
        let mut mandoc = Command::new("mandoc");
        let said = mandoc.args(["-T", "lint", "-W", "error"]).arg(&page).output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said, "", "{}", page.display());
    }
}
