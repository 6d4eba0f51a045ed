//! The rules for all commits since a revision together.

use cp1_format::{Problem, RecordKind};

use super::states::{History, State, Target};
use crate::contract::{ContractError, POLICY, RECORDS, ci_files, loosened, problem};
use crate::read::git::Entry;

impl History {
    /// The rules for all commits since a revision together, whatever the way there.
    pub(super) fn since(&mut self, target: &Target) -> Result<Vec<Problem>, ContractError> {
        let (here, there) = (self.head_state()?, self.state(&target.commit)?);
        let mut landed = State::default();
        let mut problems = Vec::new();
        for base in &target.bases {
            let state = self.state(base)?;
            problems.extend(gone(&state, &here));
            landed.files.extend(state.files.clone());
        }
        for (path, entry) in here.records().filter(|(path, _)| !landed.files.contains_key(*path)) {
            let same_number = |other: &&String| number(other) == number(path);
            let cure = "rebase, remove this record, and write it again";
            match there.files.get(path) {
                Some(other) if other == entry => {}
                Some(_) => {
                    let message = "another record of this name has landed meanwhile";
                    problems.push(problem(path, message, cure));
                }
                None => {
                    let taken = there.records().map(|(path, _)| path).find(same_number);
                    if let Some(other) = taken {
                        let message = format!("{other} has landed meanwhile with the same number");
                        problems.push(problem(path, message, cure));
                    }
                }
            }
        }
        // What landed and stayed at the base, but was replaced on the way to the target.
        for (path, entry) in there.records() {
            let is_other = here.files.get(path).is_some_and(|is| is != entry);
            if is_other && landed.files.contains_key(path) {
                let message = "it is not the record that the revision has";
                problems.push(problem(path, message, "restore it from there"));
            }
        }
        let Some(base) = target.bases.first() else { return Ok(problems) };
        for file in [ci_files::GITLAB, ci_files::GITHUB] {
            if self.has(base, file)? && !self.has(&self.head, file)? {
                let message = "the file is gone, and with it the job that blocks";
                problems.push(problem(file, message, "restore it"));
            }
        }
        let at_base = self.state(base)?;
        if let (Some(before), Some(after)) = (self.policy(&at_base)?, self.policy(&here)?) {
            let looser = loosened::loosened(&before, &after);
            let mut is_recorded = false;
            for (path, entry) in
                here.records().filter(|(path, _)| !landed.files.contains_key(*path))
            {
                let record = self.record(path, entry)?;
                is_recorded |= record.is_some_and(|record| record.kind == RecordKind::Policy);
            }
            if !looser.is_empty() && !is_recorded {
                let message = format!("the policy was loosened: {}", looser.join("; "));
                let cure = "restore it, or justify it by a record of its own: perf-gate amend";
                problems.push(problem(POLICY, message, cure));
            }
        }
        Ok(problems)
    }
}

/// The records of one state that another one does not have as they are.
pub(super) fn gone(before: &State, here: &State) -> Vec<Problem> {
    let cure = "restore it; a record is corrected by a further record";
    let of_record = |(path, entry): (&String, &Entry)| match here.files.get(path) {
        Some(is) if is == entry => None,
        Some(_) => Some(problem(path, "a record that has landed was replaced", cure)),
        None => Some(problem(path, "a record that has landed is gone", cure)),
    };
    before.records().filter_map(of_record).collect()
}

/// The number in the name of a record.
fn number(path: &str) -> Option<&str> {
    path.get(RECORDS.len() + 1..RECORDS.len() + 5)
}
