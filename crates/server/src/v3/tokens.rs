//! `/v3/tokens` (seed 2, v3-token.md §1 to §3): logins, API keys and system tokens of whoever asks; administrators can look further (DEC32).

use std::sync::Arc;

use async_trait::async_trait;
use eartag_apiserver::field_error::CauseReason;
use eartag_apiserver::kind::Kind;
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::{Map, Tree};
use eartag_core::Face;
use eartag_core::names::is_of_the_system;
use eartag_storage::Scope;

use super::door::Door;
use super::error::V3Error;
use super::item::text;
use super::reply::Reply;
use super::resource::{About, Action, Field, FieldType, Made, V3Resource};
use crate::authn::Caller;
use crate::state::State;

/// The type.
pub struct Tokens;

static ABOUT: About = About {
    id: "token",
    plural: "tokens",
    fields: &[
        Field::read_only(
            "activityLastSeenAt",
            FieldType::Date,
            "When the owner was last active in a browser with it.",
        ),
        Field::read_only("authProvider", FieldType::String, "The provider by which the owner logged in."),
        Field::create_only(
            "clusterId",
            FieldType::Reference("cluster"),
            "The cluster it is restricted to; empty means none.",
        ),
        Field::read_only("current", FieldType::Boolean, "Whether it is the session of this very request."),
        Field::writable("description", FieldType::String, "What it is for."),
        Field::update_only("enabled", FieldType::Boolean, "Whether it may be used."),
        Field::read_only("expired", FieldType::Boolean, "Whether its time is over."),
        Field::read_only("expiresAt", FieldType::String, "When it expires; empty means never."),
        Field::read_only(
            "isDerived",
            FieldType::Boolean,
            "Whether it was made by means of another token, and not by a login.",
        ),
        Field::read_only("lastUsedAt", FieldType::Date, "When it was last accepted."),
        Field::read_only("name", FieldType::DnsLabel, "Its name, the first half of its value."),
        Field::read_only(
            "token",
            FieldType::String,
            "The whole value, in the answer to its creation and never again.",
        )
        .write_only(),
        Field::writable(
            "ttl",
            FieldType::Int,
            "Time to live in milliseconds, counted from its creation. 0 means as long as the maximum allows.",
        ),
        Field::read_only("userId", FieldType::Reference("user"), "The owner."),
        Field::read_only(
            "userPrincipal",
            FieldType::Reference("principal"),
            "Who the owner is to the authentication provider.",
        ),
    ],
    collection_methods: &["GET", "POST"],
    resource_methods: &["GET", "PUT", "DELETE"],
    // See V3Resource::ends_session.
    collection_actions: &[
        Action { name: "logout", input: "", output: "" },
        Action { name: "logoutAll", input: "", output: "" },
    ],
    resource_actions: &[],
};

/// `?userId=*`: everybody's.
const EVERYBODY: &str = "*";

#[async_trait]
impl V3Resource for Tokens {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn kind(&self, state: &State) -> Arc<dyn Kind> {
        Arc::clone(&state.kinds.legacy_tokens)
    }

