//! The store from outside: one suite for all engines, then what each engine promises by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests"
)]

mod backup;
mod commits;
mod concurrency;
mod conformance;
mod crash;
mod datafile;
mod model;
mod ranges;
mod support;
mod watches;
