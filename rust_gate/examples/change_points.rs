//! How often change points are found that are none, and how often those that are: by Monte Carlo, with the
//! exact interval of each rate at 95 %.
//!
//! `cargo run --release --package perf-gate --example change_points [SERIES]`

use std::env;

use fastrand::Rng;
use perf_gate::statistics::binomial::clopper_pearson;
use perf_gate::statistics::e_divisive::{LEVEL, change_points};

/// Draws the next figure, given the one before.
type Noise = fn(&mut Rng, f64) -> f64;

const NOISES: [(&str, Noise); 4] = [
    ("normal", |random, _| normal(random)),
    ("exponential, as of tails", |random, _| -(1.0 - random.f64()).ln()),
    ("normal, one in 20 ten times as wide", |random, _| {
        normal(random) * if random.u8(0..20) == 0 { 10.0 } else { 1.0 }
    }),
    // Not exchangeable: what a machine's moods do to absolute figures.
    ("each half of the one before (AR 0.5)", |random, before| {
        0.5 * before + 0.75_f64.sqrt() * normal(random)
    }),
];

fn main() {
    let series: u64 = env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2000);
    println!("{series} series a line, level {} %, intervals at 95 %", LEVEL * 100.0);
    println!(
        "\nno change: series with a change point\n{:<40}{:>8}{:>9}  interval",
        "noise", "length", "rate"
    );
    for (name, noise) in NOISES {
        for length in [20, 50, 200] {
            let mut random = Rng::with_seed(length as u64);
            let found = (0..series).filter(|_| {
                !change_points(&drawn(noise, length, length, 0.0, &mut random)).is_empty()
            });
            line(&format!("{name:<40}{length:>8}"), found.count() as u64, series);
        }
    }
    println!(
        "\na step in the middle, in standard deviations of normal noise: found, and at its place\n\
         {:<24}{:>8}{:>16}{:>9}  interval{:>22}",
        "step", "length", "", "rate", "within 2 reports"
    );
    for step in [0.5, 1.0, 1.5, 2.0, 3.0] {
        for length in [20, 50, 200] {
            let mut random = Rng::with_seed(length as u64);
            let (mut found, mut near) = (0, 0);
            for _ in 0..series {
                let points =
                    change_points(&drawn(NOISES[0].1, length, length / 2, step, &mut random));
                let nearest = points.iter().map(|point| point.at.abs_diff(length / 2)).min();
                found += u64::from(nearest.is_some());
                near += u64::from(nearest.is_some_and(|distance| distance <= 2));
            }
            let place = if found == 0 { 0.0 } else { near as f64 / found as f64 * 100.0 };
            let (low, high) = clopper_pearson(found, series, 0.95);
            println!(
                "{step:<24}{length:>8}{:>16}{:>7.1} %  {:.1} to {:.1} %{place:>16.0} %",
                "",
                found as f64 / series as f64 * 100.0,
                low * 100.0,
                high * 100.0
            );
        }
    }
}

fn drawn(noise: Noise, length: usize, from: usize, step: f64, random: &mut Rng) -> Vec<f64> {
    let mut before = 0.0;
    let figure = |index| {
        before = noise(random, before);
        before + if index < from { 0.0 } else { step }
    };
    (0..length).map(figure).collect()
}

fn line(name: &str, found: u64, of: u64) {
    let (low, high) = clopper_pearson(found, of, 0.95);
    let rate = found as f64 / of as f64 * 100.0;
    println!("{name}{rate:>7.2} %  {:.2} to {:.2} %", low * 100.0, high * 100.0);
}

/// Box and Muller, "A note on the generation of random normal deviates", 1958.
fn normal(random: &mut Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}
