//! Says whether the blocks of a run here can be judged against the frozen ones, before it is measured.

use cp1_format::{EnvironmentField, Policy, Report, read_file};

use crate::cli::arguments::Mode;
use crate::judge::compare::comparison;
use crate::judge::sessions;
use crate::read::trusted::{self, TrustedError};

/// `frozen` with the looks, separated by commas, or `replay` with the reason.
///
/// # Errors
/// A file cannot be read.
pub fn mode(arguments: &Mode) -> Result<String, TrustedError> {
    let revision = arguments.trusted_ref.as_deref();
    let frozen: Report = trusted::read(&arguments.baseline, revision)?;
    let policy: Policy = trusted::read(&arguments.policy, revision)?;
    let policy = if arguments.smoke { policy.for_smoke() } else { policy };
    let here: Report = read_file(&arguments.here)?;
    let differences = comparison(&frozen, &here, &policy).differences;
    let mut fields: Vec<_> = differences.into_iter().map(|difference| difference.field).collect();
    // Whatever the policy requires: another bench measures other figures.
    for tool in [EnvironmentField::RouterBenchVersion, EnvironmentField::NifVersion] {
        let is_named = fields.iter().any(|field| field == tool.name());
        if tool.of(&frozen.env) != tool.of(&here.env) && !is_named {
            fields.push(tool.name().to_owned());
        }
    }
    Ok(if !fields.is_empty() {
        format!("replay the baseline was measured with another {}", fields.join(", "))
    } else if let Some(reason) = sessions::disagreement(&frozen, &policy) {
        format!("replay {reason}")
    } else if frozen.load.is_none() {
        "replay the baseline does not say under which load it was measured".to_owned()
    } else {
        let looks: Vec<_> = policy.decision.looks.iter().map(ToString::to_string).collect();
        format!("frozen {}", looks.join(","))
    })
}
