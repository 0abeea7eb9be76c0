//! What is remembered between runs: one file, `cli2.json`, in the form of the Rancher CLI (kubeconfig-and-cli.md §4.3), so that either can go on with what the
//! other has left.
//!
//! ```text
//! read    no lock: the file is only ever replaced whole; one that another program is just writing is read again
//! change  lock ─→ read anew ─→ change ─→ write beside it ─→ rename                     nothing that others wrote meanwhile is lost
//! turn    one at a time per credential, so that two commands at once ask for one password, not two
//! ```
//!
//! Nothing here is needed to get a token: where the place cannot be written, people are told, and asked each time.

mod document;
mod lock;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eartag_server::files::{self, FileError};
use serde_json::Value;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use document::{Credential, Document, StoredLogin, exec_credential};
pub use lock::{Lock, LockError};

const FILE: &str = "cli2.json";
const LOCK: &str = "cli2.json.lock";
/// Where a file goes that nobody can read.
const BROKEN: &str = "cli2.json.broken";
/// The largest file, in bytes.
const LARGEST: u64 = 32 << 20;
/// How long others may hold the file; they only read and write it.
const PATIENCE: Duration = Duration::from_secs(10);
/// A file that another program is just writing is read so often, at this distance.
const READS: usize = 4;
const PAUSE: Duration = Duration::from_millis(50);

/// The place, which need not be there.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: Option<PathBuf>,
}

/// Why nothing is remembered. Each text is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No home, and no other place named.
    #[error("there is no home directory to keep anything in")]
    Nowhere,
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody else does not let go of it.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// What was read, and what is wrong with it, to be said once.
pub struct Seen {
    /// What it holds; empty when it cannot be read.
    pub document: Document,
    /// Sentences for people.
    pub complaints: Vec<String>,
}

impl Cache {
    /// In this directory.
    #[must_use]
    pub fn at(dir: Option<PathBuf>) -> Self {
        Self { dir }
    }

    /// The directory, for messages.
    #[must_use]
    pub fn shown(&self) -> String {
        self.dir.as_ref().map(|dir| dir.display().to_string()).unwrap_or_default()
    }

    /// The file, for messages.
    #[must_use]
    pub fn file_shown(&self) -> String {
        self.file().map(|file| file.display().to_string()).unwrap_or_default()
    }

    /// What is remembered. A file that cannot be read holds nothing.
    #[must_use]
    pub fn read(&self) -> Seen {
        let nothing = |why: String| Seen { document: Document::default(), complaints: vec![why] };
        let Some(file) = self.file() else { return nothing(format!("{}.", CacheError::Nowhere)) };
        match read_patiently(&file) {
            Ok(Content::Document(document)) => {
                Seen { document, complaints: insecure(&file).into_iter().collect() }
            }
            Ok(Content::Damaged) => nothing(format!("{} is damaged and not used.", file.display())),
            Err(error) => nothing(format!("{error}.")),
        }
    }

    /// Changes what is remembered, on what is in the file at that moment. A damaged file is put aside.
    ///
    /// # Errors
    /// When the file cannot be locked, read or written; nothing is changed then.
    pub fn change<R>(&self, change: impl FnOnce(&mut Document) -> R) -> Result<R, CacheError> {
        let dir = self.dir.as_deref().ok_or(CacheError::Nowhere)?;
        files::private_dir(dir)?;
        let _lock = Lock::hold(&dir.join(LOCK), PATIENCE)?;
        let file = resolved(dir.join(FILE));
        let mut document = match read_patiently(&file)? {
            Content::Document(document) => document,
            Content::Damaged => {
                put_aside(&file, &dir.join(BROKEN))?;
                Document::default()
            }
        };
        let result = change(&mut document);
        files::write_private(&file, &document.to_bytes())?;
        Ok(result)
    }

