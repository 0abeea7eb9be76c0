//! From an answer of the API to a page.

use eartag_apiserver::Tree;
use eartag_apiserver::http::query::Query;
use eartag_view::pages::{self, Outcome};
use http::header::WARNING;
use http::{Method, Response, StatusCode};
use http_body_util::{Empty, combinators::UnsyncBoxBody};
use secrecy::ExposeSecret;
use serde_json::json;

use super::file;
use super::frame::Frame;
use super::posted::{Posted, taken};
use super::{Asked, see_other};
use crate::listener::Body;
use crate::login::page::login_url;
use crate::v3::dispatch::{self, Answer, Answered};
use crate::v3::item::text;
use crate::v3::reply::Reply;
use crate::v3::request::{Path, effective_method};
use crate::v3::schemas;

/// The group whose full access shows everybody's tokens (DEC13, DEC32).
const MANAGEMENT: &str = "management.cattle.io";

/// The page of an answer.
pub async fn render(
    asked: &Asked<'_>,
    frame: Frame,
    answered: Answered,
    posted: Option<&Posted>,
) -> Response<Body> {
    let mut reply = match answered.answer {
        Answer::List(list) => list.whole().await.map_or_else(Reply::from, Reply::ok),
        Answer::Reply(reply) => reply,
    };
    let method = effective_method(&asked.parts.method, asked.query).unwrap_or(Method::POST);
    let headers = std::mem::take(&mut reply.headers);
    let path = Path::parse(asked.parts.uri.path());
    let mut response = if dispatch::ends_session(&path, &method, asked.query) && !is_refused(&reply) {
        see_other(&format!("{}/login?logged_out", asked.address.prefix))
    } else if reply.status == StatusCode::UNAUTHORIZED {
        see_other(&login_url(&asked.address.prefix, &next(asked, &method)))
    } else if let Some(file) = file::of(&reply) {
        file
    } else {
        let caller = answered.door.as_ref().filter(|door| !door.public).map(|door| &*door.caller);
        let frame = match caller {
            Some(caller) => frame.with_caller(asked.state, caller),
            None => frame,
        };
        let all_users = match caller {
            // Only whether a control is shown.
            Some(caller) => {
                asked.state.authorizer.full_access(&caller.user, "list", MANAGEMENT).await.unwrap_or(false)
            }
            None => false,
        };
        let schema = answered.about.map(|about| schemas::schema(&frame.base, about));
        let made = Made {
            asked,
            frame: &frame,
            schema: schema.as_ref(),
            all_users,
            posted,
            warnings: warnings(&headers),
        };
        if method == Method::GET { made.shown(reply) } else { made.sent(reply, &method).await }
    };
    for (name, value) in &headers {
        response.headers_mut().append(name, value.clone());
    }
    response
}

struct Made<'a> {
    asked: &'a Asked<'a>,
    frame: &'a Frame,
    schema: Option<&'a Tree>,
    all_users: bool,
    posted: Option<&'a Posted>,
    warnings: Vec<String>,
}

