//! Request bodies in Kubernetes' protobuf (N4).
//!
//! Clients built on client-go 0.32 and later send reviews and delete options so, and do not try again in JSON. Answers are JSON, which they accept.
//!
//! ```text
//! "k8s\0" + Unknown { 1: TypeMeta { 1: apiVersion, 2: kind }, 2: raw, 3: contentEncoding, 4: contentType }
//!                                                              └ the object's own message
//! ```
//!
//! A decoded body is the JSON tree that the same client would have sent in JSON: empty members are left out, `status` is dropped. Nesting is bounded by the
//! decoder (100 levels), size by whoever read the body.

mod messages;

use prost::Message;
use serde_json::Value;

use crate::{Map, Tree};
use messages::{
    DeleteOptions, SelfSubjectAccessReview, SelfSubjectReview, SelfSubjectRulesReview, SubjectAccessReview,
    TokenReview, TypeMeta, Unknown,
};

/// The media type of such bodies.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
const MAGIC: &[u8; 4] = b"k8s\0";

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// It is no protobuf of Kubernetes'.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoEnvelope,
    /// It is damaged.
    #[error("unable to decode protobuf: {0}")]
    Malformed(String),
    /// A kind that is taken in JSON and YAML only: 415.
    #[error("no kind \"{kind}\" is registered for protobuf in version \"{api_version}\"")]
    UnknownKind {
        /// As in the body.
        api_version: String,
        /// As in the body.
        kind: String,
    },
}

/// Whether a `Content-Type` says that the body is Kubernetes' protobuf.
#[must_use]
pub fn is_protobuf(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(MEDIA_TYPE))
}

/// Whether bodies of this kind can be read; others get 415. Delete options go by any group, reviews by theirs.
#[must_use]
pub fn is_readable(group: &str, kind: &str) -> bool {
    decoder(group, kind).is_some()
}

/// Reads a body into the tree of the same object in JSON.
///
/// A body that does not name its kind is taken for `kind` of `api_version` (`authorization.k8s.io/v1`), as the URL implies.
///
/// # Errors
/// If the body is no such message, or of a kind that is not read in protobuf.
pub fn decode(body: &[u8], api_version: &str, kind: &str) -> Result<Tree, ProtobufError> {
    let message = body.strip_prefix(MAGIC).ok_or(ProtobufError::NoEnvelope)?;
    let unknown = Unknown::decode(message).map_err(malformed)?;
    if !unknown.content_encoding.is_empty() {
        return Err(ProtobufError::Malformed(format!(
            "content encoding {:?} is not supported",
            unknown.content_encoding
        )));
    }
    let named = unknown.type_meta.unwrap_or_default();
    let api_version = if named.api_version.is_empty() { api_version } else { &named.api_version };
    let kind = if named.kind.is_empty() { kind } else { &named.kind };
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let decode = decoder(group, kind).ok_or_else(|| ProtobufError::UnknownKind {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    })?;
    let mut object = decode(&unknown.raw)?;
    object.insert("apiVersion".to_owned(), Value::from(api_version));
    object.insert("kind".to_owned(), Value::from(kind));
    Ok(Value::Object(object))
}

/// Puts an object's own message into the envelope. For tests and clients; the server answers in JSON.
#[must_use]
pub fn wrap(api_version: &str, kind: &str, raw: Vec<u8>) -> Vec<u8> {
    let unknown = Unknown {
        type_meta: Some(TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() }),
        raw,
        content_encoding: String::new(),
        content_type: String::new(),
    };
    let mut body = MAGIC.to_vec();
    body.extend(unknown.encode_to_vec());
    body
}

type Decode = fn(&[u8]) -> Result<Map, ProtobufError>;

fn decoder(group: &str, kind: &str) -> Option<Decode> {
    Some(match (group, kind) {
        ("authorization.k8s.io", "SelfSubjectAccessReview") => to_object::<SelfSubjectAccessReview>,
        ("authorization.k8s.io", "SubjectAccessReview") => to_object::<SubjectAccessReview>,
        ("authorization.k8s.io", "SelfSubjectRulesReview") => to_object::<SelfSubjectRulesReview>,
        ("authentication.k8s.io", "SelfSubjectReview") => to_object::<SelfSubjectReview>,
        ("authentication.k8s.io", "TokenReview") => to_object::<TokenReview>,
        // Clients encode them in the group and version of the resource that is deleted.
        (_, "DeleteOptions") => to_object::<DeleteOptions>,
        _ => return None,
    })
}

