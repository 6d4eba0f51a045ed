//! What is written is read again as the same; what cannot be written leaves the old file alone.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cp1_format::{
    Absolute, Accounting, Amount, Block, BudgetPolicy, ClosedLoopSlices, Counted, CpuQuota,
    Decimal, DecisionPolicy, Disturbance, Driver, DriverEnvironment, EncodedHistogram, Environment,
    EnvironmentField, EnvironmentPolicy, Evidence, FailedOutcome, FailureReason, GatePolicy, Git,
    HISTOGRAM_ENCODING, Hiccups, KernelTimes, Kernels, LatencyPhase, Lateness, LoadTool, Machine,
    MemoryFigures, MemoryGrowth, Metric, Metrics, Nodes, OpenLoopSlices, Outcomes, Percentiles,
    Phase, Policy, PolicyVersion, ProbeCost, Quantity, RatioFigure, RatioPolicy, RatioRule,
    RecoveryPhase, RecoveryWindow, Relative, Report, Router, Rule, Run, RunQueue, RunStatus,
    SamplerFigures, SchedulerUtilization, SchemaName, SchemaTag, Series, ThroughputPhase,
    Timestamp, VmFigures, Warmup, parse, read_file, to_json, write_atomically,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn amount() -> impl Strategy<Value = Amount> {
    "(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?".prop_map(|text| Amount::parse(&text).unwrap())
}

fn metrics() -> impl Strategy<Value = Metrics> {
    btree_map(select(&Metric::ALL[..]), (amount(), any::<u64>()), 0..6).prop_map(|figures| {
        let figure = |(metric, (amount, count)): (Metric, (Amount, u64))| {
            let is_figure = !metric.can_be_zero() && !amount.is_zero();
            (metric, if is_figure { amount } else { Amount::from(count.max(1)) })
        };
        Metrics(figures.into_iter().map(figure).collect())
    })
}

fn outcomes() -> impl Strategy<Value = Outcomes> {
    let n = || 0..u64::MAX / 5;
    (n(), n(), n(), n(), n()).prop_map(|(ok, error, timeout, rejected, skipped)| {
        let offered = ok + error + timeout + rejected + skipped;
        Outcomes { offered, ok, error, timeout, rejected, skipped }
    })
}

fn accounting() -> impl Strategy<Value = Accounting> {
    (outcomes(), outcomes(), of(outcomes())).prop_map(|(throughput, latency, recovery)| {
        Accounting { throughput, latency, traffic: None, recovery }
    })
}

fn percentiles() -> impl Strategy<Value = Percentiles> {
    let n = || any::<u64>();
    (n(), n(), of(n()), of(n()), of(n())).prop_map(|(count, clamped, min_ns, p95_ns, max_ns)| {
        Percentiles { count, clamped, min_ns, p95_ns, max_ns, ..Percentiles::default() }
    })
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let hiccups =
        (percentiles(), percentiles()).prop_map(|(native, beam)| Hiccups { native, beam });
    let machine = (of(amount()), of(any::<u64>())).prop_map(|(steal_pct, throttled_us)| Machine {
        steal_pct,
        throttled_us,
        ..Machine::default()
    });
    let kernels = (any::<u64>(), any::<u64>()).prop_map(|(cpu_ns, memory_ns)| {
        let times = KernelTimes { cpu_ns, memory_ns };
        Kernels { before: times, after: times }
    });
    (of(hiccups), of(machine), of(kernels), of(amount())).prop_map(
        |(hiccups, machine, kernels, clock_drift_ppm)| Evidence {
            hiccups,
            machine,
            kernels,
            clock_drift_ppm,
        },
    )
}

fn disturbed() -> impl Strategy<Value = BTreeSet<Disturbance>> {
    use Disturbance::*;
    let all = [
        CpuStolen,
        OtherCpuLoad,
        CpuThrottled,
        HostStall,
        VmStall,
        CpuSpeedChanged,
        MemorySpeedChanged,
        ClockDrift,
    ];
    btree_set(select(all.to_vec()), 0..4)
}

