//! `selfusers.ext.cattle.io`: tells the caller the name of their user object.

use async_trait::async_trait;
use eartag_api::ext::SelfUser;
use eartag_apiserver::Tree;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Cx, Once, Review};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;

use super::{EXT, schema};

/// Answers with the caller's user id.
pub struct SelfUsers {
    info: ResourceInfo,
}

impl SelfUsers {
    /// The resource.
    pub fn new() -> Result<SelfUsers, SchemaError> {
        let description =
            "SelfUser tells the caller the id of their own user. It is answered and not stored.";
        let schema = schema::<SelfUser>("io.cattle.ext.v1.SelfUser")?;
        Ok(SelfUsers { info: create_only("SelfUser", "selfusers", "selfuser", description, schema) })
    }
}

/// The description of a create-only resource of the ext group.
pub(super) fn create_only(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    description: &'static str,
    schema: eartag_apiserver::schema::Schema,
) -> ResourceInfo {
    ResourceInfo {
        verbs: &["create"],
        ..ResourceInfo::new(EXT, "v1", kind, plural, singular, description, schema)
    }
}

#[async_trait]
impl Review for SelfUsers {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    async fn create(&self, mut asked: Tree, cx: &Cx) -> Result<(Tree, Option<Once>), Refusal> {
        if let Some(object) = asked.as_object_mut() {
            object.remove("spec");
            object.insert("status".to_owned(), serde_json::json!({"userID": cx.user.name}));
        }
        Ok((asked, None))
    }
}
