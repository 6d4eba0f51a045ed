//! Formulas, each with its source; nothing here knows a report.

#![deny(clippy::disallowed_methods)]

pub mod binomial;
pub mod e_divisive;
pub mod shift;
