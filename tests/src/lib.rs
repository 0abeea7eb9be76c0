//! The harness of the black-box tests: a server of its own for each test, real clients against it.
//!
//! ```text
//! Server ── a process `eartag serve` on a free port with a data directory of its own; killed on drop; its output is kept
//!   ├── Person   a user with a password, a session and clients that act as that user
//!   │     ├── Http      plain requests, each reply is noted on the server's `Tape`
//!   │     └── Kubectl   the real program, with a home, kubeconfig and cache of its own
//!   ├── Pty      a terminal with somebody in front of it, for programs that ask
//!   ├── Browser  headless Chromium with an empty profile; fails a test on anything its console says
//!   └── Tape     every byte that any client got back: the canary test looks through it
//! KubeApiserver ── a real kube-apiserver on an etcd of its own, for the tests in which a cluster trusts our tokens
//! ```
//!
//! The binary is the one that `EARTAG_BIN` names (`make test` sets it), else it is built by `cargo build -p eartag`. kubectl is the one that
//! `EARTAG_KUBECTL` names, else what `scripts/tools test` put into the target directory, else the one on the `PATH`.
//!
//! One server per test, because cargo-nextest gives each test a process of its own anyway, and because a start costs less than a second and
//! an afternoon is lost to tests that disturb each other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code: a failure is a panic that says what was seen, and waiting needs a clock"
)]

pub mod browser;
pub mod http;
pub mod kube_apiserver;
pub mod kube_pki;
pub mod kubectl;
pub mod kubelet;
pub mod people;
pub mod process;
pub mod pty;
pub mod raw;
pub mod server;
pub mod stream;
pub mod tape;
pub mod v3;
pub mod wait;

pub use browser::Browser;
pub use http::{Http, Reply};
pub use kube_apiserver::{KubeApiserver, KubeSetup};
pub use kubectl::{Kubectl, Ran};
pub use people::Person;
pub use pty::Pty;
pub use server::{Server, Setup};
pub use stream::Stream;
pub use tape::Tape;

/// The collection of ext tokens.
pub const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";
/// The group-version of users, settings, features and the like.
pub const MANAGEMENT: &str = "/apis/management.cattle.io/v3";
/// The first password of `admin` in every test server.
pub const BOOTSTRAP_PASSWORD: &str = "correct horse battery staple";
