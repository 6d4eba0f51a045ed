//! What is new since a revision that an owner should read; it breaks no rule.

use std::path::Path;

use cp1_format::{Waivers, parse};

use super::some;
use super::states::{History, Target, is_record};
use crate::contract::{BASELINE, ContractError, POLICY, WAIVERS, owned};
use crate::read::git::{Entry, GitError};

impl History {
    /// The waivers that neither the revision nor what came before has.
    pub(super) fn waivers_since(&self, target: &Target) -> Result<Vec<String>, ContractError> {
        let mut before = Vec::new();
        for commit in target.bases.iter().chain([&target.commit]) {
            before.extend(self.waivers(commit)?);
        }
        let here = self.waivers(&self.head)?;
        let new = here.into_iter().filter(|waiver| !before.contains(waiver));
        let told = |waiver: cp1_format::Waiver| {
            let is_changed = before.iter().any(|other| other.metric == waiver.metric);
            let how = if is_changed { "changed" } else { "new" };
            format!(
                "{WAIVERS}: a waiver of {} is {how}: up to {} % until {}, {}, because {}",
                waiver.metric, waiver.ceiling_pct, waiver.expires, waiver.issue, waiver.reason
            )
        };
        Ok(new.map(told).collect())
    }

    /// Those that a commit has; a list that its reader refuses is found in the files.
    fn waivers(&self, commit: &str) -> Result<Vec<cp1_format::Waiver>, GitError> {
        let listed = self.git.output(&["ls-tree", "-z", commit, "--", WAIVERS])?;
        let entries = Entry::of_tree(&String::from_utf8_lossy(&listed));
        let Some((_, entry)) = entries.first() else { return Ok(Vec::new()) };
        let text = self.text(WAIVERS, entry)?;
        let list = text.and_then(|text| parse::<Waivers>(Path::new(WAIVERS), text.as_bytes()).ok());
        Ok(list.map(|list| list.waivers).unwrap_or_default())
    }

    /// What changed since the revision by which a measurement, or what is judged by it, can be faked.
    pub(super) fn owned_since(&self, target: &Target) -> Result<Vec<String>, ContractError> {
        let Some(base) = target.bases.first() else { return Ok(Vec::new()) };
        let options = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", base, &self.head];
        let listed = self.git.output(&options)?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let paths = listed.split('\0').map(|path| path.strip_prefix(&self.prefix).unwrap_or(path));
        // Baseline, policy and records have rules of their own.
        let has_rules = |path: &str| matches!(path, BASELINE | POLICY) || is_record(path);
        let changed: Vec<&str> = paths.filter(|path| !has_rules(path)).collect();
        let told = |pattern: &str| {
            let is_it = |path: &&str| owned::is_of(pattern, path);
            let names: Vec<_> = changed.iter().copied().filter(is_it).map(str::to_owned).collect();
            let names = Some(some(&names)).filter(|_| !names.is_empty())?;
            Some(format!("changed, and can fake a measurement or its judging: {names}"))
        };
        Ok(owned::OWNED.into_iter().chain(owned::TOOL).filter_map(told).collect())
    }
}
