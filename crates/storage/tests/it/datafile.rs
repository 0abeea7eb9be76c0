//! The data file of the sqlite engine: whose it is, what is in it, and what happens when it is full.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use eartag_storage::sqlite::SqliteOptions;
use eartag_storage::*;

use crate::support::*;

async fn open(file: &Path) -> Result<Store, OpenError> {
    Store::open(Box::new(Sqlite::new(file)), collections(), Arc::new(NoObserver), Options::default()).await
}

fn beside(file: &Path, suffix: &str) -> std::path::PathBuf {
    format!("{}{suffix}", file.display()).into()
}

#[test]
fn a_second_process_is_told_that_the_file_is_in_use() {
    run(async {
        let world = World::new(Kind::Sqlite).await;
        let error = open(&world.file).await.unwrap_err();
        assert!(matches!(error, OpenError::InUse(_)), "{error}");
        let link = world.file.with_file_name("link.db");
        std::os::unix::fs::symlink(&world.file, &link).unwrap();
        let error = open(&link).await.unwrap_err();
        assert!(matches!(error, OpenError::InUse(_)), "by another name: {error}");
        world.store.commit(put("a", "")).await.unwrap();
        world.store.close().await;
        assert!(open(&link).await.unwrap().get(THINGS, b"a").is_some());
    });
}

#[test]
fn a_file_of_somebody_else_is_refused_and_left_as_it_is() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("text");
        std::fs::write(&text, "a text, not a database, and longer than any header of one".repeat(50))
            .unwrap();
        let other = dir.path().join("other");
        let connection = rusqlite::Connection::open(&other).unwrap();
        connection.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
        drop(connection);
        let newer = dir.path().join("newer");
        open(&newer).await.unwrap().close().await;
        let connection = rusqlite::Connection::open(&newer).unwrap();
        connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA user_version = 2").unwrap();
        drop(connection);
        std::fs::remove_file(beside(&newer, ".lock")).unwrap();
        for file in [text, other, newer] {
            let before = std::fs::read(&file).unwrap();
            let error = open(&file).await.unwrap_err();
            assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
            assert_eq!(std::fs::read(&file).unwrap(), before);
            assert!(!beside(&file, ".lock").exists() && !beside(&file, "-wal").exists());
        }
    });
}

#[test]
fn the_log_of_another_programs_database_is_not_moved_into_it() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("made");
        let connection = rusqlite::Connection::open(&made).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)")
            .unwrap();
        // As a crash leaves it: the log beside the file, and nobody at it.
        let left = dir.path().join("left");
        for suffix in ["", "-wal"] {
            std::fs::copy(beside(&made, suffix), beside(&left, suffix)).unwrap();
        }
        let read = || ["", "-wal"].map(|suffix| std::fs::read(beside(&left, suffix)).unwrap());
        let before = read();
        let error = open(&left).await.unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert!(before == read(), "it was changed");
        drop(connection);
    });
}

#[test]
fn what_cannot_be_opened_is_explained() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        for bad in [dir.path().to_owned(), dir.path().join("absent").join("data.db")] {
            let error = open(&bad).await.unwrap_err();
            assert!(matches!(error, OpenError::Unreadable { .. }), "{error}");
        }
        let orphaned = dir.path().join("orphaned.db");
        std::fs::write(beside(&orphaned, "-wal"), "the log of a file that is gone").unwrap();
        let error = open(&orphaned).await.unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(beside(&orphaned, "-wal").exists() && !orphaned.exists());
    });
}

#[test]
fn a_damaged_file_is_an_error_and_no_crash() {
    run(async {
        let world = World::new(Kind::Sqlite).await;
        commit_all(&world.store, (0..300).map(|n| put_in(THINGS, &format!("k{n}"), vec![1; 400]))).await;
        world.store.close().await;
        let good = std::fs::read(&world.file).unwrap();
        for page in 1..good.len() / 4096 {
            let mut bad = good.clone();
            bad[page * 4096..page * 4096 + 2048].fill(0xa5);
            std::fs::write(&world.file, bad).unwrap();
            // The pages of usage and the like hold nothing: those may pass.
            if let Ok(store) = open(&world.file).await {
                store.close().await;
            }
        }
        std::fs::write(&world.file, &good[..good.len() / 2]).unwrap();
        let error = open(&world.file).await.unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    });
}

