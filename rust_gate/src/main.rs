//! `perf-gate`: see the library. Here stand only the streams and the exit code.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::panic::{self, PanicHookInfo};
use std::path::Path;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use cp1_format::{
    Answer, BenchReport, BisectionResult, FindingVerdict, Findings, Judgement, MachineCheck,
    Metric, Outcome, Said,
};
use perf_gate::adopt::init::init;
use perf_gate::adopt::manuals;
use perf_gate::artifacts;
use perf_gate::check::Checked;
use perf_gate::cli::arguments::{Arguments, Check, Command, Format, Import, Print, Runner};
use perf_gate::cli::settings;
use perf_gate::cli::sources::{self, CommandLine};
use perf_gate::contract::budget::budget;
use perf_gate::contract::lint::lint;
use perf_gate::contract::verify::{verify, verify_in_ci};
use perf_gate::contract::{ContractError, change};
use perf_gate::convert::export::export;
use perf_gate::convert::import::{Imported, import};
use perf_gate::escape::line as line_of;
use perf_gate::history::{diff::diff, trend::trend};
use perf_gate::merge::merge;
use perf_gate::prove::plan::plan;
use perf_gate::prove::selftest::selftest;
use perf_gate::prove::simulate::simulate;
use perf_gate::render::terminal::{self, Detail, Paint};
use perf_gate::render::{answers, bisection, explanation, variants};
use perf_gate::run::bisect::bisect;
use perf_gate::run::explanation::explain;
use perf_gate::run::flame::{Flame, flame};
use perf_gate::run::hygiene;
use perf_gate::run::measure::{Ended, Measurement, OUT_OF_TIME};
use perf_gate::run::prove::prove;
use perf_gate::run::sessions::{Sessions, sessions};
use perf_gate::run::variants::{Compared, transport};
use perf_gate::run::{RunError, gate, runner};

/// What came of the command, as far as the exit code needs it.
enum Ending {
    /// A report was judged.
    Judged { outcome: Outcome, told: Told },
    /// A signal ended a run; its artifacts are written.
    Interrupted(u8),
    /// What it takes is not on this machine; the reason is printed.
    Unavailable,
    /// The benchmark ran out of time; the report says so.
    OutOfTime,
    /// What was measured is no good for what it was measured for; the reasons are printed.
    Unusable,
    /// What was asked is done or printed.
    Done,
    /// What was looked at is not as it must be; the findings are printed.
    Found,
    /// Nothing was done, or nothing that anything follows from.
    Failed,
}

/// Whether the text of a verdict was printed, and its artifacts written.
#[derive(Clone, Copy)]
enum Told {
    /// All that was asked.
    Whole,
    /// One of the two.
    InPart,
    /// Nobody has it.
    Not,
}

/// EX_UNAVAILABLE of sysexits.h.
const UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    panic::set_hook(Box::new(|info| complain(&internal_error(info))));
    ExitCode::from(exit_code(&guarded(run)))
}

/// A panic is an ending as any other: what failed inside says nothing about a router.
fn guarded(run: impl FnOnce() -> Ending + panic::UnwindSafe) -> Ending {
    panic::catch_unwind(run).unwrap_or(Ending::Failed)
}

fn internal_error(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let said = info.payload_as_str().unwrap_or("a panic");
    format!(
        "internal error at {place}: {said}; this is a bug of perf-gate {}, and no answer: report this \
         line and the command that was typed where you have perf-gate from",
        env!("CARGO_PKG_VERSION")
    )
}

/// The one place where the exit code is decided: a verdict worse than PASS outranks a failed write, as
/// long as anybody can read it. What says nothing about the router can have a code of its own.
fn exit_code(ending: &Ending) -> u8 {
    match ending {
        Ending::Judged { outcome: Outcome::Pass, told: Told::InPart }
        | Ending::Judged { told: Told::Not, .. }
        | Ending::Failed => 2,
        Ending::Judged { outcome, .. } => outcome.exit_code(),
        Ending::Done => 0,
        Ending::Found => 1,
        Ending::Unusable => Outcome::Inconclusive.exit_code(),
        Ending::Unavailable => UNAVAILABLE,
        Ending::OutOfTime => OUT_OF_TIME,
        Ending::Interrupted(code) => *code,
    }
}

