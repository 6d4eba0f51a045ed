//! Reports, policies and a room to judge them in.

pub(crate) mod machines;
pub(crate) mod nodes;
pub(crate) mod outages;
pub(crate) mod profiles;
pub(crate) mod repository;
pub(crate) mod showcase;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use perf_gate::render::{figures, terminal};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const ENV: &str = r#"{"otp_release": "25", "erts_flavor": "jit", "schedulers_online": 2,
    "vm_flags": "+sbwt none", "cpu_count": 2, "cpu_model": "Xeon", "cpu_quota": "none",
    "kernel": "Linux 6.1.0-18-amd64"}"#;

/// The smallest report that passes.
pub(crate) fn minimal() -> Value {
    json!({
        "timestamp": "2026-01-31T12:00:00Z",
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567"},
        "env": serde_json::from_str::<Value>(ENV).unwrap(),
        "metrics": {"latency_p95_ms": 0.41, "latency_p99_ms": 0.92, "rps": 51200.0,
            "mem_mb_total_erlang": 31.5, "errors_total": 0, "backpressure_active_total": 0},
        "run": {"ct_exit_code": 0}
    })
}

/// A report as the benchmark writes it: 3 blocks with their histograms.
pub(crate) fn full() -> Value {
    full_of(3, 25_000)
}

/// A full report whose blocks have `samples` response times each.
pub(crate) fn full_of(blocks: u64, samples: u64) -> Value {
    let mut report = minimal();
    let measured: Vec<_> = (1..=blocks).map(|number| block(number, samples)).collect();
    let median = |metric: &str| {
        let mut figures: Vec<_> =
            measured.iter().map(|(block, _)| block["metrics"][metric].as_f64().unwrap()).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            (figures[middle - 1] + figures[middle]) / 2.0
        }
    };
    for metric in ["latency_p95_ms", "latency_p99_ms", "rps", "mem_mb_total_erlang"] {
        report["metrics"][metric] = json!(median(metric));
    }
    report["schema"] = json!({"name": "cp1_report", "version": 3});
    report["run"] = json!({"ct_exit_code": 0, "status": "complete", "duration_ms": 90_000});
    report["load"] = json!({
        "adapter": "ref_router_adapter", "blocks": blocks, "warmup_ms": 2000,
        "throughput_ms": 1000, "latency_ms": 5000, "slice_ms": 250, "rate_per_second": 5000,
        "arrivals": "constant", "concurrency": 8, "max_in_flight": 1024,
        "drain_timeout_ms": 1000, "sample_interval_ms": 100, "timeout_ms": 900_000, "seed": 1
    });
    report["controls"] = json!({"errors_total": "alive", "backpressure_active_total": "alive"});
    report["accounting"] = json!({
        "throughput": outcomes(blocks * 50_000), "latency": outcomes(blocks * samples)
    });
    let (blocks, histograms): (Vec<_>, Vec<_>) = measured.into_iter().unzip();
    report["blocks"] = Value::from(blocks);
    report["histograms"] = Value::from(histograms);
    report
}

/// A report of watched traffic: a full one whose open loop was the node's own requests.
pub(crate) fn watched() -> Value {
    let mut report = full();
    for block in report["blocks"].as_array_mut().unwrap() {
        let latency = block["latency"].take();
        let outcomes = block["accounting"]["latency"].clone();
        block["traffic"] = json!({
            "duration_ns": latency["duration_ns"], "started": outcomes["offered"],
            "recordings_failed": 0, "slices": latency["slices"],
            "service_time": latency["response_time"]
        });
        block["accounting"] = json!({"traffic": outcomes});
        block["errors"] = json!({"driver": 0});
        block["backpressure"] = json!({});
        for path in ["throughput", "latency"] {
            remove(block, path);
        }
        for metric in ["rps", "errors_total", "backpressure_active_total"] {
            remove(&mut block["metrics"], metric);
        }
    }
    for histogram in report["histograms"].as_array_mut().unwrap() {
        histogram["phase"] = json!("traffic");
        histogram["quantity"] = json!("service_time");
    }
    report["accounting"] = json!({"traffic": report["accounting"]["latency"]});
    for metric in ["rps", "errors_total", "backpressure_active_total"] {
        remove(&mut report["metrics"], metric);
    }
    for key in ["load", "controls"] {
        remove(&mut report, key);
    }
    report["env"]["attached"] = json!(true);
    report["watched"] = json!({
        "source": "spans", "spans": ["my_app.router.route"], "blocks": 3, "window_ms": 5000,
        "slice_ms": 250, "drain_timeout_ms": 5000, "sample_interval_ms": 100,
        "recording": {"request_ns": 180.5, "of_service_time_pct": 0.04,
            "of_scheduler_time_pct": 0.05}
    });
    report
}

