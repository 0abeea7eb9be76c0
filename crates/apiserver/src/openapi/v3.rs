//! `/openapi/v3`: an index, and one document for each group-version (O10 to O13).
//!
//! The index gives each document's address with its hash, so that clients keep what they have: with the present hash a document may be cached for good, with
//! an old one they are sent to the new address.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{self, Models};
use super::operation::{self, Operation, PathItem};
use super::parameter::Parameter;
use super::{About, Dialect};
use crate::discovery::{Catalogue, GroupVersion};
use crate::document::{self, Document};
use crate::media;
use crate::{Map, Tree};

/// The index and the documents it names.
#[derive(Debug, Clone)]
pub struct Documents {
    /// `/openapi/v3`.
    pub index: Document,
    /// By the rest of the path behind `/openapi/v3/`: `apis/ext.cattle.io/v1`, `api/v1`.
    pub versions: BTreeMap<String, Document>,
}

/// How to answer a request for a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200 with `ETag` and `Vary: Accept` only.
    Fresh,
    /// 200, and the answer never changes: `Cache-Control: public, immutable`, `Expires` in a year.
    Immutable,
    /// 301 to this reference, relative to the request's own address, so that it holds under any URL prefix (O34).
    Moved(String),
}

/// Whether a client takes JSON, the only form of these documents; else 406 with an empty body.
#[must_use]
pub fn accepts(accept: Option<&str>) -> bool {
    let header = accept.map_or("", str::trim);
    header.is_empty() || media::parse(header).iter().any(|clause| clause.covers("application/json"))
}

/// Makes the index and all documents.
#[must_use]
pub fn documents(catalogue: &Catalogue<'_>, about: About<'_>) -> Documents {
    let versions: BTreeMap<String, Document> = catalogue
        .versions
        .iter()
        .map(|v| {
            let tree = tree(catalogue, *v, about);
            (
                v.path().trim_start_matches('/').to_owned(),
                Document::new(document::json(&tree), "application/json"),
            )
        })
        .collect();
    let paths: Map = versions
        .iter()
        .map(|(path, document)| {
            let address = format!("/openapi/v3/{path}?hash={}", document.hash);
            (path.clone(), json!({"serverRelativeURL": address}))
        })
        .collect();
    let index = Document::new(document::json(&json!({"paths": paths})), "application/json");
    Documents { index, versions }
}

/// What to do about the parameter `hash` of a request for `document` (O13).
///
/// A front proxy may make an error of a redirect, so requests that come through one get the document instead.
#[must_use]
pub fn answer(asked_hash: Option<&str>, document: &Document, through_front_proxy: bool) -> Answer {
    match asked_hash {
        None | Some("") => Answer::Fresh,
        Some(hash) if hash == document.hash => Answer::Immutable,
        Some(_) if through_front_proxy => Answer::Fresh,
        Some(_) => Answer::Moved(format!("?hash={}", document.hash)),
    }
}

/// The document of one group-version as a tree.
#[must_use]
pub fn tree(catalogue: &Catalogue<'_>, version: GroupVersion<'_>, about: About<'_>) -> Tree {
    let paths: Map = operation::paths(catalogue, &[version])
        .iter()
        .map(|(path, item)| (path.clone(), path_item(item)))
        .collect();
    json!({
        "openapi": "3.0.0",
        "info": {"title": about.title, "version": about.version},
        "paths": paths,
        "components": {"schemas": Models::of(catalogue, &[version]).written(Dialect::V3)},
    })
}

fn path_item(item: &PathItem) -> Tree {
    let mut members: Map = item
        .operations
        .iter()
        .map(|(method, operation)| ((*method).to_owned(), written(operation)))
        .collect();
    members.insert("parameters".to_owned(), item.parameters.iter().map(|p| parameter(p)).collect());
    Value::Object(members)
}

fn written(operation: &Operation) -> Tree {
    let mut responses: Map = operation
        .responses
        .iter()
        .map(|(code, meaning, model)| {
            let content = content(&operation.produces, model);
            (code.to_string(), json!({"description": meaning, "content": content}))
        })
        .collect();
    responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    let mut members = Map::from_iter([
        ("operationId".to_owned(), operation.id.as_str().into()),
        ("description".to_owned(), operation.description.as_str().into()),
        ("tags".to_owned(), json!([operation.tag])),
        ("responses".to_owned(), responses.into()),
        ("x-kubernetes-action".to_owned(), operation.action.into()),
        ("x-kubernetes-group-version-kind".to_owned(), operation.kind.written()),
    ]);
    if !operation.parameters.is_empty() {
        members.insert("parameters".to_owned(), operation.parameters.iter().map(|p| parameter(p)).collect());
    }
    if let Some(body) = &operation.body {
        let mut request =
            Map::from_iter([("content".to_owned(), content(&body.consumes, &body.model).into())]);
        if body.required {
            request.insert("required".to_owned(), true.into());
        }
        members.insert("requestBody".to_owned(), request.into());
    }
    Value::Object(members)
}

fn content(media_types: &[&str], model: &str) -> Map {
    media_types
        .iter()
        .map(|media_type| ((*media_type).to_owned(), json!({"schema": model::reference(model, Dialect::V3)})))
        .collect()
}

