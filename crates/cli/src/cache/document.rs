//! What is in `cli2.json`: `CurrentServer`, and for each server by name its login, its authority and the credentials of kubeconfigs. Whatever else is there is
//! kept as it is.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

const CURRENT: &str = "CurrentServer";
const SERVERS: &str = "Servers";
const CREDENTIALS: &str = "kubeCredentials";
/// A member of ours in a stored credential; the Rancher CLI passes over it.
const AUTHORITY: &str = "authority";
/// In the file this version stands always, as the Rancher CLI writes it; what is answered is another matter.
const STORED_VERSION: &str = "client.authentication.k8s.io/v1beta1";

/// The content. It holds secrets, so it cannot be printed.
#[derive(Default)]
pub struct Document(Map<String, Value>);

/// A token for a kubeconfig.
#[derive(Clone, Debug)]
pub struct Credential {
    /// `name:secret`.
    pub token: SecretString,
    /// When it ends, RFC 3339 as the server said it; never without.
    pub expires: Option<String>,
    /// The authority (PEM) that spoke for the server which gave it, if somebody had named that. It is good for giving the token back, and for nothing else.
    pub authority: Option<String>,
}

/// A login by `login`.
#[derive(Clone, Debug)]
pub struct StoredLogin {
    /// Where.
    pub url: String,
    /// `name:secret`.
    pub token: SecretString,
}

impl StoredLogin {
    /// The same as what has to be given back some day.
    #[must_use]
    pub fn credential(self) -> Credential {
        Credential { token: self.token, expires: None, authority: None }
    }
}

impl Document {
    pub(super) fn of(members: Map<String, Value>) -> Self {
        Self(members)
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serde_json::to_vec(&self.0).unwrap_or_default())
    }

    /// The names of all servers.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.0.get(SERVERS).and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// A text of a server's.
    fn text(&self, server: &str, member: &str) -> Option<&str> {
        let text = self.0.get(SERVERS)?.get(server)?.get(member)?.as_str()?;
        Some(text).filter(|text| !text.is_empty())
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self, server: &str) -> Option<&str> {
        self.text(server, "url")
    }

    /// The authority that was confirmed for it, PEM.
    #[must_use]
    pub fn authority(&self, server: &str) -> Option<&str> {
        self.text(server, "cacert")
    }

    /// The proxy to it.
    #[must_use]
    pub fn proxy(&self, server: &str) -> Option<&str> {
        self.text(server, "proxyUrl")
    }

    /// How long to wait for it, in seconds.
    #[must_use]
    pub fn timeout_s(&self, server: &str) -> Option<u64> {
        self.0.get(SERVERS)?.get(server)?.get("httpTimeoutSeconds")?.as_u64().filter(|seconds| *seconds > 0)
    }

    /// The token of a kubeconfig, by its key.
    #[must_use]
    pub fn credential(&self, server: &str, key: &str) -> Option<Credential> {
        credential(self.0.get(SERVERS)?.get(server)?.get(CREDENTIALS)?.get(key)?)
    }

    /// All tokens of kubeconfigs: server, key, token.
    #[must_use]
    pub fn credentials(&self) -> Vec<(String, String, Credential)> {
        let servers = self.0.get(SERVERS).and_then(Value::as_object).into_iter().flatten();
        let all = servers.flat_map(|(server, entry)| {
            let found = entry.get(CREDENTIALS).and_then(Value::as_object).into_iter().flatten();
            found.filter_map(move |(key, value)| Some((server.clone(), key.clone(), credential(value)?)))
        });
        all.collect()
    }

    /// The login at a server.
    #[must_use]
    pub fn login(&self, server: &str) -> Option<StoredLogin> {
        let token = match self.text(server, "tokenKey") {
            Some(token) => Zeroizing::new(token.to_owned()),
            None => Zeroizing::new(format!(
                "{}:{}",
                self.text(server, "accessKey")?,
                self.text(server, "secretKey")?
            )),
        };
        Some(StoredLogin { url: self.url(server)?.to_owned(), token: SecretString::from(token.as_str()) })
    }

    /// The server that is meant when none is named.
    #[must_use]
    pub fn current(&self) -> Option<&str> {
        self.0.get(CURRENT)?.as_str().filter(|name| !name.is_empty())
    }

    /// Keeps a token under its key.
    pub fn put_credential(&mut self, server: &str, key: &str, credential: &Credential) {
        let mut stored = exec_credential(STORED_VERSION, credential);
        if let (Some(authority), Value::Object(stored)) = (&credential.authority, &mut stored) {
            stored.insert(AUTHORITY.into(), authority.as_str().into());
        }
        if let Some(kept) = self.server(server).and_then(|entry| object(entry, CREDENTIALS)) {
            kept.insert(key.to_owned(), stored);
        }
    }

    /// Forgets a token.
    pub fn forget_credential(&mut self, server: &str, key: &str) {
        let kept = self.existing(server).and_then(|entry| entry.get_mut(CREDENTIALS)?.as_object_mut());
        if let Some(kept) = kept {
            kept.remove(key);
        }
    }

    /// Keeps an authority that was confirmed.
    pub fn put_authority(&mut self, server: &str, url: &str, pem: &str) {
        self.put_texts(server, &[("url", url), ("cacert", pem)]);
    }

    /// Keeps a login, and means it from now on when none is named.
    pub fn put_login(&mut self, server: &str, login: &StoredLogin) {
        let token = login.token.expose_secret();
        let (access, secret) = token.split_once(':').unwrap_or((token, ""));
        let url = login.url.as_str();
        let members = [("url", url), ("tokenKey", token), ("accessKey", access), ("secretKey", secret)];
        self.put_texts(server, &members);
        self.0.insert(CURRENT.into(), server.into());
    }

    /// Forgets a login and all tokens of kubeconfigs of that server. The authority stays: it is still the right one.
    pub fn forget_login(&mut self, server: &str) {
        if let Some(entry) = self.existing(server) {
            for member in ["tokenKey", "accessKey", "secretKey", CREDENTIALS] {
                entry.remove(member);
            }
        }
        if self.current() == Some(server) {
            self.0.remove(CURRENT);
        }
    }

    fn existing(&mut self, name: &str) -> Option<&mut Map<String, Value>> {
        self.0.get_mut(SERVERS)?.get_mut(name)?.as_object_mut()
    }

    fn server(&mut self, name: &str) -> Option<&mut Map<String, Value>> {
        object(object(&mut self.0, SERVERS)?, name)
    }

    fn put_texts(&mut self, server: &str, members: &[(&str, &str)]) {
        let Some(entry) = self.server(server) else { return };
        entry.extend(members.iter().map(|(member, text)| ((*member).to_owned(), Value::from(*text))));
    }
}

