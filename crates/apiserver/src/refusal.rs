//! Why a request was refused, free of transport, and the one place that turns it into a Kubernetes `Status`.

use serde_json::{Value, json};

use crate::field_error::FieldError;
use crate::info::ResourceInfo;

/// Why an operation was not carried out. Texts are for people and show nothing internal.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// 400: the request makes no sense.
    BadRequest(String),
    /// 400 with the reason `Invalid`: what an admission webhook of the reference would have said.
    Denied(String),
    /// 401: no or bad credentials.
    Unauthorized,
    /// 403 with the text after `… is forbidden: `.
    Forbidden(String),
    /// 403 with the whole text given.
    ForbiddenText(String),
    /// 404: no such object, or none that this caller may know of.
    NotFound,
    /// 404 with a hint after the text.
    NotFoundHint(String),
    /// 404: the path means nothing here.
    NoSuchResource,
    /// 405: the resource does not do this.
    MethodNotAllowed,
    /// 406, with the media types that are served.
    NotAcceptable(Vec<String>),
    /// 409: the name is taken.
    AlreadyExists,
    /// 409: the name is taken by an object that is being deleted.
    AlreadyExistsLeaving,
    /// 409: no free name could be generated.
    NoFreeName,
    /// 409 with the text after `Operation cannot be fulfilled on …: `.
    Conflict(String),
    /// 409 for a failed delete precondition: Kubernetes names the kind here, not the plural.
    Precondition(String),
    /// 410: the history does not reach back so far; for a list with a token that goes on inconsistently.
    Expired {
        /// The text.
        message: String,
        /// A fresh continue token, or empty.
        resume: String,
    },
    /// 413: the body is larger than this many bytes.
    TooLarge(usize),
    /// 413 with a text of its own.
    TooMuch(String),
    /// 415, with the media types that are served.
    UnsupportedMediaType(Vec<String>),
    /// 422: fields that are wrong.
    Invalid(Vec<FieldError>),
    /// 422 about the request's options (`ListOptions`, `CreateOptions`, …).
    InvalidOptions(&'static str, Vec<FieldError>),
    /// 422: a well-formed patch that cannot be applied.
    Inapplicable(String),
    /// 429.
    TooManyRequests {
        /// The text.
        message: String,
        /// Seconds until it is worth trying again.
        retry_after_s: u32,
    },
    /// 500: our fault. The text is shown, so it must say nothing internal.
    Internal(String),
    /// 503.
    Unavailable(String),
    /// 504: took too long.
    Timeout(String),
    /// 504: a revision that lies in the future.
    FutureRevision {
        /// The revision asked for.
        asked: u64,
        /// The newest one.
        current: u64,
    },
}

/// Text of a 409 for a stale `resourceVersion`.
pub const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// What a refusal is about, for texts and `details`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// API group.
    pub group: &'a str,
    /// Plural resource.
    pub plural: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Object name, or empty.
    pub name: &'a str,
}

impl<'a> Subject<'a> {
    /// A resource, and an object of it if `name` is not empty.
    pub fn new(info: &'a ResourceInfo, name: &'a str) -> Subject<'a> {
        Subject { group: info.group, plural: info.plural, kind: info.kind, name }
    }

    fn resource(&self) -> String {
        qualified(self.plural, self.group)
    }

    fn kind(&self) -> String {
        qualified(self.kind, self.group)
    }

    fn quoted(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!(" {:?}", self.name) }
    }

    fn details(&self, by_kind: bool) -> serde_json::Map<String, Value> {
        let mut details = serde_json::Map::new();
        let kind = if by_kind { self.kind } else { self.plural };
        for (key, value) in [("name", self.name), ("group", self.group), ("kind", kind)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), value.into());
            }
        }
        details
    }
}

fn qualified(what: &str, group: &str) -> String {
    if group.is_empty() { what.to_owned() } else { format!("{what}.{group}") }
}

/// A Kubernetes `Status` in the making.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason; empty for unknown.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// `details`, possibly empty.
    pub details: serde_json::Map<String, Value>,
    /// List metadata: a continue token, or empty.
    pub resume: String,
}

