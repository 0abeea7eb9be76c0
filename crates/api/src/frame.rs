//! The stored value of an object: `[1u8 version][u32 LE body length][body][Meta]`.
//!
//! ```text
//! +---------+-------------+------------------+---------------------+
//! | 1 byte  |   4 bytes   |   length bytes   |   the rest          |
//! | version | body length | the kind's body  | postcard of Meta    |
//! +---------+-------------+------------------+---------------------+
//! ```
//!
//! The body comes first because the verifier's table, which reads every token at start, needs no more than it; both halves can be read without
//! decoding the other.

use crate::meta::{Head, Meta};

/// The version that [`frame`] writes and the highest that [`split`] reads.
pub const VERSION: u8 = 1;

const HEADER: usize = 5;

/// Joins a kind's encoded body with the common part.
///
/// A body of 4 GiB or more cannot be framed and gives a value that [`split`] refuses; the store's limit of 512 KiB a value makes that impossible.
#[must_use]
pub fn frame(body: &[u8], meta: &Meta) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body.len() + 96);
    out.push(VERSION);
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(body);
    meta.encode_into(out)
}

/// The body and the bytes of the common part; `None` for another version or a cut value.
#[must_use]
pub fn split(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = value.split_first_chunk::<HEADER>()?;
    let [version, a, b, c, d] = *header;
    if version != VERSION {
        return None;
    }
    rest.split_at_checked(usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?)
}

/// The common part, whole.
#[must_use]
pub fn meta(value: &[u8]) -> Option<Meta> {
    Meta::decode(split(value)?.1)
}

/// The first fields of the common part, without allocating.
#[must_use]
pub fn head(value: &[u8]) -> Option<Head> {
    Meta::decode_head(split(value)?.1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;
    use crate::meta::{Managed, OwnerReference, Uid};

    fn sample() -> Meta {
        Meta {
            uid: Uid::from_random([9; 16]),
            created_s: 1_780_000_000,
            generation: 3,
            deleted_s: Some(1_780_000_100),
            generate_name: "token-".into(),
            labels: [("a".to_owned(), "b".to_owned())].into(),
            annotations: [("c".to_owned(), "d".to_owned())].into(),
            finalizers: vec!["x.y/z".into()],
            owners: vec![OwnerReference {
                api_version: "v1".into(),
                kind: "ConfigMap".into(),
                name: "n".into(),
                uid: "u".into(),
                controller: Some(true),
                block_owner_deletion: None,
            }],
            managed: vec![Managed {
                manager: "kubectl".into(),
                apply: true,
                api_version: "ext.cattle.io/v1".into(),
                time_s: 1,
                subresource: String::new(),
                fields: vec![1, 2, 3],
            }],
        }
    }

    #[test]
    fn both_halves_come_back() {
        let value = frame(b"body", &sample());
        assert_eq!(split(&value).unwrap().0, b"body");
        assert_eq!(meta(&value), Some(sample()));
        assert_eq!(
            head(&value),
            Some(Head { uid: Uid::from_random([9; 16]), created_s: 1_780_000_000, deleted: true })
        );
    }

    #[test]
    fn an_unknown_version_is_not_read() {
        let mut value = frame(b"body", &sample());
        value[0] = 2;
        assert_eq!(split(&value), None);
        assert_eq!(head(&value), None);
    }

    proptest! {
        #[test]
        fn damaged_values_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (split(&bytes), meta(&bytes), head(&bytes));
        }
    }

    #[test]
    fn every_cut_of_a_value_is_refused() {
        let whole = frame(b"body", &sample());
        for cut in 0..whole.len() {
            assert_eq!(meta(&whole[..cut]), None, "cut at {cut}");
        }
    }
}
