//! Kubeconfigs: who may have one, which clusters it leads to under which names, whose token opens what, and its text (kubeconfig-and-cli.md §1, §2).
//!
//! ```text
//! CreateKubeconfig ── begin: a user? a token? unique, ttl ──► Begun
//!        │                 clusters are looked up outside: there? theirs?
//!        └── accept: all there, all theirs, currentContext ──► targets ──► Plan: entries, users, the current one
//!                                                                            │ one token a user, or the CLI for all
//!                                                                            └─► text: YAML
//! ```

mod create;
mod names;
mod plan;
mod text;
mod update;

pub use create::{
    Begun, CreateKubeconfig, KubeconfigRefusal, KubeconfigRefusalKind, Looked, MAX_CLUSTERS_BYTES,
    MOST_CLUSTERS, Wanted, accept, begin,
};
pub use plan::{Plan, Server, Target, User};
pub use text::Logins;
pub use update::{UpdateKubeconfig, update};
