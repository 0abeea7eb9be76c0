//! Members of documents as people read them, and the badges that sum an item up.

use serde_json::Value;

use crate::link;
use crate::schema::{Schema, text};
use crate::shown;
use crate::texts::Texts;
use crate::when::{When, duration};

/// The label that says what a token is for.
const KIND_LABEL: &str = "authn.management.cattle.io/kind";

/// A value, ready for a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// How it is shown: `text`, `code`, `time`, `flag`, `none`, `pairs`, `list`.
    pub kind: &'static str,
    /// The text.
    pub text: String,
    /// Where it leads, on this server.
    pub href: Option<String>,
    /// What it means, for people.
    pub note: String,
    /// The moment, if it is one.
    pub when: Option<When>,
    /// Names and values, or values alone.
    pub pairs: Vec<(String, String)>,
}

/// A word about an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    /// CSS class: `good`, `bad`, `off`, `note`.
    pub tone: &'static str,
    /// The word.
    pub text: String,
}

/// How values are shown.
#[derive(Clone, Copy, Debug)]
pub struct Lens<'a> {
    /// The texts.
    pub t: Texts,
    /// Now, in milliseconds since 1970.
    pub now_ms: i64,
    /// What the server's own links begin with.
    pub base: &'a str,
    /// The schema of the items.
    pub schema: Option<Schema<'a>>,
    /// Whether values are cut to one short line.
    pub short: bool,
}

impl Lens<'_> {
    /// A member of an item.
    #[must_use]
    pub fn member(&self, item: &Value, name: &str) -> Shown {
        let item_type = text(item, "type");
        if item_type == "feature" {
            return self.of_feature(item, name);
        }
        let value = match name {
            "kind" if item_type == "token" => item.get("labels").and_then(|l| l.get(KIND_LABEL)),
            _ => item.get(name),
        };
        self.value(item, name, value)
    }

    /// Features keep most of what people want to know in `status`; without a value of its own the default is in force.
    fn of_feature(&self, item: &Value, name: &str) -> Shown {
        let given = |name: &str| item.get(name).filter(|v| !v.is_null());
        let status = |name: &str| item.get("status").and_then(|s| s.get(name)).filter(|v| !v.is_null());
        match (name, self.t.find(&format!("feature.{}", text(item, "id")))) {
            ("description", Some(about)) => {
                Shown { kind: "text", text: about.to_owned(), ..Shown::default() }
            }
            ("value", _) => {
                let own = status("lockedValue").or_else(|| given("value"));
                let shown = self.value(item, name, own.or_else(|| status("default")));
                let note = if own.is_some() { "" } else { self.t.get("value.by_default") };
                Shown { note: note.to_owned(), ..shown }
            }
            _ => self.value(item, name, given(name).or_else(|| status(name))),
        }
    }

    fn value(&self, item: &Value, name: &str, value: Option<&Value>) -> Shown {
        let field = self.schema.and_then(|schema| schema.field(name));
        let kind = field.as_ref().map_or("", |f| f.kind);
        match value {
            Some(Value::String(s)) if name == "expiresAt" && s.is_empty() => self.word("value.never"),
            Some(Value::Number(n)) if name == "ttl" => self.ttl(n.as_i64()),
            Some(Value::String(s)) if name == "id" => {
                let myself = item.get("links").and_then(|l| l.get("self")).and_then(Value::as_str);
                let href = myself.and_then(|url| link::own(url, self.base)).map(str::to_owned);
                Shown { href, ..self.code(s) }
            }
            Some(Value::String(s)) if !s.is_empty() => {
                self.string(s, name, kind, field.as_ref().and_then(|f| f.refers_to(s, self.base)), item)
            }
            Some(Value::Bool(yes)) => Shown {
                kind: "flag",
                text: self.t.get(if *yes { "value.yes" } else { "value.no" }).to_owned(),
                ..Shown::default()
            },
            Some(Value::Number(n)) => self.code(&n.to_string()),
            Some(Value::Array(all)) if !all.is_empty() => Shown {
                kind: "list",
                pairs: all.iter().map(|v| (String::new(), self.inner(v))).collect(),
                ..Shown::default()
            },
            Some(Value::Object(all)) if !all.is_empty() => Shown {
                kind: "pairs",
                pairs: all.iter().map(|(k, v)| (self.cut(k), self.inner(v))).collect(),
                ..Shown::default()
            },
            _ => Shown { kind: "none", ..Shown::default() },
        }
    }

    fn string(&self, s: &str, name: &str, kind: &str, refers_to: Option<String>, item: &Value) -> Shown {
        if (kind == "date" || matches!(name, "expiresAt" | "created" | "removed" | "lastUsedAt"))
            && let Some(when) = When::parse(s, self.now_ms, self.t)
        {
            return Shown { kind: "time", text: s.to_owned(), when: Some(when), ..Shown::default() };
        }
        if let Some(href) = refers_to {
            return Shown { href: Some(href), ..self.code(s) };
        }
        if let Some(path) = link::own(s, self.base) {
            return Shown { href: Some(path.to_owned()), ..self.code(s) };
        }
        if text(item, "type") == "setting" && matches!(name, "value" | "default") {
            return Shown { note: setting_note(text(item, "id"), s, self.t), ..self.code(s) };
        }
        if matches!(name, "uuid" | "userPrincipal") {
            return self.code(s);
        }
        Shown { kind: "text", text: self.cut(s), ..Shown::default() }
    }

    fn ttl(&self, ms: Option<i64>) -> Shown {
        let note = match ms {
            Some(0) => self.t.get("value.never_expires").to_owned(),
            Some(ms) => u64::try_from(ms).map(|ms| duration(ms, self.t)).unwrap_or_default(),
            None => String::new(),
        };
        Shown { note, ..self.code(&ms.map(|ms| ms.to_string()).unwrap_or_default()) }
    }

    fn word(&self, key: &str) -> Shown {
        Shown { kind: "word", text: self.t.get(key).to_owned(), ..Shown::default() }
    }

    fn code(&self, s: &str) -> Shown {
        Shown { kind: "code", text: self.cut(s), ..Shown::default() }
    }

    fn inner(&self, value: &Value) -> String {
        match value {
            Value::String(s) => self.cut(s),
            // Nested documents are shown whole in the JSON beside.
            other => shown::cell(&other.to_string()),
        }
    }

    fn cut(&self, s: &str) -> String {
        if self.short { shown::cell(s) } else { shown::plain(s) }
    }
}

