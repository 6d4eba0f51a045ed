//! `perf-gate bench` and `run` in a node that runs already, beside an epmd of its own.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use cp1_format::{Outcome, Report, read_file};
use cp1_pipeline_tests::{Ended, TWO_BLOCKS, Workplace, root};

const NODE: &str = "live@127.0.0.1";
const COOKIE: &str = "a_secret_of_this_test";

/// Starts the reference router, and says at the end of standard input what of the bench is left.
const LIVE: &str = "{ok, _} = application:ensure_all_started(ref_router), io:format(\"up~n\"), \
    io:get_line(\"\"), Is = fun(M) -> lists:prefix(\"router_bench\", atom_to_list(M)) orelse \
    M =:= ref_router_adapter end, io:format(\"left ~0p ~0p ~0p~n\", [[M || M <- erlang:loaded(), Is(M)], \
    [N || N <- registered(), Is(N)], erlang:system_monitor()]), halt().";

/// Writes what a node on loopback needs to speak TLS with those that have it too.
const TLS: &str = "[File] = init:get_plain_arguments(), Authority = router_bench_certificates:authority(), \
    ok = file:write_file(File, router_bench_certificates:options(Authority, {router, {127, 0, 0, 1}})), \
    ok = file:change_mode(File, 8#600), halt().";

/// A node with the reference router, and its epmd; both end with this test, however it ends.
struct Live {
    epmd: Child,
    node: Child,
    said: BufReader<ChildStdout>,
    port: u16,
}

impl Live {
    /// With the file of its TLS options, if it speaks that.
    fn start(tls: Option<&Path>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut shell = Command::new("sh");
        shell.args(["-c", "epmd -address 127.0.0.1 -port \"$0\" & read _; kill $!; wait"]);
        shell.arg(port.to_string()).stdin(Stdio::piped()).stderr(Stdio::null());
        let epmd = shell.spawn().unwrap();
        // The epmd may not listen yet.
        for _ in 0..500 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut erl = Command::new("erl");
        erl.args([
            "-noshell",
            "-start_epmd",
            "false",
            "-name",
            NODE,
            "-setcookie",
            COOKIE,
            "-eval",
            LIVE,
        ]);
        erl.arg("-pa").arg(root().join("_build/perf/lib/ref_router/ebin"));
        if let Some(file) = tls {
            erl.args(["-proto_dist", "inet_tls", "-ssl_dist_optfile"]).arg(file);
            // Whoever does not speak so is worth a line.
            erl.args(["-kernel", "logger_level", "critical"]);
        }
        erl.env("ERL_EPMD_PORT", port.to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        let mut node = erl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(node.stdout.take().unwrap());
        let mut up = String::new();
        said.read_line(&mut up).unwrap();
        assert_eq!(up, "up\n");
        Self { epmd, node, said, port }
    }

    /// Ends it, and gives what it said of what is left.
    fn end(mut self) -> String {
        drop(self.node.stdin.take());
        let mut left = String::new();
        self.said.read_to_string(&mut left).unwrap();
        left
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop((self.node.stdin.take(), self.epmd.stdin.take()));
        let _ = (self.node.wait(), self.epmd.wait());
    }
}

/// What a node says of which nothing was taken.
const NOTHING_LEFT: &str = "left [] [] undefined\n";

fn policy(allow: bool) -> String {
    TWO_BLOCKS.replacen('{', &format!("{{\"gate\": {{\"allow_attached\": {allow}}},"), 1)
}

fn attached(mut command: Command, workplace: &Workplace, live: &Live) -> Command {
    let cookie = workplace.path("cookie");
    write_cookie(&cookie);
    command.env("PERF_ATTACH", NODE).env("PERF_ATTACH_COOKIE_FILE", "cookie");
    command.env("ERL_EPMD_PORT", live.port.to_string()).env("PERF_BLOCKS", "2");
    command.env("PERF_RATE", "20000").env("PERF_LATENCY_MS", "1100");
    command
}

fn write_cookie(path: &PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, COOKIE).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_node_that_runs_already_is_measured_judged_by_a_policy_that_wants_it_and_left_as_it_was() {
    let workplace = Workplace::new().unwrap();
    compile();
    let live = Live::start(None);
    let run = |command: Command| -> Ended {
        workplace.run(&mut attached(command, &workplace, &live)).unwrap()
    };
    let measured = run(workplace.bench());
    assert_eq!(measured.code, Some(0), "{}", measured.printed);
    assert!(!measured.printed.contains(COOKIE), "{}", measured.printed);
    let path = workplace.only("perf_baseline_").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains(COOKIE) && !text.contains("setcookie"), "the report has no cookie");
    let report: Report = read_file(&path).unwrap();
    assert_eq!(report.env.attached, Some(true));
    assert!(report.controls.unwrap_or_default().is_empty(), "nobody asked for errors");

