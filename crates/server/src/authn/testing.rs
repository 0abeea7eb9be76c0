//! A server without sockets, for the tests of these doors: the real kinds over a store in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_apiserver::Tree;
use eartag_apiserver::http::reply::{self, Form};
use eartag_apiserver::http::{ApiServer, Identity};
use eartag_apiserver::kind::{Cx, World};
use eartag_apiserver::ops::Api;
use eartag_apiserver::refusal::Subject;
use eartag_apiserver::user::{AUTHENTICATED, UserInfo};
use eartag_core::collections::{self, GLOBAL_ROLE_BINDINGS, PASSWORDS, USERS};
use eartag_core::features::{FeatureDefaults, Features};
use eartag_core::record::{GlobalRoleBindingRecord, PasswordRecord, UserRecord};
use eartag_core::settings::{Overrides, SettingsTable};
use eartag_core::ttl::Minutes;
use eartag_core::{PasswordHash, PlainSecret, token};
use eartag_storage::{CollectionId, Commit, Entry, Memory, Op, Options, Store};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::watch;

use super::{CATTLE_AUTHENTICATED, Gate};
use crate::aggregation::{Aggregation, Cluster, Ground};
use crate::authz::RoleAuthorizer;
use crate::clock::{SystemClock, fill_random};
use crate::health::Health;
use crate::listener::{Body, ClientCertificate, Issuer, Peer};
use crate::login::session::{Issued, issue};
use crate::metrics::Metrics;
use crate::observer::Tables;
use crate::pki::{Authority, RootKey};
use crate::state::{DoorOptions, State};
use crate::tls::ClientAuthorities;
use crate::token_review::Reviewer;
use crate::token_review::authenticate;
use crate::vault::Vault;
use crate::{login, oauth, resources, seeds, v1, v3};

/// A clock that tests set, and real randomness.
pub struct TestWorld(pub AtomicU64);

impl World for TestWorld {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn random(&self, bytes: &mut [u8]) {
        fill_random(bytes);
    }
}

/// The server, and who is at the other end.
pub struct Scene {
    pub state: Arc<State>,
    pub world: Arc<TestWorld>,
    pub peer: Peer,
}

/// An answer, read to its end; a page is a text.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Tree,
}

pub const NOW_MS: u64 = 1_800_000_000_000;

impl Scene {
    /// With the built-in roles and nobody in it.
    pub async fn new() -> Scene {
        Scene::with(Overrides::default()).await
    }

    /// The same, with settings from the environment.
    pub async fn with(overrides: Overrides) -> Scene {
        Scene::build(overrides, None).await
    }

    /// The same, extending this cluster.
    pub async fn extending(cluster: Arc<dyn Cluster>) -> Scene {
        Scene::build(Overrides::default(), Some(cluster)).await
    }

