//! The part of a stored object that every kind has in common: what `metadata` shows, as a compact binary record.
//!
//! Name, namespace and resource version are not in here: the storage key and the entry's revision carry them.
//! Encoded with postcard, so **field order is the format**: fields are only ever appended to [`Meta`], and the version byte of the
//! [frame](crate::frame) says how many of them a record has.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An object's unique id: 16 bytes, shown as a lower-case UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uid([u8; 16]);

impl Uid {
    /// A version 4 (random) UUID made of 16 random bytes.
    #[must_use]
    pub const fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// The id as it was stored, taken as it is.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: ids are shown with every object and every request.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(36);
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or_default()));
            }
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not a lower-case UUID of the form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadUid;

impl fmt::Display for BadUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a UUID")
    }
}

impl std::error::Error for BadUid {}

impl FromStr for Uid {
    type Err = BadUid;

    /// Upper-case digits are refused: uids are compared as text by clients, so only one spelling may exist.
    fn from_str(text: &str) -> Result<Self, BadUid> {
        if text.len() != 36 {
            return Err(BadUid);
        }
        let mut bytes = [0u8; 16];
        let mut nibbles = bytes.iter_mut();
        let mut high: Option<u8> = None;
        for (i, c) in text.bytes().enumerate() {
            if matches!(i, 8 | 13 | 18 | 23) {
                if c != b'-' {
                    return Err(BadUid);
                }
                continue;
            }
            let digit = match c {
                b'0'..=b'9' => c - b'0',
                b'a'..=b'f' => c - b'a' + 10,
                _ => return Err(BadUid),
            };
            match high.take() {
                None => high = Some(digit),
                Some(h) => *nibbles.next().ok_or(BadUid)? = h << 4 | digit,
            }
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Uid {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { self.0.serialize(s) }
    }
}

impl<'de> Deserialize<'de> for Uid {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            String::deserialize(d)?.parse().map_err(D::Error::custom)
        } else {
            <[u8; 16]>::deserialize(d).map(Self)
        }
    }
}

/// What all stored objects have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meta {
    /// Unique for all time; a re-created object of the same name has another one.
    pub uid: Uid,
    /// Creation time in whole seconds since 1970 (UTC), as `metadata.creationTimestamp` shows it.
    pub created_s: i64,
    /// Moves when anything but metadata and status changed; starts at 1.
    pub generation: u64,
    /// When deletion was asked for, in seconds since 1970; set while finalizers hold the object.
    pub deleted_s: Option<i64>,
    /// `metadata.generateName` as given at creation; empty if none was.
    pub generate_name: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.finalizers`, in the order given.
    pub finalizers: Vec<String>,
    /// `metadata.ownerReferences`, in the order given.
    pub owners: Vec<OwnerReference>,
    /// `metadata.managedFields`, sorted as shown.
    pub managed: Vec<Managed>,
}

/// An entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnerReference {
    /// `group/version` of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Uid of the owner, as text: owners may live in other clusters' stores.
    pub uid: String,
    /// Whether this owner is the managing controller.
    pub controller: Option<bool>,
    /// Whether a foreground deletion of the owner waits for this object.
    pub block_owner_deletion: Option<bool>,
}

/// An entry of `metadata.managedFields`: who last set which fields.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Managed {
    /// The field manager's name (128 characters at most).
    pub manager: String,
    /// Operation `Apply` (true) or `Update` (false).
    pub apply: bool,
    /// The version of the object that `fields` is about.
    pub api_version: String,
    /// When the set last changed, in seconds since 1970.
    pub time_s: i64,
    /// The subresource the write went to; empty for the object itself.
    pub subresource: String,
    /// The owned fields as a compact path set (encoded by eartag-apiserver's `managed`).
    pub fields: Vec<u8>,
}

/// The first fields of a [`Meta`], which are all that most reads on hot paths need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// See [`Meta::uid`].
    pub uid: Uid,
    /// See [`Meta::created_s`].
    pub created_s: i64,
    /// Whether deletion was asked for ([`Meta::deleted_s`] is set).
    pub deleted: bool,
}

impl Meta {
    /// Appends the record's bytes to `out`.
    pub fn encode_into(&self, out: Vec<u8>) -> Vec<u8> {
        // Growing a Vec cannot fail, and nothing in here is a sequence of unknown length, which are postcard's two errors.
        postcard::to_extend(self, out).unwrap_or_default()
    }

    /// Reads a record; `None` if it is cut or damaged. Bytes behind the known fields are those of a newer version and are left alone.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::take_from_bytes(bytes).ok().map(|(meta, _)| meta)
    }

    /// Reads only the head: no allocation.
    #[must_use]
    pub fn decode_head(bytes: &[u8]) -> Option<Head> {
        type First = (Uid, i64, u64, Option<i64>);
        let ((uid, created_s, _, deleted_s), _) = postcard::take_from_bytes::<First>(bytes).ok()?;
        Some(Head { uid, created_s, deleted: deleted_s.is_some() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_uid_is_a_lower_case_version_4_uuid() {
        let uid = Uid::from_random([0xff; 16]);
        assert_eq!(uid.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(Uid::from_random([0; 16]).to_string(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uid.to_string().parse(), Ok(uid));
    }

    #[test]
    fn a_uid_has_only_one_spelling() {
        for bad in [
            "",
            "FFFFFFFF-ffff-4fff-bfff-ffffffffffff",
            "ffffffffffff-4fff-bfff-ffff-ffffffff",
            "ffffffff-ffff-4fff-bfff-fffffffffffg",
            "ffffffff-ffff-4fff-bfff-ffffffffffff0",
            "ffffffff-ffff-4fff-bfff-ffffffffffé",
            "{fffffff-ffff-4fff-bfff-fffffffffff}",
        ] {
            assert_eq!(bad.parse::<Uid>(), Err(BadUid), "{bad}");
        }
    }

    #[test]
    fn a_plain_token_meta_is_small() {
        let meta = Meta {
            uid: Uid::from_random([1; 16]),
            created_s: 1_780_000_000,
            generation: 1,
            ..Meta::default()
        };
        let bytes = meta.encode_into(Vec::new());
        assert!(bytes.len() <= 32, "{} bytes", bytes.len());
        assert_eq!(Meta::decode(&bytes), Some(meta));
    }

    #[test]
    fn a_record_with_appended_fields_can_still_be_read() {
        let meta = Meta { finalizers: vec!["a/b".into()], ..Meta::default() };
        let mut bytes = meta.encode_into(Vec::new());
        bytes.extend([7, 8, 9]);
        assert_eq!(Meta::decode(&bytes), Some(meta));
    }
}
