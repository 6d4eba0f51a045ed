//! How sure a rate is that was counted.

/// Interval of Clopper and Pearson for a probability of which `successes` of `trials` were seen:
/// from inverted binomial tails, so its coverage is at least `confidence` ("The use of confidence or
/// fiducial limits illustrated in the case of the binomial", Biometrika 26, 1934). 0 to 1 without
/// trials.
#[must_use]
pub fn clopper_pearson(successes: u64, trials: u64, confidence: f64) -> (f64, f64) {
    let tail = (1.0 - confidence) / 2.0;
    let successes = successes.min(trials);
    // P(X >= successes) rises with p, P(X <= successes) falls.
    let low = if successes == 0 {
        0.0
    } else {
        bisect(|p| 1.0 - binomial_at_most(successes - 1, trials, p) < tail)
    };
    let high = if successes == trials {
        1.0
    } else {
        bisect(|p| binomial_at_most(successes, trials, p) > tail)
    };
    (low, high)
}

/// The probability at which `is_below` turns from true to false.
fn bisect(is_below: impl Fn(f64) -> bool) -> f64 {
    // 60 halvings: below the resolution of a double near 1.
    let (low, high) = (0..60).fold((0.0, 1.0), |(low, high), _| {
        let middle = f64::midpoint(low, high);
        if is_below(middle) { (middle, high) } else { (low, middle) }
    });
    f64::midpoint(low, high)
}

/// P(X <= k) of n trials with probability p, 0 < p < 1; the terms are summed as logs, so that none
/// underflows.
fn binomial_at_most(k: u64, n: u64, p: f64) -> f64 {
    let (mut log_term, mut sum) = (n as f64 * (-p).ln_1p(), 0.0);
    for i in 0..=k.min(n) {
        sum += log_term.exp();
        log_term += ((n - i) as f64 / (i + 1) as f64).ln() + p.ln() - (-p).ln_1p();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clopper_pearson_agrees_with_published_intervals() {
        // Successes, trials, interval at 95 %: tables of the binomial distribution, and the rule of
        // three's exact form 1 - 0.025^(1/n) for none.
        for (successes, trials, low, high) in [
            (0, 10, 0.0, 0.3085),
            (1, 10, 0.0025, 0.4450),
            (5, 10, 0.1871, 0.8129),
            (10, 10, 0.6915, 1.0),
            (0, 40, 0.0, 0.0881),
            (0, 300, 0.0, 0.0122),
        ] {
            let (from, to) = clopper_pearson(successes, trials, 0.95);
            assert!((from - low).abs() < 5e-5 && (to - high).abs() < 5e-5, "{from} {to}");
        }
        assert_eq!(clopper_pearson(0, 0, 0.95), (0.0, 1.0));
    }
}