impl Status {
    /// A failure without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Status {
        Status {
            code,
            reason,
            message: message.into(),
            details: serde_json::Map::new(),
            resume: String::new(),
        }
    }

    /// Seconds for the `Retry-After` header, mirrored from the details.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.details.get("retryAfterSeconds").and_then(Value::as_u64)
    }

    /// The object as it goes over the wire.
    pub fn to_tree(&self) -> Value {
        let mut metadata = serde_json::Map::new();
        if !self.resume.is_empty() {
            metadata.insert("continue".to_owned(), self.resume.clone().into());
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata,
            "status": "Failure", "message": self.message, "code": self.code,
        });
        if let Some(object) = status.as_object_mut() {
            if !self.reason.is_empty() {
                object.insert("reason".to_owned(), self.reason.into());
            }
            if !self.details.is_empty() {
                object.insert("details".to_owned(), Value::Object(self.details.clone()));
            }
        }
        status
    }

    fn with(mut self, details: serde_json::Map<String, Value>) -> Status {
        self.details = details;
        self
    }

    fn retry(mut self, seconds: u32) -> Status {
        self.details.insert("retryAfterSeconds".to_owned(), seconds.into());
        self
    }
}

impl Refusal {
    /// The `Status` of this refusal about that subject (kubernetes-api.md §5).
    pub fn status(&self, about: &Subject<'_>) -> Status {
        let resource = about.resource();
        let quoted = about.quoted();
        match self {
            Refusal::BadRequest(message) => Status::new(400, "BadRequest", message.clone()),
            Refusal::Denied(message) => Status::new(400, "Invalid", message.clone()),
            Refusal::Unauthorized => Status::new(401, "Unauthorized", "Unauthorized"),
            Refusal::Forbidden(why) => {
                Status::new(403, "Forbidden", format!("{resource}{quoted} is forbidden: {}", harmless(why)))
                    .with(about.details(false))
            }
            Refusal::ForbiddenText(text) => {
                Status::new(403, "Forbidden", harmless(text)).with(about.details(false))
            }
            Refusal::NotFound => {
                Status::new(404, "NotFound", format!("{resource}{quoted} not found")).with(about.details(false))
            }
            Refusal::NotFoundHint(hint) => {
                Status::new(404, "NotFound", format!("{resource}{quoted} not found: {hint}")).with(about.details(false))
            }
            Refusal::NoSuchResource => {
                Status::new(404, "NotFound", "the server could not find the requested resource")
            }
            Refusal::MethodNotAllowed => Status::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
            .with(about.details(false)),
            Refusal::NotAcceptable(types) => Status::new(
                406,
                "NotAcceptable",
                format!("only the following media types are accepted: {}", types.join(", ")),
            ),
            Refusal::AlreadyExists => {
                Status::new(409, "AlreadyExists", format!("{resource}{quoted} already exists"))
                    .with(about.details(false))
            }
            Refusal::AlreadyExistsLeaving => Status::new(
                409,
                "AlreadyExists",
                format!("object is being deleted: {resource}{quoted} already exists"),
            )
            .with(about.details(false)),
            Refusal::NoFreeName => Status::new(
                409,
                "AlreadyExists",
                format!("{resource}{quoted} already exists, the server was not able to generate a unique name for the object"),
            )
            .with(about.details(false))
            .retry(1),
            Refusal::Conflict(why) => Status::new(
                409,
                "Conflict",
                format!("Operation cannot be fulfilled on {resource}{quoted}: {why}"),
            )
            .with(about.details(false)),
            Refusal::Precondition(why) => Status::new(
                409,
                "Conflict",
                format!("Operation cannot be fulfilled on {}{quoted}: {why}", about.kind()),
            )
            .with(about.details(true)),
            Refusal::Expired { message, resume } => {
                let mut status = Status::new(410, "Expired", message.clone());
                status.resume.clone_from(resume);
                status
            }
            Refusal::TooLarge(limit) => Status::new(
                413,
                "RequestEntityTooLarge",
                format!("Request entity too large: limit is {limit}"),
            ),
            Refusal::TooMuch(message) => Status::new(413, "RequestEntityTooLarge", message.clone()),
            Refusal::UnsupportedMediaType(types) => Status::new(
                415,
                "UnsupportedMediaType",
                format!(
                    "the body of the request was in an unknown format - accepted media types include: {}",
                    types.join(", ")
                ),
            ),
            Refusal::Invalid(errors) => invalid(about.kind(), about, errors),
            Refusal::InvalidOptions(kind, errors) => invalid(
                format!("{kind}.meta.k8s.io"),
                &Subject { group: "meta.k8s.io", plural: kind, kind, name: "" },
                errors,
            ),
            // Without details, as in Kubernetes: kubectl shows the message only then.
            Refusal::Inapplicable(why) => Status::new(
                422,
                "Invalid",
                format!("the server rejected our request due to an error in our request: {why}"),
            ),
            Refusal::TooManyRequests { message, retry_after_s } => {
                Status::new(429, "TooManyRequests", message.clone()).retry(*retry_after_s)
            }
            Refusal::Internal(why) => {
                Status::new(500, "InternalError", format!("Internal error occurred: {why}"))
            }
            Refusal::Unavailable(message) => {
                Status::new(503, "ServiceUnavailable", message.clone()).retry(1)
            }
            Refusal::Timeout(message) => Status::new(504, "Timeout", format!("Timeout: {message}")),
            Refusal::FutureRevision { asked, current } => {
                let mut details = serde_json::Map::new();
                details.insert(
                    "causes".to_owned(),
                    json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]),
                );
                Status::new(
                    504,
                    "Timeout",
                    format!("Timeout: Too large resource version: {asked}, current: {current}"),
                )
                .with(details)
                .retry(1)
            }
        }
    }
}

