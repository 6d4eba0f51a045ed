//! What the kept gates say, kind by kind: how they ended, how gates drawn from their blocks end, and
//! whether a delay reads as large as it is.

use cp1_format::{Metric, Policy, Report};

use crate::prove::gates::Signs;
use crate::prove::kept::{Gate, Kept, KeptError};
use crate::prove::planted::{Fault, KINDS, P95_AT_1_5, Reading, SAME};
use crate::prove::simulate;
use crate::prove::tally::tally;

/// The tables of all kinds that have gates.
///
/// # Errors
/// A gate cannot be read.
pub fn tables(kept: &Kept, policy: &Policy) -> Result<String, KeptError> {
    let mut parts = Vec::new();
    let mut reading = None;
    for kind in KINDS {
        let gates = kept.gates(&kind)?;
        if gates.is_empty() {
            continue;
        }
        let verdicts: Vec<_> = gates.iter().map(|gate| &gate.verdict).collect();
        let replays: Vec<_> = gates.iter().map(|gate| (&gate.replay, &gate.candidate)).collect();
        let signs = if kind == SAME { Signs::Either } else { Signs::AsMeasured };
        // Too few blocks to draw from are no reason to be silent about what was counted.
        let drawn = simulate::of_replays(policy, &replays, signs)
            .unwrap_or_else(|error| format!("no gates drawn: {error}"));
        let place = kept.of_kind(&kind);
        parts.push(format!("{}\n{}\n{drawn}", place.display(), tally(&verdicts)));
        if kind == P95_AT_1_5 {
            reading = read(policy, &gates, &replays);
        }
    }
    parts.extend(reading.map(|reading| reading.to_string()));
    Ok(parts.join("\n\n"))
}

fn read(policy: &Policy, gates: &[Gate], replays: &[(&Report, &Report)]) -> Option<Reading> {
    let planted = gates.first()?.candidate.run.planted_fault.as_deref()?;
    let Some(Fault::DelayUs(delay_us)) = Fault::parse(planted) else { return None };
    let p95 = |gate: &Gate| Some(gate.replay.metrics.get(Metric::LatencyP95Ms)?.approximate());
    let read_pct = simulate::change_pct(policy, replays, Metric::LatencyP95Ms)?;
    Reading::new(delay_us, gates.iter().filter_map(p95).collect(), read_pct)
}
