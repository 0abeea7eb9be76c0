//! List: pages over one snapshot, with Kubernetes' continue tokens and resource version rules (kubernetes-api.md §3.4).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eartag_storage::{Entry, Range, RangeError, Revision, Scope, Store};
use serde::{Deserialize, Serialize};

use super::{Selection, exists, in_scope};
use crate::Tree;
use crate::kind::{Cx, Kind, Verb};
use crate::object::show_entry;
use crate::refusal::Refusal;
use crate::user::Attributes;

/// How a `resourceVersion` is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Match {
    /// Not said.
    #[default]
    Unset,
    /// This revision and no other.
    Exact,
    /// This revision or a newer one.
    NotOlderThan,
}

/// What a list asks for.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Which objects.
    pub selection: Selection,
    /// At most so many; `None` for all.
    pub limit: Option<usize>,
    /// The token of an earlier page, or empty.
    pub resume: String,
    /// `resourceVersion`; `None` if absent, `Some(0)` for "any".
    pub version: Option<u64>,
    /// `resourceVersionMatch`.
    pub matching: Match,
    /// Only these, of those that exist for the caller.
    pub within: Option<Scope>,
    /// Only names behind this one, or empty. A token of an earlier page goes before it.
    pub after: String,
    /// The right that the list needs, asked again when rights change while it is sent; `None` where it needs none.
    pub wants: Option<Attributes>,
}

/// An entry of a list, with the object that the caller sees.
pub struct Listed {
    /// The stored entry.
    pub entry: Entry,
    /// The shown object.
    pub object: Tree,
}

impl Listed {
    /// The object's key.
    pub fn key(&self) -> &[u8] {
        self.entry.key()
    }
}

/// Entries read under the store's lock at once.
const CHUNK: usize = 500;

/// A request waits this long for a revision that lies in the future.
pub(super) const FUTURE_WAIT: Duration = Duration::from_secs(3);

const TOO_OLD: &str = "The resourceVersion for the provided list is too old.";
const TOKEN_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

impl super::Api {
    /// Starts a list for this caller.
    pub async fn list(&self, kind: &dyn Kind, cx: &Cx, options: &ListOptions) -> Result<Lister, Refusal> {
        if let Some(asked) = options.version {
            self.await_revision(asked).await?;
        }
        let rights = cx.authorizer.generation();
        let scope = kind.scope(cx, Verb::List).await?;
        let lister = Lister::start(&self.store, scope.clone(), options)?;
        Ok(Lister { grant: Grant { rights, scope: Some(scope), wants: options.wants.clone() }, ..lister })
    }

    /// Waits a little for a revision that lies in the future, then refuses.
    pub(crate) async fn await_revision(&self, asked: u64) -> Result<(), Refusal> {
        if asked <= self.store.revision().get()
            || self.store.wait_for(Revision::new(asked), FUTURE_WAIT).await
        {
            return Ok(());
        }
        Err(Refusal::FutureRevision { asked, current: self.store.revision().get() })
    }
}

/// By what right a list was begun.
#[derive(Default)]
struct Grant {
    /// The authorizer's generation then.
    rights: u64,
    /// The caller's scope, where it was asked for.
    scope: Option<Scope>,
    wants: Option<Attributes>,
}

/// A list in progress: a snapshot, a position, and what remains of the limit.
pub struct Lister {
    grant: Grant,
    store: Store,
    scope: Scope,
    /// What else must hold: the other half of an intersection that is no scope itself.
    also: Option<Scope>,
    selection: Selection,
    at: Revision,
    after: Option<Vec<u8>>,
    left: Option<usize>,
    from_token: bool,
    done: bool,
    remaining: Option<u64>,
}

impl Lister {
    /// Begins at the snapshot that the options name.
    pub fn start(store: &Store, scope: Scope, options: &ListOptions) -> Result<Lister, Refusal> {
        let newest = store.revision();
        let mut at = newest;
        let mut after = Some(options.after.clone().into_bytes()).filter(|name| !name.is_empty());
        let limit = options.limit.filter(|n| *n > 0);
        if options.resume.is_empty() {
            let exact = options.matching == Match::Exact
                || (options.matching == Match::Unset && limit.is_some() && options.version.unwrap_or(0) > 0);
            if let Some(version) = options.version.filter(|_| exact) {
                at = Revision::new(version);
                if at < store.oldest() {
                    return Err(Refusal::Expired { message: TOO_OLD.to_owned(), resume: String::new() });
                }
            }
        } else {
            let token = ContinueToken::parse(&options.resume)?;
            after = Some(token.after.clone());
            if let Some(revision) = token.revision {
                at = Revision::new(revision);
                if at > newest {
                    return Err(Refusal::FutureRevision { asked: revision, current: newest.get() });
                }
                if at < store.oldest() {
                    return Err(token.expired());
                }
            }
        }
        // One name is one look-up, unless the caller's scope is narrower than a name can say.
        let scope = match (&scope, options.selection.name()) {
            (Scope::All, Some(name)) => Scope::Name(name.as_bytes().to_vec()),
            _ => scope,
        };
        let (scope, also) = match &options.within {
            Some(within) => intersection(scope, within.clone()),
            None => (scope, None),
        };
        Ok(Lister {
            grant: Grant::default(),
            store: store.clone(),
            scope,
            also,
            selection: options.selection.clone(),
            at,
            after,
            left: limit,
            from_token: !options.resume.is_empty(),
            done: false,
            remaining: None,
        })
    }

