//! Forms made from a schema, and what comes back from them.
//!
//! Every control has the name of its field. Beside each, `_was.<field>` repeats what the page showed: what comes back unchanged is left out of an update, so
//! that a form never overwrites what it did not mean to, nor what a browser did to a text (line ends, characters that forms cannot hold).

use serde_json::{Map, Value};

use crate::link::Pairs;
use crate::schema::{Field, Schema, text};
use crate::shown::{unwritten, written_out};
use crate::texts::Texts;
use crate::value::setting_note;

/// What a form is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A new item.
    Create,
    /// Changes of an item.
    Edit,
    /// The input of an action.
    Input,
}

/// A control of a form.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// The field.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// Its type as schemas write it.
    pub type_name: String,
    /// `text`, `number`, `area`, `select`, `password`.
    pub kind: &'static str,
    /// What the control holds.
    pub value: String,
    /// What the page showed first; `None` where everything is sent.
    pub was: Option<String>,
    /// Whether a value must be given.
    pub required: bool,
    /// What it is about.
    pub help: String,
    /// Whether `help` is English whatever the page is.
    pub help_english: bool,
    /// Further words: defaults, units.
    pub notes: Vec<String>,
    /// Choices, or suggestions.
    pub options: Vec<Choice>,
    /// What the API said about it.
    pub error: String,
    /// The hint for password managers.
    pub autocomplete: &'static str,
}

/// A choice of a control.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is shown.
    pub label: String,
    /// Whether it is the one.
    pub selected: bool,
}

impl Control {
    /// The ids of what describes it, for `aria-describedby`.
    #[must_use]
    pub fn described_by(&self) -> String {
        let mut ids = Vec::new();
        if !self.error.is_empty() {
            ids.push(format!("e-{}", self.name));
        }
        if !self.help.is_empty() || !self.notes.is_empty() {
            ids.push(format!("h-{}", self.name));
        }
        ids.join(" ")
    }
}

/// What a form shows.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// The schema of the type, or of an action's input.
    pub schema: Schema<'a>,
    /// What the form is for.
    pub mode: Mode,
    /// The item, if it is to be changed.
    pub item: Option<&'a Value>,
    /// What was sent before, when the API refused it.
    pub posted: Option<&'a Pairs>,
    /// The error of the API, if it refused.
    pub error: Option<&'a Value>,
    /// The texts.
    pub t: Texts,
}

