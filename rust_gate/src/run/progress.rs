//! What a run says on its way.

use std::io::{self, Write as _};

/// To standard error, as standard output is for the answer, with a line end. Where that is closed there is
/// nobody left to tell, and the run goes on.
pub(super) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