    /// Whether the caller may still see what this list shows. A long list can be read slowly, and the credential or a right be taken away meanwhile: then whoever
    /// sends it cuts it short.
    pub async fn still_allowed(&mut self, kind: &dyn Kind, cx: &Cx) -> bool {
        if !(cx.alive)() {
            return false;
        }
        let rights = cx.authorizer.generation();
        if rights == self.grant.rights {
            return true;
        }
        let allowed = match &self.grant.wants {
            Some(wants) => cx.authorizer.authorize(&cx.user, wants).await.allowed(),
            None => true,
        };
        let scope = match &self.grant.scope {
            Some(granted) => kind.scope(cx, Verb::List).await.is_ok_and(|scope| scope == *granted),
            None => true,
        };
        self.grant.rights = rights;
        allowed && scope
    }

    /// The snapshot's revision.
    pub fn revision(&self) -> Revision {
        self.at
    }

    /// The next few objects; `None` when the list or its limit is exhausted. May be empty where the selectors leave nothing of a chunk: callers yield between
    /// pages, so that a long search holds nobody up.
    pub fn page(&mut self, kind: &dyn Kind, cx: &Cx) -> Result<Option<Vec<Listed>>, Refusal> {
        let left = self.left.unwrap_or(usize::MAX);
        if self.done || left == 0 {
            return Ok(None);
        }
        let range = Range {
            collection: kind.collection(),
            scope: self.scope.clone(),
            after: self.after.clone(),
            // With selectors there is no telling how many are needed for what is left of the limit.
            limit: if self.selects() { CHUNK } else { left.min(CHUNK) },
            at: Some(self.at),
        };
        let page = self.store.range(&range).map_err(|error| self.range_refusal(&error))?;
        self.done = !page.more;
        self.remaining = page.remaining.filter(|_| page.more);
        let read = page.entries.len();
        let mut listed = Vec::with_capacity(read);
        for (at, entry) in page.entries.into_iter().enumerate() {
            self.after = Some(entry.key().to_vec());
            let kept = self.also.as_ref().is_none_or(|also| in_scope(kind, also, &entry));
            if !kept || !exists(kind, &entry) {
                // What is as good as deleted was counted, so the count says nothing.
                self.remaining = None;
                continue;
            }
            let object = show_entry(kind, &entry, cx);
            if self.selection.matches(kind, &object) {
                listed.push(Listed { entry, object });
            }
            if listed.len() == left {
                self.done &= at + 1 == read;
                break;
            }
        }
        self.left = self.left.map(|left| left.saturating_sub(listed.len()));
        Ok(Some(listed))
    }

    /// The token for the rest, or empty when there is none.
    pub fn resume(&self) -> String {
        match &self.after {
            Some(after) if !self.done => {
                ContinueToken { revision: Some(self.at.get()), after: after.clone() }.to_text()
            }
            _ => String::new(),
        }
    }

    /// How many remain, where that can be said exactly and tells nobody about other people's objects.
    pub fn remaining(&self) -> Option<u64> {
        let tellable = matches!(self.scope, Scope::All) && !self.selects();
        self.remaining.filter(|_| tellable && !self.done)
    }

    /// Whether not every entry of the range counts.
    fn selects(&self) -> bool {
        self.also.is_some() || !self.selection.is_empty()
    }

    fn range_refusal(&self, error: &RangeError) -> Refusal {
        match error {
            RangeError::Compacted { .. } if self.from_token => {
                ContinueToken { revision: None, after: self.after.clone().unwrap_or_default() }.expired()
            }
            RangeError::Compacted { .. } => {
                Refusal::Expired { message: TOO_OLD.to_owned(), resume: String::new() }
            }
            RangeError::Future { current } => {
                Refusal::FutureRevision { asked: self.at.get(), current: current.get() }
            }
        }
    }
}

/// What both scopes hold: the one that is quicker to read, and what is to be checked of each entry besides.
fn intersection(one: Scope, other: Scope) -> (Scope, Option<Scope>) {
    match (one, other) {
        (Scope::None, _) | (_, Scope::None) => (Scope::None, None),
        (Scope::All, scope) | (scope, Scope::All) => (scope, None),
        (Scope::Owner(one), Scope::Owner(other)) if one == other => (Scope::Owner(one), None),
        (Scope::Owner(_), Scope::Owner(_)) => (Scope::None, None),
        (scope @ Scope::Owner(_), names) | (names, scope) => (names, Some(scope)),
    }
}

