//! Many runs as one trend: each metric over the reports, how much of its limit each uses, where the baseline
//! moved and where the metric changed. Pure but for [`trend`], the command.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use cp1_format::{
    Against, Amount, BaselineMove, ChangePoint, Date, Decimal, LeftOut, LimitKind, LimitUse,
    Metric, MetricTrend, Metrics, Notice, Policy, Record, SchemaName, SchemaTag, Timestamp, Trend,
    TrendLimit, TrendPoint, TrendReport, TrendSeries, summary, to_json, write_atomically,
};

use super::HistoryError;
use super::kept::{Kept, Looked, Omission, hexadecimal, of, read};
use super::runs::find;
use crate::cli::arguments::{self, Format};
use crate::contract::records::Chain;
use crate::contract::{Contract, POLICY, RECORDS};
use crate::read::git::Git;
use crate::render::{trend_html, trend_terminal};
use crate::statistics::e_divisive::{self, LEVEL};

/// Most reports of a series among which changes are looked for, the newest: the time that this takes grows
/// faster than their number.
const CHANGES_AMONG: usize = 1000;

/// Decimal places of a percentage and of a figure made of binary fractions.
const PERCENT_PLACES: i64 = 2;
const FIGURE_PLACES: i64 = 9;

/// The trend of the files that are named.
///
/// # Errors
/// [`HistoryError`]
pub fn trend(arguments: &arguments::Trend) -> Result<String, HistoryError> {
    let (mut kept, mut left_out, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for run in find(&arguments.paths)? {
        match read(&run) {
            Ok(Looked::Kept(run)) => kept.push(*run),
            Ok(Looked::LeftOut(reason)) => left_out.push(reason),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(HistoryError::Files(problems));
    }
    let contract = Contract::at(&arguments.root.root);
    let mut notices = Vec::new();
    let policy = match contract.path(POLICY).symlink_metadata() {
        Ok(_) => Some(contract.policy().map_err(HistoryError::Read)?),
        Err(_) => {
            notices.push(Notice(format!(
                "there is no {POLICY} in {}, so no limit is shown: give --root",
                contract.root().display()
            )));
            None
        }
    };
    let chain = Chain::read(&contract)?;
    if !chain.problems.is_empty() {
        notices.push(Notice(format!(
            "{RECORDS} is no sound chain, so moves of the baseline may be missing: perf-gate verify"
        )));
    }
    let mut trend = assemble(kept, left_out, policy.as_ref(), &chain.records().collect::<Vec<_>>());
    trend.notices.extend(notices);
    name_commits(&mut trend, &Git::at(contract.root()));
    if let Some(path) = &arguments.html {
        write_atomically(path, trend_html::render(&trend).as_bytes())?;
    }
    Ok(match arguments.print.format {
        Format::Text => trend_terminal::render(&trend),
        Format::Json => to_json(&trend)?,
    })
}

/// The trend of runs in any order.
#[must_use]
pub fn assemble(
    mut kept: Vec<Kept>,
    mut left_out: Vec<Omission>,
    policy: Option<&Policy>,
    records: &[&Record],
) -> Trend {
    kept.sort_by(|one, other| {
        one.began_ns.cmp(&other.began_ns).then(one.commit.cmp(&other.commit))
    });
    let newest_adapter = kept.iter().rev().find_map(|run| run.adapter);
    let mut before: Option<Kept> = None;
    kept.retain(|run| {
        let is_other = run.adapter.is_some() && run.adapter != newest_adapter;
        let is_twice = before.is_some_and(|before| is_same(&before, run));
        if is_other {
            left_out.push(Omission::OtherAdapter);
        } else if is_twice {
            left_out.push(Omission::Twice);
        } else {
            before = Some(*run);
        }
        !is_other && !is_twice
    });
    let mut notices = Vec::new();
    if kept.len() > CHANGES_AMONG {
        notices.push(Notice(format!(
            "change points are looked for among the newest {CHANGES_AMONG} reports of each series"
        )));
    }
    let reports: Vec<TrendReport> = reports(&kept);
    let days: Vec<Date> = reports.iter().map(|report| Date::from(&report.timestamp)).collect();
    let metrics = Metric::ALL
        .into_iter()
        .filter_map(|metric| of_metric(metric, &kept, &days, policy, records));
    Trend {
        schema: SchemaTag { name: SchemaName::Cp1Trend, version: 1 },
        metrics: metrics.collect(),
        moves: records.iter().map(|record| move_of(record, &days)).collect(),
        left_out: counted(left_out),
        reports,
        significance: decimal(LEVEL, FIGURE_PLACES).unwrap_or_else(|| Decimal::from(0)),
        notices,
    }
}

/// Whether two runs are one, of which a copy lies elsewhere.
fn is_same(one: &Kept, other: &Kept) -> bool {
    (one.began_ns, one.commit, one.figures) == (other.began_ns, other.commit, other.figures)
}

fn reports(kept: &[Kept]) -> Vec<TrendReport> {
    let mut conditions = None;
    let of_run = |run: &Kept| {
        let is_new =
            run.conditions.is_some() && conditions.is_some() && run.conditions != conditions;
        conditions = run.conditions.or(conditions);
        Some(TrendReport {
            timestamp: Timestamp::from_unix_ns(run.began_ns)?,
            commit: run.commit.as_ref().map(hexadecimal),
            new_conditions: is_new,
        })
    };
    // A time that was read can be written.
    kept.iter().filter_map(of_run).collect()
}

fn counted(left_out: Vec<Omission>) -> Vec<LeftOut> {
    let mut counts = BTreeMap::<_, u64>::new();
    for reason in left_out {
        *counts.entry(reason).or_default() += 1;
    }
    let of_reason =
        |(reason, reports): (Omission, u64)| LeftOut { reason: reason.words().into(), reports };
    counts.into_iter().map(of_reason).collect()
}

fn move_of(record: &Record, days: &[Date]) -> BaselineMove {
    BaselineMove {
        number: record.number,
        date: record.date,
        kind: record.kind,
        what: record.what.clone(),
        report: days.partition_point(|day| *day < record.date) as u64,
    }
}

fn of_metric(
    metric: Metric,
    kept: &[Kept],
    days: &[Date],
    policy: Option<&Policy>,
    records: &[&Record],
) -> Option<MetricTrend> {
    let figures: Vec<_> = points(kept, |run| of(&run.figures, metric));
    if figures.is_empty() {
        return None;
    }
    let changes: Vec<_> = points(kept, |run| {
        of(&run.changes, metric)
            .filter(|change| change.against == Against::Replay)
            .map(|change| change.pct)
    });
    // A percentage is no distance, and its log is.
    let log: fn(f64) -> f64 = if metric.can_be_zero() { |count| count } else { f64::ln };
    let log_of_change = |pct: f64| (pct / 100.0).ln_1p();
    Some(MetricTrend {
        metric,
        figures: series(&figures, log, FIGURE_PLACES),
        changes: series(&changes, log_of_change, PERCENT_PLACES),
        limit: policy.and_then(|policy| limit(metric, kept, days, policy, records)),
    })
}

/// The figure of each run that has one, with its place.
fn points(kept: &[Kept], figure: impl Fn(&Kept) -> Option<f64>) -> Vec<(usize, f64)> {
    kept.iter().enumerate().filter_map(|(index, run)| Some((index, figure(run)?))).collect()
}

fn series(points: &[(usize, f64)], distance: impl Fn(f64) -> f64, places: i64) -> TrendSeries {
    let newest = points.len().saturating_sub(CHANGES_AMONG);
    let looked_at: Vec<f64> =
        points.iter().skip(newest).map(|(_, figure)| distance(*figure)).collect();
    let found = e_divisive::change_points(&looked_at);
    let edges: Vec<usize> = found.iter().map(|change| newest + change.at).collect();
    let median_of = |from: usize, to: usize| {
        let figures = points.get(from..to).unwrap_or_default().iter().map(|(_, figure)| *figure);
        decimal(summary::median(figures.collect())?, places)
    };
    let change_point = |(index, change): (usize, &e_divisive::ChangePoint)| {
        let at = *edges.get(index)?;
        let before = index.checked_sub(1).and_then(|index| edges.get(index)).copied();
        let after = edges.get(index + 1).copied().unwrap_or(points.len());
        Some(ChangePoint {
            after_report: points.get(at.checked_sub(1)?)?.0 as u64,
            report: points.get(at)?.0 as u64,
            p_value: decimal(change.p_value, 3)?,
            before: median_of(before.unwrap_or(newest), at)?,
            after: median_of(at, after)?,
            subject: None,
        })
    };
    let point = |(index, figure): &(usize, f64)| {
        Some(TrendPoint { report: *index as u64, value: decimal(*figure, places)? })
    };
    TrendSeries {
        points: points.iter().filter_map(point).collect(),
        change_points: found.iter().enumerate().filter_map(change_point).collect(),
    }
}

/// How much of its limit each run uses, where that is known.
fn limit(
    metric: Metric,
    kept: &[Kept],
    days: &[Date],
    policy: &Policy,
    records: &[&Record],
) -> Option<TrendLimit> {
    let worse = metric.worse();
    let limit = policy.rules.get(&metric)?.limit(LimitKind::Change(worse))?;
    let limit_pct = limit.approximate();
    let used = kept.iter().zip(days).enumerate().filter_map(|(index, (run, day))| {
        let judged = of(&run.changes, metric).map(|change| (change.pct, change.against));
        let (pct, against) = judged.or_else(|| {
            let from = in_force(records, *day)?.get(metric)?.approximate();
            let pct = (of(&run.figures, metric)? / from - 1.0) * 100.0;
            Some((pct, Against::Record))
        })?;
        let used = (worse.turned(pct) / limit_pct * 100.0).max(0.0);
        let used_pct = Amount::new(decimal(used, 1)?).ok()?;
        Some(LimitUse { report: index as u64, used_pct, against })
    });
    let sign = BigDecimal::from(if worse.turned(1.0) > 0.0 { 1 } else { -1 });
    let change_pct = Decimal::shortest(&(limit.exact() * sign), FIGURE_PLACES);
    Some(TrendLimit { change_pct, used: used.collect() })
}

/// The figures of the baseline that was in force on a day; `None` on a day on which it moved, as a record
/// says no hour, and before the first.
fn in_force<'a>(records: &[&'a Record], day: Date) -> Option<&'a Metrics> {
    let moved_that_day = records.iter().any(|record| record.date == day);
    let last = records.iter().rev().find(|record| record.date < day)?;
    (!moved_that_day).then_some(&last.metrics_after)
}

fn decimal(fraction: f64, places: i64) -> Option<Decimal> {
    let rounded = Decimal::of_fraction(fraction, places)?;
    Some(Decimal::shortest(rounded.exact(), places))
}

/// Says of each change point what its commit says of itself, as far as the repository has it.
fn name_commits(trend: &mut Trend, git: &Git) {
    let commit = |report: u64| trend.reports.get(usize::try_from(report).ok()?)?.commit.clone();
    let all = |metric: &MetricTrend| {
        let both = metric.figures.change_points.iter().chain(&metric.changes.change_points);
        both.filter_map(|change| commit(change.report)).collect::<Vec<_>>()
    };
    let wanted: Vec<String> = trend.metrics.iter().flat_map(all).collect();
    let subjects = git.subjects(&wanted);
    let reports = &trend.reports;
    for metric in &mut trend.metrics {
        let both = metric.figures.change_points.iter_mut().chain(&mut metric.changes.change_points);
        for change in both {
            let report = usize::try_from(change.report).ok().and_then(|index| reports.get(index));
            let commit = report.and_then(|report| report.commit.as_ref());
            change.subject = commit.and_then(|commit| subjects.get(commit).cloned());
        }
    }
}
