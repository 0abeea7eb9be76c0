//! `features.management.cattle.io`: switches that take effect at once. The server makes one object for each feature it knows.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::management::{Feature, FeatureSpec, FeatureStatus};
use eartag_api::meta::Meta;
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::{Map, Tree};
use eartag_core::FeatureRecord;
use eartag_core::collections::FEATURES;
use eartag_core::features;
use eartag_storage::CollectionId;

use super::{NAME_COLUMN, NO_CREATE, cell, column, fill, management, schema, typed};
use crate::observer::Tables;

/// The lens over features.
pub struct Features {
    info: ResourceInfo,
    tables: Arc<Tables>,
}

impl Features {
    /// The lens; values in force come from the table.
    pub fn new(tables: Arc<Tables>) -> Result<Features, SchemaError> {
        let columns = vec![
            NAME_COLUMN,
            column("Enabled", 0, "Whether the feature is on."),
            column("Description", 1, "What it does."),
        ];
        let info = ResourceInfo {
            verbs: NO_CREATE,
            ..management(
                "Feature",
                "features",
                "feature",
                "Feature is a switch for a part of the server.",
                schema::<Feature>("io.cattle.management.v3.Feature")?,
                columns,
            )
        };
        Ok(Features { info, tables })
    }
}

#[async_trait]
impl Kind for Features {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn collection(&self) -> CollectionId {
        FEATURES
    }

    fn show(&self, stored: &Stored<'_>, _cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let record = FeatureRecord::decode(stored.body)
            .ok_or_else(|| Corrupt("the feature cannot be decoded".to_owned()))?;
        let known = features::find(stored.name);
        let feature = Feature {
            spec: FeatureSpec { value: record.value },
            status: FeatureStatus {
                default: known.is_some_and(|info| self.tables.features.default_of(info)),
                description: known.map(|info| info.description.to_owned()).unwrap_or_default(),
                dynamic: known.is_some_and(|info| info.dynamic),
                locked_value: record.locked,
            },
        };
        fill(object, &feature);
        Ok(())
    }

    async fn admit(&self, _name: &str, _asked: &Tree, _meta: &mut Meta, _cx: &Cx) -> Result<Draft, Refusal> {
        Err(Refusal::MethodNotAllowed)
    }

    async fn change(
        &self,
        old: &Stored<'_>,
        _seen: &Tree,
        asked: &Tree,
        _meta: &mut Meta,
        _cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let before = FeatureRecord::decode(old.body).unwrap_or_default();
        let asked: Feature = typed(asked)?;
        if asked.spec.value == before.value {
            return Ok(Draft::of(before.encode()));
        }
        let Some(info) = features::find(old.name) else {
            return Err(Refusal::Invalid(vec![FieldError::forbidden(
                "spec.value",
                "this server has no such feature",
            )]));
        };
        let after = features::change(info, before, asked.spec.value)
            .map_err(|locked| Refusal::Denied(locked.to_string()))?;
        Ok(Draft::of(after.encode()))
    }

    fn row(&self, object: &Tree, _cx: &Cx) -> Vec<Tree> {
        let name = object.pointer("/metadata/name").and_then(Tree::as_str).unwrap_or_default();
        let flag = |pointer: &str| object.pointer(pointer).and_then(Tree::as_bool);
        let on = flag("/status/lockedValue").or(flag("/spec/value")).unwrap_or_else(|| {
            features::find(name).is_some_and(|info| self.tables.features.default_of(info))
        });
        vec![cell(object, "/metadata/name"), on.to_string().into(), cell(object, "/status/description")]
    }
}
