//! What pages load: one stylesheet and one icon. Their URL holds a hash of their content, so browsers may keep them for ever.

/// What all their paths begin with.
pub const PREFIX: &str = "/api-ui/";

/// Browsers may keep them for ever: other content has another URL.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// The stylesheet's name.
pub const STYLE: &str = "eartag.css";
/// The icon's name.
pub const ICON: &str = "eartag.svg";

const STYLE_BYTES: &[u8] = include_bytes!("../assets/eartag.css");
const ICON_BYTES: &[u8] = include_bytes!("../assets/eartag.svg");

/// FNV-1a over both: not a secret, only different when they are.
const HASH: u64 = fnv(fnv(0xcbf2_9ce4_8422_2325, STYLE_BYTES), ICON_BYTES);

/// A file that pages load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its bytes.
    pub bytes: &'static [u8],
    /// Its `Content-Type`.
    pub content_type: &'static str,
}

/// The path of a file.
#[must_use]
pub fn url(name: &str) -> String {
    format!("{PREFIX}{HASH:016x}/{name}")
}

/// The file at a path, if it is the one of this version.
#[must_use]
pub fn find(path: &str) -> Option<Asset> {
    let (hash, name) = path.strip_prefix(PREFIX)?.split_once('/')?;
    if hash != format!("{HASH:016x}") {
        return None;
    }
    match name {
        STYLE => Some(Asset { bytes: STYLE_BYTES, content_type: "text/css; charset=utf-8" }),
        ICON => Some(Asset { bytes: ICON_BYTES, content_type: "image/svg+xml" }),
        _ => None,
    }
}

#[expect(clippy::indexing_slicing, reason = "const evaluation; the index is below the length")]
const fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn files_are_found_under_their_own_url_only() {
        assert_eq!(find(&url(STYLE)).unwrap().content_type, "text/css; charset=utf-8");
        assert_eq!(find(&url(ICON)).unwrap().bytes, ICON_BYTES);
        for path in ["/api-ui/", "/api-ui/0/eartag.css", "/api-ui/eartag.css", &url("../secret"), &url("")] {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn the_stylesheet_loads_nothing_from_elsewhere() {
        let style = std::str::from_utf8(STYLE_BYTES).unwrap();
        assert!(!style.contains("http") && !style.contains("@import"));
        assert!(!std::str::from_utf8(ICON_BYTES).unwrap().contains("<script"));
    }
}
