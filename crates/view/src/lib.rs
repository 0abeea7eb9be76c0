//! The API view: pages made from the very documents that `/v3` gives (v3-token.md §1.6).
//!
//! ```text
//! document of the API ─┐
//! schema of its type ──┼─→ pages::collection | resource | create | … ─→ HTML
//! Page (who, when, language) ─┘
//! form that came back ─→ form::decode ─→ the JSON body that any client would send
//! ```
//!
//! Everything here is a pure function: no IO, no clock, no types of the server. Pages run no script and need nothing but one stylesheet and one icon
//! ([`assets`]), so they work under a Content-Security-Policy that forbids all else ([`CONTENT_SECURITY_POLICY`]). All texts come from one catalogue for each
//! language (`texts/*.json`); what the API says itself (errors, descriptions without a translation) stays as it is and is marked as English.

pub mod assets;
mod chrome;
mod curl;
pub mod form;
mod json;
mod lang;
mod link;
pub mod pages;
mod schema;
mod shown;
mod texts;
mod value;
mod when;

pub use chrome::Page;
pub use lang::{LANGUAGE_COOKIE, Lang};
pub use link::{encoded, filter_target, local_path};
pub use texts::Texts;

/// What pages may load and do: one stylesheet, one icon, forms to this server; nothing else, and nobody may frame them.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
