//! Says what a replay measures: the baseline's commit, and after how many blocks it is judged.

use cp1_format::{Policy, Report};

use crate::cli::arguments::ReplayPlan;
use crate::read::trusted::{self, TrustedError};

/// Why a baseline cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayPlanError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] TrustedError),
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

/// Three words for a script: the looks, separated by commas, the commit, and the tree where the
/// baseline has it. The reader has checked the hashes: nothing else can come out.
///
/// # Errors
/// [`ReplayPlanError`]
pub fn replay_plan(arguments: &ReplayPlan) -> Result<String, ReplayPlanError> {
    let revision = arguments.trusted_ref.as_deref();
    let baseline: Report = trusted::read(&arguments.baseline, revision)?;
    let policy: Policy = trusted::read(&arguments.policy, revision)?;
    let policy = if arguments.smoke { policy.for_smoke() } else { policy };
    if baseline.git.dirty == Some(true) {
        return Err(ReplayPlanError::Dirty);
    }
    let looks: Vec<_> = policy.decision.looks.iter().map(ToString::to_string).collect();
    let commit = baseline.git.commit.ok_or(ReplayPlanError::Absent)?;
    let words = [Some(looks.join(",")), Some(commit), baseline.git.tree];
    Ok(words.into_iter().flatten().collect::<Vec<_>>().join(" "))
}