/// Makes a full report one side of a replay; the other role is the other side of the same.
pub(crate) fn pair(report: &mut Value, role: &str) {
    let blocks = report["blocks"].as_array_mut().unwrap();
    let first = |index: usize| index.is_multiple_of(2) == (role == "frozen");
    for block in blocks.iter_mut() {
        for phase in ["throughput", "latency"] {
            block[phase]["slices"]["went_first"] = json!([first(0), first(1)]);
        }
    }
    let booted_first: Vec<_> = (0..blocks.len()).map(first).collect();
    report["pairing"] = json!({
        "role": role, "seed": 1, "booted_first": booted_first, "alive_together": true
    });
}

/// Gives each block 31.5 MB of memory times a factor, and the headline what follows. Memory, because
/// it needs no histogram.
pub(crate) fn set_memory(report: &mut Value, factor: impl Fn(usize) -> f64) {
    let mut peaks = Vec::new();
    for (index, block) in report["blocks"].as_array_mut().unwrap().iter_mut().enumerate() {
        let bytes = (33_030_144.0 * factor(index)).round();
        let lowest = (bytes as u64).min(30_000_000);
        block["memory"] = json!({"samples": 60, "min_bytes": lowest, "peak_bytes": bytes as u64,
            "end_bytes": bytes as u64});
        block["metrics"]["mem_mb_total_erlang"] = json!(bytes / 1_048_576.0);
        peaks.push(bytes / 1_048_576.0);
    }
    peaks.sort_by(f64::total_cmp);
    let middle = peaks.len() / 2;
    let median = if peaks.len() % 2 == 1 {
        peaks[middle]
    } else {
        f64::midpoint(peaks[middle - 1], peaks[middle])
    };
    report["metrics"]["mem_mb_total_erlang"] = json!(median);
}

/// Lets the generator be late by a share of each block's own percentiles, in percent.
pub(crate) fn late_by(report: &mut Value, share_pct: impl Fn(usize) -> u64) {
    for (index, block) in report["blocks"].as_array_mut().unwrap().iter_mut().enumerate() {
        for percentile in ["p95_ns", "p99_ns"] {
            let response = block["latency"]["response_time"][percentile].as_u64().unwrap();
            block["latency"]["dispatch_lag"][percentile] = json!(response * share_pct(index) / 100);
        }
    }
}

/// Gives each block what the sampler and the machine's evidence say, as the bench writes it; every seventh
/// block of the candidate is disturbed.
pub(crate) fn sample(report: &mut Value, is_disturbed: bool) {
    const NAMES: [(&str, &str, u64); 22] = [
        ("memory_total", "byte", 20_149_200),
        ("memory_processes_used", "byte", 4_412_288),
        ("memory_binary", "byte", 138_240),
        ("memory_ets", "byte", 6_476_752),
        ("memory_atom_used", "byte", 257_339),
        ("memory_code", "byte", 4_861_246),
        ("memory_system", "byte", 15_736_912),
        ("errors_total", "count", 0),
        ("backpressure_active_total", "count", 0),
        ("backpressure_active", "flag", 0),
        ("run_queue", "count", 1),
        ("reductions", "count", 147_784_801),
        ("process_count", "count", 50),
        ("port_count", "count", 3),
        ("ets_count", "count", 25),
        ("atom_count", "count", 9_335),
        ("longest_mailbox", "message", 2),
        ("garbage_collections", "count", 209_933),
        ("garbage_collected", "word", 270_761_905),
        ("rss", "byte", 44_961_792),
        ("scheduler_utilization_normal", "per_mille", 975),
        ("scheduler_utilization_dirty", "per_mille", 1),
    ];
    let mut series = Vec::new();
    for block in report["blocks"].as_array_mut().unwrap() {
        let number = block["block"].as_u64().unwrap();
        for (name, unit, begin) in NAMES {
            let times: Vec<u64> = (0..15).map(|index| index * 390 + number % 7).collect();
            let values: Vec<u64> =
                (0..15).map(|index| begin + index * (begin / 97) + number % 5).collect();
            series.push(json!({"block": number, "name": name, "unit": unit, "time_ms": times,
                "values": values}));
        }
        let late = json!({"count": 5930, "clamped": 0, "time_went_backwards": 0,
            "p999_ns": 1_496_063 + number, "max_ns": 4_238_654});
        block["evidence"] = json!({
            "hiccups": {"native": late, "beam": late},
            "machine": {"steal_pct": 0.08, "other_cpu_pct": 0.1, "throttled_us": 0,
                "cpu_pressure_some_us": 69_400, "involuntary_context_switches": 1551}
        });
        let reasons: &[&str] = match is_disturbed && number.is_multiple_of(7) {
            true => &["cpu_stolen", "memory_speed_changed"],
            false => &[],
        };
        block["disturbed"] = json!(reasons);
    }
    report["series"] = json!(series);
}

