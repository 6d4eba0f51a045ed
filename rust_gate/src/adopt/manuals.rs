//! Manual pages and completions, made from the definition of the command line, for an installation.

use std::path::Path;

use clap_complete::Shell;
use cp1_format::{WriteError, write_atomically};

use crate::cli::sources::command;

/// Where a shell looks for the completions of programs under a prefix.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "share/bash-completion/completions/perf-gate"),
    (Shell::Zsh, "share/zsh/site-functions/_perf-gate"),
    (Shell::Fish, "share/fish/vendor_completions.d/perf-gate.fish"),
];

/// Writes `share/man/man1/perf-gate*.1` and completions for bash, zsh and fish under a prefix.
///
/// # Errors
/// A file cannot be written.
pub fn write(prefix: &Path) -> Result<(), WriteError> {
    let mut definition = command();
    definition.build();
    for (shell, file) in COMPLETIONS {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut definition.clone(), "perf-gate", &mut script);
        write_atomically(&prefix.join(file), &script)?;
    }
    let of_command = definition
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
        .cloned();
    for page in std::iter::once(definition.clone()).chain(of_command) {
        let page = page.disable_help_subcommand(true);
        let name = page.get_display_name().unwrap_or_else(|| page.get_name()).to_owned();
        let path = prefix.join(format!("share/man/man1/{name}.1"));
        let mut text = Vec::new();
        let failed = |source| WriteError::Io { path: path.clone(), source };
        clap_mangen::Man::new(page).title(name).render(&mut text).map_err(failed)?;
        // Examples and exit codes keep their lines, up to the next heading.
        let text = String::from_utf8_lossy(&text).replace("\n.SH EXTRA\n", "\n.SH EXTRA\n.nf\n");
        write_atomically(&path, text.as_bytes())?;
    }
    Ok(())
}
