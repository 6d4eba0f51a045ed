//! The adapters that ship, against the routers that they are for, as Debian packages them: on loopback, in
//! directories and with an epmd of their own.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

use cp1_format::{Report, RunStatus, Timestamp, read_file, to_json};
use cp1_pipeline_tests::{Ended, gate_binary, left_running, root};
use serde_json::Value;

/// An adapter in one of its modes.
struct Router {
    /// The adapter is this and `_adapter`, its libraries are of the package in `_build/test_tools` of this name.
    name: &'static str,
    /// The adapter's option.
    mode: Option<&'static str>,
    /// What it says of an error that the router met.
    error: &'static str,
    /// Whether it has a counter of backpressure.
    holds_back: bool,
}

/// A block of a second and a half, at a rate that any machine serves.
const SHORT: [&str; 7] = [
    "--blocks=1",
    "--build=",
    "--warmup-ms=100",
    "--throughput-ms=300",
    "--latency-ms=1000",
    "--rate=1000",
    "--concurrency=2",
];

/// One error is counted as one, a request as none. In a router that runs already the adapter is a guest, who can
/// come again once it has taken back what it made, and leaves the router alive.
const CALLS: &str = r#"
    [Of, Mode] = init:get_plain_arguments(),
    Adapter = list_to_atom(Of ++ "_adapter"),
    {module, Adapter} = code:ensure_loaded(Adapter),
    Keys = #{keys => router_bench_keys:new(uniform, 100, 1)},
    Options = case Mode of "" -> Keys; _ -> Keys#{<<"mode">> => list_to_binary(Mode)} end,
    {ok, Router} = Adapter:init(Options),
    Served = fun(State) -> [ok = Adapter:route(Adapter:request(N, State), State) || N <- lists:seq(1, 1000)] end,
    Served(Router),
    #{errors_total := 0} = Adapter:counters(Router),
    {error, Error} = Adapter:control(errors_total, Router),
    #{errors_total := 1} = Adapter:counters(Router),
    Visit = fun() ->
        {ok, Guest} = Adapter:init(Options#{attached => true}),
        Served(Guest),
        {error, _} = Adapter:control(errors_total, Guest),
        #{errors_total := 1} = Adapter:counters(Guest),
        Adapter:detach(Guest),
        lists:foreach(fun(Name) -> true = is_pid(whereis(Name)) end, Adapter:processes(Router))
    end,
    Visit(), Visit(),
    Adapter:terminate(Router),
    io:format("~nerror: ~0tp~n", [Error]),
    halt()."#;

static COMPILED: Once = Once::new();

impl Router {
    /// The directories of libraries that `scripts/setup.sh --with` unpacked.
    fn libraries(&self) -> String {
        let unpacked = root().join("_build/test_tools").join(self.name).join("usr/lib");
        assert!(
            unpacked.is_dir(),
            "{} is not there; ./scripts/setup.sh --with {} unpacks it",
            unpacked.display(),
            self.name
        );
        let mut found = vec![unpacked.join("erlang/lib")];
        match self.name {
            "ejabberd" => found.extend(named(&unpacked, "-linux-gnu")),
            _ => found.extend(
                named(&unpacked.join("rabbitmq/lib"), "rabbitmq_server-")
                    .map(|version| version.join("plugins")),
            ),
        }
        assert_eq!(found.len(), 2, "{found:?}");
        let found = found.iter().map(|path| path.canonicalize().unwrap().display().to_string());
        found.collect::<Vec<_>>().join(":")
    }

    /// A command for which the world is a directory.
    fn alone(&self, program: &Path, directory: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars() {
            if ["PERF_", "CI_", "GITHUB_", "ERL_", "RABBITMQ_"]
                .iter()
                .any(|ours| name.starts_with(ours))
            {
                command.env_remove(name);
            }
        }
        for part in ["home", "tmp"] {
            std::fs::create_dir_all(directory.join(part)).unwrap();
        }
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1").env("ERL_EPMD_PORT", port.to_string());
        command.env("HOME", directory.join("home")).env("TMPDIR", directory.join("tmp"));
        command.env("ERL_LIBS", self.libraries());
        command.current_dir(directory).stdin(Stdio::null());
        command
    }

    fn is_measured_and_goes(&self) {
        COMPILED.call_once(|| {
            let compile =
                Command::new("rebar3").args(["as", "perf", "compile"]).current_dir(root()).output();
            let compiled = Ended::from(compile.unwrap());
            assert_eq!(compiled.code, Some(0), "{}", compiled.printed);
        });
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        self.is_measured(at);
        self.answers_calls(at);
        // However it is asked to go, and whatever it started.
        let left = left_running(at).unwrap();
        assert!(left.is_empty(), "{left:?}");
        let left: Vec<_> =
            named(&at.join("tmp"), "").map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(left, ["cp1_perf_gate.lock"]);
    }

    fn is_measured(&self, at: &Path) {
        let report = at.join("report.json");
        let mut bench = self.alone(&gate_binary(), at);
        bench.arg("bench").args(SHORT).arg("--project");
        bench.arg(root().join(format!("erlang/{}_adapter", self.name)).canonicalize().unwrap());
        bench.arg("--report-file").arg(&report).env("ARTIFACTS_DIR", at.join("artifacts"));
        if let Some(mode) = self.mode {
            bench.arg(format!("--adapter-options=mode={mode}"));
        }
        let ended = Ended::from(bench.output().unwrap());
        let read: Report =
            read_file(&report).unwrap_or_else(|error| panic!("{error}\n{}", ended.printed));
        // Every block was measured; that a percentile of so few is none, or of a busy machine, is another thing.
        let measured = [
            None,
            Some(RunStatus::Complete),
            Some(RunStatus::InsufficientSamples),
            Some(RunStatus::GeneratorLimited),
        ];
        assert!(measured.contains(&read.run.status), "{:?} {}", read.run, ended.printed);

        let report: Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        assert_eq!(report["blocks"].as_array().unwrap().len(), 1);
        for phase in ["throughput", "latency"] {
            let of = |outcome: &str| report["accounting"][phase][outcome].as_u64().unwrap();
            assert!(of("ok") > 0, "{report}");
            let failed: u64 = ["error", "timeout", "rejected"].map(of).iter().sum();
            assert_eq!(failed, 0, "{}", ended.printed);
            assert_eq!(of("offered"), of("ok") + of("skipped"), "{phase}");
        }
        // What a queue grants later is no stray.
        assert_eq!(report["blocks"][0]["strays"], 0);
        assert_eq!(report["controls"]["errors_total"], "alive");
        assert_eq!(report["metrics"]["errors_total"], 0);
        let (control, metric) = match self.holds_back {
            true => ("alive", true),
            false => ("not_offered", false),
        };
        assert_eq!(report["controls"]["backpressure_active_total"], control);
        assert_eq!(report["metrics"].get("backpressure_active_total").is_some(), metric);
    }

    fn answers_calls(&self, at: &Path) {
        let mut erl = self.alone(Path::new("erl"), at);
        erl.args(["-noinput", "-boot", "no_dot_erlang", "-pa"]);
        for application in ["router_bench".to_owned(), format!("{}_adapter", self.name)] {
            erl.arg(
                root()
                    .join("_build/perf/lib")
                    .join(application)
                    .join("ebin")
                    .canonicalize()
                    .unwrap(),
            );
        }
        erl.args(["-eval", CALLS, "-extra", self.name, self.mode.unwrap_or("")]);
        let ended = Ended::from(erl.output().unwrap());
        let epmd = erl.get_envs().find(|(name, _)| *name == "ERL_EPMD_PORT").unwrap().1.unwrap();
        // No bench was there to end it.
        let _ = Command::new("epmd").arg("-port").arg(epmd).arg("-kill").output();
        assert_eq!(ended.code, Some(0), "{}", ended.printed);
        let error = ended.printed.lines().find(|line| line.starts_with("error: "));
        assert!(error.is_some_and(|error| error.contains(self.error)), "{}", ended.printed);
    }
}

/// What is in a directory whose name has this in it.
fn named(directory: &Path, part: &str) -> impl Iterator<Item = PathBuf> {
    let entries =
        std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.filter(move |path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains(part))
    })
}

