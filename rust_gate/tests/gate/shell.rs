//! Habits of a shell, of every command that there is: help with examples and exit codes, answers as JSON,
//! `-` for standard input, completions.

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::machines::machine;
use crate::common::repository::{ANSWERS, Repository, pretty};
use crate::common::{Answer, Room, answered, full, full_of, minimal, set_memory};
use clap::{Command, FromArgMatches as _};
use perf_gate::cli::arguments::Arguments;
use perf_gate::cli::sources::command;
use serde_json::json;

/// Commands that print no answer: what they print is a file, or nothing.
const WITHOUT_ANSWER: [&str; 3] = ["manuals", "export", "import"];

/// Commands whose answers others look at: `prove` of kept gates, and those that take a BEAM.
const ELSEWHERE: [&str; 8] =
    ["bench", "bisect", "doctor", "explain", "flame", "prove", "sessions", "transport"];

/// The program and each command, hidden ones too, by its name.
fn commands() -> Vec<(String, Command)> {
    let mut program = command();
    program.build();
    let of_program = program.get_subcommands().filter(|command| command.get_name() != "help");
    let commands: Vec<_> =
        of_program.map(|command| (command.get_name().to_owned(), command.clone())).collect();
    [(String::new(), program)].into_iter().chain(commands).collect()
}

