//! What was measured under which conditions, side by side; and what is planted.

use cp1_format::{EnvironmentField, Policy, Report};
use maud::{Markup, html};

use super::table::{sentence, table, text};
use crate::render::Shown;

/// Of a report that does not say.
const NOT_STATED: &str = "not stated";

type OfReport = fn(&Report) -> Option<String>;

/// What no policy can require to be equal.
const FURTHER: [(&str, OfReport); 3] = [
    ("kernel", |report| report.env.kernel.clone()),
    ("container_limits.cpu_max", |report| report.env.container_limits.as_ref()?.cpu_max.clone()),
    ("container_limits.memory_max_bytes", |report| {
        Some(report.env.container_limits.as_ref()?.memory_max_bytes?.to_string())
    }),
];

/// What of a run shapes nothing that is compared.
const OF_RUN: [(&str, OfReport); 8] = [
    ("timestamp", |report| Some(report.timestamp.to_string())),
    ("git.commit", |report| report.git.commit.clone()),
    ("git.dirty", |report| report.git.dirty.map(|dirty| dirty.to_string())),
    ("run.duration_ms", |report| report.run.duration_ms.map(|ms| ms.to_string())),
    ("load.warmup_ms", |report| Some(report.load.as_ref()?.warmup_ms.to_string())),
    ("load.throughput_ms", |report| Some(report.load.as_ref()?.throughput_ms.to_string())),
    ("load.latency_ms", |report| Some(report.load.as_ref()?.latency_ms.to_string())),
    ("load.seed", |report| Some(report.load.as_ref()?.seed?.to_string())),
];

/// A condition of two or three reports.
struct Condition {
    name: String,
    values: Vec<Option<String>>,
    /// Whether the compared reports must have the same.
    is_required: bool,
    /// Whether a difference is worth a mark.
    is_compared: bool,
}

/// Environment and load of every report.
pub(super) fn section(shown: &Shown<'_>) -> Markup {
    let reports: Vec<(&str, &Report)> =
        [("baseline", shown.baseline), ("replay", shown.replay), ("candidate", shown.candidate)]
            .into_iter()
            .filter_map(|(name, report)| Some((name, report?)))
            .collect();
    html! {
        section #conditions aria-labelledby="conditions-heading" {
            h2 #conditions-heading { "Conditions" }
            @if reports.is_empty() {
                p.empty { "No report could be read." }
            } @else {
                p.note {
                    @if shown.replay.is_some() {
                        "Compared are replay and candidate; the baseline was measured earlier, and need not be alike."
                    } @else {
                        "Compared are baseline and candidate."
                    }
                }
                (conditions(&reports, shown.policy, shown.replay.is_some()))
            }
            @let comparison = &shown.verdict.comparison;
            @if !comparison.differences.is_empty() {
                h3 { "Why they cannot be compared" }
                ul.plain {
                    @for difference in &comparison.differences {
                        li {
                            code { (text(&difference.field)) } ": baseline "
                            (difference.baseline.as_deref().map_or_else(|| NOT_STATED.to_owned(), sentence))
                            ", candidate "
                            (difference.candidate.as_deref().map_or_else(|| NOT_STATED.to_owned(), sentence))
                        }
                    }
                }
            }
            @if !comparison.unverified.is_empty() {
                p.note {
                    "Neither report states "
                    @for (index, field) in comparison.unverified.iter().enumerate() {
                        @if index > 0 { ", " } code { (text(field)) }
                    }
                    ", which should be equal."
                }
            }
        }
    }
}

