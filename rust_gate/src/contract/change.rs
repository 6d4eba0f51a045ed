//! The commands that change the contract: `freeze`, `bump`, `amend` and `rollback`.
//!
//! Each finds every reason against the change first, then writes all of it or nothing, and says how
//! to commit it.

use std::path::{Path, PathBuf};

use cp1_format::{
    Change, Date, Digest, Metrics, Policy, Problem, Record, RecordKind, Recorded, Report,
    SchemaName, SchemaTag, parse, to_json, write_atomically,
};

use super::assemble::assemble;
use super::records::Chain;
use super::standing::Standing;
use super::{
    BASELINE, Contract, ContractError, POLICY, RECORDS, answers, budget, digest, loosened, page,
    problem, sound, verify,
};
use crate::cli::arguments::{Amend, Answers, Bump, Freeze, Reason, Rollback};
use crate::judge::blocks::{BLOCKS_MIN, Sides};
use crate::judge::compare::Named;
use crate::judge::conditions::{Measured, comparison};
use crate::judge::decision::{JudgedLimit, held};
use crate::read::git::{Git, GitError};
use crate::read::standard_input;
use crate::statistics::shift::Shift;

/// What a command is about to write.
struct Draft {
    record: Record,
    /// The new baseline; `None` where it stays.
    baseline: Option<String>,
}

/// Makes the first baseline; says how to commit it.
///
/// # Errors
/// [`ContractError`]; then nothing was written.
pub fn freeze(arguments: &Freeze) -> Result<Recorded, ContractError> {
    let contract = Contract::at(&arguments.root.root);
    let mut refusals = answers::problems(&arguments.answers, contract.root());
    if contract.path(BASELINE).symlink_metadata().is_ok() {
        let cure = "move it with perf-gate bump";
        refusals.push(problem(BASELINE, "there is a baseline already", cure));
    }
    let (chain, policy) = (Chain::read(&contract)?, contract.policy()?);
    refusals.extend(chain.problems.clone());
    if chain.last().is_some() {
        let cure = "restore the baseline, or go back with perf-gate rollback";
        refusals.push(problem(RECORDS, "there are records of a baseline already", cure));
    }
    let new = measured(&arguments.session, &policy, &mut refusals)?;
    let Some(new) = new.filter(|_| refusals.is_empty()) else {
        return Err(ContractError::Refused(refusals));
    };
    let policy_after = digest::of_json_file(&contract.path(POLICY))?;
    let policy = Change { before: None, after: policy_after };
    let draft = draft(&chain, RecordKind::Freeze, &arguments.answers, policy, None, new)?;
    publish(&contract, draft)
}

/// Moves the baseline; says how to commit it.
///
/// # Errors
/// [`ContractError`]; then nothing was written.
pub fn bump(arguments: &Bump) -> Result<Recorded, ContractError> {
    let contract = Contract::at(&arguments.root.root);
    let kind = match arguments.reason {
        Reason::TradeOff => RecordKind::TradeOff,
        Reason::Improvement => RecordKind::Improvement,
        Reason::Correction => RecordKind::Correction,
    };
    let (chain, policy) = (Chain::read(&contract)?, contract.policy()?);
    let old = Standing::of(&contract, &chain)?;
    let mut refusals = answers::problems(&arguments.answers, contract.root());
    refusals.extend(intact(&contract, &chain)?);
    let new = measured(&arguments.session, &policy, &mut refusals)?;
    match (&old, &new) {
        (Standing::Readable(old), Some(new)) => {
            refusals.extend(unjustified(kind, old, new, &policy));
        }
        (Standing::EarlierFormat(_), _) if kind != RecordKind::Correction => {
            refusals.extend(old.needs_correction());
        }
        _ => {}
    }
    let Some(new) = new.filter(|_| refusals.is_empty()) else {
        return Err(ContractError::Refused(refusals));
    };
    let draft = continued(&contract, &chain, kind, &arguments.answers, old.metrics(), new)?;
    within_budget(&chain, &draft, &policy)?;
    publish(&contract, draft)
}