/// What sums an item up.
#[must_use]
pub fn badges(item: &Value, t: Texts) -> Vec<Badge> {
    let is = |member: &str, what: bool| item.get(member).and_then(Value::as_bool) == Some(what);
    let mut all = Vec::new();
    let mut add = |tone: &'static str, key: &str| all.push(Badge { tone, text: t.get(key).to_owned() });
    if is("current", true) {
        add("note", "badge.current");
    }
    if is("me", true) {
        add("note", "badge.me");
    }
    if is("expired", true) {
        add("bad", "badge.expired");
    }
    if is("enabled", false) {
        add("off", "badge.disabled");
    }
    if !text(item, "removed").is_empty() {
        add("bad", "badge.removing");
    }
    match text(item, "type") {
        "setting" => {
            if text(item, "source") == "env" {
                add("off", "badge.environment");
            }
            if is("customized", true) {
                add("note", "badge.customized");
            }
        }
        "feature"
            if item.get("lockedValue").is_some_and(Value::is_boolean)
                || item.pointer("/status/lockedValue").is_some_and(Value::is_boolean) =>
        {
            add("off", "badge.locked");
        }
        "globalRole" if is("builtin", true) => add("off", "badge.builtin"),
        _ => {}
    }
    all
}

/// What a setting's value means: `90 days` for 129600 minutes, else its unit.
#[must_use]
pub fn setting_note(name: &str, value: &str, t: Texts) -> String {
    let Some(unit) = setting_unit(name) else { return String::new() };
    let scale = match unit {
        "unit.minutes" => 60_000.0,
        "unit.seconds" => 1000.0,
        _ => return t.get(unit).to_owned(),
    };
    match value.parse::<f64>() {
        Ok(n) if n > 0.0 && n < 1e12 => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bounded and positive by the line above"
            )]
            let ms = (n * scale) as u64;
            format!("{} = {}", t.get(unit), duration(ms, t))
        }
        _ => t.get(unit).to_owned(),
    }
}

