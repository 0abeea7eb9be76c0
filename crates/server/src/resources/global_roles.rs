//! `globalroles.management.cattle.io`: named sets of rules for the whole server.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::management::GlobalRole;
use eartag_api::meta::{Meta, Uid};
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::user::Attributes;
use eartag_apiserver::{Map, Tree};
use eartag_core::GlobalRoleRecord;
use eartag_core::collections::{GLOBAL_ROLE_BINDINGS, GLOBAL_ROLES};
use eartag_storage::{CollectionId, Op, Range, Scope, Store};

use super::{AGE_COLUMN, MANAGEMENT, NAME_COLUMN, age, cell, column, fill, management, rules, schema, typed};
use crate::observer::Tables;

/// The lens over global roles.
pub struct GlobalRoles {
    info: ResourceInfo,
    tables: Arc<Tables>,
    store: Store,
}

impl GlobalRoles {
    /// The lens.
    pub fn new(tables: Arc<Tables>, store: Store) -> Result<GlobalRoles, SchemaError> {
        let columns = vec![
            NAME_COLUMN,
            column("Display Name", 0, "Name shown to people."),
            column("Builtin", 0, "Whether the role is part of the server and cannot be changed."),
            AGE_COLUMN,
        ];
        let info = management(
            "GlobalRole",
            "globalroles",
            "globalrole",
            "GlobalRole is a named set of rules that can be given to users for the whole server.",
            schema::<GlobalRole>("io.cattle.management.v3.GlobalRole")?,
            columns,
        );
        Ok(GlobalRoles { info, tables, store })
    }

    /// Whether there are bindings to this very role. One that comes while its deletion is being committed stays behind, and gives nothing.
    fn in_use(&self, role: &str, uid: Uid) -> bool {
        let mut after = None;
        loop {
            let range =
                Range { collection: GLOBAL_ROLE_BINDINGS, scope: Scope::All, after, limit: 500, at: None };
            let Ok(page) = self.store.range(&range) else { return true };
            let bound = page.entries.iter().any(|entry| {
                let body = eartag_api::frame::split(entry.value()).map(|(body, _)| body).unwrap_or_default();
                eartag_core::GlobalRoleBindingRecord::decode(body).is_some_and(|binding| {
                    binding.role == role && binding.role_uid.is_none_or(|bound| bound == uid)
                })
            });
            if bound || !page.more {
                return bound;
            }
            after = page.entries.last().map(|entry| entry.key().to_vec());
        }
    }
}

#[async_trait]
impl Kind for GlobalRoles {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn collection(&self) -> CollectionId {
        GLOBAL_ROLES
    }

    fn show(&self, stored: &Stored<'_>, _cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let record = GlobalRoleRecord::decode(stored.body)
            .ok_or_else(|| Corrupt("the global role cannot be decoded".to_owned()))?;
        let role = GlobalRole {
            builtin: record.builtin,
            description: record.description,
            display_name: record.display_name,
            new_user_default: record.new_user_default,
            rules: rules::to_policy(record.rules),
        };
        fill(object, &role);
        Ok(())
    }

    async fn admit(&self, _name: &str, asked: &Tree, _meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal> {
        let asked: GlobalRole = typed(asked)?;
        let record = GlobalRoleRecord {
            display_name: asked.display_name,
            description: asked.description,
            rules: rules::to_records(asked.rules),
            new_user_default: asked.new_user_default,
            // Only the server makes built-in roles.
            builtin: false,
        };
        let escalate = Attributes::resource("escalate", MANAGEMENT, "globalroles", "");
        rules::may_grant(&self.tables, cx, &record.rules, &escalate).await?;
        Ok(Draft::of(record.encode()))
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        _seen: &Tree,
        asked: &Tree,
        _meta: &mut Meta,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let before = GlobalRoleRecord::decode(old.body).unwrap_or_default();
        let asked: GlobalRole = typed(asked)?;
        let record = GlobalRoleRecord {
            display_name: asked.display_name,
            description: asked.description,
            rules: rules::to_records(asked.rules),
            new_user_default: asked.new_user_default,
            builtin: asked.builtin,
        };
        if record.builtin != before.builtin {
            return Err(Refusal::Invalid(vec![FieldError::forbidden("builtin", "cannot be changed")]));
        }
        let only_default = GlobalRoleRecord { new_user_default: before.new_user_default, ..record.clone() };
        if before.builtin && only_default != before {
            return Err(Refusal::Invalid(vec![FieldError::forbidden(
                "builtin",
                "of a built-in role only newUserDefault can be changed",
            )]));
        }
        // Whoever makes a role every new user's grants it no less than whoever writes its rules.
        if record.rules != before.rules || (record.new_user_default && !before.new_user_default) {
            let escalate = Attributes::resource("escalate", MANAGEMENT, "globalroles", old.name);
            rules::may_grant(&self.tables, cx, &record.rules, &escalate).await?;
        }
        Ok(Draft::of(record.encode()))
    }

    async fn removing(&self, old: &Stored<'_>, _cx: &Cx) -> Result<Vec<Op>, Refusal> {
        if GlobalRoleRecord::decode(old.body).is_some_and(|record| record.builtin) {
            return Err(Refusal::Forbidden("cannot delete builtin GlobalRoles".to_owned()));
        }
        if self.in_use(old.name, old.meta.uid) {
            return Err(Refusal::Conflict(
                "the role is bound; delete its GlobalRoleBindings first".to_owned(),
            ));
        }
        Ok(Vec::new())
    }

    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree> {
        let builtin = object.get("builtin").and_then(Tree::as_bool).unwrap_or(false);
        vec![
            cell(object, "/metadata/name"),
            cell(object, "/displayName"),
            builtin.to_string().into(),
            age(object, cx),
        ]
    }
}