fn run() -> Ending {
    let line = match sources::gather(env::args_os().collect(), env::vars_os()) {
        Ok(line) => line,
        Err(error) => return failed(&error),
    };
    let matches = sources::command().try_get_matches_from(&line.arguments);
    let arguments = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match arguments.command {
        Command::Init(it) => answer(init(&it).map(Said::Init), it.print),
        Command::Manuals(arguments) => match manuals::write(&arguments.prefix) {
            Ok(()) => Ending::Done,
            Err(error) => failed(&error),
        },
        Command::Doctor(arguments) => run_doctor(&arguments, &line),
        Command::Runner(arguments) => run_runner(&arguments),
        Command::Run(arguments) => run_gate(&arguments, &line),
        Command::Bench(arguments) => run_bench(&arguments, &line),
        Command::Bisect(arguments) => run_bisect(&arguments, &line),
        Command::Sessions(arguments) => run_sessions(&arguments, &line),
        Command::Explain(arguments) => run_explain(&arguments, &line),
        Command::Flame(arguments) => run_flame(&arguments, &line),
        Command::Transport(arguments) => run_transport(&arguments, &line),
        Command::Check(arguments) => check(&arguments),
        Command::Trend(arguments) => page(trend(&arguments)),
        Command::Diff(arguments) => page(diff(&arguments)),
        Command::Merge(it) => answer(merge(&it).map(Said::Merge), it.print),
        Command::Simulate(it) => answer(simulate(&it), it.print),
        Command::Plan(it) => answer(plan(&it).map(Said::Plan), it.print),
        Command::Selftest(it) => answer(selftest(&it).map(Said::Selftest), it.print),
        Command::Prove(it) => match prove(&it, &line) {
            Err(RunError::Interrupted(code)) => Ending::Interrupted(code),
            asked => answer(asked.map(Said::Prove), it.print),
        },
        Command::Freeze(it) => answer(change::freeze(&it).map(Said::Freeze), it.print),
        Command::Bump(it) => answer(change::bump(&it).map(Said::Bump), it.print),
        Command::Amend(it) => answer(change::amend(&it).map(Said::Amend), it.print),
        Command::Rollback(it) => answer(change::rollback(&it).map(Said::Rollback), it.print),
        Command::Budget(it) => answer(budget(&it).map(Said::Budget), it.print),
        Command::Verify(it) => {
            let found = match it.ci {
                true => verify_in_ci(&it, |name| env::var_os(name)),
                false => verify(&it),
            };
            findings(found, Said::Verify, it.print)
        }
        Command::Lint(it) => findings(lint(&it), Said::Lint, it.print),
        Command::Export(arguments) => page(export(&arguments)),
        Command::Import(arguments) => run_import(&arguments),
    }
}

/// Prints what was found.
fn findings(
    found: Result<Findings, ContractError>,
    said: fn(Findings) -> Said,
    how: Print,
) -> Ending {
    let is_clean = found.as_ref().is_ok_and(|found| found.problems.is_empty());
    match answer(found.map(said), how) {
        Ending::Done if !is_clean => Ending::Found,
        ending => ending,
    }
}

/// Prints what was asked.
fn answer<E: std::error::Error>(asked: Result<Said, E>, how: Print) -> Ending {
    let said = match asked {
        Ok(said) => said,
        Err(error) => return failed(&error),
    };
    match how.format {
        Format::Text => {
            let lines: Vec<_> = answers::text(&said).lines().map(line_of).collect();
            print(&(lines.join("\n") + "\n"), Ending::Done)
        }
        Format::Json => match cp1_format::to_json(&Answer::new(said)) {
            Ok(json) => print(&json, Ending::Done),
            Err(error) => failed(&error),
        },
    }
}

