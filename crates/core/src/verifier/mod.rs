//! The one place that decides whether a presented secret is good (DESIGN §4).
//!
//! ```text
//!  Presented::parse ── foreign JWTs die here
//!        │
//!        ▼          under the read lock: entry (one pointer) and owner (one pointer) of one revision
//!     look up ────────────────────────────────────────────────────────────────┐
//!        │ miss: a decoy of the same cost                                     │ $1: Slow, to be run in a bounded pool
//!        ▼                                                                    ▼
//!   one hash, compared in constant time ── wrong ─► Bad(WrongSecret)    SlowCheck::run, then Verifier::finish
//!        │ right: only now why not
//!        ▼
//!   being deleted · enabled · expiry · idle · owner · provider · place ─► Good(Accepted) | Bad(Reason)
//! ```
//!
//! The table is fed by the store's observer, in the same step as the mirror and before a write is answered, so that a revocation
//! that has been answered is in force. [`Reason`]s are for logs and metrics: to the outside all refusals look alike (DEC52).

mod memo;
mod presented;
mod slow;
mod table;

use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use eartag_api::frame;
use eartag_api::meta::{Head, Meta, Uid};
use eartag_storage::{Change, CollectionId, Entry};
use parking_lot::RwLock;

use crate::face::Face;
use crate::hash::SecretHash;
use crate::record::{Credential, Gist, LegacyTokenRecord, Principal, TokenRecord};
use crate::settings::Overrides;
use crate::time::millis;
use crate::ttl::Lifetime;
use crate::usage::Usage;

use memo::Memo;
pub use presented::Presented;
pub use slow::{SlowCheck, SlowMemory};
pub use table::OwnerState;
use table::Table;

/// The verifier: tokens, their owners and the settings that matter, under one lock.
pub struct Verifier {
    table: RwLock<Table>,
    memo: Memo,
    usage: Arc<Usage>,
}

/// Where a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// At an address that belongs to no cluster: tokens restricted to a cluster are not good there.
    Global,
    /// At this cluster's address: unrestricted tokens and those of this cluster are. Whether the owner of an unrestricted token has a
    /// right to the cluster is the caller's question (DEC44).
    Cluster(&'a str),
    /// Anywhere.
    Any,
}

/// What a check found.
#[derive(Debug)]
pub enum Verdict {
    /// The secret is good.
    Good(Arc<Accepted>),
    /// It is not.
    Bad(Reason),
    /// Its hash is a costly one: run [`SlowCheck::run`] in a bounded pool and hand the outcome to [`Verifier::finish`].
    Slow(Box<SlowCheck>),
}

/// A good token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its name, without `ext/`.
    pub name: String,
    /// Its face.
    pub face: Face,
    /// Its uid, for usage stamps.
    pub uid: Uid,
    /// Name of the user who owns it.
    pub owner: String,
    /// Uid of that user.
    pub owner_uid: Uid,
    /// The principal that logged in.
    pub principal: Principal,
    /// Authentication provider.
    pub auth_provider: String,
    /// Its kind.
    pub kind: String,
    /// The cluster it is restricted to, or empty.
    pub cluster: String,
    /// A login token.
    pub session: bool,
    /// Not made by a login (legacy face; always true for ext tokens of any kind but `session`).
    pub derived: bool,
    /// When it expires, in ms since 1970.
    pub expires_ms: Option<u64>,
    /// Login name of the owner.
    pub username: String,
    /// The owner's name for people.
    pub display_name: String,
}

