//! From a red gate to the commit: a search that measures, and knows how often it errs.

pub mod code;
pub mod commits;
pub mod search;
