//! From paths and revisions to documents; nothing is judged here.

pub mod commits;
pub mod git;
pub mod inputs;
pub mod lines;
pub(crate) mod paths;
pub mod standard_input;
pub mod trusted;
