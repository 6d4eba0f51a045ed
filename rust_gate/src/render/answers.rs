//! The answers of commands for people: what `--format json` prints as JSON, in words and tables.

use cp1_format::{
    BlocksNeeded, Budget, CheckKind, CheckStatus, Decimal, Finding, FindingVerdict, Findings,
    FlameGraph, InitStep, Initialized, Light, MachineCheck, MergedMachineOf, MergedReport,
    PlantedChange, Proof, ProvenGates, Rate, Recorded, Routers, Said, Sampled, SearchSimulation,
    SessionReports, SimulatedGates, SimulatedSearches, Simulation, Tally,
};

use crate::contract::list;
use crate::render::figures::change;

/// What stands where there is no figure.
const ABSENT: &str = "-";

/// Renders an answer; without a line end.
#[must_use]
pub fn text(said: &Said) -> String {
    match said {
        Said::Init(initialized) => init(initialized),
        Said::Doctor(found) => doctor(found),
        Said::Runner(checks) => runner(checks),
        Said::Bench(bench) => format!("report: {}", bench.report),
        Said::Sessions(sessions) => self::sessions(sessions),
        Said::Flame(graph) => flame(graph),
        Said::Merge(merged) => self::merged(merged),
        Said::Simulate(simulation) => simulate(simulation),
        Said::SimulateSearches(simulation) => simulate_searches(simulation),
        Said::Plan(needed) => plan(needed),
        Said::Selftest(planted) => selftest(planted),
        Said::Prove(proof) => prove(proof),
        Said::Freeze(recorded)
        | Said::Bump(recorded)
        | Said::Amend(recorded)
        | Said::Rollback(recorded) => self::recorded(recorded),
        Said::Verify(found) => findings(found, "the contract is kept"),
        Said::Lint(found) => findings(found, "nothing was found"),
        Said::Budget(budget) => self::budget(budget),
    }
}

