//! Files of `kubectl get … -o yaml` and `-o json`: single objects, lists, and several documents in one file.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eartag_api::meta::Uid;
use eartag_api::secret::SecretText;
use eartag_core::names::is_subdomain;
use eartag_core::time::parse_rfc3339;
use eartag_core::{PlainSecret, Principal};
use zeroize::Zeroizing;

use super::ImportError;
use super::objects::{Metadata, Object};

/// The largest input, in bytes: a million tokens as JSON.
pub const LARGEST: u64 = 2 << 30;
/// Largest YAML file, in bytes: reading one takes up to a hundred times its size.
const LARGEST_YAML: usize = 64 << 20;

const MANAGEMENT: &str = "management.cattle.io";
const HASHED: &str = "authn.management.cattle.io/token-hashed";
const SCHEME: &str = "cattle.io/password-hash";
const PASSWORDS: &str = "cattle-local-user-passwords";
const EXT_TOKENS: &str = "cattle-tokens";

/// What files hold, sorted by what it is.
#[derive(Default)]
pub struct Foreign {
    pub(super) users: Vec<User>,
    pub(super) bindings: Vec<Binding>,
    pub(super) tokens: Vec<Token>,
    pub(super) ext_tokens: Vec<Token>,
    /// By user.
    pub(super) passwords: BTreeMap<String, Password>,
    /// By user.
    pub(super) attributes: BTreeMap<String, Attributes>,
    /// Ext tokens as the API shows them, which have no hash.
    pub(super) shown: Vec<String>,
    pub(super) others: u64,
}

/// What all objects have.
#[derive(Default)]
pub(super) struct Common {
    pub name: String,
    pub uid: Option<Uid>,
    pub created_s: Option<i64>,
    pub deleting: bool,
    pub labels: BTreeMap<String, String>,
}

pub(super) struct User {
    pub common: Common,
    pub username: String,
    pub display_name: String,
    pub description: String,
    pub enabled: Option<bool>,
    pub must_change_password: bool,
    pub principal_ids: Vec<String>,
    /// bcrypt, as older versions kept it in the user.
    pub bcrypt: Option<SecretText>,
}

pub(super) struct Binding {
    pub common: Common,
    pub role: String,
    pub user: String,
    pub group: String,
}

pub(super) struct Token {
    pub common: Common,
    pub secret: PlainSecret,
    pub hashed: bool,
    pub ttl: i64,
    pub enabled: bool,
    pub owner: String,
    pub cluster: String,
    pub description: String,
    pub kind: String,
    pub derived: bool,
    pub auth_provider: String,
    pub principal: Principal,
    pub last_used_s: Option<i64>,
    pub last_activity_s: Option<i64>,
}

/// What user retention goes by.
pub(super) struct Attributes {
    pub last_login_s: Option<i64>,
    pub disable_after: String,
    pub delete_after: String,
}

pub(super) struct Password {
    pub scheme: String,
    pub hash: Zeroizing<Vec<u8>>,
    pub salt: Zeroizing<Vec<u8>>,
}

