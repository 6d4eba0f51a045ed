//! Documents in, a verdict out. Nothing here reads a file, a clock or the environment, or starts a
//! program: the same documents give the same verdict.

#![deny(clippy::disallowed_methods)]

pub mod blocks;
pub mod compare;
pub mod conditions;
pub mod consistency;
pub mod contradictions;
pub mod decision;
pub mod failures;
pub mod growth;
pub mod histograms;
pub(crate) mod merged;
pub(crate) mod notices;
pub(crate) mod plausible;
pub mod ratios;
pub(crate) mod recovery;
pub mod replay;
pub mod rules;
pub mod samples;
pub mod sessions;
pub mod supporting;
pub mod unserved;
pub mod validity;
pub mod verdict;
pub mod waivers;
pub(crate) mod watched;