/// Records the policy of the work tree; says how to commit it.
///
/// # Errors
/// [`ContractError`]; then nothing was written.
pub fn amend(arguments: &Amend) -> Result<Recorded, ContractError> {
    let contract = Contract::at(&arguments.root.root);
    let (chain, policy) = (Chain::read(&contract)?, contract.policy()?);
    let baseline = readable(&contract, &chain)?;
    let mut refusals = answers::problems(&arguments.answers, contract.root());
    refusals.extend(chain.problems.clone());
    refusals.extend(verify::baseline(&contract, &chain)?);
    let after = digest::of_json_file(&contract.path(POLICY))?;
    let before = match chain.last() {
        None => {
            let cure = "begin the chain with perf-gate freeze or bump";
            refusals.push(problem(RECORDS, "there is no record to amend", cure));
            None
        }
        Some(last) if last.policy.after == after => {
            refusals.push(problem(POLICY, "the policy is the recorded one", "change it first"));
            None
        }
        Some(last) => Some(last.policy.after.clone()),
    };
    let old = before.as_ref().map(|before| earlier(&contract, POLICY, before)).transpose()?;
    let (Some(before), Some(old)) = (before, old.filter(|_| refusals.is_empty())) else {
        return Err(ContractError::Refused(refusals));
    };
    let old: Policy = parse(Path::new(POLICY), old.as_bytes())?;
    let change = Change { before: Some(before), after };
    let mut draft = draft(
        &chain,
        RecordKind::Policy,
        &arguments.answers,
        change,
        Some(&baseline.metrics),
        baseline.clone(),
    )?;
    let unchanged = digest::of_json_file(&contract.path(BASELINE))?;
    draft.record.baseline = Change { before: Some(unchanged.clone()), after: unchanged };
    draft.record.policy_changes = loosened::changes(&old, &policy);
    draft.baseline = None;
    publish(&contract, draft)
}

/// Goes back to an earlier baseline; says how to commit it.
///
/// # Errors
/// [`ContractError`]; then nothing was written.
pub fn rollback(arguments: &Rollback) -> Result<Recorded, ContractError> {
    let contract = Contract::at(&arguments.root.root);
    let chain = Chain::read(&contract)?;
    let old = readable(&contract, &chain)?;
    let mut refusals = answers::problems(&arguments.answers, contract.root());
    refusals.extend(intact(&contract, &chain)?);
    let target = chain.records().find(|record| record.number == arguments.number).cloned();
    match &target {
        None => {
            let message = format!("there is no record {:04} with a head", arguments.number);
            refusals.push(problem(RECORDS, message, "name one of the records in this directory"));
        }
        Some(target)
            if chain.last().is_some_and(|last| last.baseline.after == target.baseline.after) =>
        {
            let message = format!("the baseline is that of record {:04}", arguments.number);
            refusals.push(problem(BASELINE, message, "name an earlier record"));
        }
        Some(_) => {}
    }
    let Some(target) = target.filter(|_| refusals.is_empty()) else {
        return Err(ContractError::Refused(refusals));
    };
    let text = earlier(&contract, BASELINE, &target.baseline.after)?;
    let Ok(back) = parse::<Report>(Path::new(BASELINE), text.as_bytes()) else {
        let message = format!(
            "the baseline of record {:04} is of an earlier format, and nothing could be judged \
             against it",
            target.number
        );
        let cure =
            "name a later record, or measure that commit again and give it to perf-gate bump";
        return Err(ContractError::Refused(vec![problem(BASELINE, message, cure)]));
    };
    let kind = RecordKind::Rollback;
    let mut draft = continued(&contract, &chain, kind, &arguments.answers, &old.metrics, back)?;
    // The very bytes that were frozen then.
    draft.record.baseline.after = target.baseline.after;
    draft.record.back_to = Some(target.number);
    draft.baseline = Some(text);
    publish(&contract, draft)
}

/// The baseline, for what cannot go on from one of an earlier format.
fn readable(contract: &Contract, chain: &Chain) -> Result<Report, ContractError> {
    let standing = Standing::of(contract, chain)?;
    let refusals = standing.needs_correction().into_iter().collect();
    match standing {
        Standing::Readable(report) => Ok(*report),
        Standing::EarlierFormat(_) => Err(ContractError::Refused(refusals)),
    }
}

