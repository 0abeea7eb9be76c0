//! The table of grants, fed by the store's observer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use eartag_api::frame;
use eartag_api::meta::Uid;
use eartag_storage::{Change, CollectionId, Entry};
use parking_lot::RwLock;

use super::builtin::{AUTHENTICATED, COMMON, MANAGEMENT, MASTERS, PUBLIC, SELF_READERS, everything};
use super::{Attributes, Rule, aggregate};
use crate::collections;
use crate::record::{
    Aggregation, ClusterRoleBindingRecord, ClusterRoleRecord, GlobalRoleBindingRecord, GlobalRoleRecord,
};

/// Who may do what. A check looks at the bindings of the caller only.
#[derive(Default)]
pub struct Rbac {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    cluster_roles: HashMap<Arc<str>, ClusterRole>,
    global_roles: HashMap<Arc<str>, GlobalRole>,
    /// Who exists, so that bindings of a deleted user give nothing to a later one of the same name.
    people: HashMap<Box<str>, Uid>,
    users: HashMap<String, Vec<Grant>>,
    groups: HashMap<String, Vec<Grant>>,
}

struct GlobalRole {
    uid: Uid,
    rules: Vec<Rule>,
}

struct ClusterRole {
    /// What it grants, of itself or of the roles it is made of.
    rules: Vec<Rule>,
    own: Vec<Rule>,
    aggregation: Option<Vec<Aggregation>>,
    labels: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Eq)]
enum Grant {
    Cluster(Arc<str>),
    Global(GlobalGrant),
}

/// A global role, and for whom it is meant; `None` means whoever has the name.
#[derive(Clone, PartialEq, Eq)]
struct GlobalGrant {
    role: Arc<str>,
    role_uid: Option<Uid>,
    user_uid: Option<Uid>,
}

enum Whom {
    User(String),
    Group(String),
}

/// Most single rules that a role may fall apart into when it is held against several rules of a caller.
const MOST_PARTS: usize = 20_000;
/// Most missing rules that are reported.
const MOST_MISSING: usize = 50;

impl Rbac {
    /// No grants.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in an entry while the store is opened; entries of other collections are ignored.
    pub fn load(&self, collection: CollectionId, entry: &Entry) {
        if is_ours(collection) {
            self.state.write().change(collection, None, Some(entry));
        }
    }

    /// Takes in a commit.
    pub fn apply(&self, changes: &[Change]) {
        if !changes.iter().any(|change| is_ours(change.collection)) {
            return;
        }
        let mut state = self.state.write();
        for change in changes.iter().filter(|change| is_ours(change.collection)) {
            state.change(change.collection, change.old.as_ref(), change.new.as_ref());
        }
    }

    /// Whether the caller may do this.
    #[must_use]
    pub fn allows(&self, user: &str, groups: &[String], asked: &Attributes<'_>) -> bool {
        let any = |rules: &[Rule]| rules.iter().any(|rule| rule.allows(asked));
        if has(groups, MASTERS) || any(&PUBLIC) || (has(groups, AUTHENTICATED) && any(&COMMON)) {
            return true;
        }
        let state = self.state.read();
        let allowed = state.grants(user, groups).any(|grant| any(state.rules(grant)));
        allowed || (own_user_rule(user).allows(asked) && state.reads_self(user, groups))
    }

    /// Full access (DEC13): the caller's rules allow this verb on every resource of the group, or of all groups, and not only for
    /// some names.
    #[must_use]
    pub fn full_access(&self, user: &str, groups: &[String], verb: &str, group: &str) -> bool {
        self.allows(user, groups, &Attributes { verb, group, resource: "*", ..Attributes::default() })
    }

    /// All rules that hold for the caller, for rule reviews and escalation checks.
    #[must_use]
    pub fn rules_for(&self, user: &str, groups: &[String]) -> Vec<Rule> {
        let mut rules = self.granted(user, groups);
        if self.state.read().reads_self(user, groups) {
            rules.push(own_user_rule(user));
        }
        rules
    }

