//! The black-box tests, a module per door. Each test starts a server of its own (see the harness, this package's library).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    reason = "tests"
)]

mod aggregated;
mod authorization;
mod authorization_v3;
mod bad_input;
mod browser;
mod browser_foreign;
mod browser_looks;
mod canary;
mod cluster_proxy;
mod clusters;
mod crash;
mod curl;
mod exec_plugin;
mod hashing;
mod isolation;
mod kube_apiserver;
mod kubeconfigs;
mod kubectl_commands;
mod lists;
mod operator;
mod reviews;
mod seed;
mod seed_tokens_page;
mod system_tokens;
mod token_review;
mod unread_bodies;
mod user_retention;
mod users;
mod v3_door;
mod v3_lists;
mod v3_settings;
mod v3_tokens;
mod watch;
