//! Everything that clients got back from a server.

use std::sync::{Arc, Mutex, PoisonError};

/// A list of what was received: what for, and the bytes. Clones share it.
#[derive(Clone, Default)]
pub struct Tape(Arc<Mutex<Vec<Noted>>>);

/// What for, and the bytes.
type Noted = (String, Vec<u8>);

impl Tape {
    /// Notes a reply. Very long ones are kept whole: a secret can be anywhere.
    pub fn note(&self, what: String, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((what, bytes.to_vec()));
    }

    /// In which replies the needle occurs; a reply that has it twice is named twice.
    pub fn find(&self, needle: &str) -> Vec<String> {
        let tape = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tape.iter()
            .flat_map(|(what, bytes)| std::iter::repeat_n(what.clone(), count(bytes, needle.as_bytes())))
            .collect()
    }

    /// How many replies there are.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How often the needle occurs.
pub fn count(bytes: &[u8], needle: &[u8]) -> usize {
    let Some(first) = needle.first() else { return 0 };
    let mut found = 0;
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|b| b == first) {
        at += next;
        if bytes[at..].starts_with(needle) {
            found += 1;
            at += needle.len();
        } else {
            at += 1;
        }
    }
    found
}
