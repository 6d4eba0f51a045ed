//! Fuzzing in this process: every reader with damaged files, and the judge with reports that were made
//! worse. Cases follow from a seed, which is printed; without coverage feedback, as a stable compiler has
//! it, sound files and a knowledge of what they mean make up for it.
//!
//! `FUZZ_SECONDS` says how long each campaign lasts, `FUZZ_SEED` with which case it begins: that of a
//! fault repeats it. What a fault came from is written below the directory that it names.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

#[allow(dead_code, reason = "most of it is used elsewhere")]
#[path = "../gate/common/mod.rs"]
mod common;

mod campaign;
mod damage;
mod readers;
mod two_machines;
mod verdicts;
mod worse;
