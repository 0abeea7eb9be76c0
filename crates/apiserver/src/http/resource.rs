//! A request for a resource: decodes, calls the verb, writes the answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::request::Parts;
use http::{Response, StatusCode};

use super::body::{self, Body};
use super::reply::{self, Form};
use super::request_info::RequestInfo;
use super::table::{self, Include};
use super::{ApiServer, Identity, accept, deletion, header, query, stream, user_agent};
use crate::Tree;
use crate::info::{Naming, PatchType, ResourceInfo};
use crate::kind::{Cx, Fixed, Kind, Once, Resource, Review};
use crate::media::{self, Answer, View};
use crate::ops::{Change, Selection, Validation};
use crate::patch::unknown_members;
use crate::refusal::{Refusal, Subject};

/// One request, taken apart and authorized.
pub(super) struct Request<'a> {
    pub parts: &'a Parts,
    pub query: &'a query::Query,
    pub info: &'a RequestInfo,
    pub resource: &'a Resource,
    pub identity: Identity,
    /// The body, for verbs that have one.
    pub bytes: Bytes,
}

/// How the answer shall look.
pub struct Wanted {
    /// All of the object, a table, or metadata.
    pub view: View,
    /// JSON or YAML.
    pub form: Form,
    /// What rows carry.
    pub include: Include,
}

impl Request<'_> {
    /// The form of the answer.
    pub(super) fn negotiate(&self, answer: Answer) -> Result<Wanted, Refusal> {
        let negotiated = media::negotiate(accept(self.parts), answer)
            .map_err(|none| Refusal::NotAcceptable(none.0.iter().map(|t| (*t).to_owned()).collect()))?;
        let asked = self.query.has("pretty").then(|| self.query.get("pretty"));
        // Lists are indented only when asked: they are streamed, and a person's curl must get long ones too.
        let agent = Some(user_agent(self.parts)).filter(|_| answer != Answer::List);
        let pretty = media::is_pretty(asked, negotiated, agent);
        let include = Include::parse(self.query.get("includeObject"))?;
        Ok(Wanted { view: negotiated.view, form: Form { encoding: negotiated.encoding, pretty }, include })
    }
}

impl ApiServer {
    pub(super) async fn resource(&self, request: Request<'_>) -> Result<Response<Body>, Refusal> {
        if !request.resource.info().has_verb(&request.info.attributes.verb) {
            return Err(Refusal::MethodNotAllowed);
        }
        match request.resource.clone() {
            Resource::Stored(kind) => self.stored(kind, request).await,
            Resource::Review(review) => self.review(review, request).await,
            Resource::Computed(computed) => self.computed(computed.as_ref(), &request).await,
            Resource::Fixed(fixed) => self.fixed(fixed.as_ref(), &request),
        }
    }

