//! Measures a router, and judges the report (the candidate) against the frozen one (the baseline) and
//! the policy.
//!
//! Rooms follow the flow, and no arrow leads back: [`cli`] (as typed) → [`run`] (what a measurement
//! needs) → [`read`] (all files before any judging) → [`judge`] (pure) → [`render`] (pure) →
//! [`artifacts`] → the exit code, decided in `main.rs`. [`prove`] asks how often the gate
//! errs, [`contract`] keeps the freeze, [`history`] shows what was measured before, [`explain`]
//! compares what two builds do function by function, [`convert`] goes to and
//! from other tools' formats, [`merge`] adds up reports of several machines, [`adopt`] takes it to a project.
//!
//! # Determinism
//!
//! Judging reads no clock and no environment variable, and nothing is iterated in hash order: the same
//! files give the same bytes.
//!
//! # Accuracy
//!
//! Limits are inclusive and judged in the decimal numbers that the files say, by multiplication
//! only. A division happens for the displayed change in percent and nowhere else.
//!
//! # Panics
//!
//! Nothing here panics, whatever the files hold.

pub mod adopt;
pub mod artifacts;
pub mod bisect;
pub mod check;
pub mod cli;
pub mod contract;
pub mod convert;
pub mod escape;
pub mod explain;
pub mod history;
pub mod judge;
pub mod merge;
pub mod prove;
pub mod read;
pub mod render;
pub mod run;
pub mod statistics;