fn outcomes(ok: u64) -> Value {
    json!({"offered": ok, "ok": ok, "error": 0, "timeout": 0, "rejected": 0, "skipped": 0})
}

fn block(number: u64, samples: u64) -> (Value, Value) {
    let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
    for sample in 0..samples {
        times.record(200_000 + sample * 500_000 / samples + number * 1000).unwrap();
    }
    let (p95, p99) = (times.value_at_quantile(0.95), times.value_at_quantile(0.99));
    let duration_ns = 976_562_500 + number * 1_000_003;
    let peak_bytes = 33_030_144 + number * 4096;
    let count = |count: u64| json!({"count": count, "clamped": 0, "time_went_backwards": 0});
    let mut response_time = count(samples);
    response_time["p95_ns"] = json!(p95);
    response_time["p99_ns"] = json!(p99);
    let mut dispatch_lag = count(samples);
    dispatch_lag["p95_ns"] = json!(1000);
    dispatch_lag["p99_ns"] = json!(2000);
    let block = json!({
        "block": number,
        "metrics": {
            "latency_p95_ms": p95 as f64 / 1e6, "latency_p99_ms": p99 as f64 / 1e6,
            "rps": 50_000.0 / (duration_ns as f64 / 1e9),
            "mem_mb_total_erlang": peak_bytes as f64 / 1_048_576.0,
            "errors_total": 0, "backpressure_active_total": 0
        },
        "accounting": {"throughput": outcomes(50_000), "latency": outcomes(samples)},
        "throughput": {
            "duration_ns": duration_ns, "service_time": count(50_000),
            "slices": {"ok": [25_000, 25_000],
                "duration_ns": [duration_ns / 2, duration_ns - duration_ns / 2]}
        },
        "latency": {
            "duration_ns": 5_000_000_000u64, "response_time": response_time,
            "slices": {"ok": [samples / 2, samples - samples / 2],
                "p95_ns": [p95, p95], "p99_ns": [p99, p99]},
            "service_time": count(samples), "dispatch_lag": dispatch_lag
        },
        "memory": {"samples": 60, "min_bytes": 30_000_000, "peak_bytes": peak_bytes,
            "end_bytes": 31_000_000},
        "errors": {"driver": 0, "router": 0},
        "backpressure": {"router": 0}
    });
    let histogram = json!({
        "block": number, "phase": "latency", "quantity": "response_time", "unit": "ns",
        "encoding": "hdrhistogram-v2-deflate-base64", "data": encode(&times)
    });
    (block, histogram)
}

pub(crate) fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).unwrap();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The policy of the freeze.
pub(crate) fn policy() -> Value {
    json!({
        "version": "cp1",
        "rules": {
            "latency_p95_ms": {"relative": {"max_pct_increase": 15}},
            "latency_p99_ms": {"relative": {"max_pct_increase": 20}},
            "rps": {"relative": {"max_pct_decrease": 10}},
            "mem_mb_total_erlang": {"relative": {"max_pct_increase": 15}},
            "errors_total": {"absolute": {"equals": 0}},
            "backpressure_active_total": {"absolute": {"equals": 0}}
        },
        "gate": {"require_candidate_ct_exit_code_zero": true, "require_all_metrics_present": true}
    })
}

/// Sets the value at a dotted path, where numbers are indexes.
pub(crate) fn set(document: &mut Value, path: &str, value: Value) {
    let (parent, key) = parent_of(document, path);
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        _ => parent[key] = value,
    }
}

/// Removes the key at a dotted path.
pub(crate) fn remove(document: &mut Value, path: &str) {
    let (parent, key) = parent_of(document, path);
    parent.as_object_mut().unwrap().remove(key).unwrap();
}

fn parent_of<'a, 'p>(document: &'a mut Value, path: &'p str) -> (&'a mut Value, &'p str) {
    let (parents, key) = path.rsplit_once('.').unwrap_or(("", path));
    let pointer: String =
        parents.split('.').filter(|key| !key.is_empty()).map(|key| format!("/{key}")).collect();
    (document.pointer_mut(&pointer).unwrap(), key)
}

/// A directory with `baseline.json`, `policy.json` and `candidate.json` that pass.
pub(crate) struct Room {
    directory: TempDir,
}

