//! Reporting activity on a login token, which is what its idle timeout counts from (`useractivities.ext.cattle.io`,
//! ext-token.md §8).

use crate::record::Credential;
use crate::time::{millis, seconds};
use crate::verifier::{Accepted, is_idle};

/// The token that activity is reported on.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its credential.
    pub credential: &'a Credential,
    /// Its authentication provider: of ext tokens the principal's, of legacy ones their own.
    pub auth_provider: &'a str,
    /// Its creation time in seconds since 1970.
    pub created_s: i64,
    /// The activity recorded so far, in seconds since 1970.
    pub last_activity_s: Option<i64>,
}

/// Why activity is not taken: 403, `Display` is the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActivityRefusal {
    /// The token of the request is somebody else's.
    #[error("users don't match")]
    User,
    /// It was issued by another provider.
    #[error("auth providers don't match")]
    Provider,
    /// It was issued to another principal.
    #[error("user principals don't match")]
    Principal,
    /// The token is no login token.
    #[error("not a session token")]
    NotSession,
    /// The token is switched off.
    #[error("token is disabled")]
    Disabled,
    /// The token is past its time.
    #[error("token is expired")]
    Expired,
    /// The token has idled out already.
    #[error("session idle timeout expired")]
    Idle,
}

/// Activity that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// What to record, in seconds since 1970: never later than now, never earlier than what is recorded.
    pub seen_s: i64,
    /// When the token idles out without more (`status.expiresAt`), in ms since 1970.
    pub expires_ms: u64,
}

/// Judges a report of activity at `seen_s` (absent means now) made with the token `by`.
///
/// # Errors
/// The first check that fails.
pub fn report_activity(
    target: &Target<'_>,
    by: &Accepted,
    seen_s: Option<i64>,
    idle_ms: u64,
    now_ms: u64,
) -> Result<Activity, ActivityRefusal> {
    activity_readable(target, by, idle_ms, now_ms)?;
    let now_s = seconds(now_ms);
    let seen_s = seen_s.unwrap_or(now_s).min(now_s).max(target.last_activity_s.unwrap_or(i64::MIN)).max(0);
    Ok(Activity { seen_s, expires_ms: millis(seen_s).saturating_add(idle_ms) })
}

/// Whether the activity of the token may be read with the token `by`: the same checks.
///
/// # Errors
/// The first check that fails.
pub fn activity_readable(
    target: &Target<'_>,
    by: &Accepted,
    idle_ms: u64,
    now_ms: u64,
) -> Result<(), ActivityRefusal> {
    let token = target.credential;
    let checks = [
        (by.owner == token.owner && by.owner_uid == token.owner_uid, ActivityRefusal::User),
        (by.auth_provider == target.auth_provider, ActivityRefusal::Provider),
        (by.principal.name == token.principal.name, ActivityRefusal::Principal),
        (token.session, ActivityRefusal::NotSession),
        (token.enabled, ActivityRefusal::Disabled),
        (!token.lifetime.expired(target.created_s, now_ms), ActivityRefusal::Expired),
        (!is_idle(target.last_activity_s, idle_ms, now_ms), ActivityRefusal::Idle),
    ];
    checks.into_iter().find(|(good, _)| !good).map_or(Ok(()), |(_, refusal)| Err(refusal))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use eartag_api::meta::Uid;

    use super::*;
    use crate::face::Face;
    use crate::testing::{CREATED_S, credential};

    const NOW: u64 = (CREATED_S as u64) * 1000 + 60_000;
    const IDLE: u64 = 600_000;

    fn session() -> Credential {
        Credential { session: true, ..credential("user-1") }
    }

    fn by() -> Accepted {
        let token = session();
        Accepted {
            name: "token-b".into(),
            face: Face::Ext,
            uid: Uid::from_random([8; 16]),
            owner: token.owner,
            owner_uid: token.owner_uid,
            principal: token.principal,
            auth_provider: "local".into(),
            kind: String::new(),
            cluster: String::new(),
            session: false,
            derived: true,
            expires_ms: None,
            username: "ann".into(),
            display_name: String::new(),
        }
    }

    fn report(
        credential: &Credential,
        by: &Accepted,
        seen_s: Option<i64>,
        last: Option<i64>,
    ) -> Result<Activity, String> {
        let target =
            Target { credential, auth_provider: "local", created_s: CREATED_S, last_activity_s: last };
        report_activity(&target, by, seen_s, IDLE, NOW).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn activity_is_now_at_the_latest_and_never_runs_back() {
        let seen = |seen_s, last| report(&session(), &by(), seen_s, last).unwrap();
        let now_s = CREATED_S + 60;
        assert_eq!(seen(None, None), Activity { seen_s: now_s, expires_ms: NOW + IDLE });
        assert_eq!(seen(Some(now_s + 1000), None).seen_s, now_s);
        assert_eq!(seen(Some(CREATED_S + 5), Some(CREATED_S + 9)).seen_s, CREATED_S + 9);
        assert_eq!(seen(Some(i64::MIN), None).seen_s, 0);
    }

    #[test]
    fn every_mismatch_has_its_text() {
        let text =
            |credential: &Credential, by: &Accepted, last| report(credential, by, None, last).unwrap_err();
        let mut other = by();
        other.owner = "user-2".into();
        assert_eq!(text(&session(), &other, None), "users don't match");
        let mut other = by();
        other.auth_provider = "github".into();
        assert_eq!(text(&session(), &other, None), "auth providers don't match");
        let mut other = by();
        other.principal.name = "local://user-2".into();
        assert_eq!(text(&session(), &other, None), "user principals don't match");
        assert_eq!(text(&credential("user-1"), &by(), None), "not a session token");
        assert_eq!(text(&Credential { enabled: false, ..session() }, &by(), None), "token is disabled");
        let short = Credential { lifetime: crate::Lifetime::For(60_000), ..session() };
        assert_eq!(text(&short, &by(), None), "token is expired");
        assert_eq!(text(&session(), &by(), Some(CREATED_S - 541)), "session idle timeout expired");
    }
}
