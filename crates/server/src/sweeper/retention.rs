//! User retention: disables and deletes users who have been away for too long, when the setting `user-retention-cron` says so (v3-token.md §6).
//!
//! The rule is [`eartag_core::retention`]; here it meets the store and the clock. What can be undone, disabling, waits only while the clocks contradict each
//! other; deleting waits until they are beyond doubt (DEC58), and is made up for then.

use std::time::Duration;

use eartag_api::frame;
use eartag_api::meta::Meta;
use eartag_apiserver::kind::World;
use eartag_apiserver::user::AUTHENTICATED;
use eartag_core::collections::{USER_ATTRIBUTES, USERS};
use eartag_core::retention::{Fate, Inactive, Judgement, Moment, Schedule, Subject, is_on, judge};
use eartag_core::settings::Settings;
use eartag_core::time::{rfc3339, seconds};
use eartag_core::{UserAttributeRecord, UserRecord};
use eartag_storage::{Condition, Entry, Op, Scope};

use super::{Pages, Stop, Sweeper, body, removal, unchanged};
use crate::authn::CATTLE_AUTHENTICATED;
use crate::login::last_login::attributes_of;
use crate::resources::MANAGEMENT;
use crate::resources::users::{belongings, is_first_admin};

/// The schedule is looked at this often at least: its times are the effective clock's, which may jump.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// When it ran, and whether it has to be made up for.
pub(super) struct Retention {
    schedule: Schedule,
    /// Somebody would have been deleted, were the clocks beyond doubt.
    waits: bool,
}

/// The time as retention needs it.
#[derive(Clone, Copy)]
pub(super) struct Time {
    pub now_ms: u64,
    /// Nothing speaks against the clocks.
    pub keeps_pace: bool,
    /// What has surely come.
    pub sure_ms: Option<u64>,
}

/// How many users a run touched, or would have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub disabled: u64,
    pub deleted: u64,
    /// Somebody is to be judged again when the clocks are beyond doubt.
    pub waits: bool,
}

impl Retention {
    pub(super) fn new(now_ms: u64) -> Retention {
        Retention { schedule: Schedule::new(seconds(now_ms)), waits: false }
    }
}

impl Sweeper {
    /// The time now.
    pub(super) fn moment(&self) -> Time {
        let now = self.world.now();
        let clock = &self.world.clock;
        Time {
            now_ms: World::now_ms(self.world.as_ref()),
            keeps_pace: clock.keeps_pace(now),
            sure_ms: clock.purge_before(now),
        }
    }

    /// Runs if it is time to; says how long to wait before asking again.
    pub(super) async fn retention(&self, state: &mut Retention, time: Time) -> Result<Duration, Stop> {
        let settings = self.tables.settings.snapshot();
        let now_s = seconds(time.now_ms);
        let scheduled = state.schedule.is_due(settings.retention_cron, now_s);
        if !is_on(&settings) {
            // Times that pass while it is off are not made up for.
            state.schedule.done(now_s);
            state.waits = false;
            return Ok(LOOK_EVERY);
        }
        if scheduled || (state.waits && time.sure_ms.is_some()) {
            if !time.keeps_pace {
                tracing::warn!("user retention waits: the clocks do not agree");
                return Ok(LOOK_EVERY);
            }
            let when = Moment { now_ms: time.now_ms, sure_ms: time.sure_ms };
            let run = self.retain(&settings, when).await?;
            state.schedule.done(now_s);
            state.waits = run.waits;
            tracing::info!(
                disabled = run.disabled,
                deleted = run.deleted,
                dry_run = settings.retention_dry_run,
                waits = run.waits,
                "user retention ran"
            );
        }
        let next = state.schedule.next_s().map_or(LOOK_EVERY, |at| {
            Duration::from_millis(eartag_core::time::millis(at).saturating_sub(time.now_ms))
        });
        Ok(next.min(LOOK_EVERY))
    }

    /// Judges all users.
    pub(super) async fn retain(&self, settings: &Settings, when: Moment) -> Result<Run, Stop> {
        let mut run = Run::default();
        let mut pages = Pages::new(USERS, Scope::All);
        while let Some(users) = pages.next(self)? {
            let (mut disabled, mut deleted) = (0, 0);
            for entry in &users {
                let Some(user) = User::of(self, entry) else { continue };
                let Judgement { fate, waits } = user.judge(settings, when);
                run.waits |= waits;
                match fate {
                    Fate::Keep(_) => {}
                    Fate::Disable(inactive) => {
                        disabled += u64::from(self.act("disable", &user, &inactive, settings).await?);
                    }
                    Fate::Delete(inactive) => {
                        deleted += u64::from(self.act("delete", &user, &inactive, settings).await?);
                    }
                }
            }
            if !settings.retention_dry_run {
                self.count("inactive_users_disabled", disabled);
                self.count("inactive_users_deleted", deleted);
            }
            run.disabled += disabled;
            run.deleted += deleted;
            tokio::task::yield_now().await;
        }
        Ok(run)
    }

