//! Two short pieces of fixed work, to see whether the machine was as fast after a measurement as
//! before it. Evidence only: no figure is ever divided by these.
//!
//! Each is run [`RUNS`] times and the fastest counts, so that one interruption does not look like a
//! slower processor.

use std::hint::black_box;

use crate::clock::os_now_ns;

/// Runs of which the fastest counts.
const RUNS: u32 = 5;

/// Steps of the processor's kernel: some 2 ms at 3 GHz, as every step waits for the one before.
const CPU_STEPS: u32 = 1 << 20;

/// Cache lines of the memory's kernel: 64 MiB, more than most processors cache for all their cores. With
/// less, the share of the cache that other guests leave would be timed, which changes every second.
const LINES: u32 = 1 << 20;

/// Steps of the memory's kernel: some 10 ms. Every run goes on where the last one ended, so that no
/// line is visited twice.
const MEMORY_STEPS: u32 = LINES / 16;

/// Wall times of the two kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelTimes {
    /// Dependent shifts and multiplications in registers.
    pub cpu_ns: u64,
    /// A walk through 64 MiB, in which every load gives the address of the next.
    pub memory_ns: u64,
}

impl KernelTimes {
    /// Runs both; takes some 0.1 s and, meanwhile, 64 MiB.
    #[must_use]
    pub fn measure() -> Self {
        let mut state = black_box(1);
        let cpu_ns = fastest_ns(|| state = black_box(cpu_chain(state)));
        let lines = lines();
        let mut at = black_box(0);
        let memory_ns = fastest_ns(|| at = black_box(walk(&lines, at, MEMORY_STEPS)));
        Self { cpu_ns, memory_ns }
    }
}

fn fastest_ns(mut work: impl FnMut()) -> u64 {
    let time = |_| {
        let start_ns = os_now_ns();
        work();
        os_now_ns().saturating_sub(start_ns)
    };
    (0..RUNS).map(time).min().unwrap_or_default()
}

/// Marsaglia's xorshift64* (G. Marsaglia, "Xorshift RNGs", 2003; S. Vigna, 2016), with the product
/// fed back, so that no step can begin before the last has ended.
fn cpu_chain(seed: u64) -> u64 {
    (0..CPU_STEPS).fold(seed, |mut state, _| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    })
}

/// A cache line that holds the number of the next.
#[repr(align(64))]
struct Line(u32);

/// One cycle through all lines, in an order that a prefetcher does not guess: a linear congruential
/// generator has full period where the increment is odd and the multiplier 1 above a multiple of 4
/// (Hull and Dobell, "Random Number Generators", 1962).
fn lines() -> Vec<Line> {
    let next = |line: u32| line.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % LINES;
    (0..LINES).map(|line| Line(next(line))).collect()
}

fn walk(lines: &[Line], from: u32, steps: u32) -> u32 {
    (0..steps).fold(from, |at, _| lines.get(at as usize).map_or(0, |Line(next)| *next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_visits_every_line_once_and_comes_back() {
        let lines = lines();
        let mut visited = vec![false; lines.len()];
        let mut at = 0;
        for _ in 0..LINES {
            assert!(!std::mem::replace(&mut visited[at as usize], true), "line {at} twice");
            at = lines[at as usize].0;
        }
        assert_eq!(at, 0);
        assert_eq!(walk(&lines, 0, LINES), 0);
    }

    #[test]
    fn the_chain_is_the_same_work_every_time() {
        assert_eq!(cpu_chain(1), cpu_chain(1));
        assert_ne!(cpu_chain(1), cpu_chain(2));
    }
}