impl Filling<'_> {
    /// The controls, in the order in which people fill them in.
    #[must_use]
    pub fn controls(&self) -> Vec<Control> {
        // The API takes no labels and annotations of a new token, though the schema of all types has them.
        let dropped = |f: &Field<'_>| {
            self.mode == Mode::Create
                && self.schema.id() == "token"
                && matches!(f.name, "labels" | "annotations")
        };
        let mut fields: Vec<Field<'_>> =
            self.schema.fields().filter(|f| takes(f, self.mode) && !dropped(f)).collect();
        fields.sort_by_key(|f| (rank(f.name), !f.required, f.name));
        fields.iter().map(|field| self.control(field)).collect()
    }

    fn control(&self, field: &Field<'_>) -> Control {
        let t = self.t;
        let kind_of_item = self.schema.id();
        let shown = self
            .item
            .and_then(|item| item.get(field.name))
            .map(|v| written(v, field.kind))
            .unwrap_or_default();
        let shown = if self.mode == Mode::Edit { written_out(&shown) } else { shown };
        let sent = self.posted.map(|posted| first(posted, field.name).to_owned());
        let value = if is_secret(field) { String::new() } else { sent.unwrap_or_else(|| shown.clone()) };
        let help_key = format!("help.{kind_of_item}.{}", field.name);
        let common_key = format!("help.{}", field.name);
        let edit_key = format!("help.edit.{kind_of_item}.{}", field.name);
        let of_edit = (self.mode == Mode::Edit).then(|| t.find(&edit_key)).flatten();
        let help = of_edit.or_else(|| t.find(&help_key)).or_else(|| t.find(&common_key));
        let at_fault = |e: &&Value| text(e, "fieldName") == field.name;
        let mut control = Control {
            name: field.name.to_owned(),
            label: label(field.name, kind_of_item, t),
            type_name: field.kind.to_owned(),
            kind: control_kind(field, &value),
            required: field.required && self.mode != Mode::Edit,
            help: help.unwrap_or(field.description).to_owned(),
            help_english: help.is_none(),
            was: (self.mode == Mode::Edit).then_some(shown),
            error: self.error.filter(at_fault).map(|e| text(e, "message").to_owned()).unwrap_or_default(),
            autocomplete: match field.name {
                "currentPassword" => "current-password",
                "password" | "newPassword" => "new-password",
                _ => "off",
            },
            ..Control::default()
        };
        control.options = self.options(field, &value);
        control.value = value;
        match (kind_of_item, field.name) {
            ("setting", "value") => self.about_setting(&mut control),
            ("feature", "value") => self.about_feature(&mut control),
            _ => {}
        }
        if !control.options.is_empty() && control.kind == "text" {
            control.kind = "select";
        }
        control
    }

    fn options(&self, field: &Field<'_>, value: &str) -> Vec<Choice> {
        let choice = |v: &str, label: String| Choice { value: v.to_owned(), label, selected: v == value };
        let t = self.t;
        if field.kind == "boolean" {
            let mut all = Vec::new();
            if self.mode == Mode::Create || value.is_empty() {
                all.push(choice("", t.get("form.default").to_owned()));
            }
            all.push(choice("true", t.get("value.yes").to_owned()));
            all.push(choice("false", t.get("value.no").to_owned()));
            return all;
        }
        if field.name == "ttl" {
            let days = [1, 7, 30, 90, 365].map(|days: u64| days * 86_400_000);
            return [3_600_000]
                .into_iter()
                .chain(days)
                .map(|ms| choice(&ms.to_string(), crate::when::duration(ms, t)))
                .collect();
        }
        field.options.iter().map(|o| choice(o, (*o).to_owned())).collect()
    }

    /// What a switch is for, and that there may be no way back.
    fn about_feature(&self, control: &mut Control) {
        let name = self.item.map(|item| text(item, "id")).unwrap_or_default();
        if let Some(about) = self.t.find(&format!("feature.{name}")) {
            control.help = about.to_owned();
            control.help_english = false;
        }
    }

    /// The meaning, the default and the unit of a setting.
    fn about_setting(&self, control: &mut Control) {
        let Some(item) = self.item else { return };
        let (name, default) = (text(item, "id"), text(item, "default"));
        if let Some(about) = self.t.find(&format!("setting.{name}")) {
            control.help = about.to_owned();
            control.help_english = false;
        } else if !text(item, "description").is_empty() {
            control.help = text(item, "description").to_owned();
            control.help_english = true;
        }
        let note = setting_note(name, default, self.t);
        let shown = if default.is_empty() { self.t.get("value.empty") } else { default };
        control.notes.push(
            self.t.fill("form.setting_default", &[("value", shown), ("note", &note)]).trim().to_owned(),
        );
        if matches!(default, "true" | "false") {
            control.options = ["true", "false"]
                .into_iter()
                .map(|v| Choice { value: v.to_owned(), label: v.to_owned(), selected: v == control.value })
                .collect();
            control.kind = "select";
        }
    }
}

/// The name of a field for people.
#[must_use]
pub fn label(field: &str, kind: &str, t: Texts) -> String {
    let own = t.find(&format!("field.{kind}.{field}"));
    own.or_else(|| t.find(&format!("field.{field}"))).unwrap_or(field).to_owned()
}