fn to_object<M: Message + Default + Into<Map>>(raw: &[u8]) -> Result<Map, ProtobufError> {
    Ok(M::decode(raw).map_err(malformed)?.into())
}

fn malformed(error: prost::DecodeError) -> ProtobufError {
    ProtobufError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    /// As `kubectl auth can-i list tokens.ext.cattle.io` of 1.32 sends it, put together by hand: the envelope's and the messages' tags and lengths.
    #[test]
    fn an_access_review_is_read_from_its_bytes() {
        let attributes = b"\x0a\x00\x12\x04list\x1a\x0dext.cattle.io\x22\x01*\x2a\x06tokens\x32\x00\x3a\x00";
        let spec = [&[0x0a, attributes.len() as u8], attributes.as_slice()].concat();
        let status = b"\x08\x00\x12\x00\x1a\x00\x20\x00";
        let review = [
            b"\x0a\x08\x0a\x00\x12\x00\x1a\x00\x22\x00".as_slice(),
            &[0x12, spec.len() as u8],
            &spec,
            &[0x1a, status.len() as u8],
            status,
        ]
        .concat();
        let meta = b"\x0a\x17authorization.k8s.io/v1\x12\x17SelfSubjectAccessReview";
        let body = [
            b"k8s\0\x0a".as_slice(),
            &[meta.len() as u8],
            meta,
            &[0x12, review.len() as u8],
            &review,
            b"\x1a\x00\x22\x00",
        ]
        .concat();
        assert_eq!(
            decode(&body, "authorization.k8s.io/v1", "SelfSubjectAccessReview").unwrap(),
            json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {"verb": "list", "group": "ext.cattle.io", "version": "*", "resource": "tokens"}},
            })
        );
    }

    /// Recorded from kubectl 1.32: `auth can-i delete tokens.ext.cattle.io/token-a` and `auth can-i get /metrics`.
    #[test]
    fn what_kubectl_sends_is_understood() {
        let recorded = |hex: &str| -> Vec<u8> {
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
        };
        let envelope = "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f763112\
            1753656c665375626a65637441636365737352657669657712";
        let resource = "550a100a0012001a0022002a0032003800420012370a350a0764656661756c74120664656c6574651a0d\
            6578742e636174746c652e696f22002a06746f6b656e7332003a07746f6b656e2d611a08080012001a0020001a002200";
        let read = decode(&recorded(&format!("{envelope}{resource}")), "", "").unwrap();
        assert_eq!(
            read["spec"],
            json!({"resourceAttributes": {"namespace": "default", "verb": "delete", "group": "ext.cattle.io",
                "resource": "tokens", "name": "token-a"}})
        );
        let path = "2f0a100a0012001a0022002a003200380042001211120f0a082f6d6574726963731203676574\
            1a08080012001a0020001a002200";
        let read = decode(&recorded(&format!("{envelope}{path}")), "", "").unwrap();
        assert_eq!(read["spec"], json!({"nonResourceAttributes": {"path": "/metrics", "verb": "get"}}));
    }

    #[test]
    fn delete_options_are_read_in_any_group() {
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            preconditions: Some(messages::Preconditions { uid: Some("u".into()), resource_version: None }),
            orphan_dependents: None,
            propagation_policy: Some("Background".into()),
            dry_run: vec!["All".into()],
            ignore_store_read_error: None,
        };
        let body = wrap("ext.cattle.io/v1", "DeleteOptions", options.encode_to_vec());
        assert_eq!(
            decode(&body, "v1", "DeleteOptions").unwrap(),
            json!({
                "apiVersion": "ext.cattle.io/v1",
                "kind": "DeleteOptions",
                "gracePeriodSeconds": 0,
                "preconditions": {"uid": "u"},
                "propagationPolicy": "Background",
                "dryRun": ["All"],
            })
        );
    }

    #[test]
    fn every_review_keeps_its_question() {
        let question = json!({
            "spec": {
                "user": "user-abcde", "groups": ["g1", "g2"], "uid": "1", "extra": {"k": ["a", "b"]},
                "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
            },
        });
        let review = SubjectAccessReview {
            spec: Some(messages::SubjectAccessReviewSpec {
                non_resource_attributes: Some(messages::NonResourceAttributes {
                    path: "/metrics".into(),
                    verb: "get".into(),
                }),
                user: "user-abcde".into(),
                groups: vec!["g1".into(), "g2".into()],
                extra: [("k".to_owned(), messages::ExtraValue { items: vec!["a".into(), "b".into()] })]
                    .into(),
                uid: "1".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let body = wrap("", "", review.encode_to_vec());
        let mut read = decode(&body, "authorization.k8s.io/v1", "SubjectAccessReview").unwrap();
        read.as_object_mut().unwrap().retain(|member, _| member == "spec");
        assert_eq!(read, question);

        let review = TokenReview {
            spec: Some(messages::TokenReviewSpec { token: "ext/a:b".into(), audiences: vec!["x".into()] }),
            ..Default::default()
        };
        let body = wrap("authentication.k8s.io/v1", "TokenReview", review.encode_to_vec());
        let read = decode(&body, "", "").unwrap();
        assert_eq!(read["spec"], json!({"token": "ext/a:b", "audiences": ["x"]}));

        let rules = SelfSubjectRulesReview {
            spec: Some(messages::SelfSubjectRulesReviewSpec { namespace: "default".into() }),
            ..Default::default()
        };
        let body = wrap("authorization.k8s.io/v1", "SelfSubjectRulesReview", rules.encode_to_vec());
        assert_eq!(decode(&body, "", "").unwrap()["spec"], json!({"namespace": "default"}));
    }

    #[test]
    fn selectors_of_an_access_review_survive() {
        let requirement = messages::SelectorRequirement {
            key: "k".into(),
            operator: "In".into(),
            values: vec!["v".into()],
        };
        let review = SelfSubjectAccessReview {
            spec: Some(messages::SelfSubjectAccessReviewSpec {
                resource_attributes: Some(messages::ResourceAttributes {
                    label_selector: Some(messages::SelectorAttributes {
                        raw_selector: String::new(),
                        requirements: vec![requirement],
                    }),
                    ..Default::default()
                }),
                non_resource_attributes: None,
            }),
            ..Default::default()
        };
        let body = wrap("authorization.k8s.io/v1", "SelfSubjectAccessReview", review.encode_to_vec());
        assert_eq!(
            decode(&body, "", "").unwrap()["spec"],
            json!({"resourceAttributes": {"labelSelector": {"requirements": [{"key": "k", "operator": "In", "values": ["v"]}]}}})
        );
    }

    #[test]
    fn other_kinds_and_other_bytes_are_refused() {
        let body = wrap("ext.cattle.io/v1", "Token", Vec::new());
        assert!(
            matches!(decode(&body, "", ""), Err(ProtobufError::UnknownKind { kind, .. }) if kind == "Token")
        );
        assert_eq!(decode(b"{}", "v1", "DeleteOptions"), Err(ProtobufError::NoEnvelope));
        assert_eq!(decode(b"", "v1", "DeleteOptions"), Err(ProtobufError::NoEnvelope));
        let damaged = [MAGIC.as_slice(), &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f]].concat();
        assert!(matches!(decode(&damaged, "v1", "DeleteOptions"), Err(ProtobufError::Malformed(_))));
        assert!(!is_readable("ext.cattle.io", "Token"));
        assert!(is_readable("ext.cattle.io", "DeleteOptions"));
        assert!(
            is_protobuf("Application/vnd.kubernetes.protobuf; charset=x") && !is_protobuf("application/json")
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let body = [MAGIC.as_slice(), &bytes].concat();
            let _ = decode(&body, "authorization.k8s.io/v1", "SubjectAccessReview");
            let _ = decode(&wrap("authorization.k8s.io/v1", "SelfSubjectAccessReview", bytes), "", "");
        }
    }
}
