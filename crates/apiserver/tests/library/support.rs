//! A server of widgets, and a client for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use eartag_api::review;
use eartag_apiserver::Tree;
use eartag_apiserver::http::body::{Body, full};
use eartag_apiserver::http::{ApiServer, Identity};
use eartag_apiserver::kind::{Cx, Kind, Resource, World};
use eartag_apiserver::ops::Api;
use eartag_apiserver::registry::Registry;
use eartag_apiserver::reviews;
use eartag_apiserver::schema::Schema;
use eartag_apiserver::user::{Attributes, Authorizer, Decision, GrantedRule, UserInfo};
use eartag_storage::{Faults, Memory, NoObserver, Options, Store};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;

use crate::computed::Dials;
use crate::widgets::{Places, Widgets, collections};

pub const BASE: &str = "/apis/example.org/v1/widgets";
pub const GADGETS: &str = "/apis/other.example.org/v2/gadgets";
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
pub const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
pub const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
pub const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// What is due comes sooner than this on the slowest machine: it is for what never comes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A clock that is set, and randomness that can be made to repeat itself.
pub struct TestWorld {
    pub now_ms: AtomicU64,
    state: AtomicU64,
    /// So many of the next draws are all the same.
    pub repeat: AtomicUsize,
}

impl World for TestWorld {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn random(&self, bytes: &mut [u8]) {
        let draw = |n: usize| n.checked_sub(1);
        if self.repeat.fetch_update(Ordering::SeqCst, Ordering::SeqCst, draw).is_ok() {
            bytes.fill(7);
            return;
        }
        for byte in bytes {
            let seed = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *byte = u8::try_from((mixed ^ (mixed >> 27)) >> 40 & 0xff).unwrap();
        }
    }
}

/// `stranger` may do nothing, `reader` only read, about `broken` it cannot decide; everybody else may do everything.
#[derive(Default)]
pub struct TestAuthorizer {
    pub asked: Mutex<Vec<Attributes>>,
    pub generation: AtomicU64,
    pub banned: Mutex<Vec<String>>,
}

#[async_trait]
impl Authorizer for TestAuthorizer {
    async fn authorize(&self, user: &UserInfo, wants: &Attributes) -> Decision {
        self.asked.lock().push(wants.clone());
        if self.banned.lock().contains(&user.name) {
            return Decision::Deny(String::new());
        }
        match user.name.as_str() {
            "stranger" => Decision::Deny(String::new()),
            "<b>stranger</b>" => Decision::Deny("no & never".to_owned()),
            "reader" if !matches!(wants.verb.as_str(), "get" | "list" | "watch") => {
                Decision::Deny(String::new())
            }
            "broken" => Decision::Error("connection refused by 10.1.2.3".to_owned()),
            _ => Decision::Allow,
        }
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    async fn rules(&self, _user: &UserInfo) -> Vec<GrantedRule> {
        let list = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        vec![
            GrantedRule {
                verbs: list(&["get"]),
                groups: list(&["example.org"]),
                resources: list(&["widgets"]),
                names: list(&["a"]),
                paths: vec![],
            },
            GrantedRule {
                verbs: list(&["*"]),
                groups: list(&["*"]),
                resources: list(&["*"]),
                ..GrantedRule::default()
            },
            GrantedRule { verbs: list(&["get"]), paths: list(&["/version"]), ..GrantedRule::default() },
        ]
    }
}

/// Stops tokio's clock for as long as what this returns is held: no wait comes to its end, however slow the machine is.
pub fn stop_the_clock() -> impl Sized {
    tokio::time::pause();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    // A stopped clock jumps to the next timer when nothing else is to be done, unless a blocking task runs.
    tokio::task::spawn_blocking(move || ended.recv());
    end
}

/// A server with its handles.
pub struct Server {
    pub api: Arc<ApiServer>,
    pub store: Store,
    pub faults: Faults,
    pub world: Arc<TestWorld>,
    pub authorizer: Arc<TestAuthorizer>,
    pub widgets: Arc<Widgets>,
    pub ending: watch::Sender<bool>,
    pub alive: Arc<AtomicBool>,
}

pub async fn server() -> Arc<Server> {
    server_with(Options::default()).await
}

pub async fn server_with(options: Options) -> Arc<Server> {
    let engine = Memory::new();
    let faults = engine.faults();
    let store = Store::open(Box::new(engine), collections(), Arc::new(NoObserver), options).await.unwrap();
    let widgets = Arc::new(Widgets::new());
    let schema = |root, model: &str| Schema::for_object(root, model).unwrap();
    let mut registry = Registry::new()
        .with(Resource::Stored(widgets.clone()))
        .with(Resource::Stored(Arc::new(Widgets::gadgets())))
        .with(Resource::Fixed(Arc::new(Places::new())))
        .with(Resource::Computed(Arc::new(Dials::new())));
    for review in reviews::all(reviews::Schemas {
        self_access: schema(
            schemars::schema_for!(review::SelfSubjectAccessReview),
            "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
        ),
        access: schema(
            schemars::schema_for!(review::SubjectAccessReview),
            "io.k8s.api.authorization.v1.SubjectAccessReview",
        ),
        rules: schema(
            schemars::schema_for!(review::SelfSubjectRulesReview),
            "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
        ),
        identity: schema(
            schemars::schema_for!(review::SelfSubjectReview),
            "io.k8s.api.authentication.v1.SelfSubjectReview",
        ),
    }) {
        registry = registry.with(review);
    }
    let world = Arc::new(TestWorld {
        now_ms: AtomicU64::new(1_780_000_000_400),
        state: AtomicU64::new(1),
        repeat: AtomicUsize::new(0),
    });
    let authorizer = Arc::new(TestAuthorizer::default());
    let (ending, ended) = watch::channel(false);
    let api = ApiServer::new(
        Api::new(store.clone()),
        Arc::new(registry),
        authorizer.clone(),
        world.clone(),
        ended,
        "v1.34.2".to_owned(),
    );
    let alive = Arc::new(AtomicBool::new(true));
    Arc::new(Server { api: Arc::new(api), store, faults, world, authorizer, widgets, ending, alive })
}

/// A request in the making.
pub struct Ask {
    server: Arc<Server>,
    request: http::request::Builder,
    body: Bytes,
    user: UserInfo,
}

impl Server {
    pub fn ask(self: &Arc<Server>, method: Method, uri: impl AsRef<str>) -> Ask {
        let user = UserInfo {
            name: "admin".to_owned(),
            groups: vec!["system:authenticated".to_owned()],
            ..UserInfo::default()
        };
        Ask {
            server: self.clone(),
            request: Request::builder().method(method).uri(uri.as_ref()),
            body: Bytes::new(),
            user,
        }
    }

