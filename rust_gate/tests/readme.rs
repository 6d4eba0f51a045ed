//! The settings in the README are those of the command line.
//!
//! After a change: `UPDATE_README=1 cargo test -p perf-gate --test readme`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;

use perf_gate::cli::sources::{command, is_setting, variable};

const BEGIN: &str = "--test readme` -->\n";
const END: &str = "<!-- end of settings -->";

fn table() -> String {
    let command = command();
    let mut table = "| flag | variable | meaning |\n|---|---|---|\n".to_owned();
    let mut told = Vec::new();
    // What another command has besides names it.
    let commands = ["run", "bench", "bisect", "sessions", "prove", "explain", "flame"];
    let of_command = commands.into_iter().flat_map(|name| {
        let command = command.find_subcommand(name).unwrap();
        command.get_arguments().filter(|arg| is_setting(arg)).map(move |arg| (name, arg))
    });
    for (name, arg) in of_command {
        let Some(flag) = arg.get_long().filter(|flag| !told.contains(flag)) else { continue };
        told.push(flag);
        let value = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
        let variable = variable(flag);
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.replace(&format!(" [{variable}]"), "").replace('|', "\\|");
        let mut meaning = if name == "run" { help } else { format!("`{name}`: {help}") };
        let values: Vec<_> = arg.get_possible_values();
        if !values.is_empty() {
            let names: Vec<_> =
                values.iter().map(|value| format!("`{}`", value.get_name())).collect();
            write!(meaning, ": {}", names.join(", ")).unwrap();
        }
        if let [default] = arg.get_default_values()
            && !default.is_empty()
        {
            write!(meaning, " [default: {}]", default.to_string_lossy()).unwrap();
        }
        writeln!(table, "| `--{flag} {value}` | `{variable}` | {meaning} |").unwrap();
    }
    table
}

#[test]
fn the_table_of_settings_is_that_of_the_definition() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{BEGIN}\n{}\n{END}{after}", table());
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let told = std::fs::read_to_string(&path).unwrap();
    assert!(told == expected, "run: UPDATE_README=1 cargo test -p perf-gate --test readme");
}
