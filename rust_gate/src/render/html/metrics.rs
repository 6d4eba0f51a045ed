//! Every rule with its figures, and where estimate and bounds lie between no change and the limit.

use cp1_format::{
    Amount, BlocksResult, Decimal, Direction, Judgement, LimitKind, Policy, Rule, RuleResult,
    Verdict,
};
use maud::{Markup, html};

use super::chart::{Frame, Scale, place, svg};
use super::sides::diamond;
use super::table::{ABSENT, figure, plain_table, sentence};
use crate::render::figures;

/// A row of the forest plot.
const ROW: Frame =
    Frame { width: 340.0, height: 46.0, left: 12.0, right: 328.0, top: 4.0, bottom: 28.0 };

/// Width that a label of [`ROW`] takes.
const LABEL: f64 = 44.0;

/// The rules, and what explains them.
pub(super) fn section(verdict: &Verdict, policy: Option<&Policy>) -> Markup {
    html! {
        section #metrics aria-labelledby="metrics-heading" {
            h2 #metrics-heading { "Metrics" }
            @if verdict.rules.is_empty() {
                p.empty { "No rule was judged." }
            } @else {
                (rules(verdict, policy))
            }
            @let lines = figures::decision(verdict);
            @if let Some((judged, without)) = lines.split_first() {
                p.note { (sentence(judged)) }
                @if !without.is_empty() {
                    details {
                        summary { "Without the disturbed blocks" }
                        ul.plain { @for line in without { li { (sentence(line)) } } }
                    }
                }
            }
            @if !verdict.unserved.is_empty() {
                h3 { "Requests that were not served" }
                (unserved(verdict))
            }
        }
    }
}

fn rules(verdict: &Verdict, policy: Option<&Policy>) -> Markup {
    html! {
        // The roles are said, as a narrow screen shows each row as a block, which would lose them.
        table.rules role="table" {
            caption.hidden { "Each metric with both figures, its limit, and the estimate with its bounds" }
            thead role="rowgroup" {
                tr role="row" {
                    @for heading in ["metric", "baseline", "candidate", "change", "limit",
                        "estimate and bounds", "verdict"] {
                        th role="columnheader" scope="col" { (heading) }
                    }
                }
            }
            tbody role="rowgroup" {
                @for rule in &verdict.rules {
                    (row(rule, policy.and_then(|policy| policy.rules.get(&rule.metric))))
                }
            }
        }
        @if verdict.rules.iter().any(|rule| rule.on_blocks.is_some()) {
            ul.legend {
                li { svg viewBox="0 0 34 12" aria-hidden="true" {
                    path.bounds d="M3 6L31 6M3 2L3 10M31 2L31 10" {} path.estimate d=(diamond(17.0, 6.0)) {}
                } "estimate and bounds of the change" }
                li { svg viewBox="0 0 34 12" aria-hidden="true" {
                    path.bounds.open d="M17 6L33 6" {} path.arrow d="M33 6L27 3L27 9Z" {}
                } "open, or beyond the picture" }
                li { svg viewBox="0 0 34 12" aria-hidden="true" {
                    rect.beyond x="17" y="0" width="17" height="12" {} path.limit d="M17 0L17 12" {}
                } "limit, and what is beyond it" }
                li { svg viewBox="0 0 34 12" aria-hidden="true" { path.catch d="M17 0L17 12" {} }
                    "what must be caught" }
            }
        }
        @let reasons = verdict.rules.iter().filter_map(|rule| Some((rule, rule.explanation.as_deref()?)));
        @if reasons.clone().next().is_some() {
            details.reasons open[verdict.rules.iter().any(|rule| rule.judgement != Judgement::Holds)] {
                summary { "Why each answer" }
                dl {
                    @for (rule, reason) in reasons {
                        dt { code { (rule.metric) } " " (badge(rule.judgement)) }
                        dd {
                            (sentence(reason))
                            @if let Some(waiver) = &rule.waiver {
                                " Waived up to " (waiver.ceiling_pct) " % until " (waiver.expires) ": "
                                (sentence(&waiver.reason)) " (" (sentence(&waiver.issue)) ")"
                            }
                        }
                    }
                }
            }
        }
    }
}

