//! What a list, a watch or a deletion of many is about: label and field selectors over shown objects.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Tree;
use crate::info::ResourceInfo;
use crate::kind::Kind;
use crate::object::asked_metadata;
use crate::refusal::Refusal;
use crate::selector::{FieldSelector, LabelSelector};

/// Both selectors, parsed and fit for the resource.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
    only: Option<String>,
}

impl Selection {
    /// Parses both; a field that the resource does not select by is refused with 400.
    pub fn parse(info: &ResourceInfo, labels: &str, fields: &str) -> Result<Selection, Refusal> {
        let labels = LabelSelector::parse(labels).map_err(Refusal::BadRequest)?;
        let fields = FieldSelector::parse(fields).map_err(Refusal::BadRequest)?;
        fields.known(info.selectable).map_err(Refusal::BadRequest)?;
        Ok(Selection { labels, fields, only: None })
    }

    /// The same selection, narrowed to one name; a contradiction selects nothing.
    #[must_use]
    pub fn and_name(self, name: &str) -> Selection {
        Selection { only: Some(name.to_owned()), ..self }
    }

    /// Whether everything is selected.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.fields().next().is_none() && self.only.is_none()
    }

    /// The one name that can be selected, if the selectors say so.
    pub fn name(&self) -> Option<&str> {
        self.only.as_deref().or_else(|| self.fields.exact("metadata.name"))
    }

    /// Whether the shown object is selected.
    pub fn matches(&self, kind: &dyn Kind, object: &Tree) -> bool {
        self.matches_with(object, kind.hidden_label())
    }

    /// The same for an object without a kind behind it.
    pub fn matches_with(&self, object: &Tree, hidden: Option<(&str, &str)>) -> bool {
        if self.is_empty() {
            return true;
        }
        let mut labels: BTreeMap<String, String> = asked_metadata(object)
            .and_then(|m| m.get("labels"))
            .and_then(Value::as_object)
            .map(|map| {
                map.iter().filter_map(|(k, v)| v.as_str().map(|v| (k.clone(), v.to_owned()))).collect()
            })
            .unwrap_or_default();
        if let Some((key, value)) = hidden {
            labels.insert(key.to_owned(), value.to_owned());
        }
        let named = self.only.as_deref().is_none_or(|name| text_at(object, "metadata.name") == name);
        named && self.labels.matches(&labels) && self.fields.matches(|path| Some(text_at(object, path)))
    }
}

/// The value at a dotted path as selectors compare it; what is absent is empty.
fn text_at(object: &Tree, path: &str) -> String {
    let found = path.split('.').try_fold(object, |at, step| at.get(step));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}
