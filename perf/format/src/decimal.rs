//! Numbers as the files say them.

use std::fmt;
use std::str::FromStr;

use bigdecimal::{BigDecimal, FromPrimitive as _, RoundingMode, Signed, Zero};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Longest accepted spelling of a number, in bytes; the longest that a benchmark writes is 24.
const LITERAL_MAX_BYTES: usize = 64;

/// Largest accepted power of ten, either way: far beyond any figure, small enough to stay cheap.
const EXPONENT_MAX: i64 = 30;

/// Why a text is not an accepted number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not a JSON number at all: a string, `true`, an object.
    #[error("expected a number, found {found}")]
    NotANumber {
        /// What stood there, shortened.
        found: String,
    },
    /// More digits or a larger exponent than any measured figure has.
    #[error("a number of at most {LITERAL_MAX_BYTES} characters and 10^±{EXPONENT_MAX} is allowed")]
    OutOfRange,
    /// Below zero, where only quantities stand.
    #[error("{0} is negative; every figure in this file is zero or more")]
    Negative(Decimal),
}

/// A finite decimal number, exactly as written: `0.1` is one tenth.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(BigDecimal);

impl Decimal {
    /// Reads a number in JSON's spelling.
    ///
    /// # Errors
    /// [`NumberError`] where the text is no number, or one of absurd length or magnitude.
    pub fn parse(literal: &str) -> Result<Self, NumberError> {
        let is_number =
            literal.strip_prefix('-').unwrap_or(literal).starts_with(|c: char| c.is_ascii_digit());
        if !is_number {
            let found = literal.chars().take(40).collect();
            return Err(NumberError::NotANumber { found });
        }
        if literal.len() > LITERAL_MAX_BYTES {
            return Err(NumberError::OutOfRange);
        }
        if let Some((_, exponent)) = literal.split_once(['e', 'E']) {
            let exponent: i64 = exponent.parse().map_err(|_| NumberError::OutOfRange)?;
            if exponent.abs() > EXPONENT_MAX {
                return Err(NumberError::OutOfRange);
            }
        }
        BigDecimal::from_str(literal)
            .map(Self)
            .map_err(|_| NumberError::NotANumber { found: literal.to_owned() })
    }

    /// Whether this is exactly zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// Whether this is a whole number.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        self.0.is_integer()
    }

    /// The exact number behind, for arithmetic.
    #[must_use]
    pub fn exact(&self) -> &BigDecimal {
        &self.0
    }

    /// A number out of exact arithmetic, rounded half up to `digits` decimal places, of which zeros at
    /// the end are left out.
    #[must_use]
    pub fn shortest(exact: &BigDecimal, digits: i64) -> Self {
        let rounded = exact.with_scale_round(digits, RoundingMode::HalfUp).normalized();
        // A whole number is written without an exponent.
        Self(if rounded.fractional_digit_count() < 0 { rounded.with_scale(0) } else { rounded })
    }

    /// A binary fraction, rounded half up to `digits` decimal places; `None` where it is not finite.
    #[must_use]
    pub fn of_fraction(fraction: f64, digits: i64) -> Option<Self> {
        BigDecimal::from_f64(fraction).map(|exact| Self::rounded(&exact, digits))
    }

    /// A number out of exact arithmetic, rounded half up to `digits` decimal places.
    #[must_use]
    pub fn rounded(exact: &BigDecimal, digits: i64) -> Self {
        Self(exact.with_scale_round(digits, RoundingMode::HalfUp))
    }

    /// How many decimal places leave so many significant digits at least; whole digits are never left out.
    #[must_use]
    pub fn places(exact: &BigDecimal, significant: i64) -> i64 {
        // Below 1 this is the number of zeros behind the point, negated.
        let before_point = i64::try_from(exact.digits())
            .unwrap_or(i64::MAX)
            .saturating_sub(exact.fractional_digit_count());
        significant.saturating_sub(before_point).max(0)
    }

    /// The nearest binary fraction, for cross-checks that allow a tolerance; never for judging.
    #[must_use]
    pub fn approximate(&self) -> f64 {
        self.0.to_string().parse().unwrap_or(f64::NAN)
    }
}

impl From<u64> for Decimal {
    fn from(value: u64) -> Self {
        Self(BigDecimal::from(value))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_plain_string())
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.to_string()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get()).map_err(D::Error::custom)
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "description": "A decimal number, judged exactly as written."})
    }
}

/// A [`Decimal`] that is zero or more: a measured figure, or a limit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Amount(Decimal);

impl Amount {
    /// Takes a number that is zero or more.
    ///
    /// # Errors
    /// [`NumberError::Negative`] below zero.
    pub fn new(decimal: Decimal) -> Result<Self, NumberError> {
        if decimal.0.is_negative() {
            Err(NumberError::Negative(decimal))
        } else {
            Ok(Self(decimal))
        }
    }

    /// Reads a number in JSON's spelling.
    ///
    /// # Errors
    /// [`NumberError`] where [`Decimal::parse`] gives one, and below zero.
    pub fn parse(literal: &str) -> Result<Self, NumberError> {
        Self::new(Decimal::parse(literal)?)
    }
}

impl std::ops::Deref for Amount {
    type Target = Decimal;
    fn deref(&self) -> &Decimal {
        &self.0
    }
}

impl From<u64> for Amount {
    fn from(value: u64) -> Self {
        Self(Decimal::from(value))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Decimal::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number", "minimum": 0,
            "description": "A decimal number of zero or more, judged exactly as written."
        })
    }
}