fn reasons() -> impl Strategy<Value = Vec<FailureReason>> {
    let outcomes = [FailedOutcome::Error, FailedOutcome::Timeout, FailedOutcome::Rejected];
    let reason = (select(outcomes.to_vec()), text(), 1..u64::MAX, text()).prop_map(
        |(outcome, reason, count, sample)| FailureReason { outcome, reason, count, sample },
    );
    vec(reason, 0..3)
}

fn memory(n: u64) -> MemoryFigures {
    MemoryFigures { samples: n, min_bytes: n, peak_bytes: n, end_bytes: n }
}

/// One driver and one router, who have all that the block has.
fn nodes(
    accounting: Accounting,
    dispatch_lag: &Percentiles,
    memory: MemoryFigures,
    counted: Counted,
    vm: Option<VmFigures>,
) -> Nodes {
    let none = Counted { driver: None, router: Some(0) };
    let driver = Driver {
        driver: 1,
        place: "local".to_owned(),
        accounting,
        dispatch_lag: dispatch_lag.clone(),
        errors: Some(none),
        backpressure: None,
        clock_rate_ppm: Amount::from(3),
        clock_rate_uncertainty_ppm: Amount::from(5),
        disturbed: BTreeSet::from([Disturbance::ClockDrift]),
        env: DriverEnvironment {
            otp_release: "25".to_owned(),
            erts_version: "13.1.5".to_owned(),
            cpu_count: Some(2),
            cpu_model: None,
            kernel: None,
            schedulers_online: 2,
            nif_version: "0.1.0".to_owned(),
            router_bench_version: None,
        },
    };
    let (errors, disturbed) = (counted, BTreeSet::new());
    let router = Router { router: 1, memory, errors, backpressure: counted, disturbed, vm };
    Nodes { drivers: vec![driver], routers: vec![router] }
}

fn block() -> impl Strategy<Value = Block> {
    let counted = (of(any::<u64>()), of(any::<u64>()))
        .prop_map(|(driver, router)| Counted { driver, router });
    let seen = (of(evidence()), of(disturbed()));
    let parts = (metrics(), accounting(), percentiles(), percentiles(), any::<u64>());
    (parts, counted, of(reasons()), of(vm()), seen).prop_map(
        |((metrics, accounting, one, other, n), counted, reasons, vm, (evidence, disturbed))| {
            let window = |outcomes: Outcomes| RecoveryWindow {
                offered: outcomes.offered,
                ok: outcomes.ok,
                p95_ns: counted.driver,
            };
            let recovery = accounting.recovery.map(|outcomes| RecoveryPhase {
                duration_ns: n,
                window_ns: n,
                tolerance_pct: Amount::from(15),
                outage_began_ns: n,
                outage_ended_ns: n,
                windows: vec![window(outcomes), window(outcomes)],
                reasons: reasons.clone(),
            });
            Block {
                block: 0,
                metrics,
                accounting,
                machines: None,
                nodes: counted
                    .router
                    .map(|_| nodes(accounting, &one, memory(n), counted, vm.clone())),
                recovery,
                throughput: ThroughputPhase {
                    duration_ns: n,
                    slices: ClosedLoopSlices {
                        went_first: counted.driver.map(|n| vec![n % 2 == 0, n % 3 == 0]),
                        ok: vec![n, 1],
                        duration_ns: vec![2, n],
                    },
                    service_time: one.clone(),
                },
                latency: LatencyPhase {
                    duration_ns: n,
                    slices: OpenLoopSlices {
                        went_first: counted.router.map(|n| vec![n % 2 == 0]),
                        ok: vec![n],
                        p50_ns: None,
                        p95_ns: counted.driver.map(|n| vec![n]),
                        p99_ns: Some(vec![n]),
                    },
                    response_time: one.clone(),
                    service_time: other,
                    dispatch_lag: one,
                },
                traffic: None,
                memory: memory(n),
                errors: counted,
                backpressure: Counted { driver: None, router: counted.router },
                reasons,
                strays: counted.driver,
                idle_cpu_pct: counted.driver.map(Amount::from),
                warmup: counted.router.map(|n| Warmup {
                    steady: n % 2 == 0,
                    duration_ms: n,
                    rps: vec![Amount::from(n)],
                }),
                vm,
                evidence,
                disturbed,
            }
        },
    )
}

