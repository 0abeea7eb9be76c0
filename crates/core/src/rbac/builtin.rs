//! What everybody may do, and the global roles that the server brings along (DEC50).

use std::sync::LazyLock;

use super::Rule;
use crate::record::GlobalRoleRecord;

/// Group of those who may do everything.
pub const MASTERS: &str = "system:masters";
/// Group of everybody who has authenticated.
pub const AUTHENTICATED: &str = "system:authenticated";

/// The global role of clusters that ask about tokens.
pub const CLUSTER_WEBHOOK: &str = "cluster-webhook";

/// Group of the kinds that tokens are managed by.
const EXT: &str = "ext.cattle.io";
/// Group of users, settings, features, clusters.
pub(super) const MANAGEMENT: &str = "management.cattle.io";
/// Global roles whose holders may read their own user object.
pub(super) const SELF_READERS: [&str; 2] = ["user", "user-base"];

/// What everybody may do, with or without credentials (DEC56).
pub(super) static PUBLIC: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let health = [
        "/healthz",
        "/healthz/*",
        "/livez",
        "/livez/*",
        "/readyz",
        "/readyz/*",
        "/version",
        "/version/",
        "/ping",
    ];
    vec![Rule::paths(&["get", "head"], &health)]
});

/// What everybody who has authenticated may do: discovery, and asking about oneself.
pub(super) static COMMON: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let discovery = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"];
    vec![
        Rule::paths(&["get", "head"], &discovery),
        Rule::resources(
            &["create"],
            &["authorization.k8s.io"],
            &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
        ),
        Rule::resources(&["create"], &["authentication.k8s.io"], &["selfsubjectreviews"]),
        // Tells the caller their own id and nothing else.
        Rule::resources(&["create"], &[EXT], &["selfusers"]),
    ]
});

/// What a full-access caller may do.
#[must_use]
pub fn everything() -> Vec<Rule> {
    vec![Rule::resources(&["*"], &["*"], &["*"]), Rule::paths(&["*"], &["*"])]
}

/// The global roles `admin`, `user`, `user-base` and [`CLUSTER_WEBHOOK`], with their names.
///
/// That `user` and `user-base` may read their own user object is no rule of theirs: it would need one rule a user. [`Rbac`](super::Rbac)
/// adds it for whoever asks. `list` of tokens, kubeconfigs and clusters is of what the caller may see: the resource's scope narrows it.
#[must_use]
pub fn builtin_global_roles() -> Vec<(&'static str, GlobalRoleRecord)> {
    let role = |name, display_name: &str, description: &str, new_user_default, rules| {
        let record = GlobalRoleRecord {
            display_name: display_name.to_owned(),
            description: description.to_owned(),
            rules,
            new_user_default,
            builtin: true,
        };
        (name, record)
    };
    let mut user = base();
    user.push(Rule::resources(&["list", "watch"], &[MANAGEMENT], &["clusters"]));
    vec![
        role("admin", "Admin", "May do everything.", false, everything()),
        role(
            "user",
            "User",
            "May manage tokens and kubeconfigs of their own, and list the clusters they may use.",
            true,
            user,
        ),
        role("user-base", "User-Base", "May manage tokens and kubeconfigs of their own.", false, base()),
        role(
            CLUSTER_WEBHOOK,
            "Cluster Webhook",
            "May ask whose a token is, as the API servers of clusters do.",
            false,
            vec![Rule::resources(&["create"], &["authentication.k8s.io"], &["tokenreviews"])],
        ),
    ]
}

fn base() -> Vec<Rule> {
    let own = ["create", "get", "list", "watch", "update", "patch", "delete"];
    vec![
        Rule::resources(&own, &[EXT], &["tokens", "kubeconfigs", "useractivities"]),
        // One's own password only: that is for the resource to see to (DEC51).
        Rule::resources(&["create"], &[EXT], &["passwordchangerequests"]),
        Rule::resources(&["get", "list", "watch"], &[MANAGEMENT], &["settings", "features"]),
    ]
}
