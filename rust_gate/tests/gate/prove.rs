//! `prove` over gates that are kept already: what it says of them, and what it does not go on with.
//! Nothing is missing, so nothing is measured.

use crate::common;
use crate::common::repository::Repository;
use crate::common::{Answer, full_of, pair, set, set_memory};
use perf_gate::cli::sources::gather;
use serde_json::{Value, json};

/// A repository, and gates of its commit beside it, in `kept`.
struct Proof(Repository);

impl Proof {
    /// With the commit's own report.
    fn new() -> Self {
        let repository = Repository::new();
        let mut baseline = full_of(9, 25_000);
        baseline["git"]["commit"] = json!(repository.git(&["rev-parse", "HEAD"]));
        std::fs::create_dir(repository.room.path("kept")).unwrap();
        repository.room.json("kept/baseline.json", &baseline);
        Self(repository)
    }

    /// Keeps a gate of this kind, as `run` leaves it.
    fn keep(&self, kind: &str, label: &str, change: impl Fn(&mut Value)) {
        self.keep_blocks(9, kind, label, change);
    }

    fn keep_blocks(&self, blocks: u64, kind: &str, label: &str, change: impl Fn(&mut Value)) {
        let room = &self.0.room;
        let directory = format!("kept/{kind}");
        std::fs::create_dir_all(room.path(&directory)).unwrap();
        let [replay, candidate] =
            [("replay", "frozen"), ("baseline", "candidate")].map(|(name, role)| {
                let mut report = full_of(blocks, 25_000);
                set_memory(&mut report, |index| 1.0 + (index % 3) as f64 / 1000.0);
                pair(&mut report, role);
                if role == "candidate" {
                    change(&mut report);
                }
                let path = format!("{directory}/perf_{name}_{label}.json");
                room.json(&path, &report);
                path
            });
        room.check_with(&[
            "--candidate",
            &candidate,
            "--replay",
            &replay,
            "--artifacts",
            &directory,
            "--label",
            label,
        ]);
    }

    fn prove(&self, further: &[&str]) -> Answer {
        let usual = ["prove", "--project", "repo", "--directory", "kept", "--adapter", "none"];
        self.0.room.run(&[&usual[..], further].concat())
    }

    #[track_caller]
    fn is_refused(&self, said: &str) {
        let answer = self.prove(&["--gates", "1", "--planted-gates", "0"]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains(said), "`{said}` is not in:\n{}", answer.stderr);
    }
}

/// The delay that is 1.5 times the limit of p95 of this policy, of a router like the baseline.
fn delayed(proof: &Proof) -> String {
    let text = proof.0.room.text("kept/baseline.json");
    let baseline: Value = serde_json::from_str(&text).unwrap();
    let p95_ms = baseline["metrics"]["latency_p95_ms"].as_f64().unwrap();
    format!("delay_us={:.1}", p95_ms * 1000.0 * 0.225)
}

