//! JSON or YAML: what a client wants, and how it is written.

use eartag_apiserver::Tree;
use eartag_apiserver::http::query::Query;
use eartag_apiserver::http::reply::{Form, encode};
use eartag_apiserver::media::Encoding;
use http::HeaderMap;
use http::header::ACCEPT;

/// How answers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    #[default]
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// `?_format=` decides, else the Accept header (v3-token.md §1.4).
    #[must_use]
    pub fn wanted(headers: &HeaderMap, query: &Query) -> Format {
        let accepts =
            |name: &str| headers.get_all(ACCEPT).iter().any(|v| v.to_str().is_ok_and(|v| v.contains(name)));
        match query.get("_format") {
            "yaml" => Format::Yaml,
            "json" | "html" => Format::Json,
            _ if accepts("application/yaml") => Format::Yaml,
            _ => Format::Json,
        }
    }

    /// The content type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Yaml => "application/yaml",
        }
    }

    /// The bytes of a tree.
    #[must_use]
    pub fn write(self, tree: &Tree) -> Vec<u8> {
        match self {
            // Writing to memory does not fail, and is quicker than by way of `Display`.
            Format::Json => serde_json::to_vec(tree).unwrap_or_default(),
            Format::Yaml => encode(tree, Form { encoding: Encoding::Yaml, pretty: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn the_query_decides_before_the_header() {
        let wanted = |accept: &str, query: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            Format::wanted(&headers, &Query::parse(query))
        };
        assert_eq!(wanted("*/*", ""), Format::Json);
        assert_eq!(wanted("application/yaml", ""), Format::Yaml);
        assert_eq!(wanted("application/yaml", "_format=json"), Format::Json);
        assert_eq!(wanted("application/json", "_format=yaml"), Format::Yaml);
        assert_eq!(wanted("application/json", "_format=xml"), Format::Json);
    }
}
