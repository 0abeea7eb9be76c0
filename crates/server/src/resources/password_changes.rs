//! `passwordchangerequests.ext.cattle.io`: changes a password; nothing of the request is stored (DEC51).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::ext::{Condition, PasswordChangeRequest};
use eartag_api::frame;
use eartag_apiserver::Tree;
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Cx, Once, Review, World};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::time::format_rfc3339;
use eartag_apiserver::user::Attributes;
use eartag_core::collections::USERS;
use eartag_core::password::PasswordRefusal;
use eartag_core::{PlainSecret, UserRecord};
use eartag_storage::Store;
use serde_json::json;

use super::self_users::create_only;
use super::{MANAGEMENT, require, rules, schema, take_secret};
use crate::authn::Caller;
use crate::login::password::{ChangeError, Passwords};
use crate::observer::Tables;

/// Changes passwords.
pub struct PasswordChangeRequests {
    info: ResourceInfo,
    tables: Arc<Tables>,
    store: Store,
    passwords: Passwords,
}

/// The two passwords of a request, taken out of it.
struct Given {
    current: PlainSecret,
    new: PlainSecret,
}

impl PasswordChangeRequests {
    /// The resource.
    pub fn new(
        tables: Arc<Tables>,
        store: Store,
        world: Arc<dyn World>,
    ) -> Result<PasswordChangeRequests, SchemaError> {
        let info = create_only(
            "PasswordChangeRequest",
            "passwordchangerequests",
            "passwordchangerequest",
            "PasswordChangeRequest changes the password of a user. It is carried out and not stored.",
            schema::<PasswordChangeRequest>("io.cattle.ext.v1.PasswordChangeRequest")?,
        );
        let passwords = Passwords::new(store.clone(), tables.clone(), world);
        Ok(PasswordChangeRequests { info, tables, store, passwords })
    }

    /// One's own password needs the current one; somebody else's the right to update that user, and whatever rights the user has. A dry run checks all of it.
    async fn change(&self, user: &str, Given { current, new }: Given, cx: &Cx) -> Result<(), Refusal> {
        if new.expose().is_empty() {
            return Err(wrong(&PasswordRefusal::NoNew));
        }
        if user == cx.user.name {
            let client = cx.fact::<Caller>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |caller| caller.address);
            let changed = if cx.dry_run {
                self.passwords.check_change(user, current, &new, client).await
            } else {
                self.passwords.change(user, current, new, client).await
            };
            return changed.map_err(|error| match error {
                ChangeError::Password(why) => wrong(&why),
                ChangeError::Refused(refusal) => refusal,
            });
        }
        if cx.fact::<Caller>().is_some_and(Caller::is_of_the_cluster) {
            // What the cluster's rules say about users is not about ours.
            return Err(Refusal::Forbidden(
                "somebody else's password is not set by way of a cluster".to_owned(),
            ));
        }
        require(cx, &Attributes::resource("update", MANAGEMENT, "users", user)).await?;
        rules::may_overrule(&self.tables, cx, user).await?;
        let username = self.username(user)?;
        self.passwords.check_new(&new, &username).map_err(|why| wrong(&why))?;
        if cx.dry_run {
            return Ok(());
        }
        let hash = self.passwords.hash(Arc::new(new)).await?;
        self.passwords.set(user, hash, Some(false)).await
    }

    fn username(&self, user: &str) -> Result<String, Refusal> {
        let entry = self.store.get(USERS, user.as_bytes());
        let record = entry.and_then(|entry| UserRecord::decode(frame::split(entry.value())?.0));
        let missing = || Refusal::Invalid(vec![FieldError::not_found("spec.userID", user)]);
        record.map(|record| record.username).ok_or_else(missing)
    }
}

/// What is wrong with a password, without the password.
fn wrong(why: &PasswordRefusal) -> Refusal {
    let field = match why {
        PasswordRefusal::NoCurrent | PasswordRefusal::WrongCurrent => "spec.currentPassword",
        _ => "spec.newPassword",
    };
    Refusal::Invalid(vec![FieldError::forbidden(field, why.lower())])
}

#[async_trait]
impl Review for PasswordChangeRequests {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    async fn create(&self, mut asked: Tree, cx: &Cx) -> Result<(Tree, Option<Once>), Refusal> {
        // Out of the tree first, so that no copy of them is left behind in freed memory.
        let given = Given {
            current: take_secret(&mut asked, "/spec/currentPassword"),
            new: take_secret(&mut asked, "/spec/newPassword"),
        };
        let user = match asked.pointer("/spec/userID").and_then(Tree::as_str) {
            Some(user) if !user.is_empty() => user.to_owned(),
            _ => cx.user.name.clone(),
        };
        self.change(&user, given, cx).await?;
        let done = Condition {
            kind: "PasswordUpdated".to_owned(),
            status: "True".to_owned(),
            last_transition_time: format_rfc3339(cx.now_s()),
            reason: String::new(),
            message: String::new(),
            observed_generation: None,
        };
        if let Some(object) = asked.as_object_mut() {
            // Passwords do not come back, and a request has no identity that could be looked up.
            object.insert("spec".to_owned(), json!({"userID": user}));
            object.insert("status".to_owned(), json!({"conditions": [done], "summary": "Completed"}));
        }
        Ok((asked, None))
    }
}
