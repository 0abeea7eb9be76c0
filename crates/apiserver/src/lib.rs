//! A Kubernetes-style API server as a library: resources, verbs, discovery, OpenAPI, tables, patches, watches.
//!
//! It knows nothing of what it serves: a server gives it [`kind::Kind`]s (lenses over stored records), an
//! [`user::Authorizer`] and a clock, and hands it requests with an identity.
//!
//! ```text
//!  http      request → RequestInfo → authorizer → documents | resource → reply
//!  ops       create · get · list · update · delete · watch, free of HTTP
//!  kind      the lens of a stored kind; object: between record and shown object
//!  decode · schema · patch · managed · selector · metadata        pure functions over trees
//!  discovery · openapi · protobuf · media · gzip · document       pure functions over descriptions
//! ```

pub mod decode;
pub mod discovery;
pub mod document;
pub mod field_error;
pub mod gzip;
pub mod http;
pub mod info;
pub mod kind;
pub mod managed;
pub mod media;
pub mod metadata;
pub mod object;
pub mod openapi;
pub mod ops;
pub mod patch;
pub mod protobuf;
pub mod refusal;
pub mod registry;
pub mod reviews;
pub mod schema;
pub mod selector;
pub mod time;
pub mod user;

/// A JSON value: how objects travel between doors, patches and kinds. Numbers that are integers stay integers.
pub type Tree = serde_json::Value;
/// A JSON object; keys are sorted (serde_json's `preserve_order` must never be on, a test sees to it).
pub type Map = serde_json::Map<String, Tree>;
