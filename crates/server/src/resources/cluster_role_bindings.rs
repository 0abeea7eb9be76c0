//! `clusterrolebindings` of `rbac.authorization.k8s.io/v1`: who has which cluster role, as in any Kubernetes cluster (DEC50).

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::frame;
use eartag_api::meta::Meta;
use eartag_api::rbac::{ClusterRoleBinding, RoleRef, Subject};
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::{Naming, ResourceInfo};
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::user::Attributes;
use eartag_apiserver::{Map, Tree};
use eartag_core::collections::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES};
use eartag_core::{ClusterRoleBindingRecord, ClusterRoleRecord, record};
use eartag_storage::{CollectionId, Condition, Store};

use super::{AGE_COLUMN, NAME_COLUMN, RBAC, age, cell, column, fill, management, rules, schema, typed};
use crate::observer::Tables;

/// The lens over cluster role bindings.
pub struct ClusterRoleBindings {
    info: ResourceInfo,
    tables: Arc<Tables>,
    store: Store,
}

impl ClusterRoleBindings {
    /// The lens; the roles are looked up.
    pub fn new(tables: Arc<Tables>, store: Store) -> Result<ClusterRoleBindings, SchemaError> {
        let columns = vec![
            NAME_COLUMN,
            column("Role", 0, "The role that is given."),
            AGE_COLUMN,
            column("Users", 1, "Users it is given to."),
            column("Groups", 1, "Groups it is given to."),
            column("ServiceAccounts", 1, "Service accounts it is given to."),
        ];
        let info = ResourceInfo {
            group: RBAC,
            version: "v1",
            update_needs_version: false,
            naming: Naming::ClientPath,
            ..management(
                "ClusterRoleBinding",
                "clusterrolebindings",
                "clusterrolebinding",
                "ClusterRoleBinding gives a cluster role to users and groups, as in any Kubernetes cluster.",
                schema::<ClusterRoleBinding>("io.k8s.api.rbac.v1.ClusterRoleBinding")?,
                columns,
            )
        };
        Ok(ClusterRoleBindings { info, tables, store })
    }

    /// The rules of the role, and the condition that it stays as it is while the binding is written.
    async fn checked(
        &self,
        asked: &Tree,
        before: Option<&ClusterRoleBindingRecord>,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let asked: ClusterRoleBinding = typed(asked)?;
        let errors = check(&asked, before);
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        let record = to_record(asked);
        let mut draft = Draft::of(record.encode());
        if before.is_none_or(|before| before.subjects != record.subjects) {
            let role = self.store.get(CLUSTER_ROLES, record.role_ref.name.as_bytes());
            let given = role
                .as_ref()
                .and_then(|entry| ClusterRoleRecord::decode(frame::split(entry.value())?.0))
                .map(|role| role.rules);
            let bind = Attributes::resource("bind", RBAC, "clusterroles", &record.role_ref.name);
            match given {
                Some(given) => rules::may_grant(&self.tables, cx, &given, &bind).await?,
                // A role that does not exist yet could be given any rules later: only for those who may bind it whatever it says.
                None => super::require(cx, &bind).await?,
            }
            if let Some(role) = role {
                let (key, revision) = (role.key().to_vec(), role.modified());
                draft.conditions.push(Condition::ModRevision { collection: CLUSTER_ROLES, key, revision });
            }
        }
        Ok(draft)
    }
}