/// To standard output, and how the command ends then.
fn print(text: &str, ending: Ending) -> Ending {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ending,
        Err(error) => {
            complain(&format!("failed to print: {error}"));
            Ending::Failed
        }
    }
}

/// Prints a page of which the renderer has escaped every text, as it is.
fn page<E: std::error::Error>(asked: Result<String, E>) -> Ending {
    match asked {
        Ok(text) => print(&text, Ending::Done),
        Err(error) => failed(&error),
    }
}

fn run_import(arguments: &Import) -> Ending {
    let Imported { json, absent } = match import(arguments) {
        Ok(imported) => imported,
        Err(error) => return failed(&error),
    };
    if !absent.is_empty() {
        let names: Vec<_> = absent.into_iter().map(Metric::name).collect();
        let names = names.join(", ");
        complain(&format!("not in the source, so no rule about it can pass: {names}"));
    }
    json.map_or(Ending::Done, |json| print(&json, Ending::Done))
}

fn run_gate(arguments: &settings::Run, line: &CommandLine) -> Ending {
    let outcome = match gate::run(arguments, line) {
        Ok(outcome) => outcome,
        Err(RunError::Interrupted(code)) => return Ending::Interrupted(code),
        Err(error) => return failed(&error),
    };
    let how = (arguments.print, arguments.explain.into());
    let ending = shown(&outcome.checked, Some(&outcome.artifacts), how);
    if let Some(directory) = &arguments.common_test
        && let Err(errors) = artifacts::write(directory, &outcome.checked.artifacts)
    {
        // The suite fails where there is nothing.
        errors.iter().for_each(|error| complain(&error.to_string()));
    }
    match (outcome.ended, ending) {
        (Some(Ended::Interrupted(code)), _) => Ending::Interrupted(code),
        (Some(Ended::Failed(why) | Ended::OutOfTime(why)), ending) => {
            complain(&format!("the benchmark failed, so its report proves nothing good: {why}"));
            match ending {
                Ending::Judged { outcome: Outcome::Pass, .. } => Ending::Failed,
                ending => ending,
            }
        }
        (Some(Ended::Complete) | None, ending) => ending,
    }
}

fn run_bench(arguments: &settings::Bench, line: &CommandLine) -> Ending {
    match gate::bench(arguments, line) {
        Ok((report, Measurement { ended, table })) => {
            if !arguments.talk.quiet {
                let table: Vec<_> = table.lines().map(line_of).collect();
                let _ = writeln!(io::stderr(), "{}", table.join("\n"));
            }
            let ending = match ended {
                Ended::Complete if report.exists() => Ending::Done,
                Ended::Complete => {
                    complain("the benchmark ended and left no report; see what it printed above");
                    Ending::Failed
                }
                Ended::Interrupted(code) => Ending::Interrupted(code),
                Ended::Failed(why) => {
                    complain(&why);
                    Ending::Failed
                }
                Ended::OutOfTime(why) => {
                    complain(&why);
                    Ending::OutOfTime
                }
            };
            if !report.exists() {
                return ending;
            }
            let report = report.display().to_string();
            match answer::<RunError>(Ok(Said::Bench(BenchReport { report })), arguments.print) {
                Ending::Done => ending,
                _ => Ending::Failed,
            }
        }
        Err(RunError::Interrupted(code)) => Ending::Interrupted(code),
        Err(error) => failed(&error),
    }
}

fn run_bisect(arguments: &settings::Bisect, line: &CommandLine) -> Ending {
    let bisection = match bisect(arguments, line) {
        Ok(bisection) => bisection,
        Err(RunError::Interrupted(code)) => return Ending::Interrupted(code),
        Err(error) => return failed(&error),
    };
    let is_found = matches!(bisection.result, Some(BisectionResult::Found { .. }));
    let text = match arguments.print.format {
        Format::Text => bisection::render(&bisection),
        Format::Json => match cp1_format::to_json(&bisection) {
            Ok(json) => json,
            Err(error) => return failed(&error),
        },
    };
    print(&text, if is_found { Ending::Done } else { Ending::Unusable })
}

