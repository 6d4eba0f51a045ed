//! What variants of one build cost, as text. Pure.

use std::fmt::Write as _;

use cp1_format::{Decimal, Judgement, Ratio, RatioFigure, Variants};

use crate::escape::plain;
use crate::render::figures;
use crate::render::terminal::WIDTH;
use crate::render::wrap::wrapped;

/// Renders a comparison.
#[must_use]
pub fn render(found: &Variants) -> String {
    let Variants { option, blocks, variants, ratios, decision, confidence_pct, .. } = found;
    let names: Vec<String> =
        variants.iter().map(|variant| plain(&variant.value.to_string())).collect();
    let mut page = format!("CP1 variants: {} = {}\n\n", plain(option), names.join(", "));
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "{blocks} blocks of each in turn, slice by slice; intervals of {confidence_pct} %"
    );
    page.push('\n');
    for variant in variants {
        let env = &variant.env;
        let through = [
            env.transport.as_deref().unwrap_or("inside its BEAM"),
            env.transport_server.as_deref().unwrap_or_default(),
            env.transport_tls_version.as_deref().unwrap_or_default(),
            env.transport_tls_cipher.as_deref().unwrap_or_default(),
        ];
        let through: Vec<_> = through.iter().filter(|part| !part.is_empty()).collect();
        let through: Vec<_> = through.iter().map(|part| plain(part)).collect();
        let _ = writeln!(page, "{}: {}", plain(&variant.value.to_string()), through.join(", "));
    }
    page.push('\n');
    let mut rows = vec![row("figure", &names)];
    for figure in RatioFigure::ALL {
        let cells: Vec<String> = variants
            .iter()
            .map(|variant| figures::figure(variant.figures.get(&figure), figure.unit()))
            .collect();
        rows.push(row(figure.name(), &cells));
    }
    page.push_str(&aligned(&rows));
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for Ratio { of, to, .. } in ratios {
        if !pairs.contains(&(of, to)) {
            pairs.push((of, to));
        }
    }
    let headings: Vec<String> = ["ratio", "interval", "limit", "verdict"].map(str::to_owned).into();
    for (of, to) in pairs {
        let _ = writeln!(page, "\n{} : {}", plain(of), plain(to));
        let mut rows = vec![row("", &headings)];
        for ratio in
            ratios.iter().filter(|ratio| (ratio.of.as_str(), ratio.to.as_str()) == (of, to))
        {
            rows.push(row(ratio.figure.name(), &cells(ratio)));
        }
        page.push_str(&aligned(&rows));
    }
    for ratio in ratios {
        if let Some(judged) =
            ratio.judged.as_ref().filter(|judged| judged.judgement != Judgement::Holds)
        {
            let _ = writeln!(
                page,
                "\n{} of {} : {}: {}",
                ratio.figure,
                plain(&ratio.of),
                plain(&ratio.to),
                plain(&judged.explanation)
            );
        }
    }
    if !found.notices.is_empty() {
        page.push_str("\nNotices:\n");
        for notice in &found.notices {
            for line in wrapped("  ", 4, &plain(&notice.0), WIDTH) {
                let _ = writeln!(page, "{line}");
            }
        }
    }
    if let Some(decision) = decision {
        let said = match decision.judgement {
            Judgement::Holds | Judgement::Waived => "HOLDS: every limit on a ratio holds",
            Judgement::Violated => "VIOLATED: a ratio is beyond its limit",
            Judgement::Undecided | Judgement::NotJudged => "UNDECIDED: the blocks do not say",
        };
        let _ = writeln!(
            page,
            "\n{said}\n  a false alarm at most in {} %, a miss in {} %",
            decision.false_alarm_pct, decision.miss_pct
        );
    }
    page
}

fn row(name: &str, cells: &[String]) -> Vec<String> {
    [name.to_owned()].into_iter().chain(cells.iter().cloned()).collect()
}

fn cells(ratio: &Ratio) -> Vec<String> {
    let text = |number: &Option<Decimal>| {
        number.as_ref().map_or_else(|| "open".to_owned(), ToString::to_string)
    };
    let (limit, verdict) = match &ratio.judged {
        None => (String::new(), String::new()),
        Some(judged) => {
            let side = match ratio.figure.worse() {
                cp1_format::Direction::Increase => "at most",
                cp1_format::Direction::Decrease => "at least",
            };
            (format!("{side} {}", judged.limit), judged.judgement.word().to_owned())
        }
    };
    let estimate = match &ratio.estimate {
        Some(estimate) => estimate.to_string(),
        None => "not measured".to_owned(),
    };
    vec![estimate, format!("{} to {}", text(&ratio.low), text(&ratio.high)), limit, verdict]
}

/// Columns as wide as their widest cell; the first one to the left.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| figures::width(cell)).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from("  ");
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width.saturating_sub(figures::width(cell)));
            let separator = if index == 0 { "" } else { "  " };
            let padded =
                if index == 0 { format!("{cell}{space}") } else { format!("{space}{cell}") };
            line.push_str(separator);
            line.push_str(&padded);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
