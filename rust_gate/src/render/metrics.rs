//! The figures of a verdict in OpenMetrics text, of which every line is one of Prometheus' text format and of
//! GitLab's metrics report too. Base units; no text of a file becomes a label.

use std::fmt::Write as _;

use bigdecimal::BigDecimal;
use cp1_format::{Amount, Decimal, Metric, Outcome, RuleResult};

use crate::render::Shown;
use crate::render::cases::{self, State};

/// Renders the metrics.
#[must_use]
pub fn render(shown: &Shown<'_>) -> String {
    let verdict = shown.verdict;
    let mut page = Page(String::new());
    let is_pass = u8::from(verdict.outcome == Outcome::Pass);
    page.family("cp1_gate_passes", "", "Whether the verdict is PASS.");
    page.sample("cp1_gate_passes", "", &is_pass.to_string());
    page.family(
        "cp1_gate_exit_code",
        "",
        "0 PASS, 1 REGRESSION, 2 INVALID, 3 INCONCLUSIVE, 4 INCOMPARABLE.",
    );
    page.sample("cp1_gate_exit_code", "", &verdict.exit_code.to_string());
    let cases = cases::of(shown);
    let of_rules = || cases.iter().skip(1);
    let is = |state: bool| u8::from(state).to_string();
    page.of_each("cp1_case_passes", "Whether it holds or is waived.", of_rules(), |case| {
        (label("case", &case.id), is(matches!(case.state, State::Good | State::Waived)))
    });
    page.of_each("cp1_case_waived", "Whether a waiver lets it pass.", of_rules(), |case| {
        (label("case", &case.id), is(case.state == State::Waived))
    });
    for rule in &verdict.rules {
        figures(&mut page, rule);
    }
    type Part = fn(&RuleResult) -> Option<&Decimal>;
    let parts: [(&str, &str, Part); 4] = [
        ("change", "Change of the medians.", |rule| rule.change_pct.as_ref()),
        ("change_estimate", "Change as estimated by blocks.", |rule| {
            Some(&rule.on_blocks.as_ref()?.estimate_pct)
        }),
        ("change_low", "Lower bound of the change.", |rule| {
            rule.on_blocks.as_ref()?.low_pct.as_ref()
        }),
        ("change_high", "Upper bound of the change.", |rule| {
            rule.on_blocks.as_ref()?.high_pct.as_ref()
        }),
    ];
    for (part, help, of) in parts {
        let name = format!("cp1_{part}_ratio");
        let found = verdict.rules.iter().filter_map(|rule| Some((rule.metric, of(rule)?)));
        page.of_each(&name, help, found, |(metric, percent)| {
            (label("metric", metric.name()), times(percent, 1, 2))
        });
    }
    page.0.push_str("# EOF\n");
    page.0
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, unit: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge");
        if !unit.is_empty() {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
    }

    fn sample(&mut self, name: &str, labels: &str, value: &str) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// A family with a sample of each; nothing where there is none.
    fn of_each<T>(
        &mut self,
        name: &str,
        help: &str,
        of: impl Iterator<Item = T>,
        sample: impl Fn(T) -> (String, String),
    ) {
        let samples: Vec<_> = of.map(sample).collect();
        if samples.is_empty() {
            return;
        }
        self.family(name, "", help);
        for (labels, value) in samples {
            self.sample(name, &labels, &value);
        }
    }
}

fn label(name: &str, value: &str) -> String {
    format!("{{{name}=\"{value}\"}}")
}

/// The figures of both sides.
fn figures(page: &mut Page, rule: &RuleResult) {
    let (name, unit, help) = match rule.metric {
        Metric::LatencyP95Ms => {
            ("cp1_latency_p95_seconds", "seconds", "Response time, 95th percentile.")
        }
        Metric::LatencyP99Ms => {
            ("cp1_latency_p99_seconds", "seconds", "Response time, 99th percentile.")
        }
        Metric::Rps => {
            ("cp1_requests_per_second", "", "Successful requests a second, closed loop.")
        }
        Metric::MemMbTotalErlang => ("cp1_memory_bytes", "bytes", "Peak memory of the Erlang VM."),
        Metric::MemMbWorstNode => {
            ("cp1_worst_node_memory_bytes", "bytes", "Peak memory of the node that had most.")
        }
        Metric::ErrorsTotal => ("cp1_errors", "", "Errors."),
        Metric::BackpressureActiveTotal => {
            ("cp1_backpressure_activations", "", "Times that backpressure became active.")
        }
        Metric::RecoveryMs => {
            ("cp1_recovery_seconds", "seconds", "From an outage until all is as before.")
        }
        Metric::RequestsLost => {
            ("cp1_requests_lost", "", "Requests around an outage that were not served.")
        }
    };
    let in_base_unit = |figure: &Amount| match rule.metric {
        Metric::LatencyP95Ms | Metric::LatencyP99Ms | Metric::RecoveryMs => times(figure, 1, 3),
        Metric::MemMbTotalErlang | Metric::MemMbWorstNode => times(figure, 1 << 20, 0),
        Metric::Rps
        | Metric::ErrorsTotal
        | Metric::BackpressureActiveTotal
        | Metric::RequestsLost => times(figure, 1, 0),
    };
    let sides = [("baseline", &rule.baseline), ("candidate", &rule.candidate)];
    let found: Vec<_> =
        sides.iter().filter_map(|(side, figure)| Some((side, figure.as_ref()?))).collect();
    if found.is_empty() {
        return;
    }
    page.family(name, unit, help);
    for (side, figure) in found {
        page.sample(name, &label("side", side), &in_base_unit(figure));
    }
}

/// A number times a factor, with the point so many places further to the left; exact.
fn times(number: &Decimal, factor: u64, places: i64) -> String {
    let (digits, scale) = (number.exact() * BigDecimal::from(factor)).into_bigint_and_scale();
    BigDecimal::new(digits, scale.saturating_add(places)).normalized().to_plain_string()
}