    async fn stored(&self, kind: Arc<dyn Kind>, request: Request<'_>) -> Result<Response<Body>, Refusal> {
        let mut cx = self.cx(request.identity.clone());
        let name = request.info.attributes.name.as_str();
        let agent = user_agent(request.parts);
        match request.info.attributes.verb.as_str() {
            "create" if !name.is_empty() => Err(Refusal::MethodNotAllowed),
            "update" | "patch" if name.is_empty() => Err(Refusal::MethodNotAllowed),
            "create" => {
                let wanted = request.negotiate(Answer::Object)?;
                query::write_options(request.query, agent, "CreateOptions", &mut cx)?;
                let asked = read_object(kind.info(), &cx, request.parts, &request.bytes)?;
                let name = asked_name(kind.info(), &asked);
                let created = match self.api.create(kind.as_ref(), &cx, asked).await {
                    Ok(created) => created,
                    Err(refusal) => return refused_create(kind.info(), &name, refusal),
                };
                Ok(one(kind.as_ref(), &cx, StatusCode::CREATED, created.object, created.once, &wanted))
            }
            "get" => {
                let wanted = request.negotiate(Answer::Object)?;
                if let Some(version) = query::version(request.query)? {
                    self.api.await_revision(version).await?;
                }
                let object = self.api.get(kind.as_ref(), &cx, name).await?;
                Ok(one(kind.as_ref(), &cx, StatusCode::OK, object, None, &wanted))
            }
            "list" => {
                let wanted = request.negotiate(Answer::List)?;
                let mut options = query::list_options(request.query, kind.info())?;
                options.wants = Some(request.info.attributes.clone());
                let lister = self.api.list(kind.as_ref(), &cx, &options).await?;
                stream::list(kind, cx, lister, &wanted, header(&request.parts.headers, &ACCEPT_ENCODING))
                    .await
            }
            "watch" => {
                let wanted = request.negotiate(Answer::Watch)?;
                let spread = u64::from_le_bytes(cx.random());
                let mut options = query::watch_options(request.query, kind.info(), spread)?;
                if request.info.named_by_path {
                    // The right was asked for this name, so nothing else may come.
                    options.selection = options.selection.and_name(name);
                }
                options.wants = request.info.attributes.clone();
                let watcher = self.api.watch(kind, cx, options, self.ending.clone()).await?;
                Ok(stream::watch(watcher, wanted.view, wanted.include))
            }
            "update" => {
                let wanted = request.negotiate(Answer::Object)?;
                query::write_options(request.query, agent, "UpdateOptions", &mut cx)?;
                let asked = read_object(kind.info(), &cx, request.parts, &request.bytes)?;
                let object = self.api.update(kind.as_ref(), &cx, name, &Change::Put(asked)).await?;
                Ok(one(kind.as_ref(), &cx, StatusCode::OK, object, None, &wanted))
            }
            "patch" => {
                let wanted = request.negotiate(Answer::Object)?;
                query::write_options(request.query, agent, "PatchOptions", &mut cx)?;
                let change = read_patch(kind.info(), &cx, &request)?;
                let object = self.api.update(kind.as_ref(), &cx, name, &change).await?;
                Ok(one(kind.as_ref(), &cx, StatusCode::OK, object, None, &wanted))
            }
            "delete" => {
                let wanted = request.negotiate(Answer::Object)?;
                let options =
                    deletion::options(request.parts, request.query, &request.bytes, kind.info(), &mut cx)?;
                let deleted = self.api.delete(kind.as_ref(), &cx, name, &options).await?;
                if deleted.gone && !kind.info().delete_returns_object {
                    let status = deletion::success(kind.info(), name, &deleted.uid);
                    return Ok(warned(reply::object(StatusCode::OK, &status, wanted.form), &cx));
                }
                Ok(one(kind.as_ref(), &cx, StatusCode::OK, deleted.object, None, &wanted))
            }
            "deletecollection" => {
                let Wanted { form, .. } = request.negotiate(Answer::List)?;
                let list = query::list_options(request.query, kind.info())?;
                let options =
                    deletion::options(request.parts, request.query, &request.bytes, kind.info(), &mut cx)?;
                let many = self.api.delete_collection(kind.as_ref(), &cx, &list, &options).await?;
                Ok(warned(reply::object(StatusCode::OK, &deletion::many(kind.info(), many), form), &cx))
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }

    async fn review(&self, review: Arc<dyn Review>, request: Request<'_>) -> Result<Response<Body>, Refusal> {
        let Wanted { form, .. } = request.negotiate(Answer::Plain)?;
        let mut cx = self.cx(request.identity.clone());
        query::write_options(request.query, user_agent(request.parts), "CreateOptions", &mut cx)?;
        let content_type = body::content_type(&request.parts.headers);
        let decoded = body::decode_object(&content_type, &request.bytes, review.info())?;
        let mut asked = decoded.tree;
        let review = self.in_sent_version(review, &asked);
        let info = review.info();
        crate::object::fit_type(info, &mut asked)?;
        crate::ops::conform(info, &cx, &mut asked, crate::ops::Source::Body)?;
        let (answer, once) = review.create(asked, &cx).await?;
        let response = match once {
            Some(once) => reply::object_once(review.success(), answer, once, form),
            None => reply::object(review.success(), &answer, form),
        };
        Ok(warned(response, &cx))
    }

    /// A webhook posts to the one URL that it was given, in whichever version it was told to speak, and understands no other (kubernetes-api.md K1).
    fn in_sent_version(&self, review: Arc<dyn Review>, asked: &Tree) -> Arc<dyn Review> {
        let ResourceInfo { group, version, plural, .. } = *review.info();
        let sent = asked.get("apiVersion").and_then(Tree::as_str);
        let other =
            sent.and_then(|sent| sent.strip_prefix(group)?.strip_prefix('/')).filter(|v| *v != version);
        match other.and_then(|other| self.registry.find(group, other, plural)) {
            Some(Resource::Review(other)) => other.clone(),
            _ => review,
        }
    }

    fn fixed(&self, fixed: &dyn Fixed, request: &Request<'_>) -> Result<Response<Body>, Refusal> {
        let info = fixed.info();
        let name = request.info.attributes.name.as_str();
        let objects = fixed.objects();
        let named = |object: &Tree| object.pointer("/metadata/name").and_then(Tree::as_str) == Some(name);
        let cells = |object: &Tree| {
            let name = object.pointer("/metadata/name").cloned().unwrap_or_default();
            let mut cells = vec![name];
            cells.extend(fixed.row(object));
            cells
        };
        if request.info.attributes.verb == "get" {
            let wanted = request.negotiate(Answer::Object)?;
            let object = objects.into_iter().find(named).ok_or(Refusal::NotFound)?;
            let tree = match wanted.view {
                View::Object => object,
                View::Metadata(version) => table::partial(&object, version),
                View::Table(version) => {
                    let row = table::row_of(cells(&object), &object, wanted.include, version);
                    table::table(Some(table::columns(info)), vec![row], serde_json::json!({}), version)
                }
            };
            return Ok(reply::object(StatusCode::OK, &tree, wanted.form));
        }
        let wanted = request.negotiate(Answer::List)?;
        let selection =
            Selection::parse(info, request.query.get("labelSelector"), request.query.get("fieldSelector"))?;
        let objects: Vec<Tree> =
            objects.into_iter().filter(|object| selection.matches_with(object, None)).collect();
        let metadata = serde_json::json!({"resourceVersion": self.api.store.revision().to_string()});
        let tree = match wanted.view {
            View::Object => serde_json::json!({
                "kind": info.list_kind(), "apiVersion": info.api_version(), "metadata": metadata, "items": objects,
            }),
            View::Metadata(version) => serde_json::json!({
                "kind": "PartialObjectMetadataList", "apiVersion": version.api_version(), "metadata": metadata,
                "items": objects.iter().map(|o| table::partial(o, version)).collect::<Vec<_>>(),
            }),
            View::Table(version) => {
                let rows =
                    objects.iter().map(|o| table::row_of(cells(o), o, wanted.include, version)).collect();
                table::table(Some(table::columns(info)), rows, metadata, version)
            }
        };
        Ok(reply::object(StatusCode::OK, &tree, wanted.form))
    }
}

/// The name that a client gave to a new object; empty where the server chooses.
pub(super) fn asked_name(info: &ResourceInfo, asked: &Tree) -> String {
    match info.naming {
        Naming::Generated { .. } => String::new(),
        _ => crate::object::meta_text(asked, "name").to_owned(),
    }
}

/// The path of a create has no name, but what is wrong with the new object itself is told under its name.
pub(super) fn refused_create(
    info: &ResourceInfo,
    name: &str,
    refusal: Refusal,
) -> Result<Response<Body>, Refusal> {
    match refusal {
        Refusal::NotFound
        | Refusal::AlreadyExists
        | Refusal::AlreadyExistsLeaving
        | Refusal::Conflict(_)
        | Refusal::Invalid(_) => Ok(reply::status(&refusal.status(&Subject::new(info, name)), Form::JSON)),
        other => Err(other),
    }
}

/// One object in the negotiated view. Secrets are only in the object itself: a table or bare metadata never shows them.
fn one(
    kind: &dyn Kind,
    cx: &Cx,
    code: StatusCode,
    object: Tree,
    once: Option<Once>,
    wanted: &Wanted,
) -> Response<Body> {
    answer(kind.info(), &|object| kind.row(object, cx), cx, code, object, once, wanted)
}

/// The same for an object of any sort of resource, given its cells.
pub(super) fn answer(
    info: &ResourceInfo,
    cells: &dyn Fn(&Tree) -> Vec<Tree>,
    cx: &Cx,
    code: StatusCode,
    object: Tree,
    once: Option<Once>,
    wanted: &Wanted,
) -> Response<Body> {
    let Wanted { view, form, include } = *wanted;
    let response = match (view, once) {
        (View::Object, Some(once)) => reply::object_once(code, object, once, form),
        (View::Object, None) => reply::object(code, &object, form),
        (View::Metadata(version), _) => reply::object(code, &table::partial(&object, version), form),
        (View::Table(version), _) => {
            let row = table::row_of(cells(&object), &object, include, version);
            let revision = object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
            let columns = Some(table::columns(info));
            let table =
                table::table(columns, vec![row], serde_json::json!({"resourceVersion": revision}), version);
            reply::object(code, &table, form)
        }
    };
    warned(response, cx)
}

fn warned(mut response: Response<Body>, cx: &Cx) -> Response<Body> {
    reply::warn(&mut response, &cx.take_warnings());
    response
}

/// The object of a create or a PUT; duplicate members are told or refused by `fieldValidation`.
pub(super) fn read_object(
    info: &ResourceInfo,
    cx: &Cx,
    parts: &Parts,
    bytes: &[u8],
) -> Result<Tree, Refusal> {
    let content_type = body::content_type(&parts.headers);
    let decoded = body::decode_object(&content_type, bytes, info)?;
    let texts: Vec<String> =
        decoded.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    match cx.validation {
        Validation::Ignore => {}
        Validation::Warn => texts.into_iter().for_each(|text| cx.warn(text)),
        Validation::Strict if texts.is_empty() => {}
        Validation::Strict => {
            // Unknown members belong into the same answer.
            let checked = crate::decode::check(&info.schema, &decoded.tree, info.kind);
            let unknown = checked.unknown.iter().map(|path| format!("unknown field \"{path}\""));
            let all: Vec<String> = unknown.chain(texts).collect();
            return Err(Refusal::BadRequest(crate::ops::strict(info, &all)));
        }
    }
    Ok(decoded.tree)
}

pub(super) fn read_patch(info: &ResourceInfo, cx: &Cx, request: &Request<'_>) -> Result<Change, Refusal> {
    let content_type = body::content_type(&request.parts.headers);
    let served = info.patch_types;
    let patch_type = PatchType::from_content_type(&content_type).filter(|t| served.contains(t));
    let unknown =
        || Refusal::UnsupportedMediaType(served.iter().map(|t| t.content_type().to_owned()).collect());
    let patch_type = patch_type.ok_or_else(unknown)?;
    if request.query.has("force") {
        let error =
            crate::field_error::FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(Refusal::InvalidOptions("PatchOptions", vec![error]));
    }
    let decoded = body::decode_plain(&content_type, &request.bytes)?;
    let patch = decoded.tree;
    let mut texts: Vec<String> =
        decoded.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    if patch_type == PatchType::Json {
        texts.extend(
            unknown_members(&patch).iter().map(|path| format!("json patch unknown field \"{path}\"")),
        );
    }
    match cx.validation {
        Validation::Strict if !texts.is_empty() => {
            let why = format!("strict decoding error: {}", texts.join(", "));
            return Err(Refusal::Invalid(vec![crate::field_error::FieldError::invalid("patch", "", why)]));
        }
        Validation::Warn => texts.into_iter().for_each(|text| cx.warn(text)),
        _ => {}
    }
    match patch_type {
        PatchType::Json => Ok(Change::Json(patch)),
        PatchType::Merge => Ok(Change::Merge(patch)),
        PatchType::StrategicMerge => Ok(Change::Strategic(patch)),
        PatchType::Apply => Err(unknown()),
    }
}
