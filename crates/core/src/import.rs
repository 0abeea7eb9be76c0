//! Records that were another system's: which of them are fit to be taken over, and as what (DEC30, DEC31).
//!
//! Only rules: the parts come from whoever reads the files. A secret in clear is hashed here and goes no further; a hash is taken as it is, and verifies as it
//! did before.

use crate::Face;
use crate::hash::{Salt, SecretHash};
use crate::names::{ClusterId, TokenName, bad_label_value};
use crate::password::{PasswordHash, ROUNDS};
use crate::record::{Credential, LegacyTokenRecord, Principal, TokenRecord};
use crate::secret::PlainSecret;
use crate::ttl::Lifetime;
use crate::verifier::Presented;
use eartag_api::meta::Uid;

/// The longest description that is taken over, in bytes.
const LONGEST_DESCRIPTION: usize = 64 << 10;

/// Why a record is left behind. `Display` is a reason for people, to go after its name; it never quotes a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A name that no object can have.
    #[error("its name is not one that an object can have")]
    Name,
    /// Nothing to verify with.
    #[error("it has no secret")]
    NoSecret,
    /// A secret that no request could present.
    #[error("its secret is not one that can be presented")]
    Secret,
    /// None of the three formats.
    #[error("its hash is in no known format")]
    Hash,
    /// Nothing to count the time to live from.
    #[error("it has a time to live and no creation time")]
    NoCreation,
    /// It would be refused and purged.
    #[error("it has expired")]
    Expired,
    /// A cluster that cannot be.
    #[error("its cluster is not a name that a cluster can have")]
    Cluster,
    /// A kind that cannot be shown as a label.
    #[error("its kind is not one that a label can hold")]
    Kind,
    /// Larger than any description.
    #[error("its description is longer than 65536 bytes")]
    Description,
    /// A password hash that is not understood, or asks for too much work.
    #[error("its hash is not a PBKDF2 or bcrypt hash that can be used")]
    Password,
}

/// A token as its system kept it. Empty texts stand for what is absent.
#[derive(Debug)]
pub struct ForeignToken<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its secret: in clear, or one of the three text forms of a hash.
    pub secret: &'a PlainSecret,
    /// Whether it is said to be a hash (annotation `token-hashed`). What looks like a hash is never taken for a secret.
    pub hashed: bool,
    /// When it was made, in seconds since 1970.
    pub created_s: Option<i64>,
    /// Time to live in milliseconds, in the sense of its face.
    pub ttl: i64,
    /// Its own switch.
    pub enabled: bool,
    /// The cluster it is restricted to.
    pub cluster: &'a str,
    /// For people.
    pub description: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Made by means of another token, and not by a login.
    pub derived: bool,
    /// The provider by which its owner logged in.
    pub auth_provider: &'a str,
    /// Who that was to the provider; without a name, the owner as a local user.
    pub principal: Principal,
}

/// The user whom a token belongs to, as they are here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// Their name.
    pub name: String,
    /// Their uid.
    pub uid: Uid,
    /// Their login name.
    pub username: String,
    /// Their name for people.
    pub display_name: String,
}

/// A token that is fit: its record, and when it was made.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken<R> {
    /// The record.
    pub record: R,
    /// Creation time, in seconds since 1970.
    pub created_s: i64,
}

/// Takes over a legacy token: a ttl of 0 means never, a negative one has expired (v3-token.md §1.1).
///
/// The maximum does not shorten it: that never shortens what exists (DEC4).
///
/// # Errors
/// [`Unfit`].
pub fn legacy_token(
    from: ForeignToken<'_>,
    owner: &Owner,
    hashed_mark: bool,
    now_ms: u64,
    salt: Salt,
) -> Result<Taken<LegacyTokenRecord>, Unfit> {
    TokenName::parse(from.name).map_err(|_| Unfit::Name)?;
    let lifetime = if from.ttl == 0 { Lifetime::Forever } else { limited(from.ttl)? };
    let hash = legacy_hash(&from, salt)?;
    let (derived, auth_provider) = (from.derived, from.auth_provider.to_owned());
    let Taken { mut record, created_s } = credential(from, owner, hash, lifetime, now_ms)?;
    record.session = !derived;
    let auth_provider =
        if auth_provider.is_empty() { record.principal.provider.clone() } else { auth_provider };
    let record = LegacyTokenRecord { credential: record, derived, auth_provider, hashed_mark };
    Ok(Taken { record, created_s })
}

