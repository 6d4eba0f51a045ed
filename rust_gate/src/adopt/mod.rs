//! How a project takes the gate up: the files that it needs, written once.

pub mod init;
pub mod jobs;
pub mod manuals;
pub mod rebar_config;
