//! `perf-gate transport`: one build under several values of one option of its adapter, all alive in each
//! block, slice by slice in turn, and what each value costs.

use std::path::{Path, PathBuf};

use cp1_format::{
    Amount, EnvironmentField, Judgement, Policy, Report, SchemaName, SchemaTag, Variant,
    VariantPlan, VariantValue, Variants, read_file, to_json, write_atomically,
};

use crate::cli::settings;
use crate::cli::sources::CommandLine;
use crate::contract::{POLICY, list};
use crate::judge::ratios::{self, CONFIDENCE_PCT, Side};
use crate::judge::{consistency, validity};
use crate::run::host::{Host, absolute, is_writable, listen, stamp, text};
use crate::run::measure::{Ended, Next};
use crate::run::progress::Progress;
use crate::run::{RunError, read};

/// The option of which it is known what its values must change.
const TRANSPORT: &str = "transport";

/// What came of it.
#[derive(Debug)]
pub enum Compared {
    /// Every variant was measured.
    Whole(Box<Variants>),
    /// The time limit was reached, in words.
    OutOfTime(String),
}

/// Measures the variants, and compares them.
///
/// # Errors
/// [`RunError`]
pub fn transport(
    arguments: &settings::Transport,
    line: &CommandLine,
) -> Result<Compared, RunError> {
    let interrupt = listen()?;
    let progress = Progress::new(arguments.talk.quiet.into());
    let settings = &arguments.settings;
    let host = Host { settings, line, interrupt: &interrupt, progress: &progress, attach: None };
    let option = arguments.variant_option.as_str();
    let values: Vec<String> = arguments.variants.0.iter().map(ToString::to_string).collect();
    let policy = policy(arguments)?;
    let policy = policy.as_ref();
    if let Some(unmeasured) =
        policy.and_then(|policy| ratios::unmeasured(policy, option, &values).first().copied())
    {
        return Err(RunError::Variants(format!(
            "the policy limits {unmeasured}, and --variants are {}; measure both",
            values.join(",")
        )));
    }
    let artifacts = host.artifacts(&arguments.output);
    is_writable(&artifacts)?;
    let stamp = stamp();
    let files: Vec<PathBuf> = (1..=values.len())
        .map(|number| absolute(&artifacts.join(format!("perf_variant_{stamp}_{number}.json"))))
        .collect::<Result<_, _>>()?;

    let (_lock, code_path) = host.prepare()?;
    let limits = policy.filter(|policy| policy.ratios.contains_key(option));
    let looks = match (limits, arguments.blocks) {
        (Some(policy), None) => policy.decision.looks.clone(),
        _ => Vec::new(),
    };
    let blocks = looks.last().copied().or(arguments.blocks).unwrap_or(settings::VARIANT_BLOCKS);
    let first = files.first().map(PathBuf::as_path).unwrap_or(Path::new(""));
    let mut plan = host.plan(first, None, blocks, None)?;
    let of_value = |(value, file): (_, &PathBuf)| {
        Ok::<_, RunError>(VariantValue { value, report_file: text(file)? })
    };
    let given = arguments.variants.0.iter().cloned();
    plan.variants = Some(VariantPlan {
        option: option.to_owned(),
        values: given.zip(&files).map(of_value).collect::<Result<_, _>>()?,
    });
    // Another order each time, as in a replay.
    let seed = *plan.seed.get_or_insert_with(|| u64::from(fastrand::u32(..)));
    let bench = host.bench(&code_path)?;
    let measured = Measured { option, seed, values: &values, files: &files, arguments };
    let measurement = host.measure(bench, &plan, looks.first().copied(), |number| {
        // What cannot be compared at all is known after the first.
        let decided = measured.compared(policy)?.decision;
        let Some(look) = looks.iter().copied().find(|look| *look >= number) else {
            return Ok(Next::GoOn { look: blocks });
        };
        if look != number {
            return Ok(Next::GoOn { look });
        }
        let is_open = decided.is_some_and(|found| found.judgement == Judgement::Undecided);
        let next = looks.iter().copied().find(|next| is_open && *next > number);
        host.progress.stands(None, next);
        Ok(next.map_or(Next::Stop, |look| Next::GoOn { look }))
    })?;
    match measurement.ended {
        Ended::Complete => {}
        Ended::OutOfTime(why) => return Ok(Compared::OutOfTime(why)),
        Ended::Interrupted(code) => return Err(RunError::Interrupted(code)),
        Ended::Failed(why) => return Err(RunError::NothingMeasured { why }),
    }
    let found = measured.compared(policy)?;
    let file = artifacts.join(format!("perf_variants_{stamp}.json"));
    write_atomically(&file, to_json(&found)?.as_bytes())?;
    host.progress.say(&format!("the comparison is in {}", file.display()));
    Ok(Compared::Whole(Box::new(found)))
}