#[test]
fn what_is_kept_is_not_measured_again_and_is_told_kind_by_kind() {
    let proof = Proof::new();
    proof.keep("same", "a", |_| {});
    proof.keep("same", "b", |_| {});
    let fault = delayed(&proof);
    proof.keep("p95_at_1.5", "c", |report| set(report, "run.planted_fault", json!(fault)));
    // What an interrupted run left is no gate.
    proof.0.room.bytes("kept/same/perf_baseline_d.json", "{");
    std::fs::create_dir(proof.0.room.path("kept/run")).unwrap();
    // Of the kinds that have a third as many there would be one; so none of them is asked for.
    let answer = proof.prove(&["--gates", "2", "--planted-gates", "0"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let parts: Vec<_> = answer.stdout.trim_end().split("\n\n").collect();
    let [same, planted, factor] = parts[..] else { panic!("{}", answer.stdout) };
    assert!(same.lines().next().unwrap().ends_with("kept/same"), "{same}");
    for said in ["2 gates, rates with", "18 blocks of replays with either sign", "\nnothing "] {
        assert!(same.contains(said), "`{said}` is not in:\n{same}");
    }
    assert!(same.contains("PASS                      2    100.0 %   15.8 to 100.0 %"), "{same}");
    for said in ["1 gates, rates with", "9 blocks of replays as they were", "\nlatency_p95_ms "] {
        assert!(planted.contains(said), "`{said}` is not in:\n{planted}");
    }
    // Nothing was really delayed, and the gate says so.
    assert_eq!(factor, "p95: 22.5 % planted, 0.0 % read, factor 0.00");
    let again = proof.prove(&["--gates", "1", "--planted-gates", "0"]);
    assert_eq!(again.stdout, answer.stdout, "more than was asked for is told too");
    let json = proof.prove(&["--gates", "1", "--planted-gates", "0", "--format", "json"]);
    let proven = common::answered("prove", &json, 0);
    assert_eq!(proven["kinds"][0]["tally"]["outcomes"][0]["rate"]["count"], 2, "{proven}");
    assert_eq!(proven["kinds"][1]["drawn"]["measured"][0]["blocks"], 9, "{proven}");
    assert_eq!(proven["reading"]["factor"], 0.0, "{proven}");
}

#[test]
fn too_few_blocks_to_draw_from_are_counted_all_the_same() {
    let proof = Proof::new();
    proof.keep_blocks(2, "same", "a", |_| {});
    let answer = proof.prove(&["--gates", "1", "--planted-gates", "0"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stdout.contains("1 gates, rates with"), "{answer:?}");
    assert!(answer.stdout.contains("no gates drawn: 2 blocks measured"), "{answer:?}");
}

#[test]
fn gates_of_something_else_are_not_gone_on_with() {
    let proof = Proof::new();
    proof.keep("same", "a", |_| {});
    proof.keep("p95_at_2", "b", |report| set(report, "run.planted_fault", json!("delay_us=1.5")));
    proof.is_refused("is planted delay_us=1.5, and now would be delay_us=");
    std::fs::remove_dir_all(proof.0.room.path("kept/p95_at_2")).unwrap();

    proof.keep("same", "b", |report| set(report, "run.planted_fault", json!("stall_ms=20")));
    proof.is_refused("is planted stall_ms=20, and now would be nothing");
    std::fs::remove_file(proof.0.room.path("kept/same/perf_verdict_b.json")).unwrap();

    std::fs::remove_file(proof.0.room.path("kept/same/perf_replay_a.json")).unwrap();
    proof.is_refused("perf_replay_a.json");
    proof.0.room.bytes("kept/same/perf_replay_a.json", "{\"timestamp\": 5}");
    proof.is_refused("perf_replay_a.json");
    std::fs::remove_dir_all(proof.0.room.path("kept/same")).unwrap();

    proof.0.write("router.erl", "-module(router). % changed\n");
    proof.is_refused("has changes that no commit has");
    let commit = proof.0.commit("a change");
    proof.is_refused(&format!("are not of this commit {commit}; name another --directory"));
}

#[test]
fn a_policy_that_no_noise_can_mislead_proves_nothing() {
    let proof = Proof::new();
    let absolute = r#"{"version": "cp1", "rules": {"errors_total": {"absolute": {"equals": 0}}}}"#;
    proof.0.room.bytes("absolute.json", absolute);
    let answer = proof.prove(&["--policy", "absolute.json"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("the policy has no relative limit"), "{answer:?}");
}

#[test]
fn the_settings_of_a_proof_stand_where_those_of_a_run_do() {
    let typed = ["perf-gate", "prove", "--gates=3"].map(Into::into).to_vec();
    let variables = [("PERF_GATES", "2"), ("PERF_PLANTED_GATES", "1"), ("PROVE_DIR", "kept")];
    let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
    let line = gather(typed, variables).unwrap();
    let expected =
        ["perf-gate", "prove", "--gates=2", "--planted-gates=1", "--directory=kept", "--gates=3"];
    assert_eq!(line.arguments, expected);
}
