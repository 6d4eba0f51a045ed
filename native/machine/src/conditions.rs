//! What makes a machine fit for measuring, and what else runs on it. Facts; whoever reads them
//! judges.

use crate::control_group::{Limit, Quota, memory_limit_bytes, processor_quota, processor_set};
use crate::counters::{Ticks, cpu_ticks};
use crate::fingerprint::kernel;
use crate::text::{decimal, process_stat, values};
use crate::tree::Tree;

/// What an owner of a machine sets up. What could not be read is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// Name and release.
    pub kernel: Option<String>,
    /// Whether a processor says that a hypervisor is below it.
    pub is_virtual: bool,
    /// The clock of the kernel.
    pub clock_source: Option<String>,
    /// Processors that are on; 1 where the kernel does not say.
    pub processors: u64,
    /// The smallest processor quota of the control groups.
    pub quota: Option<Limit<Quota>>,
    /// The smallest memory limit of the control groups.
    pub memory_limit_bytes: Option<Limit<u64>>,
    /// The processors that the control group may use, and how many.
    pub processor_set: Option<(String, u64)>,
    /// Of each processor whose frequency can be controlled.
    pub governors: Vec<String>,
    /// Whether processors may run above their nominal frequency.
    pub turbo: Option<Turbo>,
    /// Whether two threads may share a core.
    pub is_smt_on: Option<bool>,
    /// Whether pages may be on a disk.
    pub is_swap_on: Option<bool>,
    /// How eagerly.
    pub swappiness: Option<String>,
    /// Transparent huge pages, as the kernel lists the choices.
    pub huge_pages: Option<String>,
    /// Nodes of memory.
    pub memory_nodes: Option<usize>,
}

/// Frequencies above the nominal one, and the file that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turbo {
    /// Off.
    Off,
    /// On, by `intel_pstate/no_turbo`.
    OnByIntel,
    /// On, by `cpufreq/boost`.
    OnByBoost,
}

impl Conditions {
    /// Reads them.
    #[must_use]
    pub fn of(tree: &Tree) -> Self {
        let cpus = "sys/devices/system/cpu";
        let numbered = |path: &str, prefix: &str| {
            let mut names = tree.names(path)?;
            names.retain(|name| {
                let number = name.strip_prefix(prefix).unwrap_or_default();
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            });
            Some(names)
        };
        let governor = |cpu: String| tree.line(format!("{cpus}/{cpu}/cpufreq/scaling_governor"));
        let no_turbo = tree.line(format!("{cpus}/intel_pstate/no_turbo"));
        let boost = tree.line(format!("{cpus}/cpufreq/boost"));
        let turbo = match (no_turbo.as_deref(), boost.as_deref()) {
            (Some("1"), _) | (None, Some("0")) => Some(Turbo::Off),
            (Some("0"), _) => Some(Turbo::OnByIntel),
            (None, Some("1")) => Some(Turbo::OnByBoost),
            _ => None,
        };
        let is_smt_on = match tree.line(format!("{cpus}/smt/active")).as_deref() {
            Some("0") => Some(false),
            Some("1") => Some(true),
            _ => None,
        };
        Self {
            kernel: kernel(tree),
            is_virtual: tree.text("proc/cpuinfo").is_ok_and(|text| {
                values(&text, "flags")
                    .any(|flags| flags.split(' ').any(|flag| flag == "hypervisor"))
            }),
            clock_source: tree
                .line("sys/devices/system/clocksource/clocksource0/current_clocksource"),
            processors: tree.text("proc/stat").as_deref().map_or(0, processors).max(1),
            quota: processor_quota(tree),
            memory_limit_bytes: memory_limit_bytes(tree),
            processor_set: processor_set(tree),
            governors: numbered(cpus, "cpu").into_iter().flatten().filter_map(governor).collect(),
            turbo,
            is_smt_on,
            is_swap_on: tree.text("proc/swaps").ok().map(|text| text.lines().count() > 1),
            swappiness: tree.line("proc/sys/vm/swappiness"),
            huge_pages: tree
                .line("sys/kernel/mm/transparent_hugepage/enabled")
                .filter(|choices| choices.contains('[')),
            memory_nodes: numbered("sys/devices/system/node", "node")
                .map(|nodes| nodes.len())
                .filter(|nodes| *nodes > 0),
        }
    }
}

/// What runs at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moment {
    /// Of the last minute.
    pub load_average: Option<f64>,
    /// Percent of the last ten seconds in which some task waited for a processor.
    pub pressure_pct: Option<f64>,
    /// Of the machine.
    pub ticks: Option<Ticks>,
    /// Every one that could be read, by identifier.
    pub processes: Vec<Process>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its identifier.
    pub id: u32,
    /// Its name, printable.
    pub name: String,
    /// Its processor time, in ticks.
    pub ticks: u64,
}

impl Moment {
    /// Reads it.
    #[must_use]
    pub fn of(tree: &Tree) -> Self {
        let average = tree.line("proc/loadavg");
        let pressure = tree.line("proc/pressure/cpu");
        let mut processes: Vec<_> = tree
            .names("proc")
            .unwrap_or_default()
            .into_iter()
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            // One that has ended meanwhile has no file.
            .filter_map(|id| process_stat(&tree.text(format!("proc/{id}/stat")).ok()?))
            .map(|(id, name, ticks)| Process { id, name, ticks })
            .collect();
        processes.sort_by_key(|process| process.id);
        Self {
            load_average: average.and_then(|line| decimal(line.split(' ').next()?)),
            pressure_pct: pressure.and_then(|line| {
                let words = line.strip_prefix("some ")?;
                decimal(words.split(' ').find_map(|word| word.strip_prefix("avg10="))?)
            }),
            ticks: tree.text("proc/stat").ok().as_deref().and_then(cpu_ticks),
            processes,
        }
    }
}

/// Of `/proc/stat`: the lines `cpu0`, `cpu1` and so on.
fn processors(stat: &str) -> u64 {
    let numbered = |line: &&str| {
        let rest = line.strip_prefix("cpu").unwrap_or_default();
        rest.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
    };
    stat.lines().filter(numbered).count() as u64
}
