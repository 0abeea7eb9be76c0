//! The making of a kubeconfig: the rules, its tokens, the file (kubeconfig-and-cli.md §1.2, §1.4).

use async_trait::async_trait;
use eartag_api::ext::KubeconfigSpec;
use eartag_api::frame;
use eartag_api::meta::Uid;
use eartag_apiserver::kind::{Cx, Draft, Once, Sequel};
use eartag_apiserver::ops::commit_refusal;
use eartag_apiserver::refusal::Refusal;
use eartag_core::collections::KUBECONFIGS;
use eartag_core::kubeconfig::{
    Begun, CreateKubeconfig, KubeconfigRefusal, Logins, MOST_CLUSTERS, Plan, Target, accept, begin,
};
use eartag_core::record::{KubeconfigFailure, KubeconfigStep, KubeconfigSummary, KubeconfigToken as Mention};
use eartag_core::token::KubeconfigToken;
use eartag_core::{KubeconfigRecord, PlainSecret};
use eartag_storage::{Commit, CommitError, Condition, Entry, Lane, Op, Store};
use secrecy::SecretString;

use super::super::quota::{Limited, Places, Wanted};
use super::super::tokens::{Drawn, Ground, refusal as token_refusal};
use super::super::{EXT, owned};
use super::{Kubeconfigs, refusal};
use crate::cluster::{Cluster, LOCAL};
use crate::kubeconfig::{Address, Unfound, find_all};

/// Where the file stands in the one reply that holds it.
const VALUE: &[&str] = &["status", "value"];
/// How often a record that changes at the same time, or a name that is taken, is tried anew.
const ATTEMPTS: usize = 8;
/// Said to who makes it, and by the record while something holds it.
pub(super) const DELETED: &str = "the kubeconfig was deleted while it was being made";

impl Kubeconfigs {
    /// Checks what is asked in the order of the reference, and draws up the record, its tokens and the file.
    pub(super) async fn make(
        &self,
        name: &str,
        spec: KubeconfigSpec,
        uid: Uid,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let asked = CreateKubeconfig {
            clusters: spec.clusters,
            current_context: spec.current_context,
            description: spec.description,
            ttl: spec.ttl,
            include_default_entry: spec.include_default_entry,
        };
        let settings = self.ground.tables.settings.snapshot();
        let (user, principal, lifetime) = self
            .ground
            .as_creator(cx, |creator| {
                let begun = begin(&asked, creator, settings.kubeconfig_default, settings.max_ttl)?;
                let Begun { user, principal, lifetime } = begun;
                Ok::<_, KubeconfigRefusal>((user.clone(), principal, lifetime))
            })
            .map_err(refusal)?;
        let mut held = (self.place(cx).await?, None);
        let store = &self.ground.store;
        let address = Address::of(&self.ground.tables, self.server_url.as_ref(), cx)
            .ok_or_else(|| Refusal::Internal("can't determine the server URL".to_owned()))?;
        if Cluster::find(store, LOCAL).is_none() {
            let why =
                format!("error getting local cluster: clusters.management.cattle.io \"{LOCAL}\" not found");
            return Err(Refusal::Internal(why));
        }
        let found = find_all(store, &self.ground.tables, cx, asked.wanted()).await.map_err(unfound)?;
        let looked: Vec<_> = found.iter().map(|found| found.looked()).collect();
        let accepted = accept(&asked, &cx.user.name, &looked).map_err(refusal)?;
        let targets: Vec<Target<'_>> =
            found.iter().filter_map(|found| found.target()).filter(|t| accepted.contains(&t.id)).collect();
        let current = match asked.current_context.as_str() {
            "" => accepted.first().copied().unwrap_or_default(),
            chosen => chosen,
        };
        let plan = Plan::several(&address.server(), &targets, current, asked.default_entry());

        let owner = cx.user.name.clone();
        let mut record = KubeconfigRecord {
            owner_uid: user.uid,
            current_context: current.to_owned(),
            clusters: asked.clusters,
            description: asked.description,
            lifetime,
            include_default_entry: asked.include_default_entry,
            summary: KubeconfigSummary::Complete,
            tokens: Vec::new(),
            failure: None,
            updated_s: None,
            owner,
        };
        let owner_is_there = self.ground.owner_condition(&record.owner, user.uid).map_err(token_refusal)?;
        let mut draft = Draft { conditions: vec![owner_is_there], ..Draft::default() };
        let by_command = || Some(once(&plan.text(Logins::Exec)));
        if cx.dry_run {
            draft.foretold = by_command();
        } else if !settings.kubeconfig_generate_token {
            draft.once = by_command();
        } else {
            let count = u64::try_from(plan.users().len()).unwrap_or(u64::MAX);
            let mut places = self.ground.places(cx, &record.owner, EXT, count).await?;
            held.1 = places.as_mut().and_then(Places::split_one);
            let mut tokens = Vec::with_capacity(plan.users().len());
            for of in plan.users() {
                let token = KubeconfigToken {
                    owner: &record.owner,
                    user: &user,
                    principal: &principal,
                    cluster: &of.cluster,
                    lifetime,
                };
                tokens.push(self.ground.draw(&token, name, cx)?);
            }
            if let [only] = tokens.as_slice() {
                draft.once = Some(once(&plan.text(Logins::Tokens(&[only.bearer()]))));
            } else {
                record.summary = KubeconfigSummary::Pending;
            }
            if let Some(first) = tokens.first() {
                record.tokens.push(mention(first, cx));
                draft.conditions = first.conditions(store).map_err(token_refusal)?;
                draft.also.push(first.op());
            }
            if tokens.len() > 1 {
                let ground = self.ground.clone();
                draft.sequel =
                    Some(Box::new(Others { ground, places, name: name.to_owned(), uid, plan, tokens }));
            }
        }
        draft.held = Some(Box::new(held));
        draft.body = record.encode();
        Ok(draft)
    }

