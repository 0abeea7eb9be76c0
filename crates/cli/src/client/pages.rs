//! Whole lists of a Kubernetes door, page by page.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Client, ClientError, Route};

/// Objects on one page.
const PAGE: &str = "500";

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: ListMeta,
    // No default: what has no items is no list.
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListMeta {
    #[serde(rename = "continue")]
    token: Option<String>,
}

impl Client {
    /// Everything that a list holds, as it was at one moment.
    ///
    /// # Errors
    /// [`ClientError`]; when the list has changed too much between two pages, the server's refusal says so (410).
    pub fn list<T: DeserializeOwned>(&self, route: &Route) -> Result<Vec<T>, ClientError> {
        let first = route.query("limit", PAGE);
        let mut next = first.clone();
        let mut all = Vec::new();
        let mut before: Option<String> = None;
        loop {
            let page: Page<T> = self.get(&next)?.body;
            all.append(&mut page.items.unwrap_or_default());
            let Some(token) = page.metadata.token.filter(|token| !token.is_empty()) else { return Ok(all) };
            if before.as_ref() == Some(&token) {
                return Err(self.foreign("its list does not end".into()));
            }
            next = first.query("continue", &token);
            before = Some(token);
        }
    }
}
