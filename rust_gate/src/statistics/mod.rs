//! Formulas, each with its source; nothing here knows a report.

pub mod binomial;
pub mod moments;
pub mod shift;
