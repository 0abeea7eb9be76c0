//! What a path and a method mean (kubernetes-api.md §1.2): the attributes of authorization, metrics and routing.

use http::Method;
use percent_encoding::percent_decode_str;

use super::query::Query;
use crate::user::Attributes;

/// A request, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// For the authorizer.
    pub attributes: Attributes,
    /// Whether it names a resource of a group and version.
    pub is_resource: bool,
    /// Path segments after name and sub-resource: nothing of ours has any.
    pub deeper: bool,
    /// The path itself names an object, also for the old spelling of a watch.
    pub named_by_path: bool,
}

impl RequestInfo {
    /// Takes method, path (without a trailing slash) and query apart.
    pub fn of(method: &Method, path: &str, query: &Query) -> RequestInfo {
        let decoded: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(segment).collect();
        let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return RequestInfo::non_resource(method, path),
        };
        // `/apis/g/v/watch/<resource>[/<name>]` is the old spelling of a watch.
        let (old_watch, rest) = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
            rest => (false, rest),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, resource, tail @ ..] if !matches!(*resource, "status" | "finalize") => {
                let _ = tail;
                (*namespace, rest.get(2..).unwrap_or_default())
            }
            ["namespaces", namespace, ..] => (*namespace, rest),
            rest => ("", rest),
        };
        let at = |n: usize| rest.get(n).copied().unwrap_or_default();
        let mut name = at(1).to_owned();
        let named_by_path = !name.is_empty();
        let verb = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if name.is_empty() => "deletecollection",
            Method::DELETE => "delete",
            Method::GET | Method::HEAD if old_watch => "watch",
            Method::GET | Method::HEAD if !name.is_empty() => "get",
            Method::GET | Method::HEAD if query.flag("watch") => "watch",
            Method::GET | Method::HEAD => "list",
            _ => "",
        };
        if name.is_empty() && matches!(verb, "list" | "watch" | "deletecollection") {
            name = selected_name(query);
        }
        RequestInfo {
            attributes: Attributes {
                verb: verb.to_owned(),
                group: group.to_owned(),
                version: version.to_owned(),
                resource: at(0).to_owned(),
                subresource: at(2).to_owned(),
                name,
                namespace: namespace.to_owned(),
                path: None,
            },
            is_resource: true,
            deeper: rest.len() > 3,
            named_by_path,
        }
    }

    fn non_resource(method: &Method, path: &str) -> RequestInfo {
        let verb =
            if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_ascii_lowercase() };
        RequestInfo {
            attributes: Attributes::path(&verb, path),
            is_resource: false,
            deeper: false,
            named_by_path: false,
        }
    }
}

/// A segment of a path, percent-decoded once. What does not decode to a segment (`%2F`, `..`) stays as it is, and is then no name of anything.
fn segment(raw: &str) -> String {
    let decoded = percent_decode_str(raw).decode_utf8();
    match decoded {
        Ok(text) if !text.contains('/') && text != "." && text != ".." => text.into_owned(),
        _ => raw.to_owned(),
    }
}

/// A list of one name is authorized as that name, so that rules with resource names can allow it (spec D22).
fn selected_name(query: &Query) -> String {
    let fields = query.get("fieldSelector");
    crate::selector::FieldSelector::parse(fields)
        .ok()
        .and_then(|selector| selector.exact("metadata.name").map(str::to_owned))
        .filter(|name| !name.contains('/') && !name.contains('%') && name != "." && name != "..")
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn verb(method: Method, uri: &str) -> (String, String, String) {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let info = RequestInfo::of(&method, path, &Query::parse(query));
        (info.attributes.verb, info.attributes.resource, info.attributes.name)
    }

    #[test]
    fn methods_and_paths_become_verbs() {
        let of = |v: &str, r: &str, n: &str| (v.to_owned(), r.to_owned(), n.to_owned());
        let base = "/apis/ext.cattle.io/v1/tokens";
        assert_eq!(verb(Method::GET, base), of("list", "tokens", ""));
        assert_eq!(verb(Method::GET, &format!("{base}?watch=")), of("watch", "tokens", ""));
        assert_eq!(verb(Method::GET, &format!("{base}?watch=False")), of("list", "tokens", ""));
        assert_eq!(verb(Method::GET, &format!("{base}/a?watch=1")), of("get", "tokens", "a"));
        assert_eq!(verb(Method::DELETE, base), of("deletecollection", "tokens", ""));
        assert_eq!(verb(Method::DELETE, &format!("{base}/a")), of("delete", "tokens", "a"));
        assert_eq!(verb(Method::GET, "/apis/ext.cattle.io/v1/watch/tokens/a"), of("watch", "tokens", "a"));
        assert_eq!(
            verb(Method::GET, &format!("{base}?fieldSelector=metadata.name%3Dx")),
            of("list", "tokens", "x")
        );
        assert_eq!(verb(Method::GET, "/apis/ext.cattle.io/v1"), of("get", "", ""));
        assert_eq!(verb(Method::GET, "/api/v1/namespaces/default"), of("get", "namespaces", "default"));
        assert_eq!(verb(Method::GET, &format!("{base}/user%2Da")), of("get", "tokens", "user-a"));
        assert_eq!(verb(Method::GET, &format!("{base}/a%2Fb")), of("get", "tokens", "a%2Fb"));
        assert_eq!(verb(Method::GET, "/api/v1/namespaces/default/events"), of("list", "events", ""));
    }
}
