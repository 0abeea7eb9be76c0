//! Bodies: bounded reading of what clients send, and the type of what we answer.

use std::convert::Infallible;
use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};

use crate::decode::{self, Decoded, Limits};
use crate::info::ResourceInfo;
use crate::protobuf;
use crate::refusal::Refusal;

/// What is sent and received.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Largest body of a request, in bytes (spec W1).
pub const LARGEST: usize = 3 * 1024 * 1024;

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body made while it is sent.
pub fn streamed(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    use futures_util::TryStreamExt;
    StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync()
}

/// Reads a whole body, up to [`LARGEST`].
pub async fn read(mut body: Body) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > LARGEST as u64 {
        return Err(Refusal::TooLarge(LARGEST));
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Refusal::BadRequest(format!("the body could not be read: {error}")))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > LARGEST {
                return Err(Refusal::TooLarge(LARGEST));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

/// The essence of the Content-Type, in lower case; a missing one means JSON (spec W2).
pub fn content_type(headers: &HeaderMap) -> String {
    let sent = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match sent.split(';').next().unwrap_or_default().trim() {
        "" => "application/json".to_owned(),
        essence => essence.to_ascii_lowercase(),
    }
}

/// Media types of bodies.
pub const READABLE: [&str; 3] = ["application/json", "application/yaml", protobuf::MEDIA_TYPE];

/// Decodes an object that a client sent as JSON, YAML or (where kubectl does so) protobuf. An empty body is no object.
pub fn decode_object(content_type: &str, bytes: &[u8], info: &ResourceInfo) -> Result<Decoded, Refusal> {
    let decoded = match content_type {
        "application/json" => decode::from_json(bytes, Limits::default()),
        "application/yaml" | "text/yaml" | "application/x-yaml" => {
            decode::from_yaml(bytes, Limits::default())
        }
        protobuf::MEDIA_TYPE if protobuf::is_readable(info.group, info.kind) => {
            return protobuf::decode(bytes, &info.api_version(), info.kind)
                .map(|tree| Decoded { tree, duplicates: Vec::new() })
                .map_err(|error| undecodable(info, &error.to_string()));
        }
        _ => return Err(Refusal::UnsupportedMediaType(READABLE.iter().map(|t| (*t).to_owned()).collect())),
    };
    decoded.map_err(|error| undecodable(info, &error.to_string()))
}

/// Whether the content type says JSON or YAML.
pub fn is_plain(content_type: &str) -> bool {
    matches!(content_type, "application/json" | "application/yaml" | "text/yaml" | "application/x-yaml")
}

/// Decodes a patch or delete options: JSON unless the type says YAML.
pub fn decode_plain(content_type: &str, bytes: &[u8]) -> Result<Decoded, Refusal> {
    let decoded = if content_type.contains("yaml") {
        decode::from_yaml(bytes, Limits::default())
    } else {
        decode::from_json(bytes, Limits::default())
    };
    decoded.map_err(|error| Refusal::BadRequest(error.to_string()))
}

fn undecodable(info: &ResourceInfo, error: &str) -> Refusal {
    Refusal::BadRequest(format!(
        "{} in version \"{}\" cannot be handled as a {}: {error}",
        info.kind, info.version, info.kind
    ))
}
