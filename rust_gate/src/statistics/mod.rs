//! Formulas, each with its source; nothing here knows a report.

#![deny(clippy::disallowed_methods)]

pub mod binomial;
pub mod shift;