    pub fn get(self: &Arc<Server>, uri: impl AsRef<str>) -> Ask {
        self.ask(Method::GET, uri)
    }

    pub fn post(self: &Arc<Server>, uri: impl AsRef<str>, body: &Tree) -> Ask {
        self.ask(Method::POST, uri).json(body)
    }

    pub fn put(self: &Arc<Server>, uri: impl AsRef<str>, body: &Tree) -> Ask {
        self.ask(Method::PUT, uri).json(body)
    }

    /// `kind`: `json`, `merge` or `strategic-merge`.
    pub fn patch(self: &Arc<Server>, uri: impl AsRef<str>, kind: &str, body: &Tree) -> Ask {
        self.ask(Method::PATCH, uri)
            .json(body)
            .header("content-type", &format!("application/{kind}-patch+json"))
    }

    pub fn delete(self: &Arc<Server>, uri: impl AsRef<str>) -> Ask {
        self.ask(Method::DELETE, uri)
    }

    /// Creates a widget that is taken.
    pub async fn make(self: &Arc<Server>, name: &str, spec: Tree) -> Tree {
        self.post(BASE, &widget(name, spec)).expect(201).await
    }

    /// Creates one with labels.
    pub async fn make_labelled(self: &Arc<Server>, name: &str, labels: Tree, spec: Tree) -> Tree {
        let body = json!({"metadata": {"name": name, "labels": labels}, "spec": spec});
        self.post(BASE, &body).expect(201).await
    }

    /// The object as it is now.
    pub async fn now(self: &Arc<Server>, name: &str) -> Tree {
        self.get(format!("{BASE}/{name}")).expect(200).await
    }

    /// A context for calling operations without HTTP.
    pub fn cx(&self, user: &str) -> Cx {
        let user = UserInfo { name: user.to_owned(), ..UserInfo::default() };
        Cx::new(user, Arc::new(()), self.authorizer.clone(), self.world.clone())
    }

    /// The kind behind the widgets.
    pub fn kind(&self) -> Arc<dyn Kind> {
        self.widgets.clone()
    }

    pub fn revision(&self) -> String {
        self.store.revision().to_string()
    }
}

impl Ask {
    pub fn header(mut self, name: &str, value: &str) -> Ask {
        let headers = self.request.headers_mut().unwrap();
        headers.insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        self
    }

    pub fn accept(self, accept: &str) -> Ask {
        self.header("accept", accept)
    }

    pub fn by(mut self, user: &str) -> Ask {
        self.user.name = user.to_owned();
        self
    }

    pub fn identified(mut self, user: UserInfo) -> Ask {
        self.user = user;
        self
    }

    pub fn json(self, body: &Tree) -> Ask {
        self.raw(body.to_string()).header("content-type", "application/json")
    }

    /// A body as it is, with no content type.
    pub fn raw(mut self, body: impl Into<Bytes>) -> Ask {
        self.body = body.into();
        self
    }