fn init(Initialized { steps, next }: &Initialized) -> String {
    let step = |step: &InitStep| match step {
        InitStep::Write { file } => format!("write  {file}"),
        InitStep::WouldWrite { file, text } => format!("would write {file}:\n{}", indented(text)),
        InitStep::Keep { file, why } => format!("keep   {file}: it {why}"),
        InitStep::ByHand { what } => format!("todo   {what}"),
    };
    let mut lines: Vec<_> = steps.iter().map(step).collect();
    lines.push(format!("next: {next}"));
    lines.join("\n")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn doctor(found: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let word = match finding.verdict {
            FindingVerdict::Fine => "fine ",
            FindingVerdict::Note => "note ",
            FindingVerdict::Wrong => "WRONG",
        };
        format!("{word}  {}", finding.text)
    };
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// All checks, one a line with its cure below, and how many there are of each status.
fn runner(checks: &[MachineCheck]) -> String {
    let line = |check: &MachineCheck| {
        let status = match check.status {
            CheckStatus::Ok => "ok",
            CheckStatus::Bad => "bad",
            CheckStatus::Unknown => "unknown",
        };
        let kind = match check.kind {
            CheckKind::Rule => "rule",
            CheckKind::Advice => "advice",
        };
        let cure = match &check.cure {
            Some(cure) => format!("{:>35}{cure}\n", "cure: "),
            None => String::new(),
        };
        format!("{status:<8}{kind:<7} {:<18} {}\n{cure}", check.name, check.found)
    };
    let lines: String = checks.iter().map(line).collect();
    let count = |status: CheckStatus| checks.iter().filter(|check| check.status == status).count();
    let [ok, bad, unknown] = [CheckStatus::Ok, CheckStatus::Bad, CheckStatus::Unknown].map(count);
    format!("{lines}\n{ok} ok, {bad} bad, {unknown} unknown")
}

fn sessions(SessionReports { problems, load, next, .. }: &SessionReports) -> String {
    let mut lines = Vec::new();
    if !problems.is_empty() {
        lines.push(format!("no baseline can have this session\n{}", list(problems)));
    }
    lines.extend(load.map(|load| {
        format!(
            "further sessions under the same load: --rate={} --concurrency={}",
            load.rate_per_second, load.concurrency
        )
    }));
    lines.extend(next.as_ref().map(|next| format!("next:\n{next}")));
    lines.join("\n")
}

fn merged(merged: &MergedReport) -> String {
    let MergedReport { report, routers, blocks, together_pct, metrics, absent, machines, notes } =
        merged;
    let routers = match routers {
        Routers::Each => "each with a router of its own",
        Routers::Shared => "with one router",
    };
    let together = match together_pct {
        Some(pct) => format!("at once in {pct} % of the shortest run, as their clocks say"),
        None => "nobody knows whether at once".to_owned(),
    };
    let mut lines =
        vec![format!("{} machines, {routers}, {blocks} blocks, {together}:", machines.len())];
    for (index, machine) in machines.iter().enumerate() {
        let MergedMachineOf { file, timestamp, rate_per_second, disturbed_blocks } = machine;
        lines.push(format!(
            "  machine {}: {file}, {timestamp}, {rate_per_second} requests/s, disturbed blocks: \
             {disturbed_blocks}",
            index + 1
        ));
    }
    let figures =
        metrics.0.iter().map(|(metric, figure)| format!("  {:<26} {figure}", metric.name()));
    lines.push("together:".to_owned());
    lines.extend(figures);
    lines.extend(
        absent.iter().map(|metric| format!("  {:<26} {ABSENT} (not known)", metric.name())),
    );
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    lines.push(format!("report: {report}"));
    lines.join("\n")
}

fn flame(FlameGraph { file, size_bytes, seconds, frozen, candidate }: &FlameGraph) -> String {
    let build = |what: &str, sampled: &Sampled| {
        let Sampled { samples, requests, request_ns, .. } = sampled;
        format!(
            "{what:<11}{samples} samples, {requests} requests, {request_ns} ns of processor time for each"
        )
    };
    [
        format!(
            "flame graph: {file} ({} KB, {seconds} s of load for each build)",
            size_bytes / 1024
        ),
        build("candidate", candidate),
        build("frozen", frozen),
    ]
    .join("\n")
}

fn simulate(simulation: &Simulation) -> String {
    let Simulation { gates, seed, source, lines, measured, false_alarms } = simulation;
    let row = |cells: &[&str; 6]| {
        let [planted, change, passed, failed, open, blocks] = cells;
        format!("{planted:<22}{change:>9}{passed:>10}{failed:>12}{open:>14}{blocks:>8}")
    };
    let line = |gates: &SimulatedGates| {
        let (planted, change) = match (gates.metric, &gates.change_pct) {
            (Some(metric), change) => (metric.name(), change.as_ref().map(self::change)),
            (None, Some(_)) => ("nothing", Some("0 %".to_owned())),
            (None, None) => ("what was measured", None),
        };
        let percent = |percent: &Decimal| format!("{percent} %");
        row(&[
            planted,
            &change.unwrap_or_default(),
            &percent(&gates.pass_pct),
            &percent(&gates.regression_pct),
            &percent(&gates.inconclusive_pct),
            &gates.blocks.to_string(),
        ])
    };
    let headings = ["planted", "change", "PASS", "REGRESSION", "INCONCLUSIVE", "blocks"];
    let mut page = vec![format!("{gates} gates a line, {source}, seed {seed}"), row(&headings)];
    page.extend(lines.iter().map(line));
    page.extend(measured.iter().map(|of_metric| {
        let (name, change) = (of_metric.metric.name(), change(&of_metric.change_pct));
        format!("{name:<22} {change} over {} blocks", of_metric.blocks)
    }));
    page.extend(false_alarms.as_ref().map(|rate| {
        format!(
            "false alarms: {} of {}, 95 % interval {} to {} %",
            rate.count, rate.of, rate.low_pct, rate.high_pct
        )
    }));
    page.join("\n")
}

fn simulate_searches(simulation: &SearchSimulation) -> String {
    let SearchSimulation { searches, seed, source, commits, broken_pct, lines } = simulation;
    let row = |cells: &[&str; 7]| {
        let [planted, change, right, wrong, nobody, steps, blocks] = cells;
        format!("{planted:<22}{change:>9}{right:>10}{wrong:>22}{nobody:>10}{steps:>7}{blocks:>8}")
    };
    let share = |rate: &Rate| format!("{:.2} %", rate.count as f64 / rate.of.max(1) as f64 * 100.0);
    let line = |of: &SimulatedSearches| {
        row(&[
            of.metric.name(),
            &change(&of.change_pct),
            &share(&of.right),
            &format!("{} (to {} %)", share(&of.wrong), of.wrong.high_pct),
            &share(&of.nobody),
            &of.steps.to_string(),
            &of.blocks.to_string(),
        ])
    };
    let mut page = vec![
        format!(
            "{searches} searches a line, {commits} commits of which {broken_pct} % do not build, {source}, \
             seed {seed}"
        ),
        row(&["planted", "change", "right", "wrong", "nobody", "steps", "blocks"]),
    ];
    page.extend(lines.iter().map(line));
    page.join("\n")
}

fn plan(needed: &BlocksNeeded) -> String {
    let BlocksNeeded { detection_pct, passes_pct, limits, last_look, blocks } = needed;
    let shown = |blocks: Option<u64>| {
        blocks.map_or_else(|| "more than 100".to_owned(), |blocks| blocks.to_string())
    };
    let mut lines = vec![format!(
        "blocks for {detection_pct} % detection of what must be caught; and for {passes_pct} % PASS \
         without a change too"
    )];
    lines.extend(limits.iter().map(|limit| {
        let spread = limit.spread_pct.as_ref().map(|spread| format!("{spread} %"));
        format!(
            "{:<22}{:>9}{:>16}{:>16}",
            limit.metric.name(),
            spread.unwrap_or_default(),
            shown(limit.to_catch),
            shown(limit.to_pass_too)
        )
    }));
    lines.push(match blocks {
        Some(blocks) if blocks <= last_look => {
            format!("the policy's last look, after {last_look} blocks, is enough")
        }
        Some(blocks) => format!(
            "the policy's last look, after {last_look} blocks, is not enough: let decision.looks end at \
             {blocks}, or measure longer blocks"
        ),
        None => "no number of blocks up to 100 is enough: measure longer blocks, on a quieter \
                 machine, or widen the limits"
            .to_owned(),
    });
    lines.join("\n")
}

fn selftest(planted: &[PlantedChange]) -> String {
    let line = |PlantedChange { metric, planted, answer }: &PlantedChange| {
        let answer = match answer {
            Light::Red => "red",
            Light::Green => "green",
        };
        format!("{:<28}{planted:<44}{answer}", metric.name())
    };
    planted.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn prove(Proof { kinds, reading }: &Proof) -> String {
    let kind = |ProvenGates { directory, tally, drawn, not_drawn }: &ProvenGates| {
        let drawn = drawn.as_ref().map(simulate);
        // Too few blocks to draw from are no reason to be silent about what was counted.
        let why = not_drawn.as_ref().map(|why| format!("no gates drawn: {why}"));
        format!("{directory}\n{}\n{}", self::tally(tally), drawn.or(why).unwrap_or_default())
    };
    let mut parts: Vec<_> = kinds.iter().map(kind).collect();
    parts.extend(reading.as_ref().map(|reading| {
        format!(
            "p95: {} % planted, {} % read, factor {}",
            reading.planted_pct, reading.read_pct, reading.factor
        )
    }));
    parts.join("\n\n")
}

/// One line for each outcome that can be, then what was estimated of each metric.
fn tally(Tally { gates, outcomes, blocks, estimates }: &Tally) -> String {
    let mut lines =
        vec![format!("{gates} gates, rates with 95 % intervals of Clopper and Pearson")];
    lines.extend(outcomes.iter().map(|outcome| {
        let (word, rate) = (outcome.outcome.word(), &outcome.rate);
        let percent = outcome.pct.to_string();
        let (low, high) = (&rate.low_pct, &rate.high_pct);
        format!("{word:<22}{:>5}{percent:>9} %   {low} to {high} %", rate.count)
    }));
    let blocks = blocks.as_ref().map(ToString::to_string);
    lines.extend(blocks.map(|blocks| format!("{:<22}{blocks:>7} a gate", "blocks of a side")));
    lines.extend(estimates.iter().map(|estimate| {
        let change = change(&estimate.change_pct);
        format!("{:<22}{change:>10} median of the estimates", estimate.metric.name())
    }));
    lines.join("\n")
}

fn recorded(Recorded { record, commands, .. }: &Recorded) -> String {
    let commands: String = commands.iter().map(|command| format!("\n  {command}")).collect();
    format!("wrote {record}\ncommit it alone, with what it is about:{commands}")
}

fn findings(Findings { problems, notes }: &Findings, none: &str) -> String {
    let notes = notes.iter().map(|note| format!("note: {}\n", crate::escape::line(note)));
    let answer = if problems.is_empty() { none.to_owned() } else { list(problems) };
    notes.chain([answer]).collect()
}

fn budget(Budget { since, limits }: &Budget) -> String {
    let row = |cells: [&str; 6]| {
        let [metric, limit, used, moved, corrected, cap] = cells;
        format!("{metric:<22}{limit:>8}{used:>14}{moved:>12}{corrected:>12}{cap:>9}")
    };
    let percent =
        |percent: &Option<Decimal>| percent.as_ref().map_or_else(|| ABSENT.to_owned(), change);
    let headings = row(["metric", "limit", "used", "moved", "corrected", "cap"]);
    let mut lines = vec![since.clone(), headings];
    lines.extend(limits.iter().map(|limit| {
        row([
            limit.metric.name(),
            &change(&limit.limit_pct),
            limit.used.as_deref().unwrap_or(ABSENT),
            &percent(&limit.moved_pct),
            &percent(&limit.corrected_pct),
            &percent(&limit.cap_pct),
        ])
    }));
    lines.join("\n")
}
