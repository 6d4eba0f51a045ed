//! Where a setting may stand. From the weakest on: what a platform of continuous integration says of a
//! merge request, the project's `perf/perf_gate.toml`, the variables, what was typed. They become one
//! command line, in this order, and of a flag given twice the later one counts.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory as _};

use crate::cli::arguments::Arguments;

/// The commands that have settings.
const COMMANDS: [&str; 9] =
    ["run", "bench", "bisect", "sessions", "prove", "explain", "flame", "transport", "doctor"];

/// The project's settings, counted from it.
pub const FILE: &str = "perf/perf_gate.toml";

/// Largest file of settings, in bytes.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// Variables whose names are older than the rule: flag and name.
const NAMED_OTHERWISE: [(&str, &str); 5] = [
    ("artifacts", "ARTIFACTS_DIR"),
    ("baseline", "BASELINE_FILE"),
    ("candidate", "CANDIDATE_FILE"),
    ("directory", "PROVE_DIR"),
    ("policy", "POLICY_FILE"),
];

/// How far a name may be from a known one to be taken for it.
const ALIKE: f64 = 0.7;

/// Keys that the project's file cannot have: what is judged, by what, for whom it is printed, and in
/// which node, which others use. The file belongs to the change
/// that is judged, and the jobs set these for it.
const NOT_IN_FILE: [&str; 13] = [
    "project",
    "candidate",
    "baseline",
    "policy",
    "trusted_ref",
    "mode",
    "format",
    "attach",
    "attach_cookie_file",
    "attach_tls_file",
    "attach_allow",
    "passive",
    "window_ms",
];

/// A setting that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// Its value.
    #[error("{origin} is {value:?}; {expected}")]
    Value {
        /// Where it stands.
        origin: Origin,
        /// What stands there.
        value: String,
        /// What should.
        expected: String,
    },
    /// Its name.
    #[error("{name} is no setting{cure}")]
    Unknown {
        /// Where it stands.
        name: String,
        /// The nearest known one.
        cure: String,
    },
    /// The file cannot be read.
    #[error("failed to read {}: {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}

/// Where a setting was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A platform says that this is a merge request.
    Platform,
    /// A key of a file.
    Key(PathBuf, String),
    /// A variable.
    Variable(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => f.write_str("the platform's mode"),
            Self::Key(path, key) => write!(f, "{key} in {}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => write!(f, "--{flag}"),
        }
    }
}

/// A command line made of all sources.
#[derive(Debug, Default)]
pub struct CommandLine {
    /// For clap.
    pub arguments: Vec<OsString>,
    /// What was given elsewhere than on the command line, flag by flag.
    given: Vec<Given>,
}

#[derive(Debug)]
struct Given {
    flag: String,
    origin: Origin,
    value: String,
}

impl CommandLine {
    /// That a setting is not as the bench needs it, naming where it was given.
    #[must_use]
    pub fn refusal(&self, flag: &str, value: &str, expected: &str) -> SettingError {
        // Program, command and what was given elsewhere come first.
        let typed = self.arguments.iter().skip(2 + self.given.len());
        let is_typed = typed.filter_map(|argument| argument.to_str()).any(|argument| {
            argument.strip_prefix("--").and_then(|rest| rest.strip_prefix(flag)).is_some()
        });
        let elsewhere = self.given.iter().rev().find(|given| given.flag == flag);
        let origin = match elsewhere.filter(|_| !is_typed) {
            Some(given) => given.origin.clone(),
            None => Origin::Flag(flag.to_owned()),
        };
        SettingError::Value { origin, value: value.to_owned(), expected: expected.to_owned() }
    }
}

/// The definition of the command line, with the names of the variables in the help.
#[must_use]
pub fn command() -> Command {
    COMMANDS.into_iter().fold(Arguments::command(), |command, name| {
        command.mut_subcommand(name, |command| {
            command.args_override_self(true).mut_args(|arg| match arg.get_long() {
                Some(flag) if is_setting(&arg) => {
                    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                    let text = format!("{help} [{}]", variable(flag));
                    arg.help(text)
                }
                _ => arg,
            })
        })
    })
}

