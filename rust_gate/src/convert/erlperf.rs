//! erlperf's table: its throughput, and with `--report full` the machine. It says nothing of latency: the
//! P99 of its extended table is that of samples of throughput.
//!
//! Source: erlperf, `erlperf_cli:format/2` and `erlperf_file_log:format_number/1`, whose `Ki` is 1000.
//! The table does not say how long a sample is; it is taken for the default, a second.

use cp1_format::{LoadTool, Metric};

use crate::convert::import::{ImportError, Measurement};
use crate::convert::source::{Line, Source, ten_to};

pub(super) const KIND: &str = "erlperf output";

/// The table that erlperf prints for few samples, and the one for many.
const COLUMNS: [&str; 8] = ["||", "Samples", "Avg", "StdDev", "Median", "P99", "Iteration", "Rel"];
const BASIC: [&str; 4] = ["||", "QPS", "Time", "Rel"];

const DAMAGED: &str = "give the whole output of erlperf, as it was printed";

/// What the output says.
pub(super) fn import(source: &Source) -> Result<Measurement, ImportError> {
    let mut measured = Measurement::new(LoadTool::Erlperf);
    let mut lines = source.lines();
    let headings = loop {
        let Some(line) = lines.next() else {
            let problem = "there is no table with the headings Code and ||";
            return Err(source.refused("the whole file", problem, DAMAGED));
        };
        let words: Vec<_> = line.words().collect();
        match words.as_slice() {
            ["Code", columns @ ..] if columns.first() == Some(&"||") => break columns.to_vec(),
            _ if line.text.contains("Timer accuracy problem") => {
                let problem = "erlperf says that its timer was inaccurate";
                return Err(source.refused(
                    line.place(),
                    problem,
                    "measure again, on a quieter machine",
                ));
            }
            _ => take_machine(&mut measured, line),
        }
    };
    let known = |column: &&str| COLUMNS.contains(column) || BASIC.contains(column);
    if let Some(column) = headings.iter().find(|column| !known(column)) {
        let problem = format!("the column {} is not known", column.escape_debug());
        return Err(source.refused("the headings", problem, DAMAGED));
    }
    let mut rows = lines.filter(|line| !line.text.trim().is_empty());
    let Some(row) = rows.next() else {
        return Err(source.cut_short("the table has no row"));
    };
    if let Some(second) = rows.next() {
        let problem = "this is a second row";
        return Err(source.refused(second.place(), problem, "run erlperf with one piece of code"));
    }
    take_rate(&mut measured, source, row, &headings)?;
    Ok(measured)
}

/// Of the lines above the table, as `--report full` prints them.
fn take_machine(measured: &mut Measurement, line: Line<'_>) {
    let Some((name, value)) = line.text.split_once(": ") else { return };
    let env = &mut measured.env;
    match name.trim() {
        "CPU" => env.cpu_model = Some(value.trim().to_owned()),
        "VM" => {
            let bracketed = |key: &str| {
                let rest = value.split_once(&format!("[{key}"))?.1;
                rest.split(']').next().map(str::to_owned)
            };
            env.otp_release = value
                .strip_prefix("Erlang/OTP ")
                .and_then(|rest| rest.split_whitespace().next())
                .map(str::to_owned);
            env.erts_version = bracketed("erts-");
            env.schedulers_online =
                bracketed("smp:").and_then(|smp| smp.rsplit(':').next()?.parse().ok());
            env.erts_flavor = bracketed("jit").map(|_| "jit".to_owned());
        }
        _ => {}
    }
}

/// Cells are taken from the right, as the code on the left may be anything.
fn take_rate(
    measured: &mut Measurement,
    source: &Source,
    row: Line<'_>,
    headings: &[&str],
) -> Result<(), ImportError> {
    let place = row.place();
    let mut words = row.words().rev().peekable();
    for column in headings.iter().rev() {
        let last = words.next().unwrap_or_default();
        let (number, suffix) = match last {
            "Ki" | "Mi" | "Gi" | "ns" | "us" | "ms" | "s" => {
                (words.next().unwrap_or_default(), last)
            }
            _ => (last, ""),
        };
        if !matches!(*column, "QPS" | "Avg") {
            continue;
        }
        let power = match suffix {
            "" => 0,
            "Ki" => 3,
            "Mi" => 6,
            "Gi" => 9,
            _ => {
                let problem = "a timed run's average is no rate";
                return Err(source.refused(place, problem, "run erlperf with --report basic"));
            }
        };
        let rate = source.count(&place, number)?;
        let rate = bigdecimal::BigDecimal::from(rate) * ten_to(power);
        return measured.set(source, &place, Metric::Rps, &rate);
    }
    Err(source.refused("the headings", "there is neither QPS nor Avg", DAMAGED))
}