    fn generate_name(&self) -> &'static str {
        "token-"
    }

    /// Whoever is logged in has tokens, whatever their roles; the kind shows them their own, and all to administrators.
    fn open(&self) -> bool {
        true
    }

    fn ends_session(&self, action: &str) -> bool {
        matches!(action, "logout" | "logoutAll")
    }

    fn decoded_by_the_language(&self) -> bool {
        true
    }

    /// Their own, administrators' too, unless a user is named (DEC32); where several are, the filter chooses among everybody's.
    async fn within(&self, door: &Door) -> Result<Option<Scope>, V3Error> {
        let owner = |user: &str| Some(Scope::Owner(user.as_bytes().to_vec()));
        let mut named = door.query.all("userId");
        Ok(match (named.next().unwrap_or_default(), named.next()) {
            ("", None) => owner(&door.caller.user.name),
            (EVERYBODY, None) | (_, Some(_)) => None,
            (user, None) => owner(user),
        })
    }

    fn show(&self, object: &Tree, _caller: &Caller, out: &mut Map) {
        let name = object.get("metadata").map(|metadata| text(metadata, "name")).unwrap_or_default();
        out.insert("name".to_owned(), name.into());
        for member in ["authProvider", "description", "expiresAt", "userId"] {
            out.insert(member.to_owned(), text(object, member).into());
        }
        for member in ["current", "expired", "isDerived"] {
            let on = object.get(member).and_then(Tree::as_bool).unwrap_or(false);
            out.insert(member.to_owned(), on.into());
        }
        let enabled = object.get("enabled").and_then(Tree::as_bool).unwrap_or(true);
        out.insert("enabled".to_owned(), enabled.into());
        out.insert("ttl".to_owned(), object.get("ttl").cloned().unwrap_or_else(|| 0.into()));
        for member in ["activityLastSeenAt", "lastUsedAt"] {
            if let Some(value) = object.get(member).filter(|value| !value.is_null()) {
                out.insert(member.to_owned(), value.clone());
            }
        }
        let cluster = text(object, "clusterName");
        let cluster = if cluster.is_empty() { Tree::Null } else { cluster.into() };
        out.insert("clusterId".to_owned(), cluster);
        let principal = object.get("userPrincipal").map(go_map).unwrap_or_default();
        out.insert("userPrincipal".to_owned(), principal.into());
    }

    fn object(&self, body: &Map) -> Result<Map, V3Error> {
        let names = [
            ("description", "description"),
            ("ttl", "ttl"),
            ("enabled", "enabled"),
            ("clusterId", "clusterName"),
        ];
        Ok(names
            .iter()
            .filter_map(|(here, there)| body.get(*here).map(|value| ((*there).to_owned(), value.clone())))
            .collect())
    }

    fn error(&self, refusal: &Refusal) -> Option<V3Error> {
        let Refusal::Invalid(errors) = refusal else { return None };
        let error =
            errors.iter().find(|error| error.field == "ttl" && error.reason == CauseReason::Invalid)?;
        let text = error.message.rsplit_once(": ").map_or(error.message.as_str(), |(_, why)| why);
        Some(V3Error::new(422, "MinLimitExceeded", text).field("ttl"))
    }

    /// Labels are ignored, as in the reference: one of them would ask for a system token, which is not for everybody to have.
    async fn create(&self, door: &Door, body: &Map) -> Result<Made, V3Error> {
        let mut body = body.clone();
        body.remove("labels");
        body.remove("annotations");
        door.create_object(self, &body).await
    }

    /// What the system's labels and annotations say (who created it, which kubeconfig it belongs to), nobody says here about a token of their own; those that
    /// the token has stay as they are.
    async fn change(&self, door: &Door, id: &str, body: &Map) -> Result<Tree, V3Error> {
        let mut body = body.clone();
        for member in ["labels", "annotations"] {
            if let Some(marks) = body.get_mut(member).and_then(Tree::as_object_mut) {
                marks.retain(|key, _| !is_of_the_system(key));
            }
        }
        door.change_object(self, id, &body).await
    }

    /// The session that a person is using is ended by logging out, so that the browser forgets it too; an API key may delete itself (v3-token.md §3.3).
    async fn delete(&self, door: &Door, id: &str) -> Result<Reply, V3Error> {
        let own = door.caller.token().filter(|token| token.face == Face::Legacy && !token.derived);
        if own.is_some_and(|token| token.name == id) {
            let text = "Cannot delete token for current session. Use logout instead";
            return Err(V3Error::new(400, "ServerError", text));
        }
        door.delete_object(self, id).await?;
        Ok(Reply::no_content())
    }
}

/// An object as the reference's programming language prints a map, which is how its clients know `userPrincipal`.
fn go_map(principal: &Tree) -> String {
    let Some(members) = principal.as_object() else { return String::new() };
    let shown = |value: &Tree| match value {
        Tree::String(text) => text.clone(),
        Tree::Object(metadata) => {
            format!(
                "map[creationTimestamp:<nil> name:{}]",
                metadata.get("name").and_then(Tree::as_str).unwrap_or("")
            )
        }
        other => other.to_string(),
    };
    // The members are sorted already.
    let pairs: Vec<String> = members
        .iter()
        .filter(|(key, _)| key.as_str() != "extraInfo")
        .map(|(key, value)| format!("{key}:{}", shown(value)))
        .collect();
    format!("map[{}]", pairs.join(" "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_principal_is_printed_as_clients_of_the_reference_know_it() {
        let principal = json!({
            "displayName": "Ann", "loginName": "ann", "me": true, "metadata": {"name": "local://u-ann42"},
            "principalType": "user", "provider": "local",
        });
        assert_eq!(
            go_map(&principal),
            "map[displayName:Ann loginName:ann me:true metadata:map[creationTimestamp:<nil> name:local://u-ann42] principalType:user provider:local]"
        );
    }

    #[test]
    fn a_token_has_all_members_that_clients_read() {
        let object =
            json!({"metadata": {"name": "token-abcde"}, "userId": "u-ann", "ttl": 5, "enabled": false});
        let mut item = Map::new();
        Tokens.show(&object, &Caller::test("u-ann"), &mut item);
        assert_eq!((&item["name"], &item["ttl"]), (&json!("token-abcde"), &json!(5)));
        assert_eq!(
            (&item["enabled"], &item["current"], &item["expired"]),
            (&json!(false), &json!(false), &json!(false))
        );
        assert_eq!((&item["clusterId"], &item["expiresAt"]), (&Tree::Null, &json!("")));
    }
}
