//! `perf-gate`: see the library. Here stand only the streams and the exit code.

use std::env;
use std::io::{self, Write as _};
use std::panic;
use std::path::Path;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use cp1_format::{FindingVerdict, Outcome, Problem};
use perf_gate::adopt::init::init;
use perf_gate::adopt::manuals;
use perf_gate::check::Checked;
use perf_gate::cli::arguments::{Arguments, Check, Command, Runner};
use perf_gate::cli::settings;
use perf_gate::cli::sources::{self, CommandLine};
use perf_gate::contract::budget::budget;
use perf_gate::contract::lint::lint;
use perf_gate::contract::verify::{verify, verify_in_ci};
use perf_gate::contract::{ContractError, change, list};
use perf_gate::escape::line as line_of;
use perf_gate::prove::plan::plan;
use perf_gate::prove::selftest::selftest;
use perf_gate::prove::simulate::simulate;
use perf_gate::run::hygiene;
use perf_gate::run::measure::{Ended, OUT_OF_TIME};
use perf_gate::run::prove::prove;
use perf_gate::run::sessions::{Sessions, sessions};
use perf_gate::run::{RunError, gate, runner};

/// What came of the command, as far as the exit code needs it.
enum Ending {
    /// A report was judged; `complete` says that text and artifacts were written.
    Judged { outcome: Outcome, complete: bool },
    /// A signal ended a run; its artifacts are written.
    Interrupted(u8),
    /// The benchmark failed or ran out of time, with this code; the report says so.
    Unmeasured(u8),
    /// What was measured is no good for what it was measured for; the reasons are printed.
    Unusable,
    /// What was asked is done or printed.
    Done,
    /// What was looked at is not as it must be; the findings are printed.
    Found,
    /// Nothing was done.
    Failed,
}

fn main() -> ExitCode {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        complain(&format!("internal error at {place}; this is a bug of perf-gate"));
    }));
    let ending = panic::catch_unwind(run).unwrap_or(Ending::Failed);
    ExitCode::from(exit_code(&ending))
}

/// The one place where the exit code is decided: a verdict worse than PASS outranks a failed write.
fn exit_code(ending: &Ending) -> u8 {
    match ending {
        Ending::Judged { outcome: Outcome::Pass, complete: false } | Ending::Failed => 2,
        Ending::Judged { outcome, .. } => outcome.exit_code(),
        Ending::Done => 0,
        Ending::Found => 1,
        Ending::Unusable => Outcome::Inconclusive.exit_code(),
        Ending::Interrupted(code) | Ending::Unmeasured(code) => *code,
    }
}

fn run() -> Ending {
    let line = match sources::gather(env::args_os().collect(), env::vars_os()) {
        Ok(line) => line,
        Err(error) => return failed(&error),
    };
    // Help exits with 0, wrong usage with 2: clap's own codes.
    let matches = sources::command().get_matches_from(&line.arguments);
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match arguments.command {
        Command::Init(arguments) => answer(init(&arguments)),
        Command::Manuals(arguments) => match manuals::write(&arguments.prefix) {
            Ok(()) => Ending::Done,
            Err(error) => failed(&error),
        },
        Command::Doctor(arguments) => run_doctor(&arguments, &line),
        Command::Runner(arguments) => run_runner(&arguments),
        Command::Run(arguments) => run_gate(&arguments, &line),
        Command::Bench(arguments) => run_bench(&arguments, &line),
        Command::Sessions(arguments) => run_sessions(&arguments, &line),
        Command::Check(arguments) => check(&arguments),
        Command::Simulate(arguments) => answer(simulate(&arguments)),
        Command::Plan(arguments) => answer(plan(&arguments)),
        Command::Selftest(arguments) => answer(selftest(&arguments)),
        Command::Prove(arguments) => match prove(&arguments, &line) {
            Err(RunError::Interrupted(code)) => Ending::Interrupted(code),
            asked => answer(asked),
        },
        Command::Freeze(arguments) => answer(change::freeze(&arguments)),
        Command::Bump(arguments) => answer(change::bump(&arguments)),
        Command::Amend(arguments) => answer(change::amend(&arguments)),
        Command::Rollback(arguments) => answer(change::rollback(&arguments)),
        Command::Budget(arguments) => answer(budget(&arguments)),
        Command::Verify(arguments) if arguments.ci => {
            findings("the contract is kept", verify_in_ci(&arguments, |name| env::var_os(name)))
        }
        Command::Verify(arguments) => findings("the contract is kept", verify(&arguments)),
        Command::Lint(arguments) => findings("nothing was found", lint(&arguments)),
    }
}

/// Prints what was found.
fn findings(none: &str, found: Result<Vec<Problem>, ContractError>) -> Ending {
    let text = match &found {
        Ok(problems) if problems.is_empty() => none.to_owned(),
        Ok(problems) => list(problems),
        Err(_) => String::new(),
    };
    let is_clean = found.as_ref().is_ok_and(Vec::is_empty);
    match answer(found.map(|_| text)) {
        Ending::Done if !is_clean => Ending::Found,
        ending => ending,
    }
}