fn check(asked: &ClusterRoleBinding, before: Option<&ClusterRoleBindingRecord>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let role = &asked.role_ref;
    if role.api_group != RBAC {
        errors.push(FieldError::unsupported("roleRef.apiGroup", role.api_group.clone(), &[RBAC]));
    }
    if role.kind != "ClusterRole" {
        errors.push(FieldError::unsupported("roleRef.kind", role.kind.clone(), &["ClusterRole"]));
    }
    if role.name.is_empty() {
        errors.push(FieldError::required("roleRef.name", ""));
    }
    if let Some(before) = before {
        let was = &before.role_ref;
        if (&was.api_group, &was.kind, &was.name) != (&role.api_group, &role.kind, &role.name) {
            errors.push(FieldError::invalid("roleRef", role.name.clone(), "cannot change roleRef"));
        }
    }
    for (at, subject) in asked.subjects.iter().enumerate() {
        let field = format!("subjects[{at}]");
        if subject.name.is_empty() {
            errors.push(FieldError::required(format!("{field}.name"), ""));
        }
        match subject.kind.as_str() {
            "User" | "Group" if !subject.api_group.is_empty() && subject.api_group != RBAC => {
                errors.push(FieldError::unsupported(
                    format!("{field}.apiGroup"),
                    subject.api_group.clone(),
                    &[RBAC],
                ));
            }
            "User" | "Group" => {}
            "ServiceAccount" if subject.namespace.is_empty() => {
                errors.push(FieldError::required(format!("{field}.namespace"), ""));
            }
            "ServiceAccount" => {}
            other => errors.push(FieldError::unsupported(
                format!("{field}.kind"),
                other,
                &["Group", "ServiceAccount", "User"],
            )),
        }
    }
    errors
}

fn to_record(asked: ClusterRoleBinding) -> ClusterRoleBindingRecord {
    let subject = |s: Subject| record::Subject {
        api_group: if s.api_group.is_empty() && s.kind != "ServiceAccount" {
            RBAC.to_owned()
        } else {
            s.api_group
        },
        kind: s.kind,
        name: s.name,
        namespace: s.namespace,
    };
    ClusterRoleBindingRecord {
        role_ref: record::RoleRef {
            api_group: asked.role_ref.api_group,
            kind: asked.role_ref.kind,
            name: asked.role_ref.name,
        },
        subjects: asked.subjects.into_iter().map(subject).collect(),
    }
}

#[async_trait]
impl Kind for ClusterRoleBindings {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn collection(&self) -> CollectionId {
        CLUSTER_ROLE_BINDINGS
    }

    fn show(&self, stored: &Stored<'_>, _cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let record = ClusterRoleBindingRecord::decode(stored.body)
            .ok_or_else(|| Corrupt("the cluster role binding cannot be decoded".to_owned()))?;
        let subject = |s: record::Subject| Subject {
            api_group: s.api_group,
            kind: s.kind,
            name: s.name,
            namespace: s.namespace,
        };
        let binding = ClusterRoleBinding {
            role_ref: RoleRef {
                api_group: record.role_ref.api_group,
                kind: record.role_ref.kind,
                name: record.role_ref.name,
            },
            subjects: record.subjects.into_iter().map(subject).collect(),
        };
        fill(object, &binding);
        Ok(())
    }

    async fn admit(&self, _name: &str, asked: &Tree, _meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal> {
        self.checked(asked, None, cx).await
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        _seen: &Tree,
        asked: &Tree,
        _meta: &mut Meta,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let before = ClusterRoleBindingRecord::decode(old.body).unwrap_or_default();
        self.checked(asked, Some(&before), cx).await
    }

    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree> {
        let subjects = |kind: &str| -> Tree {
            let all = object.get("subjects").and_then(Tree::as_array).cloned().unwrap_or_default();
            let names: Vec<String> = all
                .iter()
                .filter(|s| s.get("kind").and_then(Tree::as_str) == Some(kind))
                .filter_map(|s| s.get("name").and_then(Tree::as_str).map(str::to_owned))
                .collect();
            names.join(", ").into()
        };
        let role = object.pointer("/roleRef/name").and_then(Tree::as_str).unwrap_or_default();
        vec![
            cell(object, "/metadata/name"),
            format!("ClusterRole/{role}").into(),
            age(object, cx),
            subjects("User"),
            subjects("Group"),
            subjects("ServiceAccount"),
        ]
    }
}
