//! What may be changed of a kubeconfig: metadata and description (kubeconfig-and-cli.md §1.7).

use super::KubeconfigRefusal;
use crate::record::KubeconfigRecord;

/// What a client wrote. Members that are absent are unchanged, and so are those that clients in Go cannot tell from absent ones.
#[derive(Debug, Clone, Default)]
pub struct UpdateKubeconfig<'a> {
    /// `spec.clusters`.
    pub clusters: Option<Vec<&'a str>>,
    /// `spec.currentContext`.
    pub current_context: &'a str,
    /// `spec.description`.
    pub description: &'a str,
    /// `spec.ttl`, in seconds.
    pub ttl: i64,
    /// `spec.includeDefaultEntry`.
    pub include_default_entry: Option<bool>,
}

/// The record after an update; `marks` is whether metadata changes too. An update that changes nothing leaves the record alone.
///
/// # Errors
/// A member that cannot be changed.
pub fn update(
    old: &KubeconfigRecord,
    asked: &UpdateKubeconfig<'_>,
    marks: bool,
    now_s: i64,
) -> Result<KubeconfigRecord, KubeconfigRefusal> {
    let immutable = |member| Err(KubeconfigRefusal::Immutable(member));
    if asked.clusters.as_ref().is_some_and(|clusters| !clusters.iter().eq(&old.clusters)) {
        return immutable("spec.clusters");
    }
    if !asked.current_context.is_empty() && asked.current_context != old.current_context {
        return immutable("spec.currentContext");
    }
    if asked.ttl != 0 && asked.ttl != old.shown_ttl() {
        return immutable("spec.ttl");
    }
    let default_entry = |include: Option<bool>| include.unwrap_or(true);
    if asked.include_default_entry.is_some()
        && default_entry(asked.include_default_entry) != default_entry(old.include_default_entry)
    {
        return immutable("spec.includeDefaultEntry");
    }
    if asked.description == old.description && !marks {
        return Ok(old.clone());
    }
    let description = asked.description.to_owned();
    Ok(KubeconfigRecord { description, updated_s: Some(now_s), ..old.clone() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::record::kubeconfig::tests::sample;

    fn same() -> UpdateKubeconfig<'static> {
        UpdateKubeconfig {
            clusters: Some(vec!["local", "c-1"]),
            current_context: "local",
            description: "for work",
            ttl: 60,
            include_default_entry: None,
        }
    }

    #[test]
    fn writing_back_what_was_shown_changes_nothing() {
        let old = sample();
        assert_eq!(update(&old, &same(), false, 9), Ok(old.clone()));
        let left_out = UpdateKubeconfig { description: "for work", ..UpdateKubeconfig::default() };
        assert_eq!(update(&old, &left_out, false, 9), Ok(old.clone()));
        let explicit = UpdateKubeconfig { include_default_entry: Some(true), ..same() };
        assert_eq!(update(&old, &explicit, false, 9), Ok(old));
    }

    #[test]
    fn description_and_metadata_are_all_that_changes() {
        let old = sample();
        let new = update(&old, &UpdateKubeconfig { description: "", ..same() }, false, 9).unwrap();
        assert_eq!((new.description.as_str(), new.updated_s), ("", Some(9)));
        assert_eq!(KubeconfigRecord { description: old.description.clone(), updated_s: None, ..new }, old);
        assert_eq!(update(&old, &same(), true, 9).unwrap().updated_s, Some(9));
    }

    #[test]
    fn the_rest_is_immutable_each_in_its_own_words() {
        let said = |asked: UpdateKubeconfig<'_>| update(&sample(), &asked, false, 9).unwrap_err().to_string();
        assert_eq!(said(UpdateKubeconfig { clusters: Some(vec![]), ..same() }), "spec.clusters is immutable");
        assert_eq!(
            said(UpdateKubeconfig { clusters: Some(vec!["c-1", "local"]), ..same() }),
            "spec.clusters is immutable"
        );
        assert_eq!(
            said(UpdateKubeconfig { current_context: "c-1", ..same() }),
            "spec.currentContext is immutable"
        );
        assert_eq!(said(UpdateKubeconfig { ttl: 61, ..same() }), "spec.ttl is immutable");
        assert_eq!(said(UpdateKubeconfig { ttl: -60, ..same() }), "spec.ttl is immutable");
        let without = UpdateKubeconfig { include_default_entry: Some(false), ..same() };
        assert_eq!(said(without), "spec.includeDefaultEntry is immutable");
    }
}
