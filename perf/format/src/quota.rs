//! How much processor time control groups allow.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The smallest processor quota from a control group up to the root: `none`, or processors as a
/// decimal number with at most three places, for example `3.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuQuota(Option<u64>);

impl CpuQuota {
    /// No quota is set.
    pub const NONE: Self = Self(None);

    /// Reads one; `None` where it is not of the form, or 0.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self::NONE);
        }
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 3 {
            return None;
        }
        let thousandths: u64 = format!("{part:0<3}").parse().ok()?;
        let all = whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)?;
        (all > 0).then_some(Self(Some(all)))
    }
}

impl fmt::Display for CpuQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(thousandths) = self.0 else { return f.pad("none") };
        let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for CpuQuota {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CpuQuota {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = "expected `none`, or processors such as `3.5`";
        Self::parse(&text).ok_or_else(|| D::Error::custom(expected))
    }
}

impl JsonSchema for CpuQuota {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CpuQuota".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`none`, or processors as a decimal number above 0",
            "type": "string",
            "pattern": "^(none|[0-9]+([.][0-9]{1,3})?)$"
        })
    }
}
