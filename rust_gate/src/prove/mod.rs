//! How often the gate errs: simulated, planted, counted.

pub mod gates;
pub mod kept;
pub mod plan;
pub mod planted;
mod searches;
pub mod selftest;
pub mod simulate;
pub mod tables;
pub mod tally;
