//! Who may do what: roles and bindings of `rbac.authorization.k8s.io/v1`, and global roles, which translate into them (DEC50).
//!
//! Grants only add up: there is no deny. A caller is a user name and groups; `system:masters` may do everything, everybody who has
//! authenticated may discover and ask about themselves, and the rest comes from bindings, found by subject.

mod aggregate;
mod builtin;
mod rule;
mod table;

pub use builtin::{AUTHENTICATED, CLUSTER_WEBHOOK, MASTERS, builtin_global_roles, everything};
pub use rule::{Attributes, Rule};
pub use table::Rbac;
