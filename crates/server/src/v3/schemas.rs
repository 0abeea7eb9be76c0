//! `/v3/schemas`: what clients learn about the types, made from their descriptions. Enough for a client that knows nothing else: collections, methods, members,
//! filters, actions and what they take.

use eartag_apiserver::{Map, Tree};
use serde_json::json;

use super::RESOURCES;
use super::clusters::{self, generate_kubeconfig, generate_webhook_config, set_credential};
use super::item::put;
use super::resource::{About, Action, Field, FieldType, Preset};

/// Types that have no collection: parts of others, and what actions take.
static PARTS: &[&About] = &[
    &CHANGE_PASSWORD,
    &SET_PASSWORD,
    &POLICY_RULE,
    &CLUSTER_CONDITION,
    &FEATURE_STATUS,
    &clusters::AUTH_ENDPOINT,
    &clusters::CONTROL_PLANE_NODE,
    &set_credential::INPUT,
    &generate_webhook_config::INPUT,
    &generate_webhook_config::OUTPUT,
    &generate_kubeconfig::OUTPUT,
];

static CHANGE_PASSWORD: About = About::part(
    "changePasswordInput",
    &[
        Field::writable("currentPassword", FieldType::Password, "The password so far.").required(),
        Field::writable("newPassword", FieldType::Password, "The password from now on.").required(),
    ],
);

static SET_PASSWORD: About = About::part(
    "setPasswordInput",
    &[Field::writable("newPassword", FieldType::Password, "The password from now on.").required()],
);

static POLICY_RULE: About = About::part(
    "policyRule",
    &[
        Field::writable("apiGroups", FieldType::Strings, "API groups; * for all."),
        Field::writable("nonResourceURLs", FieldType::Strings, "Paths that are no resources."),
        Field::writable("resourceNames", FieldType::Strings, "Names of objects; none for all."),
        Field::writable("resources", FieldType::Strings, "Resources; * for all."),
        Field::writable("verbs", FieldType::Strings, "What may be done; * for everything.").required(),
    ],
);

static CLUSTER_CONDITION: About = About::part(
    "clusterCondition",
    &[
        Field::read_only(
            "lastTransitionTime",
            FieldType::String,
            "When it last went from one status to another.",
        ),
        Field::read_only("lastUpdateTime", FieldType::String, "When it was last looked at."),
        Field::read_only("message", FieldType::String, "What people should know about it."),
        Field::read_only("reason", FieldType::String, "Why it changed, in one word."),
        Field::read_only("status", FieldType::String, "True, False or Unknown."),
        Field::read_only("type", FieldType::String, "The aspect."),
    ],
);

static FEATURE_STATUS: About = About::part(
    "featureStatus",
    &[
        Field::read_only("default", FieldType::Boolean, "What holds where nobody chose."),
        Field::read_only("description", FieldType::String, "What the feature is."),
        Field::read_only("dynamic", FieldType::Boolean, "Whether a change needs no restart."),
        Field::read_only("lockedValue", FieldType::Boolean, "The value it is locked to for good, or null."),
    ],
);

/// All types, in the order of their ids.
pub fn all() -> impl Iterator<Item = &'static About> {
    let mut all: Vec<_> =
        RESOURCES.iter().map(|resource| resource.about()).chain(PARTS.iter().copied()).collect();
    all.sort_unstable_by_key(|about| about.id);
    all.into_iter()
}

/// The schema of a type. `base` is what all links begin with.
#[must_use]
pub fn schema(base: &str, about: &About) -> Tree {
    let mut links = json!({"self": format!("{base}/v3/schemas/{}", about.id)});
    if !about.collection_methods.is_empty() {
        put(&mut links, "collection", format!("{base}/v3/{}", about.plural));
    }
    json!({
        "id": about.id, "type": "schema", "baseType": "schema", "pluralName": about.plural,
        "version": version(), "links": links, "actions": {},
        "collectionMethods": about.collection_methods,
        "resourceMethods": about.resource_methods,
        "collectionActions": actions(about.collection_actions),
        "resourceActions": actions(about.resource_actions),
        "resourceFields": fields(about),
        "collectionFilters": filters(about),
    })
}

/// The collection of all schemas.
#[must_use]
pub fn schemas(base: &str) -> Tree {
    let data: Vec<Tree> = all().map(|about| schema(base, about)).collect();
    json!({
        "type": "collection", "resourceType": "schema", "actions": {},
        "links": {"self": format!("{base}/v3/schemas")},
        "pagination": {"limit": 1000, "total": data.len()}, "sort": null, "filters": {},
        "data": data,
    })
}

/// What `GET /v3` answers: where everything is.
#[must_use]
pub fn root(base: &str) -> Tree {
    let mut links: Map = all()
        .filter(|about| !about.collection_methods.is_empty())
        .map(|about| (about.plural.to_owned(), format!("{base}/v3/{}", about.plural).into()))
        .collect();
    links.insert("self".to_owned(), format!("{base}/v3").into());
    links.insert("root".to_owned(), format!("{base}/v3").into());
    links.insert("schemas".to_owned(), format!("{base}/v3/schemas").into());
    json!({
        "id": "v3", "type": "apiRoot", "baseType": "apiRoot", "apiVersion": version(), "actions": {}, "links": links,
    })
}

