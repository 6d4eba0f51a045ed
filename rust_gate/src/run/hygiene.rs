//! What of a machine makes a benchmark believable, and what disturbs it. Pure.
//!
//! What the files of a machine say is [`machine_evidence`]'s; what follows from it is said here.

use cp1_format::{CheckKind, CheckStatus, MachineCheck};
use machine_evidence::conditions::Turbo;
use machine_evidence::{Conditions, Limit, Moment, Process};

/// The kernel counts processor time in these.
const TICKS_PER_SECOND: u64 = 100;

/// How long a machine is watched between two moments.
pub const WATCH_MS: u64 = 500;

/// Other load that is too much: of the processors, of the time, of one processor, of all ticks.
const LOAD_AVERAGE_SHARE_MAX: f64 = 0.2;
const PRESSURE_PCT_MAX: f64 = 1.0;
const PROCESS_TICKS_MAX: u64 = TICKS_PER_SECOND * WATCH_MS / 1000 / 20;
const STEAL_SHARE_MAX: f64 = 0.01;

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Ok,
    /// Not as it should be, and what helps.
    Bad {
        /// What to do.
        cure: &'static str,
    },
    /// It could not be found out.
    Unknown,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Why.
    pub kind: CheckKind,
    /// What came of it.
    pub status: Status,
    /// What was found.
    pub found: String,
}

impl Check {
    /// Whether a dedicated runner may not have it.
    #[must_use]
    pub fn is_unfit(&self) -> bool {
        match self.status {
            Status::Ok => false,
            Status::Bad { .. } => true,
            Status::Unknown => self.kind == CheckKind::Rule,
        }
    }
}

impl From<&Check> for MachineCheck {
    fn from(Check { name, kind, status, found }: &Check) -> Self {
        let (status, cure) = match status {
            Status::Ok => (CheckStatus::Ok, None),
            Status::Bad { cure } => (CheckStatus::Bad, Some((*cure).to_owned())),
            Status::Unknown => (CheckStatus::Unknown, None),
        };
        let (name, kind, found) = ((*name).to_owned(), *kind, found.clone());
        Self { name, kind, status, found, cure }
    }
}

/// Whether another benchmark runs on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondBenchmark {
    /// None does.
    Absent,
    /// One does.
    Runs,
    /// Its lock cannot be read.
    Unknown,
}

/// Every check of a machine that was looked at twice. `own` is the process that looks.
#[must_use]
pub fn checks(
    conditions: &Conditions,
    before: &Moment,
    after: &Moment,
    own: u32,
    second: SecondBenchmark,
) -> Vec<Check> {
    vec![
        kernel(conditions),
        virtualisation(conditions),
        time_source(conditions),
        control_group(conditions),
        processor_set(conditions),
        other_load(conditions, before),
        pressure(before),
        busiest_process(before, after, own),
        steal_time(before, after),
        second_benchmark(second),
        governor(conditions),
        turbo(conditions),
        smt(conditions),
        swap(conditions),
        huge_pages(conditions),
        memory_nodes(conditions),
    ]
}

type Found = (Status, String);

fn rule(name: &'static str, (status, found): Found) -> Check {
    Check { name, kind: CheckKind::Rule, status, found }
}

fn advice(name: &'static str, (status, found): Found) -> Check {
    Check { name, kind: CheckKind::Advice, status, found }
}

fn ok(found: impl Into<String>) -> Found {
    (Status::Ok, found.into())
}

fn bad(found: impl Into<String>, cure: &'static str) -> Found {
    (Status::Bad { cure }, found.into())
}

fn unknown(found: impl Into<String>) -> Found {
    (Status::Unknown, found.into())
}

fn kernel(conditions: &Conditions) -> Check {
    let found = match &conditions.kernel {
        Some(kernel) => ok(kernel),
        None => unknown("its release cannot be read"),
    };
    rule("kernel", found)
}

fn virtualisation(conditions: &Conditions) -> Check {
    let found = match conditions.is_virtual {
        true => ok("a virtual machine: its neighbours and its host are out of sight"),
        false => ok("none seen"),
    };
    advice("virtualisation", found)
}

fn time_source(conditions: &Conditions) -> Check {
    let found = match conditions.clock_source.as_deref() {
        Some(source @ ("tsc" | "kvm-clock" | "arch_sys_counter")) => ok(source),
        Some(source @ ("hpet" | "acpi_pm" | "jiffies" | "refined-jiffies")) => bad(
            format!("{source}: slow or coarse"),
            "boot with clocksource=tsc, if the processor's is stable",
        ),
        source => unknown(source.unwrap_or("cannot be read")),
    };
    rule("time source", found)
}

fn control_group(conditions: &Conditions) -> Check {
    let memory = match conditions.memory_limit_bytes {
        Some(Limit::Set(bytes)) => format!(", at most {bytes} bytes of memory"),
        Some(Limit::Unlimited) => String::new(),
        None => ", a memory limit that cannot be read".to_owned(),
    };
    let found = match conditions.quota {
        None => unknown("its quota cannot be read"),
        Some(Limit::Unlimited) => ok(format!("no processor quota{memory}")),
        Some(Limit::Set(quota)) => bad(
            format!(
                "{} processors ({}), the smallest on its path: a quota throttles in bursts",
                quota.processors(),
                quota.cpu_max()
            ),
            "give the runner whole processors instead (cpuset), without a quota",
        ),
    };
    rule("control group", found)
}

fn processor_set(conditions: &Conditions) -> Check {
    let all = conditions.processors;
    let found = match &conditions.processor_set {
        Some((set, count)) if *count < all => {
            ok(format!("{set} of {all}: reports pin the count; keep others off these"))
        }
        _ => ok(format!("all {all}")),
    };
    advice("processor set", found)
}

