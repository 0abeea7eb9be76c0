//! What the API looks like, for programs: OpenAPI v2 and v3 (kubernetes-api.md §2).
//!
//! ```text
//! Catalogue ─┬→ operation: paths, verbs, parameters ─┬→ v2 (Swagger 2.0 JSON) → v2_proto (the same as protobuf)
//!            └→ model: named shapes                  └→ v3 (an index, and one document a group-version)
//! ```
//!
//! kubectl takes its whole `explain` from here, asks the PATCH operation whether the server validates fields, and chooses the kind of patch by the media
//! types that PATCH takes. Pure functions: equal catalogues give equal bytes.

pub mod model;
pub mod operation;
pub mod v2;
pub mod v2_proto;
pub mod v3;

mod common;
mod parameter;

#[cfg(test)]
pub(crate) mod fixtures;

/// What the documents say of the whole API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About<'a> {
    /// The API's name, for people.
    pub title: &'a str,
    /// The server's version, as `/version` gives it.
    pub version: &'a str,
}

/// The two languages; they differ in where models are kept and in how a reference gets a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Swagger 2.0.
    V2,
    /// OpenAPI 3.0.
    V3,
}
