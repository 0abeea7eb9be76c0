//! `globalrolebindings.management.cattle.io`: who has which global role.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::frame;
use eartag_api::management::GlobalRoleBinding;
use eartag_api::meta::Meta;
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::user::Attributes;
use eartag_apiserver::{Map, Tree};
use eartag_core::collections::{GLOBAL_ROLE_BINDINGS, GLOBAL_ROLES, USERS};
use eartag_core::{GlobalRoleBindingRecord, GlobalRoleRecord};
use eartag_storage::{CollectionId, Condition, Entry, Store};

use super::{AGE_COLUMN, MANAGEMENT, NAME_COLUMN, age, cell, column, fill, management, rules, schema, typed};
use crate::observer::Tables;

/// The lens over global role bindings.
pub struct GlobalRoleBindings {
    info: ResourceInfo,
    tables: Arc<Tables>,
    store: Store,
}

impl GlobalRoleBindings {
    /// The lens; roles and users are looked up.
    pub fn new(tables: Arc<Tables>, store: Store) -> Result<GlobalRoleBindings, SchemaError> {
        let columns = vec![
            NAME_COLUMN,
            column("Role", 0, "The global role that is given."),
            column("User", 0, "The user it is given to."),
            column("Group", 1, "The group principal it is given to."),
            AGE_COLUMN,
        ];
        let info = management(
            "GlobalRoleBinding",
            "globalrolebindings",
            "globalrolebinding",
            "GlobalRoleBinding gives a global role to a user or to a group.",
            schema::<GlobalRoleBinding>("io.cattle.management.v3.GlobalRoleBinding")?,
            columns,
        );
        Ok(GlobalRoleBindings { info, tables, store })
    }
}

#[async_trait]
impl Kind for GlobalRoleBindings {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn collection(&self) -> CollectionId {
        GLOBAL_ROLE_BINDINGS
    }

    fn show(&self, stored: &Stored<'_>, _cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let record = GlobalRoleBindingRecord::decode(stored.body)
            .ok_or_else(|| Corrupt("the global role binding cannot be decoded".to_owned()))?;
        let binding = GlobalRoleBinding {
            global_role_name: record.role,
            user_name: record.user,
            group_principal_name: record.group_principal,
        };
        fill(object, &binding);
        Ok(())
    }

    async fn admit(&self, _name: &str, asked: &Tree, _meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal> {
        let asked: GlobalRoleBinding = typed(asked)?;
        let mut record = GlobalRoleBindingRecord {
            role: asked.global_role_name,
            user: asked.user_name,
            group_principal: asked.group_principal_name,
            ..GlobalRoleBindingRecord::default()
        };
        let mut errors = Vec::new();
        if record.role.is_empty() {
            errors.push(FieldError::required("globalRoleName", "the role to give"));
        }
        match (record.user.is_empty(), record.group_principal.is_empty()) {
            (true, true) => {
                errors.push(FieldError::required("userName", "one of userName and groupPrincipalName"))
            }
            (false, false) => {
                errors.push(FieldError::forbidden(
                    "groupPrincipalName",
                    "may not be set together with userName",
                ));
            }
            _ => {}
        }
        let role = self.store.get(GLOBAL_ROLES, record.role.as_bytes());
        if role.is_none() && !record.role.is_empty() {
            errors.push(FieldError::not_found("globalRoleName", record.role.clone()));
        }
        let user = self.store.get(USERS, record.user.as_bytes());
        if user.is_none() && !record.user.is_empty() {
            errors.push(FieldError::not_found("userName", record.user.clone()));
        }
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        let uid = |entry: &Entry| frame::head(entry.value()).map(|head| head.uid);
        record.user_uid = user.as_ref().and_then(uid);
        let (given, builtin) = role
            .as_ref()
            .and_then(|entry| GlobalRoleRecord::decode(frame::split(entry.value())?.0))
            .map(|role| (role.rules, role.builtin))
            .unwrap_or_default();
        // A role may be deleted between its last look for bindings and this commit: then this one is to nothing, also when the name is used again.
        record.role_uid = role.as_ref().filter(|_| !builtin).and_then(uid);
        let bind = Attributes::resource("bind", MANAGEMENT, "globalroles", &record.role);
        rules::may_grant(&self.tables, cx, &given, &bind).await?;
        let mut draft = Draft::of(record.encode());
        // What was checked must still be so when the binding is stored.
        if let Some(role) = role {
            draft.conditions.push(Condition::ModRevision {
                collection: GLOBAL_ROLES,
                key: role.key().to_vec(),
                revision: role.modified(),
            });
        }
        if let Some(user) = user {
            draft.conditions.push(Condition::CreateRevision {
                collection: USERS,
                key: user.key().to_vec(),
                revision: user.created(),
            });
        }
        Ok(draft)
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        _seen: &Tree,
        asked: &Tree,
        _meta: &mut Meta,
        _cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let before = GlobalRoleBindingRecord::decode(old.body).unwrap_or_default();
        let asked: GlobalRoleBinding = typed(asked)?;
        let mut errors = Vec::new();
        for (field, was, is) in [
            ("globalRoleName", &before.role, &asked.global_role_name),
            ("userName", &before.user, &asked.user_name),
            ("groupPrincipalName", &before.group_principal, &asked.group_principal_name),
        ] {
            if was != is {
                errors.push(FieldError::invalid(field, is.clone(), "field is immutable"));
            }
        }
        if errors.is_empty() { Ok(Draft::of(before.encode())) } else { Err(Refusal::Invalid(errors)) }
    }

    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree> {
        vec![
            cell(object, "/metadata/name"),
            cell(object, "/globalRoleName"),
            cell(object, "/userName"),
            cell(object, "/groupPrincipalName"),
            age(object, cx),
        ]
    }
}