fn other_load(conditions: &Conditions, moment: &Moment) -> Check {
    let processors = conditions.processors;
    let found = match moment.load_average {
        None => unknown("the load average cannot be read"),
        Some(average) => {
            let found = format!("load average {average:.2} on {processors} processors");
            match average > processors as f64 * LOAD_AVERAGE_SHARE_MAX {
                true => bad(found, "wait, or stop what runs beside it"),
                false => ok(found),
            }
        }
    };
    rule("other load", found)
}

fn pressure(moment: &Moment) -> Check {
    let found = match moment.pressure_pct {
        None => unknown("not offered by this kernel"),
        Some(percent) => {
            let found = format!("some wait for a processor {percent:.2} % of the time");
            match percent > PRESSURE_PCT_MAX {
                true => bad(found, "wait, or stop what runs beside it"),
                false => ok(found),
            }
        }
    };
    advice("pressure", found)
}

/// Of processes that were there both times, the one that used the most, if it was too much.
fn busiest_process(before: &Moment, after: &Moment, own: u32) -> Check {
    let used = |process: &Process| {
        let earlier = before.processes.iter().find(|earlier| earlier.id == process.id)?;
        process.ticks.checked_sub(earlier.ticks)
    };
    let busiest = after
        .processes
        .iter()
        .filter(|process| process.id != own)
        .filter_map(|process| Some((used(process)?, process)))
        .filter(|(ticks, _)| *ticks > PROCESS_TICKS_MAX)
        .max_by_key(|(ticks, _)| *ticks);
    let found = match busiest {
        None => ok("none takes a twentieth of a processor"),
        Some((ticks, Process { id, name, .. })) => bad(
            format!(
                "{} % of a processor: {name} ({id})",
                ticks.saturating_mul(100) / (TICKS_PER_SECOND * WATCH_MS / 1000)
            ),
            "stop it, or run it elsewhere",
        ),
    };
    rule("busiest process", found)
}

fn steal_time(before: &Moment, after: &Moment) -> Check {
    let grown = before.ticks.zip(after.ticks).and_then(|(before, after)| {
        let steal = after.steal.checked_sub(before.steal)?;
        Some((steal, after.total.checked_sub(before.total)?))
    });
    let found = match grown {
        None => unknown("cannot be read"),
        Some((steal, total)) if steal as f64 > total as f64 * STEAL_SHARE_MAX => bad(
            format!("{steal} of {total} ticks went to other guests"),
            "use a dedicated host, or one that is not overcommitted",
        ),
        Some((steal, total)) => ok(format!("{steal} of {total} ticks")),
    };
    rule("steal time", found)
}

fn second_benchmark(second: SecondBenchmark) -> Check {
    let found = match second {
        SecondBenchmark::Absent => ok("none"),
        SecondBenchmark::Runs => bad("one runs on this host", "wait for it"),
        SecondBenchmark::Unknown => unknown("the host's lock cannot be read"),
    };
    rule("second benchmark", found)
}

fn governor(conditions: &Conditions) -> Check {
    let wrong = conditions.governors.iter().find(|governor| *governor != "performance");
    let found = match wrong {
        Some(wrong) => bad(
            format!("{wrong}: the clock follows the load"),
            "cpupower frequency-set --governor performance",
        ),
        None if conditions.governors.is_empty() => {
            unknown("no frequency control here: the host decides")
        }
        None => ok("performance"),
    };
    advice("governor", found)
}

fn turbo(conditions: &Conditions) -> Check {
    const ON: &str = "on: the clock follows the temperature";
    let found = match conditions.turbo {
        None => unknown("cannot be read"),
        Some(Turbo::Off) => ok("off"),
        Some(Turbo::OnByIntel) => bad(ON, "echo 1 >/sys/devices/system/cpu/intel_pstate/no_turbo"),
        Some(Turbo::OnByBoost) => bad(ON, "echo 0 >/sys/devices/system/cpu/cpufreq/boost"),
    };
    advice("turbo", found)
}

fn smt(conditions: &Conditions) -> Check {
    let found = match conditions.is_smt_on {
        None => unknown("cannot be read"),
        Some(false) => ok("off"),
        Some(true) => {
            bad("on: two threads share a core", "echo off >/sys/devices/system/cpu/smt/control")
        }
    };
    advice("SMT", found)
}

fn swap(conditions: &Conditions) -> Check {
    let found = match conditions.is_swap_on {
        None => unknown("cannot be read"),
        Some(false) => ok("off"),
        Some(true) => {
            let swappiness = conditions.swappiness.as_deref().unwrap_or("unknown");
            bad(format!("on, swappiness {swappiness}: a page may be on disk"), "swapoff --all")
        }
    };
    advice("swap", found)
}

fn huge_pages(conditions: &Conditions) -> Check {
    let found = match conditions.huge_pages.as_deref() {
        None => unknown("cannot be read"),
        Some(choices) if choices.contains("[always]") => bad(
            "always: memory grows in steps of 2 MB",
            "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled",
        ),
        Some(choices) => ok(choices),
    };
    advice("huge pages", found)
}

fn memory_nodes(conditions: &Conditions) -> Check {
    let found = match conditions.memory_nodes {
        None => unknown("cannot be read"),
        Some(1) => ok("1"),
        Some(nodes) => bad(
            format!("{nodes}: half of the memory is far"),
            "numactl --cpunodebind=0 --membind=0 perf-gate run",
        ),
    };
    advice("memory nodes", found)
}
