//! The operator's contract (DESIGN §6), checked on the built binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod client;
mod clusters;
mod fake;
mod import;
mod login;
mod manual;
mod operator;
mod support;
mod system_token;
mod token;