/// Reads the sessions and makes one report of them; adds what speaks against it.
fn measured(
    paths: &[PathBuf],
    policy: &Policy,
    refusals: &mut Vec<Problem>,
) -> Result<Option<Report>, ContractError> {
    let reports: Vec<Report> =
        paths.iter().map(|path| standard_input::file(path)).collect::<Result<_, _>>()?;
    let names: Vec<_> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let mut sessions = Vec::new();
    for (path, document) in names.iter().zip(&reports) {
        if let Some(code) = document.run.ct_exit_code.filter(|code| *code != 0) {
            let message = format!("the test run that measured exited with {code}");
            refusals.push(problem(path, message, "make its tests pass, then measure again"));
        }
        sessions.push(Named { path, document });
    }
    match assemble(&sessions) {
        Ok(report) => {
            let name = names.join(" + ");
            refusals.extend(sound::problems(Named { path: &name, document: &report }, policy));
            Ok(Some(report))
        }
        Err(problems) => {
            refusals.extend(problems);
            Ok(None)
        }
    }
}

/// Why the contract as it stands cannot be continued. Before the chain begins there is nothing that
/// it could contradict.
fn intact(contract: &Contract, chain: &Chain) -> Result<Vec<Problem>, ContractError> {
    if chain.last().is_none() {
        return Ok(chain.problems.clone());
    }
    Ok(verify::files(contract)?.problems)
}

/// Why the reason does not fit the figures.
fn unjustified(kind: RecordKind, old: &Report, new: &Report, policy: &Policy) -> Vec<Problem> {
    let differences = comparison(old, new, policy, Measured::Apart).differences;
    let fields: Vec<_> = differences.iter().map(|difference| difference.field.as_str()).collect();
    let tool =
        |report: &Report| (report.env.router_bench_version.clone(), report.env.nif_version.clone());
    let is_measured_alike = fields.is_empty() && tool(old) == tool(new);
    let is_same_commit = old.git.commit == new.git.commit;
    let refuse = |message: String, cure: &str| vec![problem("--reason", message, cure)];
    if kind == RecordKind::Correction {
        if is_measured_alike && !is_same_commit {
            return refuse(
                "the router changed and the measurement did not, so nothing was corrected".into(),
                "give trade-off or improvement; to correct, measure the frozen commit again",
            );
        }
        return Vec::new();
    }
    if !fields.is_empty() {
        return refuse(
            format!("the two were measured under different conditions: {}", fields.join(", ")),
            "correct the measurement first, in a bump of its own that measures the frozen commit",
        );
    }
    let shifts = shifts(old, new, policy);
    let better = shifts.iter().any(|(_, shift)| shift.upper < 0.0);
    let worse = shifts.iter().any(|(_, shift)| shift.lower > 0.0);
    let beyond: Vec<_> = shifts
        .iter()
        .filter(|(held, shift)| shift.estimate > held.criteria.limit)
        .map(|(held, _)| held.metric.name())
        .collect();
    match kind {
        RecordKind::Improvement if !better => refuse(
            "no metric became better beyond the noise".into(),
            "there is nothing to move the baseline for",
        ),
        RecordKind::Improvement if !beyond.is_empty() => refuse(
            format!("{} became worse beyond its limit", beyond.join(", ")),
            "that is a trade-off: say so",
        ),
        RecordKind::TradeOff if !worse => refuse(
            "no metric became worse beyond the noise, so nothing was traded".into(),
            "leave the baseline, or give improvement",
        ),
        _ => Vec::new(),
    }
}

/// How far each metric with a relative limit moved; without blocks the figures themselves.
fn shifts(old: &Report, new: &Report, policy: &Policy) -> Vec<(JudgedLimit, Shift)> {
    let blocks = |report: &Report| report.blocks.as_ref().map_or(0, Vec::len);
    let has_blocks = blocks(old).min(blocks(new)) >= BLOCKS_MIN;
    let of_metric = |held: JudgedLimit| {
        if has_blocks {
            return Some((held, Sides::apart(old, new).shift(&held)));
        }
        let log = |report: &Report| Some(report.metrics.get(held.metric)?.approximate().ln());
        let change = log(new)? - log(old)?;
        let change = held.direction.turned(change);
        Some((held, Shift { estimate: change, lower: change, upper: change }))
    };
    held(policy).into_iter().filter_map(of_metric).collect()
}

