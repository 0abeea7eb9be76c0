//! Eartag.
pub mod ext;
pub mod frame;
pub mod management;
pub mod meta;
pub mod rbac;
pub mod review;
#[cfg(test)]
mod schema_tests;
pub mod secret;