/// The JSON body that a form stands for. What cannot be read as its type is sent as text: the API says what is wrong with it.
#[must_use]
pub fn decode(schema: &Value, mode: Mode, posted: &Pairs) -> Map<String, Value> {
    let mut body = Map::new();
    for field in Schema::new(schema).fields().filter(|f| takes(f, mode)) {
        if !posted.iter().any(|(name, _)| name == field.name) {
            continue;
        }
        let sent = lines(first(posted, field.name));
        let was = posted.iter().find(|(name, _)| name.strip_prefix("_was.") == Some(field.name));
        let unchanged = mode == Mode::Edit && was.is_some_and(|(_, was)| lines(was) == sent);
        let left_out =
            sent.is_empty() && (mode == Mode::Create || is_secret(&field) || field.kind != "string");
        // A map or list that is emptied is sent empty; a number cannot be.
        let emptied = sent.is_empty() && mode == Mode::Edit && is_container(field.kind);
        if !unchanged && (!left_out || emptied) {
            let shown_before = mode == Mode::Edit && !is_secret(&field);
            let sent = if shown_before { unwritten(&sent) } else { sent };
            body.insert(field.name.to_owned(), read(&sent, field.kind));
        }
    }
    body
}

/// The same body without what is secret, for showing.
#[must_use]
pub fn masked(schema: &Value, body: &Map<String, Value>) -> Value {
    let schema = Schema::new(schema);
    let shown = |(name, value): (&String, &Value)| {
        let secret = schema.field(name).is_none_or(|field| is_secret(&field));
        (name.clone(), if secret { Value::from("…") } else { value.clone() })
    };
    Value::Object(body.iter().map(shown).collect())
}

fn takes(field: &Field<'_>, mode: Mode) -> bool {
    match mode {
        Mode::Create => field.create,
        Mode::Edit => field.update,
        // Inputs of actions may leave these flags out.
        Mode::Input => true,
    }
}

fn is_secret(field: &Field<'_>) -> bool {
    field.kind == "password"
}

fn is_container(kind: &str) -> bool {
    kind.starts_with("map[") || kind.starts_with("array[")
}

fn control_kind(field: &Field<'_>, value: &str) -> &'static str {
    match field.kind {
        "password" => "password",
        "int" | "float" => "number",
        "boolean" | "enum" => "select",
        "string" if value.contains(['\n', '\r']) || value.chars().count() > 80 => "area",
        "string" if field.name == "description" => "area",
        "string" | "dnsLabel" | "date" | "hostname" => "text",
        kind if kind.starts_with("reference[") => "text",
        _ => "area",
    }
}

/// Where a field stands in a form.
fn rank(name: &str) -> usize {
    const ORDER: &[&str] = &[
        "currentPassword",
        "newPassword",
        "username",
        "name",
        "displayName",
        "password",
        "value",
        "description",
        "ttl",
        "clusterId",
        "enabled",
        "userId",
        "globalRoleId",
    ];
    match name {
        "labels" | "annotations" => usize::MAX,
        _ => ORDER.iter().position(|n| *n == name).unwrap_or(ORDER.len()),
    }
}

/// A value as a control holds it.
fn written(value: &Value, kind: &str) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(members) if kind == "map[string]" => {
            let line = |(k, v): (&String, &Value)| {
                format!("{}={}", k, v.as_str().unwrap_or_default().replace('\\', "\\\\").replace('\n', "\\n"))
            };
            members.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Value::Array(items) if kind == "array[string]" => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
        }
        Value::Object(_) | Value::Array(_) => serde_json::to_string_pretty(value).unwrap_or_default(),
        other => other.to_string(),
    }
}

fn read(sent: &str, kind: &str) -> Value {
    let not_blank = || sent.split('\n').filter(|line| !line.trim().is_empty());
    let as_json = || serde_json::from_str(sent).unwrap_or_else(|_| Value::from(sent));
    match kind {
        "int" | "boolean" | "float" => {
            let value: Value = serde_json::from_str(sent.trim()).unwrap_or_default();
            let fits = if kind == "boolean" { value.is_boolean() } else { value.is_number() };
            if fits { value } else { Value::from(sent) }
        }
        "map[string]" => Value::Object(
            not_blank()
                .map(|line| {
                    let (key, value) = line.split_once('=').unwrap_or((line, ""));
                    // `key = value` is how people write; `key=value` is how `written` does, and there all blanks are the value's.
                    let value = if key.ends_with(char::is_whitespace) { value.trim() } else { value };
                    (key.trim().to_owned(), Value::from(unescaped(value)))
                })
                .collect(),
        ),
        "array[string]" => not_blank().map(|line| Value::from(line.trim())).collect(),
        "string" | "password" | "dnsLabel" | "date" | "hostname" | "enum" => Value::from(sent),
        kind if kind.starts_with("reference[") => Value::from(sent.trim()),
        _ if sent.trim().is_empty() && kind.starts_with("map[") => Value::Object(Map::new()),
        _ if sent.trim().is_empty() && kind.starts_with("array[") => Value::Array(Vec::new()),
        _ => as_json(),
    }
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('\\')) => out.push('\\'),
            (c, _) => {
                out.push(c);
                continue;
            }
        }
        chars.next();
    }
    out
}