    /// Whether nobody else who is enabled has full access. Disabled ones can be deleted all the same.
    fn is_last_admin(&self, user: &User<'_>) -> Result<bool, Stop> {
        let administers = |name: &str| {
            let groups = [AUTHENTICATED.to_owned(), CATTLE_AUTHENTICATED.to_owned()];
            self.tables.rbac.full_access(name, &groups, "update", MANAGEMENT)
        };
        if !user.record.is_enabled() || !administers(&user.name) {
            return Ok(false);
        }
        let mut pages = Pages::new(USERS, Scope::All);
        while let Some(users) = pages.next(self)? {
            let other = users.iter().filter_map(|entry| User::of(self, entry)).any(|other| {
                other.name != user.name && other.record.is_enabled() && administers(&other.name)
            });
            if other {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Disables or deletes a user, unless somebody changed them or they logged in meanwhile: then the next run judges anew. Whether it was done, or would be.
    async fn act(
        &self,
        what: &'static str,
        user: &User<'_>,
        inactive: &Inactive,
        settings: &Settings,
    ) -> Result<bool, Stop> {
        let dry_run = settings.retention_dry_run;
        if self.is_last_admin(user)? {
            tracing::warn!(user = %user.name, "user retention: kept, because nobody else could administer the server");
            return Ok(false);
        }
        let done = dry_run || {
            let ops = if what == "delete" { user.deletion(self) } else { Some(vec![user.disabling()]) };
            match ops {
                Some(ops) => self.commit_all(user.conditions(), ops).await?,
                None => false,
            }
        };
        if done {
            tracing::info!(
                user = %user.name, username = %user.record.username, last_login = %rfc3339(inactive.last_login_s),
                due = %rfc3339(seconds(inactive.due_ms)), dry_run, "user retention: {what}"
            );
        }
        Ok(done)
    }
}

/// A user with all that decides about them.
struct User<'a> {
    entry: &'a Entry,
    name: String,
    record: UserRecord,
    meta: Meta,
    attributes: Option<Entry>,
}

impl User<'_> {
    /// `None` for what cannot be read (DEC23) and what is being deleted already.
    fn of<'a>(sweeper: &Sweeper, entry: &'a Entry) -> Option<User<'a>> {
        let record = UserRecord::decode(body(entry))?;
        let meta = frame::meta(entry.value()).filter(|meta| meta.deleted_s.is_none())?;
        let name = String::from_utf8_lossy(entry.key()).into_owned();
        let attributes = sweeper.store.get(USER_ATTRIBUTES, entry.key());
        // Who knows what exception a damaged record held.
        let readable = |entry: &Entry| UserAttributeRecord::decode(body(entry)).is_some();
        if attributes.as_ref().is_some_and(|entry| !readable(entry)) {
            return None;
        }
        Some(User { entry, name, record, meta, attributes })
    }

    fn judge(&self, settings: &Settings, when: Moment) -> Judgement {
        let own = self.attributes.as_ref().and_then(|entry| attributes_of(entry, self.meta.uid));
        let first_admin = is_first_admin(&self.meta);
        judge(&Subject { user: &self.record, first_admin, attributes: own.as_ref() }, settings, when)
    }

    /// Neither the user nor the last login is another one than was judged.
    fn conditions(&self) -> Vec<Condition> {
        let attributes = match &self.attributes {
            Some(entry) => unchanged(USER_ATTRIBUTES, entry),
            None => Condition::Absent { collection: USER_ATTRIBUTES, key: self.entry.key().to_vec() },
        };
        vec![unchanged(USERS, self.entry), attributes]
    }

    fn disabling(&self) -> Op {
        let record = UserRecord { enabled: Some(false), ..self.record.clone() };
        let meta = Meta { generation: self.meta.generation.saturating_add(1), ..self.meta.clone() };
        let value = frame::frame(&record.encode(), &meta);
        Op::Put { collection: USERS, key: self.entry.key().to_vec(), value }
    }

    /// As any other deletion: what belongs to the user goes in the same commit, tokens and bindings with the sweep that follows. Finalizers hold the user.
    fn deletion(&self, sweeper: &Sweeper) -> Option<Vec<Op>> {
        let now_s = eartag_core::time::seconds(sweeper.moment().now_ms);
        let op = removal(USERS, self.entry, now_s)?;
        let also = match op {
            Op::Delete { .. } => belongings(&sweeper.store, &self.name, &self.record),
            Op::Put { .. } => Vec::new(),
        };
        Some(std::iter::once(op).chain(also).collect())
    }
}

#[cfg(test)]
mod tests;
