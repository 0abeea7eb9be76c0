//! User retention: which users have been away so long that they are disabled or deleted (v3-token.md §6).
//!
//! A user's time runs from the last login, or from `user-last-login-default` where there was none; a user without either is left alone. Whoever enables a user
//! again gives them the whole time anew. How long it is say the settings, or the user's own attributes, where `0s` exempts. Users of the system and the first administrator always stay.

use crate::duration::parse_go_duration;
use crate::record::{UserAttributeRecord, UserRecord};
use crate::settings::{Cron, Settings};
use crate::time::{millis, seconds};

/// Label that shows a user's last login, in seconds since 1970. Derived, never stored.
pub const LAST_LOGIN_LABEL: &str = "cattle.io/last-login";
/// Label that shows when retention disables the user, in seconds since 1970. Derived, never stored.
pub const DISABLE_AFTER_LABEL: &str = "cattle.io/disable-after";
/// Label that shows when retention deletes the user, in seconds since 1970. Derived, never stored.
pub const DELETE_AFTER_LABEL: &str = "cattle.io/delete-after";

/// The label by which the first administrator is known, and its value.
pub const FIRST_ADMIN: (&str, &str) = ("authz.management.cattle.io/bootstrapping", "admin-user");

/// A user before retention.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The user's record.
    pub user: &'a UserRecord,
    /// Whether the user carries the label [`FIRST_ADMIN`].
    pub first_admin: bool,
    /// What is remembered about this very user.
    pub attributes: Option<&'a UserAttributeRecord>,
}

/// What retention does about a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Keep(Kept),
    /// Disables the user, who can be enabled again.
    Disable(Inactive),
    /// Deletes the user, and with the user all tokens.
    Delete(Inactive),
}

/// Why a user is left alone. `Display` is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// There is no schedule, or neither duration is set.
    #[error("user retention is off")]
    Off,
    /// A user of the system itself.
    #[error("the user is the system's own")]
    System,
    /// The first administrator.
    #[error("the user is the first administrator")]
    FirstAdmin,
    /// Nobody knows of any login.
    #[error("the user never logged in")]
    NoLogin,
    /// Not away for long enough, exempt, or disabled already.
    #[error("nothing is due")]
    NotDue,
}

/// How long a user has been away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inactive {
    /// The last login, in seconds since 1970.
    pub last_login_s: i64,
    /// When the user's time was over, in ms since 1970.
    pub due_ms: u64,
}

/// When it is.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Now, in ms since 1970.
    pub now_ms: u64,
    /// A time that has surely come (DEC58): nothing is deleted for what came later. `None` while the clocks are in doubt.
    pub sure_ms: Option<u64>,
}

/// What becomes of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// Now.
    pub fate: Fate,
    /// The user would be deleted, were the clocks beyond doubt: to be judged again when they are.
    pub waits: bool,
}

/// When a user's time is over, in ms since 1970; `None`: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due {
    /// For being disabled.
    pub disable_ms: Option<u64>,
    /// For being deleted.
    pub delete_ms: Option<u64>,
}

/// Whether retention does anything at all: it needs a schedule and at least one of the durations. Overrides alone do not switch it on.
#[must_use]
pub const fn is_on(settings: &Settings) -> bool {
    settings.retention_cron.is_some()
        && (settings.disable_inactive_after_ms.is_some() || settings.delete_inactive_after_ms.is_some())
}

/// When the user's time is over.
///
/// # Errors
/// Why it never is.
pub fn due(subject: &Subject<'_>, settings: &Settings) -> Result<Due, Kept> {
    let since_s = since(subject, settings)?;
    let own = |text: fn(&UserAttributeRecord) -> &str| subject.attributes.map_or("", text);
    let at = |own: &str, common: Option<u64>| {
        after(own, common).map(|after| millis(since_s).saturating_add(after))
    };
    Ok(Due {
        disable_ms: at(own(|own| &own.disable_after), settings.disable_inactive_after_ms),
        delete_ms: at(own(|own| &own.delete_after), settings.delete_inactive_after_ms),
    })
}

/// What retention does about the user.
#[must_use]
pub fn judge(subject: &Subject<'_>, settings: &Settings, when: Moment) -> Judgement {
    let judged = last_login(subject, settings).and_then(|at| Ok((at, due(subject, settings)?)));
    let (last_login_s, due) = match judged {
        Ok(judged) => judged,
        Err(why) => return Judgement { fate: Fate::Keep(why), waits: false },
    };
    let over = |due: Option<u64>| {
        due.filter(|due_ms| when.now_ms >= *due_ms).map(|due_ms| Inactive { last_login_s, due_ms })
    };
    let delete = over(due.delete_ms);
    let surely = delete.filter(|inactive| when.sure_ms.is_some_and(|sure| sure >= inactive.due_ms));
    let fate = match (surely, over(due.disable_ms)) {
        (Some(inactive), _) => Fate::Delete(inactive),
        (None, Some(inactive)) if subject.user.is_enabled() => Fate::Disable(inactive),
        _ => Fate::Keep(Kept::NotDue),
    };
    Judgement { fate, waits: delete.is_some() && surely.is_none() }
}