    /// The same without what is about the caller's own user object, for comparing one user with another.
    #[must_use]
    pub fn granted(&self, user: &str, groups: &[String]) -> Vec<Rule> {
        let mut rules = if has(groups, MASTERS) { everything() } else { Vec::new() };
        rules.extend_from_slice(&PUBLIC);
        if has(groups, AUTHENTICATED) {
            rules.extend_from_slice(&COMMON);
        }
        let state = self.state.read();
        for grant in state.grants(user, groups) {
            for rule in state.rules(grant) {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
        rules
    }

    /// Whether the caller holds everything that the wanted rules grant, so that writing or binding them is no escalation (DEC50).
    ///
    /// # Errors
    /// What the caller does not hold (the first fifty of it).
    pub fn covers(&self, user: &str, groups: &[String], wanted: &[Rule]) -> Result<(), Vec<Rule>> {
        if has(groups, MASTERS) {
            return Ok(());
        }
        covers(&self.rules_for(user, groups), wanted)
    }

    /// The rules of a role, for judging who may bind it; `None` if there is no such role.
    #[must_use]
    pub fn role(&self, global: bool, name: &str) -> Option<Vec<Rule>> {
        let state = self.state.read();
        if global {
            state.global_roles.get(name).map(|role| role.rules.clone())
        } else {
            state.cluster_roles.get(name).map(|role| role.rules.clone())
        }
    }

    /// Names of the global roles that are bound to the caller.
    #[must_use]
    pub fn global_roles_of(&self, user: &str, groups: &[String]) -> Vec<String> {
        let state = self.state.read();
        let mut names: Vec<String> = state
            .grants(user, groups)
            .filter_map(|grant| state.global(grant))
            .map(|(name, _)| name.to_owned())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl std::fmt::Debug for Rbac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rbac")
    }
}

/// Whether `have` grants everything that `wanted` does.
///
/// A wanted rule need not be covered by one rule alone: it is taken apart into single (verb, group, resource, name) and (verb, path)
/// rules, each of which must be. A rule of more than twenty thousand parts is refused unless one rule covers it whole.
pub(super) fn covers(have: &[Rule], wanted: &[Rule]) -> Result<(), Vec<Rule>> {
    let mut missing = Vec::new();
    let mut budget = MOST_PARTS;
    for rule in wanted {
        if have.iter().any(|h| h.covers(rule)) {
            continue;
        }
        match parts(rule, budget) {
            None => missing.push(rule.clone()),
            Some(parts) => {
                budget = budget.saturating_sub(parts.len());
                missing.extend(
                    parts.into_iter().filter(|part| !have.iter().any(|h| h.covers(part))).take(MOST_MISSING),
                );
            }
        }
        if missing.len() >= MOST_MISSING {
            break;
        }
    }
    missing.truncate(MOST_MISSING);
    if missing.is_empty() { Ok(()) } else { Err(missing) }
}

fn parts(rule: &Rule, most: usize) -> Option<Vec<Rule>> {
    let names = rule.resource_names.len().max(1);
    let of_resources = rule.api_groups.len().checked_mul(rule.resources.len())?.checked_mul(names)?;
    let count = of_resources.checked_add(rule.non_resource_urls.len())?.checked_mul(rule.verbs.len())?;
    if count > most {
        return None;
    }
    let mut parts = Vec::with_capacity(count);
    for verb in &rule.verbs {
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let whole = Rule::resources(&[verb], &[group], &[resource]);
                if rule.resource_names.is_empty() {
                    parts.push(whole);
                } else {
                    parts.extend(rule.resource_names.iter().map(|name| whole.clone().named(&[name])));
                }
            }
        }
        parts.extend(rule.non_resource_urls.iter().map(|url| Rule::paths(&[verb], &[url])));
    }
    Some(parts)
}

/// What `user` and `user-base` add for one caller: reading their own user object, by name.
fn own_user_rule(user: &str) -> Rule {
    Rule::resources(&["get", "list", "watch"], &[MANAGEMENT], &["users"]).named(&[user])
}