    async fn build(overrides: Overrides, cluster: Option<Arc<dyn Cluster>>) -> Scene {
        let gate = Arc::new(Gate::new([7; 32]));
        let settings = SettingsTable::new(overrides);
        let tables = Arc::new(Tables::new(settings, Features::new(FeatureDefaults::default()), gate.clone()));
        let store =
            Store::open(Box::new(Memory::new()), collections::all(), tables.clone(), Options::default())
                .await
                .unwrap();
        let world = Arc::new(TestWorld(AtomicU64::new(NOW_MS)));
        let shared: Arc<dyn World> = world.clone();
        let vault = Arc::new(Vault::new(RootKey::new([9; 32])));
        let metrics = Metrics::new(0.0);
        let foundation = resources::Foundation {
            tables: tables.clone(),
            store: store.clone(),
            world: shared.clone(),
            vault: vault.clone(),
            metrics: metrics.clone(),
            server_url: None,
        };
        let (registry, kinds) = resources::registry(&foundation).unwrap();
        let registry = Arc::new(registry);
        let authorizer = Arc::new(RoleAuthorizer::new(tables.clone()));
        let api = Api::new(store.clone());
        let (_, ending) = watch::channel(false);
        let server = ApiServer::new(
            api.clone(),
            registry.clone(),
            authorizer.clone(),
            world.clone(),
            ending.clone(),
            "v0".to_owned(),
        );
        let aggregation = cluster.map(|cluster| {
            let ours = Authority::new("ours", 1_800_000_000, [1; 16]).unwrap();
            let authorities = Arc::new(ClientAuthorities::new(&[ours.certificate().clone()]).unwrap());
            let ground = Ground {
                api: &api,
                registry: &registry,
                world: &shared,
                metrics: &metrics,
                ending,
                version: "v0".to_owned(),
            };
            Arc::new(Aggregation::with(cluster, &authorities, ground))
        });
        let state = Arc::new(State {
            reviewer: Reviewer::new(tables.clone(), store.clone(), metrics.clone()),
            store,
            tables,
            gate,
            clock: Arc::new(SystemClock),
            world: shared,
            vault,
            authorizer,
            registry,
            server,
            api,
            kinds,
            metrics,
            health: Arc::new(Health::new()),
            shutdown: crate::shutdown::channel().1,
            aggregation,
            options: DoorOptions::default(),
        });
        let scene = Scene { state, world, peer: peer("9.9.9.9") };
        for seed in seeds::all(&FeatureDefaults::default()) {
            if let Some(body) = (seed.body)(None) {
                scene.put(seed.collection, &seed.name, body).await;
            }
        }
        scene
    }

    /// Stores a record.
    pub async fn put(&self, collection: CollectionId, name: &str, body: Vec<u8>) {
        let mut uid = [0; 16];
        fill_random(&mut uid);
        let meta = Meta {
            uid: Uid::from_random(uid),
            created_s: i64::try_from(NOW_MS / 1000).unwrap(),
            generation: 1,
            ..Meta::default()
        };
        let key = name.as_bytes().to_vec();
        let op = Op::Put { collection, key, value: frame::frame(&body, &meta) };
        self.state.store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
    }

    /// A user, with a password if there is a hash, bound to a global role unless that is empty.
    pub async fn user(&self, name: &str, username: &str, hash: Option<PasswordHash>, role: &str) -> Entry {
        let record = UserRecord {
            username: username.to_owned(),
            principal_ids: vec![format!("local://{name}")],
            ..UserRecord::default()
        };
        self.put(USERS, name, record.encode()).await;
        if let Some(hash) = hash {
            self.put(PASSWORDS, name, PasswordRecord { hash }.encode()).await;
        }
        if !role.is_empty() {
            let binding = GlobalRoleBindingRecord {
                role: role.to_owned(),
                user: name.to_owned(),
                user_uid: self.uid(USERS, name),
                ..GlobalRoleBindingRecord::default()
            };
            self.put(GLOBAL_ROLE_BINDINGS, &format!("grb-{name}"), binding.encode()).await;
        }
        self.state.store.get(USERS, name.as_bytes()).unwrap()
    }

    /// The uid of an object.
    pub fn uid(&self, collection: CollectionId, name: &str) -> Option<Uid> {
        self.state.store.get(collection, name.as_bytes()).and_then(|e| frame::head(e.value())).map(|h| h.uid)
    }

    /// A request of this user, for calling the verbs of a kind.
    pub fn cx(&self, name: &str) -> Cx {
        let groups = [AUTHENTICATED, CATTLE_AUTHENTICATED].map(str::to_owned).to_vec();
        let user = UserInfo { name: name.to_owned(), groups, ..UserInfo::default() };
        let state = &self.state;
        Cx::new(user, Arc::new(()), state.authorizer.clone(), state.world.clone())
    }

    /// Switches a user off or on.
    pub async fn enable(&self, name: &str, enabled: bool) {
        let entry = self.state.store.get(USERS, name.as_bytes()).unwrap();
        let (body, _) = frame::split(entry.value()).unwrap();
        let record = UserRecord { enabled: Some(enabled), ..UserRecord::decode(body).unwrap() };
        let value = frame::frame(&record.encode(), &frame::meta(entry.value()).unwrap());
        let op = Op::Put { collection: USERS, key: name.as_bytes().to_vec(), value };
        self.state.store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
    }

