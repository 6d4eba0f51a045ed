//! `perf-gate`: see the library. Here stand only the streams and the exit code.

use std::io::{self, Write as _};
use std::panic;
use std::process::ExitCode;

use clap::Parser as _;
use cp1_format::{Outcome, Problem};
use perf_gate::cli::arguments::{Arguments, Check, Command};
use perf_gate::contract::budget::budget;
use perf_gate::contract::lint::lint;
use perf_gate::contract::usable::usable;
use perf_gate::contract::verify::verify;
use perf_gate::contract::{ContractError, change, list};
use perf_gate::escape::line;
use perf_gate::prove::plan::plan;
use perf_gate::prove::selftest::selftest;
use perf_gate::prove::simulate::simulate;
use perf_gate::prove::tally::tally;
use perf_gate::run::figure::figure;
use perf_gate::run::load::load;
use perf_gate::run::mode::mode;
use perf_gate::run::replay_plan::replay_plan;
use perf_gate::run::seal::seal;

/// "Try again later" of sysexits.h: with more blocks.
const EX_TEMPFAIL: u8 = 75;

/// What came of the command, as far as the exit code needs it.
enum Ending {
    /// A report was judged; `complete` says that text and artifacts were written.
    Judged { outcome: Outcome, complete: bool },
    /// More blocks are planned, and the caller wants to know.
    Undecided,
    /// The report is sealed, or what was asked is printed.
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
        Ending::Undecided => EX_TEMPFAIL,
    }
}

fn run() -> Ending {
    // Help exits with 0, wrong usage with 2: clap's own codes.
    match Arguments::parse().command {
        Command::Check(arguments) => check(&arguments),
        Command::Seal(arguments) => match seal(&arguments) {
            Ok(()) => Ending::Done,
            Err(error) => {
                complain(&error.to_string());
                Ending::Failed
            }
        },
        Command::Load(arguments) => answer(load(&arguments)),
        Command::Mode(arguments) => answer(mode(&arguments)),
        Command::Figure(arguments) => answer(figure(&arguments)),
        Command::ReplayPlan(arguments) => answer(replay_plan(&arguments)),
        Command::Simulate(arguments) => answer(simulate(&arguments)),
        Command::Plan(arguments) => answer(plan(&arguments)),
        Command::Selftest(arguments) => answer(selftest(&arguments)),
        Command::Tally(arguments) => answer(tally(&arguments)),
        Command::Usable(arguments) => findings("nothing speaks against it", usable(&arguments)),
        Command::Freeze(arguments) => answer(change::freeze(&arguments)),
        Command::Bump(arguments) => answer(change::bump(&arguments)),
        Command::Amend(arguments) => answer(change::amend(&arguments)),
        Command::Rollback(arguments) => answer(change::rollback(&arguments)),
        Command::Budget(arguments) => answer(budget(&arguments)),
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
        let lines: Vec<_> = text.lines().map(line).collect();
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

fn check(arguments: &Check) -> Ending {
    let checked = match perf_gate::check::check(arguments) {
        Ok(checked) => checked,
        Err(error) => {
            complain(&error.to_string());
            return Ending::Failed;
        }
    };
    let mut complete = true;
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(checked.text.as_bytes()).and_then(|()| stdout.flush()) {
        complain(&format!("failed to print the verdict: {error}"));
        complete = false;
    }
    if let Some(directory) = &arguments.artifacts
        && let Err(errors) = checked.write_artifacts(directory)
    {
        errors.iter().for_each(|error| complain(&error.to_string()));
        complete = false;
    }
    let next_look = checked.verdict.decision.as_ref().and_then(|decision| decision.next_look);
    if complete && (arguments.so_far || arguments.until_decided && next_look.is_some()) {
        return Ending::Undecided;
    }
    Ending::Judged { outcome: checked.verdict.outcome, complete }
}

/// To standard error. Where that is closed there is nobody left to tell.
fn complain(text: &str) {
    let lines: Vec<_> = text.lines().map(line).collect();
    let _ = writeln!(io::stderr(), "perf-gate: {}", lines.join("\n"));
}