/// Takes over an ext token: a negative ttl means never, 0 has expired (ext-token.md §1.1, §7.2).
///
/// # Errors
/// [`Unfit`].
pub fn ext_token(from: ForeignToken<'_>, owner: &Owner, now_ms: u64) -> Result<Taken<TokenRecord>, Unfit> {
    let lifetime = if from.ttl < 0 { Lifetime::Forever } else { limited(from.ttl)? };
    if from.secret.expose().is_empty() {
        return Err(Unfit::NoSecret);
    }
    let hash = SecretHash::parse(from.secret.expose()).map_err(|_| Unfit::Hash)?;
    let Taken { record, created_s } = credential(from, owner, hash, lifetime, now_ms)?;
    Ok(Taken { record: TokenRecord { credential: record }, created_s })
}

/// Takes over a local user's password: `scheme` is the annotation `cattle.io/password-hash` (v3-token.md §5.6).
///
/// # Errors
/// [`Unfit::Password`].
pub fn password(scheme: &str, hash: &[u8], salt: &[u8]) -> Result<PasswordHash, Unfit> {
    let taken = match scheme {
        "pbkdf2sha3512" => match (salt.try_into(), hash.try_into()) {
            (Ok(salt), Ok(key)) => Some(PasswordHash::Pbkdf2Sha3_512 { rounds: ROUNDS, salt, key }),
            _ => None,
        },
        "bcrypt" => std::str::from_utf8(hash).ok().and_then(PasswordHash::bcrypt),
        _ => None,
    };
    taken.ok_or(Unfit::Password)
}

fn limited(ttl: i64) -> Result<Lifetime, Unfit> {
    u64::try_from(ttl).ok().filter(|ms| *ms > 0).map(Lifetime::For).ok_or(Unfit::Expired)
}

/// A hash that lost its mark would otherwise become a secret that anybody who saw it could present.
fn legacy_hash(from: &ForeignToken<'_>, salt: Salt) -> Result<SecretHash, Unfit> {
    let secret = from.secret.expose();
    if secret.is_empty() {
        return Err(Unfit::NoSecret);
    }
    if from.hashed || secret.starts_with('$') {
        return SecretHash::parse(secret).map_err(|_| Unfit::Hash);
    }
    let bearer = Face::Legacy.bearer(from.name, from.secret);
    if Presented::parse(bearer.expose()).is_none() {
        return Err(Unfit::Secret);
    }
    Ok(Face::Legacy.hash(from.secret, salt))
}

