//! The files themselves: read, and merged as kubectl merges them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use eartag_api::secret::SecretText;
use eartag_server::files::read_small;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

use super::{KubeconfigError, Sources};

/// The largest kubeconfig, in bytes.
const LIMIT: u64 = 8 << 20;

/// What one or more files say, the first to define something winning.
#[derive(Default)]
pub struct Kubeconfig {
    read: Vec<PathBuf>,
    current: Option<String>,
    contexts: BTreeMap<String, Context>,
    clusters: BTreeMap<String, (Cluster, Origin)>,
    users: BTreeMap<String, (User, Origin)>,
}

/// The file that an entry is from: relative paths in it begin there.
#[derive(Debug, Clone)]
pub struct Origin {
    pub file: PathBuf,
}

impl Origin {
    pub fn dir(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }
}

/// A cluster and a user, by name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Context {
    #[serde(deserialize_with = "null_is_default")]
    pub cluster: String,
    #[serde(deserialize_with = "null_is_default")]
    pub user: String,
}

/// Where a server is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Cluster {
    pub server: Option<String>,
    pub certificate_authority: Option<String>,
    pub certificate_authority_data: Option<String>,
    pub tls_server_name: Option<String>,
    pub insecure_skip_tls_verify: Option<bool>,
    pub proxy_url: Option<String>,
}

/// Who to be.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct User {
    pub client_certificate: Option<String>,
    pub client_certificate_data: Option<String>,
    pub client_key: Option<String>,
    pub client_key_data: Option<SecretText>,
    pub token: Option<SecretText>,
    #[serde(rename = "tokenFile")]
    pub token_file: Option<String>,
    #[serde(rename = "as")]
    pub acting_as: Option<String>,
    #[serde(rename = "as-uid")]
    pub acting_uid: Option<String>,
    #[serde(rename = "as-groups")]
    pub acting_groups: Option<Vec<String>>,
    pub as_user_extra: Option<BTreeMap<String, IgnoredAny>>,
    pub username: Option<String>,
    pub password: Option<SecretText>,
    pub auth_provider: Option<IgnoredAny>,
    pub exec: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    kind: Option<String>,
    current_context: Option<String>,
    contexts: Option<Vec<NamedContext>>,
    clusters: Option<Vec<NamedCluster>>,
    users: Option<Vec<NamedUser>>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default, deserialize_with = "null_is_default")]
    context: Context,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    #[serde(default, deserialize_with = "null_is_default")]
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default, deserialize_with = "null_is_default")]
    user: User,
}

impl Kubeconfig {
    /// Reads what the sources name.
    ///
    /// # Errors
    /// A file that is missing, cannot be read or is no kubeconfig.
    pub fn load(sources: &Sources) -> Result<Self, KubeconfigError> {
        let mut all = Self::default();
        for file in sources.files()? {
            let bytes = match read_small(&file, LIMIT) {
                Ok(Some(bytes)) => Zeroizing::new(bytes),
                Ok(None) => continue,
                Err(error) => return Err(KubeconfigError::Unreadable(error.to_string())),
            };
            all.add(parse(&bytes, &file)?, file);
        }
        Ok(all)
    }

    fn add(&mut self, file: File, path: PathBuf) {
        let origin = Origin { file: path.clone() };
        self.read.push(path);
        if self.current.is_none() {
            self.current = file.current_context.filter(|name| !name.is_empty());
        }
        for named in file.contexts.into_iter().flatten() {
            self.contexts.entry(named.name).or_insert(named.context);
        }
        for named in file.clusters.into_iter().flatten() {
            self.clusters.entry(named.name).or_insert_with(|| (named.cluster, origin.clone()));
        }
        for named in file.users.into_iter().flatten() {
            self.users.entry(named.name).or_insert_with(|| (named.user, origin.clone()));
        }
    }

    /// The name of the current context.
    #[must_use]
    pub fn current_context(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// The names of all contexts, for an error.
    pub(super) fn context_names(&self) -> String {
        listed(self.contexts.keys())
    }

    /// The files, for an error.
    pub(super) fn files(&self) -> String {
        let files: Vec<String> = self.read.iter().map(|file| file.display().to_string()).collect();
        files.join(", ")
    }

    pub(super) fn context(&self, name: &str) -> Result<&Context, KubeconfigError> {
        self.contexts.get(name).ok_or_else(|| self.unknown("context", name, &self.context_names()))
    }

    pub(super) fn cluster(&self, name: &str) -> Result<(&Cluster, &Origin), KubeconfigError> {
        let found = self.clusters.get(name).map(|(cluster, origin)| (cluster, origin));
        found.ok_or_else(|| self.unknown("cluster", name, &listed(self.clusters.keys())))
    }

    pub(super) fn user(&self, name: &str) -> Result<(&User, &Origin), KubeconfigError> {
        let found = self.users.get(name).map(|(user, origin)| (user, origin));
        found.ok_or_else(|| self.unknown("user", name, &listed(self.users.keys())))
    }

    fn unknown(&self, what: &'static str, name: &str, known: &str) -> KubeconfigError {
        let hint = format!(": there are {known}");
        KubeconfigError::Unknown { file: self.files(), what, name: name.to_owned(), hint }
    }
}

/// Names only: entries hold secrets.
impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubeconfig").field("read", &self.read).finish_non_exhaustive()
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// An empty file is an empty kubeconfig, as for kubectl.
fn parse(bytes: &[u8], path: &Path) -> Result<File, KubeconfigError> {
    let malformed = |place: String| KubeconfigError::Malformed(path.to_owned(), place);
    let text = std::str::from_utf8(bytes).map_err(|_| malformed(": it is no text".into()))?;
    let options = serde_saphyr::options! { with_snippet: false, emit_comments: false };
    let file: Option<File> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        malformed(
            error
                .location()
                .map(|at| format!(" (line {}, column {})", at.line(), at.column()))
                .unwrap_or_default(),
        )
    })?;
    let file = file.unwrap_or_default();
    match file.kind.as_deref() {
        None | Some("" | "Config") => Ok(file),
        Some(kind) => Err(malformed(format!(": it is a {kind:?}"))),
    }
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
