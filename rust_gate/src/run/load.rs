//! Says under which load a baseline was measured, so that a candidate is measured under the same.

use cp1_format::Report;

use crate::cli::arguments::Load;
use crate::read::trusted::{self, TrustedError};

/// Arrivals a second and workers of the closed loop, with a space between, as text for a script; empty
/// where the baseline does not say.
///
/// # Errors
/// The baseline cannot be read.
pub fn load(arguments: &Load) -> Result<String, TrustedError> {
    let baseline: Report = trusted::read(&arguments.baseline, arguments.trusted_ref.as_deref())?;
    let words = |load: cp1_format::Load| format!("{} {}", load.rate_per_second, load.concurrency);
    Ok(baseline.load.map(words).unwrap_or_default())
}