    /// Waits until nobody else is getting the credential of this name.
    ///
    /// # Errors
    /// When the place cannot be written, or somebody else takes longer than this.
    pub fn turn(&self, server: &str, key: &str, patience: Duration) -> Result<Lock, CacheError> {
        let dir = self.dir.as_deref().ok_or(CacheError::Nowhere)?;
        files::private_dir(dir)?;
        let digest = Sha256::digest(format!("{server}\n{key}").as_bytes());
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Lock::hold(&dir.join(format!("login-{name}.lock")), patience)?)
    }

    fn file(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(FILE))
    }
}

enum Content {
    Document(Document),
    Damaged,
}

/// A missing file is an empty one, and so is an empty one.
fn read_patiently(file: &Path) -> Result<Content, FileError> {
    // A pipe, of which nobody might ever write the other end, is not waited for.
    if std::fs::metadata(file).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let why = std::io::Error::other("it is not a regular file");
        return Err(FileError::Read(file.to_owned(), why));
    }
    for attempt in 0..READS {
        let Some(bytes) = files::read_small(file, LARGEST)?.map(Zeroizing::new) else {
            return Ok(Content::Document(Document::default()));
        };
        if let Ok(Value::Object(members)) = serde_json::from_slice(&bytes) {
            return Ok(Content::Document(Document::of(members)));
        }
        if attempt + 1 < READS {
            std::thread::sleep(PAUSE);
        } else if bytes.trim_ascii().is_empty() {
            return Ok(Content::Document(Document::default()));
        }
    }
    Ok(Content::Damaged)
}

/// A link stays a link: what it points to is replaced.
fn resolved(file: PathBuf) -> PathBuf {
    file.canonicalize().unwrap_or(file)
}

/// What it holds may still be of use to somebody, and may be secret.
fn put_aside(file: &Path, aside: &Path) -> Result<(), FileError> {
    let failed = |error| FileError::Write(aside.to_owned(), error);
    std::fs::rename(file, aside).map_err(failed)?;
    std::fs::set_permissions(aside, std::fs::Permissions::from_mode(0o600)).map_err(failed)
}