/// Why a token is not good. For logs, audit and metrics only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// Not of the form of a token.
    #[error("malformed")]
    Malformed,
    /// No such token.
    #[error("unknown token")]
    UnknownToken,
    /// Another secret.
    #[error("wrong secret")]
    WrongSecret,
    /// Switched off.
    #[error("token is disabled")]
    Disabled,
    /// Past its time.
    #[error("token is expired")]
    Expired,
    /// No activity for too long.
    #[error("session idle timeout expired")]
    Idle,
    /// The token or its owner is being deleted.
    #[error("being deleted")]
    BeingDeleted,
    /// The owner does not exist.
    #[error("owner does not exist")]
    OwnerGone,
    /// The owner is disabled.
    #[error("owner is disabled")]
    OwnerDisabled,
    /// Another user bears the owner's name now.
    #[error("owner was replaced by another user of the same name")]
    OwnerReplaced,
    /// The principal's provider is disabled or unknown.
    #[error("authentication provider is disabled")]
    ProviderDisabled,
    /// Restricted to another cluster, or to one at all.
    #[error("not good for this cluster")]
    WrongCluster,
    /// The record cannot be read.
    #[error("record is damaged")]
    Corrupt,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// An empty table with usage stamps of its own and no overridden settings.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Arc::new(Usage::new()), &Overrides::default())
    }

    /// An empty table over these usage stamps; settings in `overrides` win over stored ones.
    #[must_use]
    pub fn with(usage: Arc<Usage>, overrides: &Overrides) -> Self {
        Self { table: RwLock::new(Table::new(overrides)), memo: Memo::new(), usage }
    }

    /// The usage stamps that idle timeouts are judged by.
    #[must_use]
    pub const fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// Takes in an entry while the store is opened; entries of other collections are ignored.
    pub fn load(&self, collection: CollectionId, entry: &Entry) {
        self.table.write().put(collection, entry);
    }

    /// Takes in a commit, all of it in one step.
    pub fn apply(&self, changes: &[Change]) {
        let mut table = self.table.write();
        for change in changes {
            match (&change.new, &change.old) {
                (Some(new), _) => table.put(change.collection, new),
                (None, Some(old)) => table.remove(change.collection, old.key()),
                (None, None) => {}
            }
        }
        drop(table);
        for change in changes {
            if let (None, Some(old), Some(_)) = (&change.new, &change.old, Face::of(change.collection))
                && let Some(head) = frame::head(old.value())
            {
                self.usage.forget(head.uid);
            }
        }
    }

    /// Names the authentication providers whose tokens are good; `local` alone is the default.
    pub fn set_providers(&self, enabled: impl IntoIterator<Item = String>) {
        self.table.write().providers = Arc::new(enabled.into_iter().collect());
    }

    /// Checks a presented secret. `now_ms` is effective time ([`Clock::now_ms`](crate::Clock::now_ms)).
    ///
    /// Costs one hash on every path, whether the token exists or not.
    #[must_use]
    pub fn check(&self, presented: &Presented<'_>, place: Place<'_>, now_ms: u64) -> Verdict {
        let Some(found) = self.table.read().find(presented.face, presented.name) else {
            return decoy(presented, Reason::UnknownToken);
        };
        let Some((gist, head)) = read(&found.entry) else {
            return decoy(presented, Reason::Corrupt);
        };
        if gist.hash.is_slow() {
            return Verdict::Slow(Box::new(SlowCheck::new(presented, place, head.uid, gist.hash)));
        }
        if !gist.hash.verify(presented.secret()) {
            return Verdict::Bad(Reason::WrongSecret);
        }
        self.judge(presented.face, &found, &gist, head, place, now_ms)
    }

    /// Ends a slow check: `matched` is what [`SlowCheck::run`] said (or a remembered success). The token is looked at again, as it may
    /// have been revoked meanwhile.
    #[must_use]
    pub fn finish(&self, slow: &SlowCheck, matched: bool, now_ms: u64) -> Verdict {
        let Some(found) = self.table.read().find(slow.face(), slow.name()) else {
            return Verdict::Bad(Reason::UnknownToken);
        };
        let Some((gist, head)) = read(&found.entry) else {
            return Verdict::Bad(Reason::Corrupt);
        };
        if !matched || head.uid != slow.uid() || gist.hash != *slow.hash() {
            return Verdict::Bad(Reason::WrongSecret);
        }
        self.judge(slow.face(), &found, &gist, head, slow.place(), now_ms)
    }

    /// Whether a token that was accepted before would still be: for requests that last. Only the secret is not looked at again.
    #[must_use]
    pub fn still_good(&self, accepted: &Accepted, now_ms: u64) -> bool {
        let Some(found) = self.table.read().find(accepted.face, &accepted.name) else { return false };
        let Some((gist, head)) = read(&found.entry) else { return false };
        head.uid == accepted.uid
            && self.why_not(&found, &gist, head, now_ms).is_none()
            && found.providers.contains(provider(accepted))
    }

    /// Judges a token by its id alone, for requests whose secret somebody else has checked: a front proxy that names the token in the
    /// extra `requesttokenid` (DEC15). An id with `ext/` is an ext token's, one without may be either's (ext-token.md §2.1). Whether
    /// the token belongs to whoever the proxy says is for the caller to compare.
    ///
    /// # Errors
    /// Why the token is not good.
    pub fn resolve(&self, id: &str, now_ms: u64) -> Result<Arc<Accepted>, Reason> {
        let (faces, name) = match id.strip_prefix(Face::Ext.prefix()) {
            Some(name) => (&[Face::Ext][..], name),
            None => (&[Face::Legacy, Face::Ext][..], id),
        };
        let table = self.table.read();
        let found = faces.iter().find_map(|face| table.find(*face, name).map(|found| (*face, found)));
        drop(table);
        let (face, found) = found.ok_or(Reason::UnknownToken)?;
        let (gist, head) = read(&found.entry).ok_or(Reason::Corrupt)?;
        match self.judge(face, &found, &gist, head, Place::Any, now_ms) {
            Verdict::Good(accepted) => Ok(accepted),
            Verdict::Bad(reason) => Err(reason),
            Verdict::Slow(_) => Err(Reason::Corrupt), // judging makes no hash
        }
    }

    /// The owner as the table has them; `None` if there is no such user.
    #[must_use]
    pub fn owner(&self, user: &str) -> Option<Arc<OwnerState>> {
        self.table.read().owner(user)
    }

    /// Whether reads show a token of this owner as it is, rather than disabled (DEC8): the very user exists, is enabled and is not
    /// being deleted.
    #[must_use]
    pub fn owner_enabled(&self, user: &str, uid: Uid) -> bool {
        self.owner(user).is_some_and(|owner| owner.uid == uid && owner.enabled && !owner.deleted)
    }

    /// The token of this name, of whichever face: names are unique over both (DEC21).
    #[must_use]
    pub fn token(&self, name: &str) -> Option<(Face, Entry)> {
        let table = self.table.read();
        Face::ALL.into_iter().find_map(|face| table.entry(face, name).map(|entry| (face, entry)))
    }

    /// How many tokens of this face the table holds.
    #[must_use]
    pub fn len(&self, face: Face) -> usize {
        self.table.read().len(face)
    }

    /// Whether the table holds no token of this face.
    #[must_use]
    pub fn is_empty(&self, face: Face) -> bool {
        self.len(face) == 0
    }

    /// The idle timeout in force, in ms.
    #[must_use]
    pub fn idle_ms(&self) -> u64 {
        self.table.read().idle_ms
    }

    fn judge(
        &self,
        face: Face,
        found: &table::Found,
        gist: &Gist<'_>,
        head: Head,
        place: Place<'_>,
        now_ms: u64,
    ) -> Verdict {
        match self.why_not(found, gist, head, now_ms) {
            Some(reason) => Verdict::Bad(reason),
            None => match (self.memo.of(head.uid, found, |owner| accept(face, found, head, owner)), place) {
                (None, _) => Verdict::Bad(Reason::Corrupt),
                (Some(accepted), _) if !found.providers.contains(provider(&accepted)) => {
                    Verdict::Bad(Reason::ProviderDisabled)
                }
                (Some(accepted), Place::Global) if !accepted.cluster.is_empty() => {
                    Verdict::Bad(Reason::WrongCluster)
                }
                (Some(accepted), Place::Cluster(id))
                    if !accepted.cluster.is_empty() && accepted.cluster != id =>
                {
                    Verdict::Bad(Reason::WrongCluster)
                }
                (Some(accepted), _) => Verdict::Good(accepted),
            },
        }
    }

    fn why_not(&self, found: &table::Found, gist: &Gist<'_>, head: Head, now_ms: u64) -> Option<Reason> {
        if head.deleted {
            return Some(Reason::BeingDeleted);
        }
        if !gist.enabled {
            return Some(Reason::Disabled);
        }
        if gist.lifetime.expired(head.created_s, now_ms) {
            return Some(Reason::Expired);
        }
        if gist.session && is_idle(self.usage.get(head.uid).last_activity_s, found.idle_ms, now_ms) {
            return Some(Reason::Idle);
        }
        let Some(owner) = &found.owner else {
            return Some(Reason::OwnerGone);
        };
        match () {
            () if owner.uid != gist.owner_uid => Some(Reason::OwnerReplaced),
            () if owner.deleted => Some(Reason::BeingDeleted),
            () if !owner.enabled => Some(Reason::OwnerDisabled),
            () => None,
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

/// Whether reported activity lies too far back (v3-token.md §4.7). A token without any never idles out.
#[must_use]
pub fn is_idle(last_activity_s: Option<i64>, idle_ms: u64, now_ms: u64) -> bool {
    last_activity_s.is_some_and(|at| now_ms > millis(at).saturating_add(idle_ms))
}

fn read(entry: &Entry) -> Option<(Gist<'_>, Head)> {
    let (body, _) = frame::split(entry.value())?;
    Some((Gist::decode(body)?, frame::head(entry.value())?))
}

fn accept(face: Face, found: &table::Found, head: Head, owner: &OwnerState) -> Option<Accepted> {
    let (body, _) = frame::split(found.entry.value())?;
    let (credential, derived, auth_provider) = match face {
        Face::Ext => {
            let credential = TokenRecord::decode(body)?.credential;
            let (derived, provider) = (!credential.session, credential.principal.provider.clone());
            (credential, derived, provider)
        }
        Face::Legacy => {
            let record = LegacyTokenRecord::decode(body)?;
            (record.credential, record.derived, record.auth_provider)
        }
    };
    Some(Accepted {
        name: std::str::from_utf8(found.entry.key()).ok()?.to_owned(),
        face,
        uid: head.uid,
        expires_ms: credential.lifetime.expires_ms(head.created_s),
        owner: credential.owner,
        owner_uid: credential.owner_uid,
        principal: credential.principal,
        auth_provider,
        kind: credential.kind,
        cluster: credential.cluster,
        session: credential.session,
        derived,
        username: owner.username.clone(),
        display_name: owner.display_name.clone(),
    })
}

/// System tokens name no provider; they are the local ones.
fn provider(accepted: &Accepted) -> &str {
    if accepted.auth_provider.is_empty() { "local" } else { &accepted.auth_provider }
}

/// Spends what a check of an existing token with a wrong secret costs: a record is read, and one hash of the face's usual format computed.
fn decoy(presented: &Presented<'_>, reason: Reason) -> Verdict {
    static RECORDS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| Face::ALL.map(decoy_record));
    let [ext, legacy] = &*RECORDS;
    let value = black_box(match presented.face {
        Face::Ext => ext,
        Face::Legacy => legacy,
    });
    let body = frame::split(value).map(|(body, _)| body).unwrap_or_default();
    if let (Some(gist), Some(head)) = (Gist::decode(body), frame::head(value)) {
        black_box(gist.hash.verify(presented.secret()));
        black_box(head.deleted);
    }
    Verdict::Bad(reason)
}

/// A record like any other, whose hash no secret has.
fn decoy_record(face: Face) -> Vec<u8> {
    let hash = match face {
        Face::Ext => SecretHash::Sha3 { salt: [0; 8], digest: [0; 64] },
        Face::Legacy => SecretHash::Sha256 { salt: [0; 8], digest: [0; 32] },
    };
    let credential = Credential {
        owner: "user-abcde".to_owned(),
        owner_uid: Uid::default(),
        hash,
        lifetime: Lifetime::Forever,
        enabled: true,
        cluster: String::new(),
        session: false,
        principal: Principal::local("user-abcde", "somebody", "Somebody"),
        kind: String::new(),
        description: String::new(),
        last_update_s: 0,
    };
    frame::frame(&TokenRecord { credential }.encode(), &Meta::default())
}

#[cfg(test)]
mod tests;
