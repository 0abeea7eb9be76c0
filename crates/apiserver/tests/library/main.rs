//! The library as a stranger would use it: a kind that has nothing to do with tokens, over the memory engine, driven through the HTTP door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod computed;
mod create;
mod delete;
mod delete_many;
mod discovery;
mod door;
mod get;
mod list;
mod list_views;
mod model;
mod patch;
mod reviews;
mod support;
mod update;
mod watch;
mod watch_ends;
mod widgets;
