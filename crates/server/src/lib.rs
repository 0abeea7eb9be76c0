//! Eartag's server: joins rules, store and API server library into doors that listen.
//!
//! ```text
//! launch    flags → store → identity → listener → drain          serve    tables, resources, doors
//! door      health · login · /v3 · authn → ApiServer             authn    credential → Caller
//! resources one lens per kind                                    observer tables that follow the store
//! aggregation a group of ours in the API of a cluster
//! backup    a data directory in one file, and back                import   users and tokens of another system
//! proxy     /k8s/clusters/<id>: other clusters' API servers
//! sweeper   deletes in the background                            background  usage stamps, time mark, compaction
//! ```

pub mod admin_files;
pub mod aggregation;
mod audit_id;
pub mod authn;
pub mod authz;
mod background;
pub mod backup;
pub mod bootstrap;
pub mod clock;
pub mod cluster;
pub mod config;
mod connection;
mod door;
#[cfg(test)]
mod doors_law;
pub mod files;
mod guarded_body;
mod hashing;
pub mod health;
pub mod identity;
pub mod import;
mod kubeconfig;
pub mod launch;
pub mod listener;
pub mod login;
pub mod metrics;
pub mod oauth;
pub mod observer;
pub mod pki;
mod process_metrics;
mod proxy;
pub mod request_body;
pub mod resources;
mod seeds;
pub mod serve;
pub mod setup;
pub mod shutdown;
pub mod state;
mod sweeper;
pub mod throttle;
pub mod tls;
pub mod token_review;
pub mod v1;
pub mod v3;
pub mod vault;
pub mod version;
mod world;