/// Browsers send line ends as CR LF.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn first<'p>(pairs: &'p Pairs, key: &str) -> &'p str {
    pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;
    use crate::lang::Lang;

    fn schema() -> Value {
        let field = |kind: &str| json!({"type": kind, "create": true, "update": true, "description": "x"});
        json!({"id": "thing", "resourceFields": {
            "description": field("string"), "ttl": field("int"), "enabled": field("boolean"), "password": field("password"),
            "labels": field("map[string]"), "principalIds": field("array[string]"), "rules": field("array[policyRule]"),
            "userId": field("reference[user]"),
            "uuid": {"type": "string", "create": false, "update": false},
        }})
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn decoded(mode: Mode, all: &[(&str, &str)]) -> Value {
        Value::Object(decode(&schema(), mode, &pairs(all)))
    }

    #[test]
    fn a_form_becomes_the_body_with_the_types_of_the_schema() {
        let body = decoded(
            Mode::Create,
            &[
                ("description", "a\r\nb"),
                ("ttl", " 5 "),
                ("enabled", "false"),
                ("labels", "a=1\r\n\r\nb = x=y\nc"),
                ("principalIds", "local://a\nb"),
                ("rules", "[{\"verbs\":[\"get\"]}]"),
                ("userId", " u-1 "),
                ("uuid", "x"),
                ("CSRF", "y"),
            ],
        );
        assert_eq!(
            body,
            json!({
                "description": "a\nb", "ttl": 5, "enabled": false, "labels": {"a": "1", "b": "x=y", "c": ""},
                "principalIds": ["local://a", "b"], "rules": [{"verbs": ["get"]}], "userId": "u-1",
            })
        );
    }

    #[test]
    fn whoever_turns_a_switch_reads_what_it_does_and_that_there_is_no_way_back() {
        let schema = json!({"id": "feature", "resourceFields": {"value": {"type": "boolean", "update": true, "description": "x"}}});
        let help = |name: &str, lang: Lang| {
            let item = json!({"id": name, "value": null});
            let filling = Filling {
                schema: Schema::new(&schema),
                mode: Mode::Edit,
                item: Some(&item),
                posted: None,
                error: None,
                t: Texts(lang),
            };
            filling.controls()[0].help.clone()
        };
        assert!(help("token-hashing", Lang::En).contains("cannot be turned off: make a backup first"));
        assert!(help("token-hashing", Lang::Zh).contains("无法禁用"));
        assert_eq!(help("something-new", Lang::En), "On or off.");
    }

    #[test]
    fn what_is_left_empty_on_create_is_left_out() {
        assert_eq!(
            decoded(
                Mode::Create,
                &[("description", ""), ("ttl", ""), ("enabled", ""), ("labels", ""), ("password", "")]
            ),
            json!({})
        );
    }

    #[test]
    fn what_is_no_number_is_sent_for_the_api_to_refuse() {
        assert_eq!(
            decoded(Mode::Create, &[("ttl", "1 day"), ("enabled", "maybe"), ("rules", "[")]),
            json!({"ttl": "1 day", "enabled": "maybe", "rules": "["})
        );
    }

    #[test]
    fn an_edit_sends_only_what_changed() {
        let body = decoded(
            Mode::Edit,
            &[
                ("description", "x\r\ny"),
                ("_was.description", "x\ny"),
                ("ttl", "7"),
                ("_was.ttl", "5"),
                ("labels", ""),
                ("_was.labels", "a=1"),
                ("enabled", "true"),
                ("_was.enabled", "true"),
            ],
        );
        assert_eq!(body, json!({"ttl": 7, "labels": {}}));
        assert_eq!(
            decoded(Mode::Edit, &[("description", ""), ("_was.description", "x")]),
            json!({"description": ""})
        );
        // Whoever sends no page of ours says what they mean.
        assert_eq!(decoded(Mode::Edit, &[("description", "")]), json!({"description": ""}));
    }

    #[test]
    fn values_survive_the_way_through_a_form() {
        let labels = json!({"a": "1=2", "b": "line\nbreak \\n", "c": "", "d": " x\t", "e": "  "});
        assert_eq!(read(&written(&labels, "map[string]"), "map[string]"), labels);
        let rules = json!([{"verbs": ["*"]}]);
        assert_eq!(read(&written(&rules, "array[policyRule]"), "array[policyRule]"), rules);
    }

    #[test]
    fn characters_that_nobody_sees_survive_an_edit_and_an_untouched_field_is_unchanged() {
        let schema = schema();
        let description = "\n\u{202e}a\u{0}\r\u{1b} \\u202e";
        let item = json!({"description": description, "labels": {"a": " \u{200f}1 ", "b": "2"}});
        let filling = Filling {
            schema: Schema::new(&schema),
            mode: Mode::Edit,
            item: Some(&item),
            posted: None,
            error: None,
            t: Texts(Lang::En),
        };
        let mut posted = Vec::new();
        for control in filling.controls() {
            // What browsers do to a text: line ends, and characters that documents cannot hold.
            let by_browser = |text: &str| text.replace('\0', "\u{fffd}").replace('\n', "\r\n");
            posted.push((control.name.clone(), by_browser(&control.value)));
            posted.push((format!("_was.{}", control.name), by_browser(&control.was.unwrap())));
        }
        assert_eq!(Value::Object(decode(&schema, Mode::Edit, &posted)), json!({}));
        for (name, value) in &mut posted {
            match name.as_str() {
                "description" => value.push('!'),
                "labels" => *value = value.replace("b=2", "b=3"),
                _ => {}
            }
        }
        let changed = Value::Object(decode(&schema, Mode::Edit, &posted));
        let labels = json!({"a": " \u{200f}1 ", "b": "3"});
        assert_eq!(changed, json!({"description": format!("{description}!"), "labels": labels}));
    }

    #[test]
    fn secrets_are_neither_filled_in_again_nor_shown() {
        let (schema, posted) = (schema(), pairs(&[("password", "hunter2hunter2"), ("description", "d")]));
        let filling = Filling {
            schema: Schema::new(&schema),
            mode: Mode::Create,
            item: None,
            posted: Some(&posted),
            error: None,
            t: Texts(Lang::En),
        };
        let controls = filling.controls();
        let find = |name: &str| controls.iter().find(|c| c.name == name).unwrap();
        assert_eq!((find("password").value.as_str(), find("description").value.as_str()), ("", "d"));
        let body = decode(&schema, Mode::Create, &posted);
        assert_eq!(masked(&schema, &body), json!({"description": "d", "password": "…"}));
    }

    #[test]
    fn the_error_of_the_api_stands_beside_its_field() {
        let schema = schema();
        let error = json!({"fieldName": "ttl", "message": "ttl must be of type int"});
        let filling = Filling {
            schema: Schema::new(&schema),
            mode: Mode::Create,
            item: None,
            posted: None,
            error: Some(&error),
            t: Texts(Lang::En),
        };
        let wrong: Vec<_> = filling
            .controls()
            .into_iter()
            .filter(|c| !c.error.is_empty())
            .map(|c| (c.name.clone(), c.described_by()))
            .collect();
        assert_eq!(wrong, [("ttl".to_owned(), "e-ttl h-ttl".to_owned())]);
    }
}
