//! Changing tokens.

use eartag_api::meta::Uid;

use super::TokenRefusal;
use crate::duration::{human_duration, ttl_cell};
use crate::face::Face;
use crate::record::{Credential, Principal};
use crate::ttl::{Lifetime, MAX_SETTING, NegativeTtl, clamp, wish};

/// What a write says. `None` means that it says nothing of the member, which then stays (DEC7).
#[derive(Debug, Clone, Copy, Default)]
pub struct UpdateToken<'a> {
    /// `metadata.uid`.
    pub uid: Option<&'a str>,
    /// `spec.userID`.
    pub user_id: Option<&'a str>,
    /// `spec.kind`.
    pub kind: Option<&'a str>,
    /// `spec.userPrincipal`.
    pub principal: Option<&'a Principal>,
    /// `spec.clusterName`.
    pub cluster: Option<&'a str>,
    /// `spec.description`. A PUT that leaves it out means the empty one: the caller decides.
    pub description: Option<&'a str>,
    /// `spec.ttl` in milliseconds; 0 says nothing either.
    pub ttl: Option<i64>,
    /// `spec.enabled`.
    pub enabled: Option<bool>,
}

/// What the token's record does not hold itself.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Its face.
    pub face: Face,
    /// Its uid.
    pub uid: Uid,
    /// Its creation time in seconds since 1970.
    pub created_s: i64,
    /// Whether the owner is enabled ([`Verifier::owner_enabled`](crate::Verifier::owner_enabled)).
    pub owner_enabled: bool,
    /// Whether the writer has full access (DEC13): they may extend.
    pub full_access: bool,
}

/// A token after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// What to store. If it is [the same](Credential::same_as) as before and the metadata is, nothing is written (DEC11).
    pub credential: Credential,
    /// Sentences for `Warning` headers.
    pub warnings: Vec<String>,
}

/// What reads show as `enabled` (DEC8): the token's own switch, but off while the owner is disabled.
#[must_use]
pub const fn shown_enabled(credential: &Credential, owner_enabled: bool) -> bool {
    credential.enabled && owner_enabled
}

/// Applies a write. `max` is the maximum in ms, `now_ms` effective time.
///
/// # Errors
/// The first check that fails.
pub fn update(
    old: &Credential,
    at: &Standing,
    asked: &UpdateToken<'_>,
    max: Option<u64>,
    now_ms: u64,
) -> Result<Updated, TokenRefusal> {
    immutables(old, at, asked)?;
    let (lifetime, warning) = lifetime(old.lifetime, at, asked.ttl, max, now_ms)?;
    let shown = shown_enabled(old, at.owner_enabled);
    let enabled = asked.enabled.filter(|asked| *asked != shown).unwrap_or(old.enabled);
    let credential = Credential {
        lifetime,
        enabled,
        description: asked.description.unwrap_or(&old.description).to_owned(),
        last_update_s: crate::time::seconds(now_ms),
        ..old.clone()
    };
    Ok(Updated { credential, warnings: warning.into_iter().collect() })
}

fn immutables(old: &Credential, at: &Standing, asked: &UpdateToken<'_>) -> Result<(), TokenRefusal> {
    let changed = |asked: Option<&str>, is: &str| asked.is_some_and(|asked| asked != is);
    let checks = [
        (changed(asked.uid, &at.uid.to_string()), "meta.UID"),
        (changed(asked.user_id, &old.owner), "spec.userID"),
        (changed(asked.kind, &old.kind), "spec.kind"),
        (asked.principal.is_some_and(|principal| *principal != old.principal), "spec.userprincipal"),
        (changed(asked.cluster, &old.cluster), "spec.clusterName"),
    ];
    match checks.into_iter().find(|(changed, _)| *changed) {
        Some((_, member)) => Err(TokenRefusal::Immutable(member)),
        None => Ok(()),
    }
}

