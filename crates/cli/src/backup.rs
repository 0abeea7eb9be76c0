//! `eartag backup` and `eartag restore`.

use anyhow::{Context, bail};
use eartag_server::backup;
use eartag_server::clock::SystemClock;
use eartag_server::config::Datastore;

use crate::args::{BackupArgs, Place, RestoreArgs};
use crate::terminal;

/// Writes a backup.
pub fn back_up(args: &BackupArgs) -> anyhow::Result<()> {
    only_sqlite(&args.place)?;
    runtime()?.block_on(backup::backup(&args.place.paths(), &args.file, SystemClock.wall_s()))?;
    terminal::say(&format!(
        "{} holds the data and the key that opens it: keep it as safe as the server itself.\n",
        args.file.display()
    ))
}

/// Restores a backup and says what that means.
pub fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    only_sqlite(&args.place)?;
    let since = args.revoke_since.map(jiff::Timestamp::as_second);
    let paths = args.place.paths();
    let restored = runtime()?.block_on(backup::restore(&paths, &args.file, since, SystemClock.wall_s()))?;
    let kept = restored.tokens.saturating_sub(restored.revoked);
    let mut text = format!(
        "The data of {} is in {}, at revision {}. Tokens kept: {kept}, revoked: {}.\n",
        restored.made,
        paths.dir.display(),
        restored.revision,
        restored.revoked,
    );
    if kept > 0 {
        text.push_str(&format!(
            "Tokens that were revoked after {} are good again: revoke them anew before you start the server for others.\n",
            restored.made
        ));
    }
    terminal::say(&text)
}

fn only_sqlite(place: &Place) -> anyhow::Result<()> {
    if let Some(Datastore::Etcd(_)) = place.datastore {
        bail!("etcd makes backups of its own (etcdctl snapshot); this command is for sqlite");
    }
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime could be started")
}
