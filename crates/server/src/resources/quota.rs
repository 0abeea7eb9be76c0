//! How many objects somebody without full access may have.
//!
//! A commit's conditions are etcd's, and those know no count. So whoever makes something takes places for it first, and gives each back when its commit has been
//! decided, by when the store counts what came of it. Those who ask at the same time do not find the same room: between the commit and the giving back a place counts
//! twice, so the last one that is free may be refused for a moment, and there is never one too many. That holds in this process; several on one store share none.

use std::collections::HashMap;
use std::sync::Arc;

use eartag_apiserver::kind::Cx;
use eartag_apiserver::refusal::Refusal;
use parking_lot::Mutex;

/// What is limited, as refusals call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limited {
    /// Tokens of both faces, expired ones included until they are purged.
    Tokens,
    /// Kubeconfigs.
    Kubeconfigs,
}

impl Limited {
    fn plural(self) -> &'static str {
        match self {
            Limited::Tokens => "tokens",
            Limited::Kubeconfigs => "kubeconfigs",
        }
    }
}

/// Places of what is being made, by what it is and whose.
#[derive(Debug, Default)]
pub struct Quotas(Mutex<HashMap<(Limited, String), u64>>);

/// What somebody wants to make.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Of what.
    pub what: Limited,
    /// Whose it is to be.
    pub owner: &'a str,
    /// The API group in which it is made: full access to that one is without limit.
    pub group: &'a str,
    /// How many.
    pub count: u64,
    /// So many may there be.
    pub most: u64,
}

impl Quotas {
    /// Takes places for what the caller wants to make; none are needed by those who have full access. `stored` says how many there are already.
    ///
    /// # Errors
    /// 403 in the words of a Kubernetes quota; what the authorizer says.
    pub async fn places(
        self: &Arc<Quotas>,
        cx: &Cx,
        wanted: Wanted<'_>,
        stored: impl FnOnce() -> u64,
    ) -> Result<Option<Places>, Refusal> {
        let used = match self.take(wanted, stored) {
            Ok(places) => return Ok(Some(places)),
            Err(used) => used,
        };
        let Wanted { what, group, count, most, .. } = wanted;
        if cx.authorizer.full_access(&cx.user, "create", group).await? {
            return Ok(None);
        }
        let plural = what.plural();
        let counted = format!("count/{plural}.{group}");
        Err(Refusal::Forbidden(format!(
            "exceeded quota: {plural}-of-one-user, requested: {counted}={count}, used: {counted}={used}, limited: {counted}={most}"
        )))
    }

    /// If there is no room, how many there are, what is being made included.
    fn take(self: &Arc<Quotas>, wanted: Wanted<'_>, stored: impl FnOnce() -> u64) -> Result<Places, u64> {
        let key = (wanted.what, wanted.owner.to_owned());
        let mut taken = self.0.lock();
        let others = taken.get(&key).copied().unwrap_or_default();
        // Counted under the lock: what is not stored yet is among the others' places.
        let used = stored().saturating_add(others);
        if used.saturating_add(wanted.count) > wanted.most {
            return Err(used);
        }
        taken.insert(key.clone(), others + wanted.count);
        Ok(Places { quotas: Arc::clone(self), key, count: wanted.count })
    }

    fn give_back(&self, key: &(Limited, String), count: u64) {
        let mut taken = self.0.lock();
        if let Some(left) = taken.get_mut(key) {
            *left = left.saturating_sub(count);
            if *left == 0 {
                taken.remove(key);
            }
        }
    }
}

/// Places of one user, until they are dropped.
#[derive(Debug)]
#[must_use]
pub struct Places {
    quotas: Arc<Quotas>,
    key: (Limited, String),
    count: u64,
}

impl Places {
    /// Takes one of them out, to be given back on its own.
    pub fn split_one(&mut self) -> Option<Places> {
        self.count = self.count.checked_sub(1)?;
        Some(Places { quotas: Arc::clone(&self.quotas), key: self.key.clone(), count: 1 })
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.quotas.give_back(&self.key, self.count);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn take(
        quotas: &Arc<Quotas>,
        what: Limited,
        owner: &str,
        count: u64,
        stored: u64,
    ) -> Result<Places, u64> {
        quotas.take(Wanted { what, owner, group: "", count, most: 4 }, || stored)
    }

    #[test]
    fn what_is_being_made_takes_room_until_it_is_decided() {
        let quotas = Arc::new(Quotas::default());
        let tokens = |owner: &str, count, stored| take(&quotas, Limited::Tokens, owner, count, stored);
        let mut three = tokens("ann", 3, 1).unwrap();
        assert_eq!(tokens("ann", 1, 1).unwrap_err(), 4);
        let other = tokens("bob", 4, 0).unwrap();
        let another = take(&quotas, Limited::Kubeconfigs, "ann", 4, 0).unwrap();
        let one = three.split_one().unwrap();
        assert!(tokens("ann", 1, 1).is_err(), "split, not given back");
        drop(one);
        assert!(tokens("ann", 1, 2).is_err(), "stored, and counted there");
        assert!(tokens("ann", 1, 1).is_ok(), "not stored after all");
        drop((three, other, another));
        assert!(quotas.0.lock().is_empty(), "nothing stays behind");
        assert!(tokens("ann", 4, 0).is_ok());
    }

    #[test]
    fn there_are_no_more_places_than_were_taken() {
        let quotas = Arc::new(Quotas::default());
        let tokens = |count, stored| take(&quotas, Limited::Tokens, "ann", count, stored);
        let mut all = tokens(1, 3).unwrap();
        let one = all.split_one().unwrap();
        assert!(all.split_one().is_none());
        drop(all);
        assert!(tokens(1, 3).is_err());
        drop(one);
        assert!(tokens(u64::MAX, u64::MAX).is_err());
        assert!(tokens(1, 3).is_ok());
    }
}