fn conditions(reports: &[(&str, &Report)], policy: Option<&Policy>, is_replay: bool) -> Markup {
    let compared: Vec<usize> = reports
        .iter()
        .enumerate()
        .filter(|(_, (name, _))| *name == "candidate" || (*name == "replay") == is_replay)
        .map(|(index, _)| index)
        .collect();
    let conditions = all(reports, policy);
    let headings: Vec<&str> = ["condition"]
        .into_iter()
        .chain(reports.iter().map(|(name, _)| *name))
        .chain(["difference"])
        .collect();
    let row = |condition: &Condition| {
        let values: Vec<_> =
            compared.iter().filter_map(|index| condition.values.get(*index)).collect();
        let differs = condition.is_compared && matches!(values.as_slice(), [a, b] if a != b);
        let cells = condition.values.iter().map(|value| match value {
            Some(value) => html! { (sentence(value)) },
            None => html! { span.muted { (NOT_STATED) } },
        });
        let mark = html! {
            @if differs {
                span.badge.(if condition.is_required { "bad" } else { "open" }) {
                    span aria-hidden="true" { "≠" }
                    @if condition.is_required { " differs, must be equal" } @else { " differs" }
                }
            }
        };
        [html! { code { (condition.name) } }].into_iter().chain(cells).chain([mark]).collect()
    };
    let rows: Vec<Vec<Markup>> = conditions.iter().map(row).collect();
    table("Conditions of the reports", &headings, &rows)
}

fn all(reports: &[(&str, &Report)], policy: Option<&Policy>) -> Vec<Condition> {
    let of = |value: &dyn Fn(&Report) -> Option<String>| -> Vec<Option<String>> {
        reports.iter().map(|(_, report)| value(report)).collect()
    };
    let is_required = |field: EnvironmentField| {
        EnvironmentField::ALWAYS_REQUIRED.contains(&field)
            || policy.is_some_and(|policy| policy.environment.require.contains(&field))
    };
    let mut conditions = vec![Condition {
        name: "planted fault".to_owned(),
        // Whoever plants one says so.
        values: of(&|report| {
            Some(report.run.planted_fault.clone().unwrap_or_else(|| "none".to_owned()))
        }),
        is_required: false,
        is_compared: true,
    }];
    conditions.extend(EnvironmentField::ALL.into_iter().map(|field| Condition {
        name: field.name().to_owned(),
        values: of(&|report| report.fingerprint(field)),
        is_required: is_required(field),
        is_compared: true,
    }));
    conditions.extend(FURTHER.map(|(name, value)| Condition {
        name: name.to_owned(),
        values: of(&value),
        is_required: false,
        is_compared: true,
    }));
    // What shapes the load is compared wherever both say it.
    let shapes: Vec<_> = reports
        .iter()
        .map(|(_, report)| report.load.as_ref().map(cp1_format::Load::shape))
        .collect();
    let watched: Vec<_> = reports
        .iter()
        .map(|(_, report)| report.watched.as_ref().map(cp1_format::Watched::shape))
        .collect();
    if let Some(names) = watched.iter().flatten().next() {
        let value = |shape: &Option<[(&str, Option<String>); 5]>, name: &str| {
            shape.as_ref()?.iter().find(|(of, _)| *of == name).and_then(|(_, value)| value.clone())
        };
        conditions.extend(names.iter().map(|(name, _)| Condition {
            name: (*name).to_owned(),
            values: watched.iter().map(|shape| value(shape, name)).collect(),
            is_required: true,
            is_compared: true,
        }));
    }
    if let Some(names) = shapes.iter().flatten().next() {
        let value = |shape: &Option<[(&str, String); 11]>, name: &str| {
            shape.as_ref()?.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone())
        };
        conditions.extend(names.iter().map(|(name, _)| Condition {
            name: (*name).to_owned(),
            values: shapes.iter().map(|shape| value(shape, name)).collect(),
            is_required: true,
            is_compared: true,
        }));
    }
    conditions.extend(OF_RUN.map(|(name, value)| Condition {
        name: name.to_owned(),
        values: of(&value),
        is_required: false,
        is_compared: false,
    }));
    conditions.retain(|condition| condition.values.iter().any(Option::is_some));
    conditions
}

/// What is planted, where anything is: it stands above everything else.
pub(super) fn planted(shown: &Shown<'_>) -> Markup {
    let planted: Vec<(&str, &str)> =
        [("baseline", shown.baseline), ("replay", shown.replay), ("candidate", shown.candidate)]
            .into_iter()
            .filter_map(|(name, report)| Some((name, report?.run.planted_fault.as_deref()?)))
            .collect();
    html! {
        @if !planted.is_empty() {
            section.alert #planted aria-labelledby="planted-heading" {
                h2 #planted-heading { "Planted fault" }
                @for (name, fault) in planted {
                    p { "The " (name) " was measured with a fault planted on purpose: " code { (text(fault)) } "." }
                }
            }
        }
    }
}
