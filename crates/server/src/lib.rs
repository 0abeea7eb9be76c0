//! Eartag.

pub mod admin_files;
pub mod bootstrap;
pub mod identity;
pub mod clock;
pub mod config;
mod connection;
pub mod files;
pub mod health;
pub mod listener;
pub mod metrics;
pub mod pki;
mod process_metrics;
pub mod shutdown;
pub mod tls;
pub mod version;
