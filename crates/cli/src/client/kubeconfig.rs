//! Kubeconfig files, as kubectl finds, merges and reads them.
//!
//! What a client would do with less safety than the file seems to promise, or cannot do yet, is refused and never passed over: certificates that are not
//! checked, impersonation it does not know, exec plugins.

mod file;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eartag_api::secret::SecretText;
use eartag_server::files::{read_small, why};
use secrecy::SecretString;
use ureq::http::Uri;
use zeroize::Zeroizing;

pub use file::Kubeconfig;
use file::{Cluster, Context, Origin, User};

/// Where the server's own directory would be, seen from here.
const OWN: &str = "eartag-data/kubeconfig/admin.yaml";
/// The largest certificate, key or token file, in bytes.
const SMALL: u64 = 1 << 20;

/// Where kubeconfigs are looked for, the first kind that is there.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// `--kubeconfig`: this file, which must be there.
    pub flag: Option<PathBuf>,
    /// `$KUBECONFIG`: a list of files, those that are there; the first to define something wins.
    pub variable: Option<OsString>,
    /// The kubeconfig of a server that runs here, if there is one.
    pub own: PathBuf,
    /// `~`.
    pub home: Option<PathBuf>,
}

impl Sources {
    /// Those of this process.
    pub fn of_process(flag: Option<&Path>) -> Self {
        Self {
            flag: flag.map(Path::to_owned),
            variable: std::env::var_os("KUBECONFIG"),
            own: PathBuf::from(OWN),
            home: std::env::home_dir(),
        }
    }

    /// The files to read, in order of precedence.
    fn files(&self) -> Result<Vec<PathBuf>, KubeconfigError> {
        if let Some(file) = &self.flag {
            return if file.exists() {
                Ok(vec![file.clone()])
            } else {
                Err(KubeconfigError::Missing(file.clone()))
            };
        }
        if let Some(list) = self.variable.as_ref().filter(|list| !list.is_empty()) {
            let mut seen = BTreeSet::new();
            let named = std::env::split_paths(list).filter(|file| !file.as_os_str().is_empty());
            let files: Vec<_> = named.filter(|file| seen.insert(file.clone()) && file.exists()).collect();
            return if files.is_empty() {
                Err(KubeconfigError::VariableMissing(list.to_string_lossy().into_owned()))
            } else {
                Ok(files)
            };
        }
        let standard = self.home.as_ref().map(|home| home.join(".kube").join("config"));
        [Some(self.own.clone()), standard]
            .into_iter()
            .flatten()
            .find(|file| file.exists())
            .map(|file| vec![file])
            .ok_or(KubeconfigError::Nowhere)
    }
}

/// A server, and how to be somebody there.
#[derive(Debug)]
pub struct Target {
    /// `https://HOST[:PORT][/PATH]` without a slash at the end.
    pub server: String,
    /// Whom to trust.
    pub trust: Trust,
    /// The name that the server's certificate must have, if it is not the host's.
    pub server_name: Option<String>,
    /// A certificate to show.
    pub certificate: Option<ClientCertificate>,
    /// What to send with each request.
    pub login: Login,
    /// Whom to act as.
    pub acting_as: Option<ActingAs>,
    /// `http://HOST:PORT` of the proxy to go through; without it, the environment says.
    pub proxy: Option<String>,
}

/// Whose signature on the server's certificate counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// These certificates (PEM).
    Only(Vec<u8>),
    /// The authorities that this machine trusts.
    System,
}

/// A client certificate with its key, both PEM.
pub struct ClientCertificate {
    /// The chain, leaf first.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientCertificate(…)")
    }
}

/// What is sent with each request.
#[derive(Debug, Clone)]
pub enum Login {
    /// Nothing.
    None,
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// `Authorization: Basic`.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: SecretString,
    },
}

