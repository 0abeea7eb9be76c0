//! `eartag serve`: joins tables, resources and doors, and hands them to the launch.

use std::sync::Arc;

use eartag_apiserver::http::ApiServer;
use eartag_apiserver::kind::World;
use eartag_apiserver::ops::Api;
use eartag_core::Lifetime;
use eartag_core::features::{FeatureDefaults, Features};
use eartag_core::settings::{Overrides, SettingsTable};
use eartag_storage::Store;
use tokio::sync::watch;

use crate::aggregation::{self, Aggregation};
use crate::authn::Gate;
use crate::authz::{Counted, RoleAuthorizer};
use crate::clock::{SystemClock, fill_random};
use crate::config::{Aggregated, ServeOptions};
use crate::door::Door;
use crate::health::Counts;
use crate::launch::{Doors, Prepared, launch};
use crate::metrics::Refresh;
use crate::observer::Tables;
use crate::setup::{Ready, ServeError};
use crate::state::{DoorOptions, State};
use crate::sweeper::Sweeper;
use crate::token_review::Reviewer;
use crate::world::SystemWorld;
use crate::{background, resources, seeds, version};

/// Runs a server until it is told to stop. `ready` is called once requests are answered.
///
/// # Errors
/// Why the server could not start, in one sentence.
pub async fn serve(options: ServeOptions, ready: impl FnOnce(&Ready)) -> Result<(), ServeError> {
    let overrides = Overrides::from_env(options.environment.clone())
        .map_err(|error| ServeError::BadValue(error.to_string()))?;
    let features: Vec<String> = options.features.iter().map(|(name, on)| format!("{name}={on}")).collect();
    let features = FeatureDefaults::parse(&features.join(","))
        .map_err(|error| ServeError::BadValue(error.to_string()))?;
    let seeds = seeds::all(&features);
    let mut key = [0; 32];
    fill_random(&mut key);
    let gate = Arc::new(Gate::new(key));
    let tables = Arc::new(Tables::new(SettingsTable::new(overrides), Features::new(features), gate));
    let door_options = DoorOptions {
        trusted_proxies: options.trusted_proxies.clone(),
        server_url: options.server_url.clone(),
    };
    let max_ttl = {
        let tables = tables.clone();
        move || Lifetime::from_limit(tables.settings.snapshot().max_ttl)
    };
    let doors = {
        let tables = tables.clone();
        let aggregated = options.aggregated.clone();
        move |prepared: &Prepared| doors(prepared, tables, door_options, aggregated)
    };
    launch(options, tables, seeds, max_ttl, doors, ready).await
}

/// What answers requests, and the tasks beside it.
fn doors(
    prepared: &Prepared,
    tables: Arc<Tables>,
    options: DoorOptions,
    aggregated: Option<Aggregated>,
) -> Result<Doors, ServeError> {
    let store = prepared.store.clone();
    let shutdown = prepared.shutdown.clone();
    let pages = store.usage_load();
    tables.usage.load(&pages);
    let clock = Arc::new(SystemClock);
    let world = Arc::new(SystemWorld::new(*clock, background::saved_mark(&pages)));
    let shared_world: Arc<dyn World> = world.clone();
    let foundation = resources::Foundation {
        tables: tables.clone(),
        store: store.clone(),
        world: shared_world.clone(),
        vault: prepared.vault.clone(),
        metrics: prepared.metrics.clone(),
        server_url: options.server_url.clone(),
    };
    let broken = |error| ServeError::System(format!("the API's own description is broken: {error}"));
    let (registry, kinds) = resources::registry(&foundation).map_err(broken)?;
    let registry = Arc::new(registry);
    let authorizer = Arc::new(Counted::new(RoleAuthorizer::new(tables.clone()), prepared.metrics.clone()));
    let api = Api::new(store.clone());
    let (ending, end) = watch::channel(false);
    let server = ApiServer::new(
        api.clone(),
        registry.clone(),
        authorizer.clone(),
        shared_world.clone(),
        end.clone(),
        version::version_info().git_version.to_owned(),
    );
    let aggregation = aggregated
        .map(|asked| {
            let ground = aggregation::Ground {
                api: &api,
                registry: &registry,
                world: &shared_world,
                metrics: &prepared.metrics,
                ending: end,
                version: version::version_info().git_version.to_owned(),
            };
            Aggregation::new(&asked, &prepared.clients, ground)
        })
        .transpose()?;
    prepared.metrics.refresh_with(refresh(&store, &tables));

    let sweeper = Sweeper::new(
        store.clone(),
        tables.clone(),
        world.clone(),
        prepared.metrics.clone(),
        shutdown.clone(),
    );
    let sweeping = tokio::spawn(sweeper.run());
    let keeping =
        tokio::spawn(background::run(store.clone(), tables.usage.clone(), world.clone(), shutdown.clone()));
    let following = aggregation.as_ref().map(|aggregation| {
        let known = aggregation.known();
        prepared.health.add("cluster-trust", Counts::Ready, Box::new(move || known.fresh()));
        tokio::spawn(aggregation.follow(shutdown.clone()))
    });
    let watches = tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            // Watches end when the drain begins, so that connections can.
            shutdown.drained().await;
            ending.send_replace(true);
            std::future::pending::<()>().await;
        }
    });
    let closing = {
        let (store, usage) = (store.clone(), tables.usage.clone());
        async move {
            for task in [sweeping, keeping].into_iter().chain(following) {
                if let Err(error) = task.await {
                    tracing::error!(%error, "a background task ended badly");
                }
            }
            watches.abort();
            // Requests that finished during the drain left stamps too.
            background::flush(&store, &usage).await;
        }
    };
    let state = Arc::new(State {
        reviewer: Reviewer::new(tables.clone(), store.clone(), prepared.metrics.clone()),
        store,
        gate: tables.gate.clone(),
        tables,
        clock,
        world: shared_world,
        vault: prepared.vault.clone(),
        authorizer,
        registry,
        server,
        api,
        kinds,
        metrics: prepared.metrics.clone(),
        health: prepared.health.clone(),
        shutdown,
        aggregation: aggregation.map(Arc::new),
        options,
    });
    Ok(Doors { service: Arc::new(Door::new(state)), closing: Box::pin(closing) })
}

/// Gauges are read when somebody asks.
fn refresh(store: &Store, tables: &Arc<Tables>) -> Refresh {
    let (store, tables) = (store.clone(), tables.clone());
    Box::new(move |metrics| {
        let stats = store.stats();
        metrics.set_storage(
            stats.disk_bytes,
            stats.revision.get(),
            stats.watchers,
            stats.history_events,
            stats.history_bytes,
        );
        for collection in &stats.collections {
            metrics.set_objects("", collection.name, collection.count, collection.bytes);
        }
        for (face, name) in [(eartag_core::Face::Ext, "ext"), (eartag_core::Face::Legacy, "legacy")] {
            metrics.set_tokens(name, "stored", u64::try_from(tables.verifier.len(face)).unwrap_or(u64::MAX));
        }
    })
}
