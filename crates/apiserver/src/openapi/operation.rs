//! The operations of each path, free of dialect.

use std::collections::{BTreeMap, BTreeSet};

use super::common::{PATCH_MODEL, STATUS_MODEL};
use super::model::{Gvk, gvk, list_model_name, model_name};
use super::parameter::{self as p, Parameter};
use crate::discovery::{Catalogue, GroupVersion, resources_of};
use crate::info::{PatchType, ResourceInfo};
use crate::protobuf;
use crate::schema::DELETE_OPTIONS_MODEL;

const READ: &[&str] = &["application/json", "application/yaml"];

/// The operations at one path.
#[derive(Debug, Default)]
pub struct PathItem {
    /// Parameters of all of them.
    pub(crate) parameters: Vec<&'static Parameter>,
    /// By HTTP method in lower case.
    pub(crate) operations: BTreeMap<&'static str, Operation>,
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// Unique in the document.
    pub(crate) id: String,
    /// The group and version in one word.
    pub(crate) tag: String,
    /// For people.
    pub(crate) description: String,
    /// `x-kubernetes-action`.
    pub(crate) action: &'static str,
    /// `x-kubernetes-group-version-kind`.
    pub(crate) kind: Gvk,
    pub(crate) parameters: Vec<&'static Parameter>,
    pub(crate) body: Option<Body>,
    /// Media types of the answer.
    pub(crate) produces: Vec<&'static str>,
    /// Status, meaning, and the answer's model.
    pub(crate) responses: Vec<(u16, &'static str, String)>,
}

/// The body of a request.
#[derive(Debug)]
pub struct Body {
    pub(crate) model: String,
    pub(crate) required: bool,
    /// Media types that are taken.
    pub(crate) consumes: Vec<&'static str>,
}

/// The paths of these versions, by path.
#[must_use]
pub fn paths(catalogue: &Catalogue<'_>, versions: &[GroupVersion<'_>]) -> BTreeMap<String, PathItem> {
    let mut paths: BTreeMap<String, PathItem> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for v in versions {
        for info in resources_of(catalogue, *v) {
            for (path, item) in of_resource(&v.path(), info, &mut ids) {
                if !item.operations.is_empty() {
                    paths.insert(path, item);
                }
            }
        }
    }
    paths
}

fn of_resource(root: &str, info: &ResourceInfo, ids: &mut BTreeSet<String>) -> Vec<(String, PathItem)> {
    let plural = info.plural;
    let mut builder = Builder { info, ids, scope: if info.namespaced { "Namespaced" } else { "" } };
    let (base, outer): (String, Vec<&'static Parameter>) = if info.namespaced {
        (format!("{root}/namespaces/{{namespace}}/{plural}"), vec![&p::NAMESPACE, &p::PRETTY])
    } else {
        (format!("{root}/{plural}"), vec![&p::PRETTY])
    };
    let mut inner = vec![&p::NAME];
    inner.extend(outer.iter().copied());
    let mut found = vec![
        (base.clone(), PathItem { parameters: outer, operations: builder.collection() }),
        (format!("{base}/{{name}}"), PathItem { parameters: inner, operations: builder.item() }),
    ];
    if info.namespaced && info.has_verb("list") {
        builder.scope = "ForAllNamespaces";
        let all = BTreeMap::from([("get", builder.list())]);
        found.push((format!("{root}/{plural}"), PathItem { parameters: vec![&p::PRETTY], operations: all }));
    }
    found
}

struct Builder<'a> {
    info: &'a ResourceInfo,
    ids: &'a mut BTreeSet<String>,
    scope: &'static str,
}