fn run_sessions(arguments: &settings::Sessions, line: &CommandLine) -> Ending {
    let measured = match sessions(arguments, line) {
        Ok(measured) => measured,
        Err(RunError::Interrupted(code)) => return Ending::Interrupted(code),
        Err(error) => return failed(&error),
    };
    match measured {
        Sessions::Measured(reports) => {
            let is_usable = reports.problems.is_empty();
            match answer::<RunError>(Ok(Said::Sessions(reports)), arguments.print) {
                Ending::Done if !is_usable => Ending::Unusable,
                ending => ending,
            }
        }
        Sessions::OutOfTime(why) => {
            complain(&why);
            Ending::OutOfTime
        }
    }
}

fn run_explain(arguments: &settings::Explain, line: &CommandLine) -> Ending {
    let (found, file) = match explain(arguments, line) {
        Ok(explained) => explained,
        Err(RunError::Interrupted(code)) => return Ending::Interrupted(code),
        Err(error) => return failed(&error),
    };
    if !arguments.talk.quiet {
        complain(&format!("the explanation is in {}", file.display()));
    }
    match arguments.print.format {
        Format::Text => print(&explanation::terminal(&found, Detail::Explained), Ending::Done),
        Format::Json => page(cp1_format::to_json(&found)),
    }
}

fn run_flame(arguments: &settings::Flame, line: &CommandLine) -> Ending {
    match flame(arguments, line) {
        Ok(Flame::Drawn(graph)) => answer::<RunError>(Ok(Said::Flame(graph)), arguments.print),
        Ok(Flame::Unavailable(why)) => {
            complain(&format!("no flame graph: {why}"));
            Ending::Unavailable
        }
        Ok(Flame::OutOfTime(why)) => {
            complain(&why);
            Ending::OutOfTime
        }
        Err(RunError::Interrupted(code)) => Ending::Interrupted(code),
        Err(error) => failed(&error),
    }
}

fn run_transport(arguments: &settings::Transport, line: &CommandLine) -> Ending {
    let found = match transport(arguments, line) {
        Ok(Compared::Whole(found)) => found,
        Ok(Compared::OutOfTime(why)) => {
            complain(&why);
            return Ending::OutOfTime;
        }
        Err(RunError::Interrupted(code)) => return Ending::Interrupted(code),
        Err(error) => return failed(&error),
    };
    let ending = match found.decision.as_ref().map(|decision| decision.judgement) {
        None | Some(Judgement::Holds | Judgement::Waived) => Ending::Done,
        Some(Judgement::Violated) => Ending::Found,
        Some(Judgement::Undecided | Judgement::NotJudged) => Ending::Unusable,
    };
    match arguments.print.format {
        Format::Text => print(&variants::render(&found), ending),
        Format::Json => match cp1_format::to_json(found.as_ref()) {
            Ok(json) => print(&json, ending),
            Err(error) => failed(&error),
        },
    }
}

fn run_doctor(arguments: &settings::Doctor, line: &CommandLine) -> Ending {
    let found = match gate::doctor(arguments, line) {
        Ok(found) => found,
        Err(RunError::Interrupted(code)) => return Ending::Interrupted(code),
        Err(error) => return failed(&error),
    };
    let is_wrong = found.iter().any(|finding| finding.verdict == FindingVerdict::Wrong);
    match answer::<RunError>(Ok(Said::Doctor(found)), arguments.print) {
        Ending::Done if is_wrong => Ending::Found,
        ending => ending,
    }
}

fn run_runner(arguments: &Runner) -> Ending {
    let checks = runner::look();
    let is_unfit = arguments.strict && checks.iter().any(hygiene::Check::is_unfit);
    let checks = checks.iter().map(MachineCheck::from).collect();
    match answer::<RunError>(Ok(Said::Runner(checks)), arguments.print) {
        Ending::Done if is_unfit => Ending::Found,
        ending => ending,
    }
}

