//! The yardstick: the least that a server could do which checks a token over HTTPS.
//!
//! The same listener options, the same rustls configuration, certificate and HTTP library as Eartag's; a handler that takes the token
//! apart, computes one SHA3-512 and answers a word. A TokenReview is decoded, its token taken apart and hashed too, and answered with a review of the
//! same size as ours. No table, no rules, no store, no object.

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use eartag_core::{PlainSecret, Presented, SecretHash};
use eartag_server::clock::{SystemClock, fill_random};
use eartag_server::pki::Authority;
use eartag_server::tls::{ServingCertificate, server_config};
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Serves until the process is killed. Writes its authority to `ca` and its address to standard output.
///
/// # Errors
/// It cannot listen, or not write.
pub async fn serve(ca: &Path) -> Result<()> {
    let now_s = SystemClock.wall_s();
    let authority = Authority::new("bare", now_s, serial())?;
    std::fs::write(ca, authority.certificate_pem())?;
    let leaf = authority.issue_server(&["127.0.0.1".to_owned()], now_s, serial())?;
    let acceptor =
        TlsAcceptor::from(server_config(Arc::new(ServingCertificate::issued(&leaf, &authority)?))?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut out = std::io::stdout();
    writeln!(out, "bare answers at https://{}", listener.local_addr()?)?;
    out.flush()?;
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            // A connection that fails is the client's to notice.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    // A create brings a body; the yardstick reads it as well.
    let read = body.collect().await.map(http_body_util::Collected::to_bytes);
    let token =
        parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let hash = token
        .and_then(Presented::parse)
        .zip(token.and_then(|token| token.split_once(':')))
        .map(|(_, (_, secret))| SecretHash::sha3(&PlainSecret::new(secret), [7; 8]));
    if let (Ok(bytes), true) = (&read, parts.uri.path().ends_with("/tokenreviews"))
        && let Some(answer) = review(bytes, std::hint::black_box(&hash).is_some())
    {
        return Ok(answer);
    }
    let status = if read.is_ok() && std::hint::black_box(hash).is_some() {
        StatusCode::OK
    } else {
        StatusCode::UNAUTHORIZED
    };
    let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
    *response.status_mut() = status;
    Ok(response)
}

/// The least of a TokenReview.
fn review(bytes: &[u8], authenticated: bool) -> Option<Response<Full<Bytes>>> {
    #[derive(serde::Deserialize)]
    struct Review<'a> {
        #[serde(borrow)]
        spec: Spec<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Spec<'a> {
        token: &'a str,
    }
    let Spec { token } = serde_json::from_slice::<Review<'_>>(bytes).ok()?.spec;
    Presented::parse(token)?;
    let (name, secret) = token.split_once(':')?;
    std::hint::black_box(SecretHash::sha3(&PlainSecret::new(secret), [7; 8]));
    let answer = format!(
        r#"{{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","metadata":{{"creationTimestamp":null}},"spec":{{}},"status":{{"authenticated":{authenticated},"user":{{"extra":{{"principalid":["local://user-00000000"],"requesttokenid":[{name:?}],"username":["somebody"]}},"uid":"00000000-0000-4000-8000-000000000000","username":"user-00000000"}}}}}}"#
    );
    let mut response = Response::new(Full::new(Bytes::from(answer)));
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Some(response)
}

fn serial() -> [u8; 16] {
    let mut bytes = [0; 16];
    fill_random(&mut bytes);
    bytes
}
