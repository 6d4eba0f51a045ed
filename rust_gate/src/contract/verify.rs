//! `verify`: whether the contract is what its records say, and whether every commit kept to the rules
//! ([`super::history`]).

use std::ffi::OsString;

use cp1_format::{Date, Findings, Problem, ReadError, Waivers, read_file};

use super::history::Span;
use super::lint::lint;
use super::records::Chain;
use super::standing::Standing;
use super::{
    BASELINE, Contract, ContractError, POLICY, RECORDS, WAIVERS, budget, ci_files, digest, history,
    problem,
};
use crate::adopt::jobs::Tool;
use crate::cli::arguments::{Lint, Root, Verify};
use crate::judge::waivers;
use crate::read::git::{Git, GitError};

/// The same in a job of continuous integration, with what `lint` finds: of a merge or pull request the
/// commits that its target branch, which is fetched, does not have; in a merge queue those that the state
/// which the change is put on (`PERF_TRUSTED_REF`) does not have; else the whole history, or what came after
/// the commit that the variable `CP1_KNOWN_GOOD` names, and that what a push replaced is kept.
///
/// # Errors
/// It cannot be found out.
pub fn verify_in_ci(
    arguments: &Verify,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Findings, ContractError> {
    let text = |name: &str| {
        let value = variable(name)?.to_string_lossy().into_owned();
        Some(value).filter(|value| !value.is_empty())
    };
    let branch = text("CI_MERGE_REQUEST_TARGET_BRANCH_NAME").or_else(|| text("GITHUB_BASE_REF"));
    let before = text("CI_COMMIT_BEFORE_SHA").or_else(|| text("CP1_BEFORE"));
    // A platform says with zeros that there is nothing before.
    let before = before.filter(|commit| commit.bytes().any(|byte| byte != b'0'));
    let root = || Root { root: arguments.root.root.clone() };
    let contract = Contract::at(&arguments.root.root);
    let git = Git::at(contract.root());
    // By what is configured, as a directory of this name would do for git too.
    let fetch = |what: &str| {
        git.text(&["config", "--get", "remote.origin.url"])?;
        let options = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "origin", what];
        git.output(&options)
    };
    // The base of a merge queue's group comes from the same job's definition as what is trusted there.
    let is_in_queue = text("GITHUB_EVENT_NAME").is_some_and(|event| event == "merge_group");
    let base = text("PERF_TRUSTED_REF").filter(|_| is_in_queue);
    let (against, is_known_good) = match (&branch, base) {
        (Some(branch), _) => {
            let fetched = format!("refs/remotes/origin/{branch}");
            fetch(&format!("+refs/heads/{branch}:{fetched}"))?;
            (Some(fetched), false)
        }
        (None, Some(base)) => (Some(base), false),
        (None, None) => (text("CP1_KNOWN_GOOD"), true),
    };
    if contract.path(ci_files::GITHUB).symlink_metadata().is_ok() {
        // Which branch must be among its triggers; where the server does not say, that is said.
        let _ = git.output(&["remote", "set-head", "origin", "--auto"]);
    }
    if let (true, Some(good)) = (is_known_good, &against) {
        let commit = git.commit(good)?;
        if git.output(&["merge-base", "--is-ancestor", &commit, "HEAD"]).is_err() {
            let message = "HEAD does not come from it";
            let cure = "let the variable name a commit of this branch, or remove it";
            let found = problem(format!("CP1_KNOWN_GOOD={good}"), message, cure);
            return Err(ContractError::Refused(vec![found]));
        }
    }
    let print = arguments.print;
    let mut found = verify(&Verify { root: root(), against, files: false, ci: false, print })?;
    if let (None, Some(before)) = (&branch, &before) {
        if matches!(git.commit(before), Err(GitError::NoRevision(_))) {
            // A forced push replaced it; most servers still have it.
            let _ = fetch(before);
        }
        found.problems.extend(history::kept(&contract, before)?);
    }
    let linted = lint(&Lint { root: root(), print })?.problems;
    let is_new = |problem: &Problem| !found.problems.contains(problem);
    let linted: Vec<_> = linted.into_iter().filter(is_new).collect();
    found.problems.extend(linted);
    Ok(found)
}