/// The policy; none where nobody named one and the project has none.
fn policy(arguments: &settings::Transport) -> Result<Option<Policy>, RunError> {
    let path = match &arguments.policy {
        Some(path) => path.clone(),
        None => arguments.settings.project.join(POLICY),
    };
    if arguments.policy.is_none() && !path.exists() {
        return Ok(None);
    }
    read_file(&path).map(Some).map_err(read)
}

/// What is measured, and where it goes.
struct Measured<'a> {
    option: &'a str,
    seed: u64,
    values: &'a [String],
    files: &'a [PathBuf],
    arguments: &'a settings::Transport,
}

impl Measured<'_> {
    /// What the reports say so far.
    fn compared(&self, policy: Option<&Policy>) -> Result<Variants, RunError> {
        let reports: Vec<Report> = self
            .files
            .iter()
            .map(|file| read_file(file).map_err(read))
            .collect::<Result<_, _>>()?;
        let paths: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        let sides: Vec<Side<'_>> = self
            .values
            .iter()
            .zip(&paths)
            .zip(&reports)
            .map(|((value, path), report)| Side { value, path, report })
            .collect();
        // What a run leaves before its end need not add up.
        let problems: Vec<_> = sides
            .iter()
            .filter(|side| !validity::ended_early(side.report))
            .flat_map(|side| consistency::check(side.path, side.report))
            .collect();
        if !problems.is_empty() {
            return Err(RunError::Variants(list(&problems)));
        }
        if self.option == TRANSPORT {
            differ(&sides)?;
        }
        let Some(base) = reports.first() else {
            return Err(RunError::Variants("there are none".to_owned()));
        };
        let (ratios, decision) = ratios::ratios(&sides, self.option, policy);
        let given = self.arguments.variants.0.iter();
        let variant = |(value, side): (&cp1_format::AdapterOption, &Side<'_>)| Variant {
            value: value.clone(),
            report: side.path.to_owned(),
            env: side.report.env.clone(),
            figures: ratios::figures(side.report),
            accounting: side.report.accounting.unwrap_or_default(),
        };
        Ok(Variants {
            schema: SchemaTag { name: SchemaName::Cp1Variants, version: 1 },
            timestamp: base.timestamp.clone(),
            git: base.git.clone(),
            option: self.option.to_owned(),
            seed: self.seed,
            blocks: base.blocks.as_ref().map_or(0, Vec::len) as u64,
            confidence_pct: Amount::from(CONFIDENCE_PCT),
            variants: given.zip(&sides).map(variant).collect(),
            ratios,
            notices: ratios::notices(&sides, decision.as_ref()),
            decision,
        })
    }
}

/// That no two were measured through the same: an adapter that does not know the option would make a bus
/// look free.
fn differ(sides: &[Side<'_>]) -> Result<(), RunError> {
    let through = |side: &Side<'_>| {
        EnvironmentField::ALWAYS_REQUIRED.map(|field| {
            let stated = field.of(&side.report.env);
            stated.or(field.unstated().map(ToOwned::to_owned)).unwrap_or_default()
        })
    };
    for (index, side) in sides.iter().enumerate() {
        let mut earlier = sides.iter().take(index);
        if let Some(same) = earlier.find(|other| through(other) == through(side)) {
            let [name, ..] = through(side);
            return Err(RunError::Variants(format!(
                "{} and {} were both measured through {name}; the adapter has to take its option \
                 {TRANSPORT}, and to say in transport/1 what it does",
                same.value, side.value
            )));
        }
    }
    Ok(())
}
