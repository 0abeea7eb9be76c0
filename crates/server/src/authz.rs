//! The authorizer: the rules of `core`, behind the library's door, and the count of what was decided.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use eartag_apiserver::user::{Attributes, Authorizer, Decision, GrantedRule, UserInfo};
use eartag_core::rbac;

use crate::metrics::Metrics;
use crate::observer::Tables;

/// Decides by roles and bindings in the store.
pub struct RoleAuthorizer {
    tables: Arc<Tables>,
}

impl RoleAuthorizer {
    /// An authorizer over these tables.
    pub fn new(tables: Arc<Tables>) -> RoleAuthorizer {
        RoleAuthorizer { tables }
    }
}

/// What [`RoleAuthorizer`] answers, for those who cannot wait for an answer.
#[must_use]
pub fn roles_allow(tables: &Tables, user: &UserInfo, wants: &Attributes) -> bool {
    let asked = rbac::Attributes {
        verb: &wants.verb,
        group: &wants.group,
        resource: &wants.resource,
        subresource: &wants.subresource,
        name: &wants.name,
        namespace: &wants.namespace,
        path: wants.path.as_deref(),
    };
    tables.rbac.allows(&user.name, &user.groups, &asked)
}

#[async_trait]
impl Authorizer for RoleAuthorizer {
    async fn authorize(&self, user: &UserInfo, wants: &Attributes) -> Decision {
        if roles_allow(&self.tables, user, wants) { Decision::Allow } else { Decision::Deny(String::new()) }
    }

    fn generation(&self) -> u64 {
        self.tables.rights.load(Ordering::Acquire)
    }

    async fn rules(&self, user: &UserInfo) -> Vec<GrantedRule> {
        self.tables
            .rbac
            .rules_for(&user.name, &user.groups)
            .into_iter()
            .map(|rule| GrantedRule {
                verbs: rule.verbs,
                groups: rule.api_groups,
                resources: rule.resources,
                names: rule.resource_names,
                paths: rule.non_resource_urls,
            })
            .collect()
    }
}

/// An authorizer whose decisions are counted.
pub struct Counted<A> {
    inner: A,
    metrics: Arc<Metrics>,
}

impl<A: Authorizer> Counted<A> {
    /// Counts what `inner` decides.
    pub fn new(inner: A, metrics: Arc<Metrics>) -> Counted<A> {
        Counted { inner, metrics }
    }
}

#[async_trait]
impl<A: Authorizer> Authorizer for Counted<A> {
    async fn authorize(&self, user: &UserInfo, wants: &Attributes) -> Decision {
        let decision = self.inner.authorize(user, wants).await;
        self.metrics.authorization(&decision);
        decision
    }

    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    async fn rules(&self, user: &UserInfo) -> Vec<GrantedRule> {
        self.inner.rules(user).await
    }
}
