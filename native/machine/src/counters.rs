//! Readings of the kernel's counters, and what they grew by.

use std::collections::BTreeMap;

use crate::control_group::{Throttling, throttling};
use crate::text::{count, keyed, only_count, process_stat};
use crate::tree::Tree;

/// Processor time of a machine since it booted, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticks {
    /// Of processes.
    pub busy: u64,
    /// Given to other guests by the hypervisor.
    pub steal: u64,
    /// All.
    pub total: u64,
}

/// Times that a thread left its processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// Because it had nothing to do.
    pub voluntary: u64,
    /// Because another had.
    pub involuntary: u64,
}

/// The counters at one moment. What could not be read is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Of the machine.
    pub cpu: Option<Ticks>,
    /// Processor time of this process, in ticks.
    pub own_ticks: Option<u64>,
    /// Of all groups that bind this process.
    pub throttling: Option<Throttling>,
    /// Time in which some task waited for a processor.
    pub pressure_us: Option<u64>,
    /// Of this process, by thread.
    pub switches: Option<BTreeMap<u32, Switches>>,
    /// Frequency of the first processor.
    pub frequency_khz: Option<u64>,
}

impl Reading {
    /// Reads them.
    #[must_use]
    pub fn of(tree: &Tree) -> Self {
        let text = |path: &str| tree.text(path).ok();
        Self {
            cpu: text("proc/stat").as_deref().and_then(cpu_ticks),
            own_ticks: text("proc/self/stat")
                .and_then(|text| process_stat(&text))
                .map(|(_, _, ticks)| ticks),
            throttling: throttling(tree),
            pressure_us: text("proc/pressure/cpu").as_deref().and_then(pressure_us),
            switches: switches(tree),
            frequency_khz: text("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
                .as_deref()
                .and_then(only_count),
        }
    }
}

/// What counters grew by over several stretches together.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Where the stretch that is on began.
    before: Option<Reading>,
    growth: Option<Growth>,
}

impl Counters {
    /// A stretch begins.
    pub fn resume(&mut self, reading: Reading) {
        self.before = Some(reading);
    }

    /// The stretch ends, if one is on.
    pub fn pause(&mut self, reading: &Reading) {
        if let Some(before) = self.before.take() {
            let grown = Growth::between(&before, reading);
            self.growth = Some(match &self.growth {
                None => grown,
                Some(sum) => sum.with(&grown),
            });
        }
    }

    /// What all stretches that ended say; nothing where none did.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.growth.as_ref().map(Growth::figures).unwrap_or_default()
    }
}

/// What counters grew by, as a report has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Processor time that the hypervisor gave to other guests, in percent of the machine's.
    pub steal_pct: Option<f64>,
    /// Processor time of other processes than this one, in percent of the machine's.
    pub other_cpu_pct: Option<f64>,
    /// Periods in which a group that binds this process was out of its quota.
    pub throttled_periods: Option<u64>,
    /// How long such groups were kept from running.
    pub throttled_us: Option<u64>,
    /// Time in which some task of the machine waited for a processor.
    pub cpu_pressure_some_us: Option<u64>,
    /// Times that a thread of this process gave up its processor.
    pub voluntary_context_switches: Option<u64>,
    /// Times that a thread of this process was taken off its processor.
    pub involuntary_context_switches: Option<u64>,
    /// Frequency of the first processor at the very beginning.
    pub frequency_before_khz: Option<u64>,
    /// Frequency of the first processor at the very end.
    pub frequency_after_khz: Option<u64>,
}

/// A counter that went back, or that was not there each time, says nothing.
#[derive(Debug, Clone, Default)]
struct Growth {
    busy: Option<u64>,
    own: Option<u64>,
    steal: Option<u64>,
    total: Option<u64>,
    throttled_periods: Option<u64>,
    throttled_us: Option<u64>,
    pressure_us: Option<u64>,
    voluntary: Option<u64>,
    involuntary: Option<u64>,
    frequency_before_khz: Option<u64>,
    frequency_after_khz: Option<u64>,
}

