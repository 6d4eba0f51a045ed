//! The verdict for readers. A renderer sees only the verdict and computes nothing.

pub mod artifacts;
pub mod figures;
pub mod markdown;
pub mod so_far;
pub mod terminal;
