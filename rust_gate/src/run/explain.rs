//! Both builds under trace: the bench routes the same requests through each, and says what they did.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cp1_format::{Event, Plan, Profiles, Request};

use crate::run::host::Host;
use crate::run::{RunError, child};

/// What the bench takes to end its BEAMs and to say so, once the plan's time is over.
const GRACE: Duration = Duration::from_secs(15);

/// Asks the bench to route the same requests through the frozen build of a plan and through the candidate,
/// whose code path this is, within the plan's time.
pub(super) fn profiles(
    host: &Host<'_>,
    path: &[PathBuf],
    plan: &Plan,
) -> Result<Profiles, RunError> {
    host.progress.step("routing the same requests through both builds, under trace");
    let mut bench = host.bench(path)?;
    bench.ask(&Request::Explain(plan.clone()))?;
    let deadline = Instant::now() + Duration::from_millis(plan.timeout_ms) + GRACE;
    let answer = bench.answer(deadline, host.interrupt);
    bench.end();
    child::end_orphans();
    match answer? {
        Some(Event::Explained(profiles)) => Ok(*profiles),
        Some(Event::Failed(why)) => Err(RunError::NotExplained { why }),
        Some(Event::Refused(refused)) => Err(host.refusal(plan, refused)),
        Some(_) => Err(RunError::NotExplained { why: "it answers what it was not asked".into() }),
        None => Err(RunError::NotExplained { why: "the bench does not answer in time".into() }),
    }
}
