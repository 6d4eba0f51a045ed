//! Looks at the machine that a benchmark would run on. Measures and writes nothing.

use std::thread::sleep;
use std::time::Duration;

use machine_evidence::{Conditions, Moment, Tree};

use crate::run::host_lock;
use crate::run::hygiene::{self, Check, WATCH_MS};

/// Looks at this machine twice, [`WATCH_MS`] apart.
#[must_use]
pub fn look() -> Vec<Check> {
    let here = Tree::here();
    let before = Moment::of(&here);
    sleep(Duration::from_millis(WATCH_MS));
    let after = Moment::of(&here);
    let conditions = Conditions::of(&here);
    hygiene::checks(&conditions, &before, &after, std::process::id(), host_lock::second_benchmark())
}