#[test]
fn rabbitmq_publishes_under_credit_flow() {
    let error = "unroutable";
    Router { name: "rabbitmq", mode: None, error, holds_back: true }.is_measured_and_goes();
}

#[test]
fn rabbitmq_routes_alone() {
    let error = "unroutable";
    Router { name: "rabbitmq", mode: Some("route"), error, holds_back: false }
        .is_measured_and_goes();
}

#[test]
fn ejabberd_delivers_to_sessions() {
    let error = "service-unavailable";
    Router { name: "ejabberd", mode: None, error, holds_back: false }.is_measured_and_goes();
}

#[test]
fn cowboy_serves_over_http() {
    let error = "{http_status,404}";
    Router { name: "cowboy", mode: None, error, holds_back: false }.is_measured_and_goes();
}

#[test]
fn cowboy_routes_alone() {
    let error = "not_routed,{response,404";
    Router { name: "cowboy", mode: Some("router"), error, holds_back: false }
        .is_measured_and_goes();
}

#[test]
fn examples_are_judged_by_their_policies() {
    for name in ["rabbitmq", "ejabberd", "cowboy"] {
        let at = root().join(format!("erlang/{name}_adapter/perf"));
        let (example, policy) = (at.join("example_cp1.json"), at.join("policy_cp1.json"));
        let mut report: Report = read_file(&example).unwrap();
        assert_eq!(report.load.as_ref().unwrap().adapter, format!("{name}_adapter"));
        let directory = tempfile::tempdir().unwrap();
        // A report is never judged by itself: as its baseline it was measured earlier.
        report.timestamp = Timestamp::parse("2026-01-31T12:00:00Z").unwrap();
        let baseline = directory.path().join("baseline.json");
        std::fs::write(&baseline, to_json(&report).unwrap()).unwrap();
        let mut check = Command::new(gate_binary());
        check.arg("check").arg("--baseline").arg(&baseline).arg("--candidate").arg(&example);
        check.arg("--policy").arg(&policy).arg("--artifacts").arg(directory.path());
        let checked = Ended::from(check.output().unwrap());
        // Few blocks of a busy machine decide nothing; but nothing is missing, wrong or red.
        assert!(matches!(checked.code, Some(0 | 3)), "{}", checked.printed);
    }
}
