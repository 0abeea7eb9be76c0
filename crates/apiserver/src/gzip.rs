//! Which answers are compressed, and how (N9).

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

/// Answers up to this size in bytes are never compressed.
pub const THRESHOLD: usize = 128 * 1024;

/// What is about to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The request is a GET (of one object, a list or a document), and no watch.
    pub read: bool,
    /// Size of the body in bytes; `None` for a streamed list that is known to be longer than [`THRESHOLD`].
    pub length: Option<usize>,
    /// The body holds a secret. It is never compressed: its length would tell about the secret as soon as somebody else chooses a part of the body.
    pub secret: bool,
}

/// Whether to compress the answer to a request with this `Accept-Encoding`.
#[must_use]
pub fn applies(accept_encoding: Option<&str>, candidate: Candidate) -> bool {
    candidate.read
        && !candidate.secret
        && candidate.length.is_none_or(|length| length > THRESHOLD)
        && accept_encoding.is_some_and(accepts_gzip)
}

/// Compresses at level 1, as Kubernetes does: most of the gain for little time.
///
/// # Errors
/// None in practice: writing to memory does not fail.
pub fn compress(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::new(1));
    encoder.write_all(body)?;
    encoder.finish()
}

fn accepts_gzip(header: &str) -> bool {
    header.split(',').take(32).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|p| {
            p.split_once('=').is_some_and(|(n, v)| {
                n.trim().eq_ignore_ascii_case("q") && v.trim().parse::<f32>().is_ok_and(|q| q <= 0.0)
            })
        });
        named && !refused
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const LARGE_READ: Candidate = Candidate { read: true, length: Some(THRESHOLD + 1), secret: false };

    #[test]
    fn only_large_reads_without_secrets_are_compressed() {
        let gzip = Some("deflate, gzip;q=1.0");
        assert!(applies(gzip, LARGE_READ));
        assert!(applies(gzip, Candidate { length: None, ..LARGE_READ }));
        assert!(!applies(gzip, Candidate { length: Some(THRESHOLD), ..LARGE_READ }));
        assert!(!applies(gzip, Candidate { read: false, ..LARGE_READ }));
        assert!(!applies(gzip, Candidate { secret: true, ..LARGE_READ }));
    }

    #[test]
    fn only_clients_that_ask_for_it_get_it() {
        for header in
            [None, Some(""), Some("identity"), Some("gzip;q=0"), Some("gzip; q=0.0, br"), Some("xgzip")]
        {
            assert!(!applies(header, LARGE_READ), "{header:?}");
        }
        assert!(applies(Some("GZIP"), LARGE_READ));
    }

    #[test]
    fn what_is_compressed_can_be_unpacked() {
        let body = b"token ".repeat(50_000);
        let packed = compress(&body).unwrap();
        assert!(packed.len() < body.len() / 50);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, body);
    }
}