/// Makes one command line of what was typed and of the other sources.
///
/// # Errors
/// [`SettingError`]
pub fn gather(
    typed: Vec<OsString>,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<CommandLine, SettingError> {
    let word = typed.get(1).and_then(|word| word.to_str()).unwrap_or_default();
    if !COMMANDS.contains(&word) {
        return Ok(CommandLine { arguments: typed, given: Vec::new() });
    }
    let definition = command();
    let args = |name: &str| -> Vec<Arg> {
        let command = definition.find_subcommand(name);
        let all = command.into_iter().flat_map(Command::get_arguments);
        all.filter(|arg| is_setting(arg)).cloned().collect()
    };
    // A setting of the other command is known, and means nothing to this one.
    let known: Vec<Arg> = COMMANDS.into_iter().flat_map(args).collect();
    let mine: Vec<String> = args(word).iter().filter_map(flag).collect();
    let variables: Vec<(String, String)> = variables
        .filter_map(|(name, value)| {
            // An empty one counts as unset: continuous integration often exports it so.
            let value = value.to_string_lossy().into_owned();
            Some((name.into_string().ok()?, value)).filter(|(_, value)| !value.is_empty())
        })
        .collect();
    let project = project(&typed, &variables);
    let mut given = from_platform(&variables);
    given.extend(from_file(&project, &known)?);
    given.extend(from_variables(&variables, &known)?);
    given.retain(|given| mine.contains(&given.flag));
    for Given { flag, origin, value } in &given {
        let arg = known.iter().find(|arg| arg.get_long() == Some(flag));
        if let Some(expected) = arg.and_then(|arg| refused(arg, value)) {
            return Err(SettingError::Value {
                origin: origin.clone(),
                value: value.clone(),
                expected,
            });
        }
    }
    let mut words = typed.into_iter();
    let mut arguments: Vec<OsString> = words.by_ref().take(2).collect();
    arguments.extend(given.iter().map(|given| format!("--{}={}", given.flag, given.value).into()));
    arguments.extend(words);
    Ok(CommandLine { arguments, given })
}

/// What has a value. A flag alone, such as `--quiet`, is said of one call, where it is typed.
#[must_use]
pub fn is_setting(arg: &Arg) -> bool {
    arg.get_long().is_some() && arg.get_action().takes_values() && !arg.is_hide_set()
}

fn flag(arg: &Arg) -> Option<String> {
    arg.get_long().map(ToOwned::to_owned)
}

/// The variable of a flag.
#[must_use]
pub fn variable(flag: &str) -> String {
    let otherwise = NAMED_OTHERWISE.iter().find(|(of, _)| *of == flag);
    otherwise.map_or_else(
        || format!("PERF_{}", flag.replace('-', "_").to_uppercase()),
        |(_, name)| (*name).to_owned(),
    )
}

fn key(flag: &str) -> String {
    flag.replace('-', "_")
}

/// Which project is meant has to be known before its file can be read.
fn project(typed: &[OsString], variables: &[(String, String)]) -> PathBuf {
    let of_variable = || variables.iter().find(|(name, _)| name == "PERF_PROJECT");
    let flag = typed_last("project", typed).map(PathBuf::from);
    flag.or_else(|| of_variable().map(|(_, value)| value.into())).unwrap_or_else(|| ".".into())
}

/// The value of a flag as it was typed; of several the last.
fn typed_last(flag: &str, typed: &[OsString]) -> Option<OsString> {
    let mut after: Option<&OsStr> = None;
    typed.iter().rev().find_map(|word| {
        let rest = word.to_str().and_then(|word| word.strip_prefix("--")?.strip_prefix(flag));
        let found = match rest {
            Some("") => after.map(OsStr::to_owned),
            Some(rest) => rest.strip_prefix('=').map(OsString::from),
            None => None,
        };
        after = Some(word);
        found
    })
}

fn from_platform(variables: &[(String, String)]) -> Vec<Given> {
    let is_merge_request = variables.iter().any(|(name, value)| {
        matches!(
            (name.as_str(), value.as_str()),
            ("CI_PIPELINE_SOURCE", "merge_request_event") | ("GITHUB_EVENT_NAME", "pull_request")
        )
    });
    let smoke = || Given { flag: "mode".into(), origin: Origin::Platform, value: "smoke".into() };
    is_merge_request.then(smoke).into_iter().collect()
}

fn from_file(project: &Path, known: &[Arg]) -> Result<Vec<Given>, SettingError> {
    let path = project.join(FILE);
    let failed = |problem: String| SettingError::File { path: path.clone(), problem };
    let size = match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error.to_string())),
        Ok(metadata) if !metadata.is_file() => return Err(failed("it is no regular file".into())),
        Ok(metadata) => metadata.len(),
    };
    if size > FILE_MAX_BYTES {
        return Err(failed(format!("it is larger than {FILE_MAX_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1);
        failed(format!("line {line}: {}", error.message()))
    })?;
    let names: Vec<String> = known.iter().filter_map(flag).map(|flag| key(&flag)).collect();
    let mut given = Vec::new();
    for (name, value) in table {
        if NOT_IN_FILE.contains(&name.as_str()) {
            return Err(SettingError::Unknown {
                name: format!("{name} in {}", path.display()),
                cure: " of this file, as it says what is judged, where or by what; give the flag or the variable"
                    .to_owned(),
            });
        }
        let arg = known.iter().find(|arg| arg.get_long().map(key).as_ref() == Some(&name));
        let Some(arg) = arg else {
            let cure = nearest(&name, &names);
            return Err(SettingError::Unknown {
                name: format!("{name} in {}", path.display()),
                cure,
            });
        };
        let origin = Origin::Key(path.clone(), name);
        let Some(value) = text_of(&value) else {
            let expected = "expected text or a number".to_owned();
            return Err(SettingError::Value {
                origin,
                value: format!("a {}", value.type_str()),
                expected,
            });
        };
        // A path in the file counts from the project.
        let is_path = arg
            .get_value_names()
            .is_some_and(|names| names.iter().any(|name| matches!(name.as_str(), "FILE" | "DIR")));
        let value = if is_path { project.join(&value).display().to_string() } else { value };
        given.extend(flag(arg).map(|flag| Given { flag, origin, value }));
    }
    Ok(given)
}

/// A list and a table are written as on the command line.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Table(entries) => {
            let pairs = entries.iter().map(|(name, value)| match value {
                toml::Value::Boolean(boolean) => Some(format!("{name}={boolean}")),
                toml::Value::Table(_) | toml::Value::Array(_) => None,
                value => text_of(value)
                    .filter(|text| !text.contains(','))
                    .map(|text| format!("{name}={text}")),
            });
            pairs.collect::<Option<Vec<_>>>().map(|pairs| pairs.join(","))
        }
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(":"))
        }
        _ => None,
    }
}

