//! Two reports or verdicts side by side. Pure but for [`diff`], the command.

use std::path::Path;

use cp1_format::{
    Amount, Decimal, Difference, DifferenceKind, DifferenceSide, Environment, FieldSides,
    FigureSides, Input, Judgement, Metric, Notice, Phase, Report, RuleResult, SchemaName,
    SchemaTag, Share, SupportingFigure, Told, Unserved, UnservedSides, Verdict, to_json,
};

use super::HistoryError;
use crate::cli::arguments::{self, Format};
use crate::judge::rules::change_pct;
use crate::judge::{growth, supporting, unserved};
use crate::read::inputs::shown;
use crate::render::{difference, figures};

/// Two files side by side.
///
/// # Errors
/// A file cannot be read, or the answer cannot be encoded.
pub fn diff(arguments: &arguments::Diff) -> Result<String, HistoryError> {
    let (a, b) = (Told::read(&arguments.a)?, Told::read(&arguments.b)?);
    let difference = between((&arguments.a, &a), (&arguments.b, &b));
    Ok(match arguments.print.format {
        Format::Text => difference::render(&difference),
        Format::Json => to_json(&difference)?,
    })
}

/// What two files say, each beside the other.
#[must_use]
pub fn between((path_a, a): (&Path, &Told), (path_b, b): (&Path, &Told)) -> Difference {
    let both = |of: fn(&Told) -> Option<&Report>| of(a).zip(of(b));
    let reports = both(|told| match told {
        Told::Report(report) => Some(report.as_ref()),
        Told::Verdict(_) => None,
    });
    let environment = reports.map(|(a, b)| fields(&environment(&a.env), &environment(&b.env)));
    let load = reports.map(|(a, b)| fields(&load(a), &load(b)));
    let mut notices = Vec::new();
    if reports.is_none() {
        notices.push(Notice(
            "a verdict does not say where and under which load its candidate was measured: give the reports"
                .to_owned(),
        ));
    }
    Difference {
        schema: SchemaTag { name: SchemaName::Cp1Difference, version: 1 },
        a: side(path_a, a),
        b: side(path_b, b),
        metrics: metrics(a, b),
        supporting: figure_sides(supporting_of(a), supporting_of(b)),
        unserved: unserved_sides(a, b),
        outcomes: fields(&outcomes(a), &outcomes(b)),
        environment: environment.unwrap_or_default(),
        load: load.unwrap_or_default(),
        notices,
    }
}

fn side(path: &Path, told: &Told) -> DifferenceSide {
    let path = shown(path);
    match told {
        Told::Report(report) => DifferenceSide {
            kind: DifferenceKind::Report,
            input: Input {
                path,
                timestamp: Some(report.timestamp.to_string()),
                commit: report.git.commit.clone(),
                blocks: report.blocks.as_ref().map(|blocks| blocks.len() as u64),
            },
        },
        Told::Verdict(verdict) => DifferenceSide {
            kind: DifferenceKind::Verdict,
            input: Input { path, ..verdict.inputs.candidate.clone() },
        },
    }
}

fn metrics(a: &Told, b: &Told) -> Vec<FigureSides> {
    let of = |told: &Told, metric: Metric| match told {
        Told::Report(report) => report.metrics.get(metric).cloned(),
        Told::Verdict(verdict) => {
            let rule = verdict.rules.iter().find(|rule| rule.metric == metric);
            rule.and_then(|rule| rule.candidate.clone())
        }
    };
    let sides = |metric: Metric| figure(metric.name(), metric.unit(), of(a, metric), of(b, metric));
    Metric::ALL.into_iter().filter_map(sides).collect()
}

/// `None` where neither side has it.
fn figure(name: &str, unit: &str, a: Option<Amount>, b: Option<Amount>) -> Option<FigureSides> {
    let change_pct = a.as_ref().zip(b.as_ref()).and_then(|(a, b)| change_pct(a, b));
    let is_known = a.is_some() || b.is_some();
    is_known.then(|| FigureSides { name: name.to_owned(), unit: unit.to_owned(), a, b, change_pct })
}

/// Name, unit and figure.
type Supporting = Vec<(String, String, Amount)>;

