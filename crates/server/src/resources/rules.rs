//! Policy rules between the API's shape and the record's, and the check against granting more than one has (DEC50).

use eartag_api::rbac::PolicyRule;
use eartag_apiserver::kind::Cx;
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::user::{Attributes, MASTERS};
use eartag_core::Rule;

use crate::observer::Tables;

/// The record's form.
pub fn to_records(rules: Vec<PolicyRule>) -> Vec<Rule> {
    rules
        .into_iter()
        .map(|rule| Rule {
            verbs: rule.verbs,
            api_groups: rule.api_groups,
            resources: rule.resources,
            resource_names: rule.resource_names,
            non_resource_urls: rule.non_resource_urls,
        })
        .collect()
}

/// The API's form.
pub fn to_policy(rules: Vec<Rule>) -> Vec<PolicyRule> {
    rules
        .into_iter()
        .map(|rule| PolicyRule {
            verbs: rule.verbs,
            api_groups: rule.api_groups,
            resources: rule.resources,
            resource_names: rule.resource_names,
            non_resource_urls: rule.non_resource_urls,
        })
        .collect()
}

/// Whoever writes a role must hold its rules, or the verb `escalate` on it.
pub async fn may_grant(
    tables: &Tables,
    cx: &Cx,
    rules: &[Rule],
    escalate: &Attributes,
) -> Result<(), Refusal> {
    if cx.user.in_group(MASTERS) || tables.rbac.covers(&cx.user.name, &cx.user.groups, rules).is_ok() {
        return Ok(());
    }
    if cx.authorizer.authorize(&cx.user, escalate).await.allowed() {
        return Ok(());
    }
    let missing = tables.rbac.covers(&cx.user.name, &cx.user.groups, rules).err().unwrap_or_default();
    let texts: Vec<String> = missing.iter().take(16).map(describe).collect();
    Err(Refusal::Forbidden(format!(
        "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{}",
        cx.user.name,
        cx.user.groups,
        texts.join("\n")
    )))
}

fn describe(rule: &Rule) -> String {
    let mut parts = Vec::new();
    for (name, values) in [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("ResourceNames", &rule.resource_names),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("Verbs", &rule.verbs),
    ] {
        if !values.is_empty() {
            parts.push(format!("{name}:{values:?}"));
        }
    }
    format!("{{{}}}", parts.join(", "))
}
