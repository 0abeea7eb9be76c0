//! What the tests of several modules ask of a schema.

use schemars::Schema;

/// The member names, sorted.
pub fn properties(schema: &Schema) -> Vec<String> {
    let mut names: Vec<String> = schema
        .get("properties")
        .and_then(|p| p.as_object())
        .map(|p| p.keys().cloned().collect())
        .unwrap_or_default();
    names.sort();
    names
}

/// The required members, sorted.
pub fn required(schema: &Schema) -> Vec<String> {
    let mut names: Vec<String> = schema
        .get("required")
        .and_then(|r| r.as_array())
        .map(|r| r.iter().filter_map(|n| n.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    names.sort();
    names
}

/// Fails unless every member, here and in every referred type, has a description.
pub fn described_everywhere(schema: &Schema) {
    assert!(schema.get("description").is_some(), "the type itself");
    let own = schema.get("properties").into_iter();
    let defs = schema.get("$defs").and_then(|d| d.as_object()).cloned().unwrap_or_default();
    let referred = defs.values().filter_map(|d| d.get("properties"));
    for properties in own.chain(referred) {
        for (name, member) in properties.as_object().into_iter().flatten() {
            assert!(member.get("description").is_some(), "{name} is not described");
        }
    }
}
