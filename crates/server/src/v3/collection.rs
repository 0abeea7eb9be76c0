//! Collections: filters, sorting and pages over the items that the caller may see (v3-token.md §1.4, DEC32).

use std::cmp::Ordering;

use eartag_apiserver::http::query::Query;
use eartag_apiserver::ops::ListOptions;
use eartag_apiserver::{Map, Tree};
use serde_json::json;

use super::door::Door;
use super::error::V3Error;
use super::item::{Rights, item, put, text};
use super::resource::{About, V3Resource};

/// Items of a page where the client does not say.
const DEFAULT_LIMIT: usize = 1000;
/// Most items of a page.
const MAX_LIMIT: usize = 10_000;
/// Sorting needs all matching items in memory.
const MAX_SORTED: usize = 50_000;

/// Answers `GET /v3/<plural>`.
///
/// # Errors
/// 403, and what the kind says.
pub async fn collection(door: &Door, resource: &dyn V3Resource) -> Result<Tree, V3Error> {
    let about = resource.about();
    let asked = Asked::parse(about, &door.query)?;
    let (data, more) = select(door, resource, &asked).await?;
    let url = door.url(about.plural, "");

    let mut pagination = json!({"limit": asked.limit});
    if more && let Some(last) = data.last() {
        put(&mut pagination, "partial", true);
        put(&mut pagination, "next", asked.link(&url, Some(text(last, "id")), None));
    }
    let mut answer = json!({
        "type": "collection", "resourceType": about.id, "links": {"self": url}, "actions": {},
        "pagination": pagination, "sort": asked.sort(&url), "filters": asked.filters(), "data": data,
    });
    let actions = resource.actions_on_all(door).await;
    let actions: Map =
        actions.into_iter().map(|a| (a.to_owned(), format!("{url}?action={a}").into())).collect();
    put(&mut answer, "actions", actions);
    if about.collection_methods.contains(&"POST") {
        put(&mut answer, "createTypes", json!({about.id: url}));
    }
    Ok(answer)
}

/// The items of the page, and whether there are more behind it.
async fn select(door: &Door, resource: &dyn V3Resource, asked: &Asked) -> Result<(Vec<Tree>, bool), V3Error> {
    let kind = resource.kind(&door.state);
    if !door.may(resource, "list", "").await? {
        return own(door, resource, asked).await;
    }
    let rights = Rights::to_all(door, resource).await?;
    let refused = |refusal| door.error(resource, &refusal, "");
    let options = ListOptions { within: resource.within(door).await?, ..ListOptions::default() };
    let mut lister = door.state.api.list(&*kind, &door.cx, &options).await.map_err(refused)?;
    let mut found = Vec::new();
    // A page by name can stop early; any other order needs them all.
    let most = if asked.sort.is_empty() && !asked.descending { asked.limit } else { MAX_SORTED };
    while let Some(page) = lister.page(&*kind, &door.cx).map_err(refused)? {
        for listed in page {
            if asked.by_name() && listed.key() <= asked.marker.as_bytes() {
                continue;
            }
            if resource.hidden(&listed.object) {
                continue;
            }
            let item = item(door, resource, &listed.object, rights).await?;
            if !asked.matches(&item) {
                continue;
            }
            if found.len() == most {
                if asked.by_name() {
                    return Ok((found, true));
                }
                let text = format!(
                    "more than {MAX_SORTED} items to sort: add a filter, or leave out sort and order"
                );
                return Err(V3Error::new(422, "InvalidOption", text));
            }
            found.push(item);
        }
        tokio::task::yield_now().await;
    }
    if asked.by_name() { Ok((found, false)) } else { asked.page(found) }
}

/// Without the right to list, a caller still sees what is their own.
async fn own(door: &Door, resource: &dyn V3Resource, asked: &Asked) -> Result<(Vec<Tree>, bool), V3Error> {
    let denied = door.require(resource, "list", "").await;
    let Some(name) = resource.own(&door.caller) else { return denied.map(|()| (Vec::new(), false)) };
    let Ok(object) = door.object(resource, &name).await else { return denied.map(|()| (Vec::new(), false)) };
    let item = item(door, resource, &object, Rights::default()).await?;
    let shown = asked.matches(&item) && (asked.marker.is_empty() || name > asked.marker);
    Ok((if shown { vec![item] } else { Vec::new() }, false))
}

/// What a list asks for.
struct Asked {
    limit: usize,
    marker: String,
    sort: String,
    descending: bool,
    filters: Vec<Filter>,
    filterable: Vec<&'static str>,
    sortable: Vec<&'static str>,
}

