//! A form that came back, made into the request that any other client would send.

use bytes::Bytes;
use eartag_apiserver::Tree;
use eartag_view::form::{Mode, decode, masked};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, REFERER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

use super::Asked;
use super::frame::{MOST_PARAMETERS, pairs};
use crate::authn::cookie::CSRF_HEADER;
use crate::v3::error::V3Error;
use crate::v3::request::{MAX_BODY, Path, effective_method, read_body};
use crate::v3::resource::About;
use crate::v3::{dispatch, schemas};

/// A form.
pub struct Posted {
    /// The request with a JSON body: what [`dispatch::answer`] gets.
    pub parts: Parts,
    /// That body.
    pub body: Vec<u8>,
    /// The same for showing, without what is secret; `None` where there is none.
    pub sent: Option<Tree>,
    /// What the form held, for filling it in again.
    pub pairs: Vec<(String, String)>,
}

/// Whether the body is a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    let sent = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    sent.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl Posted {
    /// Reads it. The token that it repeats goes where scripts would put it; whether it is the right one, authentication says.
    ///
    /// # Errors
    /// A body that is too large or too slow, too many fields, a method that nobody may mean.
    pub async fn read<B>(asked: &Asked<'_>, body: B) -> Result<Posted, V3Error>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let method = effective_method(&asked.parts.method, asked.query)?;
        let bytes = read_body(body, MAX_BODY).await?;
        // No form of ours has so many, and half a form is another request than the one that was meant.
        if form_urlencoded::parse(&bytes).nth(MOST_PARAMETERS).is_some() {
            let text = format!("a form may have at most {MOST_PARAMETERS} fields");
            return Err(V3Error::new(413, "RequestEntityTooLarge", text));
        }
        let pairs = pairs(&bytes);
        let action = asked.query.get("action");
        let about = taken(asked.parts.uri.path(), action);
        let mode = match (&method, action) {
            (&Method::PUT, _) => Mode::Edit,
            (_, "") => Mode::Create,
            _ => Mode::Input,
        };
        let about = about.filter(|_| method != Method::DELETE);
        let schema = about.map(|about| schemas::schema(&asked.address.base(), about));
        let body = schema.as_ref().map(|schema| decode(schema, mode, &pairs)).unwrap_or_default();
        let sent = schema.as_ref().map(|schema| masked(schema, &body));

        let mut parts = asked.parts.clone();
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        parts.headers.remove(CONTENT_LENGTH);
        // Only where nothing says that the form comes from elsewhere: a neighbouring host that could plant the cookie could fill in a form as well.
        let says_from_where = [CSRF_HEADER, ORIGIN.as_str(), REFERER.as_str()];
        if !says_from_where.iter().any(|name| parts.headers.contains_key(*name))
            && let Some((_, token)) = pairs.iter().find(|(key, _)| key == "CSRF")
            && let Ok(token) = HeaderValue::from_str(token)
        {
            parts.headers.insert(CSRF_HEADER, token);
        }
        let body = if schema.is_some() { Tree::Object(body).to_string().into_bytes() } else { Vec::new() };
        Ok(Posted { parts, body, sent, pairs })
    }
}

/// The type whose fields a form holds: that of the path, or the input of an action, if it has one.
pub fn taken(path: &str, action: &str) -> Option<&'static About> {
    let (about, actions) = match Path::parse(path) {
        Path::Collection(plural) => {
            dispatch::find(plural).map(|r| (r.about(), r.about().collection_actions))?
        }
        Path::Item(plural, _) => dispatch::find(plural).map(|r| (r.about(), r.about().resource_actions))?,
        Path::Root | Path::Nothing => return None,
    };
    if action.is_empty() {
        return Some(about);
    }
    let input = actions.iter().find(|known| known.name == action)?.input;
    schemas::all().find(|part| part.id == input)
}