    async fn place(&self, cx: &Cx) -> Result<Option<Places>, Refusal> {
        let owner = cx.user.name.as_str();
        let wanted = Wanted { what: Limited::Kubeconfigs, owner, group: EXT, count: 1, most: self.most };
        let stored = || self.ground.store.count(KUBECONFIGS, &owned::of(owner));
        self.ground.tables.quotas.places(cx, wanted, stored).await
    }
}

fn unfound(why: Unfound) -> Refusal {
    match why {
        Unfound::TooMany => Refusal::BadRequest(format!(
            "\"*\" stands for more than {MOST_CLUSTERS} clusters, which is the most that one kubeconfig can have: name some"
        )),
        Unfound::Store(error) => {
            tracing::error!(%error, "clusters cannot be read");
            Refusal::Unavailable("clusters cannot be read at the moment, please try again later".to_owned())
        }
    }
}

fn once(file: &PlainSecret) -> Once {
    Once { fields: vec![(VALUE, SecretString::from(file.expose().to_owned()))] }
}

fn mention(token: &Drawn, cx: &Cx) -> Mention {
    Mention { name: token.name.clone(), uid: token.uid, made_s: cx.now_s() }
}

/// Stores the tokens behind the first one, each together with its mention, and the last one with the word that all is done.
pub(super) struct Others {
    ground: Ground,
    /// Of the tokens that are not stored yet.
    places: Option<Places>,
    name: String,
    uid: Uid,
    plan: Plan,
    tokens: Vec<Drawn>,
}

#[async_trait]
impl Sequel for Others {
    async fn run(mut self: Box<Self>, cx: &Cx) -> Result<Option<Once>, Refusal> {
        for at in 1..self.tokens.len() {
            match self.store_one(at, cx).await {
                Ok(()) => drop(self.places.as_mut().and_then(Places::split_one)),
                Err(Fault::Stopped(why)) => return Err(Refusal::Conflict(why)),
                Err(Fault::Failed(why)) => {
                    let of = self.plan.users().get(at).map(|user| user.cluster.as_str()).unwrap_or_default();
                    let text = match of {
                        "" => format!("error creating kubeconfig token: {why}"),
                        cluster => format!("error creating kubeconfig token for cluster {cluster}: {why}"),
                    };
                    self.failed(&why, cx).await;
                    return Err(Refusal::Internal(text));
                }
            }
        }
        let bearers: Vec<PlainSecret> = self.tokens.iter().map(Drawn::bearer).collect();
        Ok(Some(once(&self.plan.text(Logins::Tokens(&bearers)))))
    }
}

/// Why a token was not stored.
enum Fault {
    /// Somebody ended the making, and the record says so already, if it is there at all.
    Stopped(String),
    /// All else.
    Failed(String),
}

