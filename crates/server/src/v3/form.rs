//! Forms of the API view: texts that become a body by the fields of their type.
//!
//! | field | in the form |
//! | --- | --- |
//! | boolean | `true`, `on` or `1`; `false`, `off` or `0` (of repeated members the last one counts, so a hidden `false` may stand before a checkbox) |
//! | int | digits |
//! | list of strings | one a line |
//! | map | `key=value`, one a line |
//! | anything else that is structured | JSON |
//!
//! An empty member is absent; where an object is changed, an empty text, list or map empties the member instead. Members that are no fields (`CSRF`) are dropped.

use eartag_apiserver::{Map, Tree, decode};

use super::error::V3Error;
use super::resource::{About, Field, FieldType};

/// The body that a form stands for.
///
/// # Errors
/// 422 about the first member that cannot be read.
pub fn body(bytes: &[u8], about: Option<&About>, changing: bool) -> Result<Map, V3Error> {
    let mut body = Map::new();
    let Some(about) = about else { return Ok(body) };
    let sent = eartag_apiserver::http::query::Query::parse(&String::from_utf8_lossy(bytes));
    for field in about.all_fields() {
        let Some(text) = sent.all(field.name).last() else { continue };
        if let Some(value) = value(field, text, changing)? {
            body.insert(field.name.to_owned(), value);
        }
    }
    Ok(body)
}

fn value(field: &Field, text: &str, changing: bool) -> Result<Option<Tree>, V3Error> {
    let wrong =
        || V3Error::format(field.name, format!("{} must be of type {}", field.name, field.kind.name()));
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(match field.kind {
            FieldType::String if changing => Some("".into()),
            FieldType::Strings if changing => Some(Tree::Array(Vec::new())),
            FieldType::StringMap if changing => Some(Tree::Object(Map::new())),
            _ => None,
        });
    }
    Ok(Some(match field.kind {
        FieldType::Boolean => match trimmed {
            "true" | "on" | "1" => true.into(),
            "false" | "off" | "0" => false.into(),
            _ => return Err(wrong()),
        },
        FieldType::Int => trimmed.parse::<i64>().map_err(|_| wrong())?.into(),
        FieldType::Strings => lines(text).map(Tree::from).collect::<Vec<_>>().into(),
        FieldType::StringMap => {
            let pair = |line: &str| {
                let (key, value) = line.split_once('=')?;
                Some((key.trim().to_owned(), Tree::from(value.trim())))
            };
            Tree::Object(lines(text).map(pair).collect::<Option<Map>>().ok_or_else(wrong)?)
        }
        FieldType::Items(_) | FieldType::Struct(_) => {
            decode::from_json(trimmed.as_bytes(), decode::Limits::default()).map_err(|_| wrong())?.tree
        }
        // What people type around names and dates is not meant; within free texts and passwords it is.
        FieldType::String | FieldType::Password => text.replace("\r\n", "\n").into(),
        FieldType::DnsLabel | FieldType::Date | FieldType::Enum(_) | FieldType::Reference(_) => {
            trimmed.into()
        }
    }))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;

    static THING: About = About {
        id: "thing",
        plural: "things",
        fields: &[
            Field::writable("name", FieldType::DnsLabel, ""),
            Field::writable("description", FieldType::String, ""),
            Field::writable("enabled", FieldType::Boolean, ""),
            Field::writable("ttl", FieldType::Int, ""),
            Field::writable("ids", FieldType::Strings, ""),
            Field::writable("rules", FieldType::Items("rule"), ""),
        ],
        collection_methods: &[],
        resource_methods: &[],
        collection_actions: &[],
        resource_actions: &[],
    };

    fn read(form: &str, changing: bool) -> Result<Tree, V3Error> {
        body(form.as_bytes(), Some(&THING), changing).map(Tree::Object)
    }

    #[test]
    fn texts_become_what_the_fields_say() {
        let form = "name=+a+&description=b%0D%0Ac&enabled=false&enabled=true&ttl=5&ids=x%0D%0A%0D%0Ay&labels=k%3Dv%3Dw%0Al%3D&CSRF=1&other=2&rules=%5B%7B%7D%5D";
        assert_eq!(
            read(form, false),
            Ok(json!({
                "name": "a", "description": "b\nc", "enabled": true, "ttl": 5, "ids": ["x", "y"],
                "labels": {"k": "v=w", "l": ""}, "rules": [{}],
            }))
        );
    }

    #[test]
    fn what_is_empty_is_absent_or_where_something_is_changed_emptied() {
        let form = "name=&description=&enabled=&ttl=&ids=&labels=";
        assert_eq!(read(form, false), Ok(json!({})));
        assert_eq!(read(form, true), Ok(json!({"description": "", "ids": [], "labels": {}})));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (form, field) in
            [("enabled=maybe", "enabled"), ("ttl=1h", "ttl"), ("labels=x", "labels"), ("rules=%7B", "rules")]
        {
            let error = read(form, false).unwrap_err();
            assert_eq!((error.status, error.code, error.field.as_str()), (422, "InvalidFormat", field));
        }
        assert_eq!(body(b"a=1", None, false), Ok(Map::new()));
    }
}