fn from_variables(
    variables: &[(String, String)],
    known: &[Arg],
) -> Result<Vec<Given>, SettingError> {
    let flags: Vec<String> = known.iter().filter_map(flag).collect();
    let names: Vec<String> = flags.iter().map(|flag| variable(flag)).collect();
    let mut given = Vec::new();
    for (name, value) in variables {
        let flag = flags.iter().find(|flag| variable(flag) == *name);
        match flag {
            Some(flag) => given.push(Given {
                flag: flag.clone(),
                origin: Origin::Variable(name.clone()),
                value: value.clone(),
            }),
            None if name.starts_with("PERF_") => {
                let cure = nearest(name, &names);
                return Err(SettingError::Unknown { name: name.clone(), cure });
            }
            None => {}
        }
    }
    Ok(given)
}

fn nearest(name: &str, names: &[String]) -> String {
    let alike = names.iter().map(|known| (strsim::jaro_winkler(name, known), known));
    match alike.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((likeness, known)) if likeness >= ALIKE => format!("; did you mean {known}?"),
        _ => "; perf-gate run --help lists them".to_owned(),
    }
}

/// What a flag expects, where it refuses a value.
fn refused(arg: &Arg, value: &str) -> Option<String> {
    let flag = arg.get_long()?;
    let probe = Command::new("probe").no_binary_name(true).arg(arg.clone().required(false));
    let error = probe.try_get_matches_from([format!("--{flag}={value}")]).err()?;
    let valid = error.get(clap::error::ContextKind::ValidValue);
    Some(match (valid, std::error::Error::source(&error)) {
        (Some(clap::error::ContextValue::Strings(values)), _) => {
            format!("expected {}", values.join(" or "))
        }
        (_, Some(source)) => source.to_string(),
        _ => "expected another value".to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clap::FromArgMatches as _;
    use cp1_format::AdapterOption;

    use super::*;
    use crate::cli::arguments::Command as Typed;
    use crate::cli::settings::{Mode, Run};

    /// A project with a file of settings.
    fn project(file: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("perf")).unwrap();
        std::fs::write(directory.path().join(FILE), file).unwrap();
        directory
    }

    fn gathered(
        file: &str,
        variables: &[(&str, &str)],
        typed: &[&str],
    ) -> Result<(CommandLine, PathBuf), SettingError> {
        let directory = project(file);
        let option = format!("--project={}", directory.path().display());
        let typed = ["perf-gate", "run", &option].into_iter().chain(typed.iter().copied());
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let line = gather(typed.map(OsString::from).collect(), variables)?;
        Ok((line, directory.path().to_owned()))
    }

    fn run(file: &str, variables: &[(&str, &str)], typed: &[&str]) -> Run {
        let (line, _) = gathered(file, variables, typed).unwrap();
        let matches = command().try_get_matches_from(&line.arguments).unwrap();
        match Arguments::from_arg_matches(&matches).unwrap().command {
            Typed::Run(run) => *run,
            other => unreachable!("{other:?}"),
        }
    }

    fn refused(file: &str, variables: &[(&str, &str)]) -> String {
        gathered(file, variables, &[]).unwrap_err().to_string()
    }

    #[test]
    fn a_flag_outranks_the_variable_and_the_variable_the_file() {
        let file = "blocks = 3\nrate = 300\nconcurrency = 30\nadapter = \"mine\"\n";
        let variables = [("PERF_BLOCKS", "4"), ("PERF_RATE", "400"), ("PERF_KEY_COUNT", "")];
        let run = run(file, &variables, &["--blocks=5"]);
        let settings = run.settings;
        assert_eq!((run.extent.blocks, settings.rate), (Some(5), Some(400)));
        assert_eq!((settings.concurrency, settings.key_count), (Some(30), None));
        assert_eq!(settings.adapter.as_deref(), Some("mine"));
    }

    #[test]
    fn a_merge_request_is_a_smoke_run_unless_anything_says_otherwise() {
        let request = ("CI_PIPELINE_SOURCE", "merge_request_event");
        let pull = ("GITHUB_EVENT_NAME", "pull_request");
        assert_eq!(run("", &[], &[]).extent.mode, Mode::Gate);
        assert_eq!(run("", &[request], &[]).extent.mode, Mode::Smoke);
        assert_eq!(run("", &[pull], &[]).extent.mode, Mode::Smoke);
        assert_eq!(run("", &[request, ("PERF_MODE", "gate")], &[]).extent.mode, Mode::Gate);
    }

    #[test]
    fn a_path_in_the_file_counts_from_the_project() {
        let (line, directory) = gathered("artifacts = \"out\"\n", &[], &[]).unwrap();
        let expected = format!("--artifacts={}", directory.join("out").display());
        assert!(line.arguments.contains(&expected.into()), "{line:?}");
        let globs = run("code_path = [\"ebin\", \"deps/*/ebin\"]", &[], &[]).settings.code_path;
        assert_eq!(globs, "ebin:deps/*/ebin");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_known_one() {
        assert_eq!(
            refused("", &[("PERF_RATES", "5")]),
            "PERF_RATES is no setting; did you mean PERF_RATE?"
        );
        assert!(refused("", &[("PERF_", "5")]).contains("is no setting"));
        assert!(refused("timeout_second = 5", &[]).ends_with("did you mean timeout_seconds?"));
    }

    #[test]
    fn the_file_does_not_say_what_is_judged_nor_by_what() {
        for name in NOT_IN_FILE {
            let said = refused(&format!("{name} = \"smoke\""), &[]);
            assert!(
                said.contains("is no setting of this file, as it says what is judged"),
                "{said}"
            );
        }
        let all = command();
        let of = |name| all.find_subcommand(name).unwrap().get_arguments();
        for name in NOT_IN_FILE {
            let is_it = |arg: &Arg| arg.get_long().map(key).as_deref() == Some(name);
            assert!(of("run").chain(of("bench")).any(is_it), "{name} is no setting at all");
        }
    }

    #[test]
    fn a_bad_value_is_named_with_its_place_and_with_what_was_expected() {
        for (name, value) in [
            ("PERF_BLOCKS", "0"),
            ("PERF_BLOCKS", "ten"),
            ("PERF_BLOCKS", "3.5"),
            ("PERF_BLOCKS", "+3"),
            ("PERF_RATE", "-1"),
            ("PERF_RATE", "1e3"),
            ("PERF_CONCURRENCY", "0"),
            ("PERF_WARMUP_MS", "5"),
            ("PERF_LATENCY_MS", "99999999"),
            ("PERF_THROUGHPUT_MS", " 5"),
            ("PERF_TIMEOUT_SECONDS", "9"),
            ("PERF_MODE", "quick"),
            ("PERF_COMPARE", "guess"),
            ("PERF_ARRIVALS", "burst"),
            ("PERF_KEYS", "zipf"),
            ("PERF_KEYS", "zipf:0"),
            ("PERF_KEYS", "zipf:1.1x"),
            ("PERF_KEY_COUNT", "0"),
            ("PERF_SEED", "-1"),
            ("PERF_ADAPTER", "Not an atom"),
            ("PERF_ADAPTER", "../x"),
        ] {
            let message = refused("", &[(name, value)]);
            assert!(message.starts_with(&format!("{name} is {value:?}; expected ")), "{message}");
        }
        let message = refused("blocks = true", &[]);
        assert!(
            message.starts_with("blocks in ") && message.contains("text or a number"),
            "{message}"
        );
        assert!(refused("blocks = 3\nblocks = 4", &[]).contains("line 2"));
        assert!(refused("blocks = [1]", &[]).contains("expected"));
    }

    #[test]
    fn what_the_bench_refuses_is_named_as_it_was_given() {
        let (line, _) = gathered("", &[("PERF_FAULT", "x=1")], &[]).unwrap();
        let said = line.refusal("fault", "x=1", "expected y").to_string();
        assert_eq!(said, "PERF_FAULT is \"x=1\"; expected y");
        let (line, _) = gathered("", &[("PERF_FAULT", "x=1")], &["--fault=z"]).unwrap();
        assert_eq!(
            line.refusal("fault", "z", "expected y").to_string(),
            "--fault is \"z\"; expected y"
        );
    }

    #[test]
    fn options_of_the_adapter_are_a_table_in_the_file() {
        let file = "[adapter_options]\npool = 8\nmode = \"fast\"\nlog = false\n";
        let options = run(file, &[], &[]).settings.adapter_options;
        let expected = [
            ("log", AdapterOption::Boolean(false)),
            ("mode", AdapterOption::Text("fast".into())),
            ("pool", AdapterOption::Integer(8)),
        ];
        assert_eq!(options, expected.map(|(name, value)| (name.to_owned(), value)).into());
        let variable = [("PERF_ADAPTER_OPTIONS", "pool=9")];
        let of_variable = run(file, &variable, &[]).settings.adapter_options;
        assert_eq!(of_variable.len(), 1, "as a whole, like any other setting");
        assert!(refused("[adapter_options]\nmode = \"a,b\"", &[]).contains("text or a number"));
        assert!(refused("", &[("PERF_ADAPTER_OPTIONS", "pool")]).contains("expected NAME=VALUE"));
    }

    #[test]
    fn every_setting_of_the_help_says_its_variable() {
        let help = command().find_subcommand_mut("run").unwrap().render_long_help().to_string();
        for name in ["PERF_RATE", "ARTIFACTS_DIR", "BASELINE_FILE", "PERF_TIMEOUT_SECONDS"] {
            assert!(help.contains(&format!("[{name}]")), "{name}: {help}");
        }
    }
}
