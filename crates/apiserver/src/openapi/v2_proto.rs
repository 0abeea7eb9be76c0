//! `/openapi/v2` as protobuf: the message `openapi.v2.Document` of gnostic, without an envelope (O2). All kubectls up to 1.28 and Argo CD read it.
//!
//! The message is made from the JSON document, member by member, so both say the same. What the message has no field for (`x-…`) travels as YAML text, of
//! which JSON is a part.

mod messages;

use prost::Message;
use serde_json::Value;

use super::{About, v2};
use crate::Tree;
use crate::discovery::Catalogue;
use crate::document::Document;
use messages as m;

/// The document.
#[must_use]
pub fn protobuf(catalogue: &Catalogue<'_>, about: About<'_>) -> Document {
    Document::new(document(&v2::tree(catalogue, about)).encode_to_vec(), v2::PROTOBUF)
}

fn document(tree: &Tree) -> m::Document {
    let info = &Part(tree).part("info");
    m::Document {
        swagger: Part(tree).text("swagger"),
        info: Some(m::Info { title: info.text("title"), version: info.text("version") }),
        paths: Some(m::Paths {
            path: Part(tree)
                .part("paths")
                .members()
                .map(|(name, item)| m::NamedPathItem { name, value: Some(path_item(&item)) })
                .collect(),
        }),
        definitions: Some(m::Definitions {
            additional_properties: named_schemas(&Part(tree).part("definitions")),
        }),
    }
}

fn path_item(item: &Part<'_>) -> m::PathItem {
    let operation = |method: &str| item.find(method).map(|part| operation(&part));
    m::PathItem {
        get: operation("get"),
        put: operation("put"),
        post: operation("post"),
        delete: operation("delete"),
        patch: operation("patch"),
        parameters: parameters(item),
    }
}

fn operation(part: &Part<'_>) -> m::Operation {
    m::Operation {
        tags: part.texts("tags"),
        description: part.text("description"),
        operation_id: part.text("operationId"),
        produces: part.texts("produces"),
        consumes: part.texts("consumes"),
        parameters: parameters(part),
        responses: Some(m::Responses {
            response_code: part
                .part("responses")
                .members()
                .map(|(name, response)| m::NamedResponseValue {
                    name,
                    value: Some(response_value(&response)),
                })
                .collect(),
        }),
        schemes: part.texts("schemes"),
        vendor_extension: part.extensions(),
    }
}

fn response_value(response: &Part<'_>) -> m::ResponseValue {
    m::ResponseValue {
        response: Some(m::Response {
            description: response.text("description"),
            schema: response.find("schema").map(|part| m::SchemaItem { schema: Some(schema(&part)) }),
        }),
    }
}

fn parameters(part: &Part<'_>) -> Vec<m::ParametersItem> {
    let one = |part: &Part<'_>| {
        let in_ = part.text("in");
        let parameter = if in_ == "body" {
            m::parameter::Oneof::Body(m::BodyParameter {
                name: part.text("name"),
                in_,
                required: part.flag("required"),
                schema: part.find("schema").map(|part| schema(&part)),
            })
        } else if in_ == "path" {
            m::parameter::Oneof::NonBody(m::NonBodyParameter {
                oneof: Some(m::non_body_parameter::Oneof::Path(m::PathParameter {
                    required: true,
                    in_,
                    description: part.text("description"),
                    name: part.text("name"),
                    type_: part.text("type"),
                    unique_items: part.flag("uniqueItems"),
                })),
            })
        } else {
            m::parameter::Oneof::NonBody(m::NonBodyParameter {
                oneof: Some(m::non_body_parameter::Oneof::Query(m::QueryParameter {
                    required: part.flag("required"),
                    in_,
                    description: part.text("description"),
                    name: part.text("name"),
                    type_: part.text("type"),
                    unique_items: part.flag("uniqueItems"),
                })),
            })
        };
        m::ParametersItem { parameter: Some(m::Parameter { oneof: Some(parameter) }) }
    };
    part.part("parameters").items().map(|item| one(&item)).collect()
}

fn named_schemas(part: &Part<'_>) -> Vec<m::NamedSchema> {
    part.members().map(|(name, value)| m::NamedSchema { name, value: Some(schema(&value)) }).collect()
}

fn schema(part: &Part<'_>) -> m::Schema {
    m::Schema {
        ref_: part.text("$ref"),
        format: part.text("format"),
        description: part.text("description"),
        required: part.texts("required"),
        enum_: part.part("enum").items().map(|value| value.any()).collect(),
        additional_properties: part
            .find("additionalProperties")
            .map(|values| Box::new(m::AdditionalPropertiesItem { schema: Some(Box::new(schema(&values))) })),
        type_: part.find("type").map(|_| m::TypeItem { value: vec![part.text("type")] }),
        items: part.find("items").map(|items| m::ItemsItem { schema: vec![schema(&items)] }),
        properties: part
            .find("properties")
            .map(|members| m::Properties { additional_properties: named_schemas(&members) }),
        vendor_extension: part.extensions(),
    }
}

