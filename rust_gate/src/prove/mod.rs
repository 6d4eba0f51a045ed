//! How often the gate errs: simulated, planted, counted.

pub mod gates;
pub mod plan;
pub mod selftest;
pub mod simulate;
pub mod tally;
