//! What was typed, and what else sets it. Below this room nothing knows a command line.

pub mod arguments;
mod help;
pub mod settings;
pub mod sources;
