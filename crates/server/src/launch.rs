//! From flags to a running server and back: the order of things at start and at the end, whatever the doors are.
//!
//! ```text
//! flags → certificates given? → port → store (replayed into the observer) → root key → first start → TLS → doors → ready
//! SIGTERM → /readyz fails, no new connections → running requests finish → store flushed and closed
//! ```
//!
//! The port comes first because it is the commonest mistake and must not leave half a data directory behind.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use eartag_core::Lifetime;
use eartag_storage::{Observer, Store};

use crate::bootstrap::{self, Seed, Start};
use crate::clock::{SystemClock, fill_random};
use crate::config::ServeOptions;
use crate::health::{Counts, Health};
use crate::identity::{Identity, root_key};
use crate::listener::{self, Limits, Service};
use crate::metrics::Metrics;
use crate::setup::{self, Ready, ServeError};
use crate::shutdown::{self, Shutdown};
use crate::tls::{ClientAuthorities, watch_files};
use crate::vault::Vault;

/// How often a serving certificate from files is looked at.
const CERTIFICATE_CHECK: Duration = Duration::from_secs(60);

/// What the doors are built on.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The open store.
    pub store: Store,
    /// Who this store is.
    pub identity: Arc<Identity>,
    /// Opens the secrets in the store.
    pub vault: Arc<Vault>,
    /// How clients reach the server.
    pub url: String,
    /// The listening address.
    pub bound: SocketAddr,
    /// Whose client certificates are accepted.
    pub clients: Arc<ClientAuthorities>,
    /// Health: has `ping`, `store` and `shutdown`; the doors may add to it.
    pub health: Arc<Health>,
    /// The process's numbers.
    pub metrics: Arc<Metrics>,
    /// Tells when to stop.
    pub shutdown: Shutdown,
}

/// What answers requests, and what is still to be done when no more come.
pub struct Doors {
    /// Answers.
    pub service: Arc<dyn Service>,
    /// Awaited after the drain, before the store is closed.
    pub closing: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Runs a server until it was told to stop and has drained.
///
/// * `observer` follows the store from the first object on.
/// * `seeds` is what every store has.
/// * `token_lifetime` is asked once the store is loaded: how long the token in `admin.yaml` may live.
/// * `doors` builds what answers requests.
/// * `ready` is called when requests are answered.
///
/// # Errors
/// [`ServeError`]: why the server could not start.
pub async fn launch(
    options: ServeOptions,
    observer: Arc<dyn Observer>,
    seeds: Vec<Seed>,
    token_lifetime: impl FnOnce() -> Lifetime,
    doors: impl FnOnce(&Prepared) -> Result<Doors, ServeError>,
    ready: impl FnOnce(&Ready),
) -> Result<(), ServeError> {
    let clock = SystemClock;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit for another 280,000 years")]
    let metrics = Metrics::new(clock.now().wall_ms as f64 / 1000.0);
    let (trigger, shutdown) = shutdown::channel();
    let signals = match shutdown::on_signals(trigger) {
        Ok(signals) => Some(tokio::spawn(signals)),
        Err(error) => {
            tracing::error!(%error, "signals cannot be caught: the server can only be killed");
            None
        }
    };
    let limits = Limits::for_open_files(listener::raise_file_limit());

    setup::check_files(&options)?;
    let socket = listener::bind(&options.listen).await?;
    let bound = socket
        .local_addr()
        .map_err(|e| ServeError::System(format!("the listening address is unknown: {e}")))?;
    let store = setup::open_store(&options, observer).await?;
    let paths = options.paths();
    let root_key = root_key(&paths.root_key, &store, &fill_random)?;
    let address = setup::address(&options, bound)?;
    let url = address.url.clone();
    let started = bootstrap::start(
        &store,
        Start {
            paths: &paths,
            root_key: &root_key,
            password: options.bootstrap_password.as_ref(),
            token_lifetime: token_lifetime(),
            address,
            seeds,
            random: &fill_random,
            now: clock.now(),
        },
    )
    .await?;
    let (tls, serving) = setup::tls(&options, &started.identity, bound, &fill_random, clock.wall_s())?;

    let prepared = Prepared {
        store: store.clone(),
        identity: Arc::new(started.identity),
        vault: Arc::new(Vault::new(root_key)),
        url,
        bound,
        clients: tls.clients.clone(),
        health: health(&store, &shutdown),
        metrics: Arc::clone(&metrics),
        shutdown: shutdown.clone(),
    };
    let Doors { service, closing } = doors(&prepared)?;
    let watcher =
        options.tls_files.clone().map(|files| tokio::spawn(watch_files(serving, files, CERTIFICATE_CHECK)));
    tracing::info!(address = %bound, url = %prepared.url, store = %prepared.identity.store_id, "serving");
    ready(&Ready {
        url: setup::local_url(&options, bound),
        paths,
        generated_password: started.generated_password,
        first: started.first,
    });

    let dropped = listener::run(socket, tls, service, shutdown, limits, metrics).await;
    if dropped > 0 {
        tracing::warn!(connections = dropped, "connections were dropped with requests running");
    }
    let watcher = watcher.map(|watcher| watcher.abort_handle());
    for task in watcher.into_iter().chain(signals.map(|signals| signals.abort_handle())) {
        task.abort();
    }
    drop(prepared);
    closing.await;
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn health(store: &Store, shutdown: &Shutdown) -> Arc<Health> {
    let health = Health::new();
    let store = store.clone();
    // Why a store takes no writes may name files: that is for the log only.
    let check = move || {
        store.healthy().map_err(|why| {
            tracing::error!(%why, "the store takes no writes");
            "the store takes no writes".into()
        })
    };
    health.add("store", Counts::Ready, Box::new(check));
    let shutdown = shutdown.clone();
    let check = move || if shutdown.requested() { Err("the server is stopping".into()) } else { Ok(()) };
    health.add("shutdown", Counts::ReadyOnly, Box::new(check));
    Arc::new(health)
}