fn invalid(kind: String, about: &Subject<'_>, errors: &[FieldError]) -> Status {
    let texts: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.field, e.message)).collect();
    let joined = match texts.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    let name = if about.name.is_empty() { "\"\"".to_owned() } else { format!("{:?}", about.name) };
    let mut details = about.details(true);
    let causes: Vec<Value> = errors
        .iter()
        .map(|e| json!({"reason": e.reason.as_str(), "message": e.message, "field": e.field}))
        .collect();
    details.insert("causes".to_owned(), causes.into());
    Status::new(422, "Invalid", format!("{kind} {name} is invalid: {joined}")).with(details)
}

/// Forbidden texts repeat what the caller sent; browsers must not take it for markup (kubernetes-api.md E5).
fn harmless(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use super::*;

    const TOKEN: Subject<'static> =
        Subject { group: "ext.cattle.io", plural: "tokens", kind: "Token", name: "a" };

    #[test]
    fn a_missing_object_is_named_with_its_plural_and_group() {
        let status = Refusal::NotFound.status(&TOKEN);
        assert_eq!(status.message, "tokens.ext.cattle.io \"a\" not found");
        assert_eq!(
            status.to_tree()["details"],
            json!({"name": "a", "group": "ext.cattle.io", "kind": "tokens"})
        );
    }

    #[test]
    fn a_forbidden_create_has_no_name_and_no_markup() {
        let status = Refusal::Forbidden("user <b> is not a Rancher user".to_owned())
            .status(&Subject { name: "", ..TOKEN });
        assert_eq!(status.message, "tokens.ext.cattle.io is forbidden: user &lt;b&gt; is not a Rancher user");
    }

    #[test]
    fn a_future_revision_carries_the_cause_that_clients_look_for() {
        let tree = Refusal::FutureRevision { asked: 999, current: 120 }.status(&TOKEN).to_tree();
        assert_eq!(tree["message"], "Timeout: Too large resource version: 999, current: 120");
        assert_eq!(tree["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
        assert_eq!(tree["details"]["retryAfterSeconds"], 1);
    }
}