fn row(rule: &RuleResult, policy: Option<&Rule>) -> Markup {
    let [_, baseline, candidate, change, limit, _] = figures::row(rule);
    let amount = |amount: &Option<Amount>, shown: &str| match amount {
        Some(amount) => figure(amount, shown),
        None => html! { (shown) },
    };
    html! {
        tr role="row" data-metric=(rule.metric) data-judgement=(rule.judgement.word()) {
            th role="rowheader" scope="row" { code { (rule.metric) } }
            td.baseline role="cell" data-label="baseline" { (amount(&rule.baseline, &baseline)) }
            td.candidate role="cell" data-label="candidate" { (amount(&rule.candidate, &candidate)) }
            td.change role="cell" data-label="change" {
                @match &rule.change_pct { Some(percent) => (figure(percent, &change)), None => (change) }
            }
            td.limit role="cell" data-label="limit" { (sentence(&limit)) }
            td.plot role="cell" data-label="estimate and bounds" {
                (plot(rule, policy))
                @match &rule.on_blocks {
                    Some(result) => (words(result)),
                    None => span.muted { (alone(rule)) },
                }
            }
            td.judgement role="cell" data-label="verdict" { (badge(rule.judgement)) }
        }
    }
}

/// Why a rule has no bounds.
fn alone(rule: &RuleResult) -> &'static str {
    match (rule.metric.is_count(), &rule.change_pct) {
        (true, _) => "a count: judged by itself",
        (false, Some(_)) => "one figure against one figure: no bounds",
        (false, None) => "no change to estimate",
    }
}

/// An answer by sign, word and color.
pub(super) fn badge(judgement: Judgement) -> Markup {
    let (class, sign) = match judgement {
        Judgement::Holds => ("good", "✓"),
        Judgement::Waived => ("open", "~"),
        Judgement::Violated => ("bad", "✕"),
        Judgement::Undecided => ("open", "?"),
        Judgement::NotJudged => ("none", "–"),
    };
    html! { span.badge.(class) { span aria-hidden="true" { (sign) } " " (judgement.word()) } }
}

fn words(result: &BlocksResult) -> Markup {
    let bound = |class: &str, bound: &Option<Decimal>| {
        html! {
            @match bound {
                Some(percent) => span class=(class) { (figure(percent, &figures::change(percent))) },
                None => "open",
            }
        }
    };
    html! {
        span.words {
            span.estimate { (figure(&result.estimate_pct, &figures::change(&result.estimate_pct))) }
            " (" (bound("low", &result.low_pct)) " to " (bound("high", &result.high_pct)) ")"
        }
    }
}

/// The limits of a rule that stop one way, in percent with their sign.
fn limits(rule: &Rule) -> Vec<(Direction, f64)> {
    let signed = |(way, amount): (Direction, &Amount)| (way, way.turned(amount.approximate()));
    rule.relative_limits().map(signed).collect()
}

fn plot(rule: &RuleResult, policy: Option<&Rule>) -> Markup {
    let limits = policy.map(limits).unwrap_or_default();
    let change = rule.change_pct.as_ref().map(Decimal::approximate);
    match (&rule.on_blocks, change) {
        (Some(result), _) if !limits.is_empty() => interval(rule, result, &limits),
        (None, Some(change)) if !limits.is_empty() => point(rule, change, &limits),
        _ => policy.map(|policy| figure_within(rule, policy)).unwrap_or_default(),
    }
}

/// Ends of a row: no change lies within, and what must be caught.
fn reach(limits: &[(Direction, f64)], must_catch: Option<f64>) -> (f64, f64) {
    let farthest = limits.iter().map(|(_, limit)| *limit).chain(must_catch).map(f64::abs);
    let reach = farthest.fold(0.0, f64::max).clamp(0.01, 1e9) * 1.2;
    // Of what must be caught nothing is left out, or it is at least twice the limit.
    let reach = if must_catch.is_some() { reach } else { reach * 2.0 };
    (-reach, reach)
}