    // A baseline of fresh BEAMs and a policy that says nothing are refused before anything is measured.
    std::fs::write(workplace.path("baseline.json"), &text).unwrap();
    std::fs::remove_dir_all(workplace.path("artifacts")).unwrap();
    std::fs::write(workplace.path("policy.json"), policy(false)).unwrap();
    let ended = run(workplace.perf_gate());
    assert_eq!(ended.code, Some(2), "{}", ended.printed);
    assert!(ended.printed.contains("gate.allow_attached"), "{}", ended.printed);
    std::fs::write(workplace.path("policy.json"), policy(true)).unwrap();
    let mut replay = workplace.perf_gate();
    replay.env("PERF_COMPARE", "replay");
    let ended = run(replay);
    assert_eq!(ended.code, Some(2), "{}", ended.printed);
    assert!(ended.printed.contains("can replay nothing"), "{}", ended.printed);
    workplace.only("perf_baseline_").unwrap_err();

    let ended = run(workplace.perf_gate());
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{}", ended.printed);
    let verdict = workplace.verdict().unwrap();
    assert!(
        matches!(verdict.outcome, Outcome::Pass | Outcome::Regression | Outcome::Inconclusive),
        "comparable: {}",
        ended.printed
    );
    assert_eq!(workplace.report().unwrap().env.attached, Some(true));
    assert_eq!(live.end(), NOTHING_LEFT);
}

#[test]
fn a_node_that_speaks_tls_is_measured_with_its_options_and_not_else() {
    let workplace = Workplace::new().unwrap();
    compile();
    let file = workplace.path("tls");
    let mut erl = Command::new("erl");
    erl.args(["-noshell", "-boot", "no_dot_erlang", "-eval", TLS]);
    erl.arg("-pa").arg(root().join("_build/perf/lib/router_bench/ebin")).arg("-extra").arg(&file);
    let written = Ended::from(erl.stdin(Stdio::null()).output().unwrap());
    assert_eq!(written.code, Some(0), "{}", written.printed);

    let live = Live::start(Some(&file));
    let run = |tls: &str| -> Ended {
        let mut bench = attached(workplace.bench(), &workplace, &live);
        workplace.run(bench.env("PERF_ATTACH_TLS_FILE", tls)).unwrap()
    };
    let refused = run("");
    assert_eq!(refused.code, Some(2), "{}", refused.printed);
    assert!(refused.printed.contains("--attach-tls-file"), "{}", refused.printed);
    let refused = run("nowhere");
    assert_eq!(refused.code, Some(2), "{}", refused.printed);
    assert!(refused.printed.contains("failed to read nowhere"), "{}", refused.printed);
    workplace.only("perf_baseline_").unwrap_err();

    let measured = run("tls");
    assert_eq!(measured.code, Some(0), "{}", measured.printed);
    let report: Report = read_file(&workplace.only("perf_baseline_").unwrap()).unwrap();
    assert_eq!(report.env.attached, Some(true));
    assert_eq!(live.end(), NOTHING_LEFT);
}

/// The router, which the node runs.
fn compile() {
    let mut rebar3 = Command::new("rebar3");
    rebar3.current_dir(root()).args(["as", "perf", "compile"]).stdin(Stdio::null());
    let compiled = Ended::from(rebar3.output().unwrap());
    assert_eq!(compiled.code, Some(0), "{}", compiled.printed);
}
