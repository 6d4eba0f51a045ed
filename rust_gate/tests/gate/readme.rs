//! The settings in the README are those of the command line, and so is every command that a page shows.
//!
//! After a change: `UPDATE_README=1 cargo test -p perf-gate --test gate readme`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use perf_gate::cli::sources::{command, is_setting, variable};

const BEGIN: &str = "--test gate readme` -->\n";
const END: &str = "<!-- end of settings -->";

/// A file of this repository.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn table() -> String {
    let command = command();
    let mut table = "| flag | variable | meaning |\n|---|---|---|\n".to_owned();
    let mut told = Vec::new();
    // What another command has besides names it.
    let commands = ["run", "bench", "bisect", "sessions", "prove", "explain", "flame", "transport"];
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
    let path = file("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{BEGIN}\n{}\n{END}{after}", table());
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let told = std::fs::read_to_string(&path).unwrap();
    assert!(told == expected, "run: UPDATE_README=1 cargo test -p perf-gate --test gate readme");
}

/// What stands as code on a page: lines of blocks, and spans, which may go on in the next line.
fn code(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut prose, mut is_block) = (String::new(), false);
    for line in page.replace("\\\n", " ").lines() {
        let is_fence = line.trim_start().starts_with("```");
        if is_fence || line.is_empty() {
            found.extend(prose.split('`').skip(1).step_by(2).map(str::to_owned));
            prose.clear();
        }
        is_block ^= is_fence;
        match (is_fence, is_block) {
            (true, _) => {}
            (false, true) => found.push(line.to_owned()),
            (false, false) => prose.extend([line, " "]),
        }
    }
    found.extend(prose.split('`').skip(1).step_by(2).map(str::to_owned));
    found
}

/// What of a command or script that a page shows does not exist.
fn unknown(code: &str) -> Option<String> {
    let mut words = code.split_whitespace().skip_while(|word| *word == "$" || word.contains('='));
    let program = words.next()?;
    if program.contains("scripts/") && !program.contains(['*', '…', '(']) {
        return (!file(program).exists()).then(|| program.to_owned());
    }
    if program.rsplit('/').next() != Some("perf-gate") {
        return None;
    }
    let name = words.next().filter(|word| !word.starts_with("--"))?;
    let program = command();
    let Some(command) = program.find_subcommand(name) else { return Some(name.to_owned()) };
    let flags: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_long()).collect();
    let given = words.take_while(|word| !["|", "#", ">", "<", "&&"].contains(word));
    let given = given.filter_map(|word| word.strip_prefix("--")?.split(['=', ',']).next());
    let mut unknown = given.filter(|flag| !flags.contains(flag) && *flag != "help");
    unknown.next().map(|flag| format!("{name} --{flag}"))
}

#[test]
fn every_command_that_a_page_shows_exists_with_its_flags() {
    assert_eq!(
        unknown("$ A=1 ./target/release/perf-gate run --blocks=2 --quiet | tee --log"),
        None
    );
    assert_eq!(unknown("perf-gate run --fast").as_deref(), Some("run --fast"));
    assert_eq!(unknown("perf-gate waive").as_deref(), Some("waive"));
    assert_eq!(unknown("./scripts/none.sh").as_deref(), Some("./scripts/none.sh"));
    assert_eq!(code("a `perf-gate\nrun`\n```sh\nb \\\nc\n```\nd"), ["perf-gate run", "b  c"]);

    let mut pages = vec![file("README.md"), file("ARCHITECTURE.md"), file("perf/README.md")];
    for entry in std::fs::read_dir(file("docs")).unwrap() {
        pages.push(entry.unwrap().path());
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let wrong: Vec<_> = code(&text).iter().filter_map(|code| unknown(code)).collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", page.display());
    }
}