/// Refuses what exceeds the cap on all moves together.
fn within_budget(chain: &Chain, draft: &Draft, policy: &Policy) -> Result<(), ContractError> {
    let records: Vec<_> = chain.records().chain([&draft.record]).collect();
    let exceeded = budget::exceeded(&records, policy);
    if exceeded.is_empty() { Ok(()) } else { Err(ContractError::Refused(exceeded)) }
}

/// A record that continues the chain, with the policy as it is.
fn continued(
    contract: &Contract,
    chain: &Chain,
    kind: RecordKind,
    answers: &Answers,
    old: &Metrics,
    new: Report,
) -> Result<Draft, ContractError> {
    let policy = digest::of_json_file(&contract.path(POLICY))?;
    let policy = Change { before: Some(policy.clone()), after: policy };
    let mut draft = draft(chain, kind, answers, policy, Some(old), new)?;
    draft.record.baseline.before = Some(digest::of_json_file(&contract.path(BASELINE))?);
    Ok(draft)
}

fn draft(
    chain: &Chain,
    kind: RecordKind,
    answers: &Answers,
    policy: Change,
    old: Option<&Metrics>,
    new: Report,
) -> Result<Draft, ContractError> {
    let json = to_json(&new)?;
    let after = digest_of(&json)?;
    let (number, previous) = chain.next();
    let record = Record {
        schema: SchemaTag { name: SchemaName::Cp1Record, version: 1 },
        number,
        date: Date::today(),
        kind,
        back_to: None,
        previous,
        baseline: Change { before: None, after },
        policy,
        policy_changes: Vec::new(),
        metrics_before: old.cloned(),
        metrics_after: new.metrics,
        what: answers.what.trim().to_owned(),
        why_acceptable: answers.why_acceptable.trim().to_owned(),
        why_policy_holds: answers.why_policy_holds.trim().to_owned(),
        artifacts: answers.artifact.clone(),
    };
    Ok(Draft { record, baseline: Some(json) })
}

fn digest_of(json: &str) -> Result<Digest, ContractError> {
    Ok(digest::of_json(json).map_err(cp1_format::WriteError::Encode)?)
}

/// A file of the contract as it was when it had a digest, out of the history.
fn earlier(contract: &Contract, name: &str, wanted: &Digest) -> Result<String, ContractError> {
    let git = Git::at(contract.root());
    let touched = git.text(&["rev-list", "--full-history", "HEAD", "--", name])?;
    for commit in touched.lines() {
        let bytes = match git.file(commit, name) {
            Err(GitError::NoFile { .. }) => continue,
            read => read?,
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if digest::of_json(&text).is_ok_and(|digest| digest == *wanted) {
            return Ok(text);
        }
    }
    let message = format!("no commit of this repository has it with the digest {wanted}");
    let cure = "fetch the history: git fetch --unshallow";
    Err(ContractError::Refused(vec![problem(name, message, cure)]))
}

/// Writes record and baseline, both or neither.
fn publish(contract: &Contract, draft: Draft) -> Result<Recorded, ContractError> {
    let name = format!("{RECORDS}/{}", page::file_name(&draft.record));
    let record = contract.path(&name);
    let text = page::render(&draft.record)?;
    // What was written must be readable, or the next command could not go on.
    let head = page::head(&text).unwrap_or_default();
    parse::<Record>(&record, head.as_bytes())?;
    if record.symlink_metadata().is_ok() {
        let cure = "remove it, if it never landed";
        return Err(ContractError::Refused(vec![problem(
            name,
            "the record is there already",
            cure,
        )]));
    }
    if let Some(baseline) = &draft.baseline {
        parse::<Report>(&contract.path(BASELINE), baseline.as_bytes())?;
    }
    write_atomically(&record, text.as_bytes())?;
    let changed = match &draft.baseline {
        Some(baseline) => {
            if let Err(error) = write_atomically(&contract.path(BASELINE), baseline.as_bytes()) {
                let _ = std::fs::remove_file(&record);
                return Err(error.into());
            }
            BASELINE
        }
        None => POLICY,
    };
    let Record { number, kind, .. } = draft.record;
    let word = kind.word();
    Ok(Recorded {
        number,
        kind,
        commands: vec![
            format!("git add {changed} {name}"),
            format!("git commit --message='perf: {word} {number:04}' -- {changed} {name}"),
        ],
        record: name,
        about: changed.to_owned(),
    })
}
