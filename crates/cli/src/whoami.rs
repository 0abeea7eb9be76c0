//! `whoami`: which user a server takes the caller for.

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use crate::client::output::{self, Format, Look, Table};
use crate::client::{Client, ClientError, Route};
use crate::connection::Connection;
use crate::program::Invocation;
use crate::terminal;

/// `whoami`.
#[derive(Args)]
pub struct WhoamiArgs {
    #[command(flatten)]
    connection: Connection,

    /// How to show it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// A user, as far as the user may know.
#[derive(Debug)]
pub struct Me {
    /// The name of the User object.
    pub id: String,
    /// The login name; empty if the server does not tell.
    pub username: String,
    /// The name to show to people; empty if there is none.
    pub display_name: String,
}

/// Runs `whoami`.
pub fn run(args: &WhoamiArgs, invocation: &Invocation) -> anyhow::Result<()> {
    let client = args.connection.client(invocation)?;
    let me = whoami(&client)?;
    let object = json!({
        "id": me.id, "username": me.username, "displayName": me.display_name, "server": client.server(),
    });
    match args.output {
        Format::Table => {
            let mut table = Table::new(&["ID", "USERNAME", "NAME", "SERVER"]);
            table.row(&[&me.id, &me.username, &me.display_name, client.server()], false);
            terminal::say(&table.render(Look::of_stdout()))
        }
        Format::Name => terminal::say(&format!("user.management.cattle.io/{}\n", output::plain(&me.id))),
        format => terminal::say(&output::object(&object, format)),
    }
}

/// Asks the server who is asking.
///
/// # Errors
/// [`ClientError`], with status 401 for a token that is not good.
pub fn whoami(client: &Client) -> Result<Me, ClientError> {
    #[derive(Deserialize)]
    struct Users {
        data: Vec<User>,
    }
    #[derive(Deserialize)]
    struct User {
        id: String,
        #[serde(default)]
        username: Option<String>,
        #[serde(default)]
        name: Option<String>,
    }
    let id =
        match client.post::<SelfUser>(&Route::new("/apis/ext.cattle.io/v1/selfusers"), &SelfUser::asking()) {
            Ok(reply) => Some(reply.body.status.user_id),
            // Not everybody may ask there; the older door tells everybody who they are.
            Err(ClientError::Refused { status: 403 | 404, .. }) => None,
            Err(error) => return Err(error),
        };
    let route = Route::new("/v3/users").query("me", "true");
    let users = match client.get::<Users>(&route) {
        Ok(reply) => reply.body.data,
        Err(ClientError::Refused { status: 403 | 404, .. }) if id.is_some() => Vec::new(),
        Err(error) => return Err(error),
    };
    // Only what is certainly the caller: a server that does not know the filter lists everybody.
    let user = match &id {
        Some(id) => users.into_iter().find(|user| user.id == *id),
        None => Some(users).filter(|users| users.len() == 1).and_then(|users| users.into_iter().next()),
    };
    let (username, display_name) =
        user.as_ref().map(|user| (user.username.clone(), user.name.clone())).unwrap_or_default();
    let id = id
        .or(user.map(|user| user.id))
        .ok_or_else(|| client.foreign("it does not say who is asking".into()))?;
    Ok(Me { id, username: username.unwrap_or_default(), display_name: display_name.unwrap_or_default() })
}

#[derive(serde::Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct SelfUser {
    api_version: String,
    kind: String,
    #[serde(skip_serializing)]
    status: SelfUserStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SelfUserStatus {
    #[serde(rename = "userID")]
    user_id: String,
}

impl SelfUser {
    fn asking() -> Self {
        Self { api_version: "ext.cattle.io/v1".into(), kind: "SelfUser".into(), ..Self::default() }
    }
}
