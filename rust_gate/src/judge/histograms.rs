//! The encoded distributions: a percentile must be what its own histogram says.
//!
//! # Limits
//!
//! What is decoded is bounded before it is allocated: a histogram has 3 significant digits from
//! 1 ns up, at most `ONE_MAX_BYTES` encoded without compression, and all of a report together at
//! most `ALL_MAX_BYTES`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cp1_format::{Block, EncodedHistogram, HISTOGRAM_ENCODING, Percentiles, Phase, Quantity};
use flate2::{Decompress, FlushDecompress, Status};
use hdrhistogram::Histogram;

use crate::judge::contradictions::Contradictions;

/// Largest encoded histogram without compression: 3 significant digits over every `u64` need less.
const ONE_MAX_BYTES: usize = 1024 * 1024;

/// Largest sum of them in one report.
const ALL_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Cells of equal width: 3 significant digits take 2000, and the next power of two is used. The upper half
/// of them comes again with each doubling of the width.
const CELLS: u64 = 2048;

/// Decodes every histogram and compares it with the block that it belongs to.
pub(crate) fn check(
    encoded: &[EncodedHistogram],
    blocks: &[Block],
    found: &mut Contradictions<'_>,
) {
    let mut seen = BTreeSet::new();
    let mut decoder = Decoder::new();
    for (index, one) in encoded.iter().enumerate() {
        let place = || format!("histograms[{index}]");
        if !seen.insert((one.block, one.phase, one.quantity)) {
            found.add(place(), "this distribution is given twice".into());
            continue;
        }
        let block = (one.block as usize).checked_sub(1).and_then(|index| blocks.get(index));
        let Some(figures) = block.and_then(|block| figures(block, one.phase, one.quantity)) else {
            found.add(place(), format!("there is no such quantity in a block {}", one.block));
            continue;
        };
        if let Err(message) = compare(one, figures, &mut decoder) {
            found.add(place(), message);
        }
    }
    for number in (1u32..).take(blocks.len()) {
        let is_watched =
            blocks.get(number as usize - 1).is_some_and(|block| block.traffic.is_some());
        let (phase, quantity, name) = match is_watched {
            true => (Phase::Traffic, Quantity::ServiceTime, "service"),
            false => (Phase::Latency, Quantity::ResponseTime, "response"),
        };
        if !seen.contains(&(number, phase, quantity)) {
            let message = format!("the {name} times of block {number} are missing");
            found.add("histograms".into(), message);
        }
    }
}

fn figures(block: &Block, phase: Phase, quantity: Quantity) -> Option<&Percentiles> {
    if let Some(traffic) = &block.traffic {
        let is_it = (phase, quantity) == (Phase::Traffic, Quantity::ServiceTime);
        return is_it.then_some(&traffic.service_time);
    }
    match (phase, quantity) {
        (Phase::Throughput, Quantity::ServiceTime) => Some(&block.throughput.service_time),
        (Phase::Throughput | Phase::Traffic, _) => None,
        (Phase::Latency, Quantity::ResponseTime) => Some(&block.latency.response_time),
        (Phase::Latency, Quantity::ServiceTime) => Some(&block.latency.service_time),
        (Phase::Latency, Quantity::DispatchLag) => Some(&block.latency.dispatch_lag),
    }
}

fn compare(
    encoded: &EncodedHistogram,
    figures: &Percentiles,
    decoder: &mut Decoder,
) -> Result<(), String> {
    let times = decoder.decode(encoded)?;
    if times.count != figures.count {
        return Err(format!("{} samples, but the block says {}", times.count, figures.count));
    }
    for (name, quantile, stated) in
        [("p95_ns", 0.95, figures.p95_ns), ("p99_ns", 0.99, figures.p99_ns)]
    {
        let Some(stated) = stated else { continue };
        let (lowest, width) = times.cell_at(quantile);
        let own = lowest + (width - 1);
        // Which value stands for a cell is the writer's choice, so its width is allowed.
        if own.abs_diff(stated) > width {
            return Err(format!("{name} is {own} here, but the block says {stated}"));
        }
    }
    Ok(())
}

/// A decoded distribution.
pub(crate) struct Distribution<'a> {
    /// The largest value that its writer meant to keep.
    highest: u64,
    /// Of each cell that has any: its place, and how many values. Ascending.
    counts: &'a [(u64, u64)],
    /// All values.
    count: u64,
}

