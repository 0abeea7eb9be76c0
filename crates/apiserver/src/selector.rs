//! Which objects a list, watch or deletecollection is about: by labels, and by fields.
//!
//! Both are parsed from their query parameters; texts of errors are those that a client gets with 400.

mod field;
mod label;

pub use field::{FieldRequirement, FieldSelector};
pub use label::{LabelSelector, Operator, Requirement};
