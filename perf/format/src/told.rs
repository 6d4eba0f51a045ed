//! A file that is a report or a verdict, whichever its schema says.

use std::path::Path;

use serde::Deserialize;

use crate::read::{Document, ReadError, parse, read_bytes};
use crate::report::Report;
use crate::verdict::Verdict;

/// What a file is.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A measured report, or what claims nothing.
    Report(Box<Report>),
    /// A verdict.
    Verdict(Box<Verdict>),
}

/// The part of a file that says what it is; the rest is somebody else's to read.
#[derive(Deserialize)]
struct Tagged {
    schema: Tag,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

impl Told {
    /// Reads a file as what it says that it is.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let bytes = read_bytes(Report::KIND, Report::MAX_BYTES, path)?;
        let tagged = serde_json::from_slice::<Tagged>(&bytes);
        match tagged.is_ok_and(|tagged| tagged.schema.name == "cp1_verdict") {
            true => Ok(Self::Verdict(Box::new(parse(path, &bytes)?))),
            false => Ok(Self::Report(Box::new(parse(path, &bytes)?))),
        }
    }
}

const _: () = assert!(Verdict::MAX_BYTES <= Report::MAX_BYTES, "the larger limit is asked first");
