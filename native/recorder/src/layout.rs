//! Which counter a time belongs to: HdrHistogram's layout.
//!
//! Source: HdrHistogram, `AbstractHistogram.countsArrayIndex`. With 3 significant digits the first
//! 2048 counters are 1 ns wide each; every further 1024 counters double their width.

/// Largest recorded time: 60 s.
pub const HIGHEST_NS: u64 = 60_000_000_000;

/// Significant decimal digits of a recorded time.
pub const SIGNIFICANT_DIGITS: u8 = 3;

/// Counters of a shard: enough for [`HIGHEST_NS`], which has 36 bits.
pub const CELLS: usize = (36 - SUB_BUCKET_BITS as usize + 2) * HALF_SUB_BUCKETS;

const SUB_BUCKET_BITS: u32 = 11;
const HALF_SUB_BUCKETS: usize = 1 << (SUB_BUCKET_BITS - 1);

/// The counter of a time up to [`HIGHEST_NS`]; of a longer one the last.
#[must_use]
pub fn cell_of(ns: u64) -> usize {
    let ns = ns.min(HIGHEST_NS);
    let bits = u64::BITS - (ns | ((1 << SUB_BUCKET_BITS) - 1)).leading_zeros();
    let shift = bits - SUB_BUCKET_BITS;
    shift as usize * HALF_SUB_BUCKETS + (ns >> shift) as usize
}

/// The smallest time of a counter.
#[must_use]
pub(crate) fn lowest_of(cell: usize) -> u64 {
    if cell < 2 * HALF_SUB_BUCKETS {
        return cell as u64;
    }
    let shift = cell / HALF_SUB_BUCKETS - 1;
    ((cell - shift * HALF_SUB_BUCKETS) as u64) << shift
}

/// The largest time of a counter.
#[must_use]
pub(crate) fn highest_of(cell: usize) -> u64 {
    lowest_of(cell + 1) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_holds_its_own_smallest_time_and_no_other() {
        for cell in 0..=cell_of(HIGHEST_NS) {
            assert_eq!(cell_of(lowest_of(cell)), cell);
            if cell > 0 {
                assert_eq!(cell_of(lowest_of(cell) - 1), cell - 1);
            }
        }
        assert!(cell_of(u64::MAX) < CELLS);
    }
}