fn vm() -> impl Strategy<Value = VmFigures> {
    let decimal =
        || "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,9})?".prop_map(|text| Decimal::parse(&text).unwrap());
    let growth = (decimal(), decimal(), decimal()).prop_map(
        |(bytes_per_minute, low_bytes_per_minute, high_bytes_per_minute)| MemoryGrowth {
            bytes_per_minute,
            low_bytes_per_minute,
            high_bytes_per_minute,
        },
    );
    (of(growth), of(amount()), of(any::<u64>()), text()).prop_map(
        |(memory_growth, share, count, name)| VmFigures {
            reductions_per_request: share.clone(),
            memory_growth,
            scheduler_utilization_pct: share
                .clone()
                .map(|normal| SchedulerUtilization { normal: Some(normal), dirty: None }),
            run_queue: share.map(|mean| RunQueue { mean, max: 1 }),
            long_gc: count,
            sampler: Some(SamplerFigures {
                lateness: Lateness { ticks: 1, mean_ns: count, max_ns: count },
                probes: vec![ProbeCost { name, ..ProbeCost::default() }],
            }),
            ..VmFigures::default()
        },
    )
}

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    vec(block(), 0..4).prop_map(|mut blocks| {
        for (number, block) in (1..).zip(&mut blocks) {
            block.block = number;
        }
        blocks
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,30}",
        Just("\u{1b}[31m\u{202e}\u{7f}\u{1f980}".to_owned())
    ]
}

fn environment() -> impl Strategy<Value = Environment> {
    let quota = prop_oneof![
        Just("none".to_owned()),
        (any::<u32>(), 1..1000_u32).prop_map(|(whole, part)| format!("{whole}.{part:03}")),
    ];
    let quota = quota.prop_map(|text| CpuQuota::parse(&text).unwrap());
    // Parts of a transport only where there is one.
    let transport = of((text(), of(text()), of(text()), of(text())));
    (of(text()), of(text()), of(any::<u32>()), of(quota), of(any::<u64>()), transport).prop_map(
        |(otp_release, cpu_model, cpu_count, cpu_quota, memory_total_mb, transport)| Environment {
            transport: transport.as_ref().map(|(name, ..)| name.clone()),
            transport_server: transport.as_ref().and_then(|(_, server, ..)| server.clone()),
            transport_tls_version: transport.as_ref().and_then(|(.., version, _)| version.clone()),
            transport_tls_cipher: transport.and_then(|(.., cipher)| cipher),
            otp_release,
            cpu_model,
            cpu_quota,
            cpu_count,
            memory_total_mb,
            ..Environment::default()
        },
    )
}

