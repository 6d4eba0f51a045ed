//! Every block as a point, in order of time, and why some of them count as disturbed.

use std::collections::BTreeSet;

use cp1_format::{Block, Disturbance, LimitKind, Metric, Policy, Verdict};
use maud::{Markup, html};

use super::chart::{
    Frame, Scale, digits, figure, mark_below, path, place, span, svg, upright_axis,
};
use super::sides::{Side, Sides, diamond, legend};
use super::table::{ABSENT, sentence, table};
use crate::judge::blocks::change_of_slices;

/// The blocks that share a place: those of a replay were measured in turn, others one side after the
/// other.
struct Column<'a> {
    baseline: Option<&'a Block>,
    candidate: Option<&'a Block>,
}

impl<'a> Column<'a> {
    fn block(&self, side: Side) -> Option<&'a Block> {
        match side {
            Side::Baseline => self.baseline,
            Side::Candidate => self.candidate,
        }
    }

    fn has(&self, metric: Metric) -> bool {
        let mut blocks = self.baseline.into_iter().chain(self.candidate);
        blocks.any(|block| block.metrics.get(metric).is_some())
    }

    fn number(&self) -> u32 {
        self.candidate.or(self.baseline).map_or(0, |block| block.block)
    }
}

fn columns<'a>(sides: &Sides<'a>) -> Vec<Column<'a>> {
    let [baseline, candidate] = Side::ALL.map(|side| sides.blocks(side));
    if sides.is_paired {
        let places = 0..baseline.len().max(candidate.len());
        let column = |at| Column { baseline: baseline.get(at), candidate: candidate.get(at) };
        return places.map(column).collect();
    }
    let frozen = baseline.iter().map(|block| Column { baseline: Some(block), candidate: None });
    let judged = candidate.iter().map(|block| Column { baseline: None, candidate: Some(block) });
    frozen.chain(judged).collect()
}

/// The blocks of both sides.
pub(super) fn section(sides: &Sides<'_>, verdict: &Verdict, policy: Option<&Policy>) -> Markup {
    let columns = columns(sides);
    html! {
        section #blocks aria-labelledby="blocks-heading" {
            h2 #blocks-heading { "Blocks" }
            @if columns.is_empty() {
                p.empty { "Neither report has blocks: figures stand alone, and nothing shows how they spread." }
            } @else {
                p.note {
                    @if sides.is_paired {
                        "In order of time. Both sides of a block were measured in turn, slice by slice."
                    } @else {
                        "The baseline's blocks, then the candidate's, each in order of time."
                    }
                    " The dashed limit is that of the baseline's figure; what decides is the estimate above."
                }
                (legend(&html! {
                    li { svg viewBox="0 0 34 12" aria-hidden="true" {
                        rect.disturbed x="8" y="0" width="18" height="12" {} text.mark x="17" y="10" text-anchor="middle" { "!" }
                    } "disturbed block" }
                    li { svg viewBox="0 0 34 12" aria-hidden="true" { path.limit d="M1 6L33 6" {} } "limit" }
                }))
                div.charts {
                    @for metric in Metric::ALL { (values(sides, &columns, metric, verdict, policy)) }
                }
                @if sides.is_paired {
                    h3 { "Change of each block" }
                    p.note { "The medians over slices measured in turn: what estimate and bounds are made of." }
                    div.charts {
                        @for metric in Metric::ALL.into_iter().filter(|metric| !metric.is_count()) {
                            (changes(&columns, metric, policy))
                        }
                    }
                }
                @if sides.left_out() > 0 { p.note { (sides.left_out()) " more blocks are not drawn." } }
                (disturbed(&columns))
                details { summary { "Numbers of all blocks" } (numbers(&columns)) }
            }
        }
    }
}