fn supporting_of(told: &Told) -> Supporting {
    let figures = match told {
        Told::Report(report) => {
            let grown = growth::Grown::of(report);
            [supporting::figures(report, report), growth::figures(&grown, &grown)].concat()
        }
        Told::Verdict(verdict) => verdict.supporting.clone(),
    };
    let known = |SupportingFigure { name, unit, candidate, .. }| Some((name, unit, candidate?));
    figures.into_iter().filter_map(known).collect()
}

fn figure_sides(a: Supporting, b: Supporting) -> Vec<FigureSides> {
    let find = |side: &Supporting, name: &str, unit: &str| {
        let found = side.iter().find(|(own, of, _)| (own.as_str(), of.as_str()) == (name, unit));
        found.map(|(_, _, figure)| figure.clone())
    };
    let only_b = b.iter().filter(|(name, unit, _)| find(&a, name, unit).is_none());
    let all = a.iter().chain(only_b);
    all.filter_map(|(name, unit, _)| figure(name, unit, find(&a, name, unit), find(&b, name, unit)))
        .collect()
}

fn unserved_sides(a: &Told, b: &Told) -> Vec<UnservedSides> {
    let of = |told: &Told, phase: Phase, outcome: Unserved| match told {
        Told::Report(report) => unserved::share(report, phase, outcome),
        Told::Verdict(verdict) => {
            let is_it = |result: &&cp1_format::UnservedResult| {
                (result.phase, result.outcome) == (phase, outcome)
            };
            verdict.unserved.iter().find(is_it).map(|result| result.candidate.clone())
        }
    };
    let kinds =
        Phase::ALL.into_iter().flat_map(|phase| Unserved::ALL.map(|outcome| (phase, outcome)));
    let sides = kinds.map(|(phase, outcome)| UnservedSides {
        phase,
        outcome,
        a: of(a, phase, outcome),
        b: of(b, phase, outcome),
    });
    let has_any = |share: &Option<Share>| share.as_ref().is_some_and(|share| share.requests > 0);
    sides.filter(|sides| has_any(&sides.a) || has_any(&sides.b)).collect()
}

/// Texts by their name, in the order of a table.
type Fields = Vec<(String, Option<String>)>;

/// Every field that a side has.
fn fields(a: &Fields, b: &Fields) -> Vec<FieldSides> {
    let find = |side: &Fields, field: &str| {
        side.iter().find(|(name, _)| name == field).and_then(|(_, text)| text.clone())
    };
    let only_b = b.iter().filter(|(field, _)| a.iter().all(|(name, _)| name != field));
    let all = a.iter().chain(only_b).map(|(field, _)| FieldSides {
        field: field.clone(),
        a: find(a, field),
        b: find(b, field),
    });
    all.filter(|sides| sides.a.is_some() || sides.b.is_some()).collect()
}

fn environment(env: &Environment) -> Fields {
    let Environment {
        otp_release,
        erts_version,
        erts_flavor,
        vm_flags,
        schedulers_online,
        attached,
        distributed,
        cpu_count,
        cpu_model,
        cpu_quota,
        memory_total_mb,
        kernel,
        container_limits,
        clock_source,
        nif_version,
        router_bench_version,
        rust_profile,
        transport,
        transport_server,
        transport_tls_version,
        transport_tls_cipher,
    } = env;
    let text = |number: &Option<u32>| number.map(|number| number.to_string());
    let flag = |is: &Option<bool>| is.map(|is| is.to_string());
    let limits = container_limits.as_ref();
    named([
        ("otp_release", otp_release.clone()),
        ("erts_version", erts_version.clone()),
        ("erts_flavor", erts_flavor.clone()),
        ("vm_flags", vm_flags.clone()),
        ("schedulers_online", text(schedulers_online)),
        ("attached", flag(attached)),
        ("distributed", flag(distributed)),
        ("cpu_count", text(cpu_count)),
        ("cpu_model", cpu_model.clone()),
        ("cpu_quota", cpu_quota.map(|quota| quota.to_string())),
        ("memory_total_mb", memory_total_mb.map(|memory| memory.to_string())),
        ("kernel", kernel.clone()),
        ("container_limits.cpu_max", limits.and_then(|limits| limits.cpu_max.clone())),
        (
            "container_limits.memory_max_bytes",
            limits.and_then(|limits| limits.memory_max_bytes).map(|bytes| bytes.to_string()),
        ),
        ("clock_source", clock_source.clone()),
        ("nif_version", nif_version.clone()),
        ("router_bench_version", router_bench_version.clone()),
        ("rust_profile", rust_profile.clone()),
        ("transport", transport.clone()),
        ("transport_server", transport_server.clone()),
        ("transport_tls_version", transport_tls_version.clone()),
        ("transport_tls_cipher", transport_tls_cipher.clone()),
    ])
}