fn setting_unit(name: &str) -> Option<&'static str> {
    if name.ends_with("-minutes") {
        Some("unit.minutes")
    } else if name.ends_with("-seconds") {
        Some("unit.seconds")
    } else if name.ends_with("-cron") {
        Some("unit.cron")
    } else if name.ends_with("-inactive-user-after") {
        Some("unit.duration")
    } else if name.ends_with("-min-length") {
        Some("unit.characters")
    } else if name.ends_with("-last-login-default") {
        Some("unit.time")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;
    use crate::lang::Lang;

    fn lens() -> Lens<'static> {
        Lens { t: Texts(Lang::En), now_ms: 1_772_442_904_000, base: "https://h", schema: None, short: true }
    }

    #[test]
    fn ttl_is_said_in_words_beside_the_number() {
        let item = json!({"type": "token", "ttl": 7_776_000_000_i64, "expiresAt": ""});
        let ttl = lens().member(&item, "ttl");
        assert_eq!((ttl.text.as_str(), ttl.note.as_str()), ("7776000000", "90 days"));
        assert_eq!(lens().member(&json!({"ttl": 0}), "ttl").note, "never expires");
        assert_eq!(lens().member(&item, "expiresAt").text, "never");
    }

    #[test]
    fn times_are_relative_with_the_absolute_beside() {
        let shown = lens().member(&json!({"created": "2026-03-02T08:15:04Z"}), "created");
        let when = shown.when.unwrap();
        assert_eq!(
            (when.relative.as_str(), when.absolute.as_str()),
            ("1 hour ago", "2026-03-02 08:15:04 UTC")
        );
    }

    #[test]
    fn a_token_that_is_off_says_so() {
        let item = json!({"type": "token", "current": true, "expired": true, "enabled": false});
        let words: Vec<_> = badges(&item, Texts(Lang::En)).into_iter().map(|b| b.text).collect();
        assert_eq!(words, ["this session", "expired", "disabled"]);
    }

    #[test]
    fn a_feature_without_a_value_shows_what_is_in_force() {
        let item = json!({"type": "feature", "id": "x", "value": null, "status": {"default": true, "lockedValue": null, "description": "X."}});
        let value = lens().member(&item, "value");
        assert_eq!((value.text.as_str(), value.note.as_str()), ("yes", "by default"));
        assert_eq!(lens().member(&item, "default").text, "yes");
        assert_eq!(lens().member(&item, "description").text, "X.");
        let on = json!({"type": "feature", "id": "x", "value": false, "status": {"default": true, "lockedValue": null}});
        assert_eq!(
            (lens().member(&on, "value").text, lens().member(&on, "value").note),
            ("no".to_owned(), String::new())
        );
    }

    #[test]
    fn settings_have_their_unit() {
        let t = Texts(Lang::En);
        assert_eq!(setting_note("auth-token-max-ttl-minutes", "129600", t), "minutes = 90 days");
        assert_eq!(setting_note("auth-token-max-ttl-minutes", "0", t), "minutes");
        assert_eq!(setting_note("kubeconfig-generate-token", "true", t), "");
        assert_eq!(setting_note("x-minutes", "1e300", t), "minutes");
    }

    #[test]
    fn a_foreign_url_in_a_description_is_only_text() {
        for url in ["https://evil.example/v3/tokens", "javascript:alert(1)"] {
            assert_eq!(lens().member(&json!({"description": url}), "description").href, None);
        }
    }
}
