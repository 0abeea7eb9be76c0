//! `tokenreviews.authentication.k8s.io`, v1 and v1beta1: the webhook by which API servers let our tokens in (kubernetes-api.md §7).

use async_trait::async_trait;
use eartag_api::review::TokenReview;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Cx, Once, Review};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::{Map, Tree};
use http::StatusCode;
use serde_json::json;

use super::{schema, take_secret};
use crate::authn::Caller;
use crate::token_review::answer::Status;
use crate::token_review::{GROUP, Question, RESOURCE, Reviewer, Unknown};

/// The reviews of one version.
pub struct TokenReviews {
    info: ResourceInfo,
    reviewer: Reviewer,
}

impl TokenReviews {
    /// Both versions, which differ in nothing but their name.
    pub fn all(reviewer: &Reviewer) -> Result<[TokenReviews; 2], SchemaError> {
        let of = |version, model| {
            let info = ResourceInfo {
                verbs: &["create"],
                ..ResourceInfo::new(
                    GROUP,
                    version,
                    "TokenReview",
                    RESOURCE,
                    "tokenreview",
                    "Asks whose token this is.",
                    schema::<TokenReview>(model)?,
                )
            };
            Ok(TokenReviews { info, reviewer: reviewer.clone() })
        };
        Ok([
            of("v1", "io.k8s.api.authentication.v1.TokenReview")?,
            of("v1beta1", "io.k8s.api.authentication.v1beta1.TokenReview")?,
        ])
    }
}

#[async_trait]
impl Review for TokenReviews {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    /// Nothing was created (DEC52).
    fn success(&self) -> StatusCode {
        StatusCode::OK
    }

    async fn create(&self, mut asked: Tree, cx: &Cx) -> Result<(Tree, Option<Once>), Refusal> {
        let token = take_secret(&mut asked, "/spec/token");
        if token.expose().is_empty() {
            let why = "token is required for TokenReview in authentication";
            return Err(Refusal::BadRequest(why.to_owned()));
        }
        let Some(caller) = cx.fact::<Caller>() else {
            return Err(Refusal::Internal("nobody asked".to_owned()));
        };
        let audiences: Vec<String> = asked
            .pointer("/spec/audiences")
            .and_then(Tree::as_array)
            .map(|all| all.iter().filter_map(Tree::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let question = Question {
            caller,
            token: token.expose(),
            audiences: &audiences,
            now_ms: cx.now_ms,
            dry_run: cx.dry_run,
        };
        let status = match self.reviewer.review(&question, &*cx.authorizer, "webhook").await {
            Ok(known) => json!(Status::of(&known)),
            Err(Unknown::NotGood) => json!(Status::not_good()),
            // An error and no answer: that is neither cached nor taken for a refusal, and asked again (K2, K3).
            Err(Unknown::Busy) => {
                return Err(Refusal::TooManyRequests {
                    message: "too many slow checks at the moment, please try again later".to_owned(),
                    retry_after_s: 1,
                });
            }
        };
        if let Some(review) = asked.as_object_mut() {
            // The token is not shown again, wherever answers are kept.
            let mut spec = Map::new();
            if !audiences.is_empty() {
                spec.insert("audiences".to_owned(), audiences.into());
            }
            review.insert("metadata".to_owned(), json!({"creationTimestamp": null}));
            review.insert("spec".to_owned(), Tree::Object(spec));
            review.insert("status".to_owned(), status);
        }
        Ok((asked, None))
    }
}
