//! Comma-separated values (RFC 4180), one figure a row, for spreadsheets and data frames. No cell needs
//! quotes: all are numbers, times, hashes and names of this program.

use cp1_format::{Figure, Report};

use crate::convert::figures::figures;

/// The report's figures under a row of headings.
pub(super) fn render(report: &Report) -> String {
    let row = |figure: &Figure| {
        let Figure { timestamp, commit, block, name, unit, value } = figure;
        let commit = commit.as_deref().unwrap_or_default();
        let block = block.map(|block| block.to_string()).unwrap_or_default();
        format!("{timestamp},{commit},{block},{name},{unit},{value}\r\n")
    };
    let rows: String = figures(report).iter().map(row).collect();
    format!("timestamp,commit,block,name,unit,value\r\n{rows}")
}