impl From<String> for Fault {
    fn from(why: String) -> Fault {
        Fault::Failed(why)
    }
}

impl Others {
    async fn store_one(&mut self, at: usize, cx: &Cx) -> Result<(), Fault> {
        let last = at + 1 == self.tokens.len();
        for _ in 0..ATTEMPTS {
            let Some(token) = self.tokens.get_mut(at) else { return Ok(()) };
            let own = own(&self.ground.store, &self.name, self.uid);
            let (entry, mut record) = own.ok_or_else(|| Fault::Stopped(DELETED.to_owned()))?;
            if record.tokens.iter().any(|known| known.uid == token.uid) {
                // The outcome of the last attempt was unknown, and it was this.
                return Ok(());
            }
            if record.summary != KubeconfigSummary::Pending {
                // A deletion, or the sweeper because it took too long.
                return Err(Fault::Stopped(
                    record.failure.map_or(DELETED.to_owned(), |failure| failure.message),
                ));
            }
            record.tokens.push(mention(token, cx));
            if last {
                record.summary = KubeconfigSummary::Complete;
            }
            let conditions = token.conditions(&self.ground.store).map_err(|why| why.to_string())?;
            let conditions = std::iter::once(unchanged(&entry)).chain(conditions);
            let ops = vec![put(&entry, &record)?, token.op()];
            let commit = Commit { conditions: conditions.collect(), ops, lane: Lane::Bulk };
            match self.ground.store.commit(commit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict { condition }) if condition == 1 + Drawn::OWNER => {
                    return Err(Fault::Failed("the user was deleted meanwhile".to_owned()));
                }
                Err(CommitError::Conflict { condition })
                    if condition.checked_sub(1).is_some_and(|at| Drawn::NAME.contains(&at)) =>
                {
                    token.rename(cx);
                }
                // Somebody changed the record or the cluster.
                Err(CommitError::Conflict { .. } | CommitError::Unknown) => {}
                Err(error) => return Err(Fault::Failed(said(error))),
            }
        }
        Err(Fault::Failed("the record changes too often".to_owned()))
    }

    /// Leaves the record in a state that says what happened, with the names of the tokens that were made: deleting it revokes them.
    async fn failed(&self, why: &str, cx: &Cx) {
        for _ in 0..ATTEMPTS {
            let Some((entry, mut record)) = own(&self.ground.store, &self.name, self.uid) else { return };
            if record.summary != KubeconfigSummary::Pending {
                return;
            }
            record.summary = KubeconfigSummary::Error;
            let message = why.to_owned();
            record.failure =
                Some(KubeconfigFailure { step: KubeconfigStep::Token, message, at_s: cx.now_s() });
            let Ok(op) = put(&entry, &record) else { return };
            let commit = Commit { conditions: vec![unchanged(&entry)], ops: vec![op], lane: Lane::Bulk };
            match self.ground.store.commit(commit).await {
                Ok(_) => return,
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => {
                    // The sweeper finds it later.
                    tracing::error!(kubeconfig = %self.name, %error, "a failed kubeconfig could not be marked");
                    return;
                }
            }
        }
    }
}

/// The record that was stored first, as it is now, unless it was deleted.
fn own(store: &Store, name: &str, uid: Uid) -> Option<(Entry, KubeconfigRecord)> {
    let entry = store.get(KUBECONFIGS, name.as_bytes())?;
    frame::head(entry.value()).filter(|head| head.uid == uid && !head.deleted)?;
    let record = frame::split(entry.value()).and_then(|(body, _)| KubeconfigRecord::decode(body))?;
    Some((entry, record))
}

fn put(entry: &Entry, record: &KubeconfigRecord) -> Result<Op, String> {
    let meta = frame::meta(entry.value()).ok_or("the record is damaged")?;
    let value = frame::frame(&record.encode(), &meta);
    Ok(Op::Put { collection: KUBECONFIGS, key: entry.key().to_vec(), value })
}

fn unchanged(entry: &Entry) -> Condition {
    Condition::ModRevision { collection: KUBECONFIGS, key: entry.key().to_vec(), revision: entry.modified() }
}

/// What the store says, in words for clients.
fn said(error: CommitError) -> String {
    match commit_refusal(error) {
        Refusal::Unavailable(text) | Refusal::Timeout(text) | Refusal::TooMuch(text) => text,
        _ => "the store took no write".to_owned(),
    }
}
