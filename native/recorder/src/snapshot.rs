//! What was recorded so far.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use crate::layout::{CELLS, HIGHEST_NS, SIGNIFICANT_DIGITS, cell_of, highest_of, lowest_of};

/// Why a snapshot could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError(String);

impl std::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failed to encode the histogram: {}", self.0)
    }
}

impl std::error::Error for EncodeError {}

/// A distribution of times, detached from the threads that record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub(crate) cells: Box<[u64]>,
    pub(crate) sum_ns: u64,
    pub(crate) min_ns: u64,
    pub(crate) max_ns: u64,
    /// Times beyond the range, recorded as its end.
    pub clamped: u64,
    /// Times that ended before they began: not recorded.
    pub time_went_backwards: u64,
}

impl Snapshot {
    /// Nothing recorded.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            cells: vec![0; CELLS].into_boxed_slice(),
            sum_ns: 0,
            min_ns: u64::MAX,
            max_ns: 0,
            clamped: 0,
            time_went_backwards: 0,
        }
    }

    /// Minimum and maximum as wide as what was counted: a writer in mid-record has counted a time whose
    /// minimum or maximum is still to come. Such an end is the counter's, to 3 significant digits.
    pub(crate) fn settle(&mut self) {
        let Some((lowest, highest)) = self.ends() else { return };
        if self.min_ns == u64::MAX || cell_of(self.min_ns) > lowest {
            self.min_ns = lowest_of(lowest);
        }
        if cell_of(self.max_ns) < highest {
            self.max_ns = highest_of(highest);
        }
        self.max_ns = self.max_ns.max(self.min_ns);
    }

    /// The first and the last counter that is not 0.
    fn ends(&self) -> Option<(usize, usize)> {
        let counted = |count: &u64| *count > 0;
        self.cells.iter().position(counted).zip(self.cells.iter().rposition(counted))
    }

    /// What was recorded between an earlier snapshot of the same recorder and this one. Its minimum
    /// and maximum are those of its counters: to 3 significant digits.
    #[must_use]
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let grown = |(now, then): (&u64, &u64)| now.saturating_sub(*then);
        let cells: Box<[u64]> = self.cells.iter().zip(&earlier.cells).map(grown).collect();
        let mut window = Self {
            sum_ns: self.sum_ns.wrapping_sub(earlier.sum_ns),
            min_ns: u64::MAX,
            max_ns: 0,
            clamped: self.clamped.saturating_sub(earlier.clamped),
            time_went_backwards: self
                .time_went_backwards
                .saturating_sub(earlier.time_went_backwards),
            cells,
        };
        window.settle();
        window
    }

    /// Times recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.cells.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Smallest time; `None` without a sample.
    #[must_use]
    pub fn min_ns(&self) -> Option<u64> {
        (self.count() > 0).then_some(self.min_ns)
    }

    /// Largest time, beyond the range too; `None` without a sample.
    #[must_use]
    pub fn max_ns(&self) -> Option<u64> {
        (self.count() > 0).then_some(self.max_ns)
    }

    /// Arithmetic mean, rounded down; `None` without a sample.
    #[must_use]
    pub fn mean_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.count())
    }

    /// For each quantile (from 0 to 1), the smallest time that at least that share of the samples
    /// is not above, to 3 significant digits; `None` without a sample, or with more than 63 bits count.
    #[must_use]
    pub fn quantiles_ns(&self, quantiles: &[f64]) -> Option<Vec<u64>> {
        let (lowest, highest) = (self.min_ns()?.min(HIGHEST_NS), self.max_ns()?);
        let histogram = self.histogram()?;
        let at = |quantile: &f64| histogram.value_at_quantile(*quantile).min(highest).max(lowest);
        Some(quantiles.iter().map(at).collect())
    }

    /// The distribution in HdrHistogram's V2 format, compressed, in base64.
    ///
    /// # Errors
    /// [`EncodeError`] when memory is exhausted, or with more samples than 63 bits count.
    pub fn encode_v2(&self) -> Result<String, EncodeError> {
        let histogram = self
            .histogram()
            .ok_or_else(|| EncodeError("more samples than 63 bits count".into()))?;
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&histogram, &mut bytes)
            .map_err(|error| EncodeError(error.to_string()))?;
        Ok(STANDARD.encode(bytes))
    }

    /// `None` beyond 63 bits of samples, where the histogram's own sums would overflow.
    fn histogram(&self) -> Option<Histogram<u64>> {
        i64::try_from(self.count()).ok()?;
        let mut histogram = Histogram::new_with_bounds(1, HIGHEST_NS, SIGNIFICANT_DIGITS).ok()?;
        for (cell, count) in self.cells.iter().enumerate().filter(|(_, count)| **count > 0) {
            histogram.saturating_record_n(lowest_of(cell), *count);
        }
        Some(histogram)
    }
}