fn parameter(parameter: &Parameter) -> Tree {
    let mut written = json!({
        "name": parameter.name,
        "in": if parameter.in_path { "path" } else { "query" },
        "description": parameter.description,
        "schema": {"type": parameter.kind, "uniqueItems": true},
    });
    if parameter.in_path
        && let Some(members) = written.as_object_mut()
    {
        members.insert("required".to_owned(), true.into());
    }
    written
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use std::collections::BTreeSet;

    use super::super::fixtures;
    use super::*;
    use crate::schema::OBJECT_META_MODEL;

    fn made() -> Documents {
        fixtures::with(|catalogue| documents(catalogue, fixtures::ABOUT))
    }

    fn tokens() -> Tree {
        serde_json::from_slice(&made().versions["apis/ext.cattle.io/v1"].body).unwrap()
    }

    #[test]
    fn the_index_leads_to_each_document_by_its_hash() {
        let made = made();
        let index: Tree = serde_json::from_slice(&made.index.body).unwrap();
        let paths = index["paths"].as_object().unwrap();
        assert_eq!(paths.keys().collect::<Vec<_>>(), made.versions.keys().collect::<Vec<_>>());
        assert!(paths.contains_key("api/v1"));
        for (path, document) in &made.versions {
            assert_eq!(
                paths[path]["serverRelativeURL"],
                format!("/openapi/v3/{path}?hash={}", document.hash),
                "addresses begin with /openapi/v3, or clients forget their prefix"
            );
        }
    }

    #[test]
    fn the_same_catalogue_gives_the_same_bytes() {
        let (once, again) = (made(), made());
        assert_eq!(once.index, again.index);
        assert_eq!(once.versions, again.versions);
    }

    #[test]
    fn the_hash_decides_how_long_a_document_is_kept() {
        let document = Document::new(b"{}\n".to_vec(), "application/json");
        assert_eq!(answer(None, &document, false), Answer::Fresh);
        assert_eq!(answer(Some(&document.hash), &document, false), Answer::Immutable);
        assert_eq!(answer(Some(&document.hash), &document, true), Answer::Immutable);
        assert_eq!(answer(Some("OLD"), &document, true), Answer::Fresh);
        assert_eq!(answer(Some("OLD"), &document, false), Answer::Moved(format!("?hash={}", document.hash)));
    }

    #[test]
    fn patch_names_its_media_types_and_the_validation_parameter() {
        let tokens = tokens();
        let patch = &tokens["paths"]["/apis/ext.cattle.io/v1/tokens/{name}"]["patch"];
        let media_types: BTreeSet<_> = patch["requestBody"]["content"].as_object().unwrap().keys().collect();
        assert_eq!(media_types.len(), 4);
        assert!(media_types.contains(&"application/apply-patch+yaml".to_owned()));
        assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation"));
        assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Token");
    }

    #[test]
    fn a_document_holds_its_own_version_only_and_every_reference_leads_somewhere() {
        for (path, document) in &made().versions {
            let tree: Tree = serde_json::from_slice(&document.body).unwrap();
            for served in tree["paths"].as_object().unwrap().keys() {
                assert!(served.starts_with(&format!("/{path}/")), "{served} in {path}");
            }
            let schemas = tree["components"]["schemas"].as_object().unwrap();
            assert!(schemas.contains_key(OBJECT_META_MODEL));
            let mut references = BTreeSet::new();
            fixtures::references(&tree, &mut references);
            for reference in references {
                let name = reference.strip_prefix("#/components/schemas/").unwrap();
                assert!(schemas.contains_key(name), "{name} in {path}");
            }
        }
    }

    #[test]
    fn a_reference_with_a_description_is_wrapped() {
        let tokens = tokens();
        let schemas = &tokens["components"]["schemas"];
        let metadata = &schemas["io.cattle.ext.v1.Token"]["properties"]["metadata"];
        assert_eq!(metadata["allOf"][0]["$ref"], format!("#/components/schemas/{OBJECT_META_MODEL}"));
        assert!(metadata["description"].is_string() && metadata["$ref"].is_null());
        let items = &schemas["io.cattle.ext.v1.TokenList"]["properties"]["items"]["items"];
        assert_eq!(items, &json!({"$ref": "#/components/schemas/io.cattle.ext.v1.Token"}));
        let roles: Tree =
            serde_json::from_slice(&made().versions["apis/rbac.authorization.k8s.io/v1"].body).unwrap();
        let rules = &roles["components"]["schemas"]["io.k8s.api.rbac.v1.ClusterRole"]["properties"]["rules"];
        assert_eq!(
            rules["items"],
            json!({"$ref": "#/components/schemas/io.k8s.api.rbac.v1.PolicyRule"}),
            "what the model says of itself is not said twice"
        );
        assert_eq!(schemas["io.cattle.ext.v1.TokenSpec"]["properties"]["enabled"]["nullable"], true);
        assert!(
            schemas["io.cattle.ext.v1.Token"]["description"]
                .as_str()
                .unwrap()
                .starts_with("A Token is a credential")
        );
    }

    #[test]
    fn descriptions_are_not_broken_into_source_lines() {
        let mut stack = vec![tokens()["components"]["schemas"].clone()];
        while let Some(value) = stack.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(text)) = members.get("description") {
                        assert!(!text.replace("\n\n", "").contains('\n'), "{text}");
                    }
                    stack.extend(members.into_iter().map(|(_, member)| member));
                }
                Value::Array(items) => stack.extend(items),
                _ => {}
            }
        }
    }

    #[test]
    fn deletion_answers_with_what_the_resource_says() {
        let tokens = tokens();
        let answer = |item: &str| {
            tokens["paths"][item]["delete"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].clone()
        };
        assert_eq!(
            answer("/apis/ext.cattle.io/v1/tokens/{name}"),
            "#/components/schemas/io.cattle.ext.v1.Token"
        );
        assert_eq!(
            answer("/apis/ext.cattle.io/v1/tokens"),
            "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Status"
        );
    }

    #[test]
    fn only_json_is_served() {
        assert!(accepts(None) && accepts(Some("*/*")) && accepts(Some("application/json")));
        assert!(!accepts(Some("application/com.github.proto-openapi.spec.v3@v1.0+protobuf")));
    }
}
