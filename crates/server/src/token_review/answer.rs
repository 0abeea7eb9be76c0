//! A TokenReview's status on the wire.

use serde::Serialize;

use super::Known;

/// What a review says. Of a token that is not good nothing more is said (DEC52). Members are in the order of their names, as in all
/// our answers.
#[derive(Serialize)]
pub struct Status<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    audiences: &'a [String],
    authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
}

#[derive(Serialize)]
struct User<'a> {
    extra: Extra<'a>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    groups: &'a [String],
    uid: String,
    username: &'a str,
}

/// Which token it was, and who logged in, under the names of `authn`'s extras. A proxy that passes `requesttokenid` on is believed by us (DEC15).
#[derive(Serialize)]
struct Extra<'a> {
    #[serde(rename = "principalid", skip_serializing_if = "is_empty")]
    principal: [&'a str; 1],
    #[serde(rename = "requesttokenid")]
    token: [&'a str; 1],
    #[serde(rename = "username", skip_serializing_if = "is_empty")]
    username: [&'a str; 1],
}

fn is_empty(value: &[&str; 1]) -> bool {
    value.iter().all(|text| text.is_empty())
}

impl<'a> Status<'a> {
    /// Of a good token.
    #[must_use]
    pub fn of(known: &'a Known) -> Status<'a> {
        let token = &*known.token;
        let extra =
            Extra { principal: [&token.principal.name], token: [&token.name], username: [&token.username] };
        let user =
            User { extra, groups: known.groups(), uid: token.owner_uid.to_string(), username: &token.owner };
        Status { audiences: &known.audiences, authenticated: true, user: Some(user) }
    }

    /// Of every other.
    #[must_use]
    pub fn not_good() -> Status<'static> {
        Status { audiences: &[], authenticated: false, user: None }
    }
}