impl Distribution<'_> {
    /// The cell that holds a quantile, by its lowest value and its width; that of 0 where there are no
    /// values.
    fn cell_at(&self, quantile: f64) -> (u64, u64) {
        let wanted = ((quantile * self.count as f64).ceil() as u64).max(1);
        // From above, as few cells lie beyond a high quantile.
        let (beyond, mut seen) = (self.count.saturating_sub(wanted), 0);
        let holds = |(_, count): &&(u64, u64)| {
            seen += count;
            seen > beyond
        };
        cell(self.counts.iter().rev().find(holds).map_or(0, |(place, _)| *place))
    }

    /// As the library knows it that draws and writes them.
    ///
    /// # Errors
    /// It does not hold these values.
    pub(crate) fn histogram(&self) -> Result<Histogram<u64>, String> {
        let mut histogram = Histogram::new_with_bounds(1, self.highest, 3).map_err(damaged)?;
        for (place, count) in self.counts {
            histogram.record_n(cell(*place).0, *count).map_err(damaged)?;
        }
        Ok(histogram)
    }
}

/// The lowest value and the width of the cell at a place.
fn cell(place: u64) -> (u64, u64) {
    let half = CELLS / 2;
    let doublings = (place / half).saturating_sub(1);
    ((place - doublings * half) << doublings, 1 << doublings)
}

fn damaged<E>(_: E) -> String {
    "the histogram is damaged".to_owned()
}

/// Decodes the histograms of one report.
pub(crate) struct Decoder {
    inflater: Inflater,
    counts: Vec<(u64, u64)>,
}

impl Decoder {
    /// With nothing decoded yet.
    pub(crate) fn new() -> Self {
        let inflater = Inflater {
            inflate: Decompress::new(true),
            compressed: Vec::new(),
            plain: vec![0; ONE_MAX_BYTES + 1],
            left_bytes: ALL_MAX_BYTES,
        };
        Self { inflater, counts: Vec::new() }
    }

    /// Decodes HdrHistogram's compressed V2 format in base64.
    ///
    /// Source of the layout: HdrHistogram, `AbstractHistogram.encodeIntoCompressedByteBuffer`,
    /// `encodeIntoByteBuffer` and `ZigZagEncoding`.
    ///
    /// # Errors
    /// It is another format, damaged, or too large.
    pub(crate) fn decode(
        &mut self,
        encoded: &EncodedHistogram,
    ) -> Result<Distribution<'_>, String> {
        const COOKIE: u32 = 0x1c84_9313;

        if encoded.unit != "ns" || encoded.encoding != HISTOGRAM_ENCODING {
            return Err(format!("the unit must be ns and the encoding {HISTOGRAM_ENCODING}"));
        }
        let Self { inflater, counts } = self;
        let plain = inflater.inflated(&encoded.data)?;
        let header = be_u32s(plain).ok_or_else(|| damaged(()))?;
        let (
            [cookie, bytes, offset, digits, low_1, low_0, high_1, high_0, ratio_1, ratio_0],
            payload,
        ) = header;
        let (lowest, highest) = (be_u64(low_1, low_0), be_u64(high_1, high_0));
        if (digits, lowest) != (3, 1) || highest > i64::MAX as u64 {
            return Err("the histogram must have 3 significant digits from 1 ns up".to_owned());
        }
        let ratio = f64::from_bits(be_u64(ratio_1, ratio_0));
        let is_sound =
            (cookie, offset, ratio) == (COOKIE, 0, 1.0) && payload.len() == bytes as usize;
        let count = is_sound.then(|| count(payload, highest, counts)).flatten();
        let count = count.ok_or_else(|| damaged(()))?;
        Ok(Distribution { highest, counts, count })
    }
}

/// What is behind base64 and zlib, of which there is a limit.
struct Inflater {
    inflate: Decompress,
    compressed: Vec<u8>,
    plain: Vec<u8>,
    left_bytes: usize,
}

