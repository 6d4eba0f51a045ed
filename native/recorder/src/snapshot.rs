//! What was recorded so far.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use crate::layout::{CELLS, HIGHEST_NS, SIGNIFICANT_DIGITS, lowest_of};

/// Why a snapshot could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError(String);

impl std::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failed to encode the histogram: {}", self.0)
    }
}

impl std::error::Error for EncodeError {}

/// Why bytes are no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError;

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not the bytes of a snapshot")
    }
}

impl std::error::Error for DecodeError {}

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

    /// What was recorded between an earlier snapshot of the same recorder and this one. Its minimum
    /// and maximum are those of its counters: to 3 significant digits.
    #[must_use]
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let grown = |(now, then): (&u64, &u64)| now.saturating_sub(*then);
        let cells: Box<[u64]> = self.cells.iter().zip(&earlier.cells).map(grown).collect();
        let lowest = cells.iter().position(|count| *count > 0);
        let highest = cells.iter().rposition(|count| *count > 0);
        Self {
            sum_ns: self.sum_ns.wrapping_sub(earlier.sum_ns),
            min_ns: lowest.map_or(u64::MAX, lowest_of),
            max_ns: highest.map_or(0, |cell| lowest_of(cell + 1) - 1),
            clamped: self.clamped.saturating_sub(earlier.clamped),
            time_went_backwards: self
                .time_went_backwards
                .saturating_sub(earlier.time_went_backwards),
            cells,
        }
    }

    /// Times recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.cells.iter().sum()
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
    /// is not above, to 3 significant digits; `None` without a sample.
    #[must_use]
    pub fn quantiles_ns(&self, quantiles: &[f64]) -> Option<Vec<u64>> {
        let (lowest, highest) = (self.min_ns()?.min(HIGHEST_NS), self.max_ns()?);
        let histogram = self.histogram()?;
        let at = |quantile: &f64| histogram.value_at_quantile(*quantile).clamp(lowest, highest);
        Some(quantiles.iter().map(at).collect())
    }

    /// The distribution in HdrHistogram's V2 format, compressed, in base64.
    ///
    /// # Errors
    /// [`EncodeError`], which only memory exhaustion can cause.
    pub fn encode_v2(&self) -> Result<String, EncodeError> {
        let histogram = self.histogram().ok_or_else(|| EncodeError("range".into()))?;
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&histogram, &mut bytes)
            .map_err(|error| EncodeError(error.to_string()))?;
        Ok(STANDARD.encode(bytes))
    }

    /// The snapshot as bytes for another recorder: a version, the sum, minimum, maximum, the two counts,
    /// then for each counter that is not 0 how many are before it since the last one, and its count. All
    /// numbers are LEB128 (DWARF 5, section 7.6).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![BYTES_VERSION];
        let head = [self.sum_ns, self.min_ns, self.max_ns, self.clamped, self.time_went_backwards];
        for number in head {
            write_leb128(&mut bytes, number);
        }
        let mut next = 0;
        for (cell, count) in self.cells.iter().enumerate().filter(|(_, count)| **count > 0) {
            write_leb128(&mut bytes, (cell - next) as u64);
            write_leb128(&mut bytes, *count);
            next = cell + 1;
        }
        bytes
    }

    /// What [`Snapshot::to_bytes`] made.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (&BYTES_VERSION, mut rest) = bytes.split_first().ok_or(DecodeError)? else {
            return Err(DecodeError);
        };
        let mut snapshot = Self::empty();
        snapshot.sum_ns = read_leb128(&mut rest)?;
        snapshot.min_ns = read_leb128(&mut rest)?;
        snapshot.max_ns = read_leb128(&mut rest)?;
        snapshot.clamped = read_leb128(&mut rest)?;
        snapshot.time_went_backwards = read_leb128(&mut rest)?;
        let mut next = 0_usize;
        while !rest.is_empty() {
            let gap = usize::try_from(read_leb128(&mut rest)?).map_err(|_| DecodeError)?;
            let cell = next.checked_add(gap).ok_or(DecodeError)?;
            *snapshot.cells.get_mut(cell).ok_or(DecodeError)? = read_leb128(&mut rest)?;
            next = cell + 1;
        }
        Ok(snapshot)
    }

    fn histogram(&self) -> Option<Histogram<u64>> {
        let mut histogram = Histogram::new_with_bounds(1, HIGHEST_NS, SIGNIFICANT_DIGITS).ok()?;
        for (cell, count) in self.cells.iter().enumerate().filter(|(_, count)| **count > 0) {
            histogram.saturating_record_n(lowest_of(cell), *count);
        }
        Some(histogram)
    }
}

const BYTES_VERSION: u8 = 1;

fn write_leb128(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_leb128(bytes: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(DecodeError)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits.leading_zeros() < shift {
            return Err(DecodeError);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(DecodeError)
}
