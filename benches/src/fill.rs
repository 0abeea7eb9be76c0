//! Fills a store with tokens, below the API: as records, in bulk.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_core::collections::{self, EXT_TOKENS, LEGACY_TOKENS, USERS};
use eartag_core::{
    Face, LegacyTokenRecord, Lifetime, PlainSecret, Principal, SecretHash, TokenRecord, UserRecord,
};
use eartag_storage::{CollectionId, Commit, Lane, NoObserver, Op, Options, Range, Scope, Sqlite, Store};
use futures_util::stream::{self, StreamExt, TryStreamExt};

/// Tokens of one user.
const PER_USER: usize = 100;
/// Commits under way at once: several groups of the store.
const AT_ONCE: usize = 1024;

/// Adds `count` tokens of `count / 100` users to the data file of a server that has run once and is stopped. They are made after the
/// image of a token that the server itself made, so that each has the size of a real one.
///
/// # Errors
/// The store takes no writes, or holds no token to copy.
pub async fn fill(data: &Path, count: usize) -> Result<()> {
    let store = open(data).await?;
    let template = template(&store)?;
    let users = (0..count.div_ceil(PER_USER)).map(|n| (USERS, user(n), user_value(n, &template.1)));
    write(&store, users).await?;
    write(&store, (0..count).map(|n| (EXT_TOKENS, name(n), token_value(n, &template)))).await?;
    store.close().await;
    Ok(())
}

/// Adds `count` API keys of one user, each after the image of a key that this user has already. As [`fill`], on a stopped server's data.
///
/// # Errors
/// The store takes no writes, or the user has no key to copy.
pub async fn fill_keys(data: &Path, user: &str, count: usize) -> Result<()> {
    let store = open(data).await?;
    let scope = Scope::Owner(user.as_bytes().to_vec());
    let range = Range { collection: LEGACY_TOKENS, scope, after: None, limit: 100, at: None };
    let page = store.range(&range).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let images = page.entries.iter().filter_map(|entry| {
        let record = LegacyTokenRecord::decode(frame::split(entry.value())?.0)?;
        Some((record, frame::meta(entry.value())?))
    });
    let (record, meta) = images.into_iter().find(|(record, _)| record.derived).context("no key to copy")?;
    let key = |n: usize| {
        let mut record = record.clone();
        record.credential.hash = Face::Legacy.hash(&PlainSecret::new(secret(n)), salt(n));
        record.credential.description = format!("Number {n}");
        let meta = Meta { uid: uid(1, n), ..meta.clone() };
        frame::frame(&record.encode(), &meta)
    };
    write(&store, (0..count).map(|n| (LEGACY_TOKENS, name(n), key(n)))).await?;
    store.close().await;
    Ok(())
}

async fn open(data: &Path) -> Result<Store> {
    let engine = Box::new(Sqlite::new(data.join("eartag.db")));
    // Nobody reads this history: the server starts a new one.
    let options = Options { history_events: 1024, ..Options::default() };
    Ok(Store::open(engine, collections::all(), Arc::new(NoObserver), options).await?)
}

/// The name of the n-th token. Names are scattered over the order of names.
#[must_use]
pub fn name(n: usize) -> String {
    format!("token-{:08x}", scatter(n))
}

/// What a client presents for the n-th token.
#[must_use]
pub fn bearer(n: usize) -> String {
    format!("ext/{}:{}", name(n), secret(n))
}

/// A permutation of 32 bits.
fn scatter(n: usize) -> u32 {
    u32::try_from(n & 0xffff_ffff).unwrap_or_default().wrapping_mul(0x9e37_79b9)
}

/// Of the length of a real one.
fn secret(n: usize) -> String {
    format!("{:054}", u64::from(scatter(n)).wrapping_mul(0x2545_f491_4f6c_dd1d))
}

fn salt(n: usize) -> [u8; 8] {
    u64::try_from(n).unwrap_or_default().to_le_bytes()
}

fn user(n: usize) -> String {
    format!("user-{n:05}")
}

fn user_uid(n: usize) -> Uid {
    uid(2, n)
}

/// Unique, and scattered like a random one: usage stamps are spread by a uid's first bytes.
fn uid(kind: u8, n: usize) -> Uid {
    let mut bytes = [kind; 16];
    bytes[..4].copy_from_slice(&scatter(n).to_be_bytes());
    bytes[8..].copy_from_slice(&u64::try_from(n).unwrap_or_default().to_be_bytes());
    Uid::from_random(bytes)
}

/// A token that the server made, and its metadata.
fn template(store: &Store) -> Result<(TokenRecord, Meta)> {
    let range = Range { collection: EXT_TOKENS, scope: Scope::All, after: None, limit: 1, at: None };
    let page = store.range(&range).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let entry = page.entries.first().context("the store holds no token")?;
    let (body, _) = frame::split(entry.value()).context("a frame")?;
    let record = TokenRecord::decode(body).context("a token")?;
    Ok((record, frame::meta(entry.value()).context("metadata")?))
}

fn user_value(n: usize, like: &Meta) -> Vec<u8> {
    let record = UserRecord {
        username: user(n),
        display_name: format!("User number {n}"),
        principal_ids: vec![format!("local://{}", user(n))],
        ..UserRecord::default()
    };
    let meta = Meta { uid: user_uid(n), created_s: like.created_s, generation: 1, ..Meta::default() };
    frame::frame(&record.encode(), &meta)
}

fn token_value(n: usize, (record, meta): &(TokenRecord, Meta)) -> Vec<u8> {
    let owner = n / PER_USER;
    let mut record = record.clone();
    record.credential.owner = user(owner);
    record.credential.owner_uid = user_uid(owner);
    record.credential.principal =
        Principal::local(&user(owner), &user(owner), &format!("User number {owner}"));
    record.credential.hash = SecretHash::sha3(&PlainSecret::new(secret(n)), salt(n));
    // None expires while the benchmark runs, and no two at once.
    record.credential.lifetime =
        Lifetime::For(7_776_000_000_u64.saturating_sub(u64::from(scatter(n)) % 1_000_000));
    record.credential.description = format!("Number {n}");
    let mut meta = Meta { uid: uid(1, n), ..meta.clone() };
    for value in meta.labels.values_mut().filter(|value| value.starts_with("user-")) {
        *value = user(owner);
    }
    frame::frame(&record.encode(), &meta)
}

async fn write(store: &Store, objects: impl Iterator<Item = (CollectionId, String, Vec<u8>)>) -> Result<()> {
    let commits = objects.map(|(collection, name, value)| {
        let ops = vec![Op::Put { collection, key: name.into_bytes(), value }];
        store.commit(Commit { ops, lane: Lane::Interactive, ..Commit::default() })
    });
    stream::iter(commits).buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await?;
    Ok(())
}