impl Made<'_> {
    /// A document, or a form or question about it.
    fn shown(&self, reply: Reply) -> Response<Body> {
        let page = self.frame.page();
        let document = reply.body.unwrap_or_default();
        if !reply.status.is_success() {
            return self.frame.send(reply.status, pages::error(&page, reply.status.as_u16(), &document));
        }
        let query = self.asked.query;
        let action = query.get("name");
        let html = match (text(&document, "type"), query.get("_view"), self.schema) {
            ("apiRoot", ..) => pages::root(&page, &document),
            ("collection", "create", Some(schema)) => pages::create(&page, schema, None),
            (_, "action", Some(_)) if !action.is_empty() => {
                let input = self.input(action);
                pages::confirm_action(&page, &document, action, input.as_ref(), None)
            }
            ("collection", _, schema) => pages::collection(&page, &document, schema, self.all_users),
            (_, "edit", Some(schema)) => pages::edit(&page, &document, schema, None),
            (_, "delete", schema) => pages::confirm_delete(&page, &document, schema),
            (_, _, schema) => pages::resource(&page, &document, schema),
        };
        self.frame.send(reply.status, html)
    }

    /// What came of a request that changes something.
    async fn sent(&self, mut reply: Reply, method: &Method) -> Response<Body> {
        let page = self.frame.page();
        let status = reply.status;
        if let Some(posted) = self.posted
            && status.is_client_error()
            && let Some(error) = &reply.body
            && let Some(html) = self.form_again(posted, error, method).await
        {
            return self.frame.send(status, html);
        }
        if let (Some(Tree::Object(members)), Some((name, secret))) = (&mut reply.body, &reply.once) {
            members.insert((*name).to_owned(), secret.expose_secret().into());
        }
        let target = self.target();
        let outcome = Outcome {
            method: method.as_str(),
            target: &target,
            sent: self.posted.and_then(|posted| posted.sent.as_ref()),
            status: status.as_u16(),
            body: reply.body.as_ref(),
            warnings: &self.warnings,
        };
        let html = pages::result(&page, &outcome, self.schema);
        // Browsers show nothing for 204 and stay where they are.
        let status = if status == StatusCode::NO_CONTENT { StatusCode::OK } else { status };
        self.frame.send(status, html)
    }

    /// The form as it was filled in, with the error beside its field.
    async fn form_again(&self, posted: &Posted, error: &Tree, method: &Method) -> Option<String> {
        let page = self.frame.page();
        let schema = self.schema?;
        let refused = Some((posted.pairs.as_slice(), error));
        let action = self.asked.query.get("action");
        if !action.is_empty() && method == Method::POST {
            let input = self.input(action)?;
            let id = self.frame.path.rsplit('/').next().unwrap_or_default();
            let document = json!({"id": id, "actions": {action: ""}});
            return Some(pages::confirm_action(&page, &document, action, Some(&input), refused));
        }
        match *method {
            Method::POST => Some(pages::create(&page, schema, refused)),
            Method::PUT => {
                let item = self.item().await?;
                Some(pages::edit(&page, &item, schema, refused))
            }
            _ => None,
        }
    }

    /// The item of this path, as it is now.
    async fn item(&self) -> Option<Tree> {
        let Asked { state, parts, peer, address, .. } = *self.asked;
        let mut parts = parts.clone();
        parts.method = Method::GET;
        let nothing: UnsyncBoxBody<bytes::Bytes, std::convert::Infallible> = UnsyncBoxBody::new(Empty::new());
        let answered = dispatch::answer(state, &parts, &Query::default(), nothing, peer, address).await;
        match answered.answer {
            Answer::Reply(reply) if reply.status.is_success() => reply.body,
            _ => None,
        }
    }

    /// The schema of what an action takes.
    fn input(&self, action: &str) -> Option<Tree> {
        taken(self.asked.parts.uri.path(), action).map(|about| schemas::schema(&self.frame.base, about))
    }

    /// Path and query of the request that another client would send.
    fn target(&self) -> String {
        let action = self.asked.query.get("action");
        let known = !action.is_empty() && action.bytes().all(|b| b.is_ascii_alphanumeric());
        if known { format!("{}?action={action}", self.frame.path) } else { self.frame.path.clone() }
    }
}

/// A session that was over already is as good as ended.
fn is_refused(reply: &Reply) -> bool {
    !reply.status.is_success() && reply.status != StatusCode::UNAUTHORIZED
}

/// Where to go after logging in: this page, or for a request that changes something the page it is about.
fn next(asked: &Asked<'_>, method: &Method) -> String {
    let uri = &asked.parts.uri;
    let path = format!("{}{}", asked.address.prefix, uri.path());
    match uri.query() {
        Some(query) if *method == Method::GET => format!("{path}?{query}"),
        _ => path,
    }
}

/// The texts of `Warning: 299 - "…"` headers.
fn warnings(headers: &http::HeaderMap) -> Vec<String> {
    headers
        .get_all(WARNING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter_map(|value| value.split_once('"')?.1.rsplit_once('"'))
        .map(|(text, _)| text.replace("\\\"", "\"").replace("\\\\", "\\"))
        .collect()
}
