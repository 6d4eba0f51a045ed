//! A sound report that was merged.

use perf_gate::cli::arguments::{Merge, Print, WhoseRouter};
use perf_gate::merge::merge;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::machines::machine;

/// The report of two machines.
pub(crate) fn two_machines(blocks: u64) -> Value {
    let room = TempDir::new().unwrap();
    let of_machine = |number: u64| {
        let file = room.path().join(format!("m{number}.json"));
        std::fs::write(&file, machine(number, blocks, 1.0).to_string()).unwrap();
        file
    };
    let output = room.path().join("merged.json");
    merge(&Merge {
        routers: WhoseRouter::Each,
        output: output.clone(),
        reports: [1, 2].map(of_machine).into(),
        print: Print::default(),
    })
    .unwrap();
    serde_json::from_str(&std::fs::read_to_string(output).unwrap()).unwrap()
}
