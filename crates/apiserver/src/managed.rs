//! Who owns which fields: `metadata.managedFields` (reference section 3.8).
//!
//! Every write records which fields its field manager set. Stored compactly, one [`Managed`] a manager; shown as Kubernetes shows it:
//!
//! ```text
//! before, after --compare--> changed, removed --on_update--> Vec<Managed> --show--> [{"manager":…,"fieldsV1":{"f:spec":{…}}}]
//!                                                 stored  <----- parse ------
//! ```
//!
//! [`FieldSet`] has all that server-side apply needs besides (intersection for conflicts, difference for what an applier gave up, [`FieldSet::of`]
//! for what a configuration claims, [`FieldSet::paths`] for the texts), and [`Managed::apply`] keeps its entries apart.

mod codec;
mod fields_v1;
mod set;
mod walk;

use eartag_api::meta::Managed;
use serde_json::json;

use crate::schema::Schema;
use crate::time::{format_rfc3339, parse_rfc3339};
use crate::{Map, Tree};

pub use set::{FieldSet, PathElement};
pub use walk::{Comparison, compare};

/// At most so many managers with operation Update are kept apart.
pub const MAX_UPDATE_MANAGERS: usize = 10;
/// The manager into whose entry the oldest ones are merged beyond that.
pub const ANCIENT_CHANGES: &str = "ancient-changes";

/// The entries after an update (or, with `before` absent, a creation) by `manager`.
///
/// `managed` is what is stored. `after` is the object as it will be stored, with `metadata.managedFields` as the client sent it: absent or unreadable
/// means unchanged, `[]` or `[{}]` means reset, and anything else replaces what is stored (S9). For a subresource it is ignored.
/// What a kind computes (a status that no client writes) should be in neither tree.
///
/// * The manager owns in addition what it set; what it set or removed is taken from all others; a manager without fields goes (S6).
/// * Time moves only for an entry of this manager whose set changed (S8), else no-op writes would not be seen as such.
/// * At most ten Update managers stay apart; the oldest ones are merged into `ancient-changes`.
#[must_use]
#[expect(
    clippy::too_many_arguments,
    reason = "one entry's identity and one write's circumstances; a struct would be built for one call"
)]
pub fn on_update(
    managed: &[Managed],
    schema: &Schema,
    before: Option<&Tree>,
    after: &Tree,
    manager: &str,
    api_version: &str,
    now_s: i64,
    subresource: &str,
) -> Vec<Managed> {
    let asked = if subresource.is_empty() { asked(after) } else { Asked::Unchanged };
    let mut entries = match asked {
        Asked::Unchanged => managed.to_vec(),
        Asked::Replace(entries) => entries,
        // A creation has nothing to reset.
        Asked::Reset => Vec::new(),
    };
    let Comparison { changed, removed } = compare(schema, before, after);
    let is_own = |entry: &Managed| {
        !entry.apply
            && entry.manager == manager
            && entry.api_version == api_version
            && entry.subresource == subresource
    };
    if !changed.is_empty() || !removed.is_empty() {
        let lost = changed.union(&removed);
        for entry in entries.iter_mut().filter(|entry| !is_own(entry)) {
            // A set that cannot be read owns nothing that could be lost.
            if let Some(fields) = FieldSet::decode(&entry.fields) {
                entry.fields = fields.difference(&lost).encode();
            }
        }
        match entries.iter_mut().find(|entry| is_own(entry)) {
            Some(own) => {
                let old = FieldSet::decode(&own.fields).unwrap_or_default();
                let new = old.difference(&removed).union(&changed);
                if new != old {
                    own.fields = new.encode();
                    own.time_s = now_s;
                }
            }
            None => entries.push(Managed {
                manager: manager.to_owned(),
                apply: false,
                api_version: api_version.to_owned(),
                time_s: now_s,
                subresource: subresource.to_owned(),
                fields: changed.encode(),
            }),
        }
    }
    entries.retain(|entry| FieldSet::decode(&entry.fields).is_none_or(|fields| !fields.is_empty()));
    cap_updates(&mut entries, is_own);
    sort(&mut entries);
    entries
}

/// Sorts as shown (S8): Apply before Update, then by time, manager, version and subresource.
pub fn sort(entries: &mut [Managed]) {
    let key =
        |e: &Managed| (!e.apply, e.time_s, e.manager.clone(), e.api_version.clone(), e.subresource.clone());
    entries.sort_by_cached_key(key);
}

