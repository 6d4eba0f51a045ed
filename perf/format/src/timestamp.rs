//! Points in time as the files say them.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A UTC time in RFC 3339's spelling with `Z`, for example `2026-01-31T12:00:00Z`. Ordered by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    time: OffsetDateTime,
    text: String,
}

impl Timestamp {
    /// Reads a timestamp; `None` where it is not of the form, or not in UTC.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        text.ends_with('Z').then(|| Self { time, text: text.to_owned() })
    }

    /// So many seconds after the beginning of 1970; `None` beyond the year 9999.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
        Self::parse(&time.format(&Rfc3339).ok()?)
    }

    /// Nanoseconds after the beginning of 1970.
    #[must_use]
    pub fn unix_ns(&self) -> i128 {
        self.time.unix_timestamp_nanos()
    }

    /// So many nanoseconds after the beginning of 1970; `None` beyond the year 9999.
    #[must_use]
    pub fn from_unix_ns(ns: i128) -> Option<Self> {
        let time = OffsetDateTime::from_unix_timestamp_nanos(ns).ok()?;
        Self::parse(&time.format(&Rfc3339).ok()?)
    }

    /// So many seconds after the beginning of 1970, rounded down.
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        self.time.unix_timestamp()
    }

    /// The day.
    pub(crate) fn date(&self) -> time::Date {
        self.time.date()
    }

    /// The time for use in a file's name, for example `20260131T120000Z`.
    #[must_use]
    pub fn compact(&self) -> String {
        self.text.chars().filter(|c| c.is_ascii_alphanumeric()).collect()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom("expected a UTC time of the form 2026-01-31T12:00:00Z"))
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time", "pattern": "Z$"})
    }
}
