//! What is unusual in the candidate itself, each with its evidence, and nothing without.

use std::collections::BTreeSet;

use cp1_format::{Advice, AdviceKind, Profile};

use super::figures::number;
use super::{each, kept};
use crate::render::figures::grouped;

/// Most pieces of advice of one kind.
const ADVICE_MAX: usize = 3;

/// Part of the workers that stand in one mailbox where everything waits for it: with half of them there, a
/// request waits for others longer than for its own work.
const QUEUE_PART: f64 = 0.5;

/// A mailbox below this is a message on its way.
const QUEUE_LEAST: u64 = 2;

/// Part of all running time from which on a process works for the requests, and is not just slow to look.
const RUNNING_PART: f64 = 0.1;

/// Reads of tables by a request from which on how they are locked matters.
const READS_LEAST: f64 = 0.5;

/// Writes for a read up to which a table is read for the most part: `read_concurrency` makes changing over
/// between reading and writing dearer.
const WRITES_PART: f64 = 0.1;

/// Words of a message that take longer to copy than a message to send: 1 KB.
const WORDS_LARGE: f64 = 128.0;

/// Messages for a request below which their size does not matter.
const MESSAGES_LEAST: f64 = 0.01;

/// Functions of `ets` that read a row, and those that write one.
const READS: [&str; 6] = ["lookup", "lookup_element", "member", "match", "select", "next"];
const WRITES: [&str; 6] =
    ["insert", "insert_new", "delete", "update_counter", "update_element", "take"];

/// Advice about a candidate.
#[must_use]
pub fn of(candidate: &Profile) -> Vec<Advice> {
    [
        bottlenecks(candidate),
        read_concurrency(candidate),
        copied_messages(candidate),
        long_runs(candidate),
    ]
    .into_iter()
    .flat_map(|advice| advice.into_iter().take(ADVICE_MAX))
    .collect()
}

/// The largest first, of equals by name.
fn largest<T>(mut all: Vec<(f64, &str, T)>) -> impl Iterator<Item = (f64, T)> {
    all.sort_by(|(a, name_a, _), (b, name_b, _)| b.total_cmp(a).then_with(|| name_a.cmp(name_b)));
    all.into_iter().map(|(size, _, it)| (size, it))
}

fn bottlenecks(candidate: &Profile) -> Vec<Advice> {
    let ran: f64 = candidate.processes.iter().map(|it| it.running_us as f64).sum();
    let found = candidate.processes.iter().filter_map(|it| {
        let part = if ran > 0.0 { it.running_us as f64 / ran } else { 0.0 };
        let is_line = it.queue_max >= QUEUE_LEAST
            && it.queue_max as f64 >= QUEUE_PART * f64::from(candidate.workers);
        // Of several that run the same, the work is spread already.
        (is_line && it.count == 1 && part >= RUNNING_PART).then_some((part, it.name.as_str(), it))
    });
    let advice = |(part, it): (f64, &cp1_format::Processes)| {
        Advice {
        kind: AdviceKind::Bottleneck,
        place: kept(&it.name),
        evidence: format!(
            "its mailbox had up to {} messages while {} workers routed, and it ran {} % of the time that \
             all processes ran",
            grouped(&it.queue_max.to_string()),
            candidate.workers,
            number(part * 100.0),
        ),
        advice: "everything waits for one process: let callers read from a table or persistent_term, or \
                 spread it over several processes"
            .to_owned(),
    }
    };
    largest(found.collect()).map(advice).collect()
}

fn read_concurrency(candidate: &Profile) -> Vec<Advice> {
    let calls = |names: &[&str]| {
        let of_ets = candidate.functions.iter().filter(|it| it.module == "ets");
        let calls = of_ets.filter(|it| names.contains(&it.function.as_str())).map(|it| it.calls);
        each(calls.fold(0, u64::saturating_add), candidate.requests)
    };
    let (reads, writes) = (calls(&READS), calls(&WRITES));
    if candidate.workers < 2 || reads < READS_LEAST || writes > WRITES_PART * reads {
        return Vec::new();
    }
    let own: BTreeSet<&str> =
        candidate.processes.iter().filter(|it| it.is_own).map(|it| it.name.as_str()).collect();
    let tables: Vec<_> = candidate
        .tables
        .iter()
        .filter(|it| !it.read_concurrency && it.rows > 0 && own.contains(it.owner.as_str()))
        .map(|it| (it.rows as f64, it.name.as_str(), it))
        .collect();
    let which = match tables.len() {
        1 => "the only table of the project without it",
        _ => "one of the project's tables without it; which is read is not traced",
    };
    let advice = |(_, it): (f64, &cp1_format::Table)| Advice {
        kind: AdviceKind::ReadConcurrency,
        place: kept(&it.name),
        evidence: format!(
            "{} workers read tables {} times a request and write {} times; this is {which}",
            candidate.workers,
            number(reads),
            number(writes),
        ),
        advice: "make it with {read_concurrency, true}".to_owned(),
    };
    largest(tables).map(advice).collect()
}

fn copied_messages(candidate: &Profile) -> Vec<Advice> {
    let found = candidate.messages.iter().filter_map(|it| {
        let (messages, words) = (each(it.count, it.requests), each(it.words, it.count));
        let is_large = messages >= MESSAGES_LEAST && words >= WORDS_LARGE;
        is_large.then_some((messages * words, it.from.as_str(), it))
    });
    let advice = |(copied, it): (f64, &cp1_format::Messages)| Advice {
        kind: AdviceKind::CopiedMessage,
        place: format!("{} to {}", kept(&it.from), kept(&it.to)),
        evidence: format!(
            "{} messages a request, {} words each, the largest {}: {} words are copied for a request",
            number(each(it.count, it.requests)),
            number(each(it.words, it.count)),
            grouped(&it.words_max.to_string()),
            number(copied),
        ),
        advice:
            "send less of it, or as a binary of more than 64 bytes, which is shared and not copied"
                .to_owned(),
    };
    largest(found.collect()).map(advice).collect()
}

fn long_runs(candidate: &Profile) -> Vec<Advice> {
    let runs = candidate.long_runs.iter().filter(|it| it.count > 0);
    let found = runs.map(|it| (it.longest_ms as f64, it.process.as_str(), it)).collect();
    let advice = |(_, it): (f64, &cp1_format::LongRuns)| Advice {
        kind: AdviceKind::LongRun,
        place: kept(&it.process),
        evidence: format!(
            "it kept a scheduler for {} ms or longer {} times, at most {} ms, and was in {} then",
            it.at_least_ms,
            grouped(&it.count.to_string()),
            grouped(&it.longest_ms.to_string()),
            kept(&it.place),
        ),
        advice:
            "whoever is on this scheduler waits meanwhile: do it in parts, or on a dirty scheduler"
                .to_owned(),
    };
    largest(found).map(advice).collect()
}