fn has(groups: &[String], group: &str) -> bool {
    groups.iter().any(|g| g == group)
}

fn is_ours(collection: CollectionId) -> bool {
    [
        collections::CLUSTER_ROLES,
        collections::CLUSTER_ROLE_BINDINGS,
        collections::GLOBAL_ROLES,
        collections::GLOBAL_ROLE_BINDINGS,
        collections::USERS,
    ]
    .contains(&collection)
}

impl Grant {
    /// Whether it is meant for a user with this uid (`None`: there is no such user).
    fn is_for(&self, uid: Option<&Uid>) -> bool {
        match self {
            Self::Global(GlobalGrant { user_uid: Some(bound), .. }) => uid == Some(bound),
            Self::Global(_) | Self::Cluster(_) => true,
        }
    }
}

impl State {
    fn grants<'a>(&'a self, user: &'a str, groups: &'a [String]) -> impl Iterator<Item = &'a Grant> {
        let of_groups = groups.iter().filter_map(|group| self.groups.get(group)).flatten();
        let uid = self.people.get(user);
        self.users.get(user).into_iter().flatten().filter(move |grant| grant.is_for(uid)).chain(of_groups)
    }

    fn rules(&self, grant: &Grant) -> &[Rule] {
        let rules = match grant {
            Grant::Cluster(name) => self.cluster_roles.get(name).map(|role| &role.rules),
            Grant::Global(_) => self.global(grant).map(|(_, role)| &role.rules),
        };
        rules.map(Vec::as_slice).unwrap_or_default()
    }

    /// The global role of a grant, if it is the very one that was bound.
    fn global<'a>(&'a self, grant: &Grant) -> Option<(&'a str, &'a GlobalRole)> {
        let Grant::Global(GlobalGrant { role, role_uid, .. }) = grant else { return None };
        let (name, role) = self.global_roles.get_key_value(role)?;
        role_uid.is_none_or(|bound| bound == role.uid).then_some((&**name, role))
    }

    fn reads_self(&self, user: &str, groups: &[String]) -> bool {
        let mut roles = self.grants(user, groups).filter_map(|grant| self.global(grant));
        roles.any(|(name, _)| SELF_READERS.contains(&name))
    }

    fn change(&mut self, collection: CollectionId, old: Option<&Entry>, new: Option<&Entry>) {
        let Some(key) = new.or(old).and_then(|entry| std::str::from_utf8(entry.key()).ok()) else { return };
        // Whatever cannot be read grants nothing.
        let new = new.and_then(|entry| frame::split(entry.value()).map(|(body, _)| (body, entry)));
        let old_body = old.and_then(|entry| frame::split(entry.value())).map(|(body, _)| body);
        match collection {
            collections::GLOBAL_ROLES => {
                let role = new.and_then(|(body, entry)| {
                    let uid = frame::head(entry.value())?.uid;
                    Some(GlobalRole { uid, rules: GlobalRoleRecord::decode(body)?.rules })
                });
                match role {
                    Some(role) => drop(self.global_roles.insert(key.into(), role)),
                    None => drop(self.global_roles.remove(key)),
                }
            }
            collections::USERS => {
                match new.and_then(|(_, entry)| frame::head(entry.value())).filter(|head| !head.deleted) {
                    Some(head) => drop(self.people.insert(key.into(), head.uid)),
                    None => drop(self.people.remove(key)),
                }
            }
            collections::CLUSTER_ROLES => {
                let role =
                    new.and_then(|(body, entry)| ClusterRoleRecord::decode(body).map(|role| (role, entry)));
                self.set_cluster_role(
                    key,
                    role.map(|(role, entry)| ClusterRole {
                        rules: role.rules.clone(),
                        own: role.rules,
                        aggregation: role.aggregation,
                        labels: frame::meta(entry.value()).map(|meta| meta.labels).unwrap_or_default(),
                    }),
                );
            }
            collections::GLOBAL_ROLE_BINDINGS => {
                old_body
                    .and_then(GlobalRoleBindingRecord::decode)
                    .into_iter()
                    .flat_map(of_global)
                    .for_each(|g| self.unbind(g));
                let added = new.and_then(|(body, _)| GlobalRoleBindingRecord::decode(body));
                added.into_iter().flat_map(of_global).for_each(|grant| self.bind(grant));
            }
            _ => {
                old_body
                    .and_then(ClusterRoleBindingRecord::decode)
                    .into_iter()
                    .flat_map(of_cluster)
                    .for_each(|g| self.unbind(g));
                let added = new.and_then(|(body, _)| ClusterRoleBindingRecord::decode(body));
                added.into_iter().flat_map(of_cluster).for_each(|grant| self.bind(grant));
            }
        }
    }

    fn set_cluster_role(&mut self, name: &str, role: Option<ClusterRole>) {
        match role {
            Some(role) => drop(self.cluster_roles.insert(name.into(), role)),
            None => drop(self.cluster_roles.remove(name)),
        }
        // Roles made of others are few: all of them are made anew whenever any role changes. They are made of own rules only, so an
        // aggregate of aggregates does not loop.
        let aggregates: Vec<(Arc<str>, Vec<Rule>)> = self
            .cluster_roles
            .iter()
            .filter_map(|(name, role)| role.aggregation.as_ref().map(|selectors| (name, selectors)))
            .map(|(name, selectors)| {
                let mut parts: Vec<_> = self
                    .cluster_roles
                    .iter()
                    .filter(|(_, part)| {
                        part.aggregation.is_none() && aggregate::selects(selectors, &part.labels)
                    })
                    .collect();
                parts.sort_by(|a, b| a.0.cmp(b.0));
                (Arc::clone(name), parts.into_iter().flat_map(|(_, part)| part.own.iter().cloned()).collect())
            })
            .collect();
        for (name, rules) in aggregates {
            if let Some(role) = self.cluster_roles.get_mut(&name) {
                role.rules = rules;
            }
        }
    }

    fn bind(&mut self, (whom, grant): (Whom, Grant)) {
        match whom {
            Whom::User(name) => self.users.entry(name).or_default().push(grant),
            Whom::Group(name) => self.groups.entry(name).or_default().push(grant),
        }
    }

    /// Takes back one grant: two bindings of the same role leave one.
    fn unbind(&mut self, (whom, grant): (Whom, Grant)) {
        let (map, name) = match whom {
            Whom::User(name) => (&mut self.users, name),
            Whom::Group(name) => (&mut self.groups, name),
        };
        let Some(grants) = map.get_mut(&name) else { return };
        if let Some(at) = grants.iter().position(|g| *g == grant) {
            grants.swap_remove(at);
        }
        if grants.is_empty() {
            map.remove(&name);
        }
    }
}

