//! When the arrivals of an open loop are intended.

/// When arrivals are intended: an endless series of times that never goes back.
///
/// Constant arrivals are computed from the start each time, so that nothing adds up and nothing
/// drifts. The gaps of Poisson arrivals are exponentially distributed, by inversion of seeded
/// uniform numbers.
#[derive(Debug, Clone)]
pub struct Schedule {
    start_ns: u64,
    rate_per_second: u64,
    arrivals: Arrivals,
    index: u64,
    share: Share,
}

/// Which arrivals of a schedule are one's own, of up to 10,000 who share it: number `number`, and every
/// `of`-th after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub number: u32,
    /// By how many it is shared.
    pub of: u32,
}

impl Share {
    /// Of one alone.
    pub const WHOLE: Self = Self { number: 0, of: 1 };
}

/// How arrivals are spaced.
#[derive(Debug, Clone)]
pub enum Arrivals {
    /// One every 1/rate seconds.
    Constant,
    /// Independent of each other; the same for the same seed.
    Poisson {
        /// Where the random numbers are.
        state: u64,
        /// Sum of the gaps so far; 53 bits hold a nanosecond for 104 days.
        elapsed_ns: f64,
    },
}

impl Arrivals {
    /// Poisson arrivals of a seed.
    #[must_use]
    pub fn poisson(seed: u64) -> Self {
        Self::Poisson { state: seed, elapsed_ns: 0.0 }
    }
}

/// Why there is no such schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleError;

impl std::fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the rate must be from 1 to 1,000,000 a second, and a share one of those that there are")
    }
}

impl std::error::Error for ScheduleError {}

impl Schedule {
    /// One's share of the arrivals from `start_ns` (of [`now_ns`]) on, which are `rate_per_second` for all
    /// shares together.
    ///
    /// # Errors
    /// [`ScheduleError`] for a rate of 0 or above 1,000,000 a second, and for a share that there is not.
    pub fn new(
        arrivals: Arrivals,
        start_ns: u64,
        rate_per_second: u64,
        share: Share,
    ) -> Result<Self, ScheduleError> {
        let is_share = share.number < share.of && share.of <= 10_000;
        if !(1..=1_000_000).contains(&rate_per_second) || !is_share {
            return Err(ScheduleError);
        }
        let mut schedule = Self { start_ns, rate_per_second, arrivals, index: 0, share };
        schedule.pass(share.number);
        Ok(schedule)
    }

    /// The intended start of the next arrival.
    pub fn next_ns(&mut self) -> u64 {
        let next_ns = self.any_next_ns();
        self.pass(self.share.of - 1);
        next_ns
    }

    /// Arrivals of others.
    fn pass(&mut self, arrivals: u32) {
        match self.arrivals {
            Arrivals::Constant => self.index += u64::from(arrivals),
            Arrivals::Poisson { .. } => (0..arrivals).for_each(|_| _ = self.any_next_ns()),
        }
    }

    fn any_next_ns(&mut self) -> u64 {
        let offset_ns = match &mut self.arrivals {
            Arrivals::Constant => {
                let offset =
                    u128::from(self.index) * 1_000_000_000 / u128::from(self.rate_per_second);
                u64::try_from(offset).unwrap_or(u64::MAX)
            }
            Arrivals::Poisson { state, elapsed_ns } => {
                let uniform = (splitmix64(state) >> 11) as f64 / (1_u64 << 53) as f64;
                *elapsed_ns -= (1.0 - uniform).ln() * 1e9 / self.rate_per_second as f64;
                *elapsed_ns as u64
            }
        };
        self.index += 1;
        self.start_ns.saturating_add(offset_ns)
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): every
/// seed is good, and the series of a seed never changes.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