fn interval(rule: &RuleResult, result: &BlocksResult, limits: &[(Direction, f64)]) -> Markup {
    let must_catch = result.must_catch_pct.approximate();
    let scale = ROW.across(reach(limits, Some(must_catch)));
    let estimate = result.estimate_pct.approximate();
    let (low, high) = (
        result.low_pct.as_ref().map(Decimal::approximate),
        result.high_pct.as_ref().map(Decimal::approximate),
    );
    let drawn = html! {
        (zones(&scale, limits, Some(must_catch)))
        (half(&scale, estimate, low, -1.0))
        (half(&scale, estimate, high, 1.0))
        (estimate_at(&scale, estimate))
    };
    let says = format!(
        "Estimate {}, bounds {} to {}; limit: {}; must catch {}.",
        figures::change(&result.estimate_pct),
        result.low_pct.as_ref().map_or_else(|| "open".to_owned(), figures::change),
        result.high_pct.as_ref().map_or_else(|| "open".to_owned(), figures::change),
        sentence(&rule.limit),
        figures::change(&result.must_catch_pct),
    );
    drawn_row(rule, &says, &drawn)
}

/// One figure against one figure: a point without bounds.
fn point(rule: &RuleResult, change: f64, limits: &[(Direction, f64)]) -> Markup {
    let scale = ROW.across(reach(limits, None));
    let drawn = html! { (zones(&scale, limits, None)) (estimate_at(&scale, change)) };
    let shown = rule.change_pct.as_ref().map(figures::change).unwrap_or_default();
    let says = format!("Change {shown}, without bounds; limit: {}.", sentence(&rule.limit));
    drawn_row(rule, &says, &drawn)
}

/// A figure and its own limit, from 0 on.
fn figure_within(rule: &RuleResult, policy: &Rule) -> Markup {
    let limit = |kind| policy.limit(kind).map(|amount| amount.approximate());
    let (most, least) = (limit(LimitKind::Max), limit(LimitKind::Min));
    let candidate = rule.candidate.as_ref().map(|figure| figure.approximate());
    let farthest = [most, least].into_iter().flatten().fold(0.0, f64::max);
    let (Some(candidate), true) = (candidate, farthest > 0.0) else { return html! {} };
    let scale = ROW.across((0.0, farthest * 1.5));
    let baseline = rule.baseline.as_ref().map(|figure| figure.approximate());
    let drawn = html! {
        @if let Some(most) = most { (beyond(&scale, most, farthest * 1.5)) }
        @if let Some(least) = least { (beyond(&scale, 0.0, least)) }
        line.axis x1=(place(ROW.left)) x2=(place(ROW.right)) y1=(place(middle())) y2=(place(middle())) {}
        @for limit in [least, most].into_iter().flatten() { (limit_at(&scale, limit)) }
        (label_at(scale.at(0.0), "0"))
        @if let Some(baseline) = baseline.filter(|figure| scale.holds(*figure)) {
            circle.point.baseline cx=(place(scale.at(baseline))) cy=(place(middle())) r="3.5" {}
        }
        (estimate_at(&scale, candidate))
    };
    let [_, _, shown, ..] = figures::row(rule);
    drawn_row(rule, &format!("The candidate's {shown}; limit: {}.", sentence(&rule.limit)), &drawn)
}

fn drawn_row(rule: &RuleResult, says: &str, drawn: &Markup) -> Markup {
    let title = format!("{} within its limit", rule.metric);
    svg(&ROW, &format!("plot-{}", rule.metric), &title, says, drawn)
}

fn middle() -> f64 {
    f64::midpoint(ROW.top, ROW.bottom)
}

/// What lies beyond the limits, no change, and what must be caught, with their labels.
fn zones(scale: &Scale, limits: &[(Direction, f64)], must_catch: Option<f64>) -> Markup {
    // A label that would lie over a limit's is left out.
    let caught = must_catch.filter(|caught| {
        limits.iter().all(|(_, limit)| (scale.at(*caught) - scale.at(*limit)).abs() > LABEL)
    });
    html! {
        @for (way, limit) in limits {
            @let end = way.turned(f64::MAX);
            (beyond(scale, limit.min(end), limit.max(end)))
        }
        line.axis x1=(place(ROW.left)) x2=(place(ROW.right)) y1=(place(middle())) y2=(place(middle())) {}
        line.zero x1=(place(scale.at(0.0))) x2=(place(scale.at(0.0))) y1=(place(ROW.top))
            y2=(place(ROW.bottom)) {}
        @if let Some(caught) = must_catch {
            path.catch d=(upright(scale.at(caught))) {}
        }
        @for (_, limit) in limits { (limit_at(scale, *limit)) }
        (label_at(scale.at(0.0), "0"))
        @for (_, limit) in limits {
            @if (scale.at(*limit) - scale.at(0.0)).abs() > LABEL / 2.0 {
                (label_at(scale.at(*limit), &percent(*limit)))
            }
        }
        @if let Some(caught) = caught { (label_at(scale.at(caught), &percent(caught))) }
    }
}