/// The lines of a section of the help's end, up to an empty one.
fn section(command: &Command, heading: &str) -> Vec<String> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines = text.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Command lines as a shell reads them: a `\` joins lines, `|` separates, `<` and `>` take a file.
fn command_lines(lines: &[String]) -> Vec<Vec<String>> {
    let text = lines.join("\n").replace("\\\n", " ");
    let of_line = text.lines().flat_map(|line| {
        let mut commands = vec![Vec::new()];
        let mut words = words(line).into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "|" => commands.push(Vec::new()),
                "<" | ">" => drop(words.next().expect("a file")),
                _ => commands.last_mut().unwrap().push(word),
            }
        }
        commands
    });
    of_line.collect()
}

fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.last_mut().unwrap().push_str(part);
            continue;
        }
        for (index, word) in part.split(' ').enumerate() {
            if index > 0 {
                words.push(String::new());
            }
            words.last_mut().unwrap().push_str(word);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_help_ends_with_examples_and_all_exit_codes() {
    for (name, command) in commands() {
        assert!(!section(&command, "Examples:").is_empty(), "`{name}` has no examples");
        let codes = section(&command, "Exit codes:");
        for code in ["  0  ", "  2  "] {
            assert!(codes.iter().any(|line| line.starts_with(code)), "`{name}`: {codes:?}");
        }
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "`{name}`: {line} would be broken");
        }
    }
}

#[test]
fn every_example_is_a_command_line_that_the_parser_takes() {
    for (name, command) in commands() {
        let lines = command_lines(&section(&command, "Examples:"));
        let is_own = |line: &Vec<String>| name.is_empty() || line[1] == name;
        assert!(lines.iter().any(is_own), "`{name}`: {lines:?}");
        for line in lines {
            assert_eq!(line[0], "perf-gate", "`{name}`");
            let matches = self::command().try_get_matches_from(&line);
            let parsed = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
            assert!(parsed.is_ok(), "`{name}`: {line:?}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn every_command_that_answers_has_text_and_json() {
    for (name, command) in commands().into_iter().skip(1) {
        let format = command.get_arguments().find(|arg| arg.get_long() == Some("format"));
        if WITHOUT_ANSWER.contains(&name.as_str()) {
            continue;
        }
        let values =
            format.unwrap_or_else(|| panic!("`{name}` has no --format")).get_possible_values();
        let names: Vec<_> = values.iter().map(|value| value.get_name()).collect();
        assert_eq!(names, ["text", "json"], "`{name}`");
    }
}

const JSON: [&str; 2] = ["--format", "json"];

#[test]
fn each_answer_is_one_json_document_of_its_schema_and_nothing_else_is_on_stdout() {
    let mut answering = BTreeSet::new();
    let mut ask = |command: &'static str, answer: Answer, code: i32| {
        answering.insert(command);
        answered(command, &answer, code)
    };
    let room = Room::with(&full_of(9, 25_000));
    room.change("baseline.json", |report| set_memory(report, |block| 1.0 + block as f64 / 1000.0));
    let files = ["--baseline", "baseline.json", "--policy", "policy.json"];
    let run = |arguments: &[&str]| room.run(&[arguments, &JSON].concat());
    let with_files = |command: &str, more: &[&str]| run(&[&[command], &files[..], more].concat());
    let candidate = ["--candidate", "candidate.json"];

    assert_eq!(ask("check", with_files("check", &candidate), 0)["outcome"], "PASS");
    let none = ["--candidate", "none.json"];
    assert_eq!(ask("check", with_files("check", &none), 2)["outcome"], "INVALID");
    let judged = ["run", "--artifacts", "out", "--compare", "frozen", "--project", "."];
    let verdict = ask("run", run(&[&judged, &files[..], &candidate].concat()), 0);
    assert_eq!(verdict["exit_code"], 0);

    let two = ["diff", "baseline.json", "candidate.json"];
    ask("diff", run(&two), 0);
    room.json("m1.json", &machine(1, 3, 1.0));
    room.json("m2.json", &machine(2, 3, 1.0));
    let two = ["merge", "--routers", "each", "m1.json", "m2.json", "--output", "merged.json"];
    assert_eq!(ask("merge", run(&two), 0)["report"], "merged.json");
    std::fs::create_dir_all(room.path("perf")).unwrap();
    std::fs::copy(room.path("policy.json"), room.path("perf/policy_cp1.json")).unwrap();
    ask("trend", run(&["trend", "candidate.json"]), 0);

    let simulated = ask("simulate", with_files("simulate", &["--gates", "20"]), 0);
    assert_eq!(simulated["lines"][0]["change_pct"], 0.0, "{simulated}");
    assert_eq!(simulated["false_alarms"]["of"], 20);
    let replays = ["--replay", "baseline.json", "--candidate", "candidate.json", "--as-measured"];
    let measured = ["simulate", "--policy", "policy.json", "--gates", "20"];
    let measured = ask("simulate", run(&[&measured[..], &replays].concat()), 0);
    assert_eq!(measured["measured"][0]["blocks"], 9, "{measured}");
    assert!(measured["lines"][0].get("change_pct").is_none(), "nothing says what was planted");
    let searches = with_files("simulate", &["--searches", "20", "--commits", "9"]);
    let searched = answered("simulate_searches", &searches, 0);
    assert_eq!(searched["lines"][0]["nobody"]["of"], 20, "{searched}");
    let needed = ask("plan", with_files("plan", &[]), 0);
    assert_eq!(needed["limits"][3]["metric"], "mem_mb_total_erlang", "{needed}");
    let planted = ask("selftest", with_files("selftest", &candidate), 0);
    assert!(planted.as_array().unwrap().iter().any(|one| one["answer"] == "green"), "{planted}");

    let checks = ask("runner", run(&["runner"]), 0);
    assert_eq!(checks.as_array().unwrap().len(), 16, "{checks}");
    std::fs::create_dir_all(room.path("src")).unwrap();
    room.bytes("src/my_router.app.src", "");
    let shown = ask("init", run(&["init", "--show"]), 0);
    assert_eq!(shown["steps"][0]["would_write"]["file"], "perf/perf_gate.toml", "{shown}");

    let repository = Repository::new();
    repository.sessions(|_, _| {});
    let frozen = ask("freeze", repository.change("freeze", &JSON), 0);
    assert_eq!(frozen["about"], "perf/baseline_cp1.json");
    repository.commit("freeze");
    assert_eq!(
        ask("verify", repository.gate(&[&["verify"], &JSON[..]].concat()), 0)["problems"],
        json!([])
    );
    let budget = repository.gate(&[&["budget", "--candidate", "s1.json"], &JSON[..]].concat());
    assert_eq!(ask("budget", budget, 0)["limits"][2]["limit_pct"], -10);
    repository.edit("perf/policy_cp1.json", "15", "14");
    let amended = repository.gate(&[&["amend"], &ANSWERS[..], &JSON].concat());
    assert_eq!(ask("amend", amended, 0)["number"], 2);
    repository.commit("amend");
    repository.sessions(|_, report| set_memory(report, |block| 1.1 + (block % 3) as f64 / 1000.0));
    let bumped = repository.change("bump", &["--reason", "trade-off", "--format", "json"]);
    assert_eq!(ask("bump", bumped, 0)["kind"], "trade_off");
    repository.commit("bump");
    let back = repository.gate(&[&["rollback", "1"], &ANSWERS[..], &JSON].concat());
    assert_eq!(ask("rollback", back, 0)["commands"].as_array().unwrap().len(), 2);
    let linted = repository.gate(&[&["lint"], &JSON[..]].concat());
    let code = linted.code;
    assert!(ask("lint", linted, code)["problems"].is_array());

    let expected: BTreeSet<_> = commands().into_iter().skip(1).map(|(name, _)| name).collect();
    let others = WITHOUT_ANSWER.into_iter().chain(ELSEWHERE);
    let seen: BTreeSet<_> = answering.into_iter().chain(others).map(str::to_owned).collect();
    assert_eq!(seen, expected, "a command whose JSON nobody looks at");
}

#[test]
fn a_refusal_is_talk_and_leaves_standard_output_empty() {
    let room = Room::new();
    for arguments in [
        &["plan", "--baseline", "none.json", "--policy", "policy.json"][..],
        &["simulate", "--policy", "policy.json", "--baseline", "baseline.json"],
        &["selftest", "--baseline", "baseline.json", "--policy", "none", "--candidate", "-"],
        &["budget", "--root", "nowhere"],
        &["init", "--project", "nowhere"],
        &["export", "--format", "csv", "none.json"],
        &["import", "--format", "k6", "none.json", "--timestamp", "2026-01-31T12:00:00Z"],
        &["merge", "--routers", "each", "--output", "none/all.json", "none.json", "candidate.json"],
    ] {
        for further in [&[][..], &JSON] {
            if !further.is_empty() && WITHOUT_ANSWER.contains(&arguments[0]) {
                continue;
            }
            let answer = room.run(&[arguments, further].concat());
            assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{answer:?}");
            assert!(answer.stderr.starts_with("perf-gate: "), "{answer:?}");
        }
    }
}

#[test]
fn a_minus_is_standard_input_wherever_a_report_is_read() {
    let room = Room::with(&full());
    let files = ["--baseline", "baseline.json", "--policy", "policy.json"];
    let (report, policy) = (room.text("candidate.json"), room.text("policy.json"));
    let asked: [(&[&str], &str); 7] = [
        (
            &[
                "check",
                "--baseline",
                "-",
                "--policy",
                "policy.json",
                "--candidate",
                "candidate.json",
            ],
            &room.text("baseline.json"),
        ),
        (
            &[
                "check",
                "--baseline",
                "baseline.json",
                "--policy",
                "-",
                "--candidate",
                "candidate.json",
            ],
            &policy,
        ),
        (&[&["check"], &files[..], &["--candidate", "-"]].concat(), &report),
        (
            &[
                &["run", "--compare", "frozen", "--artifacts", "out"],
                &files[..],
                &["--candidate", "-"],
            ]
            .concat(),
            &report,
        ),
        (&[&["selftest"], &files[..], &["--candidate", "-"]].concat(), &report),
        (&["plan", "--baseline", "-", "--policy", "policy.json"], &room.text("baseline.json")),
        (&["export", "--format", "csv", "-"], &report),
    ];
    for (arguments, input) in asked {
        let answer = room.run_on(input, arguments);
        // Three blocks are too few to plan with, which is known once they are read.
        let is_read = answer.code == 0 || answer.stderr.contains("blocks measured every");
        assert!(is_read, "{arguments:?}: {answer:?}");
    }
    let missing = room.run_on("", &[&["check"], &files[..], &["--candidate", "-"]].concat());
    missing.is_invalid(&["  -\n", "the report is empty"]);
    let twice = ["check", "--baseline", "-", "--policy", "policy.json", "--candidate", "-"];
    room.run_on(&report, &twice).is_invalid(&["it can be read once, and `-` is given twice"]);
    let measured = room.run_on(&policy, &["run", "--baseline", "baseline.json", "--policy", "-"]);
    assert_eq!(measured.code, 2);
    assert!(measured.stderr.contains("`-` is for --candidate"), "{measured:?}");
}

#[test]
fn a_session_of_a_baseline_can_be_piped_in() {
    let repository = Repository::new();
    repository.sessions(|_, _| {});
    let root = repository.path("");
    let sessions = ["freeze", "--session", "s0.json", "--session", "-", "--session", "s2.json"];
    let arguments = [&sessions[..], &ANSWERS, &["--root", root.to_str().unwrap()]].concat();
    let frozen = repository.room.run_on(&repository.room.text("s1.json"), &arguments);
    repository.done(&frozen);
    assert!(repository.text("perf/baseline_cp1.json").contains("2026-02-02T12:00:00Z"));
}

#[test]
fn a_file_of_that_name_is_meant_by_its_directory() {
    let room = Room::new();
    room.bytes("-", pretty(&minimal()));
    let files = ["--baseline", "baseline.json", "--policy", "policy.json", "--candidate", "./-"];
    room.run(&[&["check"], &files[..]].concat()).is(0, &[]);
}

#[test]
fn installed_completions_and_manuals_name_every_command() {
    let room = Room::new();
    assert_eq!(room.run(&["manuals", "--prefix", "usr"]).code, 0);
    let bash = room.path("usr/share/bash-completion/completions/perf-gate");
    let checked = std::process::Command::new("bash").arg("-n").arg(&bash).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let completions = [
        "bash-completion/completions/perf-gate",
        "zsh/site-functions/_perf-gate",
        "fish/vendor_completions.d/perf-gate.fish",
    ];
    for (name, command) in commands().into_iter().skip(1) {
        if command.is_hide_set() {
            continue;
        }
        for file in completions {
            let text = room.text(&format!("usr/share/{file}"));
            assert!(text.contains(&name), "{file} does not complete {name}");
        }
        let page = room.text(&format!("usr/share/man/man1/perf-gate-{name}.1"));
        for part in ["Examples:", "Exit codes:"] {
            assert!(page.contains(part), "the page of {name} has no {part}");
        }
    }
    assert!(Path::new(&room.path("usr/share/man/man1/perf-gate.1")).is_file());
}
