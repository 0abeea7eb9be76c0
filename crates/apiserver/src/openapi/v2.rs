//! `/openapi/v2` as JSON: one Swagger 2.0 document (O1, O5).

use serde_json::{Value, json};

use super::model::{self, Models};
use super::operation::{self, Operation, PathItem};
use super::parameter::Parameter;
use super::{About, Dialect};
use crate::discovery::Catalogue;
use crate::document::{self, Document};
use crate::media;
use crate::{Map, Tree};

/// The protobuf media type as clients spell it.
const ASKED_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// The protobuf media type as it is spelled properly, and as answers always spell it.
pub const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON.
    Json,
    /// Protobuf, see [`super::v2_proto`].
    Protobuf,
}

/// The form that a client accepts; `None` is 406 with an empty body (O3).
#[must_use]
pub fn choose(accept: Option<&str>) -> Option<Format> {
    let header = accept.map_or("", str::trim);
    if header.is_empty() {
        return Some(Format::Json);
    }
    media::parse(header).iter().find_map(|clause| {
        if clause.covers("application/json") {
            Some(Format::Json)
        } else if clause.covers(ASKED_PROTOBUF) || clause.covers(PROTOBUF) {
            Some(Format::Protobuf)
        } else {
            None
        }
    })
}

/// The document.
#[must_use]
pub fn json(catalogue: &Catalogue<'_>, about: About<'_>) -> Document {
    Document::new(document::json(&tree(catalogue, about)), "application/json")
}

