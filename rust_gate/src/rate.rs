//! Says at which arrival rate a baseline was measured, so that a candidate is measured at the same.

use cp1_format::{ReadError, Report, read_file};

use crate::arguments::Rate;

/// The rate in arrivals a second as text for a script; empty where the baseline does not say.
///
/// # Errors
/// The baseline cannot be read.
pub fn rate(arguments: &Rate) -> Result<String, ReadError> {
    let baseline: Report = read_file(&arguments.baseline)?;
    Ok(baseline.load.map(|load| load.rate_per_second.to_string()).unwrap_or_default())
}
