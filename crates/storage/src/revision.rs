//! The one counter that orders everything in a store.

use std::fmt;
use std::str::FromStr;

/// A point in the store's history. Grows by one with every commit that changes something and never goes back,
/// over restart, compaction and restore (DESIGN §3). `0` is before everything; an empty store starts at 1.
///
/// As text it is a plain decimal number below 2^53, so that clients may hold it in a double.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The revision of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is not a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a revision is a decimal number without sign or leading zeros")]
pub struct ParseRevisionError;

impl FromStr for Revision {
    type Err = ParseRevisionError;

    /// Decimal digits only: no sign, no blank, no leading zero (`0` itself is fine).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits || (text.len() > 1 && text.starts_with('0')) {
            return Err(ParseRevisionError);
        }
        text.parse().map(Self).map_err(|_| ParseRevisionError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_decimal_text_is_a_revision() {
        assert_eq!("0".parse(), Ok(Revision::new(0)));
        assert_eq!("10".parse(), Ok(Revision::new(10)));
        assert_eq!("18446744073709551615".parse(), Ok(Revision::new(u64::MAX)));
        for bad in ["", "+1", "-1", "01", "00", " 1", "1 ", "1.0", "0x1", "18446744073709551616", "١"] {
            assert_eq!(bad.parse::<Revision>(), Err(ParseRevisionError), "{bad:?}");
        }
    }

    #[test]
    fn a_revision_is_shown_as_it_is_read() {
        assert_eq!(Revision::new(4711).to_string(), "4711");
        assert_eq!(Revision::new(4711).next().get(), 4712);
    }
}
