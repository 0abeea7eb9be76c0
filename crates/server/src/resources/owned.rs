//! What belongs to somebody: tokens of both faces, and kubeconfigs.

use eartag_apiserver::Map;
use eartag_apiserver::kind::{Cx, Verb};
use eartag_apiserver::refusal::Refusal;
use eartag_core::Face;
use eartag_storage::Scope;
use serde_json::{Value, json};

/// Whoever has full access to the group sees all of it, everybody else their own (DEC12, DEC13).
pub async fn scope(cx: &Cx, verb: Verb, group: &str) -> Result<Scope, Refusal> {
    let all = cx.authorizer.full_access(&cx.user, verb.access_verb(), group).await?;
    Ok(if all { Scope::All } else { of(&cx.user.name) })
}

/// What this user owns.
pub fn of(user: &str) -> Scope {
    Scope::Owner(user.as_bytes().to_vec())
}

/// Puts into the metadata of what the group `ext.cattle.io` has of this owner what follows from the record: the prefix that names are made with, and labels, the owner's first. A
/// generation it has none.
pub fn show_metadata(object: &mut Map, prefix: &str, owner: &str, labels: &[(&str, &str)]) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.insert("generateName".to_owned(), prefix.into());
    metadata.remove("generation");
    let shown = metadata.entry("labels").or_insert_with(|| json!({}));
    if let Some(shown) = shown.as_object_mut() {
        for (label, value) in [(Face::Ext.owner_label(), owner)].iter().chain(labels) {
            shown.insert((*label).to_owned(), (*value).into());
        }
    }
}
