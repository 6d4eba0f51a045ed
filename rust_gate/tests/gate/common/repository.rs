//! A real git repository with a contract, and reports of sessions beside it.

use std::path::PathBuf;
use std::process::Command;

use cp1_format::Problem;
use perf_gate::cli::arguments::{Print, Root, Verify};
use perf_gate::contract::ContractError;
use perf_gate::contract::verify::verify_in_ci;
use serde_json::{Value, json};

use super::{Answer, Room, full_of, policy, set_memory};

/// Answers that are some.
pub(crate) const ANSWERS: [&str; 8] = [
    "--what",
    "The transport writes and reads a frame for every request now.",
    "--why-acceptable",
    "Customers asked for framing, and eight microseconds are far below their budget.",
    "--why-policy-holds",
    "Its limits are relative, so they mean the same on the new figures.",
    "--artifact",
    "https://ci.example.org/jobs/17/artifacts",
];

/// A repository in `repo`, and reports next to it.
pub(crate) struct Repository {
    pub(crate) room: Room,
}

impl Repository {
    /// With a policy, a source file and one commit.
    pub(crate) fn new() -> Self {
        let room = Room::new();
        std::fs::create_dir_all(room.path("repo/perf")).unwrap();
        let repository = Self { room };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.write("perf/policy_cp1.json", &pretty(&policy()));
        repository.write("router.erl", "-module(router).\n");
        repository.commit("begin");
        repository
    }

    /// With a baseline of three sessions, landed.
    pub(crate) fn frozen() -> Self {
        let repository = Self::new();
        repository.sessions(|_, _| {});
        repository.done(&repository.change("freeze", &[]));
        repository.commit("freeze");
        repository
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.room.path("repo").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces text in a file, which must be there.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.text(name);
        assert!(text.contains(from), "{name} has no {from}");
        self.write(name, &text.replacen(from, to, 1));
    }

    /// Writes the reports of three sessions of seven blocks: `s0.json` to `s2.json`.
    pub(crate) fn sessions(&self, change: impl Fn(usize, &mut Value)) {
        for session in 0..3 {
            let mut report = full_of(7, 25_000);
            report["timestamp"] = json!(format!("2026-02-0{}T12:00:00Z", session + 1));
            report["git"]["dirty"] = json!(false);
            for block in report["blocks"].as_array_mut().unwrap() {
                block["disturbed"] = json!([]);
            }
            set_memory(&mut report, |block| 1.0 + (block % 3) as f64 / 1000.0);
            change(session, &mut report);
            self.room.json(&format!("s{session}.json"), &report);
        }
    }

    /// `perf-gate` in the repository.
    pub(crate) fn gate(&self, arguments: &[&str]) -> Answer {
        let root = self.room.path("repo");
        self.room.run(&[arguments, &["--root", root.to_str().unwrap()]].concat())
    }

    /// A command that is given the sessions and good answers.
    pub(crate) fn change(&self, command: &str, further: &[&str]) -> Answer {
        let sessions = ["--session", "s0.json", "--session", "s1.json", "--session", "s2.json"];
        self.gate(&[&[command], &sessions[..], &ANSWERS, further].concat())
    }

    #[track_caller]
    pub(crate) fn done(&self, answer: &Answer) {
        assert_eq!(answer.code, 0, "{}\n{}", answer.stdout, answer.stderr);
    }

    /// The command refused, said this, and wrote nothing.
    #[track_caller]
    pub(crate) fn refused(&self, answer: &Answer, said: &str) {
        assert_eq!(answer.code, 2, "{said}: {answer:?}");
        assert!(answer.stderr.contains("refused, and nothing was written"), "{answer:?}");
        assert!(answer.stderr.contains(said), "`{said}` is not in:\n{}", answer.stderr);
        assert_eq!(self.git(&["status", "--porcelain"]), "", "something was written: {said}");
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.room.path("repo"), arguments)
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// The name of the only record with this number.
    pub(crate) fn record(&self, number: u32) -> String {
        let names = self.git(&["ls-files", "--cached", "--others", "perf/bumps"]);
        let wanted = format!("perf/bumps/{number:04}-");
        names.lines().find(|name| name.starts_with(&wanted)).unwrap().to_owned()
    }

    /// What `verify --ci` finds in a job that has these variables.
    pub(crate) fn job(&self, variables: &[(&str, &str)]) -> Result<Vec<String>, ContractError> {
        let root = Root { root: self.path("") };
        let print = Print::default();
        let arguments = Verify { root, against: None, files: false, ci: true, print };
        let found = verify_in_ci(&arguments, |name| {
            let found = variables.iter().find(|(of, _)| *of == name);
            found.map(|(_, value)| value.into())
        })?;
        let shown = |problem: Problem| format!("{}: {}", problem.file, problem.message);
        Ok(found.problems.into_iter().map(shown).collect())
    }

    /// `verify` found nothing.
    #[track_caller]
    pub(crate) fn is_kept(&self, further: &[&str]) {
        let answer = self.gate(&[&["verify"], further].concat());
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (0, "the contract is kept\n"),
            "{answer:?}"
        );
    }

    /// `verify` found this, in this file.
    #[track_caller]
    pub(crate) fn is_broken(&self, further: &[&str], said: &[&str]) {
        let answer = self.gate(&[&["verify"], further].concat());
        assert_eq!(answer.code, 1, "{said:?}: {answer:?}");
        for text in said {
            assert!(answer.stdout.contains(text), "`{text}` is not in:\n{}", answer.stdout);
        }
    }
}

pub(crate) fn git(directory: &std::path::Path, arguments: &[&str]) -> String {
    let settings = [
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.org",
        "-c",
        "core.editor=true",
        "-c",
        "protocol.file.allow=always",
        "-c",
        "commit.gpgsign=false",
    ];
    let done =
        Command::new("git").current_dir(directory).args(settings).args(arguments).output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

pub(crate) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}