/// The middles of the columns; sides that were measured apart stand apart.
fn places(frame: &Frame, columns: &[Column<'_>]) -> Vec<f64> {
    let is_gap = |pair: &[Column<'_>]| matches!(pair, [a, b] if a.candidate.is_none() && b.baseline.is_none());
    let gaps = columns.windows(2).filter(|pair| is_gap(pair)).count();
    let width = (frame.right - frame.left) / (columns.len() + gaps).max(1) as f64;
    let mut at = frame.left + width / 2.0;
    let mut places = Vec::with_capacity(columns.len());
    for (index, _) in columns.iter().enumerate() {
        places.push(at);
        at += width;
        if columns.get(index..index + 2).is_some_and(is_gap) {
            at += width;
        }
    }
    places
}

/// Numbers below, as many as there is room for.
fn numbers_below(frame: &Frame, columns: &[Column<'_>], places: &[f64]) -> Markup {
    let every = columns.len().div_ceil(14).max(1);
    html! {
        @for (column, x) in columns.iter().zip(places).filter(|(column, _)| (column.number() as usize).is_multiple_of(every)) {
            (mark_below(frame, *x, &column.number().to_string()))
        }
    }
}

fn is_disturbed(block: &Block) -> bool {
    block.disturbed.as_ref().is_some_and(|reasons| !reasons.is_empty())
}

/// Bands behind what was disturbed.
fn bands(frame: &Frame, columns: &[Column<'_>], places: &[f64]) -> Markup {
    let width = (frame.right - frame.left) / columns.len().max(1) as f64;
    let width = width.min(22.0);
    html! {
        @for (column, x) in columns.iter().zip(places) {
            @if Side::ALL.into_iter().filter_map(|side| column.block(side)).any(is_disturbed) {
                rect.disturbed x=(place(x - width / 2.0)) width=(place(width)) y=(place(frame.top))
                    height=(place(frame.bottom - frame.top)) {}
                text.mark x=(place(*x)) y=(place(frame.top + 10.0)) text-anchor="middle" { "!" }
            }
        }
    }
}

fn value(block: &Block, metric: Metric) -> Option<f64> {
    block.metrics.get(metric).map(|figure| figure.approximate())
}

fn values(
    sides: &Sides<'_>,
    columns: &[Column<'_>],
    metric: Metric,
    verdict: &Verdict,
    policy: Option<&Policy>,
) -> Markup {
    let all = columns.iter().flat_map(|column| {
        Side::ALL.into_iter().filter_map(|side| value(column.block(side)?, metric))
    });
    let Some(ends) = span(all.clone()) else { return html! {} };
    let limits = limits(metric, verdict, policy);
    // A limit is drawn where it does not flatten what it limits.
    let near = (ends.1 - ends.0) * 4.0;
    let limits: Vec<f64> = limits
        .into_iter()
        .filter(|limit| (ends.0 - near..=ends.1 + near).contains(limit))
        .collect();
    let ends = span(all.chain(limits.iter().copied())).unwrap_or(ends);
    let frame = Frame::SMALL;
    let (scale, places) =
        (frame.upwards(ends).whole(metric.can_be_zero()), places(&frame, columns));
    let drawn = html! {
        (bands(&frame, columns, &places))
        (upright_axis(&frame, &scale, &scale.ticks()))
        @for limit in &limits {
            path.limit d=(path([(frame.left, scale.at(*limit)), (frame.right, scale.at(*limit))])) {}
        }
        (numbers_below(&frame, columns, &places))
        @for (column, x) in columns.iter().zip(&places) { (points(sides, column, metric, *x, &scale)) }
    };
    let says = Side::ALL
        .iter()
        .filter_map(|side| {
            let of = columns.iter().filter_map(|column| value(column.block(*side)?, metric));
            let count = of.clone().count();
            let (least, greatest) =
                (of.clone().fold(f64::INFINITY, f64::min), of.fold(f64::NEG_INFINITY, f64::max));
            (count > 0).then(|| {
                format!(
                    "{}: {count} blocks from {} to {}.",
                    side.name(),
                    digits(least),
                    digits(greatest)
                )
            })
        })
        .collect::<Vec<_>>()
        .join(" ");
    let title = format!("{metric} of each block");
    figure(
        metric.name(),
        metric.unit(),
        &svg(&frame, &format!("block-{metric}"), &title, &says, &drawn),
        None,
    )
}

fn points(sides: &Sides<'_>, column: &Column<'_>, metric: Metric, x: f64, scale: &Scale) -> Markup {
    let of = |side| column.block(side).and_then(|block| Some((block, value(block, metric)?)));
    let (baseline, candidate) = (of(Side::Baseline), of(Side::Candidate));
    // Beside each other, so that neither hides the other.
    let apart = if sides.is_paired { 3.5 } else { 0.0 };
    html! {
        @if let (Some((_, from)), Some((_, to))) = (baseline, candidate) {
            path.pair d=(path([(x - apart, scale.at(from)), (x + apart, scale.at(to))])) {}
        }
        @if let Some((block, figure)) = baseline {
            circle.point.baseline cx=(place(x - apart)) cy=(place(scale.at(figure))) r="3.2" {
                title { (says(block, Side::Baseline, metric, figure)) }
            }
        }
        @if let Some((block, figure)) = candidate {
            path.point.candidate d=(diamond(x + apart, scale.at(figure))) {
                title { (says(block, Side::Candidate, metric, figure)) }
            }
        }
    }
}

fn says(block: &Block, side: Side, metric: Metric, figure: f64) -> String {
    let reasons = block.disturbed.iter().flatten().map(|reason| reason.name()).collect::<Vec<_>>();
    let disturbed = if reasons.is_empty() {
        String::new()
    } else {
        format!("; disturbed: {}", reasons.join(", "))
    };
    format!(
        "block {}, {}: {} {}{disturbed}",
        block.block,
        side.name(),
        digits(figure),
        metric.unit()
    )
}

/// The limits of a metric in its unit: those on the change as they bind at the baseline's figure.
fn limits(metric: Metric, verdict: &Verdict, policy: Option<&Policy>) -> Vec<f64> {
    let Some(rule) = policy.and_then(|policy| policy.rules.get(&metric)) else { return Vec::new() };
    let result = verdict.rules.iter().find(|result| result.metric == metric);
    let baseline =
        result.and_then(|result| result.baseline.as_ref()).map(|figure| figure.approximate());
    let limit = |limit: cp1_format::Limit<'_>| match limit.kind {
        LimitKind::Change(way) => {
            Some(baseline? * (1.0 + way.turned(limit.amount.approximate()) / 100.0))
        }
        LimitKind::Max | LimitKind::Min => Some(limit.amount.approximate()),
        // That of a count of 0 is the axis.
        LimitKind::Equals => None,
    };
    rule.limits().filter_map(limit).collect()
}

fn changes(columns: &[Column<'_>], metric: Metric, policy: Option<&Policy>) -> Markup {
    let change = |column: &Column<'_>| {
        let log = change_of_slices(metric, column.baseline?, column.candidate?)?;
        Some(log.exp_m1() * 100.0).filter(|percent| percent.is_finite())
    };
    let changes: Vec<Option<f64>> = columns.iter().map(change).collect();
    let limits: Vec<f64> = policy
        .and_then(|policy| policy.rules.get(&metric))
        .iter()
        .flat_map(|rule| rule.relative_limits())
        .map(|(way, limit)| way.turned(limit.approximate()))
        .collect();
    let shown = changes.iter().flatten().copied();
    if shown.clone().next().is_none() {
        return html! {};
    }
    let Some(ends) = span(shown.clone().chain(limits.iter().copied()).chain([0.0])) else {
        return html! {};
    };
    // Percent may be below 0, so that there is room below it.
    let ends = (ends.0.min(-ends.1 * 0.1), ends.1);
    let frame = Frame::SMALL;
    let (scale, places) = (frame.upwards(ends), places(&frame, columns));
    let drawn = html! {
        (bands(&frame, columns, &places))
        (upright_axis(&frame, &scale, &scale.ticks()))
        line.zero x1=(place(frame.left)) x2=(place(frame.right)) y1=(place(scale.at(0.0))) y2=(place(scale.at(0.0))) {}
        @for limit in &limits {
            path.limit d=(path([(frame.left, scale.at(*limit)), (frame.right, scale.at(*limit))])) {}
        }
        (numbers_below(&frame, columns, &places))
        @for ((column, x), change) in columns.iter().zip(&places).zip(&changes) {
            @if let Some(percent) = change {
                path.point.candidate d=(diamond(*x, scale.at(*percent))) {
                    title { "block " (column.number()) ": " (format!("{percent:+.2} %")) }
                }
            }
        }
    };
    let (least, greatest) = (
        shown.clone().fold(f64::INFINITY, f64::min),
        shown.clone().fold(f64::NEG_INFINITY, f64::max),
    );
    let says = format!("{} blocks from {least:+.2} % to {greatest:+.2} %.", shown.count());
    let title = format!("Change of {metric} in each block");
    figure(
        metric.name(),
        "%",
        &svg(&frame, &format!("change-{metric}"), &title, &says, &drawn),
        None,
    )
}

/// Which blocks were disturbed and why; also that none was, and that nobody looked.
fn disturbed(columns: &[Column<'_>]) -> Markup {
    let blocks: Vec<(Side, &Block)> = columns
        .iter()
        .flat_map(|column| {
            Side::ALL.into_iter().filter_map(|side| Some((side, column.block(side)?)))
        })
        .collect();
    let silent = blocks.iter().filter(|(_, block)| block.disturbed.is_none()).count();
    let reasons: BTreeSet<Disturbance> =
        blocks.iter().flat_map(|(_, block)| block.disturbed.iter().flatten().copied()).collect();
    let of = |reason: &Disturbance, wanted: Side| {
        let disturbed = blocks.iter().filter(|(side, block)| {
            *side == wanted
                && block.disturbed.as_ref().is_some_and(|reasons| reasons.contains(reason))
        });
        let numbers: Vec<_> = disturbed.map(|(_, block)| block.block.to_string()).collect();
        if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") }
    };
    let row = |reason: &Disturbance| {
        vec![
            html! { (why(*reason)) " (" code { (reason.name()) } ")" },
            html! { (of(reason, Side::Baseline)) },
            html! { (of(reason, Side::Candidate)) },
        ]
    };
    let rows: Vec<Vec<Markup>> = reasons.iter().map(row).collect();
    html! {
        h3 { "Disturbed blocks" }
        @if !rows.is_empty() {
            (table("Disturbed blocks by reason", &["reason", "blocks of the baseline", "blocks of the candidate"], &rows))
        } @else if silent < blocks.len() {
            p.empty { "None was." }
        }
        @if silent > 0 {
            p.empty { (silent) " of " (blocks.len()) " blocks do not say whether they were disturbed." }
        }
    }
}

fn why(reason: Disturbance) -> &'static str {
    match reason {
        Disturbance::CpuStolen => "the hypervisor gave processor time to other guests",
        Disturbance::OtherCpuLoad => "other processes used the processors",
        Disturbance::CpuThrottled => "the control group ran out of its processor quota",
        Disturbance::HostStall => "threads woke late, inside the BEAM and outside",
        Disturbance::VmStall => "processes of the BEAM woke later than threads outside",
        Disturbance::CpuSpeedChanged => "arithmetic was slower or faster after than before",
        Disturbance::MemorySpeedChanged => "memory was slower or faster after than before",
        Disturbance::ClockDrift => "two clocks drifted apart",
    }
}

fn numbers(columns: &[Column<'_>]) -> Markup {
    let is_known =
        |metric: &Metric| !metric.is_optional() || columns.iter().any(|column| column.has(*metric));
    let metrics: Vec<Metric> = Metric::ALL.into_iter().filter(is_known).collect();
    let row = |(side, block): (Side, &Block)| {
        let figures = metrics.iter().map(|metric| match block.metrics.get(*metric) {
            Some(amount) => super::table::figure(amount, &digits(amount.approximate())),
            None => html! { (ABSENT) },
        });
        let reasons = match &block.disturbed {
            None => "not known".to_owned(),
            Some(reasons) if reasons.is_empty() => "no".to_owned(),
            Some(reasons) => {
                reasons.iter().map(|reason| reason.name()).collect::<Vec<_>>().join(", ")
            }
        };
        [html! { (block.block) ", " (side.name()) }]
            .into_iter()
            .chain(figures)
            .chain([html! { (sentence(&reasons)) }])
            .collect()
    };
    let rows: Vec<Vec<Markup>> = columns
        .iter()
        .flat_map(|column| {
            Side::ALL.into_iter().filter_map(|side| Some((side, column.block(side)?)))
        })
        .map(row)
        .collect();
    let headings: Vec<&str> = ["block"]
        .into_iter()
        .chain(metrics.iter().map(|metric| metric.name()))
        .chain(["disturbed"])
        .collect();
    table("Figures of every block", &headings, &rows)
}
