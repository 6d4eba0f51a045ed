//! What a measurement needs to know before and after it.

pub mod figure;
pub mod load;
pub mod mode;
pub mod replay_plan;
pub mod seal;
