//! The encoded distributions: a percentile must be what its own histogram says.
//!
//! # Limits
//!
//! What is decoded is bounded before it is allocated: a histogram has 3 significant digits from
//! 1 ns up, at most `ONE_MAX_BYTES` encoded without compression, and all of a report together at
//! most `ALL_MAX_BYTES`.

use std::collections::BTreeSet;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cp1_format::{Block, EncodedHistogram, HISTOGRAM_ENCODING, Percentiles, Phase, Quantity};
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use crate::judge::contradictions::Contradictions;

/// Largest encoded histogram without compression: 3 significant digits over every `u64` need less.
const ONE_MAX_BYTES: u64 = 1024 * 1024;

/// Largest sum of them in one report.
pub(crate) const ALL_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Decodes every histogram and compares it with the block that it belongs to.
pub(crate) fn check(
    encoded: &[EncodedHistogram],
    blocks: &[Block],
    found: &mut Contradictions<'_>,
) {
    let mut seen = BTreeSet::new();
    let mut left_bytes = ALL_MAX_BYTES;
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
        if let Err(message) = compare(one, figures, &mut left_bytes) {
            found.add(place(), message);
        }
    }
    for number in (1u32..).take(blocks.len()) {
        if !seen.contains(&(number, Phase::Latency, Quantity::ResponseTime)) {
            let message = format!("the response times of block {number} are missing");
            found.add("histograms".into(), message);
        }
    }
}

/// All of them decoded, in order; `None` where [`check`] refuses one.
#[must_use]
pub(crate) fn decode_all(encoded: &[EncodedHistogram]) -> Option<Vec<Histogram<u64>>> {
    let mut left_bytes = ALL_MAX_BYTES;
    encoded.iter().map(|one| decode(one, &mut left_bytes).ok()).collect()
}

fn figures(block: &Block, phase: Phase, quantity: Quantity) -> Option<&Percentiles> {
    match (phase, quantity) {
        (Phase::Throughput, Quantity::ServiceTime) => Some(&block.throughput.service_time),
        (Phase::Throughput, _) => None,
        (Phase::Latency, Quantity::ResponseTime) => Some(&block.latency.response_time),
        (Phase::Latency, Quantity::ServiceTime) => Some(&block.latency.service_time),
        (Phase::Latency, Quantity::DispatchLag) => Some(&block.latency.dispatch_lag),
    }
}

fn compare(
    encoded: &EncodedHistogram,
    figures: &Percentiles,
    left_bytes: &mut u64,
) -> Result<(), String> {
    let histogram = decode(encoded, left_bytes)?;
    // The decoder's sum stops at the largest u64; below it no sum on the way overflowed.
    if histogram.len() != figures.count || histogram.len() == u64::MAX {
        return Err(format!("{} samples, but the block says {}", histogram.len(), figures.count));
    }
    for (name, quantile, stated) in
        [("p95_ns", 0.95, figures.p95_ns), ("p99_ns", 0.99, figures.p99_ns)]
    {
        let Some(stated) = stated else { continue };
        let own = histogram.value_at_quantile(quantile);
        // Which value stands for a bucket is the writer's choice, so its width is allowed.
        if own.abs_diff(stated) > histogram.equivalent_range(own) {
            return Err(format!("{name} is {own} here, but the block says {stated}"));
        }
    }
    Ok(())
}

/// Decodes HdrHistogram's compressed V2 format in base64, and takes what it needs from the bytes that are
/// left, which are [`ALL_MAX_BYTES`] for a report.
///
/// Source of the layout: HdrHistogram, `AbstractHistogram.encodeIntoCompressedByteBuffer` and
/// `encodeIntoByteBuffer`.
pub(crate) fn decode(
    encoded: &EncodedHistogram,
    left_bytes: &mut u64,
) -> Result<Histogram<u64>, String> {
    const COMPRESSED_COOKIE: u32 = 0x1c84_9314;
    const HEADER_BYTES: usize = 40;
    let damaged = || "the histogram is damaged".to_owned();

    if encoded.unit != "ns" || encoded.encoding != HISTOGRAM_ENCODING {
        return Err(format!("the unit must be ns and the encoding {HISTOGRAM_ENCODING}"));
    }
    let compressed = STANDARD.decode(&encoded.data).map_err(|_| "this is not base64".to_owned())?;
    let (cookie, rest) = be_u32(&compressed).ok_or_else(damaged)?;
    let (length, rest) = be_u32(rest).ok_or_else(damaged)?;
    if cookie != COMPRESSED_COOKIE || rest.len() != length as usize {
        return Err(damaged());
    }
    let limit = ONE_MAX_BYTES.min(*left_bytes);
    let mut plain = Vec::new();
    ZlibDecoder::new(rest).take(limit + 1).read_to_end(&mut plain).map_err(|_| damaged())?;
    let size = plain.len() as u64;
    if size > limit {
        return Err("the histogram is too large".to_owned());
    }
    *left_bytes -= size;

    // The decoder trusts its header, so the header is looked at first.
    let (_cookie, rest) = be_u32(&plain).ok_or_else(damaged)?;
    let (payload_bytes, rest) = be_u32(rest).ok_or_else(damaged)?;
    let (_normalizing_offset, rest) = be_u32(rest).ok_or_else(damaged)?;
    let (digits, rest) = be_u32(rest).ok_or_else(damaged)?;
    let (lowest_high, rest) = be_u32(rest).ok_or_else(damaged)?;
    let (lowest_low, rest) = be_u32(rest).ok_or_else(damaged)?;
    let (highest_high, _) = be_u32(rest).ok_or_else(damaged)?;
    if (digits, lowest_high, lowest_low) != (3, 0, 1) || highest_high > u32::MAX / 2 {
        return Err("the histogram must have 3 significant digits from 1 ns up".to_owned());
    }
    let payload = plain.get(HEADER_BYTES..).ok_or_else(damaged)?;
    // Nine bytes of ones are the number that the decoder cannot negate; no count is that large.
    if payload.len() != payload_bytes as usize || payload.windows(9).any(|nine| nine == [0xff; 9]) {
        return Err(damaged());
    }
    Deserializer::new().deserialize(&mut plain.as_slice()).map_err(|_| damaged())
}

fn be_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (first, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*first), rest))
}
