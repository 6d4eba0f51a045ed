//! Other tools' formats: what they take of a report ([`export`]), and a report of what they measured
//! ([`import`]). One file a format, each a pure function; files are read and written here alone.
//!
//! # Accuracy
//!
//! A figure keeps its decimal digits; a unit is changed by exact multiplication. What a tool does not
//! say is absent, never 0.
//!
//! # Limits
//!
//! A tool's file has at most [`import::MAX_BYTES`] bytes.
//!
//! # Panics
//!
//! Nothing here panics, whatever the files hold.

mod basho_bench;
mod bmf;
mod csv;
mod distributions;
mod erlperf;
pub mod export;
mod figures;
mod github_action_benchmark;
mod hgrm;
mod hlog;
pub mod import;
mod json_lines;
mod k6;
mod openmetrics;
mod source;
mod spectrum;
mod wrk2;
