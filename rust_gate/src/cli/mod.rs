//! What was typed. Below this room nothing knows a command line.

pub mod arguments;
