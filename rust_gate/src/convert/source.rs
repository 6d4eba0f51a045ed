//! A text that a tool wrote, line by line, with places for messages.

use bigdecimal::BigDecimal;
use cp1_format::Amount;

use crate::convert::import::ImportError;

/// What of a file a message quotes, in characters.
const QUOTED_MAX_CHARS: usize = 40;

/// A file's name and text.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) text: String,
}

/// A line, and which it is, from 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    /// In a message.
    pub(super) fn place(&self) -> String {
        format!("line {}", self.number)
    }

    pub(super) fn words(&self) -> impl DoubleEndedIterator<Item = &'a str> + use<'a> {
        self.text.split_whitespace()
    }
}

impl Source {
    pub(super) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let lines = self.text.lines().enumerate();
        lines.map(|(index, text)| Line { number: index + 1, text })
    }

    /// The file says something wrong.
    pub(super) fn refused(
        &self,
        place: impl Into<String>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> ImportError {
        let (place, problem, cure) = (place.into(), problem.into(), cure.into());
        ImportError::Content { file: self.file.clone(), place, problem, cure }
    }

    /// The file ends too early.
    pub(super) fn cut_short(&self, problem: impl Into<String>) -> ImportError {
        let last = self.text.lines().count();
        self.refused(
            format!("line {last}, the last"),
            problem,
            "the file is cut short: measure again",
        )
    }

    /// A figure of zero or more.
    pub(super) fn amount(&self, place: &str, text: &str) -> Result<Amount, ImportError> {
        Amount::parse(text).map_err(|error| {
            let cure = "the file is damaged, or the run measured nothing: measure again";
            self.refused(place, error.to_string(), cure)
        })
    }

    /// A whole number of zero or more.
    pub(super) fn count(&self, place: &str, text: &str) -> Result<u64, ImportError> {
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_digits).ok_or_else(|| {
            let quoted: String = text.chars().take(QUOTED_MAX_CHARS).collect();
            let problem = format!("expected a whole number, found {quoted}");
            self.refused(place, problem, "the file is damaged: measure again")
        })
    }
}

/// A power of ten, exactly.
pub(super) fn ten_to(power: i64) -> BigDecimal {
    BigDecimal::new(1.into(), -power)
}
