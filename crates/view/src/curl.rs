//! The same request for other clients: a curl command for a POSIX shell, and the request as it goes over the wire.

use serde_json::Value;

use crate::shown;

/// A request that a page is about to send, or could.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, `PUT`, `DELETE`.
    pub method: &'a str,
    /// `https://host[:port]`.
    pub base: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The JSON body, if any.
    pub body: Option<&'a Value>,
}

impl Request<'_> {
    /// The curl command. The credential comes from the environment, as in the reference.
    #[must_use]
    pub fn curl(&self) -> String {
        let mut out = String::from("curl -u \"${CATTLE_ACCESS_KEY}:${CATTLE_SECRET_KEY}\"");
        if self.method != "GET" {
            out.push_str(" \\\n  -X ");
            out.push_str(self.method);
        }
        out.push_str(" \\\n  -H 'Accept: application/json'");
        if let Some(body) = self.body {
            out.push_str(" \\\n  -H 'Content-Type: application/json' \\\n  -d ");
            out.push_str(&quoted(&compact(body)));
        }
        out.push_str(" \\\n  ");
        out.push_str(&quoted(&format!("{}{}", self.base, self.target)));
        out
    }

    /// The request as HTTP/1.1 writes it.
    #[must_use]
    pub fn raw(&self) -> String {
        let host = self.base.split_once("://").map_or(self.base, |(_, host)| host);
        let mut out =
            format!("{} {} HTTP/1.1\nHost: {host}\nAccept: application/json", self.method, self.target);
        if let Some(body) = self.body {
            out.push_str("\nContent-Type: application/json\n\n");
            out.push_str(&compact(body));
        }
        out
    }
}

/// JSON in which nothing deceives the eye.
fn compact(value: &Value) -> String {
    match value {
        Value::String(text) => shown::quoted(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(compact).collect::<Vec<_>>().join(", "))
        }
        Value::Object(members) => {
            let all: Vec<String> =
                members.iter().map(|(k, v)| format!("{}: {}", shown::quoted(k), compact(v))).collect();
            format!("{{{}}}", all.join(", "))
        }
        other => other.to_string(),
    }
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_delete_is_the_command_of_the_reference() {
        let request = Request { method: "DELETE", base: "https://h", target: "/v3/tokens/a", body: None };
        assert_eq!(
            request.curl().replace(" \\\n ", ""),
            "curl -u \"${CATTLE_ACCESS_KEY}:${CATTLE_SECRET_KEY}\" -X DELETE -H 'Accept: application/json' 'https://h/v3/tokens/a'"
        );
        assert_eq!(request.raw(), "DELETE /v3/tokens/a HTTP/1.1\nHost: h\nAccept: application/json");
    }

    #[test]
    fn a_body_cannot_leave_its_quotes() {
        let body = json!({"description": "it's $(rm -rf /) `x` \u{202e}\n"});
        let request = Request { method: "POST", base: "https://h", target: "/v3/tokens", body: Some(&body) };
        assert!(request.curl().contains(r#"-d '{"description": "it'\''s $(rm -rf /) `x` \u202e\n"}'"#));
    }
}
