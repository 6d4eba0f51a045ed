//! The verdict for readers. A renderer sees only the verdict and computes nothing.

#![deny(clippy::disallowed_methods)]

pub mod figures;
pub mod markdown;
pub mod so_far;
pub mod terminal;