/// As the Rancher CLI says it.
fn insecure(file: &Path) -> Option<String> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    let who = match mode {
        mode if mode & 0o004 != 0 => "world-readable",
        mode if mode & 0o040 != 0 => "group-readable",
        _ => return None,
    };
    Some(format!("{} is {who}: whoever reads it can use the tokens in it.", file.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::fs;

    use secrecy::{ExposeSecret, SecretString};

    use super::*;

    fn credential(token: &str) -> Credential {
        Credential {
            token: SecretString::from(token),
            expires: Some("2030-01-02T03:04:05Z".into()),
            authority: None,
        }
    }

    fn place() -> (tempfile::TempDir, Cache, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("deep/rancher");
        let cache = Cache::at(Some(dir.clone()));
        (home, cache, dir.join(FILE))
    }

    #[test]
    fn what_is_put_there_is_found_again_and_only_the_owner_may_look() {
        let (_home, cache, file) = place();
        assert!(cache.read().complaints.is_empty(), "nothing there is nothing wrong");
        cache.change(|document| document.put_credential("s", "u_c", &credential("t:x"))).unwrap();
        let found = cache.read().document.credential("s", "u_c").unwrap();
        assert_eq!(
            (found.token.expose_secret(), found.expires.as_deref()),
            ("t:x", Some("2030-01-02T03:04:05Z"))
        );
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn what_others_keep_in_the_file_stays() {
        let (_home, cache, file) = place();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let theirs = r#"{"CurrentServer":"r","Extra":[1],"Servers":{"r":{"accessKey":"a","project":"c:p","kubeConfigs":{"x":{"y":1}},"new":7},"s":null}}"#;
        fs::write(&file, theirs).unwrap();
        cache.change(|document| document.put_credential("s", "u_", &credential("t:x"))).unwrap();
        let now: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let before: Value = serde_json::from_str(theirs).unwrap();
        assert_eq!((&now["Servers"]["r"], &now["Extra"]), (&before["Servers"]["r"], &before["Extra"]));
        let stored = &now["Servers"]["s"]["kubeCredentials"]["u_"];
        assert_eq!((&stored["kind"], &stored["status"]["token"]), (&"ExecCredential".into(), &"t:x".into()));
        assert_eq!(stored["apiVersion"], "client.authentication.k8s.io/v1beta1");
    }

    #[test]
    fn a_torn_file_is_nothing_to_read_and_is_put_aside_before_anything_is_written() {
        let (_home, cache, file) = place();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        for torn in ["{\"Servers\":{\"s\":", "[]", "\"x\"", "\u{0}\u{0}"] {
            fs::write(&file, torn).unwrap();
            let seen = cache.read();
            assert!(seen.document.credential("s", "u_").is_none());
            assert!(
                seen.complaints.iter().any(|said| said.contains("is damaged")),
                "{torn}: {:?}",
                seen.complaints
            );
            cache.change(|document| document.put_credential("s", "u_", &credential("t:x"))).unwrap();
            assert_eq!(fs::read_to_string(file.with_file_name(BROKEN)).unwrap(), torn);
            assert!(cache.read().document.credential("s", "u_").is_some());
        }
        fs::write(&file, "").unwrap();
        assert!(cache.read().complaints.is_empty(), "an empty file is an empty cache");
    }

    #[test]
    fn what_is_no_file_is_said_and_not_waited_for() {
        let (_home, cache, file) = place();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
        let seen = cache.read();
        assert!(seen.complaints[0].contains("is not a regular file"), "{:?}", seen.complaints);
        assert!(cache.change(|document| document.put_credential("s", "u_", &credential("t:x"))).is_err());
    }

    #[test]
    fn a_file_that_others_may_read_is_said_and_mended_by_the_next_change() {
        let (_home, cache, file) = place();
        cache.change(|_| ()).unwrap();
        for (mode, who) in [(0o644, "world-readable"), (0o640, "group-readable")] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert!(cache.read().complaints[0].contains(who));
            cache.change(|_| ()).unwrap();
            assert!(cache.read().complaints.is_empty());
        }
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let (_home, cache, _) = place();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let cache = &cache;
                scope.spawn(move || {
                    for n in 0..10 {
                        let key = format!("u{writer}_{n}");
                        let put = |document: &mut Document| {
                            document.put_credential("s", &key, &credential("t:x"));
                        };
                        // On a slow disk somebody may wait in vain; nothing is changed then.
                        while let Err(error) = cache.change(put) {
                            assert!(matches!(error, CacheError::Lock(LockError::Busy(..))), "{error}");
                        }
                    }
                });
            }
        });
        assert_eq!(cache.read().document.credentials().len(), 80);
    }

    #[test]
    fn a_turn_is_waited_for_and_not_for_ever() {
        let (_home, cache, _) = place();
        let first = cache.turn("s", "u_", PATIENCE).unwrap();
        assert!(!first.waited());
        assert!(!cache.turn("s", "other_", PATIENCE).unwrap().waited(), "another credential is another turn");
        let error = cache.turn("s", "u_", Duration::from_millis(60)).err().unwrap();
        assert!(matches!(error, CacheError::Lock(LockError::Busy(..))), "{error}");
        drop(first);
        assert!(!cache.turn("s", "u_", PATIENCE).unwrap().waited());
    }

    #[test]
    fn without_a_place_everything_says_so() {
        let nowhere = Cache::at(None);
        assert!(nowhere.read().complaints[0].contains("no home directory"));
        assert!(matches!(nowhere.change(|_| ()), Err(CacheError::Nowhere)));
        let unwritable = Cache::at(Some(PathBuf::from("/proc/rancher")));
        assert!(unwritable.read().complaints.is_empty());
        assert!(unwritable.change(|_| ()).is_err());
    }
}