fn version() -> Tree {
    json!({"group": "management.cattle.io", "path": "/v3", "version": "v3"})
}

fn actions(actions: &[Action]) -> Map {
    actions
        .iter()
        .map(|action| {
            let mut shape = Map::new();
            for (key, value) in [("input", action.input), ("output", action.output)] {
                if !value.is_empty() {
                    shape.insert(key.to_owned(), value.into());
                }
            }
            (action.name.to_owned(), Tree::Object(shape))
        })
        .collect()
}

fn fields(about: &About) -> Map {
    let mut fields: Map =
        about.all_fields().map(|field| (field.name.to_owned(), field_shape(field))).collect();
    if !about.resource_methods.is_empty() {
        let id =
            json!({"type": "string", "create": false, "update": false, "description": "The name in URLs."});
        fields.insert("id".to_owned(), id);
    }
    fields
}

fn field_shape(field: &Field) -> Tree {
    let mut shape = json!({
        "type": field.kind.name(), "create": field.create, "update": field.update,
        "description": field.description,
    });
    put(&mut shape, if field.required { "required" } else { "nullable" }, true);
    if field.write_only {
        put(&mut shape, "writeOnly", true);
    }
    if let FieldType::Enum(options) = field.kind {
        put(&mut shape, "options", options.to_vec());
    }
    match field.default {
        Preset::None => {}
        Preset::Boolean(value) => put(&mut shape, "default", value),
        Preset::Int(value) => put(&mut shape, "default", value),
        Preset::Text(value) => put(&mut shape, "default", value),
    }
    shape
}

fn filters(about: &About) -> Map {
    if about.collection_methods.is_empty() {
        return Map::new();
    }
    about
        .all_fields()
        .filter(|field| field.kind.filterable() && !field.write_only)
        .map(|field| (field.name.to_owned(), json!({"modifiers": field.kind.modifiers()})))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    static THING: About = About {
        id: "thing",
        plural: "things",
        fields: &[
            Field::writable("name", FieldType::DnsLabel, "A name.").required(),
            Field::create_only("secret", FieldType::Password, "A secret."),
            Field::writable("enabled", FieldType::Boolean, "A switch.").preset(Preset::Boolean(true)),
            Field::writable("colour", FieldType::Enum(&["red", "blue"]), "A colour."),
        ],
        collection_methods: &["GET", "POST"],
        resource_methods: &["GET", "DELETE"],
        collection_actions: &[Action { name: "wake", input: "wakeInput", output: "" }],
        resource_actions: &[],
    };

    #[test]
    fn a_schema_has_what_the_terraform_provider_reads() {
        let schema = schema("https://h", &THING);
        assert_eq!(schema["id"], "thing");
        assert_eq!(schema["links"]["collection"], "https://h/v3/things");
        assert_eq!(schema["collectionMethods"], json!(["GET", "POST"]));
        assert_eq!(schema["resourceMethods"], json!(["GET", "DELETE"]));
        assert_eq!(schema["collectionActions"], json!({"wake": {"input": "wakeInput"}}));
    }

    #[test]
    fn members_say_what_may_be_done_with_them() {
        let schema = schema("https://h", &THING);
        let fields = &schema["resourceFields"];
        assert_eq!(fields["name"]["required"], true);
        let secret = &fields["secret"];
        assert_eq!(
            (&secret["writeOnly"], &secret["create"], &secret["update"]),
            (&json!(true), &json!(true), &json!(false))
        );
        assert_eq!(fields["enabled"]["default"], true);
        assert_eq!(fields["colour"]["options"], json!(["red", "blue"]));
        assert!(schema["collectionFilters"].get("secret").is_none());
        assert_eq!(schema["collectionFilters"]["enabled"], json!({"modifiers": ["eq", "ne"]}));
        assert!(fields.get("labels").is_some());
    }

    #[test]
    fn parts_have_members_and_no_collection() {
        let schema = schema("https://h", &POLICY_RULE);
        assert_eq!(schema["links"], json!({"self": "https://h/v3/schemas/policyRule"}));
        assert_eq!(schema["resourceFields"]["verbs"]["type"], "array[string]");
        assert!(schema["resourceFields"].get("uuid").is_none());
        assert_eq!((&schema["collectionMethods"], &schema["collectionFilters"]), (&json!([]), &json!({})));
    }

    #[test]
    fn every_type_that_is_named_has_a_schema() {
        let ids: Vec<&str> = all().map(|about| about.id).collect();
        let mut unique = ids.clone();
        unique.dedup();
        assert_eq!(ids, unique);
        for about in all() {
            for action in about.collection_actions.iter().chain(about.resource_actions) {
                for named in [action.input, action.output] {
                    assert!(named.is_empty() || ids.contains(&named), "{named}");
                }
            }
            for field in about.all_fields() {
                if let FieldType::Items(named) | FieldType::Struct(named) = field.kind {
                    assert!(ids.contains(&named), "{named}");
                }
            }
        }
    }

    #[test]
    fn the_root_links_to_every_collection() {
        let root = root("https://h");
        assert_eq!(root["links"]["users"], "https://h/v3/users");
        assert_eq!(root["links"]["schemas"], "https://h/v3/schemas");
        assert!(root["links"].get("").is_none());
    }
}
