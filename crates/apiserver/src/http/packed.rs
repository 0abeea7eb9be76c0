//! Bodies that are made while they are sent, compressed where that is worth it and wanted.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use http::header::{CONTENT_ENCODING, HeaderValue, VARY};
use http::{Response, StatusCode};

use super::body::{Body, full, streamed};
use super::reply::respond;
use crate::gzip::{self, Candidate};

/// 200 with these pieces as body. Pieces are asked for as the client takes them; short bodies are sent in one piece, and only of longer ones can it be said that
/// compressing is worth it.
///
/// # Errors
/// That of a piece before anything was sent. A later one cuts the connection, so that nobody takes half an answer for a whole one.
pub async fn answer(
    mut pieces: BoxStream<'static, io::Result<Bytes>>,
    content_type: &str,
    accept_encoding: Option<&str>,
) -> io::Result<Response<Body>> {
    let mut first = Vec::new();
    while first.len() <= gzip::THRESHOLD {
        match pieces.try_next().await? {
            Some(bytes) => first.extend_from_slice(&bytes),
            None => return Ok(respond(StatusCode::OK, content_type, full(first))),
        }
    }
    let pieces = stream::once(async { Ok(first.into()) }).chain(pieces);
    if !gzip::applies(accept_encoding, Candidate { read: true, length: None, secret: false }) {
        return Ok(respond(StatusCode::OK, content_type, streamed(pieces)));
    }
    let mut response = respond(StatusCode::OK, content_type, streamed(packed(pieces)));
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(response)
}

/// The same pieces, compressed; of those that vanish in the compressor's memory nothing is sent.
fn packed(
    pieces: impl stream::Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl stream::Stream<Item = io::Result<Bytes>> + Send + 'static {
    let packer = GzEncoder::new(Vec::new(), Compression::fast());
    stream::unfold((Box::pin(pieces.fuse()), Some(packer)), |(mut pieces, mut packer)| async move {
        loop {
            let packed = match pieces.next().await {
                Some(Ok(bytes)) => pack(packer.as_mut()?, &bytes),
                Some(Err(error)) => Err(error),
                None => packer.take()?.finish(),
            };
            match packed {
                Ok(bytes) if bytes.is_empty() => {}
                packed => return Some((packed.map(Bytes::from), (pieces, packer))),
            }
        }
    })
}

fn pack(packer: &mut GzEncoder<Vec<u8>>, bytes: &[u8]) -> io::Result<Vec<u8>> {
    packer.write_all(bytes)?;
    Ok(std::mem::take(packer.get_mut()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::io::Read as _;

    use http_body_util::BodyExt;

    use super::*;

    fn pieces(sizes: &[usize]) -> BoxStream<'static, io::Result<Bytes>> {
        let all: Vec<_> = sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect();
        stream::iter(all).boxed()
    }

    #[tokio::test]
    async fn only_long_bodies_are_compressed_and_come_out_as_they_went_in() {
        let short = answer(pieces(&[10, 20]), "text/plain", Some("gzip")).await.unwrap();
        assert!(!short.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(short.into_body().collect().await.unwrap().to_bytes().len(), 30);

        let plain = answer(pieces(&[100_000; 5]), "text/plain", None).await.unwrap();
        assert_eq!(plain.into_body().collect().await.unwrap().to_bytes().len(), 500_000);

        let long = answer(pieces(&[100_000; 5]), "text/plain", Some("gzip")).await.unwrap();
        assert_eq!(long.headers()[CONTENT_ENCODING], "gzip");
        let bytes = long.into_body().collect().await.unwrap().to_bytes();
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
        assert_eq!(text.len(), 500_000);
    }

    #[tokio::test]
    async fn an_early_error_is_told_and_a_late_one_cuts_the_body() {
        let broken = || Err(io::Error::other("gone"));
        let early = stream::iter([Ok(Bytes::from_static(b"a")), broken()]).boxed();
        assert!(answer(early, "text/plain", None).await.is_err());
        let long = Bytes::from(vec![b'x'; gzip::THRESHOLD + 1]);
        for encoding in [None, Some("gzip")] {
            let late = stream::iter([Ok(long.clone()), broken()]).boxed();
            let response = answer(late, "text/plain", encoding).await.unwrap();
            assert!(response.into_body().collect().await.is_err());
        }
    }
}
