//! Eartag.
pub mod frame;
pub mod meta;
pub mod ext;
pub mod management;
pub mod rbac;
pub mod review;
pub mod secret;
#[cfg(test)]
mod schema_tests;