fn named<const N: usize>(fields: [(&str, Option<String>); N]) -> Fields {
    fields.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

fn load(report: &Report) -> Fields {
    if let Some(watched) = &report.watched {
        let shape = watched.shape().map(|(name, text)| (name.to_owned(), text));
        let extent = named([
            ("watched.blocks", Some(watched.blocks.to_string())),
            ("watched.drain_timeout_ms", Some(watched.drain_timeout_ms.to_string())),
            ("watched.sample_interval_ms", Some(watched.sample_interval_ms.to_string())),
        ]);
        return shape.into_iter().chain(extent).collect();
    }
    let Some(load) = &report.load else { return Vec::new() };
    let shape = load.shape().into_iter();
    let shape = shape.map(|(name, text)| (name.trim_start_matches("load.").to_owned(), Some(text)));
    let extent = named([
        ("blocks", Some(load.blocks.to_string())),
        ("warmup_ms", Some(load.warmup_ms.to_string())),
        ("throughput_ms", Some(load.throughput_ms.to_string())),
        ("latency_ms", Some(load.latency_ms.to_string())),
        ("calibration_rps", load.calibration_rps.as_ref().map(ToString::to_string)),
        ("drain_timeout_ms", Some(load.drain_timeout_ms.to_string())),
        ("sample_interval_ms", Some(load.sample_interval_ms.to_string())),
        ("timeout_ms", Some(load.timeout_ms.to_string())),
        ("seed", load.seed.map(|seed| seed.to_string())),
        ("machines", report.merged.as_ref().map(|merged| merged.machines.len().to_string())),
        ("merged_routers", report.merged.as_ref().map(|merged| merged.routers.name().to_owned())),
    ]);
    shape.chain(extent).collect()
}

fn outcomes(told: &Told) -> Fields {
    match told {
        Told::Report(report) => of_run(report),
        Told::Verdict(verdict) => of_verdict(verdict),
    }
}

fn of_run(report: &Report) -> Fields {
    let run = &report.run;
    let disturbed = report.blocks.as_ref().map(|blocks| {
        let is_disturbed = |block: &&cp1_format::Block| {
            block.disturbed.as_ref().is_some_and(|reasons| !reasons.is_empty())
        };
        format!("{} of {}", blocks.iter().filter(is_disturbed).count(), blocks.len())
    });
    named([
        ("status", Some(run.status.map_or("complete", cp1_format::RunStatus::name).to_owned())),
        ("reason", run.reason.clone()),
        ("exit code", run.ct_exit_code.map(|code| code.to_string())),
        ("planted fault", run.planted_fault.clone()),
        ("duration", run.duration_ms.map(|ms| format!("{} s", ms / 1000))),
        ("disturbed blocks", disturbed),
        ("changed work tree", report.git.dirty.map(|dirty| dirty.to_string())),
    ])
}

fn of_verdict(verdict: &Verdict) -> Fields {
    let mut fields = named([
        ("verdict", Some(verdict.outcome.word().to_owned())),
        ("summary", Some(verdict.summary.clone())),
    ]);
    fields.extend(
        verdict.rules.iter().map(|rule| (rule.metric.name().to_owned(), Some(answer(rule)))),
    );
    fields
}

/// What came of a rule, with the estimate that it rests on.
fn answer(rule: &RuleResult) -> String {
    let word = rule.judgement.word();
    let change = rule.on_blocks.as_ref().map(|blocks| &blocks.estimate_pct);
    let change: Option<&Decimal> = change.or(rule.change_pct.as_ref());
    match change.filter(|_| rule.judgement != Judgement::NotJudged) {
        Some(change) => format!("{word}, {}", figures::change(change)),
        None => word.to_owned(),
    }
}
