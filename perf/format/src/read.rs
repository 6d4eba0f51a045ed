//! The one strict reader.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use memchr::{memchr2, memchr3, memmem};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A file of the freeze: its name in messages, its size limit, and what must hold between its
/// fields beyond their types.
pub trait Document: DeserializeOwned {
    /// What messages call the file.
    const KIND: &'static str;
    /// Largest accepted size.
    const MAX_BYTES: u64;
    /// Whether `null` may stand where the type does not look, as in a file of another tool.
    const HAS_NULLS: bool = false;

    /// Looks for contradictions between fields.
    ///
    /// # Errors
    /// The first contradiction, with its place and cure.
    fn check(&self) -> Result<(), Violation>;
}

/// A contradiction inside a document that is well-formed otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    path: Vec<Segment>,
    problem: String,
    cure: String,
}

impl Violation {
    /// A problem at a place, and what to do about it.
    pub fn new(
        path: impl IntoIterator<Item = Segment>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { path: path.into_iter().collect(), problem: problem.into(), cure: cure.into() }
    }
}

/// One step of a JSON path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Into an object.
    Key(String),
    /// Into an array.
    Index(usize),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Where in a file: JSON path, line and column (both from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// For example `blocks[2].metrics.rps`; empty at the top.
    pub json_path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.json_path.is_empty() {
            write!(f, "{}, ", self.json_path)?;
        }
        write!(f, "line {} column {}", self.line, self.column)
    }
}

/// Why a file was refused. The text may quote the file: escape it before showing it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be opened or read.
    #[error("failed to read the {kind} {}: {source}", path.display())]
    Io {
        /// What kind of file.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Over the size limit of its kind.
    #[error("failed to read the {kind} {}: it is larger than {limit} bytes", path.display())]
    TooLarge {
        /// What kind of file.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// Nothing but white space.
    #[error("failed to read the {kind} {}: it is empty", path.display())]
    Empty {
        /// What kind of file.
        kind: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A byte order mark, of whatever encoding.
    #[error("failed to read the {kind} {}: it begins with a byte order mark", path.display())]
    ByteOrderMark {
        /// What kind of file.
        kind: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Not UTF-8.
    #[error("failed to read the {kind} {}: byte {offset} is not UTF-8", path.display())]
    NotUtf8 {
        /// What kind of file.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// Bytes before the first bad one.
        offset: usize,
    },
    /// Not JSON, or not of the document's shape, or contradicting itself.
    #[error("failed to read the {kind} {}: at {place}: {problem}", path.display())]
    Content {
        /// What kind of file.
        kind: &'static str,
        /// The file.
        path: PathBuf,
        /// Where.
        place: Box<Place>,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        cure: String,
    },
}

impl ReadError {
    /// Where in the file, for example `metrics.rps, line 7 column 12`; `None` where the file as a
    /// whole is refused.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        match self {
            Self::NotUtf8 { offset, .. } => Some(format!("byte {offset}")),
            Self::Content { place, .. } => Some(place.to_string()),
            Self::Io { .. }
            | Self::TooLarge { .. }
            | Self::Empty { .. }
            | Self::ByteOrderMark { .. } => None,
        }
    }

    /// What is wrong, without the file's name and the place.
    #[must_use]
    pub fn problem(&self) -> String {
        match self {
            Self::Io { kind, source, .. } => format!("failed to read the {kind}: {source}"),
            Self::TooLarge { kind, limit, .. } => {
                format!("the {kind} is larger than {limit} bytes")
            }
            Self::Empty { kind, .. } => format!("the {kind} is empty"),
            Self::ByteOrderMark { kind, .. } => format!("the {kind} begins with a byte order mark"),
            Self::NotUtf8 { kind, .. } => format!("the {kind} is not UTF-8"),
            Self::Content { problem, .. } => problem.clone(),
        }
    }

    /// What to do about it, as an imperative.
    #[must_use]
    pub fn cure(&self) -> &str {
        match self {
            Self::Io { .. } => "check the path and its permissions",
            Self::TooLarge { .. } => "check that this is the file that is meant",
            Self::Empty { .. } => "measure again; the run that wrote it did not finish",
            Self::ByteOrderMark { .. } => "save the file as UTF-8 without a byte order mark",
            Self::NotUtf8 { .. } => "save the file as UTF-8",
            Self::Content { cure, .. } => cure,
        }
    }
}

/// Reads and checks a file.
///
/// # Errors
/// [`ReadError`], for anything that the [crate's front page](crate) lists.
pub fn read_file<T: Document>(path: &Path) -> Result<T, ReadError> {
    parse(path, &read_bytes(T::KIND, T::MAX_BYTES, path)?)
}

/// Reads a regular file that is not too large.
///
/// # Errors
/// [`ReadError::Io`] and [`ReadError::TooLarge`].
pub fn read_bytes(kind: &'static str, max_bytes: u64, path: &Path) -> Result<Vec<u8>, ReadError> {
    let io_error = |source| ReadError::Io { kind, path: path.to_owned(), source };
    let file = open(kind, max_bytes, path)?;
    let size = file.metadata().map_err(io_error)?.len();
    let mut bytes =
        Vec::with_capacity(usize::try_from(size.min(max_bytes)).unwrap_or_default() + 1);
    // It may grow meanwhile.
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(io_error)?;
    Ok(bytes)
}

/// Opens a regular file that is not too large.
pub(crate) fn open(kind: &'static str, max_bytes: u64, path: &Path) -> Result<File, ReadError> {
    let io_error = |source| ReadError::Io { kind, path: path.to_owned(), source };
    // Asked before opening: to open a named pipe waits for its writer.
    let metadata = std::fs::metadata(path).map_err(io_error)?;
    if !metadata.is_file() {
        return Err(io_error(io::Error::other("it is not a regular file")));
    }
    if metadata.len() > max_bytes {
        return Err(ReadError::TooLarge { kind, path: path.to_owned(), limit: max_bytes });
    }
    File::open(path).map_err(io_error)
}

/// The text of a file that is already in memory; `path` is only for messages.
///
/// # Errors
/// It is too large, empty, not UTF-8, or begins with a byte order mark.
pub fn text<'b>(
    kind: &'static str,
    max_bytes: u64,
    path: &Path,
    bytes: &'b [u8],
) -> Result<&'b str, ReadError> {
    let path = || path.to_owned();
    if bytes.len() as u64 > max_bytes {
        return Err(ReadError::TooLarge { kind, path: path(), limit: max_bytes });
    }
    // Of UTF-8, and of UTF-16 in both orders: editors and shells of Windows write them.
    let marks: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    if marks.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(ReadError::ByteOrderMark { kind, path: path() });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| ReadError::NotUtf8 {
        kind,
        path: path(),
        offset: error.valid_up_to(),
    })?;
    match text.trim().is_empty() {
        true => Err(ReadError::Empty { kind, path: path() }),
        false => Ok(text),
    }
}

