//! What a candidate will be compared with: the frozen figures, or the frozen commit. Pure.

use cp1_format::{EnvironmentField, Policy, Report};

use crate::judge::conditions::{Measured, comparison};
use crate::judge::sessions;

/// Why blocks of here and now cannot be judged against the frozen ones; `None` where they can.
#[must_use]
pub fn replay_needed(frozen: &Report, policy: &Policy, here: &Report) -> Option<String> {
    let differences = comparison(frozen, here, policy, Measured::Apart).differences;
    if let Some(silent) = differences.iter().find(|difference| difference.is_silent()) {
        return Some(format!("neither the baseline nor this machine states {}", silent.field));
    }
    let mut fields: Vec<_> = differences.into_iter().map(|difference| difference.field).collect();
    // Whatever the policy requires: another bench measures other figures.
    for tool in [EnvironmentField::RouterBenchVersion, EnvironmentField::NifVersion] {
        let is_named = fields.iter().any(|field| field == tool.name());
        if tool.of(&frozen.env) != tool.of(&here.env) && !is_named {
            fields.push(tool.name().to_owned());
        }
    }
    if !fields.is_empty() {
        return Some(format!("the baseline was measured with another {}", fields.join(", ")));
    }
    let unknown = || "the baseline does not say under which load it was measured".to_owned();
    sessions::disagreement(frozen, policy).or_else(|| frozen.load.is_none().then(unknown))
}

/// Why a baseline cannot be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCommit {
    /// The baseline names no commit.
    #[error("the baseline does not say which commit was measured; freeze inside a git repository")]
    Absent,
    /// What was measured is no commit.
    #[error(
        "the baseline was measured with uncommitted changes, so no commit can stand for it; freeze \
         a clean tree"
    )]
    Dirty,
}

/// The commit of a baseline.
///
/// # Errors
/// [`NoCommit`]
pub fn commit(baseline: &Report) -> Result<&str, NoCommit> {
    if baseline.git.dirty == Some(true) {
        return Err(NoCommit::Dirty);
    }
    baseline.git.commit.as_deref().ok_or(NoCommit::Absent)
}
