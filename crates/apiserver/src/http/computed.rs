//! Requests for computed resources.

use http::{Response, StatusCode};

use super::body::Body;
use super::resource::{Request, Wanted, answer, asked_name, read_object, read_patch, refused_create};
use super::{ApiServer, query, user_agent};
use crate::Tree;
use crate::kind::{Computed, Cx};
use crate::media::Answer;
use crate::ops::{Change, computed};
use crate::refusal::Refusal;

impl ApiServer {
    pub(super) async fn computed(
        &self,
        resource: &dyn Computed,
        request: &Request<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let mut cx = self.cx(request.identity.clone());
        let name = request.info.attributes.name.as_str();
        let agent = user_agent(request.parts);
        let info = resource.info();
        let wanted = request.negotiate(Answer::Object)?;
        match request.info.attributes.verb.as_str() {
            "create" if !name.is_empty() => Err(Refusal::MethodNotAllowed),
            "update" | "patch" if name.is_empty() => Err(Refusal::MethodNotAllowed),
            "create" => {
                query::write_options(request.query, agent, "CreateOptions", &mut cx)?;
                let asked = read_object(info, &cx, request.parts, &request.bytes)?;
                let name = asked_name(info, &asked);
                match computed::create(resource, &cx, asked).await {
                    Ok(object) => Ok(one(resource, &cx, StatusCode::CREATED, object, &wanted)),
                    Err(refusal) => refused_create(info, &name, refusal),
                }
            }
            "get" => {
                if let Some(version) = query::version(request.query)? {
                    self.api.await_revision(version).await?;
                }
                let object = resource.get(name, &cx).await?;
                Ok(one(resource, &cx, StatusCode::OK, object, &wanted))
            }
            "update" => {
                query::write_options(request.query, agent, "UpdateOptions", &mut cx)?;
                let asked = read_object(info, &cx, request.parts, &request.bytes)?;
                let object = computed::update(resource, &cx, name, &Change::Put(asked)).await?;
                Ok(one(resource, &cx, StatusCode::OK, object, &wanted))
            }
            "patch" => {
                query::write_options(request.query, agent, "PatchOptions", &mut cx)?;
                let change = read_patch(info, &cx, request)?;
                let object = computed::update(resource, &cx, name, &change).await?;
                Ok(one(resource, &cx, StatusCode::OK, object, &wanted))
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }
}

fn one(resource: &dyn Computed, cx: &Cx, code: StatusCode, object: Tree, wanted: &Wanted) -> Response<Body> {
    answer(resource.info(), &|object| resource.row(object, cx), cx, code, object, None, wanted)
}
