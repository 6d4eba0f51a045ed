//! `lint`: mistakes that no single file shows, and those that its reader finds.

use cp1_format::{Date, Findings, Metric, Waivers, read_file};

use super::records::Chain;
use super::verify::unreadable;
use super::{BASELINE, Contract, ContractError, POLICY, WAIVERS, ci_files, problem};
use crate::adopt::jobs::Tool;
use crate::cli::arguments::Lint;
use crate::judge::{consistency, sessions, validity, waivers};
use crate::prove::plan;

/// Everything that was found; empty where nothing was.
///
/// # Errors
/// A directory cannot be read at all.
pub fn lint(arguments: &Lint) -> Result<Findings, ContractError> {
    let contract = Contract::at(&arguments.root.root);
    let mut problems = Chain::read(&contract)?.problems;
    problems.extend(ci_files::look(&contract, Tool::of(contract.root()))?.problems);
    let (policy, baseline) = (contract.policy(), contract.baseline());
    for (file, error) in [(POLICY, policy.as_ref().err()), (BASELINE, baseline.as_ref().err())] {
        problems.extend(error.map(|error| unreadable(file, error)));
    }
    if let (Ok(policy), Ok(baseline)) = (&policy, &baseline) {
        problems.extend(validity::of_baseline(BASELINE, baseline, policy));
        problems.extend(consistency::check(BASELINE, baseline));
        for metric in Metric::ALL {
            let is_measured = baseline.metrics.get(metric).is_some();
            let is_judged = policy.rules.contains_key(&metric);
            if metric.is_of_outage() {
                // Of the candidate alone, by an absolute limit; a relative one is looked at above.
                continue;
            }
            if is_judged && !is_measured {
                let message = format!("rules.{metric}: the baseline did not measure it");
                problems.push(problem(POLICY, message, "remove the rule, or measure it"));
            }
            if is_measured && !is_judged && !metric.is_optional() {
                let message = format!("no rule judges {metric}, which is measured");
                problems.push(problem(POLICY, message, "give it a rule"));
            }
        }
        // Where sessions disagree, the gate replays: then these blocks are no measure of its noise. Of
        // too few blocks no plan can be made; then it compares figures alone and says so.
        let needed = match sessions::disagreement(baseline, policy) {
            Some(_) => Vec::new(),
            None => plan::needed(policy, baseline).unwrap_or_default(),
        };
        for (held, needed) in needed {
            let last = policy.decision.looks.last().map_or(0, |look| *look as usize);
            if needed.to_catch.is_none_or(|needed| needed > last) {
                let needed =
                    needed.to_catch.map_or_else(|| "more than 100".into(), |n| n.to_string());
                let message = format!(
                    "rules.{}: the limit of {} % is under what the baseline's machine can see: it \
                     needs {needed} blocks to find what must be caught, and the last look is after {last}",
                    held.metric, held.limit_pct
                );
                let cure = "measure longer blocks, widen the limit, or plan a later look";
                problems.push(problem(POLICY, message, cure));
            }
        }
    }
    if let (Ok(policy), true) = (&policy, contract.path(WAIVERS).symlink_metadata().is_ok()) {
        match read_file::<Waivers>(&contract.path(WAIVERS)) {
            Err(error) => problems.push(unreadable(WAIVERS, &error)),
            Ok(list) => {
                let today = Date::today();
                problems.extend(waivers::problems(WAIVERS, &list, policy, today));
                let ended = waivers::in_force(Some(&list), policy, today).notices;
                let say = |notice: cp1_format::Notice| problem(WAIVERS, notice.0, "edit the file");
                problems.extend(ended.into_iter().map(say));
            }
        }
    }
    Ok(Findings { problems, notes: Vec::new() })
}