/// Impersonation: `as`, `as-uid`, `as-groups`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActingAs {
    /// The user.
    pub user: String,
    /// The uid; empty for none.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// What is missing in kubeconfigs, or cannot be used. Each text is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// `--kubeconfig` names no file.
    #[error("there is no kubeconfig at {}", .0.display())]
    Missing(PathBuf),
    /// Nothing of the list is there.
    #[error("none of the files in $KUBECONFIG is there: {0}")]
    VariableMissing(String),
    /// No kubeconfig anywhere.
    #[error(
        "there is no kubeconfig: give --kubeconfig, set KUBECONFIG, or run this where ./{OWN} is; or log in first"
    )]
    Nowhere,
    /// A file cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// A file is no kubeconfig. The parser's own words may quote the file, so they are not shown.
    #[error("{} is no kubeconfig that can be understood{}", .0.display(), .1)]
    Malformed(PathBuf, String),
    /// No context chosen.
    #[error("{file} has no current context: give --context, one of {known}")]
    NoCurrent {
        /// The files.
        file: String,
        /// Names of contexts.
        known: String,
    },
    /// No such entry.
    #[error("{file} has no {what} {name:?}{hint}")]
    Unknown {
        /// The files.
        file: String,
        /// `context`, `cluster` or `user`.
        what: &'static str,
        /// Its name.
        name: String,
        /// What there is.
        hint: String,
    },
    /// An entry that cannot be used.
    #[error("the {what} {name:?} in {} {why}", .file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// `cluster` or `user`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Why not.
        why: String,
    },
}

impl Target {
    /// A server, without anything that says who asks.
    #[must_use]
    pub fn of_server(server: String, trust: Trust) -> Self {
        Self {
            server,
            trust,
            server_name: None,
            certificate: None,
            login: Login::None,
            acting_as: None,
            proxy: None,
        }
    }
}

impl Kubeconfig {
    /// What a context, or the current one, says.
    ///
    /// # Errors
    /// What is missing in it, or cannot be used.
    pub fn target(&self, context: Option<&str>) -> Result<Target, KubeconfigError> {
        let Some(name) = context.or(self.current_context()) else {
            let known = self.context_names();
            return Err(KubeconfigError::NoCurrent { file: self.files(), known });
        };
        let context: &Context = self.context(name)?;
        let (cluster, from) = self.cluster(&context.cluster)?;
        let unusable = |why: String| KubeconfigError::Unusable {
            file: from.file.clone(),
            what: "cluster",
            name: context.cluster.clone(),
            why,
        };
        let mut target = of_cluster(cluster, from).map_err(unusable)?;
        if !context.user.is_empty() {
            let (user, from) = self.user(&context.user)?;
            of_user(user, from, &mut target).map_err(|why| KubeconfigError::Unusable {
                file: from.file.clone(),
                what: "user",
                name: context.user.clone(),
                why,
            })?;
        }
        Ok(target)
    }
}

fn of_cluster(cluster: &Cluster, from: &Origin) -> Result<Target, String> {
    if cluster.insecure_skip_tls_verify == Some(true) {
        return Err("asks not to check the server's certificate (insecure-skip-tls-verify), which is never done: give \
                    certificate-authority instead"
            .into());
    }
    let server = server_url(text(&cluster.server).ok_or("names no server")?)?;
    let trust = match (&cluster.certificate_authority_data, text(&cluster.certificate_authority)) {
        (Some(data), _) if !data.is_empty() => Trust::Only(decode("certificate-authority-data", data)?),
        (_, Some(path)) => Trust::Only(read("certificate-authority", path, from)?.to_vec()),
        _ => Trust::System,
    };
    if let Some(proxy) = text(&cluster.proxy_url).filter(|proxy| !proxy.starts_with("http://")) {
        return Err(format!("names the proxy {}, but only http:// proxies can be used", shown(proxy)));
    }
    Ok(Target {
        server_name: text(&cluster.tls_server_name).map(str::to_owned),
        proxy: text(&cluster.proxy_url).map(str::to_owned),
        ..Target::of_server(server, trust)
    })
}

fn of_user(user: &User, from: &Origin, target: &mut Target) -> Result<(), String> {
    if user.exec.is_some() {
        return Err("gets its credentials from a program (exec), which this command does not run: use a kubeconfig with a token \
                    or a client certificate, or a login of your own (--login)"
            .into());
    }
    if user.auth_provider.is_some() {
        return Err(
            "uses auth-provider, which Kubernetes has removed: use a token or a client certificate".into()
        );
    }
    if user.as_user_extra.as_ref().is_some_and(|extra| !extra.is_empty()) {
        return Err("acts with as-user-extra, which this command cannot pass on".into());
    }
    target.certificate = certificate(user, from)?;
    target.login = login(user, from)?;
    let acting = ActingAs {
        user: user.acting_as.clone().unwrap_or_default(),
        uid: user.acting_uid.clone().unwrap_or_default(),
        groups: user.acting_groups.clone().unwrap_or_default(),
    };
    if acting.user.is_empty() && acting != ActingAs::default() {
        return Err("acts with as-uid or as-groups, but does not say as whom".into());
    }
    target.acting_as = Some(acting).filter(|acting| !acting.user.is_empty());
    Ok(())
}

