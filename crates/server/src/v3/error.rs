//! The one place where a refusal becomes a `/v3` error (v3-token.md §1.5).

use eartag_apiserver::Tree;
use eartag_apiserver::field_error::{CauseReason, FieldError};
use eartag_apiserver::refusal::{Refusal, Subject};
use serde_json::json;

/// An error in `/v3`'s words. Texts are for people and show nothing internal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct V3Error {
    /// HTTP status.
    pub status: u16,
    /// The word for programs, of the table in v3-token.md §1.5; Kubernetes' reason where that table has none.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// The member that is wrong, or empty.
    pub field: String,
    /// Seconds for `Retry-After`.
    pub retry_after_s: Option<u64>,
}

impl V3Error {
    /// An error of its own making.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> V3Error {
        V3Error { status, code, message: message.into(), field: String::new(), retry_after_s: None }
    }

    /// Names the member it is about.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> V3Error {
        self.field = field.into();
        self
    }

    /// 422: the body cannot be used.
    pub fn body(message: impl Into<String>) -> V3Error {
        V3Error::new(422, "InvalidBodyContent", message)
    }

    /// 422: a member has the wrong type or form.
    pub fn format(field: &str, message: impl Into<String>) -> V3Error {
        V3Error::new(422, "InvalidFormat", message).field(field)
    }

    /// 422: a member that must be there is not.
    pub fn missing(field: &str) -> V3Error {
        V3Error::new(422, "MissingRequired", format!("{field} is required")).field(field)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> V3Error {
        V3Error::new(404, "NotFound", message)
    }

    /// 405; the code lacks its ending in the reference too.
    pub fn method_not_allowed(method: &http::Method) -> V3Error {
        V3Error::new(405, "MethodNotAllow", format!("Method {method} not supported"))
    }

    /// 422 for an action that nobody has heard of.
    pub fn invalid_action(name: &str) -> V3Error {
        V3Error::new(422, "InvalidAction", format!("Invalid action: {name}"))
    }

    /// 404 for an action that this object does not offer to this caller.
    pub fn action_not_available(name: &str) -> V3Error {
        V3Error::new(404, "ActionNotAvailable", format!("Action {name} not available"))
    }

    /// 403.
    pub fn permission_denied(message: impl Into<String>) -> V3Error {
        V3Error::new(403, "PermissionDenied", message)
    }

    /// 422 for an unsafe request by cookie that no page of ours made (DEC54).
    pub fn csrf() -> V3Error {
        V3Error::new(422, "InvalidCSRFToken", "Invalid CSRF token")
    }

    /// A refusal of the resource code about that subject.
    pub fn of(refusal: &Refusal, about: &Subject<'_>) -> V3Error {
        let status = refusal.status(about);
        let code = match refusal {
            Refusal::Unauthorized => "Unauthorized",
            Refusal::Forbidden(_) | Refusal::ForbiddenText(_) => "PermissionDenied",
            Refusal::NotFound | Refusal::NotFoundHint(_) | Refusal::NoSuchResource => "NotFound",
            Refusal::MethodNotAllowed => "MethodNotAllow",
            Refusal::Invalid(errors) => errors.first().map_or("InvalidBodyContent", invalid_code),
            Refusal::InvalidOptions(..) => "InvalidOption",
            Refusal::Inapplicable(_) => "InvalidBodyContent",
            Refusal::Internal(_) => "ServerError",
            _ if status.reason.is_empty() => "ServerError",
            _ => status.reason,
        };
        let field = match refusal {
            Refusal::Invalid(errors) | Refusal::InvalidOptions(_, errors) => {
                errors.first().map(|e| last_member(&e.field)).unwrap_or_default()
            }
            _ => "",
        };
        let retry_after_s = status.retry_after_s();
        V3Error {
            status: status.code,
            code,
            message: unescaped(&status.message),
            field: field.to_owned(),
            retry_after_s,
        }
    }

    /// The body.
    #[must_use]
    pub fn to_tree(&self) -> Tree {
        let mut body = json!({
            "baseType": "error", "type": "error", "code": self.code, "message": self.message, "status": self.status,
        });
        if !self.field.is_empty()
            && let Some(members) = body.as_object_mut()
        {
            members.insert("fieldName".to_owned(), self.field.clone().into());
        }
        body
    }
}

