//! What a list asks for: filters, order, and which part of it (v3-token.md §1.4, DEC32).

use eartag_apiserver::http::query::Query;
use eartag_apiserver::{Map, Tree};
use serde_json::json;

use super::error::V3Error;
use super::item::put;
use super::page::PAGE_ITEMS;
use super::resource::{About, Field, FieldType};
use super::sorted::{Key, Position};

/// What `pagination.limit` says where the client does not: nothing is cut there.
const DEFAULT_LIMIT: usize = 1000;
/// Most items of a page.
const MAX_LIMIT: usize = 10_000;
/// Longer sort keys are looked up again, for the sake of the URL.
const LONGEST_MARKED_KEY: usize = 256;

/// What a list asks for.
#[derive(Debug)]
pub struct Asked {
    /// Items of this page; `None` for all there are.
    pub limit: Option<usize>,
    /// The place behind which it begins, or empty.
    pub marker: String,
    /// The member to sort by; `None` for the name.
    pub sort: Option<&'static Field>,
    /// Whether the order is turned round.
    pub descending: bool,
    filters: Vec<Filter>,
    fields: Vec<&'static Field>,
    said: usize,
}

#[derive(Debug)]
struct Filter {
    field: &'static Field,
    modifier: &'static str,
    values: Vec<String>,
}

impl Asked {
    /// Reads a query. Unknown sort fields and odd limits are ignored, as in the reference. `page`: the answer is shown as a page, which is never everything.
    ///
    /// # Errors
    /// 422 for an order that is neither.
    pub fn parse(about: &'static About, query: &Query, page: bool) -> Result<Asked, V3Error> {
        let mut fields: Vec<&'static Field> =
            about.all_fields().filter(|field| field.kind.filterable() && !field.write_only).collect();
        fields.sort_unstable_by_key(|field| field.name);
        let descending = match query.get("order") {
            "desc" => true,
            "" | "asc" => false,
            _ => return Err(V3Error::new(422, "InvalidOption", "order must be asc or desc").field("order")),
        };
        if page && query.has("_view") {
            // The query is about a form, and `name` there names an action.
            let (limit, marker, filters) = (Some(1), String::new(), Vec::new());
            return Ok(Asked { limit, marker, sort: None, descending, filters, fields, said: 1 });
        }
        let mut filters = Vec::new();
        for &field in &fields {
            for (modifier, suffix) in [("eq", ""), ("ne", "_ne"), ("in", "_in"), ("notin", "_notin")] {
                let key = format!("{}{suffix}", field.name);
                let values: Vec<String> = query.all(&key).map(str::to_owned).collect();
                if !values.is_empty() {
                    filters.push(Filter { field, modifier, values });
                }
            }
        }
        let (limit, said) = match query.get("limit").parse::<i64>() {
            Ok(-1) => (None, MAX_LIMIT),
            Ok(limit) if limit > 0 => {
                let limit = usize::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT);
                (Some(limit), limit)
            }
            _ => (None, DEFAULT_LIMIT),
        };
        let (limit, said) = match limit {
            None if page => (Some(PAGE_ITEMS), PAGE_ITEMS),
            limit => (limit, said),
        };
        let sort = fields.iter().copied().find(|field| field.name == query.get("sort"));
        let marker = query.get("marker").to_owned();
        Ok(Asked { limit, marker, sort, descending, filters, fields, said })
    }

    /// Whether items come in the order in which they are stored.
    pub fn by_name(&self) -> bool {
        self.sort.is_none() && !self.descending
    }

    /// Whether an item passes all filters.
    pub fn matches(&self, item: &Map) -> bool {
        self.filters.iter().all(|filter| filter.passes(item))
    }

    /// Where an item stands in the order.
    pub fn position(&self, item: &Map) -> Position {
        let id = item.get("id").and_then(Tree::as_str).unwrap_or_default();
        let key = match self.sort {
            Some(field) => Key::of(field.kind, &plain(item.get(field.name))),
            None => Key::Nothing,
        };
        Position { key, id: id.into() }
    }

    /// The place that the marker names, if it says it: the id, and behind a slash the sort key where there is one.
    pub fn marked(&self) -> Option<Position> {
        let place = |key, id: &str| Some(Position { key, id: id.into() });
        match (self.sort, self.marker.split_once('/')) {
            (None, None) => place(Key::Nothing, &self.marker),
            (Some(field), Some((id, key))) => place(Key::of(field.kind, key), id),
            _ => None,
        }
    }

    /// The marker of an item.
    pub fn marker_of(&self, item: &Map) -> String {
        let id = item.get("id").and_then(Tree::as_str).unwrap_or_default();
        match self.sort.map(|field| plain(item.get(field.name))) {
            Some(key) if key.len() <= LONGEST_MARKED_KEY => format!("{id}/{key}"),
            _ => id.to_owned(),
        }
    }

    /// `pagination`. `next`: the marker of the next page; `total`: how many there are, where all were counted.
    pub fn pagination(&self, url: &str, next: Option<&str>, total: Option<usize>) -> Tree {
        let mut pagination = json!({"limit": self.said});
        if let Some(next) = next {
            put(&mut pagination, "partial", true);
            put(&mut pagination, "next", self.link(url, Some(next), None));
        }
        if !self.marker.is_empty() {
            put(&mut pagination, "first", self.link(url, Some(""), None));
        }
        if let Some(total) = total.filter(|_| next.is_none() && self.marker.is_empty()) {
            put(&mut pagination, "total", total);
        }
        pagination
    }

    /// `filters`: all that can be filtered by, and what is.
    pub fn filters(&self) -> Tree {
        let mut all: Map = self.fields.iter().map(|field| (field.name.to_owned(), Tree::Null)).collect();
        for filter in &self.filters {
            let entry = all.entry(filter.field.name).or_insert(Tree::Null);
            let mut active = entry.as_array().cloned().unwrap_or_default();
            active.extend(
                filter.values.iter().map(|value| json!({"modifier": filter.modifier, "value": value})),
            );
            *entry = active.into();
        }
        Tree::Object(all)
    }

    /// `sort`: the order, and the links to others.
    pub fn sorting(&self, url: &str) -> Tree {
        let links: Map = self
            .fields
            .iter()
            .map(|field| (field.name.to_owned(), format!("{url}?sort={}", field.name).into()))
            .collect();
        let (order, other) = if self.descending { ("desc", "asc") } else { ("asc", "desc") };
        let mut sort = json!({"order": order, "reverse": self.link(url, None, Some(other)), "links": links});
        if let Some(field) = self.sort {
            put(&mut sort, "name", field.name);
        }
        sort
    }

    /// The same list from another marker (empty: from the start), or in the other order.
    fn link(&self, url: &str, marker: Option<&str>, order: Option<&str>) -> String {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for filter in &self.filters {
            let suffix =
                if filter.modifier == "eq" { String::new() } else { format!("_{}", filter.modifier) };
            let name = filter.field.name;
            pairs.extend(filter.values.iter().map(|value| (format!("{name}{suffix}"), value.clone())));
        }
        if let Some(field) = self.sort {
            pairs.push(("sort".to_owned(), field.name.to_owned()));
        }
        let order = order.or_else(|| self.descending.then_some("desc"));
        for (key, value) in [("order", order), ("marker", marker.filter(|marker| !marker.is_empty()))] {
            if let Some(value) = value {
                pairs.push((key.to_owned(), value.to_owned()));
            }
        }
        if let Some(limit) = self.limit.filter(|_| marker.is_some()) {
            pairs.push(("limit".to_owned(), limit.to_string()));
        }
        let query: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
        if query.is_empty() { url.to_owned() } else { format!("{url}?{}", query.join("&")) }
    }
}

