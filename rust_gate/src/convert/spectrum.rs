//! The rows of HdrHistogram's percentile distribution: of `.hgrm` files, and of what wrk2 prints.

use cp1_format::Amount;

use crate::convert::import::ImportError;
use crate::convert::source::{Line, Source};

/// What stands above the rows.
pub(super) const HEADINGS: [&str; 4] = ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"];

/// So many samples are this or less.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) place: String,
    pub(super) value: Amount,
    count: u64,
}

/// Rows that ascend, up to all samples.
#[derive(Debug)]
pub(super) struct Spectrum {
    rows: Vec<Row>,
    last: Row,
}

const DAMAGED: &str = "the file is damaged: measure again";

impl Spectrum {
    /// Reads the rows and the figures below them, which say how many samples there are.
    pub(super) fn read<'a>(
        source: &Source,
        lines: &mut impl Iterator<Item = Line<'a>>,
    ) -> Result<Self, ImportError> {
        let mut rows: Vec<Row> = Vec::new();
        let mut percentile = Amount::from(0);
        let footer = loop {
            let Some(line) = lines.next() else {
                return Err(source.cut_short("the distribution has no line `#[Max = …`"));
            };
            let words: Vec<_> = line.words().collect();
            let place = line.place();
            let (value, share, count) = match words.as_slice() {
                [] => continue,
                [first, ..] if first.starts_with('#') => {
                    if first.starts_with("#[Max") {
                        break line;
                    }
                    continue;
                }
                [value, share, count] | [value, share, count, _] => (*value, *share, *count),
                _ => {
                    let problem = "expected value, percentile, count and 1/(1-percentile)";
                    return Err(source.refused(place, problem, DAMAGED));
                }
            };
            let row = Row {
                value: source.amount(&place, value)?,
                count: source.count(&place, count)?,
                place,
            };
            let share = source.amount(&row.place, share)?;
            let descends =
                rows.last().is_some_and(|last| last.value > row.value || last.count > row.count);
            if descends || share < percentile || share > Amount::from(1) {
                return Err(source.refused(
                    row.place,
                    "this row is less than the one above",
                    DAMAGED,
                ));
            }
            percentile = share;
            rows.push(row);
        };
        let total = footer.text.rsplit('=').next().unwrap_or_default();
        // Some write it with places.
        let total =
            source.amount(&footer.place(), total.trim().trim_end_matches(']').trim_end())?;
        let Some(last) = rows.pop() else {
            return Err(source.refused(footer.place(), "the distribution has no rows", DAMAGED));
        };
        if percentile != Amount::from(1) || Amount::from(last.count) != total {
            let problem = format!("the rows end with {} of {total} samples", last.count);
            return Err(source.refused(last.place, problem, DAMAGED));
        }
        if last.count == 0 {
            let cure = "the run measured nothing: measure again";
            return Err(source.refused(footer.place(), "there are no samples", cure));
        }
        Ok(Self { rows, last })
    }

    /// Samples.
    pub(super) fn total(&self) -> u64 {
        self.last.count
    }

    /// The first row that has so many percent of the samples: where none has just as many, the value is
    /// above the percentile, and never below.
    pub(super) fn at(&self, percent: u64) -> &Row {
        let has = |row: &&Row| {
            u128::from(row.count) * 100 >= u128::from(self.total()) * u128::from(percent)
        };
        self.rows.iter().find(has).unwrap_or(&self.last)
    }
}