impl Builder<'_> {
    fn collection(&mut self) -> BTreeMap<&'static str, Operation> {
        let mut operations = BTreeMap::new();
        if self.info.has_verb("list") {
            operations.insert("get", self.list());
        }
        if self.info.has_verb("create") {
            operations.insert("post", self.create());
        }
        if self.info.has_verb("deletecollection") {
            operations.insert("delete", self.delete_collection());
        }
        operations
    }

    fn item(&mut self) -> BTreeMap<&'static str, Operation> {
        let mut operations = BTreeMap::new();
        if self.info.has_verb("get") {
            operations.insert("get", self.read());
        }
        if self.info.has_verb("update") {
            operations.insert("put", self.replace());
        }
        if self.info.has_verb("patch") {
            operations.insert("patch", self.patch());
        }
        if self.info.has_verb("delete") {
            operations.insert("delete", self.delete());
        }
        operations
    }

    fn list(&mut self) -> Operation {
        let mut parameters = vec![
            &p::CONTINUE,
            &p::FIELD_SELECTOR,
            &p::LABEL_SELECTOR,
            &p::LIMIT,
            &p::RESOURCE_VERSION,
            &p::RESOURCE_VERSION_MATCH,
            &p::TIMEOUT_SECONDS,
        ];
        let mut produces = READ.to_vec();
        if self.info.has_verb("watch") {
            parameters.extend([&p::ALLOW_WATCH_BOOKMARKS, &p::SEND_INITIAL_EVENTS, &p::WATCH]);
            produces.push("application/json;stream=watch");
        }
        let list = list_model_name(self.info);
        Operation {
            produces,
            ..self.operation(
                "list",
                "list",
                "List or watch objects of kind",
                parameters,
                None,
                vec![(200, "OK", list)],
            )
        }
    }

    fn create(&mut self) -> Operation {
        let model = model_name(self.info);
        let responses =
            vec![(200, "OK", model.clone()), (201, "Created", model.clone()), (202, "Accepted", model)];
        let body = self.object();
        self.operation("create", "post", "Create an object of kind", write(), Some(body), responses)
    }

    fn read(&mut self) -> Operation {
        let model = model_name(self.info);
        self.operation(
            "read",
            "get",
            "Read the named object of kind",
            Vec::new(),
            None,
            vec![(200, "OK", model)],
        )
    }

    fn replace(&mut self) -> Operation {
        let model = model_name(self.info);
        let body = self.object();
        let responses = vec![(200, "OK", model)];
        self.operation("replace", "put", "Replace the named object of kind", write(), Some(body), responses)
    }

    fn patch(&mut self) -> Operation {
        let model = model_name(self.info);
        let mut parameters = write();
        if self.info.patch_types.contains(&PatchType::Apply) {
            parameters.push(&p::FORCE);
        }
        let body = Body {
            model: PATCH_MODEL.to_owned(),
            required: true,
            consumes: self.info.patch_types.iter().map(|t| t.content_type()).collect(),
        };
        let responses = vec![(200, "OK", model)];
        self.operation(
            "patch",
            "patch",
            "Change parts of the named object of kind",
            parameters,
            Some(body),
            responses,
        )
    }

    fn delete(&mut self) -> Operation {
        let model =
            if self.info.delete_returns_object { model_name(self.info) } else { STATUS_MODEL.to_owned() };
        let responses = vec![(200, "OK", model.clone()), (202, "Accepted", model)];
        let body = Some(delete_options());
        self.operation("delete", "delete", "Delete the named object of kind", deletion(), body, responses)
    }

    fn delete_collection(&mut self) -> Operation {
        let mut parameters = deletion();
        parameters.extend([
            &p::CONTINUE,
            &p::FIELD_SELECTOR,
            &p::LABEL_SELECTOR,
            &p::LIMIT,
            &p::RESOURCE_VERSION,
            &p::RESOURCE_VERSION_MATCH,
            &p::TIMEOUT_SECONDS,
        ]);
        let responses = vec![(200, "OK", STATUS_MODEL.to_owned())];
        let body = Some(delete_options());
        self.operation(
            "deleteCollection",
            "deletecollection",
            "Delete all objects that the selectors choose, of kind",
            parameters,
            body,
            responses,
        )
    }

    fn object(&self) -> Body {
        let mut consumes = READ.to_vec();
        if protobuf::is_readable(self.info.group, self.info.kind) {
            consumes.push(protobuf::MEDIA_TYPE);
        }
        Body { model: model_name(self.info), required: true, consumes }
    }

    fn operation(
        &mut self,
        verb: &str,
        action: &'static str,
        what: &str,
        mut parameters: Vec<&'static Parameter>,
        body: Option<Body>,
        responses: Vec<(u16, &'static str, String)>,
    ) -> Operation {
        parameters.sort_by_key(|parameter| parameter.name);
        let tag = tag(self.info);
        let mut version = tag.clone();
        if let Some(first) = version.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let version = version.replace("_v", "V");
        let mut id = match self.scope {
            "Namespaced" => format!("{verb}{version}Namespaced{}", self.info.kind),
            scope => format!("{verb}{version}{}{scope}", self.info.kind),
        };
        if !self.ids.insert(id.clone()) {
            // Two resources of one kind: the resource's own name tells them apart.
            id = format!("{id}_{}", self.info.plural);
            self.ids.insert(id.clone());
        }
        Operation {
            id,
            tag,
            description: format!("{what} {}.", self.info.kind),
            action,
            kind: gvk(self.info),
            parameters,
            body,
            produces: READ.to_vec(),
            responses,
        }
    }
}

fn write() -> Vec<&'static Parameter> {
    vec![&p::DRY_RUN, &p::FIELD_MANAGER, &p::FIELD_VALIDATION]
}

fn deletion() -> Vec<&'static Parameter> {
    vec![
        &p::DRY_RUN,
        &p::GRACE_PERIOD_SECONDS,
        &p::IGNORE_STORE_READ_ERROR,
        &p::ORPHAN_DEPENDENTS,
        &p::PROPAGATION_POLICY,
    ]
}

fn delete_options() -> Body {
    let mut consumes = READ.to_vec();
    consumes.push(protobuf::MEDIA_TYPE);
    Body { model: DELETE_OPTIONS_MODEL.to_owned(), required: false, consumes }
}

/// `extCattleIo_v1`; `core_v1` for the core group.
fn tag(info: &ResourceInfo) -> String {
    let group = if info.group.is_empty() { "core" } else { info.group };
    let mut tag = String::new();
    for part in group.split(['.', '-']) {
        let mut part = part.to_owned();
        if !tag.is_empty()
            && let Some(first) = part.get_mut(..1)
        {
            first.make_ascii_uppercase();
        }
        tag.push_str(&part);
    }
    format!("{tag}_{}", info.version)
}