/// Help, which was asked for, or what is wrong with what was typed.
fn usage(error: &clap::Error) -> Ending {
    match (error.print(), error.use_stderr()) {
        (Ok(()), false) => Ending::Done,
        _ => Ending::Failed,
    }
}

fn failed(error: &dyn std::error::Error) -> Ending {
    complain(&error.to_string());
    Ending::Failed
}

fn check(arguments: &Check) -> Ending {
    match perf_gate::check::check(arguments) {
        Ok(checked) => {
            let how = (arguments.print, arguments.explain.into());
            shown(&checked, arguments.artifacts.as_deref(), how)
        }
        Err(error) => failed(&error),
    }
}

/// Writes the artifacts of a verdict and prints it.
fn shown(checked: &Checked, directory: Option<&Path>, how: (Print, Detail)) -> Ending {
    let (print, detail) = how;
    let written = directory.map(|directory| artifacts::write(directory, &checked.artifacts));
    if let Some(Err(errors)) = &written {
        errors.iter().for_each(|error| complain(&error.to_string()));
    }
    let place = directory
        .filter(|_| matches!(written, Some(Ok(()))))
        .map(|directory| artifacts::pattern(directory, &checked.stamp));
    let text = match print.format {
        Format::Text => {
            let mut text = terminal::render(&checked.verdict, detail, paint(), place.as_deref());
            if let Some(found) = &checked.explanation {
                text.push_str(&explanation::terminal(found, detail));
            }
            Ok(text)
        }
        Format::Json => cp1_format::to_json(&checked.verdict).map_err(io::Error::other),
    };
    let mut stdout = io::stdout().lock();
    let printed = text.and_then(|text| {
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    });
    if let Err(error) = &printed {
        complain(&format!("failed to print the verdict: {error}"));
    }
    let told = match (printed, written) {
        (Ok(()), None | Some(Ok(()))) => Told::Whole,
        (Ok(()), Some(Err(_))) | (Err(_), Some(Ok(()))) => Told::InPart,
        (Err(_), None | Some(Err(_))) => Told::Not,
    };
    Ending::Judged { outcome: checked.verdict.outcome, told }
}

/// Colors are for whoever looks, and wants them: <https://no-color.org>.
fn paint() -> Paint {
    let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb");
    let is_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match io::stdout().is_terminal() && !is_dumb && !is_unwanted {
        true => Paint::Colored,
        false => Paint::Plain,
    }
}

/// To standard error. Where that is closed there is nobody left to tell.
fn complain(text: &str) {
    let lines: Vec<_> = text.lines().map(line_of).collect();
    let _ = writeln!(io::stderr(), "perf-gate: {}", lines.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_ending_with_2_and_a_sentence_that_says_where_to_report_it() {
        use std::sync::{Arc, Mutex};
        let told = Arc::new(Mutex::new(String::new()));
        let teller = Arc::clone(&told);
        panic::set_hook(Box::new(move |info| *teller.lock().unwrap() = internal_error(info)));
        let ending = guarded(|| panic!("no {}", "way"));
        let _ = panic::take_hook();
        assert_eq!(exit_code(&ending), 2);
        let told = told.lock().unwrap();
        assert!(told.starts_with("internal error at rust_gate/src/main.rs:"), "{told}");
        assert!(told.contains(": no way; this is a bug of perf-gate"), "{told}");
        assert!(told.contains("report this line"), "{told}");
    }

    #[test]
    fn the_code_of_a_regression_stands_beside_a_verdict_that_somebody_has() {
        let code = |outcome, told| exit_code(&Ending::Judged { outcome, told });
        assert_eq!(code(Outcome::Regression, Told::Whole), 1);
        assert_eq!(code(Outcome::Regression, Told::InPart), 1);
        assert_eq!(code(Outcome::Regression, Told::Not), 2);
        assert_eq!(code(Outcome::Pass, Told::Whole), 0);
        assert_eq!(code(Outcome::Pass, Told::InPart), 2);
        assert_eq!(code(Outcome::Pass, Told::Not), 2);
    }
}
