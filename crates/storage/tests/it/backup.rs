//! Backup and restore (DEC60).

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eartag_storage::sqlite::{RestoreOptions, restore};
use eartag_storage::*;

use crate::support::*;

const NOW: RestoreOptions = RestoreOptions { now_s: 1_900_000_000 };

#[test]
fn a_backup_during_writes_is_one_consistent_private_file() {
    let world = run(World::new(Kind::Sqlite));
    run(async {
        for n in 0..200 {
            world.store.commit(put(&format!("k{n:04}"), "")).await.unwrap();
        }
    });
    let done = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, done) = (world.store.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            run(async {
                for n in 200.. {
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                    store.commit(put(&format!("k{n:04}"), "")).await.unwrap();
                }
            });
        })
    };
    for round in 0..4 {
        let to = world.file.with_file_name(format!("backup{round}"));
        let before = world.store.revision();
        run(world.store.backup(&to)).unwrap();
        let after = world.store.revision();
        assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let into = world.file.with_file_name(format!("restored{round}.db"));
        let restored = restore(&to, &into, &NOW).unwrap();
        assert!(before <= restored.backup && restored.backup <= after);
        assert_eq!(into.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let copy = run(open_with(Box::new(Sqlite::new(&into)), Options::default()));
        assert_eq!(copy.count(THINGS, &Scope::All), restored.backup.get() - 1, "all up to its revision");
        run(copy.close());
    }
    done.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    let names = std::fs::read_dir(world.file.parent().unwrap()).unwrap();
    let names: Vec<_> = names.map(|n| n.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|n| n.contains(".part")), "{names:?}");
}

#[test]
fn a_restored_store_starts_above_anything_ever_seen_and_lists_afresh() {
    run(async {
        let world = World::new(Kind::Sqlite).await;
        world.store.commit(put("a", "1")).await.unwrap();
        world.store.usage_save(vec![(3, vec![1, 2])]).await.unwrap();
        let backup = world.file.with_file_name("backup");
        world.store.backup(&backup).await.unwrap();
        world.store.commit(put("b", "1")).await.unwrap();
        let seen = world.store.revision();

        let mut floor = seen;
        // The same backup again, a second later each time: each life starts above all that the one before it has shown.
        for life in 0..3 {
            let into = world.file.with_file_name(format!("life{life}.db"));
            let restored = restore(&backup, &into, &RestoreOptions { now_s: NOW.now_s + life }).unwrap();
            assert!(restored.revision > floor && restored.revision.get() < 1 << 53);
            let store = open_with(Box::new(Sqlite::new(&into)), Options::default()).await;
            assert_eq!((store.revision(), store.oldest()), (restored.revision, restored.revision));
            let stale = store.watch(THINGS, Scope::All, seen).unwrap_err();
            assert_eq!(stale, RangeError::Compacted { oldest: restored.revision });
            assert_eq!(keys(&store.range(&all()).unwrap()), ["a"]);
            assert_eq!(store.usage_load(), [(3, vec![1, 2])]);
            for n in 0..50 {
                floor = store.commit(put(&n.to_string(), "")).await.unwrap();
            }
            store.close().await;
        }
    });
}

#[test]
fn a_backup_replaces_no_file() {
    run(async {
        let world = World::new(Kind::Sqlite).await;
        let to = world.file.with_file_name("precious");
        std::fs::write(&to, "do not touch").unwrap();
        assert!(matches!(world.store.backup(&to).await, Err(BackupError::Exists(_))));
        assert!(matches!(world.store.backup(&world.file).await, Err(BackupError::Exists(_))));
        assert_eq!(std::fs::read(&to).unwrap(), b"do not touch");
        let nowhere = world.file.with_file_name("absent").join("backup");
        assert!(matches!(world.store.backup(&nowhere).await, Err(BackupError::Io { .. })));
        let memory = World::new(Kind::Memory).await;
        let none = memory.store.backup(&world.file.with_file_name("x")).await;
        assert!(matches!(none, Err(BackupError::Unsupported(_))));
    });
}

#[test]
fn a_restore_goes_only_where_nothing_is_and_takes_only_backups() {
    run(async {
        let world = World::new(Kind::Sqlite).await;
        world.store.commit(put("a", "")).await.unwrap();
        let beside = |name: &str| world.file.with_file_name(name);
        let backup = beside("backup");
        world.store.backup(&backup).await.unwrap();

        let error = restore(&backup, &world.file, &NOW).unwrap_err();
        assert!(matches!(error, RestoreError::Exists(_)), "{error}");
        // The log of a data file that was moved away would be replayed into the new one.
        std::fs::write(beside("moved.db-wal"), "an old log").unwrap();
        let error = restore(&backup, &beside("moved.db"), &NOW).unwrap_err();
        assert!(matches!(error, RestoreError::Exists(_)), "{error}");

        std::fs::write(beside("text"), "not a database, certainly not one of ours".repeat(100)).unwrap();
        std::fs::write(beside("empty"), "").unwrap();
        let other = rusqlite::Connection::open(beside("other")).unwrap();
        other.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
        drop(other);
        for bad in ["text", "empty", "other"] {
            let error = restore(&beside(bad), &beside("new.db"), &NOW).unwrap_err();
            assert!(matches!(error, RestoreError::Foreign { .. }), "{bad}: {error}");
            assert!(!beside("new.db").exists());
        }
        let error = restore(&beside("absent"), &beside("new.db"), &NOW).unwrap_err();
        assert!(matches!(error, RestoreError::Io { .. }), "{error}");
    });
}

#[test]
fn a_damaged_backup_is_refused_and_leaves_nothing() {
    run(async {
        let world = World::new(Kind::Sqlite).await;
        for n in 0..200 {
            world.store.commit(put_in(THINGS, &format!("k{n}"), vec![1; 500])).await.unwrap();
        }
        let backup = world.file.with_file_name("backup");
        world.store.backup(&backup).await.unwrap();
        let good = std::fs::read(&backup).unwrap();
        let into = world.file.with_file_name("new.db");
        for cut in [good.len() / 2, 5000, 100, 10] {
            std::fs::write(&backup, &good[..cut]).unwrap();
            let error = restore(&backup, &into, &NOW).unwrap_err();
            assert!(!into.exists(), "{error}");
        }
        let mut scrambled = good.clone();
        scrambled[4096 * 3..4096 * 9].fill(0x5a);
        std::fs::write(&backup, &scrambled).unwrap();
        restore(&backup, &into, &NOW).unwrap_err();
        assert!(!into.exists());
    });
}