/// The answer to who asks for a credential, in one of its versions.
#[must_use]
pub fn exec_credential(version: &str, credential: &Credential) -> Value {
    let mut status = json!({"token": credential.token.expose_secret()});
    if let (Some(expires), Some(status)) = (&credential.expires, status.as_object_mut()) {
        status.insert("expirationTimestamp".into(), expires.as_str().into());
    }
    json!({"kind": "ExecCredential", "apiVersion": version, "spec": {}, "status": status})
}

fn credential(stored: &Value) -> Option<Credential> {
    let status = stored.get("status")?;
    let token = status.get("token")?.as_str().filter(|token| !token.is_empty())?;
    let expires = status.get("expirationTimestamp").and_then(Value::as_str).filter(|time| !time.is_empty());
    let authority = stored.get(AUTHORITY).and_then(Value::as_str).map(str::to_owned);
    Some(Credential { token: SecretString::from(token), expires: expires.map(str::to_owned), authority })
}

/// A member that is an object, and is made one if it is not: what else was there is no use to anybody.
fn object<'a>(parent: &'a mut Map<String, Value>, member: &str) -> Option<&'a mut Map<String, Value>> {
    let place = parent.entry(member).or_insert(Value::Null);
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    place.as_object_mut()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    fn document(text: &str) -> Document {
        match serde_json::from_str(text).unwrap() {
            Value::Object(members) => Document::of(members),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_login_of_the_rancher_cli_is_one_of_ours() {
        let theirs = document(
            r#"{"CurrentServer":"rancherDefault","Servers":{"rancherDefault":{"accessKey":"token-x","secretKey":"s",
                "tokenKey":"token-x:s","url":"https://r.example","cacert":"PEM","kubeCredentials":{"gone":null}}}}"#,
        );
        let login = theirs.login(theirs.current().unwrap()).unwrap();
        assert_eq!((login.url.as_str(), login.token.expose_secret()), ("https://r.example", "token-x:s"));
        assert_eq!(theirs.authority("rancherDefault"), Some("PEM"));
        assert!(theirs.credentials().is_empty());
    }

    #[test]
    fn logging_out_leaves_the_authority_and_nothing_secret() {
        let mut document = Document::default();
        document.put_authority("s", "https://s", "PEM");
        document
            .put_login("s", &StoredLogin { url: "https://s".into(), token: SecretString::from("a:secret") });
        let credential = Credential { token: SecretString::from("b:secret"), expires: None, authority: None };
        document.put_credential("s", "u_", &credential);
        document.forget_login("s");
        let text = String::from_utf8(document.to_bytes().to_vec()).unwrap();
        assert!(!text.contains("secret") && document.current().is_none(), "{text}");
        assert_eq!(document.authority("s"), Some("PEM"));
    }

    proptest! {
        #[test]
        fn whatever_json_is_there_is_taken(member in "Servers|CurrentServer|x", value in ".{0,20}", deep in any::<u8>()) {
            let mut value = Value::from(value);
            for name in ["kubeCredentials", "s", "u_", "status"].iter().take(usize::from(deep % 5)) {
                value = json!({*name: value});
            }
            let mut document = Document::of(Map::from_iter([(member, value)]));
            let credential = Credential { token: SecretString::from("t:x"), expires: None, authority: None };
            document.put_credential("s", "u_", &credential);
            let kept = document.credential("s", "u_").unwrap();
            prop_assert_eq!(kept.token.expose_secret(), "t:x");
            let _ = (document.login("s"), document.current().map(str::to_owned), document.servers().count());
        }
    }
}
