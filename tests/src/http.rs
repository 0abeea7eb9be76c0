//! Plain requests over TLS, trusting the server's own authority only.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue, Request};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::tape::Tape;
use crate::wait::PATIENCE;

/// JSON merge patch.
pub const MERGE: &str = "application/merge-patch+json";
/// JSON patch.
pub const JSON_PATCH: &str = "application/json-patch+json";
/// Strategic merge patch.
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// The `Accept` of kubectl's `get`.
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// A client: where to, and with which headers. Clones share connections and the tape.
#[derive(Clone)]
pub struct Http {
    agent: Agent,
    base: String,
    headers: Vec<(String, String)>,
    tape: Tape,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    pub asked: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The agent that trusts this file's certificates, and shows a client certificate if there is one.
pub fn agent(ca: &Path, client: Option<(&[u8], &[u8])>, timeout: Option<Duration>) -> Agent {
    let pem = std::fs::read(ca).unwrap_or_else(|e| panic!("{}: {e}", ca.display()));
    let roots: Vec<Certificate<'static>> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    assert!(!roots.is_empty(), "{} holds no certificate", ca.display());
    let client = client.map(|(certificate, key)| {
        ClientCert::new_with_certs(
            &[Certificate::from_pem(certificate).expect("a client certificate")],
            PrivateKey::from_pem(key).expect("its key"),
        )
    });
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(client)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(1 << 20)
        // A connection each: a server that refuses early may close behind its reply, and the next request must not find out.
        .max_idle_connections(0)
        .timeout_global(timeout)
        .proxy(None)
        .build()
        .new_agent()
}

impl Http {
    /// A client without credentials.
    pub fn new(base: String, ca: &Path, tape: Tape) -> Http {
        Http { agent: agent(ca, None, Some(PATIENCE)), base, headers: Vec::new(), tape }
    }

    /// A client with a client certificate (both PEM).
    pub fn with_certificate(base: String, ca: &Path, tape: Tape, certificate: &[u8], key: &[u8]) -> Http {
        Http { agent: agent(ca, Some((certificate, key)), Some(PATIENCE)), base, headers: Vec::new(), tape }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Http {
        let mut other = self.clone();
        other.headers.push((name.to_owned(), value.to_owned()));
        other
    }

    /// The same, presenting this token and no other.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Http {
        let mut other = self.clone();
        other.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        other.with("Authorization", &format!("Bearer {token}"))
    }

    /// The same without any header.
    #[must_use]
    pub fn anonymous(&self) -> Http {
        Http { headers: Vec::new(), ..self.clone() }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Sends anything. `Err` when no answer came.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Option<&[u8]>,
    ) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let headers = request.headers_mut().expect("headers");
        for (name, value) in &self.headers {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a header name"),
                HeaderValue::from_bytes(value.as_bytes()).expect("a header value"),
            );
        }
        if !headers.contains_key("user-agent") {
            headers.insert("user-agent", HeaderValue::from_static("eartag-tests/1"));
        }
        if !headers.contains_key("accept") {
            headers.insert("accept", HeaderValue::from_static("*/*"));
        }
        if !content_type.is_empty() {
            headers.insert("content-type", HeaderValue::from_str(content_type).expect("a content type"));
        }
        let needs_body = matches!(method, "POST" | "PUT" | "PATCH");
        let response = match body {
            Some(body) => self.agent.run(request.body(body.to_vec()).map_err(|e| e.to_string())?),
            None if needs_body => self.agent.run(request.body(Vec::new()).map_err(|e| e.to_string())?),
            None => self.agent.run(request.body(()).map_err(|e| e.to_string())?),
        };
        let mut response = response.map_err(|e| e.to_string())?;
        let status = response.status().as_u16();
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
            .collect();
        let body =
            response.body_mut().with_config().limit(1 << 30).read_to_vec().map_err(|e| e.to_string())?;
        let asked = format!("{method} {path}");
        let mut noted = Vec::new();
        for (name, value) in &headers {
            noted.extend_from_slice(format!("{name}: {value}\n").as_bytes());
        }
        noted.extend_from_slice(&body);
        self.tape.note(format!("{asked} → {status}"), &noted);
        Ok(Reply { asked, status, headers, body })
    }

    /// Sends anything and wants an answer.
    pub fn send(&self, method: &str, path: &str, content_type: &str, body: Option<&[u8]>) -> Reply {
        self.try_send(method, path, content_type, body).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "", None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, "application/json", Some(body.to_string().as_bytes()))
    }

    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", path, "application/json", Some(body.to_string().as_bytes()))
    }

    pub fn patch(&self, path: &str, content_type: &str, body: &Value) -> Reply {
        self.send("PATCH", path, content_type, Some(body.to_string().as_bytes()))
    }

    pub fn merge(&self, path: &str, body: &Value) -> Reply {
        self.patch(path, MERGE, body)
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, "", None)
    }

    pub fn delete_with(&self, path: &str, body: &Value) -> Reply {
        self.send("DELETE", path, "application/json", Some(body.to_string().as_bytes()))
    }

    /// Who the server says we are; `None` when it refuses.
    pub fn whoami(&self) -> Option<String> {
        let reply = self.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &serde_json::json!({}));
        (reply.status == 201).then(|| text(&reply.json()["status"]["userInfo"]["username"]))
    }

    /// The store's revision, as a list shows it.
    pub fn revision(&self, path: &str) -> u64 {
        let list =
            self.get(&format!("{path}{}limit=1", if path.contains('?') { '&' } else { '?' })).want(200);
        text(&list["metadata"]["resourceVersion"]).parse().expect("a decimal resourceVersion")
    }
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{}: {e}: {}", self.asked, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, of a reply with this status.
    #[track_caller]
    pub fn want(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Wants a `Status` of this code and reason; gives its message.
    #[track_caller]
    pub fn refused(&self, code: u16, reason: &str) -> String {
        let status = self.want(code);
        assert_eq!(status["kind"], "Status", "{}: {status}", self.asked);
        assert_eq!(status["apiVersion"], "v1", "{}: {status}", self.asked);
        assert_eq!(status["status"], "Failure", "{}: {status}", self.asked);
        assert_eq!(status["code"], code, "{}: {status}", self.asked);
        assert_eq!(status["reason"].as_str().unwrap_or(""), reason, "{}: {status}", self.asked);
        text(&status["message"])
    }

    /// The `message` of a `Status`.
    pub fn message(&self) -> String {
        text(&self.json()["message"])
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }
}

/// A string out of JSON.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}

/// The names of a list's items, in order.
#[track_caller]
pub fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap_or_else(|| panic!("items is no list: {list}"));
    items.iter().map(|item| text(&item["metadata"]["name"])).collect()
}