impl Inflater {
    fn inflated(&mut self, base64: &str) -> Result<&[u8], String> {
        const COOKIE: u32 = 0x1c84_9314;

        let Self { inflate, compressed, plain, left_bytes } = self;
        compressed.clear();
        STANDARD.decode_vec(base64, compressed).map_err(|_| "this is not base64".to_owned())?;
        let ([cookie, bytes], stream) = be_u32s(compressed).ok_or_else(|| damaged(()))?;
        if cookie != COOKIE || stream.len() != bytes as usize {
            return Err(damaged(()));
        }
        let limit = ONE_MAX_BYTES.min(*left_bytes);
        let room = plain.get_mut(..=limit).unwrap_or_default();
        inflate.reset(true);
        let status = inflate.decompress(stream, room, FlushDecompress::Finish).map_err(damaged)?;
        let size = usize::try_from(inflate.total_out()).map_err(damaged)?;
        if size > limit {
            return Err("the histogram is too large".to_owned());
        }
        if status != Status::StreamEnd || inflate.total_in() != stream.len() as u64 {
            return Err(damaged(()));
        }
        *left_bytes -= size;
        plain.get(..size).ok_or_else(|| damaged(()))
    }
}

/// Puts into `counts` the places of cells that have values, with these, and gives their sum. A number of a
/// payload is how many values the next cell has, or, below 0, how many cells have none. `None` where there
/// are more cells than the largest value takes, or more values than 64 bits.
fn count(payload: &[u8], highest: u64, counts: &mut Vec<(u64, u64)>) -> Option<u64> {
    let doublings = u64::from(u64::BITS - (highest / CELLS).leading_zeros());
    let end = (CELLS / 2) * (doublings + 2);
    counts.clear();
    let (mut place, mut sum) = (0_u64, 0_u64);
    let mut bytes = payload.iter().copied();
    while let Some(first) = bytes.next() {
        let number = variable_length(first, &mut bytes)?;
        // Zigzag: 0, -1, 1, -2, 2.
        let half = number >> 1;
        let is_negative = number & 1 == 1;
        if half > 0 && !is_negative {
            counts.push((place, half));
            sum = sum.checked_add(half)?;
        }
        let cells = if is_negative { half + 1 } else { 1 };
        place = place.checked_add(cells).filter(|place| *place <= end)?;
    }
    Some(sum)
}

/// A number of up to 9 bytes, the least significant 7 bits first; the ninth has 8.
fn variable_length(first: u8, rest: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let (mut byte, mut number) = (u64::from(first), 0);
    for place in 0..8 {
        number |= (byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some(number);
        }
        byte = u64::from(rest.next()?);
    }
    Some(number | byte << 56)
}

/// Numbers of 4 bytes, the most significant first, and what follows.
fn be_u32s<const N: usize>(mut bytes: &[u8]) -> Option<([u32; N], &[u8])> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        let (first, rest) = bytes.split_first_chunk::<4>()?;
        (*number, bytes) = (u32::from_be_bytes(*first), rest);
    }
    Some((numbers, bytes))
}

fn be_u64(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_the_library_writes_is_read_as_it_was(
            highest in 2u64..(1 << 62),
            times in proptest::collection::vec((any::<u64>(), 0u32..63, 1u64..(1 << 40)), 0..200),
            quantile in 0.001f64..=1.0,
        ) {
            let mut written = Histogram::<u64>::new_with_bounds(1, highest, 3).unwrap();
            for (time, smaller, count) in times {
                written.record_n((time >> smaller) % (highest + 1), count).unwrap();
            }
            let mut bytes = Vec::new();
            V2DeflateSerializer::new().serialize(&written, &mut bytes).unwrap();
            let encoded = EncodedHistogram {
                block: 1,
                phase: Phase::Latency,
                quantity: Quantity::ResponseTime,
                unit: "ns".to_owned(),
                encoding: HISTOGRAM_ENCODING.to_owned(),
                data: STANDARD.encode(bytes),
            };
            let mut decoder = Decoder::new();
            // A second time, as what the first left behind must not show.
            let _ = decoder.decode(&encoded).unwrap();
            let read = decoder.decode(&encoded).unwrap();
            prop_assert_eq!(read.count, written.len());
            let (lowest, width) = read.cell_at(quantile);
            prop_assert_eq!(lowest + (width - 1), written.value_at_quantile(quantile));
            prop_assert_eq!(width, written.equivalent_range(lowest));
            prop_assert_eq!(&read.histogram().unwrap(), &written);
            prop_assert_eq!(read.histogram().unwrap().high(), written.high());
        }
    }
}