/// DEC4. Clamping happens only when the client changes ttl, and what is longer than the maximum already is never shortened by a
/// wish for more.
fn lifetime(
    old: Lifetime,
    at: &Standing,
    asked: Option<i64>,
    max: Option<u64>,
    now_ms: u64,
) -> Result<(Lifetime, Option<String>), TokenRefusal> {
    let Some(asked) = asked.filter(|asked| *asked != 0 && *asked != at.face.shown_ttl(old)) else {
        return Ok((old, None));
    };
    if at.face == Face::Legacy && asked < 0 {
        return Err(NegativeTtl.into());
    }
    let wish = wish(asked);
    if wish == old {
        return Ok((old, None));
    }
    let clamped = clamp(Some(asked), max);
    if !wish.outlives(old) {
        return Ok((clamped.lifetime, clamped.warning));
    }
    if !clamped.lifetime.outlives(old) {
        return Ok((old, Some(kept(asked, old, max))));
    }
    if old.expired(at.created_s, now_ms) {
        return Err(TokenRefusal::Expired);
    }
    if !at.full_access {
        return Err(TokenRefusal::Extend);
    }
    Ok((clamped.lifetime, clamped.warning))
}

fn kept(asked: i64, old: Lifetime, max: Option<u64>) -> String {
    let max = human_duration(max.and_then(|max| i64::try_from(max).ok()).unwrap_or(i64::MAX));
    format!(
        "ttl was not changed to {asked} ms but stays at {}: the maximum set by {MAX_SETTING} is {max}",
        ttl_cell(old)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::super::RefusalKind;
    use super::*;
    use crate::testing::credential;

    const DAY: u64 = 86_400_000;
    const MAX: u64 = 90 * DAY;
    const NOW: u64 = 1_780_000_000_000;

    fn at(full_access: bool) -> Standing {
        Standing {
            face: Face::Ext,
            uid: Uid::from_random([5; 16]),
            created_s: 1_780_000_000,
            owner_enabled: true,
            full_access,
        }
    }

    fn living(lifetime: Lifetime) -> Credential {
        Credential { lifetime, ..credential("user-1") }
    }

    fn ttl(
        old: Lifetime,
        asked: i64,
        max: Option<u64>,
        full_access: bool,
    ) -> Result<(Lifetime, bool), TokenRefusal> {
        let asked = UpdateToken { ttl: Some(asked), ..UpdateToken::default() };
        let done = update(&living(old), &at(full_access), &asked, max, NOW)?;
        Ok((done.credential.lifetime, !done.warnings.is_empty()))
    }

    #[test]
    fn a_write_that_says_nothing_changes_nothing() {
        let old = living(Lifetime::For(400 * DAY));
        let done = update(&old, &at(false), &UpdateToken::default(), Some(MAX), NOW + 5000).unwrap();
        assert!(done.credential.same_as(&old) && done.warnings.is_empty());
        assert_eq!(done.credential.last_update_s, 1_780_000_005);
    }

    #[test]
    fn writing_back_what_was_shown_changes_nothing() {
        for lifetime in
            [Lifetime::Forever, Lifetime::For(400 * DAY), Lifetime::For(u64::MAX), Lifetime::For(1)]
        {
            for face in Face::ALL {
                for owner_enabled in [true, false] {
                    for enabled in [true, false] {
                        let old = Credential { enabled, ..living(lifetime) };
                        let at = Standing { face, owner_enabled, ..at(false) };
                        let uid = at.uid.to_string();
                        let asked = UpdateToken {
                            uid: Some(&uid),
                            user_id: Some(&old.owner),
                            kind: Some(&old.kind),
                            principal: Some(&old.principal),
                            cluster: Some(&old.cluster),
                            description: Some(&old.description),
                            ttl: Some(face.shown_ttl(lifetime)),
                            enabled: Some(shown_enabled(&old, owner_enabled)),
                        };
                        let done = update(&old, &at, &asked, Some(MAX), NOW).unwrap();
                        assert!(
                            done.credential.same_as(&old) && done.warnings.is_empty(),
                            "{lifetime:?} {face:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn immutable_members_are_refused_in_order_with_the_references_texts() {
        let old = credential("user-1");
        let other = Principal { profile_url: "https://x".into(), ..old.principal.clone() };
        let mut asked = UpdateToken {
            uid: Some("x"),
            user_id: Some("user-2"),
            kind: Some("session"),
            principal: Some(&other),
            cluster: Some("local"),
            ttl: Some(i64::MAX),
            ..UpdateToken::default()
        };
        let text = |asked: &UpdateToken<'_>| {
            let refusal = update(&old, &at(true), asked, None, NOW).unwrap_err();
            assert_eq!(refusal.kind(), RefusalKind::BadRequest);
            refusal.to_string()
        };
        assert_eq!(text(&asked), "meta.UID is immutable");
        asked.uid = None;
        assert_eq!(text(&asked), "spec.userID is immutable");
        asked.user_id = None;
        assert_eq!(text(&asked), "spec.kind is immutable");
        asked.kind = None;
        assert_eq!(text(&asked), "spec.userprincipal is immutable");
        asked.principal = None;
        assert_eq!(text(&asked), "spec.clusterName is immutable");
    }

    #[test]
    fn a_user_cannot_extend_ttl() {
        let refusal = ttl(Lifetime::For(DAY), (2 * DAY).cast_signed(), Some(MAX), false).unwrap_err();
        assert_eq!(
            (refusal.to_string().as_str(), refusal.kind()),
            ("forbidden to extend time-to-live", RefusalKind::BadRequest)
        );
        assert_eq!(ttl(Lifetime::For(DAY), -1, None, false), Err(TokenRefusal::Extend));
        assert_eq!(ttl(Lifetime::For(DAY), -1, Some(MAX), false), Err(TokenRefusal::Extend));
    }

    #[test]
    fn a_user_can_shorten_ttl() {
        assert_eq!(ttl(Lifetime::For(DAY), 100_000, Some(MAX), false), Ok((Lifetime::For(100_000), false)));
        assert_eq!(ttl(Lifetime::Forever, 100_000, None, false), Ok((Lifetime::For(100_000), false)));
    }

    #[test]
    fn an_admin_extends_up_to_the_maximum_with_a_warning() {
        assert_eq!(
            ttl(Lifetime::For(DAY), (2 * DAY).cast_signed(), Some(MAX), true),
            Ok((Lifetime::For(2 * DAY), false))
        );
        assert_eq!(ttl(Lifetime::For(DAY), 9_999_999_999, Some(MAX), true), Ok((Lifetime::For(MAX), true)));
        assert_eq!(ttl(Lifetime::For(DAY), -1, None, true), Ok((Lifetime::Forever, false)));
    }

    #[test]
    fn asking_above_the_maximum_when_already_at_it_changes_nothing() {
        assert_eq!(ttl(Lifetime::For(MAX), 9_999_999_999, Some(MAX), false), Ok((Lifetime::For(MAX), true)));
        assert_eq!(ttl(Lifetime::For(MAX), -1, Some(MAX), true), Ok((Lifetime::For(MAX), true)));
    }

    #[test]
    fn what_exceeds_a_lowered_maximum_is_clamped_only_by_a_wish_for_less() {
        let long = Lifetime::For(200 * DAY);
        assert_eq!(
            ttl(long, (300 * DAY).cast_signed(), Some(MAX), true),
            Ok((long, true)),
            "a wish for more shortens nothing"
        );
        assert_eq!(ttl(long, (150 * DAY).cast_signed(), Some(MAX), false), Ok((Lifetime::For(MAX), true)));
        assert_eq!(
            ttl(Lifetime::Forever, (150 * DAY).cast_signed(), Some(MAX), false),
            Ok((Lifetime::For(MAX), true))
        );
    }

    #[test]
    fn zero_says_nothing_on_either_face() {
        assert_eq!(ttl(Lifetime::For(DAY), 0, Some(MAX), false), Ok((Lifetime::For(DAY), false)));
        let legacy = Standing { face: Face::Legacy, ..at(false) };
        let zero = UpdateToken { ttl: Some(0), ..UpdateToken::default() };
        let old = living(Lifetime::For(DAY));
        assert!(update(&old, &legacy, &zero, None, NOW).unwrap().credential.same_as(&old));
        let negative = UpdateToken { ttl: Some(-1), ..UpdateToken::default() };
        assert_eq!(
            update(&old, &legacy, &negative, None, NOW).unwrap_err().kind(),
            RefusalKind::MinLimitExceeded
        );
    }

    #[test]
    fn an_expired_token_is_final_even_for_admins() {
        let old = living(Lifetime::For(1000));
        let asked = UpdateToken { ttl: Some(DAY.cast_signed()), ..UpdateToken::default() };
        assert_eq!(update(&old, &at(true), &asked, Some(MAX), NOW + 1000), Err(TokenRefusal::Expired));
        assert!(update(&old, &at(true), &asked, Some(MAX), NOW + 999).is_ok());
        let described = UpdateToken { description: Some("gone"), ..UpdateToken::default() };
        assert_eq!(
            update(&old, &at(true), &described, Some(MAX), NOW + 1000).unwrap().credential.description,
            "gone"
        );
    }

    #[test]
    fn a_write_of_the_shown_switch_leaves_the_own_one_alone() {
        let on = credential("user-1");
        let disabled_owner = Standing { owner_enabled: false, ..at(false) };
        let write = |old: &Credential, at: &Standing, enabled| {
            let asked = UpdateToken { enabled: Some(enabled), ..UpdateToken::default() };
            update(old, at, &asked, None, NOW).unwrap().credential.enabled
        };
        assert!(write(&on, &disabled_owner, false), "shown as off, written as off: stays on");
        assert!(write(&on, &disabled_owner, true));
        assert!(!write(&on, &at(false), false));
        let off = Credential { enabled: false, ..on };
        assert!(!write(&off, &disabled_owner, false));
        assert!(write(&off, &disabled_owner, true), "a change of what is shown is a change");
    }

    fn any_lifetime() -> impl Strategy<Value = Lifetime> {
        prop_oneof![
            Just(Lifetime::Forever),
            (0u64..400 * DAY).prop_map(Lifetime::For),
            any::<u64>().prop_map(Lifetime::For)
        ]
    }

    fn any_ttl() -> impl Strategy<Value = i64> {
        prop_oneof![Just(-1i64), Just(0), 0i64..40_000_000_000, any::<i64>()]
    }

    proptest! {
        #[test]
        fn no_update_by_a_user_ever_extends(old in any_lifetime(), asked in any_ttl(), max in proptest::option::of(1u64..500 * DAY)) {
            if let Ok((new, _)) = ttl(old, asked, max, false) {
                prop_assert!(!new.outlives(old));
            }
        }

        #[test]
        fn no_update_makes_a_token_outlive_the_maximum(old in any_lifetime(), asked in any_ttl(), max in 1u64..500 * DAY, full: bool) {
            if let Ok((new, _)) = ttl(old, asked, Some(max), full) {
                prop_assert!(new == old || !new.outlives(Lifetime::For(max)));
            }
        }

        #[test]
        fn no_update_revives(old in any_lifetime(), asked in any_ttl(), max in proptest::option::of(1u64..500 * DAY), later in 0u64..1000 * DAY) {
            let asked = UpdateToken { ttl: Some(asked), ..UpdateToken::default() };
            let now = NOW + later;
            if old.expired(1_780_000_000, now) && let Ok(done) = update(&living(old), &at(true), &asked, max, now) {
                prop_assert!(done.credential.lifetime.expired(1_780_000_000, now));
            }
        }
    }
}