impl Foreign {
    /// Takes in one file; `name` is for errors.
    ///
    /// # Errors
    /// [`ImportError::Malformed`]: nothing of a file that is not understood as a whole is taken.
    pub fn read(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImportError> {
        let malformed = |place: String| ImportError::Malformed(name.to_owned(), place);
        let at = |line: u64, column: u64| format!(" (line {line}, column {column})");
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let objects: Vec<Object> = if bytes.trim_ascii_start().starts_with(b"{") {
            let documents = serde_json::Deserializer::from_slice(bytes).into_iter();
            documents.collect::<Result<_, _>>().map_err(|error: serde_json::Error| {
                malformed(at(count(error.line()), count(error.column())))
            })?
        } else {
            if bytes.len() > LARGEST_YAML {
                return Err(malformed(format!(
                    ": more than {} MiB of YAML take too long to read; export JSON, with -o json",
                    LARGEST_YAML >> 20
                )));
            }
            let text = std::str::from_utf8(bytes).map_err(|_| malformed(": it is no text".into()))?;
            let documents: Vec<Option<Object>> = serde_saphyr::from_multiple_with_options(text, yaml())
                .map_err(|error| {
                    malformed(error.location().map(|l| at(l.line(), l.column())).unwrap_or_default())
                })?;
            documents.into_iter().flatten().collect()
        };
        if objects.iter().any(|object| object.kind.is_none()) || objects.is_empty() {
            return Err(malformed(": it holds no object with a kind".into()));
        }
        for object in objects {
            self.add(object);
        }
        Ok(())
    }

    /// Items of a list take kind and version of the list, where they have none.
    fn add(&mut self, mut object: Object) {
        if let Some(items) = object.items.take() {
            let kind = object
                .kind
                .as_deref()
                .and_then(|kind| kind.strip_suffix("List"))
                .unwrap_or_default()
                .to_owned();
            let version = object.api_version.clone();
            for mut item in items {
                if item.kind.is_none() && !kind.is_empty() {
                    item.kind = Some(kind.clone());
                    item.api_version.clone_from(&version);
                }
                self.object(item);
            }
        } else {
            self.object(object);
        }
    }

    fn object(&mut self, mut object: Object) {
        let version = object.api_version.take().unwrap_or_default();
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        let kind = object.kind.take().unwrap_or_default();
        let metadata = object.metadata.take().unwrap_or_default();
        let namespace = metadata.namespace.clone().unwrap_or_default();
        match (group, kind.as_str(), namespace.as_str()) {
            (MANAGEMENT, "User", _) => self.users.push(user(object, metadata)),
            (MANAGEMENT, "Token", _) => self.tokens.push(legacy_token(object, metadata)),
            (MANAGEMENT, "UserAttribute", _) => {
                self.attributes.insert(metadata.name.unwrap_or_default(), attributes(object));
            }
            (MANAGEMENT, "GlobalRoleBinding", _) => self.bindings.push(binding(object, metadata)),
            ("ext.cattle.io", "Token", _) => self.shown.push(metadata.name.unwrap_or_default()),
            ("", "Secret", EXT_TOKENS) => self.ext_tokens.push(ext_token(object, metadata)),
            ("", "Secret", PASSWORDS) => {
                let user = metadata.name.clone().unwrap_or_default();
                self.passwords.insert(user, password(object, &metadata));
            }
            _ => self.others = self.others.saturating_add(1),
        }
    }
}

/// No limit below the input's own size, but for what could unfold: what kubectl prints has no anchors.
fn yaml() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 48,
            max_nodes: usize::MAX,
            max_events: usize::MAX,
            max_documents: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            max_aliases: 100,
            max_anchors: 100,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
        },
        emit_comments: false,
        with_snippet: false,
    }
}

fn common(metadata: Metadata) -> Common {
    Common {
        name: metadata.name.unwrap_or_default(),
        uid: metadata.uid.and_then(|uid| uid.parse().ok()),
        created_s: metadata.creation_timestamp.as_deref().and_then(parse_rfc3339),
        deleting: metadata.deletion_timestamp.is_some(),
        labels: metadata.labels.unwrap_or_default(),
    }
}

fn user(object: Object, metadata: Metadata) -> User {
    User {
        common: common(metadata),
        username: object.username.unwrap_or_default(),
        display_name: object.display_name.unwrap_or_default(),
        description: object.description.unwrap_or_default(),
        enabled: object.enabled,
        must_change_password: object.must_change_password.unwrap_or_default(),
        principal_ids: object.principal_ids.unwrap_or_default(),
        bcrypt: object.password.filter(|text| !text.expose().is_empty()),
    }
}

fn attributes(object: Object) -> Attributes {
    Attributes {
        last_login_s: object.last_login.as_deref().and_then(parse_rfc3339),
        disable_after: object.disable_after.unwrap_or_default(),
        delete_after: object.delete_after.unwrap_or_default(),
    }
}

fn binding(object: Object, metadata: Metadata) -> Binding {
    Binding {
        common: common(metadata),
        role: object.global_role_name.unwrap_or_default(),
        user: object.user_name.unwrap_or_default(),
        group: object.group_principal_name.unwrap_or_default(),
    }
}

