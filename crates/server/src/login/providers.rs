//! The authentication providers, as clients ask for them before a login (v3-token.md §5.1): the local one.

use eartag_apiserver::Tree;
use serde_json::json;

/// `GET /v1-public/authproviders`.
#[must_use]
pub fn v1() -> Tree {
    json!({"data": [{"id": "local", "type": "localProvider"}]})
}

/// `GET /v3-public/authProviders` and `/v3-public/localProviders`.
#[must_use]
pub fn collection(base: &str, resource: &str, path: &str) -> Tree {
    json!({
        "type": "collection", "resourceType": resource, "actions": {}, "pagination": {"limit": 1000},
        "links": {"self": format!("{base}/v3-public/{path}")},
        "data": [local(base)],
    })
}

/// `GET /v3-public/localProviders/local`.
#[must_use]
pub fn local(base: &str) -> Tree {
    let own = format!("{base}/v3-public/localProviders/local");
    json!({
        "id": "local", "type": "localProvider", "baseType": "authProvider", "creatorId": null,
        "links": {"self": own}, "actions": {"login": format!("{own}?action=login")},
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn the_lists_have_the_shapes_that_the_cli_reads() {
        assert_eq!(v1(), json!({"data": [{"id": "local", "type": "localProvider"}]}));
        let list = collection("https://h", "authProvider", "authProviders");
        assert_eq!(list["links"]["self"], "https://h/v3-public/authProviders");
        let item = &list["data"][0];
        assert_eq!((&item["id"], &item["type"]), (&json!("local"), &json!("localProvider")));
        assert_eq!(item["actions"]["login"], "https://h/v3-public/localProviders/local?action=login");
    }
}
