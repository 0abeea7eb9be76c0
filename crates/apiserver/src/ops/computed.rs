//! The verbs of computed resources: what [`Api`](super::Api) does for stored ones, without a store.

use super::update::{Identity, apply, uid_differs};
use super::{Change, Source, conform};
use crate::Tree;
use crate::field_error::FieldError;
use crate::kind::{Computed, Cx};
use crate::metadata::name_faults;
use crate::object::{fit_type, meta_text};
use crate::refusal::Refusal;

/// Puts an object by POST: it must say its name, as nothing is there to be named by the server.
pub async fn create(resource: &dyn Computed, cx: &Cx, mut asked: Tree) -> Result<Tree, Refusal> {
    let info = resource.info();
    fit_type(info, &mut asked)?;
    conform(info, cx, &mut asked, Source::Body)?;
    if !meta_text(&asked, "resourceVersion").is_empty() {
        return Err(Refusal::BadRequest(
            "resourceVersion should not be set on objects to be created".to_owned(),
        ));
    }
    let name = meta_text(&asked, "name");
    let errors: Vec<FieldError> = if name.is_empty() {
        vec![FieldError::required("metadata.name", "name is required")]
    } else {
        let fault = |why| FieldError::invalid("metadata.name", name, why);
        name_faults(name, false).into_iter().map(fault).collect()
    };
    if !errors.is_empty() {
        return Err(Refusal::Invalid(errors));
    }
    resource.put(name, &asked, cx).await
}

/// Puts what the change makes of the object as it is shown.
pub async fn update(resource: &dyn Computed, cx: &Cx, name: &str, change: &Change) -> Result<Tree, Refusal> {
    let info = resource.info();
    let seen = resource.get(name, cx).await?;
    let (mut asked, source) = apply(info, &seen, change)?;
    fit_type(info, &mut asked)?;
    conform(info, cx, &mut asked, source)?;
    let identity = Identity {
        name,
        uid: meta_text(&seen, "uid"),
        version: meta_text(&seen, "resourceVersion"),
        uid_differs: &uid_differs,
    };
    identity.check(info, &asked, source)?;
    resource.put(name, &asked, cx).await
}
