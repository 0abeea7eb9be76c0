//! Making tokens.

use super::{KIND_SESSION, TokenRefusal};
use crate::face::Face;
use crate::hash::Salt;
use crate::names::bad_label_value;
use crate::record::{Credential, LegacyTokenRecord, Principal};
use crate::secret::{PlainSecret, Random};
use crate::ttl::{Clamped, Lifetime, Minutes, session};
use crate::verifier::OwnerState;

/// What a client asks for. Name, principal and status are not among it: those of a client are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateToken {
    /// `spec.userID`; empty means the caller. At `/v3` it is ignored: leave it empty.
    pub user_id: String,
    /// `spec.kind`, free-form but a label value.
    pub kind: String,
    /// `spec.description`.
    pub description: String,
    /// `spec.ttl` in milliseconds.
    pub ttl: Option<i64>,
    /// `spec.enabled`; absent means on.
    pub enabled: Option<bool>,
    /// `spec.clusterName`; empty means unrestricted.
    pub cluster: String,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Creator<'a> {
    /// The user name of the request.
    pub name: &'a str,
    /// The user of that name, if there is one.
    pub user: Option<&'a OwnerState>,
    /// What the request authenticated with.
    pub proof: Proof<'a>,
}

/// What a request authenticated with (DEC15).
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// A live token of the user's, itself or named by the extra `requesttokenid`: its principal is handed on.
    Token(&'a Principal),
    /// A direct client-certificate login of that very user: the principal is the user's own.
    Certificate,
    /// `requesttokenid` names no live token of the user's.
    Unknown(&'a str),
    /// None of these.
    Missing,
}

/// What came of looking up `spec.clusterName`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterAccess {
    /// None is named.
    Unrestricted,
    /// There is no such cluster.
    Absent,
    /// The caller may not `get` it.
    Denied,
    /// The caller may.
    Granted,
}

/// A token that was drawn up. The secret leaves in the one reply that creates it.
#[derive(Debug)]
pub struct Created {
    /// What to store.
    pub credential: Credential,
    /// What to show once; not on a dry run.
    pub secret: PlainSecret,
    /// Sentences for `Warning` headers.
    pub warnings: Vec<String>,
}

/// Draws up an ext token. `max` is the maximum in ms, `now_s` effective time in seconds.
///
/// # Errors
/// The first check that fails.
pub fn create(
    asked: &CreateToken,
    by: &Creator<'_>,
    cluster: ClusterAccess,
    max: Option<u64>,
    now_s: i64,
    random: Random<'_>,
) -> Result<Created, TokenRefusal> {
    make(Face::Ext, asked, by, cluster, max, now_s, random)
}

/// Draws up an API key of `/v3/tokens`, by the same rules but for the meaning of ttl (DEC5) and the hash (DEC30). The record is
/// [derived](LegacyTokenRecord::derived); `hashed_mark` is whether the feature `token-hashing` is on.
///
/// # Errors
/// The first check that fails.
pub fn create_legacy(
    asked: &CreateToken,
    by: &Creator<'_>,
    cluster: ClusterAccess,
    max: Option<u64>,
    hashed_mark: bool,
    now_s: i64,
    random: Random<'_>,
) -> Result<(LegacyTokenRecord, PlainSecret, Vec<String>), TokenRefusal> {
    let Created { credential, secret, warnings } =
        make(Face::Legacy, asked, by, cluster, max, now_s, random)?;
    let auth_provider = credential.principal.provider.clone();
    Ok((LegacyTokenRecord { credential, derived: true, auth_provider, hashed_mark }, secret, warnings))
}

/// Draws up the token of a login that has succeeded: a legacy one of kind `session`, with the session's ttl whatever the maximum.
#[must_use]
pub fn login(
    user: &str,
    state: &OwnerState,
    description: &str,
    ttl: Minutes,
    hashed_mark: bool,
    now_s: i64,
    random: Random<'_>,
) -> (LegacyTokenRecord, PlainSecret) {
    let asked = CreateToken {
        kind: KIND_SESSION.to_owned(),
        description: description.to_owned(),
        ..CreateToken::default()
    };
    let principal = Principal::local(user, &state.username, &state.display_name);
    let (credential, secret) =
        mint(Face::Legacy, &asked, user, state, principal, session(ttl), now_s, random);
    let auth_provider = credential.principal.provider.clone();
    (LegacyTokenRecord { credential, derived: false, auth_provider, hashed_mark }, secret)
}

