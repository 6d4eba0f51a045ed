//! Days as the files say them.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::well_known::Iso8601;
use time::{Duration, OffsetDateTime};

use crate::timestamp::Timestamp;

/// A day in UTC, for example `2026-01-31`. Ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(time::Date);

impl Date {
    /// Reads a day; `None` where it is not of the form or there is no such day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_extended = text.len() == 10 && text.split('-').count() == 3;
        time::Date::parse(text, &Iso8601::DATE).ok().filter(|_| is_extended).map(Self)
    }

    /// The day that the clock says. For what is written today, never for judging.
    #[must_use]
    pub fn today() -> Self {
        Self(OffsetDateTime::now_utc().date())
    }

    /// So many days later; the last day there is where it lies beyond.
    #[must_use]
    pub fn days_later(self, days: u32) -> Self {
        Self(self.0.saturating_add(Duration::days(i64::from(days))))
    }
}

impl From<&Timestamp> for Date {
    fn from(timestamp: &Timestamp) -> Self {
        Self(timestamp.date())
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.to_calendar_date();
        f.pad(&format!("{year:04}-{:02}-{day:02}", u8::from(month)))
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("expected a day of the form 2026-01-31"))
    }
}

impl JsonSchema for Date {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date"})
    }
}