/// The document as a tree.
#[must_use]
pub fn tree(catalogue: &Catalogue<'_>, about: About<'_>) -> Tree {
    let paths: Map = operation::paths(catalogue, catalogue.versions)
        .iter()
        .map(|(path, item)| (path.clone(), path_item(item)))
        .collect();
    json!({
        "swagger": "2.0",
        "info": {"title": about.title, "version": about.version},
        "paths": paths,
        "definitions": Models::of(catalogue, catalogue.versions).written(Dialect::V2),
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
    let mut parameters: Vec<Tree> = Vec::new();
    let mut consumes = vec!["*/*"];
    if let Some(body) = &operation.body {
        let mut written =
            json!({"in": "body", "name": "body", "schema": model::reference(&body.model, Dialect::V2)});
        if body.required
            && let Some(members) = written.as_object_mut()
        {
            members.insert("required".to_owned(), true.into());
        }
        parameters.push(written);
        consumes.clone_from(&body.consumes);
    }
    parameters.extend(operation.parameters.iter().map(|p| parameter(p)));
    let mut responses: Map = operation
        .responses
        .iter()
        .map(|(code, meaning, model)| {
            (
                code.to_string(),
                json!({"description": meaning, "schema": model::reference(model, Dialect::V2)}),
            )
        })
        .collect();
    responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
    let mut members = json!({
        "operationId": operation.id,
        "description": operation.description,
        "tags": [operation.tag],
        "schemes": ["https"],
        "consumes": consumes,
        "produces": operation.produces,
        "responses": responses,
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": operation.kind.written(),
    });
    if !parameters.is_empty()
        && let Some(members) = members.as_object_mut()
    {
        members.insert("parameters".to_owned(), parameters.into());
    }
    members
}

fn parameter(parameter: &Parameter) -> Tree {
    let mut written = json!({
        "name": parameter.name,
        "in": if parameter.in_path { "path" } else { "query" },
        "type": parameter.kind,
        "description": parameter.description,
        "uniqueItems": true,
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

    fn document() -> Tree {
        fixtures::with(|catalogue| tree(catalogue, fixtures::ABOUT))
    }

    #[test]
    fn both_spellings_of_protobuf_are_understood() {
        assert_eq!(choose(None), Some(Format::Json));
        assert_eq!(choose(Some("")), Some(Format::Json));
        assert_eq!(choose(Some("*/*")), Some(Format::Json));
        assert_eq!(choose(Some("application/json")), Some(Format::Json));
        assert_eq!(choose(Some(ASKED_PROTOBUF)), Some(Format::Protobuf));
        assert_eq!(choose(Some(PROTOBUF)), Some(Format::Protobuf));
        assert_eq!(choose(Some("application/yaml")), None);
    }

    #[test]
    fn the_same_catalogue_gives_the_same_bytes() {
        let once = fixtures::with(|catalogue| json(catalogue, fixtures::ABOUT));
        let again = fixtures::with(|catalogue| json(catalogue, fixtures::ABOUT));
        assert_eq!(once, again);
        assert_eq!(once.body.last(), Some(&b'\n'));
    }

    #[test]
    fn paths_follow_the_verbs() {
        let document = document();
        let methods = |path: &str| -> Vec<String> {
            document["paths"][path]
                .as_object()
                .unwrap()
                .keys()
                .filter(|key| *key != "parameters")
                .cloned()
                .collect()
        };
        assert_eq!(methods("/apis/ext.cattle.io/v1/tokens"), ["delete", "get", "post"]);
        assert_eq!(methods("/apis/ext.cattle.io/v1/tokens/{name}"), ["delete", "get", "patch", "put"]);
        assert_eq!(methods("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"), ["post"]);
        assert!(document["paths"]["/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/{name}"].is_null());
        assert_eq!(methods("/apis/example.com/v1/namespaces/{namespace}/notes"), ["get", "post"]);
        assert_eq!(methods("/apis/example.com/v1/notes"), ["get"]);
    }

    #[test]
    fn patch_says_that_fields_are_validated_and_which_patches_are_taken() {
        let document = document();
        let patch = &document["paths"]["/apis/ext.cattle.io/v1/tokens/{name}"]["patch"];
        let names: Vec<_> = patch["parameters"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
        assert_eq!(names, ["body", "dryRun", "fieldManager", "fieldValidation", "force"]);
        assert_eq!(
            patch["x-kubernetes-group-version-kind"],
            json!({"group": "ext.cattle.io", "version": "v1", "kind": "Token"})
        );
        assert_eq!(patch["x-kubernetes-action"], "patch");
        assert_eq!(
            patch["consumes"],
            json!([
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
                "application/apply-patch+yaml"
            ])
        );
        let settings = &document["paths"]["/apis/management.cattle.io/v3/settings/{name}"]["patch"];
        assert_eq!(settings["consumes"], json!(["application/merge-patch+json"]));
        assert!(settings["parameters"].as_array().unwrap().iter().all(|p| p["name"] != "force"));
    }

    #[test]
    fn operation_ids_are_unique_and_every_operation_has_a_kind() {
        let document = document();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap().iter().filter(|(k, _)| *k != "parameters") {
                let id = operation["operationId"].as_str().unwrap().to_owned();
                assert!(ids.insert(id.clone()), "{id} is used twice");
                assert!(operation["x-kubernetes-group-version-kind"]["kind"].is_string(), "{method} {path}");
                assert!(operation["x-kubernetes-action"].is_string(), "{method} {path}");
            }
        }
        assert!(ids.contains("listExtCattleIoV1Token"), "{ids:?}");
        assert!(ids.contains("listExampleComV1NoteForAllNamespaces"), "{ids:?}");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let definitions = document["definitions"].as_object().unwrap();
        let mut references = BTreeSet::new();
        fixtures::references(&document, &mut references);
        assert!(references.len() > 8);
        for reference in references {
            let name = reference.strip_prefix("#/definitions/").unwrap();
            assert!(definitions.contains_key(name), "{name}");
        }
    }

    #[test]
    fn the_models_that_clients_look_for_are_there() {
        let document = document();
        let definitions = &document["definitions"];
        for name in ["DeleteOptions", "Status", "WatchEvent", "ListMeta", "Patch", "ObjectMeta"] {
            let model = format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}");
            assert!(definitions[&model].is_object(), "{model}");
        }
        assert_eq!(
            definitions["io.cattle.ext.v1.Token"]["x-kubernetes-group-version-kind"],
            json!([{"group": "ext.cattle.io", "version": "v1", "kind": "Token"}])
        );
        assert_eq!(
            definitions["io.cattle.ext.v1.TokenList"]["x-kubernetes-group-version-kind"][0]["kind"],
            "TokenList"
        );
        let token = &definitions["io.cattle.ext.v1.Token"];
        assert_eq!(token["properties"]["metadata"]["$ref"], format!("#/definitions/{OBJECT_META_MODEL}"));
        assert_eq!(token["properties"]["spec"]["$ref"], "#/definitions/io.cattle.ext.v1.TokenSpec");
        let ttl = &definitions["io.cattle.ext.v1.TokenSpec"]["properties"]["ttl"];
        assert_eq!((&ttl["type"], &ttl["format"]), (&json!("integer"), &json!("int64")));
        let meta = &definitions[OBJECT_META_MODEL]["properties"];
        assert_eq!(meta["finalizers"]["x-kubernetes-list-type"], "set");
        assert_eq!(meta["finalizers"]["x-kubernetes-patch-strategy"], "merge");
        assert_eq!(meta["ownerReferences"]["x-kubernetes-patch-merge-key"], "uid");
        assert_eq!(meta["ownerReferences"]["x-kubernetes-list-map-keys"], json!(["uid"]));
    }

    #[test]
    fn nothing_is_said_that_swagger_cannot_say() {
        let text = document().to_string();
        assert!(!text.contains("\"nullable\"") && !text.contains("\"oneOf\"") && !text.contains("\"allOf\""));
    }

    #[test]
    fn everything_that_explain_shows_is_described() {
        let document = document();
        for (name, definition) in document["definitions"].as_object().unwrap() {
            assert!(definition["description"].is_string(), "{name}");
            for (member, schema) in definition["properties"].as_object().into_iter().flatten() {
                assert!(schema["description"].is_string(), "{name}.{member}");
            }
        }
    }

    #[test]
    fn no_two_shapes_share_a_name() {
        fixtures::with(|catalogue| {
            let models = Models::of(catalogue, catalogue.versions);
            assert!(models.conflicts().is_empty(), "{:?}", models.conflicts());
        });
    }
}
