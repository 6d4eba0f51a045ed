//! What a file says, as a digest: of JSON whatever its white space and the order of its keys.

use std::collections::BTreeMap;
use std::path::Path;

use cp1_format::Digest;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::ContractError;

/// SHA-256 of the bytes.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> Digest {
    Digest::of_hash(Sha256::digest(bytes).into())
}

/// SHA-256 of the canonical form of a JSON text, which a strict reader has accepted.
///
/// Canonical: no white space, keys in the order of their bytes, strings as the one writer spells
/// them, numbers as they stand.
///
/// # Errors
/// The text is no JSON.
pub fn of_json(text: &str) -> Result<Digest, serde_json::Error> {
    let mut canonical = String::with_capacity(text.len());
    append(serde_json::from_str(text)?, &mut canonical)?;
    Ok(of_bytes(canonical.as_bytes()))
}

/// The same of a file.
///
/// # Errors
/// It cannot be read, or is no JSON.
pub fn of_json_file(path: &Path) -> Result<Digest, ContractError> {
    let io = |source| ContractError::Io { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(io)?;
    of_json(&text).map_err(|error| io(error.into()))
}

fn append(value: &RawValue, canonical: &mut String) -> Result<(), serde_json::Error> {
    let text = value.get();
    if text.starts_with('{') {
        let object: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
        canonical.push('{');
        for (index, (key, value)) in object.into_iter().enumerate() {
            if index > 0 {
                canonical.push(',');
            }
            canonical.push_str(&serde_json::to_string(&key)?);
            canonical.push(':');
            append(value, canonical)?;
        }
        canonical.push('}');
    } else if text.starts_with('[') {
        let array: Vec<&RawValue> = serde_json::from_str(text)?;
        canonical.push('[');
        for (index, value) in array.into_iter().enumerate() {
            if index > 0 {
                canonical.push(',');
            }
            append(value, canonical)?;
        }
        canonical.push(']');
    } else if text.starts_with('"') {
        let string: String = serde_json::from_str(text)?;
        canonical.push_str(&serde_json::to_string(&string)?);
    } else {
        canonical.push_str(text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> String {
        of_json(text).map_or_else(|error| error.to_string(), |digest| digest.to_string())
    }

    #[test]
    fn the_digest_is_that_of_the_published_algorithm() {
        // printf '{"a":1.50}' | sha256sum
        let known = "sha256:23ca677c678537da56740da929aa1be568e3cdf9fa01b726fdc57ba9ca372ce0";
        assert_eq!(digest(r#"{ "a": 1.50 }"#), known);
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(of_bytes(b"").to_string(), empty, "FIPS 180-4, the empty message");
    }

    #[test]
    fn white_space_and_the_order_of_keys_do_not_count_and_everything_else_does() {
        let one = digest(r#"{"a": [1.50, {"c": "x", "b": true}], "d": {}}"#);
        assert_eq!(one, digest("{\"d\":{},\n \"a\" : [ 1.50,{\"b\":true,\"c\":\"\\u0078\"} ]}"));
        for other in [
            r#"{"a": [1.5, {"c": "x", "b": true}], "d": {}}"#,
            r#"{"a": [{"c": "x", "b": true}, 1.50], "d": {}}"#,
            r#"{"a": [1.50, {"c": "y", "b": true}], "d": {}}"#,
            r#"{"a": [1.50, {"c": "x", "b": true}], "e": {}}"#,
        ] {
            assert_ne!(one, digest(other), "{other}");
        }
    }
}