fn credential(
    from: ForeignToken<'_>,
    owner: &Owner,
    hash: SecretHash,
    lifetime: Lifetime,
    now_ms: u64,
) -> Result<Taken<Credential>, Unfit> {
    TokenName::parse(from.name).map_err(|_| Unfit::Name)?;
    if !from.cluster.is_empty() && ClusterId::parse(from.cluster).is_err() {
        return Err(Unfit::Cluster);
    }
    if bad_label_value(from.kind).is_some() {
        return Err(Unfit::Kind);
    }
    if from.description.len() > LONGEST_DESCRIPTION {
        return Err(Unfit::Description);
    }
    let created_s = match (from.created_s, lifetime) {
        (Some(created_s), _) => created_s,
        (None, Lifetime::Forever) => crate::time::seconds(now_ms),
        (None, Lifetime::For(_)) => return Err(Unfit::NoCreation),
    };
    if lifetime.expired(created_s, now_ms) {
        return Err(Unfit::Expired);
    }
    let principal = if from.principal.name.is_empty() {
        Principal::local(&owner.name, &owner.username, &owner.display_name)
    } else {
        from.principal
    };
    let record = Credential {
        owner: owner.name.clone(),
        owner_uid: owner.uid,
        hash,
        lifetime,
        enabled: from.enabled,
        cluster: from.cluster.to_owned(),
        session: false,
        principal,
        kind: from.kind.to_owned(),
        description: from.description.to_owned(),
        last_update_s: created_s,
    };
    Ok(Taken { record, created_s })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;
    use crate::testing::SECRET;

    const NOW_MS: u64 = 1_800_000_000_000;
    const CREATED_S: i64 = 1_799_999_000;
    const HASHES: [&str; 3] = [
        "$1:0001020304050607:15:8:1:ad4GRcpEv4ccKFtuL03KuT7k++MmHxfBHis8I4/iC06GBs0Hq4SNc9kb7d/IKTvFnIa/90nuY0+pd5jgl/wfxw",
        "$2:AAECAwQFBgc:QLFNCtcJd178x/LpGu0nyMl4wgfkZnUItz9+Bzjda5E",
        "$3:1:AAECAwQFBgc:6TeyLfa09bJiQyni4aFnES+l9h6USloshcn6mE6N/ewJ1rPNVQKtemKjXLEuOu4a7vptyk37cPkFkcA9uE0rMg",
    ];

    fn owner() -> Owner {
        Owner {
            name: "u-ann".into(),
            uid: Uid::from_random([4; 16]),
            username: "ann".into(),
            display_name: "Ann".into(),
        }
    }

    fn token(secret: &PlainSecret) -> ForeignToken<'_> {
        ForeignToken {
            name: "token-abcde",
            secret,
            hashed: false,
            created_s: Some(CREATED_S),
            ttl: 0,
            enabled: true,
            cluster: "",
            description: "",
            kind: "",
            derived: true,
            auth_provider: "local",
            principal: Principal::default(),
        }
    }

    fn legacy(from: ForeignToken<'_>) -> Result<Taken<LegacyTokenRecord>, Unfit> {
        legacy_token(from, &owner(), false, NOW_MS, [7; 8])
    }

    #[test]
    fn a_secret_in_clear_becomes_a_sha256_hash_that_verifies() {
        let secret = PlainSecret::new(SECRET);
        let taken = legacy(token(&secret)).unwrap();
        let hash = taken.record.credential.hash;
        assert!(hash.to_text().starts_with("$2:") && hash.verify(SECRET));
        assert_eq!(taken.created_s, CREATED_S);
    }

    #[test]
    fn all_three_hash_formats_are_taken_as_they_are_and_verify_marked_or_not() {
        for text in HASHES {
            let secret = PlainSecret::new(text);
            for hashed in [true, false] {
                let taken = legacy(ForeignToken { hashed, ..token(&secret) }).unwrap();
                assert_eq!(taken.record.credential.hash.to_text(), text);
                assert!(taken.record.credential.hash.verify(SECRET));
            }
            let ext = ext_token(ForeignToken { ttl: -1, ..token(&secret) }, &owner(), NOW_MS).unwrap();
            assert_eq!(ext.record.credential.hash.to_text(), text);
        }
    }

    #[test]
    fn what_cannot_verify_is_left_behind() {
        for (text, hashed, why) in [
            ("", false, Unfit::NoSecret),
            ("", true, Unfit::NoSecret),
            (SECRET, true, Unfit::Hash),
            ("$4:x", false, Unfit::Hash),
            ("$2:x", true, Unfit::Hash),
            ("a:b", false, Unfit::Secret),
        ] {
            let secret = PlainSecret::new(text);
            assert_eq!(legacy(ForeignToken { hashed, ..token(&secret) }), Err(why), "{text}");
        }
        let clear = PlainSecret::new(SECRET);
        assert_eq!(ext_token(ForeignToken { ttl: -1, ..token(&clear) }, &owner(), NOW_MS), Err(Unfit::Hash));
    }

    #[test]
    fn each_face_counts_ttl_in_its_own_way() {
        let secret = PlainSecret::new(HASHES[1]);
        let both = |ttl, created_s| {
            let from = || ForeignToken { ttl, created_s, ..token(&secret) };
            let ext = ext_token(from(), &owner(), NOW_MS).map(|taken| taken.record.credential.lifetime);
            (legacy(from()).map(|taken| taken.record.credential.lifetime), ext)
        };
        let at = Some(CREATED_S);
        assert_eq!(both(0, at), (Ok(Lifetime::Forever), Err(Unfit::Expired)));
        assert_eq!(both(-1, at), (Err(Unfit::Expired), Ok(Lifetime::Forever)));
        assert_eq!(both(1_000_001, at), (Ok(Lifetime::For(1_000_001)), Ok(Lifetime::For(1_000_001))));
        assert_eq!(both(1_000_000, at), (Err(Unfit::Expired), Err(Unfit::Expired)));
        assert_eq!(both(1_000_000, None), (Err(Unfit::NoCreation), Err(Unfit::NoCreation)));
        assert_eq!(both(0, None).0, Ok(Lifetime::Forever));
    }

    #[test]
    fn everything_about_a_token_comes_along() {
        let secret = PlainSecret::new(SECRET);
        let principal =
            Principal { name: "github_user://7".into(), provider: "github".into(), ..Principal::default() };
        let from = ForeignToken {
            enabled: false,
            cluster: "c-m-p66cdvlj",
            description: "CI",
            kind: "session",
            derived: false,
            auth_provider: "",
            principal: principal.clone(),
            ..token(&secret)
        };
        let record = legacy_token(from, &owner(), true, NOW_MS, [0; 8]).unwrap().record;
        let credential = &record.credential;
        assert_eq!((credential.owner.as_str(), credential.owner_uid), ("u-ann", owner().uid));
        assert_eq!((credential.enabled, credential.session, record.derived), (false, true, false));
        assert_eq!((credential.cluster.as_str(), credential.kind.as_str()), ("c-m-p66cdvlj", "session"));
        assert_eq!((record.auth_provider.as_str(), record.hashed_mark), ("github", true));
        assert_eq!((&credential.principal, credential.last_update_s), (&principal, CREATED_S));
        let local = legacy(token(&secret)).unwrap().record.credential.principal;
        assert_eq!(local, Principal::local("u-ann", "ann", "Ann"));
    }

    #[test]
    fn names_that_nothing_can_have_are_left_behind() {
        let secret = PlainSecret::new(SECRET);
        assert_eq!(legacy(ForeignToken { name: "Token", ..token(&secret) }), Err(Unfit::Name));
        let hashed = PlainSecret::new(HASHES[1]);
        let ext = ext_token(ForeignToken { name: "a b", ttl: -1, ..token(&hashed) }, &owner(), NOW_MS);
        assert_eq!(ext, Err(Unfit::Name));
        assert_eq!(legacy(ForeignToken { cluster: "a b", ..token(&secret) }), Err(Unfit::Cluster));
        assert_eq!(legacy(ForeignToken { kind: "a b", ..token(&secret) }), Err(Unfit::Kind));
        let long = "x".repeat(LONGEST_DESCRIPTION + 1);
        assert_eq!(legacy(ForeignToken { description: &long, ..token(&secret) }), Err(Unfit::Description));
    }

    #[test]
    fn passwords_of_both_schemes_verify_afterwards() {
        let plain = PlainSecret::new("correct horse battery");
        let PasswordHash::Pbkdf2Sha3_512 { salt, key, .. } = PasswordHash::make(&plain, [9; 32]) else {
            panic!()
        };
        assert!(password("pbkdf2sha3512", &key, &salt).unwrap().verify(&plain));
        let text = bcrypt::hash_with_salt("correct horse battery", 4, [3; 16]).unwrap().to_string();
        assert!(password("bcrypt", text.as_bytes(), b"").unwrap().verify(&plain));
        for (scheme, hash, salt) in [
            ("pbkdf2sha3512", &key[1..], &salt[..]),
            ("pbkdf2sha3512", &key[..], &salt[1..]),
            ("bcrypt", b"correct horse battery".as_slice(), b""),
            ("bcrypt", &[0xff], b""),
            ("", &key[..], &salt[..]),
        ] {
            assert_eq!(password(scheme, hash, salt), Err(Unfit::Password), "{scheme}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_verifies_or_is_a_hash_and_nothing_panics(
            secret in "\\PC{0,80}", ttl in any::<i64>(), created in proptest::option::of(any::<i64>()), hashed: bool,
        ) {
            let plain = PlainSecret::new(secret.as_str());
            let from = ForeignToken { ttl, created_s: created, hashed, ..token(&plain) };
            if let Ok(taken) = legacy(from) {
                let hash = taken.record.credential.hash;
                prop_assert!(hash.to_text() == secret || hash.verify(&secret));
                prop_assert!(!taken.record.credential.lifetime.expired(taken.created_s, NOW_MS));
            }
        }
    }
}