    async fn answer(self, body: Option<Body>) -> http::Response<Body> {
        let (parts, ()) = self.request.body(()).unwrap().into_parts();
        let alive = self.server.alive.clone();
        let identity = Identity {
            user: self.user,
            facts: Arc::new(()),
            alive: Arc::new(move || alive.load(Ordering::SeqCst)),
        };
        let body = body.unwrap_or_else(|| full(self.body));
        self.server.api.handle(&parts, body, identity).await
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> Reply {
        Reply::of(self.answer(None).await).await
    }

    /// Sends it with a body that is made as it goes.
    pub async fn send_body(self, body: Body) -> Reply {
        Reply::of(self.answer(Some(body)).await).await
    }

    /// Sends it, checks the code, gives the JSON.
    pub async fn expect(self, code: u16) -> Tree {
        let reply = self.send().await;
        assert_eq!(reply.code, code, "{}", reply.text());
        reply.json()
    }

    /// Sends it and checks that it is refused with a Status of this code, reason and message.
    pub async fn refused(self, code: u16, reason: &str, message: &str) -> Tree {
        let reply = self.send().await;
        assert_eq!(reply.code, code, "{}", reply.text());
        let status = reply.json();
        assert_eq!(status["message"], message);
        assert_eq!(status["kind"], "Status");
        assert_eq!(status["apiVersion"], "v1");
        assert_eq!(status["status"], "Failure");
        assert_eq!(status["reason"], reason);
        assert_eq!(status["code"], code);
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        status
    }

    /// The same where only a part of the message matters.
    pub async fn refused_with(self, code: u16, reason: &str, part: &str) -> Tree {
        let status = self.expect(code).await;
        assert_eq!(status["reason"], reason, "{status}");
        let message = status["message"].as_str().unwrap();
        assert!(message.contains(part), "{message:?} does not contain {part:?}");
        status
    }

    /// Sends it and reads events.
    pub async fn events(self) -> Events {
        let response = self.answer(None).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/json");
        Events { body: response.into_body(), buffer: Vec::new() }
    }
}

/// An answer, read.
pub struct Reply {
    pub code: u16,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Reply {
    async fn of(response: http::Response<Body>) -> Reply {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Reply { code: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    pub fn json(&self) -> Tree {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|v| v.to_str().unwrap()).unwrap_or_default()
    }

    pub fn warnings(&self) -> Vec<&str> {
        self.headers.get_all("warning").iter().map(|v| v.to_str().unwrap()).collect()
    }
}

/// A watch being read.
pub struct Events {
    body: Body,
    buffer: Vec<u8>,
}

impl Events {
    /// Whether the rest comes without an error.
    pub async fn ends_well(mut self) -> bool {
        while let Some(frame) = self.body.frame().await {
            if frame.is_err() {
                return false;
            }
        }
        true
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Tree> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            match self.body.frame().await {
                Some(frame) => self.buffer.extend_from_slice(&frame.unwrap().into_data().unwrap()),
                None => {
                    assert!(self.buffer.is_empty(), "a watch ends between events");
                    return None;
                }
            }
        }
    }

    /// The next event, which is due: (type, object).
    pub async fn due(&mut self) -> (String, Tree) {
        let event = tokio::time::timeout(PATIENCE, self.next()).await.expect("an event is due");
        let event = event.expect("the watch goes on");
        (event["type"].as_str().unwrap().to_owned(), event["object"].clone())
    }

    /// The next event as `TYPE name revision`.
    pub async fn brief(&mut self) -> String {
        let (kind, object) = self.due().await;
        let metadata = &object["metadata"];
        format!(
            "{kind} {} {}",
            metadata["name"].as_str().unwrap_or("-"),
            metadata["resourceVersion"].as_str().unwrap_or("-")
        )
    }

    /// Nothing comes for a while.
    pub async fn quiet(&mut self) {
        let more = tokio::time::timeout(Duration::from_millis(60), self.next()).await;
        assert!(more.is_err(), "nothing was due: {more:?}");
    }

    /// The watch is over.
    pub async fn over(&mut self) {
        let end = tokio::time::timeout(PATIENCE, self.next()).await.expect("the end is due");
        assert_eq!(end, None);
    }
}

/// A widget to send.
pub fn widget(name: &str, spec: Tree) -> Tree {
    json!({"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

/// The resource version of an object or list.
pub fn version(object: &Tree) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

/// The names of a list's items.
pub fn names(list: &Tree) -> Vec<String> {
    let items = list["items"].as_array().expect("items is a list");
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// An object with one member changed, by pointer.
pub fn with(mut object: Tree, pointer: &str, value: impl Into<Tree>) -> Tree {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value.into());
    object
}

/// Percent-encodes a query value.
pub fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
