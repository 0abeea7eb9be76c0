//! The rules of Eartag: the life of a token, ttl, secrets and hashes, the verifier's table, who may do what, settings, features.
//!
//! Nothing in here does IO, waits, reads a clock or draws randomness: [`Now`] and random bytes are arguments, the store's
//! changes are fed in. All state machines are plain structs that can be tested without a server.
//!
//! ```text
//!  names · secret · hash · password · ttl · duration · time      values
//!  record · collections · face                                   what the store holds
//!  token · kubeconfig · retention                                who gets what, and who has to go, as pure functions
//!  import                                                        records of another system
//!  verifier · usage · rbac · settings · features · clock         tables, kept in step with the store
//! ```

pub mod clock;
pub mod cluster;
pub mod collections;
pub mod duration;
pub mod face;
pub mod features;
pub mod hash;
pub mod import;
pub mod kubeconfig;
pub mod names;
pub mod password;
pub mod rbac;
pub mod record;
pub mod retention;
pub mod secret;
pub mod settings;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
pub mod token;
pub mod ttl;
pub mod usage;
pub mod verifier;

pub use clock::Clock;
pub use face::Face;
pub use features::{Feature, Features};
pub use hash::SecretHash;
pub use names::{ClusterId, TokenName, UserId};
pub use password::PasswordHash;
pub use rbac::{Attributes, Rbac, Rule};
pub use record::{
    AuthEndpoint, ClusterCredentialRecord, ClusterRecord, ClusterRoleBindingRecord, ClusterRoleRecord,
    Credential, EndpointNode, FeatureRecord, GlobalRoleBindingRecord, GlobalRoleRecord, IdentityRecord,
    KubeconfigRecord, LegacyTokenRecord, PasswordRecord, Principal, SettingRecord, TokenRecord,
    UserAttributeRecord, UserRecord,
};
pub use secret::PlainSecret;
pub use settings::{Settings, SettingsTable};
pub use time::Now;
pub use ttl::{Lifetime, Minutes, TtlMillis, TtlSeconds};
pub use usage::Usage;
pub use verifier::{Accepted, Place, Presented, Reason, Verdict, Verifier};