#[test]
fn the_file_is_private_and_set_up_as_designed() {
    run(async {
        let world = World::new(Kind::Sqlite).await;
        world.store.commit(put("a", "")).await.unwrap();
        for file in [world.file.clone(), beside(&world.file, "-wal"), beside(&world.file, ".lock")] {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
        }
        assert!(world.store.stats().disk_bytes > 4096);
        world.store.close().await;
        assert!(!beside(&world.file, "-wal").exists(), "a clean close leaves one file");
        let file = rusqlite::Connection::open(&world.file).unwrap();
        let pragma = |name| file.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(pragma("application_id"), 0x4541_5254);
        assert_eq!(pragma("page_size"), 4096);
        assert_eq!(pragma("auto_vacuum"), 2);
        let id: i64 = file.query_row("SELECT id FROM version", [], |row| row.get(0)).unwrap();
        assert_eq!(id, 2 * 256);
    });
}

/// Counts the rows of the log before each commit that comes: on the writer's own thread, so between two steps of its housekeeping.
struct Rows {
    gate: Gate,
    file: std::path::PathBuf,
    seen: parking_lot::Mutex<Vec<i64>>,
}

impl Observer for Rows {
    fn load(&self, _: CollectionId, _: &Entry) {}

    fn apply(&self, changes: &[Change]) {
        self.gate.apply(changes);
        self.seen.lock().push(rows(&self.file));
    }
}

#[test]
fn writes_go_on_while_a_long_compaction_runs() {
    run(async {
        let world = World::new(Kind::Sqlite).await;
        for round in 0..3 {
            let put = |n| put(&format!("k{}", n % 50), &format!("{round} {n}"));
            commit_all(&world.store, (0..10_000).map(put)).await;
        }
        world.store.close().await;
        let log =
            Arc::new(Rows { gate: Gate::default(), file: world.file.clone(), seen: Default::default() });
        let engine = Box::new(Sqlite::new(&world.file));
        // Groups of two commits, and a step of the compaction after each.
        let options = Options { group: 2, ..Options::default() };
        let store = Store::open(engine, collections(), log.clone(), options).await.unwrap();
        let before = store.revision();

        // All of it is asked for before the writer gets to any of it.
        let mut writes = vec![log.gate.hold(&store).await];
        let compaction = {
            let store = store.clone();
            begin(async move { store.compact(before).await }).await.unwrap_err()
        };
        for _ in 0..100 {
            writes.push(begun(store.clone(), put("during", "")).await.unwrap_err());
        }
        log.gate.open();
        compaction.await.unwrap();
        for write in writes {
            write.await.unwrap();
        }
        let seen = std::mem::take(&mut *log.seen.lock());
        let during: std::collections::BTreeSet<_> =
            seen.iter().filter(|n| (1000..30_000).contains(*n)).collect();
        // Thirty steps, and a group between any two; all in one step would show the log full or empty, and nothing between.
        assert!(during.len() > 20, "{seen:?}");
        assert_eq!(store.oldest(), before);
        store.close().await;
        assert!(rows(&world.file) <= 50 + 101);
    });
}

fn rows(file: &Path) -> i64 {
    let file = rusqlite::Connection::open(file).unwrap();
    file.query_row("SELECT count(*) FROM version", [], |row| row.get(0)).unwrap()
}

#[test]
fn compaction_removes_what_nobody_can_read_and_gives_space_back() {
    run(async {
        let mut world = World::new(Kind::Sqlite).await;
        let put = |n| put_in(THINGS, &format!("k{}", n % 10), vec![1; 3000]);
        commit_all(&world.store, (0..2000).map(put)).await;
        world.store.commit(delete("k3")).await.unwrap();
        world.store.close().await;
        let full = world.file.metadata().unwrap().len();
        assert_eq!(rows(&world.file), 2001);
        world.store = open(&world.file).await.unwrap();
        let newest = world.store.revision();
        world.store.compact(newest).await.unwrap();
        assert_eq!((world.store.oldest(), world.store.stats().dead), (newest, 0));
        assert!(world.restart().await);
        assert_eq!((world.store.revision(), world.store.oldest()), (newest, newest));
        assert_eq!(world.store.count(THINGS, &Scope::All), 9);
        world.store.close().await;
        assert_eq!(rows(&world.file), 9, "the deletion itself is gone as well");
        let small = world.file.metadata().unwrap().len();
        assert!(small < full / 3, "{full} to {small}");
    });
}

