//! What one recorder gives to another.

use crate::layout::{CELLS, cell_of};
use crate::snapshot::Snapshot;

/// Why bytes are nothing that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError;

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not the bytes of what was taken from a recorder")
    }
}

impl std::error::Error for DecodeError {}

/// What was recorded, without the counters that are 0: of few times far less than a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Counters by their place, which grows, and their counts.
    pub(crate) counts: Vec<(usize, u64)>,
    pub(crate) sum_ns: u64,
    pub(crate) min_ns: u64,
    pub(crate) max_ns: u64,
    pub(crate) clamped: u64,
    pub(crate) time_went_backwards: u64,
}

impl Taken {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let counts = snapshot.cells.iter().copied().enumerate();
        Self {
            counts: counts.filter(|(_, count)| *count > 0).collect(),
            sum_ns: snapshot.sum_ns,
            min_ns: snapshot.min_ns,
            max_ns: snapshot.max_ns,
            clamped: snapshot.clamped,
            time_went_backwards: snapshot.time_went_backwards,
        }
    }

    /// For another process or machine: a version, the sum, minimum, maximum, the two counts of what was not
    /// recorded as it was, then for each counter how many are between it and the one before, and its count. All
    /// numbers are unsigned LEB128 (DWARF 5, section 7.6).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let head = [self.sum_ns, self.min_ns, self.max_ns, self.clamped, self.time_went_backwards];
        for number in head {
            write_leb128(&mut bytes, number);
        }
        let mut next = 0;
        for &(cell, count) in &self.counts {
            write_leb128(&mut bytes, (cell - next) as u64);
            write_leb128(&mut bytes, count);
            next = cell + 1;
        }
        bytes
    }

    /// What [`Taken::to_bytes`] made.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (&VERSION, mut rest) = bytes.split_first().ok_or(DecodeError)? else {
            return Err(DecodeError);
        };
        let mut number = || read_leb128(&mut rest);
        let [sum_ns, min_ns, max_ns, clamped, time_went_backwards] =
            [number()?, number()?, number()?, number()?, number()?];
        let mut counts = Vec::new();
        let mut next = 0_usize;
        while !rest.is_empty() {
            let gap = usize::try_from(read_leb128(&mut rest)?).map_err(|_| DecodeError)?;
            let cell = next.checked_add(gap).filter(|cell| *cell < CELLS).ok_or(DecodeError)?;
            counts.push((cell, read_leb128(&mut rest)?));
            next = cell + 1;
        }
        let taken = Self { counts, sum_ns, min_ns, max_ns, clamped, time_went_backwards };
        if taken.is_sound() { Ok(taken) } else { Err(DecodeError) }
    }

    /// Whether minimum and maximum, which may be of times before, hold what was counted.
    fn is_sound(&self) -> bool {
        let (Some((lowest, _)), Some((highest, _))) = (self.counts.first(), self.counts.last())
        else {
            return (self.min_ns, self.max_ns) == (u64::MAX, 0);
        };
        self.min_ns <= self.max_ns
            && cell_of(self.min_ns) <= *lowest
            && *highest <= cell_of(self.max_ns)
            && self.counts.iter().all(|(_, count)| *count > 0)
    }
}

const VERSION: u8 = 1;

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