impl Filter {
    fn passes(&self, item: &Map) -> bool {
        let value = plain(item.get(self.field.name));
        // A reference to all of them is one to any of them: `?userId=*`.
        let any = matches!(self.field.kind, FieldType::Reference(_))
            && self.values.iter().any(|wanted| wanted == "*");
        let named = any || self.values.contains(&value);
        // Repeated equalities are alternatives, as in the reference.
        if matches!(self.modifier, "eq" | "in") { named } else { !named }
    }
}

/// A member's value as filters compare it.
fn plain(value: Option<&Tree>) -> String {
    match value {
        None | Some(Tree::Null) => String::new(),
        Some(Tree::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Percent-encoding of everything that is not unreserved.
pub fn encoded(text: &str) -> String {
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

    use super::*;

    static THING: About = About {
        id: "thing",
        plural: "things",
        fields: &[
            Field::writable("name", FieldType::DnsLabel, ""),
            Field::writable("colour", FieldType::String, ""),
            Field::writable("enabled", FieldType::Boolean, ""),
            Field::writable("size", FieldType::Int, ""),
            Field::writable("ownerId", FieldType::Reference("user"), ""),
            Field::writable("secret", FieldType::Password, ""),
        ],
        collection_methods: &["GET"],
        resource_methods: &["GET"],
        collection_actions: &[],
        resource_actions: &[],
    };

    fn asked(query: &str) -> Asked {
        Asked::parse(&THING, &Query::parse(query), false).unwrap()
    }

    fn map(tree: Tree) -> Map {
        tree.as_object().unwrap().clone()
    }

    #[test]
    fn filters_act_and_are_echoed() {
        let item = map(json!({"id": "a", "colour": "red", "enabled": true, "size": 5, "ownerId": "u-1"}));
        assert!(asked("colour=red&enabled=true&size=5").matches(&item));
        assert!(!asked("colour=red&enabled=false").matches(&item));
        assert!(!asked("colour_ne=red").matches(&item));
        assert!(asked("colour_in=blue&colour_in=red").matches(&item));
        assert!(!asked("colour_notin=blue&colour_notin=red").matches(&item));
        assert!(asked("unknown=1&secret=x").matches(&item));
        assert!(asked("ownerId=*").matches(&item));
        assert!(!asked("colour=*").matches(&item));
        assert_eq!(asked("colour=red").filters()["colour"], json!([{"modifier": "eq", "value": "red"}]));
        assert_eq!(asked("").filters()["enabled"], Tree::Null);
        assert!(asked("").filters().get("secret").is_none());
    }

    #[test]
    fn without_a_limit_everything_is_meant_and_odd_ones_are_none() {
        for (query, limit, said) in [
            ("", None, 1000),
            ("limit=5", Some(5), 5),
            ("limit=99999", Some(10_000), 10_000),
            ("limit=-1", None, 10_000),
            ("limit=-7", None, 1000),
            ("limit=x", None, 1000),
            ("limit=0", None, 1000),
        ] {
            let asked = asked(query);
            assert_eq!(
                (asked.limit, asked.pagination("u", None, None)["limit"].as_u64()),
                (limit, Some(said)),
                "{query}"
            );
        }
    }

    #[test]
    fn a_page_is_never_everything_and_a_form_needs_no_items() {
        let page = |query: &str| Asked::parse(&THING, &Query::parse(query), true).unwrap();
        assert_eq!(page("").limit, Some(PAGE_ITEMS));
        assert_eq!(page("limit=7").limit, Some(7));
        let form = page("_view=action&name=logout");
        assert_eq!((form.limit, form.filters.len()), (Some(1), 0));
    }

    #[test]
    fn links_carry_filters_and_order_along() {
        let asked = asked("colour=a b&sort=colour&order=desc&limit=7&marker=t0/x");
        let pagination = asked.pagination("https://h/v3/things", Some("t1/y z"), Some(3));
        assert_eq!(
            pagination["next"],
            "https://h/v3/things?colour=a%20b&sort=colour&order=desc&marker=t1%2Fy%20z&limit=7"
        );
        assert_eq!(pagination["first"], "https://h/v3/things?colour=a%20b&sort=colour&order=desc&limit=7");
        assert_eq!((&pagination["partial"], pagination.get("total")), (&json!(true), None));
        assert_eq!(
            asked.sorting("https://h/v3/things")["reverse"],
            "https://h/v3/things?colour=a%20b&sort=colour&order=asc"
        );
        assert_eq!(asked.sorting("u")["name"], "colour");
        assert!(asked.sorting("u")["links"].get("secret").is_none());
    }

    #[test]
    fn the_total_is_told_where_all_were_counted() {
        assert_eq!(asked("").pagination("u", None, Some(3)), json!({"limit": 1000, "total": 3}));
        assert_eq!(asked("marker=a").pagination("u", None, Some(3)).get("total"), None);
    }

    #[test]
    fn an_unknown_order_is_refused_and_an_unknown_sort_ignored() {
        assert!(Asked::parse(&THING, &Query::parse("order=up"), false).is_err());
        assert!(asked("sort=nothing").by_name());
        assert!(asked("sort=secret").by_name());
        assert!(!asked("sort=size").by_name());
        assert!(!asked("order=desc").by_name());
    }

    #[test]
    fn a_marker_says_where_its_item_stood() {
        for query in ["sort=size", "sort=colour", "order=desc", "sort=enabled"] {
            let item = map(json!({"id": "t-1", "colour": "a/b", "size": 10}));
            let place = asked(query).position(&item);
            let marker = asked(query).marker_of(&item);
            let again =
                Asked::parse(&THING, &Query::parse(&format!("{query}&marker={}", encoded(&marker))), false);
            assert_eq!(again.unwrap().marked(), Some(place), "{query}");
        }
        let long = map(json!({"id": "t-1", "colour": "x".repeat(1000)}));
        assert_eq!(asked("sort=colour").marker_of(&long), "t-1");
        assert_eq!(asked("sort=colour&marker=t-1").marked(), None);
    }
}