/// A place in the JSON document; what is missing reads as empty.
struct Part<'a>(&'a Tree);

impl<'a> Part<'a> {
    fn find(&self, name: &str) -> Option<Part<'a>> {
        self.0.get(name).map(Part)
    }

    fn part(&self, name: &str) -> Part<'a> {
        Part(self.0.get(name).unwrap_or(&Value::Null))
    }

    fn text(&self, name: &str) -> String {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    fn texts(&self, name: &str) -> Vec<String> {
        self.part(name).items().filter_map(|item| item.0.as_str().map(str::to_owned)).collect()
    }

    fn items(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        self.0.as_array().into_iter().flatten().map(Part)
    }

    fn members(&self) -> impl Iterator<Item = (String, Part<'a>)> + use<'a> {
        self.0.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), Part(value)))
    }

    fn any(&self) -> m::Any {
        m::Any { yaml: format!("{}\n", self.0) }
    }

    fn extensions(&self) -> Vec<m::NamedAny> {
        self.members()
            .filter(|(name, _)| name.starts_with("x-"))
            .map(|(name, value)| m::NamedAny { name, value: Some(value.any()) })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::super::fixtures;
    use super::*;

    fn both() -> (Tree, m::Document) {
        fixtures::with(|catalogue| {
            let made = protobuf(catalogue, fixtures::ABOUT);
            assert_eq!(made.content_type, v2::PROTOBUF);
            (v2::tree(catalogue, fixtures::ABOUT), m::Document::decode(made.body).unwrap())
        })
    }

    #[test]
    fn it_has_as_many_paths_operations_and_definitions_as_the_json() {
        let (tree, message) = both();
        assert_eq!(message.swagger, "2.0");
        let paths = message.paths.unwrap().path;
        assert_eq!(paths.len(), tree["paths"].as_object().unwrap().len());
        for item in &paths {
            let value = item.value.as_ref().unwrap();
            let operations = [&value.get, &value.put, &value.post, &value.delete, &value.patch]
                .iter()
                .filter(|o| o.is_some())
                .count();
            assert_eq!(operations + 1, tree["paths"][&item.name].as_object().unwrap().len(), "{}", item.name);
        }
        let definitions = message.definitions.unwrap().additional_properties;
        assert_eq!(definitions.len(), tree["definitions"].as_object().unwrap().len());
        for definition in &definitions {
            let json = &tree["definitions"][&definition.name]["properties"];
            let members = definition
                .value
                .as_ref()
                .unwrap()
                .properties
                .as_ref()
                .map_or(0, |p| p.additional_properties.len());
            assert_eq!(members, json.as_object().map_or(0, serde_json::Map::len), "{}", definition.name);
        }
    }

    #[test]
    fn the_patch_operation_keeps_parameters_and_kind() {
        let (_, message) = both();
        let paths = message.paths.unwrap().path;
        let item = paths.iter().find(|p| p.name == "/apis/ext.cattle.io/v1/tokens/{name}").unwrap();
        let patch = item.value.as_ref().unwrap().patch.as_ref().unwrap();
        let kind =
            &patch.vendor_extension.iter().find(|e| e.name == "x-kubernetes-group-version-kind").unwrap();
        let kind: Value = serde_json::from_str(&kind.value.as_ref().unwrap().yaml).unwrap();
        assert_eq!(kind["kind"], "Token");
        let query: Vec<String> = patch
            .parameters
            .iter()
            .filter_map(|p| match p.parameter.as_ref()?.oneof.as_ref()? {
                m::parameter::Oneof::NonBody(m::NonBodyParameter {
                    oneof: Some(m::non_body_parameter::Oneof::Query(query)),
                }) => Some(query.name.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(query, ["dryRun", "fieldManager", "fieldValidation", "force"]);
        assert_eq!(patch.consumes.len(), 4);
    }

    /// Whatever the JSON document says has a place in the message: no member name is lost.
    #[test]
    fn the_json_uses_no_member_that_the_message_lacks() {
        let known_of_a_schema = [
            "$ref",
            "format",
            "description",
            "required",
            "enum",
            "additionalProperties",
            "type",
            "items",
            "properties",
        ];
        fn walk(value: &Tree, known: &[&str]) {
            for (name, member) in value.as_object().into_iter().flatten() {
                assert!(name.starts_with("x-") || known.contains(&name.as_str()), "{name}");
                match name.as_str() {
                    "properties" => member.as_object().unwrap().values().for_each(|m| walk(m, known)),
                    "items" | "additionalProperties" => walk(member, known),
                    _ => {}
                }
            }
        }
        let (tree, _) = both();
        for definition in tree["definitions"].as_object().unwrap().values() {
            walk(definition, &known_of_a_schema);
        }
    }
}
