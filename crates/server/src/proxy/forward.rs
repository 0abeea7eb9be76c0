//! One request to a cluster and its answer.

use std::sync::Arc;
use std::time::Duration;

use eartag_upstream::{Upstream, UpstreamError};
use http::header::{CONNECTION, HeaderValue, LOCATION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::failure::Failure;
use super::headers;
use super::lease::Lease;
use super::route::{Protocol, Route, climbs};
use super::transfer::{Download, Upload};
use super::upgrade::tunnel;
use crate::listener::Body;

/// An API server's own bound for ordinary requests is 60 s: its words about that are better than ours.
const WAIT: Duration = Duration::from_secs(65);
/// A container that says nothing yet leaves whoever follows its log without even the head of an answer.
const LASTING_WAIT: Duration = Duration::from_hours(1);

/// All that one request needs.
pub struct Exchange {
    pub route: Route,
    /// The caller's identity as headers.
    pub identity: HeaderMap,
    pub upstream: Upstream,
    /// A path before all of ours, where a trusted proxy says so.
    pub prefix: String,
}

impl Exchange {
    /// Sends it, and gives the answer as it comes.
    pub async fn run(self, parts: Parts, body: Body, lease: Arc<Lease>) -> Result<Response<Body>, Failure> {
        let method = parts.method.clone();
        let from = lease.caller.address;
        let mut request = Request::new(Upload::new(body, lease.clone()).boxed_unsync());
        *request.method_mut() = method.clone();
        *request.uri_mut() = Uri::from(self.route.target.clone());
        *request.headers_mut() =
            headers::there(&parts.headers, self.identity.clone(), from, self.route.upgrade);
        let wait = if lease.lasting { LASTING_WAIT } else { WAIT };
        let answer = tokio::select! {
            answer = self.upstream.send(request, wait) => answer,
            loss = lease.clone().lost() => return Err(lease.failure(loss)),
        };
        // It may have taken a while, and an upload that was cut off is not the upstream's fault.
        if let Some(loss) = lease.loss() {
            return Err(lease.failure(loss));
        }
        let answer = answer.map_err(|error| {
            tracing::info!(cluster = lease.cluster, upstream = ?self.upstream, %error, "a cluster gives no answer");
            self.failed(error)
        })?;
        match (answer.status(), self.route.upgrade) {
            (StatusCode::SWITCHING_PROTOCOLS, Some(protocol)) => self.switch(parts, answer, protocol, lease),
            (StatusCode::SWITCHING_PROTOCOLS, None) => Err(self.failed(UpstreamError::Protocol)),
            // To our client a 401 would say that its own credential is not good, and kubectl would throw that away.
            (StatusCode::UNAUTHORIZED, _) if !self.route.relayed => {
                tracing::warn!(
                    cluster = lease.cluster,
                    "a cluster does not accept the credential that we have for it"
                );
                Err(Failure::CredentialRefused(self.route.cluster))
            }
            _ => {
                let (head, body) = answer.into_parts();
                let mut response = Response::new(Download::new(body, lease).boxed_unsync());
                *response.status_mut() = head.status;
                *response.headers_mut() = headers::back(&head.headers, &method);
                if let Some(location) = self.location(&head.headers) {
                    response.headers_mut().insert(LOCATION, location);
                }
                Ok(response)
            }
        }
    }

    /// Both sides speak another protocol from here on.
    fn switch(
        &self,
        parts: Parts,
        answer: Response<Incoming>,
        protocol: Protocol,
        lease: Arc<Lease>,
    ) -> Result<Response<Body>, Failure> {
        if Protocol::of(answer.headers()) != Some(protocol) {
            return Err(self.failed(UpstreamError::Protocol));
        }
        let mut response = Response::new(eartag_apiserver::http::body::full(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        *headers = headers::back(answer.headers(), &parts.method);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(protocol.name()));
        let client = hyper::upgrade::on(Request::from_parts(parts, ()));
        tokio::spawn(tunnel(client, hyper::upgrade::on(answer), lease));
        Ok(response)
    }

    /// A redirect within the cluster, as our client has to follow it; one to anywhere else would lead it, with its credential, where the cluster wants.
    fn location(&self, head: &HeaderMap) -> Option<HeaderValue> {
        let inside = self.upstream.inside(head.get(LOCATION)?.to_str().ok()?)?;
        if climbs(inside.path()) {
            return None;
        }
        let location = format!("{}/k8s/clusters/{}{inside}", self.prefix, self.route.cluster);
        HeaderValue::from_str(&location).ok()
    }

    fn failed(&self, error: UpstreamError) -> Failure {
        Failure::Upstream(self.route.cluster.clone(), error)
    }
}
