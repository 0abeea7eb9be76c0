//! `settings.management.cattle.io`: values that administrators choose. The server makes one object for each setting it knows.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::management::Setting;
use eartag_api::meta::Meta;
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::{Map, Tree};
use eartag_core::SettingRecord;
use eartag_core::collections::SETTINGS;
use eartag_core::settings::{self, Source, validate, validate_write};
use eartag_storage::CollectionId;

use super::{NAME_COLUMN, NO_CREATE, cell, column, fill, management, schema, typed};
use crate::observer::Tables;

/// The lens over settings.
pub struct Settings {
    info: ResourceInfo,
    tables: Arc<Tables>,
}

impl Settings {
    /// The lens; values in force come from the table.
    pub fn new(tables: Arc<Tables>) -> Result<Settings, SchemaError> {
        let columns = vec![
            NAME_COLUMN,
            column("Value", 0, "The value in force."),
            column("Source", 1, "Where it comes from."),
        ];
        let info = ResourceInfo {
            verbs: NO_CREATE,
            ..management(
                "Setting",
                "settings",
                "setting",
                "Setting is a value that administrators choose, such as the longest life of tokens.",
                schema::<Setting>("io.cattle.management.v3.Setting")?,
                columns,
            )
        };
        Ok(Settings { info, tables })
    }
}

#[async_trait]
impl Kind for Settings {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn collection(&self) -> CollectionId {
        SETTINGS
    }

    /// A name that differs from a known one in case only, as one does in the seed (DEC42).
    fn not_found_hint(&self, name: &str) -> Option<String> {
        let meant =
            settings::all().iter().find(|info| info.name.eq_ignore_ascii_case(name) && info.name != name)?;
        Some(format!("did you mean {:?}?", meant.name))
    }

    /// `value` is the stored one, as in the reference: empty stands for the default. The environment's wins and shows.
    fn show(&self, stored: &Stored<'_>, _cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let record = SettingRecord::decode(stored.body)
            .ok_or_else(|| Corrupt("the setting cannot be decoded".to_owned()))?;
        let effective = self.tables.settings.effective(stored.name);
        let from_env = effective.source == Source::Env;
        let setting = Setting {
            customized: effective.customized,
            default: settings::find(stored.name).map(|info| info.default.to_owned()).unwrap_or_default(),
            source: if from_env { "env".to_owned() } else { String::new() },
            value: if from_env { effective.value } else { record.value },
        };
        fill(object, &setting);
        Ok(())
    }

    async fn admit(&self, _name: &str, _asked: &Tree, _meta: &mut Meta, _cx: &Cx) -> Result<Draft, Refusal> {
        Err(Refusal::MethodNotAllowed)
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        seen: &Tree,
        asked: &Tree,
        _meta: &mut Meta,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let before = SettingRecord::decode(old.body).unwrap_or_default();
        let asked: Setting = typed(asked)?;
        if seen.get("value").and_then(Tree::as_str) == Some(asked.value.as_str()) {
            return Ok(Draft::of(before.encode()));
        }
        let Some(info) = settings::find(old.name) else {
            return Err(Refusal::Invalid(vec![FieldError::forbidden(
                "value",
                "this server has no such setting",
            )]));
        };
        let from_env = self.tables.settings.effective(old.name).source == Source::Env;
        validate_write(info, from_env).map_err(|refusal| Refusal::BadRequest(refusal.message))?;
        let other = |name: &str| self.tables.settings.effective(name).value;
        validate(info, &asked.value, &other).map_err(|refusal| {
            // The text carries its own "Invalid value: …" or "Forbidden: …".
            let text = refusal.message.strip_prefix("value: ").unwrap_or(&refusal.message).to_owned();
            let mut error = FieldError::invalid("value", "", "");
            error.message = text;
            Refusal::Invalid(vec![error])
        })?;
        if let Some(deprecated) = info.deprecated {
            cx.warn(deprecated);
        }
        Ok(Draft::of(SettingRecord { value: asked.value, env: before.env }.encode()))
    }

    fn row(&self, object: &Tree, _cx: &Cx) -> Vec<Tree> {
        let own = object.get("value").and_then(Tree::as_str).unwrap_or_default();
        let name = object.pointer("/metadata/name").and_then(Tree::as_str).unwrap_or_default();
        let value = if own.is_empty() { self.tables.settings.effective(name).value } else { own.to_owned() };
        vec![cell(object, "/metadata/name"), value.into(), cell(object, "/source")]
    }
}