fn certificate(user: &User, from: &Origin) -> Result<Option<ClientCertificate>, String> {
    let certificate = match (&user.client_certificate_data, text(&user.client_certificate)) {
        (Some(data), _) if !data.is_empty() => Some(decode("client-certificate-data", data)?),
        (_, Some(path)) => Some(read("client-certificate", path, from)?.to_vec()),
        _ => None,
    };
    let key = match (secret(&user.client_key_data), text(&user.client_key)) {
        (Some(data), _) => Some(Zeroizing::new(decode("client-key-data", data.expose())?)),
        (None, Some(path)) => Some(read("client-key", path, from)?),
        (None, None) => None,
    };
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(ClientCertificate { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err("has a client certificate without a key".into()),
        (None, Some(_)) => Err("has a client key without a certificate".into()),
    }
}

/// A token in a file comes before one that is written down, as in client-go; a token before a password.
fn login(user: &User, from: &Origin) -> Result<Login, String> {
    let bearer = |token: &str| Login::Bearer(SecretString::from(token.to_owned()));
    let written = secret(&user.token).map(|token| bearer(token.expose()));
    if let Some(path) = text(&user.token_file) {
        return match (read("tokenFile", path, from), written) {
            (Ok(bytes), _) => {
                let token =
                    std::str::from_utf8(&bytes).map_err(|_| "has a tokenFile that is no text")?.trim();
                if token.is_empty() { Err("has a tokenFile that is empty".into()) } else { Ok(bearer(token)) }
            }
            (Err(_), Some(written)) => Ok(written),
            (Err(why), None) => Err(why),
        };
    }
    if let Some(written) = written {
        return Ok(written);
    }
    match (text(&user.username), secret(&user.password)) {
        (Some(name), _) if name.contains(':') => {
            Err("has a username with a colon, which cannot be sent".into())
        }
        (Some(name), Some(password)) => Ok(Login::Basic {
            username: name.to_owned(),
            password: SecretString::from(password.expose().to_owned()),
        }),
        (Some(_), None) => Err("has a username without a password".into()),
        (None, Some(_)) => Err("has a password without a username".into()),
        (None, None) => Ok(Login::None),
    }
}

/// The server's URL as requests begin with it. The error is the end of a sentence that begins with who names the server.
pub fn server_url(text: &str) -> Result<String, String> {
    let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let bad = || format!("names the server {}, which is no URL such as https://127.0.0.1:8443", shown(text));
    let uri: Uri = full.parse().map_err(|_| bad())?;
    if uri.scheme_str() == Some("http") {
        return Err(format!("names the server {}, but secrets are only sent over https", shown(text)));
    }
    let authority = uri.authority().ok_or_else(bad)?;
    if authority.as_str().contains('@') {
        return Err(
            "names a server with a user name or password in its URL: give them to the user instead".into()
        );
    }
    if uri.scheme_str() != Some("https") || authority.host().is_empty() || uri.query().is_some() {
        return Err(bad());
    }
    Ok(format!("https://{authority}{}", uri.path().trim_end_matches('/')))
}

fn decode(what: &str, data: &str) -> Result<Vec<u8>, String> {
    let plain: Zeroizing<String> = Zeroizing::new(data.split_ascii_whitespace().collect());
    STANDARD.decode(plain.as_bytes()).map_err(|_| format!("has a {what} that is not base64"))
}

/// A file that the kubeconfig names, relative to where that is.
fn read(what: &str, path: &str, from: &Origin) -> Result<Zeroizing<Vec<u8>>, String> {
    let path = from.dir().join(path);
    match read_small(&path, SMALL) {
        Ok(Some(bytes)) => Ok(Zeroizing::new(bytes)),
        Ok(None) => Err(format!("names a {what} that is not there: {}", path.display())),
        Err(eartag_server::files::FileError::Read(_, error)) => {
            Err(format!("names a {what} that cannot be read: {}: {}", path.display(), why(&error)))
        }
        Err(error) => Err(format!("names a {what} that cannot be read: {error}")),
    }
}

fn text(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|text| !text.is_empty())
}

fn secret(value: &Option<SecretText>) -> Option<&SecretText> {
    value.as_ref().filter(|secret| !secret.expose().is_empty())
}

/// A URL without what may be a password in it, and without what a terminal would obey.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let end = rest.find('/').unwrap_or(rest.len());
    let rest = match rest.get(..end).and_then(|authority| authority.rfind('@')) {
        Some(at) => rest.get(at + 1..).unwrap_or_default(),
        None => rest,
    };
    let joined = if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") };
    format!("{joined:?}")
}

#[cfg(test)]
mod tests;