/// `metadata.managedFields` as JSON, in the order stored.
#[must_use]
pub fn show(managed: &[Managed]) -> Tree {
    let entries = managed.iter().filter_map(|entry| {
        let mut shown = json!({
            "manager": entry.manager,
            "operation": if entry.apply { "Apply" } else { "Update" },
            "apiVersion": entry.api_version,
            "time": format_rfc3339(entry.time_s),
            "fieldsType": "FieldsV1",
            "fieldsV1": FieldSet::decode(&entry.fields)?.to_fields_v1(),
        });
        if let (false, Some(fields)) = (entry.subresource.is_empty(), shown.as_object_mut()) {
            fields.insert("subresource".to_owned(), Tree::from(entry.subresource.as_str()));
        }
        Some(shown)
    });
    Tree::Array(entries.collect())
}

/// Reads `metadata.managedFields`; `[{}]`, by which clients ask for a reset, is the same as `[]`.
///
/// # Errors
/// A text that names the first entry with a mistake; the caller keeps the old entries then and may warn.
pub fn parse(managed_fields: &Tree) -> Result<Vec<Managed>, String> {
    let entries = managed_fields.as_array().ok_or("metadata.managedFields is no list")?;
    if is_reset(entries) {
        return Ok(Vec::new());
    }
    let mut parsed: Vec<Managed> = Vec::with_capacity(entries.len().min(64));
    for (i, entry) in entries.iter().enumerate() {
        let fields = entry.as_object().ok_or_else(|| format!("metadata.managedFields[{i}] is no object"))?;
        let entry = parse_entry(fields).map_err(|why| format!("metadata.managedFields[{i}]: {why}"))?;
        let same = |other: &&mut Managed| {
            (&other.manager, other.apply, &other.api_version, &other.subresource)
                == (&entry.manager, entry.apply, &entry.api_version, &entry.subresource)
        };
        // The same manager twice is one manager; the later entry holds, as in a map.
        match parsed.iter_mut().find(same) {
            Some(first) => *first = entry,
            None => parsed.push(entry),
        }
    }
    sort(&mut parsed);
    Ok(parsed)
}

enum Asked {
    Unchanged,
    Reset,
    Replace(Vec<Managed>),
}

fn asked(after: &Tree) -> Asked {
    let Some(managed_fields) = after.get("metadata").and_then(|m| m.get("managedFields")) else {
        return Asked::Unchanged;
    };
    match managed_fields.as_array() {
        Some(entries) if is_reset(entries) => Asked::Reset,
        _ => parse(managed_fields).map_or(Asked::Unchanged, Asked::Replace),
    }
}

