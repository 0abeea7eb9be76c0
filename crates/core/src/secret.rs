//! Secrets in clear: made here, never printed, wiped when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// A source of random bytes, handed down by the wiring: it fills the whole slice. It must be cryptographically strong.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);

/// The 27 letters of secrets and name suffixes: lower-case consonants and digits without look-alikes (ext-token.md §2.3).
pub const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Length of a token's secret, in letters (about 256 bits).
pub const TOKEN_LENGTH: usize = 54;

/// A secret in clear: a token's value or a password.
///
/// It has no `Serialize`, no `Clone`, no `Display`, and a `Debug` that shows nothing; its memory is wiped on drop.
pub struct PlainSecret(Zeroizing<String>);

impl PlainSecret {
    /// Takes over a secret that came from outside.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// A token's value: 54 letters of [`ALPHABET`], each equally likely.
    #[must_use]
    pub fn token(random: Random<'_>) -> Self {
        Self(letters(TOKEN_LENGTH, random))
    }

    /// The text itself, for hashing and for the one reply that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PlainSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainSecret(…)")
    }
}

/// `count` letters of [`ALPHABET`], each equally likely: bytes of 243 and above (the last incomplete run of 27) are drawn again.
pub(crate) fn letters(count: usize, random: Random<'_>) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(count));
    let mut bytes = Zeroizing::new([0u8; 64]);
    while out.len() < count {
        random(bytes.as_mut_slice());
        let drawn = bytes.iter().filter(|b| **b < 243).filter_map(|b| ALPHABET.get(usize::from(b % 27)));
        let missing = count - out.len();
        out.extend(drawn.take(missing).map(|letter| char::from(*letter)));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    /// Every byte value equally often.
    fn counter() -> impl FnMut(&mut [u8]) {
        let mut next = 0u8;
        move |out: &mut [u8]| {
            for byte in out {
                *byte = next;
                next = next.wrapping_add(1);
            }
        }
    }

    #[test]
    fn a_token_secret_has_54_letters_of_the_alphabet() {
        let secret = PlainSecret::token(&mut counter());
        assert_eq!(secret.expose().len(), 54);
        assert!(secret.expose().bytes().all(|b| ALPHABET.contains(&b)));
    }

    #[test]
    fn letters_are_equally_likely() {
        let text = letters(243 * 10, &mut counter());
        for letter in ALPHABET {
            assert_eq!(text.bytes().filter(|b| b == letter).count(), 90);
        }
    }

    #[test]
    fn a_secret_cannot_be_printed() {
        assert_eq!(format!("{:?}", PlainSecret::new("hunter2")), "PlainSecret(…)");
    }
}