struct Filter {
    field: &'static str,
    modifier: &'static str,
    values: Vec<String>,
}

impl Asked {
    fn parse(about: &'static About, query: &Query) -> Result<Asked, V3Error> {
        let named = |keep: fn(&super::resource::Field) -> bool| {
            let mut names: Vec<&'static str> = about
                .fields
                .iter()
                .chain(super::resource::COMMON)
                .filter(|field| keep(field))
                .map(|field| field.name)
                .collect();
            names.sort_unstable();
            names
        };
        let filterable = named(|field| field.kind.filterable());
        let sortable = named(|field| field.kind.sortable());
        let mut filters = Vec::new();
        for &field in &filterable {
            for (modifier, suffix) in [("eq", ""), ("ne", "_ne"), ("in", "_in"), ("notin", "_notin")] {
                let key = format!("{field}{suffix}");
                let values: Vec<String> = query.all(&key).map(str::to_owned).collect();
                if !values.is_empty() {
                    filters.push(Filter { field, modifier, values });
                }
            }
        }
        let limit = match query.get("limit").parse::<i64>() {
            Ok(-1) => MAX_LIMIT,
            Ok(limit) => {
                usize::try_from(limit).ok().filter(|l| *l > 0).unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT)
            }
            Err(_) => DEFAULT_LIMIT,
        };
        let sort = query.get("sort");
        let sort = if sortable.contains(&sort) { sort.to_owned() } else { String::new() };
        let descending = match query.get("order") {
            "desc" => true,
            "" | "asc" => false,
            _ => return Err(V3Error::new(422, "InvalidOption", "order must be asc or desc").field("order")),
        };
        let marker = query.get("marker").to_owned();
        Ok(Asked { limit, marker, sort, descending, filters, filterable, sortable })
    }

    /// Whether items come in the order in which they are stored.
    fn by_name(&self) -> bool {
        self.sort.is_empty() && !self.descending
    }

    fn matches(&self, item: &Tree) -> bool {
        self.filters.iter().all(|filter| {
            let value = plain(item.get(filter.field));
            match filter.modifier {
                // Repeated equalities are alternatives, as in the reference.
                // `*` is everything (DEC32).
                "eq" | "in" => filter.values.iter().any(|wanted| *wanted == value || wanted == "*"),
                _ => !filter.values.contains(&value),
            }
        })
    }

    /// Sorts, and cuts the page behind the marker.
    fn page(&self, mut items: Vec<Tree>) -> Result<(Vec<Tree>, bool), V3Error> {
        items.sort_by(|a, b| {
            let order = match self.sort.as_str() {
                "" => Ordering::Equal,
                sort => plain(a.get(sort)).cmp(&plain(b.get(sort))),
            };
            let order = order.then_with(|| text(a, "id").cmp(text(b, "id")));
            if self.descending { order.reverse() } else { order }
        });
        if !self.marker.is_empty() {
            let Some(at) = items.iter().position(|item| text(item, "id") == self.marker) else {
                return Err(
                    V3Error::new(422, "InvalidOption", "marker is not among the items").field("marker")
                );
            };
            items.drain(..=at);
        }
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        Ok((items, more))
    }

    fn filters(&self) -> Tree {
        let mut all: Map = self.filterable.iter().map(|field| ((*field).to_owned(), Tree::Null)).collect();
        for filter in &self.filters {
            let entry = all.entry(filter.field).or_insert(Tree::Null);
            let mut active = entry.as_array().cloned().unwrap_or_default();
            active.extend(
                filter.values.iter().map(|value| json!({"modifier": filter.modifier, "value": value})),
            );
            *entry = active.into();
        }
        Tree::Object(all)
    }

    fn sort(&self, url: &str) -> Tree {
        let links: Map = self
            .sortable
            .iter()
            .map(|field| ((*field).to_owned(), format!("{url}?sort={field}").into()))
            .collect();
        let (order, other) = if self.descending { ("desc", "asc") } else { ("asc", "desc") };
        let mut sort = json!({"order": order, "reverse": self.link(url, None, Some(other)), "links": links});
        if !self.sort.is_empty() {
            put(&mut sort, "name", self.sort.clone());
        }
        sort
    }

    /// The same list from another marker, or in the other order.
    fn link(&self, url: &str, marker: Option<&str>, order: Option<&str>) -> String {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for filter in &self.filters {
            let suffix =
                if filter.modifier == "eq" { String::new() } else { format!("_{}", filter.modifier) };
            pairs.extend(
                filter.values.iter().map(|value| (format!("{}{suffix}", filter.field), value.clone())),
            );
        }
        if !self.sort.is_empty() {
            pairs.push(("sort".to_owned(), self.sort.clone()));
        }
        let order = order.or_else(|| self.descending.then_some("desc"));
        for (key, value) in [("order", order.map(str::to_owned)), ("marker", marker.map(str::to_owned))] {
            if let Some(value) = value {
                pairs.push((key.to_owned(), value));
            }
        }
        if marker.is_some() {
            pairs.push(("limit".to_owned(), self.limit.to_string()));
        }
        let query: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
        if query.is_empty() { url.to_owned() } else { format!("{url}?{}", query.join("&")) }
    }
}

