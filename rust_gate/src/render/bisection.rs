//! A search for a commit, as text.

use std::fmt::Write as _;

use cp1_format::{BisectedCommit, Bisection, BisectionResult};

use crate::escape::plain;
use crate::render::figures;

/// Renders where a search is, or what it found.
#[must_use]
pub fn render(bisection: &Bisection) -> String {
    let mut page = String::from("CP1 bisection\n\n");
    let commits = &bisection.commits;
    let blocks: usize = commits.iter().map(|commit| commit.changes.len()).sum();
    let measured = commits.iter().filter(|commit| !commit.changes.is_empty()).count();
    let not_compiled = commits.iter().filter(|commit| !commit.is_compiled).count();
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "{} commits after {}, {not_compiled} of them touch nothing that is compiled; {measured} were \
         measured against it in {blocks} blocks",
        commits.len(),
        figures::short_commit(&bisection.good),
    );
    for (commit, why) in commits.iter().filter_map(|c| Some((c, c.skipped.as_ref()?))) {
        let _ = writeln!(page, "skipped {}: {}", name(commit), plain(why));
    }
    page.push('\n');
    match (&bisection.result, &bisection.sought) {
        (None, _) => page.push_str("it was interrupted, and goes on with the same command\n"),
        (Some(BisectionResult::EndsAlike), _) => page.push_str(
            "NOBODY: the blocks do not show that the ends differ beyond a limit, so no commit is blamed\n",
        ),
        (Some(BisectionResult::Undecided), _) => page.push_str(
            "NOBODY: the ends differ, and the blocks between them contradict each other: what made it worse \
             may have been taken back and brought again; search a shorter range with --good and --bad\n",
        ),
        (Some(BisectionResult::Found { commits: found, probability_pct, step }), sought) => {
            let found: Vec<_> = found.iter().filter_map(|index| commits.get(*index)).collect();
            let metric = sought.as_ref().map(|sought| sought.metric.name()).unwrap_or_default();
            if found.len() > 1 {
                let _ = writeln!(
                    page,
                    "ONE OF {}: nothing that can be measured tells these apart",
                    found.len()
                );
            }
            for commit in &found {
                let _ = writeln!(page, "FOUND {}", name(commit));
            }
            if let Some(step) = step {
                let bound = |bound: &Option<_>| {
                    bound.as_ref().map_or_else(|| "open".to_owned(), figures::change)
                };
                let _ = writeln!(
                    page,
                    "  {metric} {} against {}, 95 % interval {} to {}, {} blocks in turn",
                    figures::change(&step.estimate_pct),
                    figures::short_commit(&step.from),
                    bound(&step.low_pct),
                    bound(&step.high_pct),
                    step.blocks,
                );
            }
            let _ = writeln!(
                page,
                "  with a probability of {probability_pct} %; such a search blames another commit in at \
                 most {} %",
                bisection.error_pct
            );
        }
    }
    page
}

fn name(commit: &BisectedCommit) -> String {
    let BisectedCommit { commit, date, subject, .. } = commit;
    format!("{} {} {}", figures::short_commit(commit), plain(date), plain(subject))
}
