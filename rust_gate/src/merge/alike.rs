//! Whether reports can be one: each is whole and sound, and all are of one router, under loads that add up.
//! Pure.

use cp1_format::merged::TOGETHER_MIN_PCT;
use cp1_format::{
    Arrivals, EnvironmentField, Load, Merged, Problem, Report, Routers, RunStatus, summary,
};

use super::{Part, sum};
use crate::judge::{consistency, validity};

const ALIKE: &str = "measure one commit on every machine, with one bench and one set of settings; rate, \
                     concurrency and seed may be each machine's own";
const ONCE: &str = "give the report of each machine once";

/// Every reason against merging.
pub(super) fn problems(parts: &[Part], routers: Routers) -> Vec<Problem> {
    let mut problems: Vec<_> = parts.iter().flat_map(|part| of_one(part, routers)).collect();
    problems.extend(twice(parts));
    if let Some((first, others)) = parts.split_first() {
        problems.extend(others.iter().filter_map(|other| unlike(first, other)));
    }
    problems
}

/// What of a report cannot be merged with any other.
fn of_one(part: &Part, routers: Routers) -> Vec<Problem> {
    let Part { report, .. } = part;
    let mut problems = Vec::new();
    let mut refuse = |place: &str, message: &str, cure: &str| {
        problems.push(part.problem(place, message, cure));
    };
    if report.watched.is_some() {
        let cure = "watch each node for itself, or measure under a load: perf-gate bench";
        refuse("watched", "watched traffic is no load that machines offer together", cure);
        return problems;
    }
    let is_of_bench = report.schema.is_some() && report.load.is_some();
    if !is_of_bench || report.blocks.is_none() || report.histograms.is_none() {
        let message =
            "only a report of the bench has the blocks and distributions that can be added";
        refuse("blocks", message, "measure on each machine: perf-gate bench");
        return problems;
    }
    if validity::ended_early(report) {
        let status = report.run.status.map_or("unfinished", RunStatus::name);
        refuse("run.status", &format!("the run is {status}"), "measure again, to its end");
        return problems;
    }
    if report.pairing.is_some() {
        let cure = "measure the router alone on each machine: perf-gate bench";
        refuse(
            "pairing",
            "this is a side of a replay, which was measured in turns of its own",
            cure,
        );
    }
    if report.sessions.is_some() {
        let cure = "merge the reports as measured, session by session, and give the merged ones to \
                    perf-gate freeze or bump";
        refuse("sessions", "the report is made of sessions already", cure);
    }
    if report.load.as_ref().is_some_and(|load| load.outage.is_some()) {
        let message = "an outage is one router's at one time, and machines have none in common";
        refuse(
            "load.outage",
            message,
            "leave --outage-ms out on machines whose reports are merged",
        );
    }
    if report.git.commit.is_none() {
        let message = "it does not say which commit was measured, so perhaps another one";
        refuse("git.commit", message, "measure inside the git repository");
    }
    if report.git.dirty == Some(true) {
        let message =
            "the work tree was not clean, so nothing says that all machines measured the same";
        refuse("git.dirty", message, "commit, then measure again");
    }
    if let Some(code) = report.run.ct_exit_code.filter(|code| *code != 0) {
        let message = format!("the test run that measured exited with {code}");
        refuse("run.ct_exit_code", &message, "make its tests pass, then measure again");
    }
    if report.env.attached == Some(true) && routers == Routers::Shared {
        let message = "the bench was in the router's node, so this machine has a router of its own";
        refuse("env.attached", message, "give --routers each");
    }
    if let Some(merged) = report.merged.as_ref().filter(|merged| merged.routers != routers) {
        let message = format!("it was merged with --routers {}", merged.routers.name());
        refuse("merged.routers", &message, "merge all reports alike");
    }
    let unsound = consistency::check(&part.file, report);
    if !unsound.is_empty() {
        problems.extend(unsound);
        return problems;
    }
    // What this machine cannot tell of its own tail, nobody sees in the tail of all.
    if let (status, Some(reason)) = summary::ending(report.blocks.as_deref().unwrap_or_default()) {
        let message = format!("{}: {reason}", status.name());
        let cure = match status {
            RunStatus::GeneratorLimited => "measure on a quieter machine, or at a lower rate",
            _ => "measure longer blocks on this machine, or at a higher rate",
        };
        problems.push(part.problem("run.status", message, cure));
    }
    problems
}

/// Reports of which a run is there already, under whatever name.
fn twice(parts: &[Part]) -> Vec<Problem> {
    let measured: Vec<_> = parts.iter().map(|part| (part, sum::machines(part))).collect();
    let mut problems = Vec::new();
    for (index, (part, machines)) in measured.iter().enumerate() {
        let is_again = |(earlier, known): &&(&Part, Vec<sum::Machine>)| {
            part.sha256 == earlier.sha256
                || machines.iter().any(|it| known.iter().any(|one| one.is(it)))
        };
        if let Some((earlier, _)) = measured.iter().take(index).find(is_again) {
            let message = format!("this has the run of {} again", earlier.file);
            problems.push(part.problem("timestamp", message, ONCE));
        }
    }
    problems
}