/// Whether somebody may have a token of their own, whatever is asked of it; and who its owner is to the authentication provider (DEC15).
///
/// # Errors
/// The first check that fails.
pub fn entitled<'a>(by: &Creator<'a>) -> Result<(&'a OwnerState, Principal), TokenRefusal> {
    let user = rancher_user(by)?;
    Ok((user, handed_on(by, user)?))
}

fn rancher_user<'a>(by: &Creator<'a>) -> Result<&'a OwnerState, TokenRefusal> {
    by.user.filter(|_| !by.name.contains(':')).ok_or_else(|| TokenRefusal::NotRancherUser(by.name.to_owned()))
}

fn handed_on(by: &Creator<'_>, user: &OwnerState) -> Result<Principal, TokenRefusal> {
    if !user.enabled || user.deleted {
        return Err(TokenRefusal::DisabledUser);
    }
    match by.proof {
        Proof::Token(principal) => Ok(principal.clone()),
        Proof::Certificate => Ok(Principal::local(by.name, &user.username, &user.display_name)),
        Proof::Unknown(id) => Err(TokenRefusal::UnknownToken(id.to_owned())),
        Proof::Missing => Err(TokenRefusal::MissingTokenId),
    }
}

fn make(
    face: Face,
    asked: &CreateToken,
    by: &Creator<'_>,
    cluster: ClusterAccess,
    max: Option<u64>,
    now_s: i64,
    random: Random<'_>,
) -> Result<Created, TokenRefusal> {
    let user = rancher_user(by)?;
    if !asked.user_id.is_empty() && asked.user_id != by.name {
        return Err(TokenRefusal::OtherUser);
    }
    let principal = handed_on(by, user)?;
    match cluster {
        ClusterAccess::Absent => return Err(TokenRefusal::ClusterNotFound(asked.cluster.clone())),
        ClusterAccess::Denied => {
            return Err(TokenRefusal::ClusterDenied {
                user: by.name.to_owned(),
                cluster: asked.cluster.clone(),
            });
        }
        // A caller of this function that looked nothing up although a cluster is named must not open a door.
        ClusterAccess::Unrestricted if !asked.cluster.is_empty() => {
            return Err(TokenRefusal::ClusterNotFound(asked.cluster.clone()));
        }
        ClusterAccess::Unrestricted | ClusterAccess::Granted => {}
    }
    if let Some(message) = bad_label_value(&asked.kind) {
        return Err(TokenRefusal::Invalid { field: "spec.kind", value: asked.kind.clone(), message });
    }
    let Clamped { lifetime, warning } = face.clamp(asked.ttl, max)?;
    let (credential, secret) = mint(face, asked, by.name, user, principal, lifetime, now_s, random);
    Ok(Created { credential, secret, warnings: warning.into_iter().collect() })
}

