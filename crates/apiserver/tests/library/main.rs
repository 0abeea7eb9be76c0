//! The library as a stranger would use it: a kind that has nothing to do with tokens, over the memory engine, driven through the HTTP door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod create;
//TODO mod delete;
//TODO mod delete_many;
//TODO mod discovery;
//TODO mod door;
mod get;
mod list;
mod list_views;
//TODO mod model;
//TODO mod patch;
//TODO mod reviews;
mod support;
//TODO mod update;
//TODO mod watch;
//TODO mod watch_ends;
mod widgets;
