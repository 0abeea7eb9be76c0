//! What goes wrong between this program and a server, as one sentence each.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// The longest text of a server that is shown, in characters.
const LONGEST: usize = 2000;

/// Why there is no answer, or not the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Something in the kubeconfig that only shows when it is used.
    #[error("{0}")]
    Unusable(String),
    /// No connection.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// The server's URL.
        server: String,
        /// Why not.
        why: String,
    },
    /// The server is not who it should be.
    #[error("{server} is not trusted: {why}")]
    Untrusted {
        /// The server's URL.
        server: String,
        /// Why not.
        why: String,
        /// Whether nobody that is trusted speaks for it, and nothing else is wrong with it.
        stranger: bool,
    },
    /// There is nobody to trust.
    #[error("this machine trusts no certificate authority, and no other is named (certificate-authority)")]
    NoAuthorities,
    /// The answer took too long. Whether a change happened is not known.
    #[error("{server} did not answer within {} seconds", .after.as_secs())]
    Slow {
        /// The server's URL.
        server: String,
        /// How long that was.
        after: Duration,
    },
    /// The server refuses.
    #[error("{}", refusal(*.status, .reason, .message))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// `reason` of a Kubernetes Status, or `code` of /v3; may be empty.
        reason: String,
        /// In the server's words; may be empty.
        message: String,
    },
    /// Redirects are not followed: they would carry the credentials elsewhere.
    #[error(
        "{server} answers with a redirect{to}, which is not followed: the server in the kubeconfig is probably not the right one"
    )]
    Redirect {
        /// The server's URL.
        server: String,
        /// ` to …`, or empty.
        to: String,
    },
    /// The answer is larger than anything that was asked for.
    #[error("{server} answers with more than {limit} bytes")]
    TooLarge {
        /// The server's URL.
        server: String,
        /// The limit.
        limit: u64,
    },
    /// The answer is not what such a server says.
    #[error("{server} does not answer like a server of this API: {why}")]
    Foreign {
        /// The server's URL.
        server: String,
        /// What is odd about it.
        why: String,
    },
}

impl ClientError {
    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the server would be trusted if one more authority were.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        matches!(self, Self::Untrusted { stranger: true, .. } | Self::NoAuthorities)
    }

    /// Reads the body of a refusal: a Kubernetes `Status`, or one of the two shapes of /v3.
    #[must_use]
    pub(super) fn refused(status: u16, body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Said {
            reason: Value,
            code: Value,
            message: Value,
        }
        let said: Said = serde_json::from_slice(body).unwrap_or_default();
        // `code` is a number in a Status and a word at /v3.
        let word = |value: &Value| value.as_str().map(printable).unwrap_or_default();
        let reason = Some(word(&said.reason)).filter(|reason| !reason.is_empty());
        Self::Refused {
            status,
            reason: reason.unwrap_or_else(|| word(&said.code)),
            message: word(&said.message),
        }
    }
}

fn refusal(status: u16, reason: &str, message: &str) -> String {
    let name = if reason.is_empty() { phrase(status) } else { reason };
    let code = if name.is_empty() { status.to_string() } else { format!("{status} {name}") };
    let who = if status == 401 { "the server does not accept the credentials" } else { "the server refuses" };
    // "Unauthorized" alone says nothing new.
    if message.is_empty() || message == name {
        format!("{who} ({code})")
    } else {
        format!("{who} ({code}): {message}")
    }
}

fn phrase(status: u16) -> &'static str {
    ureq::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

/// A text of somebody else's, made fit for a terminal: no control characters, and an end.
pub fn printable(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() || is_directional(c) { ' ' } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// Characters that make a terminal show text in another order than it has.
fn is_directional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn said(status: u16, body: &str) -> String {
        ClientError::refused(status, body.as_bytes()).to_string()
    }

    #[test]
    fn a_kubernetes_status_and_both_shapes_of_v3_become_one_sentence() {
        assert_eq!(
            said(
                404,
                r#"{"kind":"Status","code":404,"reason":"NotFound","message":"tokens \"x\" not found"}"#
            ),
            "the server refuses (404 NotFound): tokens \"x\" not found"
        );
        assert_eq!(
            said(
                422,
                r#"{"type":"error","status":422,"code":"MinLimitExceeded","message":"ttl must not be negative"}"#
            ),
            "the server refuses (422 MinLimitExceeded): ttl must not be negative"
        );
        assert_eq!(
            said(401, r#"{"type":"error","status":"401","message":"Unauthorized 401: must authenticate"}"#),
            "the server does not accept the credentials (401 Unauthorized): Unauthorized 401: must authenticate"
        );
        assert_eq!(
            said(401, r#"{"kind":"Status","reason":"Unauthorized","message":"Unauthorized","code":401}"#),
            "the server does not accept the credentials (401 Unauthorized)"
        );
    }

    #[test]
    fn other_bodies_leave_the_status() {
        for body in ["", "<html>oops</html>", "[]", "{\"message\":7}", "null", "\"x\""] {
            assert_eq!(said(502, body), "the server refuses (502 Bad Gateway)", "{body}");
        }
        assert_eq!(said(599, ""), "the server refuses (599)");
    }

    #[test]
    fn a_terminal_obeys_nobody_but_us() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n\u{202e}c"), "a [2Jb   c");
        assert_eq!(printable(&"x".repeat(5000)).chars().count(), LONGEST + 1);
        assert!(!said(400, r#"{"message":"\u001b]0;x\u0007"}"#).contains('\u{1b}'));
    }
}
