//! Benchmarks of the whole: what the programs `door`, `million` and `review` share.
//!
//! ```text
//! door      the release binary over HTTPS beside a bare handler over the same TLS, taking turns in one run
//! million   the release binary on a store of a million tokens beside one of a thousand, in one run
//! review    (in tests/, for its kube-apiserver) TokenReview beside the bare handler and beside a kube-apiserver's own, in one run
//! verifier  (cargo bench) the verifier alone, beside the one hash that every check must pay
//! ```
//!
//! All share the machine with their load generator, so ratios are worth more than times. `EARTAG_BIN` names the binary; by default
//! it is the one beside the benchmark's own (`cargo build --release -p eartag -p eartag-benches`).
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

pub mod bare;
pub mod client;
pub mod fill;
pub mod load;
pub mod report;
pub mod server;

/// Connections that are kept alive under load.
pub const CONNECTIONS: usize = 64;
