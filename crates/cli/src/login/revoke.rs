//! A token that says good-bye: it asks its server to refuse it from now on (RFC 7009, with itself as the credential).

use secrecy::ExposeSecret;
use secrecy::SecretString;
use serde_json::json;

use crate::client::kubeconfig::{Login, Target};
use crate::client::{Client, ClientError, Route};

/// Revokes a token at the server that gave it. One that is refused already is one that is revoked.
///
/// # Errors
/// When the token may still be good.
pub fn revoke(server: Target, token: &SecretString) -> Result<(), ClientError> {
    let client = Client::new(Target { login: Login::Bearer(token.clone()), ..server })?;
    let members = [("token", token.expose_secret()), ("token_type_hint", "access_token")];
    let done = match client.post_form(&Route::new("/oauth2/revoke"), &members) {
        // A server without that door, such as a Rancher, knows this one. Some forbid what they do not have.
        Err(ClientError::Refused { status: 403 | 404 | 405 | 501, .. }) => {
            client.post_empty(&Route::new("/v3/tokens").query("action", "logout"), &json!({}))
        }
        done => done,
    };
    match done {
        Err(ClientError::Refused { status: 401, .. }) => Ok(()),
        done => done,
    }
}