fn of_global(binding: GlobalRoleBindingRecord) -> Vec<(Whom, Grant)> {
    let GlobalRoleBindingRecord { role_uid, user_uid, .. } = binding;
    let grant = Grant::Global(GlobalGrant { role: binding.role.into(), role_uid, user_uid });
    let user = (!binding.user.is_empty()).then(|| (Whom::User(binding.user), grant.clone()));
    let group =
        (!binding.group_principal.is_empty()).then_some((Whom::Group(binding.group_principal), grant));
    user.into_iter().chain(group).collect()
}

fn of_cluster(binding: ClusterRoleBindingRecord) -> Vec<(Whom, Grant)> {
    if binding.role_ref.kind != "ClusterRole" {
        return Vec::new();
    }
    let grant = Grant::Cluster(binding.role_ref.name.into());
    let whom = binding.subjects.into_iter().filter_map(|subject| match subject.kind.as_str() {
        "User" => Some(Whom::User(subject.name)),
        "Group" => Some(Whom::Group(subject.name)),
        "ServiceAccount" => {
            Some(Whom::User(format!("system:serviceaccount:{}:{}", subject.namespace, subject.name)))
        }
        _ => None,
    });
    whom.map(|whom| (whom, grant.clone())).collect()
}

#[cfg(test)]
mod tests;
