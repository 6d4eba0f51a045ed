//! The verdict for readers. A renderer sees only the verdict and computes nothing.

pub mod figures;
pub mod markdown;
pub mod terminal;
