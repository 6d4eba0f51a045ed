//! Lists from Erlang.

use rustler::{Decoder, Error, NifResult, Term};

/// A proper list; `badarg` for anything else. rustler's own `Vec` panics at an improper tail.
pub(crate) struct List<'a>(pub(crate) Vec<Term<'a>>);

impl<'a> Decoder<'a> for List<'a> {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        // Walks to the tail, and refuses an improper one.
        term.list_length().map_err(|_| Error::BadArg)?;
        term.decode().map(Self)
    }
}