/// The body of the filter before `/v3`: one text for every reason, the status as a string (DEC52).
#[must_use]
pub fn must_authenticate() -> Tree {
    json!({"type": "error", "status": "401", "message": "Unauthorized 401: must authenticate"})
}

fn invalid_code(error: &FieldError) -> &'static str {
    match error.reason {
        CauseReason::Required => "MissingRequired",
        CauseReason::Duplicate => "NotUnique",
        CauseReason::NotSupported => "InvalidOption",
        CauseReason::NotFound => "InvalidReference",
        CauseReason::TooLong | CauseReason::TooMany => "MaxLimitExceeded",
        CauseReason::Invalid | CauseReason::TypeInvalid | CauseReason::Forbidden => "InvalidFormat",
        CauseReason::Internal | CauseReason::FieldManagerConflict => "InvalidBodyContent",
    }
}

/// `/v3` is flat: of `metadata.name` it knows `name`.
fn last_member(path: &str) -> &str {
    let member = path.rsplit('.').next().unwrap_or(path);
    member.split('[').next().unwrap_or(member)
}

/// Kubernetes escapes markup in its forbidden texts; `/v3` answers with JSON and `nosniff`, where that would only be hard to read.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    const USER: Subject<'static> =
        Subject { group: "management.cattle.io", plural: "users", kind: "User", name: "u-ann" };

    #[test]
    fn the_body_has_its_five_members_and_a_number_as_status() {
        let tree = V3Error::not_found("token-zzzzz not found").to_tree();
        assert_eq!(
            tree.to_string(),
            r#"{"baseType":"error","code":"NotFound","message":"token-zzzzz not found","status":404,"type":"error"}"#
        );
    }

    #[test]
    fn the_filter_in_front_has_a_shape_of_its_own() {
        assert_eq!(
            must_authenticate().to_string(),
            r#"{"message":"Unauthorized 401: must authenticate","status":"401","type":"error"}"#
        );
    }

    #[test]
    fn every_refusal_has_a_code_of_the_table_or_the_reason_of_kubernetes() {
        let code = |refusal: Refusal| {
            let error = V3Error::of(&refusal, &USER);
            (error.status, error.code)
        };
        assert_eq!(code(Refusal::NotFound), (404, "NotFound"));
        assert_eq!(code(Refusal::Forbidden("x".into())), (403, "PermissionDenied"));
        assert_eq!(code(Refusal::BadRequest("x".into())), (400, "BadRequest"));
        assert_eq!(code(Refusal::Conflict("x".into())), (409, "Conflict"));
        assert_eq!(code(Refusal::AlreadyExists), (409, "AlreadyExists"));
        assert_eq!(code(Refusal::Internal("x".into())), (500, "ServerError"));
        assert_eq!(code(Refusal::MethodNotAllowed), (405, "MethodNotAllow"));
        assert_eq!(code(Refusal::Invalid(vec![])), (422, "InvalidBodyContent"));
        assert_eq!(code(Refusal::Invalid(vec![FieldError::duplicate("username", "a")])), (422, "NotUnique"));
    }

    #[test]
    fn the_member_at_fault_is_named_as_v3_names_it() {
        let refusal = Refusal::Invalid(vec![FieldError::invalid("metadata.labels[0]", "a", "no")]);
        assert_eq!(V3Error::of(&refusal, &USER).field, "labels");
        assert_eq!(V3Error::missing("username").to_tree()["fieldName"], "username");
    }

    #[test]
    fn retry_after_is_carried_over() {
        let refusal = Refusal::TooManyRequests { message: "slow down".into(), retry_after_s: 7 };
        assert_eq!(V3Error::of(&refusal, &USER).retry_after_s, Some(7));
    }

    #[test]
    fn texts_are_not_escaped_for_html() {
        let error = V3Error::of(&Refusal::Forbidden("<b> & c".into()), &USER);
        assert!(error.message.ends_with("<b> & c"), "{}", error.message);
    }
}
