//! Kubeconfigs that end otherwise than by being deleted: with their user, with the last of their tokens, and those whose making was cut off
//! (kubeconfig-and-cli.md §1.8).

use eartag_api::frame;
use eartag_core::KubeconfigRecord;
use eartag_core::collections::{EXT_TOKENS, KUBECONFIGS};
use eartag_core::record::{KubeconfigFailure, KubeconfigStep, KubeconfigSummary, KubeconfigToken};
use eartag_core::time::seconds;
use eartag_storage::{Change, Entry, Scope, Watch};

use super::{Stop, Sweeper, body, owner_exists};
use crate::resources::tokens::KUBECONFIG_LABEL;

/// Who makes a kubeconfig waits for it; after so many seconds nobody does.
const LONGEST_S: i64 = 3600;

impl Sweeper {
    /// Changes of tokens from now on.
    pub(crate) fn watch_tokens(&self) -> Result<Watch, Stop> {
        self.store.watch(EXT_TOKENS, Scope::All, self.store.revision()).map_err(|_| Stop::Again)
    }

    /// Kubeconfigs of users who are gone.
    pub(super) async fn kubeconfigs(&self, scope: Scope) -> Result<(), Stop> {
        let orphan = |entry: &Entry| {
            KubeconfigRecord::owner_of(body(entry))
                .is_some_and(|(owner, uid)| !owner_exists(&self.tables, owner, uid))
        };
        self.sweep("kubeconfigs_of_deleted_users", KUBECONFIGS, scope, orphan).await.map(drop)
    }

    /// Kubeconfigs none of whose tokens is left. One that never had any is not among them.
    pub(crate) async fn dead_kubeconfigs(&self, scope: Scope) -> Result<(), Stop> {
        let dead = |entry: &Entry| {
            let record = KubeconfigRecord::decode(body(entry));
            record.is_some_and(|record| {
                record.summary != KubeconfigSummary::Pending
                    && !record.tokens.is_empty()
                    && !record.tokens.iter().any(|token| self.is_there(token))
            })
        };
        self.sweep("kubeconfigs_without_tokens", KUBECONFIGS, scope, dead).await.map(drop)
    }

    fn is_there(&self, token: &KubeconfigToken) -> bool {
        let entry = self.store.get(EXT_TOKENS, token.name.as_bytes());
        entry.is_some_and(|entry| frame::head(entry.value()).is_some_and(|head| head.uid == token.uid))
    }

    /// After a change of a token: if it went, its kubeconfig may have to follow.
    pub(crate) async fn after_token(&self, change: &Change) -> Result<(), Stop> {
        let Some(old) = change.old.as_ref().filter(|_| change.new.is_none()) else { return Ok(()) };
        let meta = frame::meta(old.value());
        match meta.and_then(|meta| meta.labels.get(KUBECONFIG_LABEL).cloned()) {
            Some(kubeconfig) => self.dead_kubeconfigs(Scope::Name(kubeconfig.into_bytes())).await,
            None => Ok(()),
        }
    }

    /// Says of kubeconfigs that nobody can have received that they were not made.
    pub(crate) async fn cut_off_kubeconfigs(&self) -> Result<(), Stop> {
        let now_s = seconds(self.moment().now_ms);
        self.change_all("cut_off_kubeconfigs", KUBECONFIGS, |entry| {
            let meta = frame::meta(entry.value())?;
            let record = KubeconfigRecord::decode(body(entry))
                .filter(|record| record.summary == KubeconfigSummary::Pending)
                .filter(|_| meta.created_s.saturating_add(LONGEST_S) < now_s)?;
            let message =
                "the server stopped, or its client left, before the kubeconfig was handed out".to_owned();
            let failure = Some(KubeconfigFailure { step: KubeconfigStep::Generate, message, at_s: now_s });
            let record = KubeconfigRecord { summary: KubeconfigSummary::Error, failure, ..record };
            Some(frame::frame(&record.encode(), &meta))
        })
        .await
    }
}
