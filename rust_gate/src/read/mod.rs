//! From paths and revisions to documents; nothing is judged here.

pub mod git;
pub mod inputs;
pub(crate) mod paths;
pub mod trusted;
