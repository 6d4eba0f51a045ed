//! Erlang terms as JSON values, and back.

use rustler::types::map::MapIterator;
use rustler::{Atom, Encoder, Env, Term, TermType};
use serde_json::{Map, Number, Value};

use crate::list::List;

/// Deepest accepted nesting; a report has 7 levels. Bounds the stack of a dirty scheduler.
const DEPTH_MAX: u32 = 16;

/// Maps become objects (keys: atoms or binaries), proper lists arrays, binaries and atoms strings,
/// `true` and `false` booleans, integers of 64 bits and floats numbers. `None` for anything else.
pub(crate) fn value_of(term: Term<'_>) -> Option<Value> {
    within(term, DEPTH_MAX)
}

fn within(term: Term<'_>, depth: u32) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    match term.get_type() {
        TermType::Map => {
            let entry = |(key, value)| Some((text_of(key)?, within(value, depth)?));
            let entries = MapIterator::new(term)?.map(entry).collect::<Option<Map<_, _>>>();
            entries.map(Value::Object)
        }
        TermType::List => {
            let List(items) = term.decode().ok()?;
            items
                .into_iter()
                .map(|item| within(item, depth))
                .collect::<Option<_>>()
                .map(Value::Array)
        }
        TermType::Integer => {
            let unsigned = || term.decode::<u64>().map(Number::from);
            term.decode::<i64>().map(Number::from).or_else(|_| unsigned()).ok().map(Value::Number)
        }
        TermType::Float => Number::from_f64(term.decode().ok()?).map(Value::Number),
        TermType::Atom => match term.decode::<bool>() {
            Ok(boolean) => Some(Value::Bool(boolean)),
            Err(_) => text_of(term).map(Value::String),
        },
        TermType::Binary => text_of(term).map(Value::String),
        _ => None,
    }
}

fn text_of(term: Term<'_>) -> Option<String> {
    match term.get_type() {
        TermType::Atom => term.atom_to_string().ok(),
        TermType::Binary => term.decode().ok(),
        _ => None,
    }
}

/// What an object's keys become.
#[derive(Clone, Copy)]
pub(crate) enum Keys {
    /// Of a text from elsewhere: no atom is made.
    Binaries,
    /// Of a value of our own, whose keys are the names of its fields.
    Atoms,
}

impl Keys {
    fn term<'a>(self, env: Env<'a>, key: &str) -> Term<'a> {
        let atom = match self {
            Self::Binaries => None,
            Self::Atoms => Atom::from_str(env, key).ok(),
        };
        atom.map_or_else(|| key.encode(env), |atom| atom.encode(env))
    }
}

/// Objects become maps, strings binaries, `null` the atom `nil`.
pub(crate) fn term_of<'a>(env: Env<'a>, value: &Value, keys: Keys) -> Term<'a> {
    match value {
        Value::Null => rustler::types::atom::nil().encode(env),
        Value::Bool(boolean) => boolean.encode(env),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(unsigned), _) => unsigned.encode(env),
            (None, Some(signed)) => signed.encode(env),
            (None, None) => number.as_f64().unwrap_or_default().encode(env),
        },
        Value::String(text) => text.encode(env),
        Value::Array(items) => {
            items.iter().map(|item| term_of(env, item, keys)).collect::<Vec<_>>().encode(env)
        }
        Value::Object(entries) => {
            let put = |map: Term<'a>, (key, value): (&String, &Value)| {
                map.map_put(keys.term(env, key), term_of(env, value, keys)).unwrap_or(map)
            };
            entries.iter().fold(Term::map_new(env), put)
        }
    }
}
