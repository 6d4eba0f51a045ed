//! What the kept gates say, kind by kind: how they ended, how gates drawn from their blocks end, and
//! whether a delay reads as large as it is.

use cp1_format::{DelayReading, Metric, Policy, Proof, ProvenGates, Report};

use crate::prove::gates::Signs;
use crate::prove::kept::{Gate, Kept, KeptError};
use crate::prove::planted::{Fault, KINDS, P95_AT_1_5, Reading, SAME};
use crate::prove::simulate;
use crate::prove::tally::tally;

/// Of all kinds that have gates.
///
/// # Errors
/// A gate cannot be read.
pub fn tables(kept: &Kept, policy: &Policy) -> Result<Proof, KeptError> {
    let mut proof = Proof { kinds: Vec::new(), reading: None };
    for kind in KINDS {
        let gates = kept.gates(&kind)?;
        if gates.is_empty() {
            continue;
        }
        let verdicts: Vec<_> = gates.iter().map(|gate| &gate.verdict).collect();
        let replays: Vec<_> = gates.iter().map(|gate| (&gate.replay, &gate.candidate)).collect();
        let signs = if kind == SAME { Signs::Either } else { Signs::AsMeasured };
        let (drawn, not_drawn) = match simulate::of_replays(policy, &replays, signs) {
            Ok(drawn) => (Some(drawn), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let directory = kept.of_kind(&kind).display().to_string();
        proof.kinds.push(ProvenGates { directory, tally: tally(&verdicts), drawn, not_drawn });
        if kind == P95_AT_1_5 {
            proof.reading = read(policy, &gates, &replays);
        }
    }
    Ok(proof)
}

fn read(policy: &Policy, gates: &[Gate], replays: &[(&Report, &Report)]) -> Option<DelayReading> {
    let planted = gates.first()?.candidate.run.planted_fault.as_deref()?;
    let Some(Fault::DelayUs(delay_us)) = Fault::parse(planted) else { return None };
    let p95 = |gate: &Gate| Some(gate.replay.metrics.get(Metric::LatencyP95Ms)?.approximate());
    let read_pct = simulate::change_pct(policy, replays, Metric::LatencyP95Ms)?;
    Reading::new(delay_us, gates.iter().filter_map(p95).collect(), read_pct)?.answer()
}
