//! What was answered survives kill -9 and power loss (promise G4).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use eartag_storage::sqlite::SqliteOptions;
use eartag_storage::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::support::*;

const CHILD: &str = "EARTAG_TEST_CRASH_FILE";

/// Not a test of its own: the process that the next test kills. Says what was answered, line by line.
#[test]
fn child_that_is_killed() {
    let Ok(file) = std::env::var(CHILD) else { return };
    run(async {
        // Small bounds, so that checkpoints and compaction are killed too.
        let sqlite = SqliteOptions { checkpoint_pages: 20, checkpoint_pages_hard: 100, max_bytes: None };
        let options = Options { history_events: 300, ..Options::default() };
        let store = open_with(Box::new(Sqlite::with(&file, sqlite)), options).await;
        let writer = |lane: u64| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0u64.. {
                    let key = format!("w{lane}-{}", n % 40);
                    let delete_it = n % 40 == n / 40 % 40;
                    let commit = if delete_it { delete(&key) } else { put(&key, &n.to_string()) };
                    match store.commit(commit).await {
                        Ok(revision) => println!(
                            "acked {revision} {key} {}",
                            if delete_it { "-".into() } else { n.to_string() }
                        ),
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        };
        let tasks: Vec<_> = (0..8).map(writer).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn what_was_answered_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data.db");
    let mut known: std::collections::BTreeMap<String, (u64, Option<String>)> = Default::default();
    for round in 0..6u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_that_is_killed", "--nocapture"])
            .env(CHILD, &file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (enough, wait) = std::sync::mpsc::channel();
        let killer = std::thread::spawn(move || {
            // However slow the machine is: some answers first, and then at a moment of its own each round.
            wait.recv_timeout(Duration::from_secs(60)).ok();
            std::thread::sleep(Duration::from_millis(7 + 97 * round));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let mut answered = 0;
        for line in lines {
            // The last line may be torn by the kill.
            let line = line.unwrap();
            let mut words = line.split_whitespace().skip_while(|w| *w != "acked").skip(1);
            let (Some(revision), Some(key), Some(text)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let text = (text != "-").then(|| text.to_owned());
            known.insert(key.to_owned(), (revision.parse().unwrap(), text));
            answered += 1;
            if answered == 30 {
                enough.send(()).ok();
            }
        }
        killer.join().unwrap();
        assert!(answered >= 30, "round {round}: only {answered} answers");

        let store = run(open_with(Box::new(Sqlite::new(&file)), Options::default()));
        let newest = known.values().map(|(r, _)| *r).max().unwrap();
        assert!(store.revision().get() >= newest);
        for (key, (revision, text)) in &known {
            match (store.get(THINGS, key.as_bytes()), text) {
                // Written after the last answer that was read, or the very version that was answered.
                (Some(entry), Some(text)) => {
                    assert!(entry.modified().get() >= *revision, "{key} went back");
                    if entry.modified().get() == *revision {
                        assert_eq!(entry.value(), value(b'a', 0, text));
                    }
                }
                (Some(entry), None) => assert!(entry.modified().get() > *revision, "{key} came back"),
                (None, None) => {}
                (None, Some(_)) => assert!(store.revision().get() > newest, "{key} is lost"),
            }
        }
        run(store.close());
    }
}

/// A file system that keeps exactly what was synced: everything up to the log's length at the moment of the answer, and of the rest
/// whatever it likes.
#[test]
fn what_was_answered_survives_power_loss_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data.db");
    let never =
        SqliteOptions { checkpoint_pages: u32::MAX, checkpoint_pages_hard: u32::MAX, max_bytes: None };
    let store = run(open_with(Box::new(Sqlite::with(&file, never)), Options::default()));
    let wal = dir.path().join("data.db-wal");
    let main = std::fs::read(&file).unwrap();
    let mut answers = vec![(std::fs::metadata(&wal).unwrap().len(), 1u64)];
    run(async {
        for round in 0..40usize {
            let group = (0..=round % 5).map(|n| {
                let (store, size) = (store.clone(), 10 + 700 * (round % 7));
                let commit = put_in(THINGS, &format!("k{round:03}-{n}"), vec![b'a'; size]);
                tokio::spawn(async move { store.commit(commit).await.unwrap().get() })
            });
            let mut newest = 0;
            for task in group.collect::<Vec<_>>() {
                newest = task.await.unwrap().max(newest);
            }
            answers.push((std::fs::metadata(&wal).unwrap().len(), newest));
        }
    });
    let log = std::fs::read(&wal).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), main, "no checkpoint ran");
    run(store.close());

    let mut cuts: Vec<usize> = Vec::new();
    for (length, _) in &answers {
        let length = usize::try_from(*length).unwrap();
        cuts.extend([
            length.saturating_sub(1),
            length,
            (length + 1).min(log.len()),
            (length + 4000).min(log.len()),
        ]);
    }
    let mut runner = TestRunner::deterministic();
    for (n, cut) in cuts.into_iter().enumerate() {
        let random = |runner: &mut TestRunner| any::<u64>().new_tree(runner).unwrap().current();
        let mut left = log[..cut].to_vec();
        match n % 3 {
            0 => {}
            // The length was written, the bytes were not, or only some sectors of them.
            1 => left.resize(log.len(), 0),
            _ => {
                left.extend_from_slice(&log[cut..]);
                for sector in left[cut..].chunks_mut(512) {
                    let random = random(&mut runner);
                    if random % 3 == 0 {
                        sector.fill(u8::try_from(random >> 56).unwrap());
                    }
                }
            }
        }
        let answered = answers.iter().rev().find(|(length, _)| *length <= cut as u64).map_or(1, |(_, r)| *r);
        survive(&main, &left, answered);
    }
}

fn survive(main: &[u8], log: &[u8], answered: u64) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data.db");
    std::fs::write(&file, main).unwrap();
    std::fs::write(Path::new(&format!("{}-wal", file.display())), log).unwrap();
    let store = run(open_with(Box::new(Sqlite::new(&file)), Options::default()));
    let found = store.revision().get();
    assert!(found >= answered, "answered {answered}, found {found}");
    // Every revision made one object: all of a commit, and all commits before it.
    let entries = store.range(&all()).unwrap().entries;
    let mut made: Vec<_> = entries.iter().map(|e| e.modified().get()).collect();
    made.sort_unstable();
    assert_eq!(made, (2..=found).collect::<Vec<_>>());
    run(store.close());
}