/// Reads and checks a document that is already in memory; `path` is only for messages.
///
/// # Errors
/// [`ReadError`], for anything that the [crate's front page](crate) lists.
pub fn parse<T: Document>(path: &Path, bytes: &[u8]) -> Result<T, ReadError> {
    let text = text(T::KIND, T::MAX_BYTES, path, bytes)?;
    let content = |(place, problem, cure)| ReadError::Content {
        kind: T::KIND,
        path: path.to_owned(),
        place: Box::new(place),
        problem,
        cure,
    };
    let plainly =
        (!T::HAS_NULLS && is_plainly_strict(text)).then(|| serde_json::from_str::<T>(text));
    let document = match plainly {
        Some(Ok(document)) => Ok(document),
        // What is wrong with it, and where.
        _ => match T::HAS_NULLS {
            true => typed::<Strict<true>>(text).map(|_| ()),
            false => typed::<Strict<false>>(text).map(|_| ()),
        }
        .and_then(|()| typed::<T>(text)),
    };
    document
        .and_then(|document| match document.check() {
            Ok(()) => Ok(document),
            Err(violation) => {
                let place = locate(text, &violation.path);
                Err((place, violation.problem, violation.cure))
            }
        })
        .map_err(content)
}

/// Deserializes with the place of a failure.
fn typed<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, (Place, String, String)> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let result = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        (if path == "." { String::new() } else { path }, error.into_inner())
    });
    let result = result.and_then(|value| match deserializer.end() {
        Ok(()) => Ok(value),
        Err(error) => Err((String::new(), error)),
    });
    result.map_err(|(json_path, error)| {
        let place = Place { json_path, line: error.line(), column: error.column() };
        let cure = if error.is_data() {
            "correct this value, or measure again"
        } else {
            "the file is cut short or damaged: restore it, or measure again"
        };
        let text = error.to_string();
        let suffix = format!(" at line {} column {}", place.line, place.column);
        let problem = text.strip_suffix(&suffix).unwrap_or(&text).to_owned();
        (place, problem, cure.to_owned())
    })
}

/// Most keys of an object that are compared one by one.
const KEYS_MAX: usize = 64;

/// Whether a text, if it is JSON, has neither `null` nor a key twice, by a look at its bytes that costs a
/// fraction of reading it. Of what it cannot tell it says no, and [`Strict`] decides: strings with escapes or
/// with `null` in them, and objects of very many keys.
fn is_plainly_strict(text: &str) -> bool {
    let mut rest = text.as_bytes();
    if memmem::find(rest, b"null").is_some() {
        return false;
    }
    // Of each open object where its keys begin, and the keys of all.
    let (mut objects, mut keys) = (Vec::new(), Vec::<&[u8]>::new());
    while let Some((byte, after)) = from_next(memchr3(b'{', b'}', b'"', rest), rest) {
        rest = after;
        match byte {
            b'{' => objects.push(keys.len()),
            b'}' => keys.truncate(objects.pop().unwrap_or_default()),
            _ => {
                let Some(end) = memchr2(b'"', b'\\', rest) else { return false };
                let (string, closing) = rest.split_at(end);
                let Some((b'"', after)) = closing.split_first() else { return false };
                rest = after;
                if after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':') {
                    let first = objects.last().copied().unwrap_or_default();
                    let own = keys.get(first..).unwrap_or_default();
                    if own.len() == KEYS_MAX || own.contains(&string) {
                        return false;
                    }
                    keys.push(string);
                }
            }
        }
    }
    true
}

