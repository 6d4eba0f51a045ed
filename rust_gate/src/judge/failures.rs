//! Why the candidate's requests failed, as notices. Pure.

use std::collections::BTreeMap;

use cp1_format::{FailedOutcome, Notice, Report};

use crate::escape::clip;

/// Kinds of failures that are named; the rest is counted.
const NAMED_MAX: usize = 5;

/// Longest reason or sample, in characters.
const TEXT_MAX_CHARS: usize = 200;

/// The failures of one kind, of all blocks together.
struct Failures<'a> {
    count: u64,
    /// The first of them.
    sample: &'a str,
}

/// The most frequent kinds of failures in all blocks, and how many other kinds there are. Their
/// words are the file's: a renderer escapes them.
#[must_use]
pub fn notices(report: &Report) -> Vec<Notice> {
    let mut by_kind = BTreeMap::<(FailedOutcome, &str), Failures<'_>>::new();
    for failure in report.blocks.iter().flatten().flat_map(|block| block.reasons.iter().flatten()) {
        let kind = (failure.outcome, failure.reason.as_str());
        let of_kind = by_kind.entry(kind).or_insert(Failures { count: 0, sample: &failure.sample });
        of_kind.count = of_kind.count.saturating_add(failure.count);
    }
    let kinds = by_kind.len();
    let mut by_count: Vec<_> = by_kind.into_iter().collect();
    // Stable, so kinds of the same count stay in the order of their names.
    by_count.sort_by_key(|(_, failures)| std::cmp::Reverse(failures.count));
    let named = by_count.into_iter().take(NAMED_MAX).map(|((outcome, reason), failures)| {
        let Failures { count, sample } = failures;
        let (reason, sample) = (clip(reason, TEXT_MAX_CHARS), clip(sample, TEXT_MAX_CHARS));
        Notice(format!("{}: {reason}, for example {sample}", counted(outcome, count)))
    });
    let rest = kinds.saturating_sub(NAMED_MAX);
    let rest = (rest > 0).then(|| Notice(format!("and {rest} more kinds of failures")));
    named.chain(rest).collect()
}

fn counted(outcome: FailedOutcome, count: u64) -> String {
    let noun = match outcome {
        FailedOutcome::Error => "error",
        FailedOutcome::Timeout => "timeout",
        FailedOutcome::Rejected => "rejection",
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
