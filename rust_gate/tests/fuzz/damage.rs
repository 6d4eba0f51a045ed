//! Damage to a file that knows only its syntax.

use fastrand::Rng;
use serde_json::{Value, json};

/// Numbers that programs are wrong about.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "0.5",
    "1e-9",
    "1e308",
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "255",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e-400",
    "00",
    "1.",
    "99999999999999999999999999999999999999999999999999999999999999999999999999999999",
    "0x10",
    "1_000",
];

/// Pieces of all the languages that are read here.
const PIECES: &[&str] = &[
    "null",
    "true",
    "false",
    "\"\"",
    "{}",
    "[]",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\"rps\":1,",
    "\u{feff}",
    "\u{0}",
    "\u{1b}[2J",
    "\u{202e}",
    "\r\n",
    "\n",
    "\t",
    "  ",
    "```\n",
    "```json\n",
    "# ",
    "- ",
    "&a ",
    "*a",
    "<<: *a\n",
    "!!binary ",
    "? ",
    "|\n",
    ">\n",
    "---\n",
    "%",
    "'",
    "$\"",
    "{perf, [",
    "{profiles, [",
    "]}.",
    ".\n",
    "= ",
    "[[a]]\n",
    "[a.b]\n",
    "'''",
    "\"\"\"",
    "when: never",
    "allow_failure: true",
    "cp1_gate:",
    "1979-05-27",
    "é",
    "\u{10ffff}",
];

/// Damages text or bytes once, and says how.
pub(crate) fn of_bytes(bytes: &mut Vec<u8>, rng: &mut Rng) -> String {
    let at = rng.usize(..=bytes.len());
    let end = (at + rng.usize(..24)).min(bytes.len());
    let piece = match rng.u8(..3) {
        0 => NUMBERS[rng.usize(..NUMBERS.len())],
        _ => PIECES[rng.usize(..PIECES.len())],
    };
    match rng.u8(..10) {
        0 => {
            bytes.truncate(at);
            format!("cut short at byte {at}")
        }
        1 => {
            bytes.drain(at..end);
            format!("without bytes {at} to {end}")
        }
        2 => {
            let from = at.min(bytes.len().saturating_sub(1));
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << rng.u8(..8);
            }
            format!("a bit of byte {from} turned")
        }
        3 => {
            let times = 1 << rng.u32(..14);
            bytes.splice(at..at, piece.as_bytes().repeat(times));
            format!("{times} times {piece:?} at byte {at}")
        }
        4 => {
            let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            let (one, other) = (rng.usize(..=lines.len()), rng.usize(..=lines.len()));
            let (one, other) = (one.min(other), one.max(other));
            let moved = lines.get(one..other).unwrap_or_default().concat();
            let place: usize =
                lines.iter().take(rng.usize(..=lines.len())).map(|line| line.len()).sum();
            bytes.splice(place..place, moved);
            format!("lines {one} to {other} again at byte {place}")
        }
        5 => {
            let digits: Vec<_> =
                (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
            if digits.is_empty() {
                return "nothing".to_owned();
            }
            let start = digits[rng.usize(..digits.len())];
            let length = bytes[start..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit() || b".eE+-".contains(byte))
                .count();
            let number = NUMBERS[rng.usize(..NUMBERS.len())];
            bytes.splice(start..start + length, number.bytes());
            format!("{number} as the number at byte {start}")
        }
        6 => {
            let random: Vec<u8> = (0..rng.usize(1..8)).map(|_| rng.u8(..)).collect();
            bytes.splice(at..end, random);
            format!("random bytes from {at} to {end}")
        }
        _ => {
            bytes.splice(at..end, piece.bytes());
            format!("{piece:?} for bytes {at} to {end}")
        }
    }
}

/// Damages a JSON document once, and says how.
pub(crate) fn of_json(document: &mut Value, rng: &mut Rng) -> String {
    let mut places = Vec::new();
    pointers(document, String::new(), &mut places);
    let place = places[rng.usize(..places.len())].clone();
    let other = places[rng.usize(..places.len())].clone();
    let taken = document.pointer(&other).cloned().unwrap_or_default();
    let Some((parent, key)) = place.rsplit_once('/') else { return "nothing".to_owned() };
    match rng.u8(..8) {
        0 | 1 => {
            match document.pointer_mut(parent) {
                Some(Value::Object(entries)) => drop(entries.remove(&unescaped(key))),
                Some(Value::Array(items)) => drop(items.remove(key.parse::<usize>().unwrap())),
                _ => {}
            }
            format!("{place} removed")
        }
        2 => {
            *document.pointer_mut(&place).unwrap() = taken;
            format!("{other} also at {place}")
        }
        3 => {
            let before = document.pointer(&place).cloned().unwrap_or_default();
            if !other.starts_with(&place) && !place.starts_with(&other) {
                *document.pointer_mut(&place).unwrap() = taken;
                *document.pointer_mut(&other).unwrap() = before;
            }
            format!("{place} and {other} swapped")
        }
        4 => {
            if let Some(Value::Array(items)) = document.pointer_mut(parent) {
                let index: usize = key.parse().unwrap();
                items.insert(index, items[index].clone());
            }
            format!("{place} twice, if in a list")
        }
        5 => {
            let value = [
                json!(null),
                json!("NaN"),
                json!([]),
                json!({}),
                json!(true),
                json!("\u{1b}[2J|<b>`"),
            ];
            let value = value[rng.usize(..value.len())].clone();
            let text = format!("{value} at {place}");
            *document.pointer_mut(&place).unwrap() = value;
            text
        }
        _ => {
            let value = document.pointer_mut(&place).unwrap();
            *value = number_like(value, rng);
            format!("{value} at {place}")
        }
    }
}

fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

/// Another number, near this one or far away.
fn number_like(value: &Value, rng: &mut Rng) -> Value {
    let far = || json!([0, 1, 2, 1000, u32::MAX, u64::MAX, i64::MIN, -1]);
    match (value.as_u64(), value.as_f64(), rng.u8(..4)) {
        (Some(count), _, 0) => json!(count.wrapping_add(1)),
        (Some(count), _, 1) => json!(count.wrapping_sub(1)),
        (Some(count), _, 2) => json!((count as f64 * (0.5 + rng.f64())) as u64),
        (None, Some(figure), 0 | 1) => json!(figure * (0.5 + rng.f64())),
        (None, Some(figure), 2) => json!(figure * 10_f64.powi(rng.i32(-300..300))),
        _ => far()[rng.usize(..8)].clone(),
    }
}

fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let key = key.replace('~', "~0").replace('/', "~1");
                pointers(value, format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                pointers(value, format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
    found.push(at);
}