fn last_login(subject: &Subject<'_>, settings: &Settings) -> Result<i64, Kept> {
    if !is_on(settings) {
        return Err(Kept::Off);
    }
    if subject.user.is_system() {
        return Err(Kept::System);
    }
    if subject.first_admin {
        return Err(Kept::FirstAdmin);
    }
    let own = subject.attributes.and_then(|own| own.last_login_s);
    own.or(settings.last_login_default_s).ok_or(Kept::NoLogin)
}

/// From when on a user's time away counts.
fn since(subject: &Subject<'_>, settings: &Settings) -> Result<i64, Kept> {
    let login_s = last_login(subject, settings)?;
    let again_s = subject.attributes.and_then(|own| own.enabled_again_s);
    Ok(again_s.map_or(login_s, |again_s| login_s.max(again_s)))
}

/// How long a user may be away, in ms. An override that cannot be read exempts: nobody is deleted for a typing error.
fn after(own: &str, common: Option<u64>) -> Option<u64> {
    if own.is_empty() {
        return common;
    }
    parse_go_duration(own).ok().and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0)
}

/// When retention runs: at the times of the cron schedule that is in force, counted from when it came into force. Times that pass while nobody looks make one run.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    cron: Option<Cron>,
    since_s: i64,
}

impl Schedule {
    /// Without a schedule, from now on (seconds since 1970).
    #[must_use]
    pub const fn new(now_s: i64) -> Self {
        Self { cron: None, since_s: now_s }
    }

    /// Whether a time of the schedule has passed since the last run. A schedule that is new counts from now.
    pub fn is_due(&mut self, cron: Option<Cron>, now_s: i64) -> bool {
        if self.cron != cron {
            *self = Self { cron, since_s: now_s };
        }
        self.next_s().is_some_and(|at| at <= now_s)
    }

    /// Notes that a run has been made.
    pub const fn done(&mut self, now_s: i64) {
        self.since_s = now_s;
    }

    /// The next time, in seconds since 1970.
    #[must_use]
    pub fn next_s(&self) -> Option<i64> {
        self.cron.and_then(|cron| cron.next_after(self.since_s))
    }
}