#[expect(clippy::too_many_arguments, reason = "the parts of a credential, from as many sources")]
pub(super) fn mint(
    face: Face,
    asked: &CreateToken,
    owner: &str,
    user: &OwnerState,
    principal: Principal,
    lifetime: Lifetime,
    now_s: i64,
    random: Random<'_>,
) -> (Credential, PlainSecret) {
    let secret = PlainSecret::token(random);
    let mut salt = Salt::default();
    random(&mut salt);
    let credential = Credential {
        owner: owner.to_owned(),
        owner_uid: user.uid,
        hash: face.hash(&secret, salt),
        lifetime,
        enabled: asked.enabled.unwrap_or(true),
        cluster: asked.cluster.clone(),
        session: asked.kind == KIND_SESSION,
        principal,
        kind: asked.kind.clone(),
        description: asked.description.clone(),
        last_update_s: now_s,
    };
    (credential, secret)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::super::RefusalKind;
    use super::*;
    use crate::testing::{owner_state, random};

    const DAY: u64 = 86_400_000;

    fn ask() -> CreateToken {
        CreateToken::default()
    }

    fn try_create(
        asked: &CreateToken,
        by: &Creator<'_>,
        cluster: ClusterAccess,
    ) -> Result<Created, TokenRefusal> {
        create(asked, by, cluster, Some(90 * DAY), 1000, &mut random())
    }

    fn refusal(asked: &CreateToken, by: &Creator<'_>, cluster: ClusterAccess) -> (String, RefusalKind) {
        let refusal = try_create(asked, by, cluster).unwrap_err();
        (refusal.to_string(), refusal.kind())
    }

    #[test]
    fn an_empty_request_makes_a_token_of_the_caller_with_the_maximum_ttl() {
        let user = owner_state();
        let principal =
            Principal { name: "github_user://7".into(), provider: "github".into(), ..Principal::default() };
        let by = Creator { name: "user-1", user: Some(&user), proof: Proof::Token(&principal) };
        let made = try_create(&ask(), &by, ClusterAccess::Unrestricted).unwrap();
        assert_eq!((made.credential.owner.as_str(), made.credential.owner_uid), ("user-1", user.uid));
        assert_eq!((made.credential.lifetime, made.credential.enabled), (Lifetime::For(90 * DAY), true));
        assert_eq!(made.credential.principal, principal, "the chain keeps the principal of the login");
        assert_eq!((made.credential.last_update_s, made.credential.session), (1000, false));
        assert_eq!(made.secret.expose().len(), 54);
        assert!(made.credential.hash.verify(made.secret.expose()));
        assert!(made.credential.hash.to_text().starts_with("$3:1:"));
        assert!(made.warnings.is_empty());
    }

    #[test]
    fn wishes_are_granted_within_the_maximum() {
        let user = owner_state();
        let by = Creator { name: "user-1", user: Some(&user), proof: Proof::Certificate };
        let asked = CreateToken {
            user_id: "user-1".into(),
            kind: "session".into(),
            description: "d".into(),
            ttl: Some(9_999_999_999),
            enabled: Some(false),
            cluster: "local".into(),
        };
        let made = try_create(&asked, &by, ClusterAccess::Granted).unwrap();
        let c = &made.credential;
        assert_eq!(
            (c.lifetime, c.enabled, c.session, c.cluster.as_str()),
            (Lifetime::For(90 * DAY), false, true, "local")
        );
        assert_eq!(made.warnings.len(), 1);
        assert_eq!(
            c.principal,
            Principal::local("user-1", "ann", "Ann Smith"),
            "a certificate's principal is the user's own"
        );
    }

    #[test]
    fn who_is_no_user_gets_no_token() {
        let user = owner_state();
        let no_user = Creator { name: "system:admin", user: None, proof: Proof::Certificate };
        let text = ("user system:admin is not a Rancher user".to_owned(), RefusalKind::Forbidden);
        assert_eq!(refusal(&ask(), &no_user, ClusterAccess::Unrestricted), text);
        let colon = Creator { user: Some(&user), ..no_user };
        assert_eq!(refusal(&ask(), &colon, ClusterAccess::Unrestricted), text);
    }

    #[test]
    fn nobody_makes_tokens_for_others() {
        let user = owner_state();
        let by = Creator { name: "user-1", user: Some(&user), proof: Proof::Missing };
        let asked = CreateToken { user_id: "user-2".into(), ..ask() };
        let text = ("unable to create token for other user".to_owned(), RefusalKind::Forbidden);
        assert_eq!(refusal(&asked, &by, ClusterAccess::Absent), text);
    }

    #[test]
    fn a_disabled_or_vanishing_user_gets_no_token() {
        let disabled = OwnerState { enabled: false, ..owner_state() };
        let vanishing = OwnerState { deleted: true, ..owner_state() };
        for user in [disabled, vanishing] {
            let by = Creator { name: "user-1", user: Some(&user), proof: Proof::Missing };
            let text = ("operation references a disabled user".to_owned(), RefusalKind::BadRequest);
            assert_eq!(refusal(&ask(), &by, ClusterAccess::Unrestricted), text);
        }
    }

    #[test]
    fn a_request_without_a_token_of_the_callers_gets_none() {
        let user = owner_state();
        let by = |proof| Creator { name: "user-1", user: Some(&user), proof };
        let missing = ("missing authentication token ID".to_owned(), RefusalKind::Forbidden);
        assert_eq!(refusal(&ask(), &by(Proof::Missing), ClusterAccess::Absent), missing);
        let unknown = (r#"unable to fetch unknown token "token-x""#.to_owned(), RefusalKind::Forbidden);
        assert_eq!(refusal(&ask(), &by(Proof::Unknown("token-x")), ClusterAccess::Absent), unknown);
    }

    #[test]
    fn a_cluster_must_exist_and_be_the_callers() {
        let user = owner_state();
        let by = Creator { name: "user-1", user: Some(&user), proof: Proof::Certificate };
        let asked = CreateToken { cluster: "c-1".into(), ..ask() };
        let absent = ("cluster c-1 not found".to_owned(), RefusalKind::BadRequest);
        assert_eq!(refusal(&asked, &by, ClusterAccess::Absent), absent);
        assert_eq!(refusal(&asked, &by, ClusterAccess::Unrestricted), absent, "not looked up is not granted");
        let denied = ("user user-1 is not allowed to access cluster c-1".to_owned(), RefusalKind::Forbidden);
        assert_eq!(refusal(&asked, &by, ClusterAccess::Denied), denied);
    }

    #[test]
    fn a_kind_that_cannot_be_a_label_is_refused() {
        let user = owner_state();
        let by = Creator { name: "user-1", user: Some(&user), proof: Proof::Certificate };
        let (text, kind) =
            refusal(&CreateToken { kind: "a b".into(), ..ask() }, &by, ClusterAccess::Unrestricted);
        assert!(text.starts_with(r#"spec.kind: Invalid value: "a b": a valid label must be"#), "{text}");
        assert_eq!(kind, RefusalKind::Invalid);
    }

    #[test]
    fn a_legacy_key_has_a_sha256_hash_and_takes_no_negative_ttl() {
        let user = owner_state();
        let by = Creator { name: "user-1", user: Some(&user), proof: Proof::Certificate };
        let make = |ttl| {
            create_legacy(
                &CreateToken { ttl, ..ask() },
                &by,
                ClusterAccess::Unrestricted,
                None,
                true,
                5,
                &mut random(),
            )
        };
        let (record, secret, _) = make(Some(0)).unwrap();
        assert_eq!(record.credential.lifetime, Lifetime::Forever);
        assert!(record.derived && record.hashed_mark && record.auth_provider == "local");
        assert!(
            record.credential.hash.to_text().starts_with("$2:")
                && record.credential.hash.verify(secret.expose())
        );
        assert_eq!(make(Some(-1)).unwrap_err().kind(), RefusalKind::MinLimitExceeded);
    }

    #[test]
    fn a_login_has_the_sessions_ttl_whatever_the_maximum() {
        let ttl = Minutes::parse("960").unwrap();
        let (record, _) = login("user-1", &owner_state(), "", ttl, false, 5, &mut random());
        assert_eq!(record.credential.lifetime, Lifetime::For(57_600_000));
        assert!(record.credential.session && !record.derived && record.credential.kind == "session");
        let (record, _) = login("user-1", &owner_state(), "", Minutes::default(), false, 5, &mut random());
        assert_eq!(record.credential.lifetime, Lifetime::Forever);
    }

    #[test]
    fn two_tokens_share_no_secret() {
        let user = owner_state();
        let by = Creator { name: "user-1", user: Some(&user), proof: Proof::Certificate };
        let mut random = random();
        let mut next = || create(&ask(), &by, ClusterAccess::Unrestricted, None, 0, &mut random).unwrap();
        let (a, b) = (next(), next());
        assert_ne!(a.secret.expose(), b.secret.expose());
        assert_ne!(a.credential.hash, b.credential.hash);
    }
}