fn is_reset(entries: &[Tree]) -> bool {
    match entries {
        [] => true,
        [only] => only.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

fn parse_entry(fields: &Map) -> Result<Managed, &'static str> {
    let text = |key: &str| fields.get(key).and_then(Tree::as_str).unwrap_or_default();
    let apply = match text("operation") {
        "Apply" => true,
        "Update" => false,
        _ => return Err("operation must be `Apply` or `Update`"),
    };
    if !matches!(text("fieldsType"), "" | "FieldsV1") {
        return Err("fieldsType must be `FieldsV1`");
    }
    let manager = text("manager");
    if manager.len() > 128 {
        return Err("manager may not be more than 128 bytes");
    }
    let time_s = match fields.get("time") {
        None | Some(Tree::Null) => 0,
        Some(time) => time.as_str().and_then(parse_rfc3339).ok_or("time is not RFC 3339")?,
    };
    let set = match fields.get("fieldsV1") {
        None | Some(Tree::Null) => FieldSet::default(),
        Some(set) => FieldSet::from_fields_v1(set)?,
    };
    Ok(Managed {
        manager: manager.to_owned(),
        apply,
        api_version: text("apiVersion").to_owned(),
        time_s,
        subresource: text("subresource").to_owned(),
        fields: set.encode(),
    })
}

/// Merges the two oldest Update entries of a version, again and again. The entry just written stays.
fn cap_updates(entries: &mut Vec<Managed>, is_own: impl Fn(&Managed) -> bool) {
    loop {
        let mut updates: Vec<usize> = Vec::new();
        let mut mergeable: Vec<usize> = Vec::new();
        for (i, entry) in entries.iter().enumerate().filter(|(_, e)| !e.apply) {
            updates.push(i);
            if !is_own(entry) {
                mergeable.push(i);
            }
        }
        if updates.len() <= MAX_UPDATE_MANAGERS {
            return;
        }
        let key = |&i: &usize| entries.get(i).map(|e| (e.time_s, e.manager.clone()));
        mergeable.sort_by_cached_key(key);
        let version = |i: usize| entries.get(i).map(|e| e.api_version.as_str());
        let pair = mergeable.iter().enumerate().find_map(|(n, &first)| {
            let second = mergeable.iter().skip(n + 1).find(|&&other| version(other) == version(first))?;
            Some((first, *second))
        });
        // More than ten versions, each with one manager: nothing that could be merged means the same.
        let Some((first, second)) = pair else { return };
        let (low, high) = (first.min(second), first.max(second));
        let (b, a) = (entries.remove(high), entries.remove(low));
        let set = |entry: &Managed| FieldSet::decode(&entry.fields).unwrap_or_default();
        entries.push(Managed {
            manager: ANCIENT_CHANGES.to_owned(),
            apply: false,
            api_version: a.api_version.clone(),
            time_s: a.time_s.max(b.time_s),
            subresource: String::new(),
            fields: set(&a).union(&set(&b)).encode(),
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::schema::test_schema;

    const V: &str = "example.com/v1";

    fn update(
        managed: &[Managed],
        before: Option<&Tree>,
        after: &Tree,
        manager: &str,
        now_s: i64,
    ) -> Vec<Managed> {
        on_update(managed, &test_schema(), before, after, manager, V, now_s, "")
    }

    fn owned(managed: &[Managed]) -> Vec<String> {
        managed
            .iter()
            .map(|e| {
                format!("{} {} {}", e.manager, e.time_s, FieldSet::decode(&e.fields).unwrap().to_fields_v1())
            })
            .collect()
    }

    #[test]
    fn a_creation_is_recorded_as_kubernetes_records_it() {
        let object = json!({"apiVersion":V,"kind":"Token","metadata":{"name":"a","uid":"u","creationTimestamp":"1970-01-01T00:00:05Z",
            "generateName":"a-","labels":{"x":"y"},"finalizers":["f/g"],"ownerReferences":[{"uid":"o","name":"n"}],"resourceVersion":"1","generation":1},
            "spec":{"ttl":1,"words":["a"],"items":[{"name":"i","value":"v"}],"nested":{"a":"b"},"point":{"a":"b"},"data":{"k":[1]}}});
        let managed = update(&[], None, &object, "kubectl", 7);
        assert_eq!(
            show(&managed),
            json!([{"manager":"kubectl","operation":"Update","apiVersion":V,"time":"1970-01-01T00:00:07Z","fieldsType":"FieldsV1","fieldsV1":{
                "f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:x":{}},"f:finalizers":{".":{},"v:\"f/g\"":{}},
                    "f:ownerReferences":{".":{},"k:{\"uid\":\"o\"}":{}}},
                "f:spec":{"f:ttl":{},"f:words":{},"f:items":{".":{},"k:{\"name\":\"i\"}":{".":{},"f:name":{},"f:value":{}}},
                    "f:nested":{".":{},"f:a":{}},"f:point":{},"f:data":{".":{},"f:k":{}}}}}])
        );
    }

    #[test]
    fn a_typical_tokens_set_is_small() {
        let object = json!({"metadata":{"name":"t","generateName":"token-","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"…"},
            "labels":{"app":"x"}},"spec":{"ttl":1,"enabled":true,"words":["x"]}});
        let managed = update(&[], None, &object, "kubectl-client-side-apply", 7);
        assert!(managed[0].fields.len() <= 48, "{} bytes", managed[0].fields.len());
    }

    #[test]
    fn what_one_sets_the_others_lose() {
        let v1 = json!({"metadata":{"labels":{"a":"1","b":"1"}},"spec":{"ttl":1}});
        let v2 = json!({"metadata":{"labels":{"a":"2"}},"spec":{"ttl":1,"enabled":true}});
        let managed = update(&[], None, &v1, "one", 1);
        let managed = update(&managed, Some(&v1), &v2, "two", 2);
        assert_eq!(
            owned(&managed),
            [
                r#"one 1 {"f:metadata":{"f:labels":{}},"f:spec":{"f:ttl":{}}}"#,
                r#"two 2 {"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:enabled":{}}}"#
            ]
        );
        let v3 = json!({"metadata":{"labels":{"a":"2"}}});
        let managed = update(&managed, Some(&v2), &v3, "three", 3);
        assert_eq!(
            owned(&managed),
            [r#"one 1 {"f:metadata":{"f:labels":{}}}"#, r#"two 2 {"f:metadata":{"f:labels":{"f:a":{}}}}"#]
        );
    }

    #[test]
    fn time_moves_only_with_the_set() {
        let v1 = json!({"spec":{"ttl":1}});
        let v2 = json!({"spec":{"ttl":2}});
        let v3 = json!({"spec":{"ttl":2,"enabled":true}});
        let created = update(&[], None, &v1, "one", 1);
        assert_eq!(update(&created, Some(&v1), &v1, "one", 2), created);
        assert_eq!(update(&created, Some(&v1), &v1, "two", 2), created);
        assert_eq!(update(&created, Some(&v1), &v2, "one", 2), created);
        assert_eq!(update(&created, Some(&v2), &v3, "one", 3)[0].time_s, 3);
    }

    #[test]
    fn at_most_ten_updaters_are_kept_apart() {
        let mut object = json!({"metadata":{"labels":{}}});
        let mut managed = Vec::new();
        for i in 0..25 {
            let before = object.clone();
            object["metadata"]["labels"][format!("l{i}")] = json!("x");
            managed = update(&managed, Some(&before), &object, &format!("m{i:02}"), i);
        }
        assert_eq!(managed.len(), 10);
        let names: Vec<_> = managed.iter().map(|e| e.manager.as_str()).collect();
        assert_eq!(names, ["ancient-changes", "m16", "m17", "m18", "m19", "m20", "m21", "m22", "m23", "m24"]);
        assert_eq!(FieldSet::decode(&managed[0].fields).unwrap().len(), 16);
        assert_eq!(managed[0].time_s, 15);
    }

    #[test]
    fn the_writer_is_never_merged_into_the_ancient_ones() {
        let mut object = json!({"metadata":{"labels":{}}});
        let mut managed = Vec::new();
        for i in 0..11 {
            let before = object.clone();
            object["metadata"]["labels"][format!("l{i}")] = json!("x");
            managed = update(&managed, Some(&before), &object, &format!("m{:02}", 20 - i), 5);
        }
        assert!(managed.iter().any(|e| e.manager == "m10"));
    }

    #[test]
    fn an_empty_list_resets_and_an_unreadable_one_does_nothing() {
        let object = json!({"spec":{"ttl":1}});
        let created = update(&[], None, &object, "one", 1);
        let with =
            |managed_fields: Tree| json!({"metadata":{"managedFields":managed_fields},"spec":{"ttl":1}});
        for reset in [json!([]), json!([{}])] {
            assert_eq!(update(&created, Some(&object), &with(reset), "two", 2), []);
        }
        for unreadable in [
            json!([{"operation":"Steal"}]),
            json!("x"),
            json!([7]),
            Tree::Null,
            json!([{"operation":"Apply","fieldsV1":{"x:y":{}}}]),
        ] {
            assert_eq!(update(&created, Some(&object), &with(unreadable), "two", 2), created);
        }
        assert_eq!(update(&created, Some(&object), &with(show(&created)), "two", 2), created);
        let moved = json!([{"manager":"kubectl","operation":"Apply","apiVersion":V,"time":"1970-01-01T00:00:01Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:ttl":{}}}}]);
        let replaced = update(&created, Some(&object), &with(moved.clone()), "two", 2);
        assert_eq!(show(&replaced), moved);
        let status =
            on_update(&created, &test_schema(), Some(&object), &with(json!([])), "two", V, 2, "status");
        assert_eq!(status, created);
    }

    #[test]
    fn a_subresource_has_its_own_entry() {
        let v1 = json!({"spec":{"ttl":1}});
        let v2 = json!({"spec":{"ttl":1},"status":{"current":true}});
        let created = update(&[], None, &v1, "one", 1);
        let managed = on_update(&created, &test_schema(), Some(&v1), &v2, "one", V, 2, "status");
        assert_eq!(managed.len(), 2);
        let shown = show(&managed);
        assert_eq!(shown[1]["subresource"], json!("status"));
        assert_eq!(shown[0].get("subresource"), None);
        assert_eq!(parse(&shown), Ok(managed));
    }

    #[test]
    fn entries_are_sorted_with_apply_first() {
        let entry = |manager: &str, operation: &str, time: &str| json!({"manager":manager,"operation":operation,"apiVersion":V,"time":time,"fieldsV1":{"f:spec":{}}});
        let (early, late) = ("1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z");
        let parsed = parse(&json!([
            entry("b", "Update", early),
            entry("a", "Update", late),
            entry("z", "Apply", late),
            entry("a", "Update", early)
        ]));
        let names: Vec<_> = parsed.unwrap().iter().map(|e| (e.manager.clone(), e.apply, e.time_s)).collect();
        assert_eq!(
            names,
            [("z".to_owned(), true, 2), ("a".to_owned(), false, 1), ("b".to_owned(), false, 1)]
        );
    }
}
