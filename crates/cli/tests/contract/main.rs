//! The operator's contract (DESIGN §6), checked on the built binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod client;
mod import;
mod operator;
mod support;
mod system_token;
