//! Says at which arrival rate a baseline was measured, so that a candidate is measured at the same.

use cp1_format::Report;

use crate::arguments::Rate;
use crate::trusted::{self, TrustedError};

/// The rate in arrivals a second as text for a script; empty where the baseline does not say.
///
/// # Errors
/// The baseline cannot be read.
pub fn rate(arguments: &Rate) -> Result<String, TrustedError> {
    let baseline: Report = trusted::read(&arguments.baseline, arguments.trusted_ref.as_deref())?;
    Ok(baseline.load.map(|load| load.rate_per_second.to_string()).unwrap_or_default())
}