fn percent(number: f64) -> String {
    let digits = super::chart::digits(number);
    format!("{}{digits} %", if number > 0.0 { "+" } else { "" })
}

fn beyond(scale: &Scale, from: f64, to: f64) -> Markup {
    let (left, right) = (scale.at(from), scale.at(to));
    html! {
        rect.beyond x=(place(left)) y=(place(ROW.top)) width=(place(right - left))
            height=(place(ROW.bottom - ROW.top)) {}
    }
}

fn upright(x: f64) -> String {
    super::chart::path([(x, ROW.top), (x, ROW.bottom)])
}

fn limit_at(scale: &Scale, limit: f64) -> Markup {
    html! { path.limit d=(upright(scale.at(limit))) {} }
}

fn label_at(x: f64, label: &str) -> Markup {
    let x = x.clamp(ROW.left + 8.0, ROW.right - 8.0);
    html! { text.tick x=(place(x)) y=(place(ROW.bottom + 14.0)) text-anchor="middle" { (label) } }
}

/// From the estimate to a bound; an open one, or one beyond the picture, ends in an arrow.
fn half(scale: &Scale, estimate: f64, bound: Option<f64>, way: f64) -> Markup {
    let (y, from) = (middle(), scale.at(estimate));
    let end = bound.filter(|bound| scale.holds(*bound));
    let to = match end {
        Some(bound) => scale.at(bound),
        None => scale.at(way * f64::MAX),
    };
    html! {
        path.bounds.open[bound.is_none()] d=(super::chart::path([(from, y), (to, y)])) {}
        @if end.is_some() {
            path.bounds d=(super::chart::path([(to, y - 5.0), (to, y + 5.0)])) {}
        } @else {
            path.arrow d={ (super::chart::path([(to, y), (to - way * 7.0, y - 4.0), (to - way * 7.0, y + 4.0)])) "Z" } {}
        }
    }
}

fn estimate_at(scale: &Scale, estimate: f64) -> Markup {
    let (x, y) = (scale.at(estimate), middle());
    html! {
        @if scale.holds(estimate) {
            path.estimate d=(diamond(x, y)) {}
        } @else {
            @let way = estimate.signum();
            path.estimate d={ (super::chart::path([(x, y), (x - way * 9.0, y - 6.0), (x - way * 9.0, y + 6.0)])) "Z" } {}
        }
    }
}

fn unserved(verdict: &Verdict) -> Markup {
    let rows: Vec<Vec<Markup>> = verdict
        .unserved
        .iter()
        .map(|result| {
            let [name, baseline, candidate, limit, _] = figures::unserved(result);
            let share = |share: Option<&cp1_format::Share>, shown: &str| match share {
                Some(share) => figure(&share.pct, shown),
                None => html! { (ABSENT) },
            };
            vec![
                html! { (name) },
                share(result.baseline.as_ref(), &baseline),
                share(Some(&result.candidate), &candidate),
                html! { (sentence(&limit)) },
                badge(result.judgement),
            ]
        })
        .collect();
    html! {
        (super::table::table(figures::UNSERVED, &figures::UNSERVED_HEADINGS, &rows))
        @let reasons: Vec<_> = figures::unserved_explanations(verdict).collect();
        @if !reasons.is_empty() {
            dl { @for (name, reason) in reasons { dt { (name) } dd { (sentence(reason)) } } }
        }
    }
}

/// The figures that no rule judges.
pub(super) fn supporting(verdict: &Verdict) -> Markup {
    html! {
        section #supporting aria-labelledby="supporting-heading" {
            h2 #supporting-heading { "Beside the rules" }
            @if verdict.supporting.is_empty() {
                p.empty { "Neither report has figures of its blocks." }
            } @else {
                p.note { "Not judged: they say where a latency comes from." }
                @let rows: Vec<Vec<String>> =
                    verdict.supporting.iter().map(|one| figures::supporting(one).to_vec()).collect();
                (plain_table("Figures beside the rules", &figures::SUPPORTING_HEADINGS, &rows))
            }
        }
    }
}