impl Growth {
    fn between(before: &Reading, after: &Reading) -> Self {
        let grown = |of: fn(&Reading) -> Option<u64>| of(after)?.checked_sub(of(before)?);
        Self {
            busy: grown(|reading| Some(reading.cpu?.busy)),
            own: grown(|reading| reading.own_ticks),
            steal: grown(|reading| Some(reading.cpu?.steal)),
            total: grown(|reading| Some(reading.cpu?.total)),
            throttled_periods: grown(|reading| Some(reading.throttling?.periods)),
            throttled_us: grown(|reading| Some(reading.throttling?.us)),
            pressure_us: grown(|reading| reading.pressure_us),
            voluntary: switched(before, after, |switches| switches.voluntary),
            involuntary: switched(before, after, |switches| switches.involuntary),
            frequency_before_khz: before.frequency_khz,
            frequency_after_khz: after.frequency_khz,
        }
    }

    fn with(&self, next: &Self) -> Self {
        let sum = |one: Option<u64>, other: Option<u64>| one?.checked_add(other?);
        Self {
            busy: sum(self.busy, next.busy),
            own: sum(self.own, next.own),
            steal: sum(self.steal, next.steal),
            total: sum(self.total, next.total),
            throttled_periods: sum(self.throttled_periods, next.throttled_periods),
            throttled_us: sum(self.throttled_us, next.throttled_us),
            pressure_us: sum(self.pressure_us, next.pressure_us),
            voluntary: sum(self.voluntary, next.voluntary),
            involuntary: sum(self.involuntary, next.involuntary),
            frequency_before_khz: self.frequency_before_khz,
            frequency_after_khz: next.frequency_after_khz,
        }
    }

    fn figures(&self) -> Figures {
        let share = |part: Option<u64>| match (part, self.total) {
            (Some(part), Some(total @ 1..)) => Some(100.0 * part.min(total) as f64 / total as f64),
            _ => None,
        };
        // The kernel books processes and processors apart: the difference may be a few ticks below
        // 0.
        let others = self.busy.zip(self.own).map(|(busy, own)| busy.saturating_sub(own));
        Figures {
            steal_pct: share(self.steal),
            other_cpu_pct: share(others),
            throttled_periods: self.throttled_periods,
            throttled_us: self.throttled_us,
            cpu_pressure_some_us: self.pressure_us,
            voluntary_context_switches: self.voluntary,
            involuntary_context_switches: self.involuntary,
            frequency_before_khz: self.frequency_before_khz,
            frequency_after_khz: self.frequency_after_khz,
        }
    }
}

/// A thread that is new counts from 0; one that has ended took its count along.
fn switched(before: &Reading, after: &Reading, of: fn(&Switches) -> u64) -> Option<u64> {
    let before = before.switches.as_ref()?;
    after.switches.as_ref()?.iter().try_fold(0_u64, |sum, (thread, switches)| {
        sum.checked_add(of(switches).saturating_sub(before.get(thread).map_or(0, of)))
    })
}

/// Of `/proc/stat`: processes are user, nice and system; guests are inside user and nice.
pub(crate) fn cpu_ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let counts: Vec<_> = line.split_whitespace().map(count).collect::<Option<_>>()?;
    let &[user, nice, system, idle, wait, interrupts, soft_interrupts, steal, ..] = &counts[..]
    else {
        return None;
    };
    let sum = |counts: &[u64]| counts.iter().try_fold(0_u64, |sum, one| sum.checked_add(*one));
    let busy = sum(&[user, nice, system])?;
    let total = sum(&[busy, idle, wait, interrupts, soft_interrupts, steal])?;
    Some(Ticks { busy, steal, total })
}

/// Of `/proc/pressure/cpu`.
fn pressure_us(pressure: &str) -> Option<u64> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    count(some.split_whitespace().find_map(|word| word.strip_prefix("total="))?)
}