/// The byte at a place, and what is behind it.
fn from_next(place: Option<usize>, bytes: &[u8]) -> Option<(&u8, &[u8])> {
    bytes.get(place?..)?.split_first()
}

/// What typed reading would let through in silence: a key given twice, and `null` unless it is allowed.
struct Strict<const HAS_NULLS: bool>;

impl<'de, const HAS_NULLS: bool> Deserialize<'de> for Strict<HAS_NULLS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor::<HAS_NULLS>)
    }
}

struct StrictVisitor<const HAS_NULLS: bool>;

impl<'de, const HAS_NULLS: bool> Visitor<'de> for StrictVisitor<HAS_NULLS> {
    type Value = Strict<HAS_NULLS>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Strict)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Strict)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Strict)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Strict)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Strict)
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        match HAS_NULLS {
            true => Ok(Strict),
            false => {
                Err(E::custom("null is not a figure: a value that was not measured is left out"))
            }
        }
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<Self::Value>()?.is_some() {}
        Ok(Strict)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(Key(key)) = entries.next_key()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format!("the key `{key}` is given twice")));
            }
            seen.insert(key);
            entries.next_value::<Self::Value>()?;
        }
        Ok(Strict)
    }
}

/// A key, out of the text itself where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}

/// The line, from 1 on, on which a value begins in a document that was read before; that of the innermost
/// part that exists.
#[must_use]
pub fn line_of(bytes: &[u8], path: &[Segment]) -> u64 {
    std::str::from_utf8(bytes).map_or(1, |text| locate(text, path).line as u64)
}

/// The place of a path in a text that was read before; of the innermost part that exists.
fn locate(text: &str, path: &[Segment]) -> Place {
    let mut json_path = String::new();
    let mut found = text;
    for segment in path {
        let inner = match segment {
            Segment::Key(key) => serde_json::from_str::<BTreeMap<String, &RawValue>>(found)
                .ok()
                .and_then(|object| object.get(key).copied()),
            Segment::Index(index) => serde_json::from_str::<Vec<&RawValue>>(found)
                .ok()
                .and_then(|array| array.get(*index).copied()),
        };
        match segment {
            Segment::Key(key) if json_path.is_empty() => json_path.push_str(key),
            Segment::Key(key) => json_path.push_str(&format!(".{key}")),
            Segment::Index(index) => json_path.push_str(&format!("[{index}]")),
        }
        if let Some(inner) = inner {
            found = inner.get();
        }
    }
    // A raw value borrows from the text it was read from, so the addresses' distance is its offset.
    let offset = (found.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    let before = text.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    Place { json_path, line, column }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str =
        r#"{"a": {"b": 1, "c": [true, {"b": 2, "d": "b"}, {"b": 3}]}, "b": ["a", "a"], "e": "n"}"#;

    #[test]
    fn what_is_strict_is_plainly_so() {
        assert!(is_plainly_strict(TEXT));
        for (from, to) in [
            ("true", "null"),
            ("\"c\"", "\"b\""),
            ("\"b\": [", "\"a\": ["),
            ("\"d\"", "\"b\""),
            ("\"e\"", "\"\\u0061\""),
            ("\"e\"", "\"a\" "),
        ] {
            assert!(!is_plainly_strict(&TEXT.replacen(from, to, 1)), "{from} {to}");
        }
        let many: Vec<_> = (0..=KEYS_MAX).map(|key| format!("\"{key}\": 1")).collect();
        assert!(!is_plainly_strict(&format!("{{{}}}", many.join(","))), "Strict decides");
    }

    proptest! {
        #[test]
        fn nothing_is_plainly_strict_that_strict_refuses(
            edits in prop::collection::vec(
                (0..TEXT.len(), 0..4usize, prop::sample::select(vec![
                    "", "\"a\": 1, ", "\"b\": null, ", "{", "}", "[", "]", "\"", "\\", ",", ":", "null", "1",
                ])),
                0..4,
            ),
        ) {
            let mut text = TEXT.to_owned();
            for (at, length, put) in edits {
                let from = at.min(text.len());
                let to = (from + length).min(text.len());
                text.replace_range(from..to, put);
            }
            // Of what is no JSON nothing is claimed.
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            if is_json && is_plainly_strict(&text) {
                prop_assert!(serde_json::from_str::<Strict<false>>(&text).is_ok(), "{}", text);
            }
        }
    }
}