fn run() -> impl Strategy<Value = Run> {
    let statuses = [
        RunStatus::Complete,
        RunStatus::InsufficientSamples,
        RunStatus::GeneratorLimited,
        RunStatus::Failed,
        RunStatus::Interrupted,
        RunStatus::Unfinished,
    ];
    let tools =
        [LoadTool::K6, LoadTool::Wrk2, LoadTool::Hgrm, LoadTool::BashoBench, LoadTool::Erlperf];
    let tool = of(select(tools.to_vec()));
    (of(any::<i32>()), of(select(statuses.to_vec())), of(text()), of(text()), tool).prop_map(
        |(ct_exit_code, status, reason, planted_fault, imported_from)| Run {
            ct_exit_code,
            status,
            reason,
            planted_fault,
            duration_ms: None,
            imported_from,
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let parts = (metrics(), environment(), run(), of(blocks()), of(accounting()), text());
    (parts, of("[0-9a-f]{40}"), of(any::<bool>())).prop_map(|(parts, commit, dirty)| {
        let (metrics, env, run, blocks, accounting, text) = parts;
        Report {
            schema: dirty.map(|_| SchemaTag { name: SchemaName::Cp1Report, version: 3 }),
            timestamp: Timestamp::parse("2026-01-31T12:00:00.25Z").unwrap(),
            git: Git { tree: commit.clone(), commit, dirty },
            env,
            metrics,
            run,
            load: None,
            merged: None,
            watched: None,
            blocks,
            accounting,
            diagnostics: None,
            histograms: Some(vec![EncodedHistogram {
                block: 1,
                phase: Phase::Latency,
                quantity: Quantity::DispatchLag,
                unit: "ns".to_owned(),
                encoding: HISTOGRAM_ENCODING.to_owned(),
                data: text.clone(),
            }]),
            controls: None,
            sessions: None,
            pairing: None,
            series: Some(vec![Series {
                block: 1,
                router: Some(2),
                name: text.clone(),
                unit: text,
                time_ms: vec![1, 2],
                values: vec![u64::MAX, 0],
            }]),
        }
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    let below_100 = (0..10_000u32).prop_map(|n| Amount::parse(&format!("{n}e-2")).unwrap());
    let relative = (amount(), of(below_100)).prop_map(|(increase, max_pct_decrease)| Relative {
        max_pct_increase: Some(increase),
        max_pct_decrease,
    });
    let absolute = (amount(), of(amount()), of(amount())).prop_map(|(equals, max, min)| Absolute {
        equals: Some(equals),
        max,
        min,
    });
    let rule = (of(relative), absolute, of(text())).prop_map(|(relative, absolute, reason)| Rule {
        absolute: Some(absolute),
        relative,
        reason,
    });
    let rules = btree_map(select(&Metric::ALL[..]), rule, 1..6);
    (rules, any::<bool>(), any::<bool>()).prop_map(|(rules, zero, all)| Policy {
        version: PolicyVersion::Cp1,
        decision: DecisionPolicy { looks: vec![2, 100], ..DecisionPolicy::default() },
        rules,
        gate: GatePolicy {
            require_candidate_ct_exit_code_zero: zero,
            require_all_metrics_present: all,
            not_offered: BTreeSet::new(),
            allow_attached: all,
        },
        environment: EnvironmentPolicy { require: EnvironmentField::DEFAULT_REQUIRED.to_vec() },
        budget: BudgetPolicy::default(),
        ratios: if all { ratios() } else { BTreeMap::new() },
    })
}

fn ratios() -> RatioPolicy {
    let rule = |max: Option<u64>, min: Option<u64>| RatioRule {
        max_ratio: max.map(Amount::from),
        min_ratio: min.map(Amount::from),
        must_catch_ratio: max.map(|max| Amount::from(max + 1)),
        reason: Some("TLS".to_owned()),
    };
    let of_pair = BTreeMap::from([
        (RatioFigure::LatencyP50Ms, rule(Some(5), None)),
        (RatioFigure::Rps, rule(None, Some(1))),
    ]);
    let pairs = BTreeMap::from([("nats-tls/nats".to_owned(), of_pair)]);
    BTreeMap::from([("transport".to_owned(), pairs)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_report_is_read_as_it_was_written(report in report()) {
        let json = to_json(&report).unwrap();
        let read: Report = parse(Path::new("r"), json.as_bytes()).unwrap();
        prop_assert_eq!(&to_json(&read).unwrap(), &json, "spellings too");
        prop_assert_eq!(read, report);
    }

    #[test]
    fn a_policy_is_read_as_it_was_written(policy in policy()) {
        let json = to_json(&policy).unwrap();
        let read: Policy = parse(Path::new("p"), json.as_bytes()).unwrap();
        prop_assert_eq!(&to_json(&read).unwrap(), &json, "spellings too");
        prop_assert_eq!(read, policy);
    }

    #[test]
    fn json_is_plain_ascii_whatever_it_says(text in any::<String>()) {
        let json = to_json(&text).unwrap();
        prop_assert!(json.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "{json:?}");
        prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}

#[test]
fn what_a_terminal_could_obey_stands_as_an_escape() {
    let json = to_json(&"\u{1b}]0;x\u{7}\u{7f}\u{9b}\u{202e}\u{1f980}").unwrap();
    assert_eq!(json, "\"\\u001b]0;x\\u0007\\u007f\\u009b\\u202e\\ud83e\\udd80\"\n");
}

#[test]
fn what_json_cannot_say_is_an_error_and_no_null() {
    let unequal = BTreeMap::from([(vec![1], 2)]);
    assert!(to_json(&unequal).is_err());
}

#[test]
fn an_absent_figure_is_absent_and_not_null() {
    let minimal = r#"{"timestamp": "2026-01-31T12:00:00Z", "git": {}, "env": {}, "metrics": {},
        "run": {}}"#;
    let report: Report = parse(Path::new("r"), minimal.as_bytes()).unwrap();
    assert!(!to_json(&report).unwrap().contains("null"));
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn writing_makes_the_directory_and_replaces_the_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/file.json");
    write_atomically(&path, b"one").unwrap();
    write_atomically(&path, b"two").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two");
    assert_eq!(names(&root.path().join("a/b")), ["file.json"]);
}

#[cfg(unix)]
#[test]
fn a_written_file_may_be_read_by_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file.json");
    write_atomically(&path, b"{}").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o444, 0o444);
}

#[test]
fn a_failed_write_leaves_what_was_there_and_nothing_partial() {
    let root = tempfile::tempdir().unwrap();
    // A directory that is not empty stands where the file should be: the last step fails.
    let target = root.path().join("target");
    std::fs::create_dir(&target).unwrap();
    std::fs::write(target.join("old"), "old").unwrap();
    let error = write_atomically(&target, b"new").unwrap_err();
    assert!(error.to_string().contains("check the directory"), "{error}");
    assert_eq!(names(root.path()), ["target"]);
    assert_eq!(std::fs::read(target.join("old")).unwrap(), b"old");
    // A file stands where the directory should be: the first step fails.
    let blocker = target.join("old");
    assert!(write_atomically(&blocker.join("file.json"), b"new").is_err());
    assert_eq!(std::fs::read(blocker).unwrap(), b"old");
}

#[test]
fn the_policy_of_the_freeze_is_read_and_keeps_its_limits() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy_cp1.json");
    let policy: Policy = read_file(&path).unwrap();
    let of_freeze = Metric::ALL.into_iter().filter(|metric| !metric.is_optional());
    assert_eq!(policy.rules.len(), of_freeze.count());
    assert_eq!(policy.gate, GatePolicy::default());
    assert_eq!(policy.environment, EnvironmentPolicy::default());
}

#[test]
fn a_disturbance_is_called_in_code_as_in_files() {
    for disturbance in [
        Disturbance::CpuStolen,
        Disturbance::OtherCpuLoad,
        Disturbance::CpuThrottled,
        Disturbance::HostStall,
        Disturbance::VmStall,
        Disturbance::CpuSpeedChanged,
        Disturbance::MemorySpeedChanged,
        Disturbance::ClockDrift,
    ] {
        assert_eq!(to_json(&disturbance).unwrap(), format!("\"{}\"\n", disturbance.name()));
    }
}

#[test]
fn two_levels_have_lines_and_what_is_within_has_none() {
    let value = serde_json::json!({
        "a": [{"b": [1, -2.5], "c": {}}, [], [["}"]], 2], "d": {"e": {"f": {"g": "[\n  1,\n]"}}}, "h": 0
    });
    let json = to_json(&value).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    let lines: Vec<_> = json.lines().collect();
    assert_eq!(
        lines,
        [
            "{",
            "  \"a\": [",
            "    {\"b\": [1,-2.5],\"c\": {}},",
            "    [],",
            "    [[\"}\"]],",
            "    2",
            "  ],",
            "  \"d\": {",
            "    \"e\": {\"f\": {\"g\": \"[\\n  1,\\n]\"}}",
            "  },",
            "  \"h\": 0",
            "}"
        ]
    );
}