/// The labels that a user shows, in the order of their names.
#[must_use]
pub fn labels(subject: &Subject<'_>, settings: &Settings) -> Vec<(&'static str, i64)> {
    let due = due(subject, settings).unwrap_or_default();
    let last = subject.attributes.and_then(|own| own.last_login_s);
    let all = [
        (DELETE_AFTER_LABEL, due.delete_ms.map(seconds)),
        (DISABLE_AFTER_LABEL, due.disable_ms.filter(|_| subject.user.is_enabled()).map(seconds)),
        (LAST_LOGIN_LABEL, last),
    ];
    all.into_iter().filter_map(|(label, at)| Some((label, at?))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    const LAST_S: i64 = 1_780_000_000;
    const LAST_MS: u64 = 1_780_000_000_000;

    fn settings() -> Settings {
        Settings {
            disable_inactive_after_ms: Some(100 * HOUR_MS),
            delete_inactive_after_ms: Some(1000 * HOUR_MS),
            retention_cron: Some(Cron::parse("0 * * * *").unwrap()),
            ..Settings::defaults()
        }
    }

    fn attributes() -> UserAttributeRecord {
        UserAttributeRecord { last_login_s: Some(LAST_S), ..UserAttributeRecord::default() }
    }

    fn fate(
        user: &UserRecord,
        attributes: Option<&UserAttributeRecord>,
        settings: &Settings,
        hours: u64,
    ) -> Fate {
        let subject = Subject { user, first_admin: false, attributes };
        judge(&subject, settings, sure(LAST_MS + hours * HOUR_MS)).fate
    }

    fn sure(now_ms: u64) -> Moment {
        Moment { now_ms, sure_ms: Some(now_ms) }
    }

    fn inactive(hours: u64) -> Inactive {
        Inactive { last_login_s: LAST_S, due_ms: LAST_MS + hours * HOUR_MS }
    }

    #[test]
    fn a_user_who_stays_away_is_disabled_and_later_deleted() {
        let (user, attributes, settings) = (UserRecord::default(), attributes(), settings());
        let at = |hours| fate(&user, Some(&attributes), &settings, hours);
        assert_eq!(at(99), Fate::Keep(Kept::NotDue));
        assert_eq!(at(100), Fate::Disable(inactive(100)));
        assert_eq!(at(999), Fate::Disable(inactive(100)));
        assert_eq!(at(1000), Fate::Delete(inactive(1000)));
    }

    #[test]
    fn a_disabled_user_is_not_disabled_again_but_deleted_in_time() {
        let user = UserRecord { enabled: Some(false), ..UserRecord::default() };
        let (attributes, settings) = (attributes(), settings());
        assert_eq!(fate(&user, Some(&attributes), &settings, 500), Fate::Keep(Kept::NotDue));
        assert_eq!(fate(&user, Some(&attributes), &settings, 1000), Fate::Delete(inactive(1000)));
    }

    #[test]
    fn whoever_is_enabled_again_has_the_whole_time_anew() {
        let again = UserAttributeRecord { enabled_again_s: Some(LAST_S + 500 * 3600), ..attributes() };
        let (user, settings) = (UserRecord::default(), settings());
        let at = |hours| fate(&user, Some(&again), &settings, hours);
        assert_eq!(at(599), Fate::Keep(Kept::NotDue));
        assert_eq!(at(600), Fate::Disable(inactive(600)));
        assert_eq!(at(1499), Fate::Disable(inactive(600)));
        assert_eq!(at(1500), Fate::Delete(inactive(1500)));
        let before = UserAttributeRecord { enabled_again_s: Some(LAST_S - 1), ..attributes() };
        assert_eq!(fate(&user, Some(&before), &settings, 100), Fate::Disable(inactive(100)));
        let no_login = UserAttributeRecord { last_login_s: None, ..again };
        assert_eq!(fate(&user, Some(&no_login), &settings, 9999), Fate::Keep(Kept::NoLogin));
    }

    #[test]
    fn retention_is_off_without_a_schedule_or_without_both_durations() {
        let user = UserRecord::default();
        let own =
            UserAttributeRecord { disable_after: "1h".into(), delete_after: "336h".into(), ..attributes() };
        let off = Fate::Keep(Kept::Off);
        let no_cron = Settings { retention_cron: None, ..settings() };
        assert_eq!(fate(&user, Some(&own), &no_cron, 9999), off);
        let no_durations =
            Settings { disable_inactive_after_ms: None, delete_inactive_after_ms: None, ..settings() };
        assert_eq!(fate(&user, Some(&own), &no_durations, 9999), off, "overrides do not switch it on");
    }

    #[test]
    fn users_of_the_system_and_the_first_administrator_stay() {
        let (attributes, settings) = (attributes(), settings());
        let system = UserRecord { principal_ids: vec!["system://local".into()], ..UserRecord::default() };
        assert_eq!(fate(&system, Some(&attributes), &settings, 9999), Fate::Keep(Kept::System));
        let subject =
            Subject { user: &UserRecord::default(), first_admin: true, attributes: Some(&attributes) };
        assert_eq!(judge(&subject, &settings, sure(u64::MAX)).fate, Fate::Keep(Kept::FirstAdmin));
    }

    #[test]
    fn a_user_without_a_login_stays_unless_the_default_says_when_it_was() {
        let (user, settings) = (UserRecord::default(), settings());
        let never = UserAttributeRecord { delete_after: "400h".into(), ..UserAttributeRecord::default() };
        for attributes in [None, Some(&never)] {
            assert_eq!(fate(&user, attributes, &settings, 9999), Fate::Keep(Kept::NoLogin));
        }
        let settings = Settings { last_login_default_s: Some(LAST_S), ..settings };
        assert_eq!(fate(&user, None, &settings, 100), Fate::Disable(inactive(100)));
        assert_eq!(fate(&user, Some(&never), &settings, 400), Fate::Delete(inactive(400)));
        let later = UserAttributeRecord { last_login_s: Some(LAST_S + 3600), ..never };
        assert_eq!(
            fate(&user, Some(&later), &settings, 400),
            Fate::Disable(Inactive { last_login_s: LAST_S + 3600, due_ms: LAST_MS + 101 * HOUR_MS }),
            "a real login counts before the default"
        );
    }

    #[test]
    fn overrides_win_and_nought_exempts() {
        let (user, settings) = (UserRecord::default(), settings());
        let own = |disable: &str, delete: &str| UserAttributeRecord {
            disable_after: disable.into(),
            delete_after: delete.into(),
            ..attributes()
        };
        let at = |own: &UserAttributeRecord, hours| fate(&user, Some(own), &settings, hours);
        assert_eq!(at(&own("10h", ""), 10), Fate::Disable(inactive(10)));
        assert_eq!(at(&own("", "336h"), 336), Fate::Delete(inactive(336)));
        assert_eq!(at(&own("0s", ""), 999), Fate::Keep(Kept::NotDue));
        assert_eq!(at(&own("0s", "0"), 99_999), Fate::Keep(Kept::NotDue));
        assert_eq!(at(&own("0s", "0s"), 99_999), Fate::Keep(Kept::NotDue));
        assert_eq!(at(&own("soon", "-5h"), 99_999), Fate::Keep(Kept::NotDue), "what cannot be read exempts");
    }

    #[test]
    fn nobody_is_deleted_while_the_clocks_are_in_doubt() {
        let (user, attributes, settings) = (UserRecord::default(), attributes(), settings());
        let subject = Subject { user: &user, first_admin: false, attributes: Some(&attributes) };
        let now_ms = LAST_MS + 1000 * HOUR_MS;
        for sure_ms in [None, Some(0), Some(now_ms - 1)] {
            let judged = judge(&subject, &settings, Moment { now_ms, sure_ms });
            assert_eq!(judged, Judgement { fate: Fate::Disable(inactive(100)), waits: true });
        }
        let disabled = UserRecord { enabled: Some(false), ..UserRecord::default() };
        let subject = Subject { user: &disabled, ..subject };
        let judged = judge(&subject, &settings, Moment { now_ms, sure_ms: None });
        assert_eq!(judged, Judgement { fate: Fate::Keep(Kept::NotDue), waits: true });
        let judged = judge(&subject, &settings, sure(now_ms));
        assert_eq!(judged, Judgement { fate: Fate::Delete(inactive(1000)), waits: false });
    }

    #[test]
    fn labels_say_when_what_happens() {
        let (user, settings) = (UserRecord::default(), settings());
        let attributes = UserAttributeRecord { delete_after: "0s".into(), ..attributes() };
        let of = |user: &UserRecord, attributes, settings: &Settings| {
            labels(&Subject { user, first_admin: false, attributes }, settings)
        };
        assert_eq!(
            of(&user, Some(&attributes), &settings),
            [(DISABLE_AFTER_LABEL, LAST_S + 360_000), (LAST_LOGIN_LABEL, LAST_S)]
        );
        let disabled = UserRecord { enabled: Some(false), ..user.clone() };
        assert_eq!(of(&disabled, Some(&attributes), &settings), [(LAST_LOGIN_LABEL, LAST_S)]);
        assert_eq!(of(&user, Some(&attributes), &Settings::defaults()), [(LAST_LOGIN_LABEL, LAST_S)]);
        assert_eq!(of(&user, None, &settings), []);
    }

    #[test]
    fn a_schedule_comes_due_once_at_each_of_its_times() {
        let hourly = Some(Cron::parse("0 * * * *").unwrap());
        let mut schedule = Schedule::new(7200);
        assert!(!schedule.is_due(hourly, 7200), "from now on, not now");
        assert!(!schedule.is_due(hourly, 10_799));
        assert!(schedule.is_due(hourly, 10_800));
        assert!(schedule.is_due(hourly, 10_900), "until the run has been made");
        schedule.done(10_900);
        assert!(!schedule.is_due(hourly, 10_901));
        assert!(schedule.is_due(hourly, 90_000));
        schedule.done(90_000);
        assert!(!schedule.is_due(hourly, 90_001), "missed times make one run");
    }

    #[test]
    fn a_schedule_that_changes_counts_from_then_on() {
        let [hourly, daily] = ["0 * * * *", "0 0 * * *"].map(|text| Some(Cron::parse(text).unwrap()));
        let mut schedule = Schedule::new(0);
        assert!(!schedule.is_due(hourly, 100));
        assert!(!schedule.is_due(daily, 4000), "what the old one had due is forgotten");
        assert_eq!(schedule.next_s(), Some(86_400));
        assert!(!schedule.is_due(None, 90_000) && !schedule.is_due(None, i64::MAX));
        assert!(!schedule.is_due(daily, 90_000));
        assert!(schedule.is_due(daily, 172_800));
    }

    proptest! {
        #[test]
        fn nobody_who_logged_in_lately_is_touched(
            disable in proptest::option::of(0_u64..u64::MAX),
            delete in proptest::option::of(0_u64..u64::MAX),
            own in "[0-9a-z.-]{0,8}",
            away_ms in 0_u64..1_000_000_000,
        ) {
            let settings = Settings { disable_inactive_after_ms: disable, delete_inactive_after_ms: delete, ..settings() };
            let attributes = UserAttributeRecord { disable_after: own.clone(), delete_after: own, ..attributes() };
            let subject = Subject { user: &UserRecord::default(), first_admin: false, attributes: Some(&attributes) };
            match judge(&subject, &settings, sure(LAST_MS + away_ms)).fate {
                Fate::Keep(_) => {}
                Fate::Disable(inactive) | Fate::Delete(inactive) => prop_assert!(inactive.due_ms <= LAST_MS + away_ms),
            }
        }
    }
}