/// A member's value as filters and orders compare it.
fn plain(value: Option<&Tree>) -> String {
    match value {
        None | Some(Tree::Null) => String::new(),
        Some(Tree::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Percent-encoding of everything that is not unreserved.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::super::resource::{Field, FieldType};
    use super::*;

    static THING: About = About {
        id: "thing",
        plural: "things",
        fields: &[
            Field::writable("name", FieldType::DnsLabel, ""),
            Field::writable("colour", FieldType::String, ""),
            Field::writable("enabled", FieldType::Boolean, ""),
            Field::writable("secret", FieldType::Password, ""),
        ],
        collection_methods: &["GET"],
        resource_methods: &["GET"],
        collection_actions: &[],
        resource_actions: &[],
    };

    fn asked(query: &str) -> Asked {
        Asked::parse(&THING, &Query::parse(query)).unwrap()
    }

    fn ids(items: &[Tree]) -> Vec<&str> {
        items.iter().map(|item| text(item, "id")).collect()
    }

    #[test]
    fn filters_act_and_are_echoed() {
        let item = json!({"id": "a", "colour": "red", "enabled": true});
        assert!(asked("colour=red&enabled=true").matches(&item));
        assert!(!asked("colour=red&enabled=false").matches(&item));
        assert!(!asked("colour_ne=red").matches(&item));
        assert!(asked("colour_in=blue&colour_in=red").matches(&item));
        assert!(!asked("colour_notin=blue&colour_notin=red").matches(&item));
        assert!(asked("unknown=1&secret=x").matches(&item));
        assert_eq!(asked("colour=red").filters()["colour"], json!([{"modifier": "eq", "value": "red"}]));
        assert_eq!(asked("").filters()["enabled"], Tree::Null);
        assert!(asked("").filters().get("secret").is_none());
    }

    #[test]
    fn limits_are_bounded_and_odd_ones_mean_the_default() {
        for (query, limit) in [
            ("", 1000),
            ("limit=5", 5),
            ("limit=99999", 10_000),
            ("limit=-1", 10_000),
            ("limit=x", 1000),
            ("limit=0", 1000),
        ] {
            assert_eq!(asked(query).limit, limit, "{query}");
        }
    }

    #[test]
    fn pages_of_a_sorted_list_join_without_gaps() {
        let items: Vec<Tree> =
            (0..10).map(|i| json!({"id": format!("t{i}"), "colour": format!("c{}", i % 3)})).collect();
        let mut seen = Vec::new();
        let mut marker = String::new();
        loop {
            let asked = asked(&format!("sort=colour&order=desc&limit=4&marker={marker}"));
            let (page, more) = asked.page(items.clone()).unwrap();
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            marker = text(page.last().unwrap(), "id").to_owned();
            if !more {
                break;
            }
        }
        assert_eq!(seen, ["t8", "t5", "t2", "t7", "t4", "t1", "t9", "t6", "t3", "t0"]);
        assert!(asked("sort=colour&marker=gone").page(items).is_err());
    }

    #[test]
    fn links_carry_filters_and_order_along() {
        let asked = asked("colour=a b&sort=colour&order=desc&limit=7");
        assert_eq!(
            asked.link("https://h/v3/things", Some("t1"), None),
            "https://h/v3/things?colour=a%20b&sort=colour&order=desc&marker=t1&limit=7"
        );
        assert_eq!(
            asked.sort("https://h/v3/things")["reverse"],
            "https://h/v3/things?colour=a%20b&sort=colour&order=asc"
        );
        assert_eq!(asked.sort("u")["name"], "colour");
        assert!(asked.sort("u")["links"].get("name").is_none());
    }

    #[test]
    fn an_unknown_order_is_refused_and_an_unknown_sort_ignored() {
        assert!(Asked::parse(&THING, &Query::parse("order=up")).is_err());
        assert_eq!(asked("sort=nothing").sort, "");
    }
}
