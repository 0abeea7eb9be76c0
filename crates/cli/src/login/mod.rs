//! Logging in with a password, and out: what `token`, `login` and `logout` have in common and do.
//!
//! ```text
//! trust ─→ sign_in: providers ─→ name and password ─→ POST …/login        credentials  where a password comes from
//! commands: login, logout                                                 revoke       a token that says good-bye to its server
//! ```

pub mod commands;
pub mod credentials;
pub mod revoke;
pub mod sign_in;
pub mod trust;
