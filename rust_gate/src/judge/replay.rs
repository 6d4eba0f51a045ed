//! Whether two reports are the two sides of a replay: the baseline's commit and the candidate,
//! measured in turn on one machine. Pure.

use cp1_format::{Block, Pairing, Problem, Report, Role};

use crate::judge::compare::Named;

const REPLAY_AGAIN: &str = "measure both again: perf-gate run --compare=replay";

/// Why the two reports are not the two sides of a replay of the baseline's commit.
#[must_use]
pub fn problems(baseline: Named<'_>, replay: Named<'_>, candidate: Named<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |report: Named<'_>, place: &str, message: String| {
        problems.push(Problem {
            file: report.path.to_owned(),
            place: Some(place.to_owned()),
            message,
            cure: REPLAY_AGAIN.to_owned(),
        });
    };
    for (report, role) in [(replay, Role::Frozen), (candidate, Role::Candidate)] {
        match &report.document.pairing {
            None => add(report, "pairing", "the report is no side of a replay".to_owned()),
            Some(pairing) if pairing.role != role => {
                add(report, "pairing.role", "the report is the other side of a replay".to_owned());
            }
            Some(_) => {}
        }
    }
    if let (Some(frozen), Some(judged)) = (&replay.document.pairing, &candidate.document.pairing)
        && !is_one_run(frozen, judged)
    {
        let message = "the blocks are not those of the candidate: the two come from different runs";
        add(replay, "pairing", message.to_owned());
    }
    let (frozen, replayed) = (&baseline.document.git, &replay.document.git);
    let same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
    if !same(&frozen.commit, &replayed.commit) && !same(&frozen.tree, &replayed.tree) {
        let message = "what was replayed is not the commit that the baseline was measured on";
        add(replay, "git.commit", message.to_owned());
    }
    if let Some(block) = unlike(replay.document, candidate.document) {
        let message = "this block's slices are not those of the candidate's block, taken in turn";
        add(replay, &format!("blocks[{block}]"), message.to_owned());
    }
    if replay.document.run.ct_exit_code != Some(0) {
        let message = "the test run that measured did not exit with 0, or the report is not sealed";
        add(replay, "run.ct_exit_code", message.to_owned());
    }
    problems
}

fn is_one_run(frozen: &Pairing, judged: &Pairing) -> bool {
    frozen.seed == judged.seed
        && frozen.alive_together == judged.alive_together
        && are_in_turn(&frozen.booted_first, &judged.booted_first)
}

/// Whether of each two one came first.
fn are_in_turn(one: &[bool], other: &[bool]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one != other)
}

/// The first block of which the two sides' slices were not measured in turn.
fn unlike(replay: &Report, candidate: &Report) -> Option<usize> {
    let orders = |report: &Report| -> Vec<_> {
        let of = |block: &Block| {
            let (closed, open) = (&block.throughput.slices, &block.latency.slices);
            [(closed.ok.len(), closed.went_first.clone()), (open.ok.len(), open.went_first.clone())]
        };
        report.blocks.iter().flatten().map(of).collect()
    };
    let blocks = orders(replay).into_iter().zip(orders(candidate));
    blocks.enumerate().find_map(|(index, (one, other))| {
        let in_turn = one.iter().zip(&other).all(|((_, one), (count, other))| {
            let (one, other) = (one.as_deref(), other.as_deref());
            one.zip(other)
                .is_some_and(|(one, other)| one.len() == *count && are_in_turn(one, other))
        });
        (!in_turn).then_some(index)
    })
}