/// What the gate answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self::with(&minimal())
    }

    /// Baseline and candidate are this report; the candidate is an hour younger.
    pub(crate) fn with(report: &Value) -> Self {
        let room = Self { directory: TempDir::new().unwrap() };
        let mut candidate = report.clone();
        candidate["timestamp"] = json!("2026-01-31T13:00:00Z");
        room.json("baseline.json", report);
        room.json("policy.json", &policy());
        room.json("candidate.json", &candidate);
        room
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn bytes(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn json(&self, name: &str, value: &Value) {
        self.bytes(name, serde_json::to_string_pretty(value).unwrap());
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Changes one of the JSON files.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut value = serde_json::from_str(&self.text(name)).unwrap();
        change(&mut value);
        self.json(name, &value);
    }

    /// Changes one value of a JSON file.
    pub(crate) fn set(&self, name: &str, path: &str, value: Value) {
        self.change(name, |document| set(document, path, value));
    }

    /// Replaces text in a file, which must be there.
    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.text(name);
        assert!(text.contains(from), "{name} has no {from}");
        self.bytes(name, text.replacen(from, to, 1));
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        self.run_with(&[], arguments)
    }

    /// The same with these variables.
    pub(crate) fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Answer {
        self.run_all("", variables, arguments)
    }

    /// The same with this on standard input.
    pub(crate) fn run_on(&self, input: &str, arguments: &[&str]) -> Answer {
        self.run_all(input, &[], arguments)
    }

    fn run_all(&self, input: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Answer {
        let output = assert_cmd::cargo::cargo_bin_cmd!("perf-gate")
            .current_dir(self.directory.path())
            .args(arguments)
            .envs(variables.iter().copied())
            .write_stdin(input)
            .output()
            .unwrap();
        let answer = Answer {
            code: output.status.code().expect("the gate is never killed by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        let is_page = !arguments.iter().any(|it| *it == "--help" || it.starts_with("--format"));
        if arguments.first() == Some(&"check") && is_page {
            fits_a_terminal(&answer.stdout);
        }
        assert!(!answer.stderr.contains("panicked"), "{answer:?}");
        assert!(!answer.stderr.contains("internal error"), "{answer:?}");
        answer
    }

    /// With everything that is to be said.
    pub(crate) fn check_with(&self, further: &[&str]) -> Answer {
        let usual =
            ["check", "--explain", "--baseline", "baseline.json", "--policy", "policy.json"];
        self.run(&[usual.as_slice(), further].concat())
    }

    /// What somebody sees who does not ask for more.
    pub(crate) fn seen(&self) -> String {
        let candidate = ["--baseline", "baseline.json", "--candidate", "candidate.json"];
        let answer = self.run(&[&["check", "--policy", "policy.json"], &candidate[..]].concat());
        answer.stdout
    }

    pub(crate) fn check(&self) -> Answer {
        self.check_with(&["--candidate", "candidate.json"])
    }
}

/// No line of a verdict is wider than a terminal, and nothing steers one.
#[track_caller]
pub(crate) fn fits_a_terminal(page: &str) {
    for line in page.lines() {
        assert!(figures::width(line) <= terminal::WIDTH, "too wide: {line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

/// A text without its line breaks, as a verdict is wrapped.
pub(crate) fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Answer {
    /// The gate answered so and said all of this.
    #[track_caller]
    pub(crate) fn is(&self, code: i32, said: &[&str]) {
        let words = ["PASS", "REGRESSION", "INVALID", "INCONCLUSIVE", "INCOMPARABLE"];
        let verdict = format!("\nVERDICT: {} (exit {code}): ", words[code as usize]);
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        assert!(self.stdout.contains(&verdict), "{}", self.stdout);
        let printed = on_one_line(&self.stdout);
        for text in said {
            assert!(printed.contains(&on_one_line(text)), "`{text}` is not in:\n{}", self.stdout);
        }
    }

    /// The gate refused to judge and named file, problem and cure.
    #[track_caller]
    pub(crate) fn is_invalid(&self, said: &[&str]) {
        self.is(2, said);
        assert!(self.stdout.contains("\n    cure: "), "no cure in:\n{}", self.stdout);
    }
}

/// Whether a document is what its schema says.
#[track_caller]
pub(crate) fn fits(schema: &str, document: &Value) {
    let path = format!("{}/../perf/schemas/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap().validate(document).unwrap();
}

/// The only document on standard output, in which a command answers.
#[track_caller]
pub(crate) fn answered(command: &str, answer: &Answer, code: i32) -> Value {
    assert_eq!(answer.code, code, "{command}: {answer:?}");
    let document: Result<Value, _> = serde_json::from_str(&answer.stdout);
    assert!(document.is_ok(), "{command}: {document:?}: {answer:?}");
    let document = document.unwrap();
    assert!(answer.stdout.ends_with("}\n") && answer.stdout.is_ascii(), "{command}");
    let own = match command {
        "check" | "run" => Some("verdict"),
        "trend" => Some("trend"),
        "diff" => Some("difference"),
        _ => None,
    };
    if let Some(schema) = own {
        fits(schema, &document);
        return document;
    }
    fits("answer", &document);
    document["answer"][command].clone()
}
