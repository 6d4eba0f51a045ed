//! OpenMetrics text: gauges in base units, of a report and of its blocks, with the time of the report.
//!
//! What is written is at the same time Prometheus' older text format, in which the lines that it does not
//! know are comments; so a report takes no type that only one of them has.
//!
//! Source: OpenMetrics 1.0, "Text format".

use std::fmt::Write as _;

use bigdecimal::BigDecimal;
use cp1_format::{Amount, Metric, Phase, Report, Unserved};

use crate::convert::source::ten_to;
use crate::escape::quoted;

/// A gauge and its samples: labels and value.
struct Family {
    name: String,
    /// The last part of the name, as the format asks for; empty of a count.
    unit: &'static str,
    help: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, String)>,
}

/// The report as one exposition.
pub(super) fn render(report: &Report, no_timestamps: bool) -> String {
    let time = match no_timestamps {
        true => String::new(),
        false => format!(" {}", report.timestamp.unix_seconds()),
    };
    let mut text = String::new();
    let filled = families(report).into_iter().filter(|family| !family.samples.is_empty());
    for Family { name, unit, help, samples } in filled {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}");
        let _ = writeln!(text, "# TYPE {name} gauge");
        if !unit.is_empty() {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        for (labels, value) in samples {
            let pair = |(key, value): &(&str, String)| format!("{key}=\"{}\"", quoted(value));
            let labels: Vec<_> = labels.iter().map(pair).collect();
            let labels =
                if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "{name}{labels} {value}{time}");
        }
    }
    text.push_str("# EOF\n");
    text
}

fn families(report: &Report) -> Vec<Family> {
    let mut families = vec![about(report)];
    for metric in Metric::ALL {
        let (name, unit, help, factor) = in_base_unit(metric);
        let value = |amount: &Amount| (amount.exact() * &factor).normalized().to_plain_string();
        let headline = report.metrics.get(metric).map(|amount| (Vec::new(), value(amount)));
        let block = |block: &cp1_format::Block| {
            let label = ("block", block.block.to_string());
            Some((vec![label], value(block.metrics.get(metric)?)))
        };
        let blocks = report.blocks.iter().flatten().filter_map(block).collect();
        let headline = headline.into_iter().collect();
        families.push(Family { name: format!("cp1_{name}"), unit, help, samples: headline });
        families.push(Family { name: format!("cp1_block_{name}"), unit, help, samples: blocks });
    }
    families.push(requests(report));
    families
}

/// What the figures are of, as labels of a constant.
fn about(report: &Report) -> Family {
    let env = &report.env;
    let known = [
        ("commit", report.git.commit.clone()),
        ("adapter", report.load.as_ref().map(|load| load.adapter.clone())),
        ("otp_release", env.otp_release.clone()),
        ("cpu_model", env.cpu_model.clone()),
        ("kernel", env.kernel.clone()),
        ("planted_fault", report.run.planted_fault.clone()),
        ("watched", report.watched.as_ref().map(|watched| watched.source.name().to_owned())),
        ("imported_from", report.run.imported_from.map(|tool| tool.name().to_owned())),
    ];
    let labels = known.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    Family {
        name: "cp1_report_info".to_owned(),
        unit: "",
        help: "What was measured, and where.",
        samples: vec![(labels, "1".to_owned())],
    }
}

/// Name, unit, help, and by what a figure is multiplied.
fn in_base_unit(metric: Metric) -> (&'static str, &'static str, &'static str, BigDecimal) {
    let ms = || ten_to(-3);
    let one = || BigDecimal::from(1);
    match metric {
        Metric::LatencyP95Ms => {
            ("latency_p95_seconds", "seconds", "95th percentile of the response time.", ms())
        }
        Metric::LatencyP99Ms => {
            ("latency_p99_seconds", "seconds", "99th percentile of the response time.", ms())
        }
        Metric::Rps => ("requests_per_second", "", "Successful requests a second.", one()),
        Metric::MemMbTotalErlang => (
            "memory_bytes",
            "bytes",
            "Memory of the BEAM at its peak.",
            BigDecimal::from(1_048_576),
        ),
        Metric::MemMbWorstNode => (
            "worst_node_memory_bytes",
            "bytes",
            "Memory of the router's node that had most, at its peak.",
            BigDecimal::from(1_048_576),
        ),
        Metric::ErrorsTotal => ("errors", "", "Errors and timeouts.", one()),
        Metric::BackpressureActiveTotal => {
            ("backpressure_activations", "", "Activations of backpressure.", one())
        }
        Metric::RecoveryMs => {
            ("recovery_seconds", "seconds", "From an outage until all is as before.", ms())
        }
        Metric::RequestsLost => {
            ("requests_lost", "", "Requests around an outage that were not served.", one())
        }
    }
}

fn requests(report: &Report) -> Family {
    let mut samples = Vec::new();
    for phase in Phase::ALL {
        let Some(outcomes) = report.accounting.as_ref().and_then(|accounting| phase.of(accounting))
        else {
            continue;
        };
        let unserved = Unserved::ALL.map(|outcome| (outcome.name(), outcome.of(outcomes)));
        for (outcome, count) in [("ok", outcomes.ok)].into_iter().chain(unserved) {
            let labels =
                vec![("phase", phase.name().replace(' ', "_")), ("outcome", outcome.to_owned())];
            samples.push((labels, count.to_string()));
        }
    }
    Family {
        name: "cp1_requests".to_owned(),
        unit: "",
        help: "Requests of all blocks, by what became of them.",
        samples,
    }
}
