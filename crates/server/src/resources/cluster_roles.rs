//! `clusterroles` of `rbac.authorization.k8s.io/v1`: named sets of rules, as in any Kubernetes cluster (DEC50).

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::meta::Meta;
use eartag_api::rbac::{AggregationRule, ClusterRole, LabelSelector, LabelSelectorRequirement};
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::{Naming, ResourceInfo};
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::user::Attributes;
use eartag_apiserver::{Map, Tree};
use eartag_core::collections::CLUSTER_ROLES;
use eartag_core::{ClusterRoleRecord, rbac, record};
use eartag_storage::CollectionId;

use super::{AGE_COLUMN, NAME_COLUMN, RBAC, cell, fill, management, rules, schema, typed};
use crate::observer::Tables;

/// The lens over cluster roles.
pub struct ClusterRoles {
    info: ResourceInfo,
    tables: Arc<Tables>,
}

impl ClusterRoles {
    /// The lens.
    pub fn new(tables: Arc<Tables>) -> Result<ClusterRoles, SchemaError> {
        let mut created = AGE_COLUMN;
        created.name = "Created At";
        created.description = "When the object was created.";
        let info = ResourceInfo {
            group: RBAC,
            version: "v1",
            update_needs_version: false,
            naming: Naming::ClientPath,
            ..management(
                "ClusterRole",
                "clusterroles",
                "clusterrole",
                "ClusterRole is a named set of rules, as in any Kubernetes cluster.",
                schema::<ClusterRole>("io.k8s.api.rbac.v1.ClusterRole")?,
                vec![NAME_COLUMN, created],
            )
        };
        Ok(ClusterRoles { info, tables })
    }

    async fn checked(
        &self,
        name: &str,
        asked: &Tree,
        before: Option<&ClusterRoleRecord>,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let asked: ClusterRole = typed(asked)?;
        let mut errors = Vec::new();
        for (at, rule) in asked.rules.iter().enumerate() {
            let field = format!("rules[{at}]");
            if rule.verbs.is_empty() {
                errors.push(FieldError::required(
                    format!("{field}.verbs"),
                    "verbs must contain at least one value",
                ));
            }
            if rule.non_resource_urls.is_empty() {
                if rule.api_groups.is_empty() {
                    let why = "resource rules must supply at least one api group";
                    errors.push(FieldError::required(format!("{field}.apiGroups"), why));
                }
                if rule.resources.is_empty() {
                    let why = "resource rules must supply at least one resource";
                    errors.push(FieldError::required(format!("{field}.resources"), why));
                }
            } else if !(rule.api_groups.is_empty()
                && rule.resources.is_empty()
                && rule.resource_names.is_empty())
            {
                let why = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(FieldError::invalid(
                    format!("{field}.nonResourceURLs"),
                    rule.non_resource_urls.clone(),
                    why,
                ));
            }
        }
        if !errors.is_empty() {
            return Err(Refusal::Invalid(errors));
        }
        let aggregation = asked.aggregation_rule.map(to_aggregation);
        // The rules of an aggregated role are gathered, so what a client writes there is not kept.
        let own = if aggregation.is_some() { Vec::new() } else { rules::to_records(asked.rules) };
        let record = ClusterRoleRecord { rules: own, aggregation };
        let aggregates = record.aggregation.is_some()
            && before.is_none_or(|before| before.aggregation != record.aggregation);
        if aggregates {
            // What an aggregated role will grant is for others to say later, so only those who hold everything may make one.
            rules::may_grant(
                &self.tables,
                cx,
                &rbac::everything(),
                &Attributes::resource("escalate", RBAC, "clusterroles", name),
            )
            .await?;
        }
        if before.is_none_or(|before| before.rules != record.rules) {
            let escalate = Attributes::resource("escalate", RBAC, "clusterroles", name);
            rules::may_grant(&self.tables, cx, &record.rules, &escalate).await?;
        }
        Ok(Draft::of(record.encode()))
    }
}

#[async_trait]
impl Kind for ClusterRoles {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn collection(&self) -> CollectionId {
        CLUSTER_ROLES
    }

    fn show(&self, stored: &Stored<'_>, _cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let record = ClusterRoleRecord::decode(stored.body)
            .ok_or_else(|| Corrupt("the cluster role cannot be decoded".to_owned()))?;
        let aggregated = record.aggregation.is_some();
        // The rules of an aggregated role are those that it gathers.
        let shown = if aggregated {
            self.tables.rbac.role(false, stored.name).unwrap_or_default()
        } else {
            record.rules
        };
        let aggregation_rule = record.aggregation.map(to_aggregation_rule);
        fill(object, &ClusterRole { aggregation_rule, rules: rules::to_policy(shown) });
        Ok(())
    }

    async fn admit(&self, name: &str, asked: &Tree, _meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal> {
        self.checked(name, asked, None, cx).await
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        _seen: &Tree,
        asked: &Tree,
        _meta: &mut Meta,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let before = ClusterRoleRecord::decode(old.body).unwrap_or_default();
        self.checked(old.name, asked, Some(&before), cx).await
    }

    fn row(&self, object: &Tree, _cx: &Cx) -> Vec<Tree> {
        vec![cell(object, "/metadata/name"), cell(object, "/metadata/creationTimestamp")]
    }
}

fn to_aggregation(rule: AggregationRule) -> Vec<record::Aggregation> {
    let requirement = |r: LabelSelectorRequirement| record::Requirement {
        key: r.key,
        operator: r.operator,
        values: r.values,
    };
    rule.cluster_role_selectors
        .into_iter()
        .map(|selector| record::Aggregation {
            match_labels: selector.match_labels,
            match_expressions: selector.match_expressions.into_iter().map(requirement).collect(),
        })
        .collect()
}

fn to_aggregation_rule(aggregation: Vec<record::Aggregation>) -> AggregationRule {
    let requirement = |r: record::Requirement| LabelSelectorRequirement {
        key: r.key,
        operator: r.operator,
        values: r.values,
    };
    AggregationRule {
        cluster_role_selectors: aggregation
            .into_iter()
            .map(|selector| LabelSelector {
                match_labels: selector.match_labels,
                match_expressions: selector.match_expressions.into_iter().map(requirement).collect(),
            })
            .collect(),
    }
}