/// A continue token: Kubernetes' own form, so that tools which look into it find what they know.
struct ContinueToken {
    /// `None`: go on at whatever is current.
    revision: Option<u64>,
    after: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: String,
    rv: i64,
    start: String,
}

const WIRE_VERSION: &str = "meta.k8s.io/v1";
/// Tokens are ours; longer ones than any key makes are not.
const LONGEST_TOKEN: usize = 2048;

impl ContinueToken {
    fn to_text(&self) -> String {
        let wire = Wire {
            v: WIRE_VERSION.to_owned(),
            rv: self.revision.and_then(|r| i64::try_from(r).ok()).unwrap_or(-1),
            start: format!("{}\0", String::from_utf8_lossy(&self.after)),
        };
        serde_json::to_vec(&wire).map(|json| URL_SAFE_NO_PAD.encode(json)).unwrap_or_default()
    }

    fn parse(text: &str) -> Result<ContinueToken, Refusal> {
        let bad = |why: &str| Refusal::BadRequest(format!("invalid continue token: {why}"));
        if text.len() > LONGEST_TOKEN {
            return Err(bad("continue key is not valid: too long"));
        }
        let json = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|_| bad("continue key is not valid: not base64"))?;
        let wire: Wire = serde_json::from_slice(&json)
            .map_err(|_| bad("continue key is not valid: not a token of this server"))?;
        if wire.v != WIRE_VERSION {
            return Err(bad("continue key is not valid: server does not recognize this encoded version"));
        }
        let revision = match wire.rv {
            0 => {
                return Err(bad(
                    "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
                ));
            }
            rv => u64::try_from(rv).ok(),
        };
        let after = wire.start.strip_suffix('\0').unwrap_or(&wire.start);
        if after.is_empty() {
            return Err(bad("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)"));
        }
        if after.contains('/') || after == "." || after == ".." {
            return Err(bad("continue key is not valid: the start key leaves the collection"));
        }
        Ok(ContinueToken { revision, after: after.as_bytes().to_vec() })
    }

    fn expired(&self) -> Refusal {
        let fresh = ContinueToken { revision: None, after: self.after.clone() };
        Refusal::Expired { message: TOKEN_TOO_OLD.to_owned(), resume: fresh.to_text() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn what_two_scopes_have_in_common_is_read_from_the_narrower_one() {
        let owner = |name: &str| Scope::Owner(name.as_bytes().to_vec());
        let name = |name: &str| Scope::Name(name.as_bytes().to_vec());
        assert_eq!(intersection(Scope::All, owner("a")), (owner("a"), None));
        assert_eq!(intersection(owner("a"), Scope::All), (owner("a"), None));
        assert_eq!(intersection(owner("a"), owner("a")), (owner("a"), None));
        assert_eq!(intersection(owner("a"), owner("b")), (Scope::None, None));
        assert_eq!(intersection(owner("a"), Scope::None), (Scope::None, None));
        assert_eq!(intersection(owner("a"), name("t")), (name("t"), Some(owner("a"))));
        assert_eq!(intersection(name("t"), owner("a")), (name("t"), Some(owner("a"))));
        assert_eq!(intersection(name("t"), name("u")), (name("t"), Some(name("u"))));
    }

    #[test]
    fn a_continue_token_reads_back_as_it_was_written() {
        let token = ContinueToken { revision: Some(123), after: b"token-abcde".to_vec() };
        let back = ContinueToken::parse(&token.to_text()).ok().unwrap();
        assert_eq!((back.revision, back.after), (Some(123), b"token-abcde".to_vec()));
    }

    #[test]
    fn a_garbled_continue_token_is_a_bad_request_that_says_so() {
        let empty = URL_SAFE_NO_PAD.encode(br#"{"v":"meta.k8s.io/v1","rv":5,"start":""}"#);
        let zero = URL_SAFE_NO_PAD.encode(br#"{"v":"meta.k8s.io/v1","rv":0,"start":"a\u0000"}"#);
        let path = URL_SAFE_NO_PAD.encode(br#"{"v":"meta.k8s.io/v1","rv":5,"start":"../a"}"#);
        let version = URL_SAFE_NO_PAD.encode(br#"{"v":"v9","rv":5,"start":"a"}"#);
        for bad in ["%%%", "e30", &empty, &zero, &path, &version, &"a".repeat(5000)] {
            match ContinueToken::parse(bad) {
                Err(Refusal::BadRequest(text)) => {
                    assert!(text.starts_with("invalid continue token: "), "{text}")
                }
                _ => panic!("{bad} was taken"),
            }
        }
    }
}