    /// A token of a user.
    pub async fn token(&self, owner: &Entry, session: bool, cluster: &str) -> Issued {
        let name = String::from_utf8(owner.key().to_vec()).unwrap();
        let user = self.state.tables.verifier.owner(&name).unwrap();
        let ttl = Minutes::from_millis(3_600_000);
        issue(
            &self.state.store,
            &self.state.tables.features,
            &*self.world,
            owner,
            "token-",
            session,
            |now_s, hashed, random| {
                let (mut record, secret) = token::login(&name, &user, "", ttl, hashed, now_s, random);
                record.credential.cluster = cluster.to_owned();
                if !session {
                    record.derived = true;
                    record.credential.session = false;
                    record.credential.kind = String::new();
                }
                (record, secret)
            },
        )
        .await
        .unwrap()
    }

    /// Sends a request to whichever of these doors serves the path.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = request(method, path, headers, body);
        let response = if login::serves(request.uri().path()) {
            login::handle(&self.state, request, &self.peer).await
        } else if ["/api", "/openapi"].iter().any(|root| request.uri().path().starts_with(root)) {
            self.kubernetes(request).await
        } else if authenticate::serves(request.uri().path()) {
            authenticate::handle(&self.state, request, &self.peer).await
        } else if oauth::serves(request.uri().path()) {
            oauth::handle(&self.state, request, &self.peer).await
        } else if v1::serves(request.uri().path()) {
            v1::handle(&self.state, request, &self.peer).await
        } else {
            v3::handle(&self.state, request, &self.peer).await
        };
        Answer::read(response).await
    }

    /// The Kubernetes door, but for its limits.
    async fn kubernetes(&self, request: Request<Full<Bytes>>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let caller = match super::authenticate(&self.state, &parts, &self.peer).await {
            Ok(caller) => caller,
            Err(failure) => {
                return reply::status(&failure.refusal().status(&Subject::default()), Form::JSON);
            }
        };
        let user = caller.user.clone();
        let asked = caller.clone();
        let identity = Identity { user, facts: Arc::new(caller), alive: Arc::new(|| true) };
        let body = body.map_err(std::io::Error::other).boxed_unsync();
        self.state.server_of(&asked).handle(&parts, body, identity).await
    }
}

impl Answer {
    /// Reads a response to its end.
    pub async fn read(response: Response<Body>) -> Answer {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() {
            Tree::Null
        } else {
            serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into())
        };
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// The codes of an error.
    pub fn error(&self) -> (u16, &str, &str) {
        let text = |member: &str| self.body.get(member).and_then(Tree::as_str).unwrap_or_default();
        (self.status, text("code"), text("message"))
    }
}

/// A request as it comes from the wire.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path).header("host", "a.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

/// Somebody without a certificate.
pub fn peer(address: &str) -> Peer {
    let addr = SocketAddr::new(address.parse().unwrap(), 4711);
    Peer { addr, certificate: None, certificate_rejected: None }
}

/// The operator.
pub fn system_admin() -> Peer {
    let certificate = ClientCertificate {
        issuer: Issuer::Ours,
        common_name: "system:admin".to_owned(),
        organizations: vec!["system:masters".to_owned()],
        not_after_s: i64::MAX,
        fingerprint: "f".to_owned(),
    };
    Peer { certificate: Some(Arc::new(certificate)), ..peer("127.0.0.1") }
}

/// The password of [`hash`].
pub const PASSWORD: &str = "correct horse battery";

/// The hash of [`PASSWORD`], computed once: it takes its time.
pub fn hash() -> PasswordHash {
    static HASH: OnceLock<PasswordHash> = OnceLock::new();
    HASH.get_or_init(|| PasswordHash::make(&PlainSecret::new(PASSWORD), [3; 32])).clone()
}
