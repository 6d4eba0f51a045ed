//! What differs between a file of continuous integration and the one that this tool generates. Pure.
//!
//! Everything that differs is named, but for what stands in a table of what cannot weaken a job, each with
//! its reason.

use serde_json::Value;

use crate::escape::clip;

/// Longest shown value, in characters.
const VALUE_MAX_CHARS: usize = 120;

/// What may differ.
#[derive(Debug, Clone, Copy)]
pub struct Free {
    /// Where: key by key; `*` is any one key or index.
    pub place: &'static [&'static str],
    /// Whether this may stand here, where that was generated.
    pub may: fn(Found<'_>) -> bool,
    /// Why it cannot make a job pass that would not.
    pub why: &'static str,
}

/// A value that differs.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The last key of its place.
    pub key: &'a str,
    /// What is generated; `None` where nothing is.
    pub expected: Option<&'a Value>,
    /// What stands there.
    pub actual: &'a Value,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub place: String,
    /// What is generated, and what stands there.
    pub message: String,
}

impl Difference {
    fn of(place: &[&str], expected: Option<&Value>, actual: Option<&Value>) -> Self {
        let shown = |value: Option<&Value>| match value {
            Some(value) => clip(&value.to_string(), VALUE_MAX_CHARS),
            None => "nothing".to_owned(),
        };
        let (expected, actual) = (shown(expected), shown(actual));
        let message = format!("expected is {expected}, and there is {actual}");
        Self { place: place.join("."), message }
    }
}

/// Whether what is not there differs too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The file must have all.
    Whole,
    /// The file changes another, so what it leaves out stays.
    Part,
}

/// Everything that differs, below a place.
#[must_use]
pub fn differences(
    place: &[&str],
    expected: &Value,
    actual: &Value,
    extent: Extent,
    free: &[Free],
) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(place, expected, actual, &Comparison { extent, free }, &mut found);
    found
}

struct Comparison<'a> {
    extent: Extent,
    free: &'a [Free],
}

impl Comparison<'_> {
    fn may(&self, place: &[&str], expected: Option<&Value>, actual: &Value) -> bool {
        let key = place.last().copied().unwrap_or_default();
        let found = Found { key, expected, actual };
        self.free.iter().any(|free| matches(free.place, place) && (free.may)(found))
    }
}

fn matches(pattern: &[&str], place: &[&str]) -> bool {
    let is_it = |(wanted, key): (&&str, &&str)| *wanted == "*" || wanted == key;
    pattern.len() == place.len() && pattern.iter().zip(place).all(is_it)
}

fn compare(
    place: &[&str],
    expected: &Value,
    actual: &Value,
    comparison: &Comparison<'_>,
    found: &mut Vec<Difference>,
) {
    if is_same(expected, actual) || comparison.may(place, Some(expected), actual) {
        return;
    }
    match (expected, actual) {
        (Value::Object(wanted), Value::Object(is)) => {
            for (key, value) in wanted {
                let place = [place, &[key.as_str()]].concat();
                match is.get(key) {
                    Some(is) => compare(&place, value, is, comparison, found),
                    None if comparison.extent == Extent::Whole => {
                        found.push(Difference::of(&place, Some(value), None));
                    }
                    None => {}
                }
            }
            for (key, value) in is.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
                let place = [place, &[key.as_str()]].concat();
                if !comparison.may(&place, None, value) {
                    found.push(Difference::of(&place, None, Some(value)));
                }
            }
        }
        (Value::Array(wanted), Value::Array(is)) => {
            // What is put in between shifts the rest: the first difference says it.
            for index in 0..wanted.len().max(is.len()) {
                let name = index.to_string();
                let place = [place, &[name.as_str()]].concat();
                let before = found.len();
                match (wanted.get(index), is.get(index)) {
                    (Some(one), Some(other)) if are_alike(one, other) => {
                        // A list replaces a list, so an entry of it is whole.
                        let whole = Comparison { extent: Extent::Whole, free: comparison.free };
                        compare(&place, one, other, &whole, found);
                    }
                    (None, Some(other)) if comparison.may(&place, None, other) => {}
                    (one, other) => found.push(Difference::of(&place, one, other)),
                }
                if found.len() > before {
                    break;
                }
            }
        }
        _ => found.push(Difference::of(place, Some(expected), Some(actual))),
    }
}

/// Whether two entries of a list are one thing that changed, and not two: what is in them is compared.
fn are_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => one.keys().any(|key| other.contains_key(key)),
        _ => true,
    }
}

/// Whether two values mean the same: a variable is text on every platform, and a key without a value is an
/// empty table.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(number), Value::String(text))
        | (Value::String(text), Value::Number(number)) => number.to_string() == *text,
        (Value::Null, Value::Object(table)) | (Value::Object(table), Value::Null) => {
            table.is_empty()
        }
        _ => one == other,
    }
}

/// Text that the platform takes as it is.
#[must_use]
pub fn is_literal(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty() && !text.contains('$'))
}

/// A list of such text.
#[must_use]
pub fn is_list(value: &Value) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_literal))
}

/// A list with everything that was generated, and more.
#[must_use]
pub fn is_longer(found: Found<'_>) -> bool {
    let (Some(Value::Array(wanted)), Value::Array(is)) = (found.expected, found.actual) else {
        return false;
    };
    is_list(found.actual) && wanted.iter().all(|value| is.contains(value))
}