/// Everything that is wrong; empty where nothing is.
///
/// # Errors
/// It cannot be found out.
pub fn verify(arguments: &Verify) -> Result<Findings, ContractError> {
    let contract = Contract::at(&arguments.root.root);
    let mut found = files(&contract)?;
    // This breaks no rule, but nothing can be judged against such a baseline.
    let standing = Standing::of(&contract, &Chain::read(&contract)?);
    found.problems.extend(standing.ok().and_then(|standing| standing.needs_correction()));
    let span = arguments.against.as_deref().map_or(Span::Whole, Span::Since);
    if !arguments.files {
        let history = history::look(&contract, span)?;
        found.problems.extend(history.problems);
        found.notes.extend(history.notes);
    }
    Ok(found)
}

/// What is wrong with the files alone.
///
/// # Errors
/// One cannot be read at all.
pub fn files(contract: &Contract) -> Result<Findings, ContractError> {
    let chain = Chain::read(contract)?;
    let mut problems = chain.problems.clone();
    problems.extend(baseline(contract, &chain)?);
    let jobs = ci_files::look(contract, Tool::of(contract.root()))?;
    problems.extend(jobs.problems);
    match (contract.policy(), chain.last()) {
        (Err(error), _) => problems.push(unreadable(POLICY, &error)),
        (Ok(policy), last) => {
            let recorded = last.map(|last| &last.policy.after);
            let is = digest::of_json_file(&contract.path(POLICY))?;
            if recorded.is_some_and(|recorded| *recorded != is) {
                problems.push(problem(
                    POLICY,
                    "the policy is not the one that the last record ended with",
                    "restore it, or record the change: perf-gate amend",
                ));
            }
            let records: Vec<_> = chain.records().collect();
            problems.extend(budget::exceeded(&records, &policy));
            if contract.path(WAIVERS).symlink_metadata().is_ok() {
                match read_file::<Waivers>(&contract.path(WAIVERS)) {
                    Err(error) => problems.push(unreadable(WAIVERS, &error)),
                    Ok(list) => {
                        problems.extend(waivers::problems(WAIVERS, &list, &policy, Date::today()))
                    }
                }
            }
        }
    }
    let unseen = jobs.unseen.into_iter().map(|unseen| format!("not seen from here: {unseen}"));
    Ok(Findings { problems, notes: unseen.collect() })
}

/// Whether the baseline is what the last record says: by its digest, in whatever format it is.
///
/// # Errors
/// It cannot be read at all.
pub fn baseline(contract: &Contract, chain: &Chain) -> Result<Vec<Problem>, ContractError> {
    let standing = match Standing::of(contract, chain) {
        Ok(standing) => standing,
        Err(error) => return Ok(vec![unreadable(BASELINE, &error)]),
    };
    let Some(last) = chain.last() else {
        let cure = "begin the chain: perf-gate freeze, or bump where there is a baseline";
        return Ok(vec![problem(RECORDS, "no record says what the baseline is", cure)]);
    };
    let restore = "restore it, or move it by perf-gate bump";
    let is = digest::of_json_file(&contract.path(BASELINE))?;
    Ok(if last.baseline.after != is {
        let message =
            format!("the baseline is not the one that record {:04} ended with", last.number);
        vec![problem(BASELINE, message, restore)]
    } else if last.metrics_after != *standing.metrics() {
        let message = format!("the figures are not those of record {:04}", last.number);
        vec![problem(BASELINE, message, restore)]
    } else {
        Vec::new()
    })
}

/// A file of the contract that its reader refuses.
pub(crate) fn unreadable(file: &str, error: &ReadError) -> Problem {
    Problem {
        file: file.to_owned(),
        place: error.place(),
        message: error.problem(),
        cure: error.cure().to_owned(),
    }
}
