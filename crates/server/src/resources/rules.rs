//! Policy rules between the API's shape and the record's, and the check against granting more than one has (DEC50).

use eartag_api::rbac::PolicyRule;
use eartag_apiserver::kind::Cx;
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::user::{AUTHENTICATED, Attributes};
use eartag_core::Rule;

use super::MANAGEMENT;
use crate::authn::CATTLE_AUTHENTICATED;
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
    let Err(missing) = tables.rbac.covers(&cx.user.name, &cx.user.groups, rules) else { return Ok(()) };
    if cx.authorizer.authorize(&cx.user, escalate).await.allowed() {
        return Ok(());
    }
    let texts: Vec<String> = missing.iter().take(16).map(describe).collect();
    Err(Refusal::Forbidden(format!(
        "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{}",
        cx.user.name,
        cx.user.groups,
        texts.join("\n")
    )))
}

/// Whoever sets the password of a user could act as that user, and whoever disables or deletes one could lock out those who would undo it: that takes the
/// rights that the user has, or the verb `escalate` on the user (DEC50). That the caller may update or delete users at all is asked elsewhere.
pub async fn may_overrule(tables: &Tables, cx: &Cx, user: &str) -> Result<(), Refusal> {
    let groups = [AUTHENTICATED.to_owned(), CATTLE_AUTHENTICATED.to_owned()];
    let theirs = tables.rbac.granted(user, &groups);
    if tables.rbac.covers(&cx.user.name, &cx.user.groups, &theirs).is_ok() {
        return Ok(());
    }
    let escalate = Attributes::resource("escalate", MANAGEMENT, "users", user);
    if cx.authorizer.authorize(&cx.user, &escalate).await.allowed() {
        return Ok(());
    }
    Err(Refusal::Forbidden(format!(
        "user {:?} has permissions that user {:?} does not hold",
        user, cx.user.name
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
