//! What must always hold of the gate, by its library and by its commands. One binary, since fifty
//! took longer to link than to compile. Fuzzing has one of its own, whose memory it limits.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod artifacts;
mod blocks;
mod candidates;
mod cases;
mod ci_formats;
mod common;
mod comparison;
mod consistency;
mod contract_changes;
mod contract_ci_files;
mod contract_forgeries;
mod contract_lint;
mod contract_notes;
mod contract_verify;
mod diff;
mod explain;
mod explanation_pages;
mod exports;
mod flame;
mod frozen;
mod git;
mod heads;
mod html_report;
mod imports;
mod init;
mod markdown;
mod merge;
mod nodes;
mod progress;
mod properties;
mod prove;
mod ratios;
mod readme;
mod recipes;
mod recovery;
mod refusals;
mod rendering;
mod replay;
mod runner;
mod shell;
mod supporting;
mod surroundings;
mod terminal;
mod trend;
mod unserved;
mod validators;
mod verdicts;
mod watched;