#[test]
fn a_revision_does_not_go_back_when_the_newest_deletion_is_compacted_away() {
    run(async {
        let mut world = World::new(Kind::Sqlite).await;
        world.store.commit(put("a", "")).await.unwrap();
        let newest = world.store.commit(delete("a")).await.unwrap();
        world.store.compact(newest).await.unwrap();
        for _ in 0..2 {
            assert!(world.restart().await);
            assert_eq!(world.store.revision(), newest);
        }
        assert_eq!(world.store.commit(put("a", "")).await.unwrap(), newest.next());
        world.store.close().await;
        assert_eq!(rows(&world.file), 1);
    });
}

#[test]
fn what_falls_out_of_the_history_leaves_the_log_without_being_asked() {
    run(async {
        let options = Options { history_events: 50, ..Options::default() };
        let mut world = World::with(Kind::Sqlite, options).await;
        commit_all(&world.store, (0..4000).map(|n| put("a", &n.to_string()))).await;
        // It goes in the first idle moments, as fast as the disk is.
        for _ in 0..6000 {
            if world.store.stats().dead < 1000 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(world.restart().await);
        assert_eq!(world.store.oldest().get(), 4001 - 50, "the same history as before");
        world.store.close().await;
        assert!(rows(&world.file) < 1100, "{}", rows(&world.file));
    });
}

#[test]
fn a_full_store_says_so_and_goes_on_when_there_is_space() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data.db");
        let small = SqliteOptions { max_bytes: Some(1 << 20), ..SqliteOptions::default() };
        let store = open_with(Box::new(Sqlite::with(&file, small)), Options::default()).await;
        let mut written = 0;
        let full = loop {
            match store.commit(put_in(THINGS, "k", vec![7; 50_000])).await {
                Ok(_) => written += 1,
                Err(error) => break error,
            }
            assert!(written < 100, "the bound does not hold");
        };
        assert_eq!(full, CommitError::Unavailable("the disk is full".into()));
        assert_eq!(store.healthy(), Ok(()), "a full disk is no broken one");
        assert_eq!(store.revision().get(), 1 + written);
        store.compact(store.revision()).await.unwrap();
        store.commit(put_in(THINGS, "k", vec![8; 50_000])).await.unwrap();
        store.close().await;
        let store = open(&file).await.unwrap();
        assert_eq!(store.revision().get(), 2 + written);
        assert_eq!(store.get(THINGS, b"k").unwrap().value(), vec![8; 50_000]);
    });
}

#[test]
fn the_write_ahead_log_stays_bounded_under_steady_load() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data.db");
        let options = SqliteOptions { checkpoint_pages: 50, checkpoint_pages_hard: 200, max_bytes: None };
        let store = open_with(Box::new(Sqlite::with(&file, options)), Options::default()).await;
        let put = |n| put_in(THINGS, &format!("k{n}"), vec![1; 2000]);
        for first in (0..1500).step_by(10) {
            commit_all(&store, (first..first + 10).map(put)).await;
        }
        let log = beside(&file, "-wal").metadata().unwrap().len();
        assert!(log < 600 * 4096, "{log} bytes");
        store.close().await;
        assert_eq!(open(&file).await.unwrap().count(THINGS, &Scope::All), 1500);
    });
}

#[test]
fn versions_of_an_unknown_collection_are_kept_for_a_version_that_knows_it() {
    run(async {
        let mut world = World::new(Kind::Sqlite).await;
        world.store.commit(put("a", "")).await.unwrap();
        world.store.commit(put_in(OTHERS, "b", vec![])).await.unwrap();
        world.store.close().await;
        let engine = Box::new(Sqlite::new(&world.file));
        let only = collections().into_iter().take(1).collect();
        let store = Store::open(engine, only, Arc::new(NoObserver), Options::default()).await.unwrap();
        assert_eq!(store.revision().get(), 3);
        store.compact(store.revision()).await.unwrap();
        store.close().await;
        world.store = open(&world.file).await.unwrap();
        assert!(world.store.get(OTHERS, b"b").is_some());
    });
}

#[test]
fn two_collections_of_one_number_are_a_mistake_that_is_told() {
    run(async {
        let twice = [collections(), collections()].concat();
        let opened =
            Store::open(Box::new(Memory::new()), twice, Arc::new(NoObserver), Options::default()).await;
        assert!(matches!(opened.unwrap_err(), OpenError::Setup(_)));
    });
}
