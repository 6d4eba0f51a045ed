//! What a reader should know of reports that several machines make together. Pure.

use std::collections::BTreeSet;

use cp1_format::merged::TOGETHER_MIN_PCT;
use cp1_format::{Merged, Notice, Report, Routers};

/// Of both reports what is not as in a report of one machine.
pub(crate) fn notices(baseline: &Report, candidate: &Report) -> Vec<Notice> {
    let mut notices = Vec::new();
    if baseline.merged.is_some() != candidate.merged.is_some() {
        notices.push(
            "a merged report compares with one of as many machines alone: measure on all of them, then \
             merge"
                .to_owned(),
        );
    }
    for (name, report) in [("baseline", baseline), ("candidate", candidate)] {
        let Some(merged) = &report.merged else { continue };
        notices.push(made_of(name, merged));
        notices.extend(not_together(merged).map(|(session, together)| {
            let of_session = match merged.sessions() {
                1 => String::new(),
                _ => format!(" in session {}", session + 1),
            };
            format!("the machines of the {name} {together}{of_session}")
        }));
        notices.extend(disturbed(name, report));
    }
    notices.into_iter().map(Notice).collect()
}

fn made_of(name: &str, Merged { routers, machines }: &Merged) -> String {
    let what_of_it = match routers {
        Routers::Each => "throughput and memory are sums of all",
        Routers::Shared => "throughput is the sum of all, and the router's memory is not known",
    };
    format!(
        "the {name} is merged of {} machines: percentiles are of all their requests, {what_of_it}",
        machines.len()
    )
}

/// The first session in which the machines do not say that they measured at one time, and how it is told.
pub(crate) fn not_together(merged: &Merged) -> Option<(usize, String)> {
    (0..merged.sessions()).find_map(|session| match merged.together_pct(session) {
        None => Some((session, "do not say how long each measured, so perhaps not at once".to_owned())),
        Some(pct) if pct < TOGETHER_MIN_PCT => Some((
            session,
            format!(
                "measured at once in {pct} % of the shortest run by what their clocks say, so their \
                 rates may not have been there together"
            ),
        )),
        Some(_) => None,
    })
}

/// On which machine blocks were disturbed.
fn disturbed(name: &str, report: &Report) -> Option<String> {
    let blocks: Vec<_> =
        report.blocks.iter().flatten().filter_map(|block| block.machines.as_ref()).collect();
    let machines = report.merged.as_ref()?.machines.len();
    let of_machine = |machine: usize| {
        let reasons =
            blocks.iter().filter_map(|of_block| of_block.get(machine)?.disturbed.as_ref());
        let disturbed: Vec<_> = reasons.filter(|reasons| !reasons.is_empty()).collect();
        let names: BTreeSet<_> = disturbed.iter().copied().flatten().map(|it| it.name()).collect();
        let names: Vec<_> = names.into_iter().collect();
        let count = disturbed.len();
        (count > 0).then(|| format!("{count} on machine {} ({})", machine + 1, names.join(", ")))
    };
    let told: Vec<_> = (0..machines).filter_map(of_machine).collect();
    (!told.is_empty()).then(|| format!("disturbed blocks of the {name}: {}", told.join("; ")))
}
