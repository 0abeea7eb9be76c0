//! Why a request was not forwarded, or has no answer: a Kubernetes `Status` that says what to do.

use eartag_apiserver::http::reply::{self, Form};
use eartag_apiserver::refusal::{Refusal, Status, Subject};
use eartag_upstream::{TargetError, UpstreamError};
use http::Response;

use crate::listener::Body;
use crate::resources::MANAGEMENT;

/// Why there is no answer of the cluster.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// The caller may not use the cluster, whether it exists or not.
    Denied {
        /// In the words of Kubernetes.
        refusal: Refusal,
        /// The cluster's id.
        cluster: String,
    },
    /// The authorizer could not say.
    Undecided,
    /// There is no such cluster; said only to those who might use it.
    NoCluster(String),
    /// The cluster has no address.
    NoEndpoint(String),
    /// The cluster has no credential.
    NoCredential(String),
    /// The credential is there and cannot be opened.
    Closed(String),
    /// Address, certificate authority or credential make no sense.
    Unusable(String, TargetError),
    /// The cluster's API server gives no answer.
    Upstream(String, UpstreamError),
    /// The cluster's API server does not know who Eartag is.
    CredentialRefused(String),
    /// The caller's identity cannot be passed on.
    Identity(&'static str),
    /// The path, the method or the upgrade.
    Request(&'static str),
    /// A token that is scoped to this very cluster would manage tokens.
    Scoped,
    /// Too much goes on at once.
    TooMany,
    /// The caller's credential is no longer good, or the right was taken away meanwhile.
    Lost,
    /// This server ends.
    Ending,
}

impl Failure {
    /// The caller may not.
    pub fn denied(refusal: Refusal, cluster: &str) -> Failure {
        Failure::Denied { refusal, cluster: cluster.to_owned() }
    }

    /// As an answer.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        reply::status(&self.status(), Form::JSON)
    }

    fn status(&self) -> Status {
        let about =
            |cluster| Subject { group: MANAGEMENT, plural: "clusters", kind: "Cluster", name: cluster };
        let unavailable = |text: String| Status::new(503, "ServiceUnavailable", text);
        match self {
            Failure::Denied { refusal, cluster } => refusal.status(&about(cluster)),
            Failure::Undecided => Refusal::Internal("the authorizer could not decide".to_owned()).status(&about("")),
            Failure::NoCluster(id) => Refusal::NotFound.status(&about(id)),
            Failure::NoEndpoint(id) => unavailable(format!(
                "cluster {id:?} has no API server to forward to: an administrator sets spec.apiEndpoint of clusters.{MANAGEMENT}/{id}"
            )),
            Failure::NoCredential(id) => unavailable(format!(
                "there is no credential for cluster {id:?}: an administrator gives one by creating a clustercredentials.{MANAGEMENT} \
                 with spec.clusterName {id:?}"
            )),
            Failure::Closed(id) => unavailable(format!(
                "the credential for cluster {id:?} cannot be opened with this server's root key: an administrator gives a new one"
            )),
            Failure::Unusable(id, why) => {
                unavailable(format!("cluster {id:?} cannot be used as it is registered: {why}"))
            }
            Failure::Upstream(id, why) => {
                let text = format!("the API server of cluster {id:?} gives no answer: {why}");
                match why {
                    UpstreamError::Timeout | UpstreamError::ConnectTimeout => Status::new(504, "Timeout", text),
                    UpstreamError::RequestBody | UpstreamError::Request => Status::new(400, "BadRequest", text),
                    _ => Status::new(502, "", text),
                }
            }
            Failure::CredentialRefused(id) => Status::new(
                502,
                "",
                format!(
                    "the API server of cluster {id:?} does not accept the credential that it is given: an administrator gives a new one"
                ),
            ),
            Failure::Identity(why) => Refusal::ForbiddenText((*why).to_owned()).status(&Subject::default()),
            Failure::Request(why) => Refusal::BadRequest((*why).to_owned()).status(&Subject::default()),
            Failure::Scoped => Refusal::ForbiddenText(
                "a token that is scoped to a cluster cannot be used to manage tokens, kubeconfigs or passwords".to_owned(),
            )
            .status(&Subject::default()),
            Failure::TooMany => Refusal::TooManyRequests {
                message: "Too many requests to clusters, please try again later.".to_owned(),
                retry_after_s: 1,
            }
            .status(&Subject::default()),
            Failure::Ending => unavailable("this server is stopping, please try again".to_owned()),
            Failure::Lost => Refusal::Unauthorized.status(&Subject::default()),
        }
    }
}
