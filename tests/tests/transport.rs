//! `perf-gate transport` with real BEAMs: the toy router behind transports that are a wait on the clock, and the
//! reference router behind a real server.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cp1_format::{RatioFigure, Variants, parse};
use cp1_pipeline_tests::{Ended, Workplace, gate_binary, left_running, root};

/// The adapter and what it needs, compiled into the workplace.
fn compiled(workplace: &Workplace) -> String {
    let directory = workplace.path("ebin");
    std::fs::create_dir(&directory).unwrap();
    let sources = root().join("erlang/router_bench/test");
    let mut compiler = Command::new("erlc");
    compiler.arg("-o").arg(&directory);
    compiler.args(["toy_adapter.erl", "bus_adapter.erl"].map(|name| sources.join(name)));
    assert!(compiler.status().unwrap().success());
    directory.display().to_string()
}

/// Short blocks of three variants.
fn transport(workplace: &Workplace, adapter: &str, ebin: &str, further: &[&str]) -> Ended {
    let as_usual = workplace.perf_gate();
    let mut gate = Command::new(gate_binary());
    gate.arg("transport").arg("--project").arg(root()).args(["--adapter", adapter]);
    if !ebin.is_empty() {
        gate.args(["--code-path", &format!("_build/perf/lib/*/ebin:{ebin}")]);
    }
    gate.args(further);
    gate.current_dir(workplace.path("")).stdin(Stdio::null());
    for (name, value) in as_usual.get_envs() {
        match value {
            Some(value) => gate.env(name, value),
            None => gate.env_remove(name),
        };
    }
    for (name, value) in [
        ("PERF_BLOCKS", "2"),
        ("PERF_WARMUP_MS", "50"),
        ("PERF_THROUGHPUT_MS", "200"),
        ("PERF_LATENCY_MS", "400"),
        ("PERF_RATE", "1000"),
        ("PERF_CONCURRENCY", "2"),
    ] {
        gate.env(name, value);
    }
    gate.env("ARTIFACTS_DIR", workplace.path("artifacts"));
    let ended = workplace.run(&mut gate).unwrap();
    assert!(left_running(&workplace.path("artifacts")).unwrap().is_empty());
    ended
}

#[test]
fn what_each_transport_costs_is_said_as_ratios_of_reports_that_are_kept() {
    let workplace = Workplace::new().unwrap();
    let ebin = compiled(&workplace);
    let ended = transport(&workplace, "bus_adapter", &ebin, &["--format=json", "--seed=11"]);
    assert_eq!(ended.code, Some(0), "{}", ended.printed);
    let found: Variants = parse(Path::new("answer"), ended.answer.as_bytes()).unwrap();
    assert_eq!((found.blocks, found.seed, found.decision), (2, 11, None));
    let transports: Vec<_> =
        found.variants.iter().map(|variant| variant.env.transport.as_deref()).collect();
    assert_eq!(transports, [None, Some("nats"), Some("nats-tls")]);
    for variant in &found.variants {
        assert!(Path::new(&variant.report).is_file(), "{}", variant.report);
        assert_eq!(variant.figures.len(), RatioFigure::ALL.len());
        let requests = variant.accounting.latency;
        assert!(requests.ok > 0 && requests.accounted() == Some(requests.offered));
    }
    let pairs: BTreeSet<_> =
        found.ratios.iter().map(|ratio| (ratio.of.as_str(), ratio.to.as_str())).collect();
    let expected = [("nats", "local"), ("nats-tls", "local"), ("nats-tls", "nats")];
    assert_eq!(pairs, BTreeSet::from(expected));
    assert!(found.ratios.iter().all(|ratio| ratio.estimate.is_some()), "{}", ended.answer);
    // The wait is on the clock: what it takes at least is certain.
    let p50 = |index: usize| {
        found.variants.get(index).unwrap().figures.get(&RatioFigure::LatencyP50Ms).unwrap()
    };
    assert!(p50(1).approximate() >= 0.1 && p50(2).approximate() >= 0.2, "{}", ended.answer);
    let kept = std::fs::read(workplace.only("perf_variants_").unwrap()).unwrap();
    assert_eq!(kept, ended.answer.as_bytes());
}

#[test]
fn what_cannot_be_compared_is_no_answer() {
    let workplace = Workplace::new().unwrap();
    let ebin = compiled(&workplace);
    // An adapter that does not know the option measures the same router three times.
    let deaf = transport(&workplace, "toy_adapter", &ebin, &[]);
    assert_eq!(deaf.code, Some(2), "{}", deaf.printed);
    assert!(deaf.printed.contains("local and nats were both measured through local"));
    assert!(deaf.answer.is_empty());
    let unknown = transport(&workplace, "bus_adapter", &ebin, &["--variants=local,pigeon"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.printed);
    assert!(unknown.printed.contains("transport = pigeon"), "{}", unknown.printed);
    let policy = std::fs::read_to_string(workplace.path("policy.json")).unwrap();
    let limits =
        r#""ratios": {"transport": {"nats-tls/nats": {"rps": {"min_ratio": 0.1}}}}, "rules""#;
    std::fs::write(workplace.path("policy.json"), policy.replacen("\"rules\"", limits, 1)).unwrap();
    let few = transport(&workplace, "bus_adapter", &ebin, &["--variants=local,nats"]);
    assert_eq!(few.code, Some(2), "{}", few.printed);
    assert!(few.printed.contains("the policy limits nats-tls/nats"), "{}", few.printed);
}

/// The servers of both kinds, where `scripts/nats.sh` keeps them. They end when this one's input is closed,
/// however this process ends.
struct Servers(Child);

impl Servers {
    fn start() -> Self {
        assert!(nats(&["build"]), "the client's library is built");
        let mut keeper = Command::new("setsid");
        keeper.args(["sh", "-c", "cat; \"$0\" stop; \"$0\" stop --tls"]).arg(script());
        let servers = Self(keeper.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
        assert!(nats(&["start"]) && nats(&["start", "--tls"]), "Debian's servers start");
        servers
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

fn script() -> PathBuf {
    root().join("scripts/nats.sh")
}

fn nats(arguments: &[&str]) -> bool {
    Command::new(script()).args(arguments).status().unwrap().success()
}

#[test]
fn the_reference_router_is_measured_through_a_real_server() {
    let workplace = Workplace::new().unwrap();
    let _servers = Servers::start();
    let ended = transport(&workplace, "ref_router_adapter", "", &["--format=json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.printed);
    let found: Variants = parse(Path::new("answer"), ended.answer.as_bytes()).unwrap();
    let [local, plain, tls] = found.variants.as_slice() else { panic!("{}", ended.answer) };
    assert_eq!((&local.env.transport, &local.env.transport_server), (&None, &None));
    let server = plain.env.transport_server.as_deref().unwrap();
    assert!(server.starts_with("nats-server "), "{server}");
    assert_eq!(tls.env.transport_server.as_deref(), Some(server));
    assert_eq!(plain.env.transport_tls_version, None);
    assert!(tls.env.transport_tls_version.as_deref().unwrap().starts_with("TLSv1."));
    assert!(tls.env.transport_tls_cipher.is_some());
    for variant in &found.variants {
        let requests = variant.accounting.latency;
        assert!(requests.ok > 0 && requests.accounted() == Some(requests.offered));
        assert_eq!(requests.error + requests.timeout + requests.rejected, 0, "{}", ended.answer);
    }
}