fn legacy_token(object: Object, metadata: Metadata) -> Token {
    let hashed = annotation(&metadata, HASHED).is_some_and(|value| value == "true");
    let common = common(metadata);
    let label = |name: &str| common.labels.get(name).cloned().unwrap_or_default();
    let face = eartag_core::Face::Legacy;
    let owner = object.user_id.filter(|owner| !owner.is_empty()).unwrap_or_else(|| label(face.owner_label()));
    let kind = label(face.kind_label());
    Token {
        secret: PlainSecret::new(object.token.as_ref().map_or("", SecretText::expose)),
        hashed,
        ttl: object.ttl.unwrap_or_default(),
        enabled: object.enabled.unwrap_or(true),
        owner,
        cluster: object.cluster_name.unwrap_or_default(),
        description: object.description.unwrap_or_default(),
        kind,
        derived: object.is_derived.unwrap_or_default(),
        auth_provider: object.auth_provider.unwrap_or_default(),
        principal: object.user_principal.map(Principal::from).unwrap_or_default(),
        last_used_s: object.last_used_at.as_deref().and_then(parse_rfc3339),
        last_activity_s: object.activity_last_seen_at.as_deref().and_then(parse_rfc3339),
        common,
    }
}

/// A Secret of the namespace `cattle-tokens` (ext-token.md §7.2). What is damaged in it is empty here, and refused by the rules.
fn ext_token(object: Object, metadata: Metadata) -> Token {
    let data = object.data.unwrap_or_default();
    let field = |name: &str| {
        let bytes = data.get(name).map(decoded).unwrap_or_default();
        Zeroizing::new(String::from_utf8(bytes.to_vec()).unwrap_or_default())
    };
    let text = |name: &str| field(name).as_str().to_owned();
    let mut common = common(metadata);
    common.uid = field("kube-uid").parse().ok();
    common.labels.remove("cattle.io/kind");
    let principal = serde_json::from_str::<eartag_api::ext::TokenPrincipal>(&field("principal"));
    Token {
        secret: PlainSecret::new(field("hash").as_str()),
        hashed: true,
        ttl: field("ttl").parse().unwrap_or_default(),
        // The reader of the reference takes Go's words for true; whatever else stands there must not switch a token on.
        enabled: matches!(field("enabled").as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"),
        owner: text("user-id"),
        cluster: text("cluster"),
        description: text("description"),
        kind: text("kind"),
        derived: true,
        auth_provider: String::new(),
        principal: principal.map(Principal::from).unwrap_or_default(),
        last_used_s: parse_rfc3339(&field("last-used-at")),
        last_activity_s: parse_rfc3339(&field("last-activity-seen")),
        common,
    }
}

fn password(object: Object, metadata: &Metadata) -> Password {
    let data = object.data.unwrap_or_default();
    let field = |name: &str| data.get(name).map(decoded).unwrap_or_default();
    Password {
        scheme: annotation(metadata, SCHEME).unwrap_or_default().to_owned(),
        hash: field("password"),
        salt: field("salt"),
    }
}

fn annotation<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(name).map(SecretText::expose)
}

fn decoded(text: &SecretText) -> Zeroizing<Vec<u8>> {
    let plain: Zeroizing<String> = Zeroizing::new(text.expose().split_ascii_whitespace().collect());
    Zeroizing::new(STANDARD.decode(plain.as_bytes()).unwrap_or_default())
}

impl Common {
    /// Labels that people gave; those of the systems say things about the system they came from.
    pub(super) fn own_labels(&self) -> BTreeMap<String, String> {
        const KEPT: &str = "authn.management.cattle.io/kubeconfig-id";
        let good = |key: &str, value: &str| {
            let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
            let prefix = key.rsplit_once('/').is_none_or(|(prefix, _)| is_subdomain(prefix));
            !name.is_empty()
                && prefix
                && eartag_core::names::bad_label_value(name).is_none()
                && eartag_core::names::bad_label_value(value).is_none()
        };
        let labels = self.labels.iter().filter(|(key, value)| {
            good(key, value) && (*key == KEPT || !eartag_core::names::is_of_the_system(key))
        });
        labels.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}