/// What two reports must have in common, and have not.
fn unlike(first: &Part, other: &Part) -> Option<Problem> {
    let (one, two) = (&first.report, &other.report);
    let (one_env, two_env) = (&one.env, &two.env);
    let env = |field: EnvironmentField| one.fingerprint(field) == two.fingerprint(field);
    let blocks = |report: &Report| report.blocks.as_ref().map(Vec::len);
    let load = |is_alike: fn(&Load, &Load) -> bool| match (&one.load, &two.load) {
        (Some(one), Some(two)) => is_alike(one, two),
        // Told of already.
        _ => true,
    };
    let parts = [
        ("schema", one.schema == two.schema),
        ("git.commit", one.git.commit == two.git.commit),
        ("git.tree", one.git.tree == two.git.tree),
        ("git.dirty", one.git.dirty == two.git.dirty),
        ("blocks", blocks(one) == blocks(two)),
        ("load.adapter", load(|one, two| one.adapter == two.adapter)),
        ("load.adapter_options", load(|one, two| one.adapter_options == two.adapter_options)),
        ("load.arrivals", load(|one, two| one.arrivals == two.arrivals)),
        ("load.keys", load(|one, two| one.keys == two.keys)),
        ("load.warmup_ms", load(|one, two| one.warmup_ms == two.warmup_ms)),
        ("load.throughput_ms", load(|one, two| one.throughput_ms == two.throughput_ms)),
        ("load.latency_ms", load(|one, two| one.latency_ms == two.latency_ms)),
        ("load.slice_ms", load(|one, two| one.slice_ms == two.slice_ms)),
        ("load.drivers", load(|one, two| one.drivers == two.drivers)),
        ("load.distribution", load(|one, two| one.distribution == two.distribution)),
        ("load.routers", load(|one, two| one.routers == two.routers)),
        ("load.drain_timeout_ms", load(|one, two| one.drain_timeout_ms == two.drain_timeout_ms)),
        (
            "load.sample_interval_ms",
            load(|one, two| one.sample_interval_ms == two.sample_interval_ms),
        ),
        ("env.attached", one_env.attached == two_env.attached),
        ("env.distributed", one_env.distributed == two_env.distributed),
        ("env.transport", env(EnvironmentField::Transport)),
        ("env.transport_tls_version", env(EnvironmentField::TransportTlsVersion)),
        ("env.transport_tls_cipher", env(EnvironmentField::TransportTlsCipher)),
        ("env.nif_version", env(EnvironmentField::NifVersion)),
        ("env.router_bench_version", env(EnvironmentField::RouterBenchVersion)),
        ("env.rust_profile", env(EnvironmentField::RustProfile)),
        ("run.planted_fault", one.run.planted_fault == two.run.planted_fault),
        ("controls", one.controls == two.controls),
    ];
    let unlike: Vec<_> =
        parts.into_iter().filter(|(_, is_alike)| !is_alike).map(|(name, _)| name).collect();
    let place = unlike.first()?;
    let message = format!("{} differs from {}", unlike.join(", "), first.file);
    Some(other.problem(place, message, ALIKE))
}

/// Why a router that all share was not under the load of all. What each machine's own clock says may be
/// off by as much as clocks are; no figure rests on it.
pub(super) fn at_once(parts: &[Part], report: &Report) -> Option<Problem> {
    let merged = report.merged.as_ref().filter(|merged| merged.routers == Routers::Shared)?;
    let together = merged.together_pct(0);
    let (message, cure) = match together {
        Some(pct) if pct >= TOGETHER_MIN_PCT => return None,
        Some(pct) => (
            format!(
                "by what the machines' clocks say all of them measured at once in {pct} % of the shortest run, \
                 and {TOGETHER_MIN_PCT} % are needed for one load on one router"
            ),
            "begin on all machines at once, with their clocks set (NTP)",
        ),
        None => (
            "a report does not say how long its run took, so nothing says that all measured at once"
                .to_owned(),
            "measure again with perf-gate bench",
        ),
    };
    parts.last().map(|part| part.problem("timestamp", message, cure))
}

/// Parts of the fingerprint that the machines do not state alike.
pub(super) fn unlike_fields(merged: &Merged) -> Vec<&'static str> {
    let is_unlike = |field: &EnvironmentField| {
        let mut of_machines = merged.machines.iter().map(|machine| field.of(&machine.env));
        let first = of_machines.next();
        of_machines.any(|other| Some(other) != first)
    };
    EnvironmentField::ALL.into_iter().filter(is_unlike).map(EnvironmentField::name).collect()
}

/// Whether machines drew alike what should have been drawn by each.
pub(super) fn same_seed(merged: &Merged) -> Option<String> {
    let loads: Vec<_> = merged.machines.iter().map(|machine| &machine.load).collect();
    let is_drawn =
        |load: &&Load| load.arrivals == Arrivals::Poisson || merged.routers == Routers::Shared;
    let is_again = |(index, load): (usize, &&Load)| {
        loads.iter().take(index).any(|earlier| earlier.seed == load.seed)
    };
    (loads.iter().any(is_drawn) && loads.iter().enumerate().any(is_again)).then(|| {
        "machines drew keys and arrivals of one seed, so they asked for the same in the same order: give \
         each its own PERF_SEED"
            .to_owned()
    })
}