fn switches(tree: &Tree) -> Option<BTreeMap<u32, Switches>> {
    let threads = tree.names("proc/self/task")?;
    let read = threads.into_iter().filter_map(|thread| {
        // One that has ended meanwhile has no file.
        let status = tree.text(format!("proc/self/task/{thread}/status")).ok()?;
        let of = |key| keyed(&status, key);
        let voluntary = of("voluntary_ctxt_switches:")?;
        let involuntary = of("nonvoluntary_ctxt_switches:")?;
        Some((thread.parse().ok()?, Switches { voluntary, involuntary }))
    });
    Some(read.collect::<BTreeMap<_, _>>()).filter(|switches| !switches.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> Reading {
        Reading {
            cpu: Some(Ticks { busy: 100, steal: 10, total: 1000 }),
            own_ticks: Some(50),
            throttling: Some(Throttling { periods: 1, us: 100 }),
            pressure_us: Some(5),
            switches: Some(BTreeMap::from([(1, of(10, 1)), (8, of(90, 90))])),
            frequency_khz: Some(20),
        }
    }

    fn later() -> Reading {
        Reading {
            cpu: Some(Ticks { busy: 300, steal: 30, total: 1400 }),
            own_ticks: Some(150),
            throttling: Some(Throttling { periods: 4, us: 900 }),
            pressure_us: Some(25),
            switches: Some(BTreeMap::from([(1, of(15, 3)), (9, of(7, 1))])),
            frequency_khz: Some(10),
        }
    }

    fn of(voluntary: u64, involuntary: u64) -> Switches {
        Switches { voluntary, involuntary }
    }

    fn figures(stretches: &[(Reading, Reading)]) -> Figures {
        let mut counters = Counters::default();
        for (before, after) in stretches {
            counters.resume(before.clone());
            counters.pause(after);
        }
        counters.figures()
    }

    #[test]
    fn growth_is_the_difference() {
        let expected = Figures {
            steal_pct: Some(5.0),
            other_cpu_pct: Some(25.0),
            throttled_periods: Some(3),
            throttled_us: Some(800),
            cpu_pressure_some_us: Some(20),
            voluntary_context_switches: Some(12),
            involuntary_context_switches: Some(3),
            frequency_before_khz: Some(20),
            frequency_after_khz: Some(10),
        };
        assert_eq!(figures(&[(reading(), later())]), expected);
    }

    #[test]
    fn a_counter_that_went_back_says_nothing() {
        let back = figures(&[(later(), reading())]);
        assert_eq!((back.steal_pct, back.other_cpu_pct), (None, None));
        assert_eq!((back.throttled_periods, back.throttled_us), (None, None));
        assert_eq!(back.cpu_pressure_some_us, None);
        // In one stretch, for all of them.
        let both = figures(&[(reading(), later()), (later(), reading())]);
        assert_eq!(both.throttled_us, None);
    }

    #[test]
    fn stretches_add_up_and_what_is_between_them_does_not_count() {
        let sum = figures(&[(reading(), later()), (reading(), later())]);
        assert_eq!((sum.steal_pct, sum.throttled_periods), (Some(5.0), Some(6)));
        assert_eq!(sum.voluntary_context_switches, Some(24));
        let mut counters = Counters::default();
        counters.pause(&later());
        assert_eq!(counters.figures(), Figures::default());
    }

    #[test]
    fn two_books_of_the_kernel_may_differ_by_a_tick_and_never_fall_below_0() {
        let after = Reading { own_ticks: Some(300), ..later() };
        assert_eq!(figures(&[(reading(), after)]).other_cpu_pct, Some(0.0));
    }

    #[test]
    fn what_was_read_once_only_has_not_grown() {
        let only_after = figures(&[(Reading::default(), later())]);
        assert_eq!(only_after, Figures { frequency_after_khz: Some(10), ..Figures::default() });
        assert_eq!(figures(&[]), Figures::default());
    }

    #[test]
    fn counters_are_read_as_the_kernel_writes_them() {
        let stat = "cpu  300 10 60 800 20 5 4 30 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5 0 1\n";
        assert_eq!(cpu_ticks(stat), Some(Ticks { busy: 370, steal: 30, total: 1229 }));
        for wrong in ["", "cpu", "cpu a b c d e f g h", "cpu -1 2 3 4 5 6 7 8", "cpu 1 2 3 4"] {
            assert_eq!(cpu_ticks(wrong), None, "{wrong:?}");
        }
        let pressure = "some avg10=0.00 avg60=1.52 avg300=0.30 total=12345\nfull total=7\n";
        assert_eq!(pressure_us(pressure), Some(12345));
        for wrong in ["", "some total=", "some total=-1", "some total=1.5", "full total=1"] {
            assert_eq!(pressure_us(wrong), None, "{wrong:?}");
        }
    }
}