/// Prints what was asked.
fn answer<E: std::error::Error>(asked: Result<String, E>) -> Ending {
    let printed = asked.map_err(|error| error.to_string()).and_then(|text| {
        let lines: Vec<_> = text.lines().map(line_of).collect();
        writeln!(io::stdout(), "{}", lines.join("\n"))
            .map_err(|error| format!("failed to print: {error}"))
    });
    match printed {
        Ok(()) => Ending::Done,
        Err(text) => {
            complain(&text);
            Ending::Failed
        }
    }
}

fn run_gate(arguments: &settings::Run, line: &CommandLine) -> Ending {
    let outcome = match gate::run(arguments, line) {
        Ok(outcome) => outcome,
        Err(RunError::Interrupted(code)) => return Ending::Interrupted(code),
        Err(error) => return failed(&error),
    };
    let ending = shown(&outcome.checked, Some(&outcome.artifacts));
    match (outcome.ended, &ending) {
        (Some(Ended::Interrupted(code)), _) => Ending::Interrupted(code),
        (
            Some(Ended::Failed(why) | Ended::OutOfTime(why)),
            Ending::Judged { outcome: Outcome::Pass, .. },
        ) => {
            complain(&format!("the benchmark failed, so its report proves nothing: {why}"));
            Ending::Failed
        }
        _ => ending,
    }
}

fn run_bench(arguments: &settings::Bench, line: &CommandLine) -> Ending {
    match gate::bench(arguments, line) {
        Ok((report, ended)) => {
            let ending = match ended {
                Ended::Complete if report.exists() => Ending::Done,
                Ended::Complete => {
                    complain("the benchmark ended and left no report; see what it printed above");
                    Ending::Failed
                }
                Ended::Interrupted(code) => Ending::Interrupted(code),
                Ended::Failed(why) => {
                    complain(&why);
                    Ending::Unmeasured(1)
                }
                Ended::OutOfTime(why) => {
                    complain(&why);
                    Ending::Unmeasured(OUT_OF_TIME)
                }
            };
            if report.exists() {
                let path = report.display();
                let _ = writeln!(io::stdout(), "report: {}", line_of(&path.to_string()));
            }
            ending
        }
        Err(RunError::Interrupted(code)) => Ending::Interrupted(code),
        Err(error) => failed(&error),
    }
}

fn run_sessions(arguments: &settings::Sessions, line: &CommandLine) -> Ending {
    let measured = match sessions(arguments, line) {
        Ok(measured) => measured,
        Err(RunError::Interrupted(code)) => return Ending::Interrupted(code),
        Err(error) => return failed(&error),
    };
    match measured {
        Sessions::Usable(next) => answer::<RunError>(Ok(next)),
        Sessions::Unusable(reasons) => {
            complain(&format!("no baseline can have this session\n{}", list(&reasons)));
            Ending::Unusable
        }
        Sessions::OutOfTime(why) => {
            complain(&why);
            Ending::Unmeasured(OUT_OF_TIME)
        }
    }
}

fn run_doctor(arguments: &settings::Doctor, line: &CommandLine) -> Ending {
    let found = match gate::doctor(arguments, line) {
        Ok(found) => found,
        Err(RunError::Interrupted(code)) => return Ending::Interrupted(code),
        Err(error) => return failed(&error),
    };
    let lines: Vec<_> = found
        .iter()
        .map(|finding| {
            let word = match finding.verdict {
                FindingVerdict::Fine => "fine ",
                FindingVerdict::Note => "note ",
                FindingVerdict::Wrong => "WRONG",
            };
            format!("{word}  {}", finding.text)
        })
        .collect();
    let is_wrong = found.iter().any(|finding| finding.verdict == FindingVerdict::Wrong);
    match answer::<RunError>(Ok(lines.join("\n"))) {
        Ending::Done if is_wrong => Ending::Found,
        ending => ending,
    }
}

fn run_runner(arguments: &Runner) -> Ending {
    let checks = runner::look();
    let is_unfit = arguments.strict && checks.iter().any(hygiene::Check::is_unfit);
    match answer::<RunError>(Ok(hygiene::page(&checks))) {
        Ending::Done if is_unfit => Ending::Found,
        ending => ending,
    }
}

fn failed(error: &dyn std::error::Error) -> Ending {
    complain(&error.to_string());
    Ending::Failed
}

fn check(arguments: &Check) -> Ending {
    match perf_gate::check::check(arguments) {
        Ok(checked) => shown(&checked, arguments.artifacts.as_deref()),
        Err(error) => failed(&error),
    }
}

/// Prints a verdict and writes its artifacts.
fn shown(checked: &Checked, artifacts: Option<&Path>) -> Ending {
    let mut complete = true;
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(checked.text.as_bytes()).and_then(|()| stdout.flush()) {
        complain(&format!("failed to print the verdict: {error}"));
        complete = false;
    }
    if let Some(directory) = artifacts
        && let Err(errors) = checked.write_artifacts(directory)
    {
        errors.iter().for_each(|error| complain(&error.to_string()));
        complete = false;
    }
    Ending::Judged { outcome: checked.verdict.outcome, complete }
}

/// To standard error. Where that is closed there is nobody left to tell.
fn complain(text: &str) {
    let lines: Vec<_> = text.lines().map(line_of).collect();
    let _ = writeln!(io::stderr(), "perf-gate: {}", lines.join("\n"));
}
