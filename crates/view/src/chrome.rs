//! What all pages have around them: title, wordmark, path, language switch, who is logged in.

use serde_json::Value;

use crate::assets;
use crate::lang::Lang;
use crate::link::{self, Pairs, local_path, with_query, without};
use crate::schema::text;
use crate::shown;
use crate::texts::Texts;

/// What a page has to know besides its document.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its language.
    pub lang: Lang,
    /// Now, in milliseconds since 1970.
    pub now_ms: i64,
    /// What the server's own links begin with: `https://host[:port]`, and the path that a proxy put before all of ours.
    pub base: &'a str,
    /// The path of the request as the browser knows it, e.g. `/v3/tokens`: with what a proxy put before it.
    pub path: &'a str,
    /// The decoded query of the request.
    pub query: &'a Pairs,
    /// The value of the CSRF cookie, which forms repeat.
    pub csrf: &'a str,
    /// The id of who is logged in, or empty.
    pub user_id: &'a str,
    /// Their name, or empty.
    pub user_name: &'a str,
}

impl<'a> Page<'a> {
    /// The texts.
    #[must_use]
    pub fn texts(&self) -> Texts {
        Texts(self.lang)
    }

    /// `https://host[:port]`.
    pub(crate) fn origin(&self) -> &'a str {
        link::split_base(self.base).0
    }

    /// What a proxy put before all of our paths; mostly empty.
    pub(crate) fn prefix(&self) -> &'a str {
        let (_, prefix) = link::split_base(self.base);
        local_path(prefix).unwrap_or_default()
    }

    /// The path; anything that browsers could take for another host's is the root instead.
    #[must_use]
    pub fn path(&self) -> &'a str {
        local_path(self.path).unwrap_or("/v3")
    }

    /// The same page with another query.
    #[must_use]
    pub fn with<'p>(&self, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
        with_query(self.path(), pairs)
    }

    /// This page again, without what chooses a view or a language.
    #[must_use]
    pub fn again(&self) -> String {
        self.with(without(self.query, VIEW_KEYS))
    }

    /// The first value of a key of the query, or empty.
    #[must_use]
    pub fn asked(&self, key: &str) -> &'a str {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).unwrap_or_default()
    }
}

/// The keys of a query that are about the view and not about the document.
pub(crate) const VIEW_KEYS: &[&str] = &["_view", "_lang", "_format", "_method", "name", "action", "CSRF"];

/// The frame of a page, as the layout shows it.
#[derive(Debug)]
pub struct Chrome<'a> {
    /// The texts.
    pub t: Texts,
    /// The document's title without `API: `.
    pub title: String,
    /// What a proxy put before all of our paths; mostly empty.
    pub prefix: &'a str,
    /// Where the stylesheet is.
    pub css: String,
    /// Where the icon is.
    pub icon: String,
    /// The way to here, this page last.
    pub crumbs: Vec<Crumb>,
    /// The language switch; empty where leaving would lose something.
    pub languages: Vec<Choice>,
    /// What forms repeat.
    pub csrf: &'a str,
    /// Who is logged in, or empty.
    pub user: String,
    /// Their page.
    pub user_href: String,
}

/// A step of the way.
#[derive(Debug)]
pub struct Crumb {
    /// Its name.
    pub text: String,
    /// Its page; `None` for this one.
    pub href: Option<String>,
}

/// A language of the switch.
#[derive(Debug)]
pub struct Choice {
    /// The language.
    pub lang: Lang,
    /// This page in it; `None` if it is.
    pub href: Option<String>,
}

impl<'a> Chrome<'a> {
    /// The frame of a page with that title.
    #[must_use]
    pub fn new(page: &Page<'a>, title: &str) -> Chrome<'a> {
        let name = if page.user_name.is_empty() { page.user_id } else { page.user_name };
        Chrome {
            t: page.texts(),
            title: shown::cell(title),
            prefix: page.prefix(),
            css: format!("{}{}", page.prefix(), assets::url(assets::STYLE)),
            icon: format!("{}{}", page.prefix(), assets::url(assets::ICON)),
            crumbs: crumbs(page),
            languages: languages(page),
            csrf: page.csrf,
            user: shown::cell(name),
            user_href: format!("{}/v3/users/{}", page.prefix(), link::encoded(page.user_id)),
        }
    }

    /// The text of a key.
    #[must_use]
    pub fn t<'k>(&self, key: &'k str) -> &'k str {
        self.t.get(key)
    }
}

/// The title of a document: `<displayName|name|id|resourceType|type>` (v3-token.md §1.6).
#[must_use]
pub fn title(document: &Value) -> &str {
    ["displayName", "name", "id", "resourceType", "type"]
        .into_iter()
        .map(|member| text(document, member))
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

fn crumbs(page: &Page<'_>) -> Vec<Crumb> {
    let mut href = page.prefix().to_owned();
    let path = page.path().strip_prefix(page.prefix()).unwrap_or_default();
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let viewed = !page.asked("_view").is_empty();
    segments
        .iter()
        .enumerate()
        .map(|(at, segment)| {
            href.push('/');
            href.push_str(segment);
            let here = at + 1 == segments.len() && !viewed;
            Crumb { text: shown::cell(segment), href: (!here).then(|| href.clone()) }
        })
        .collect()
}

fn languages(page: &Page<'_>) -> Vec<Choice> {
    Lang::ALL
        .into_iter()
        .map(|lang| {
            let others = without(page.query, &["_lang", "CSRF"]);
            let href = page.with(others.chain([("_lang", lang.name())]));
            Choice { lang, href: (lang != page.lang).then_some(href) }
        })
        .collect()
}
