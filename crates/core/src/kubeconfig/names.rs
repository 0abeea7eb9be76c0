//! Names of entries: those of the reference, but each only once. Two entries of one name would make a file in which one of them is silently another cluster.

use std::collections::{HashMap, HashSet};

/// Names that are given out once each.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// With some names taken.
    pub(super) fn without<'a>(taken: impl IntoIterator<Item = &'a str>) -> Self {
        Self { taken: taken.into_iter().map(str::to_owned).collect() }
    }

    /// The first candidate that is free; if none is, the last one with a number.
    pub(super) fn take(&mut self, candidates: &[String]) -> String {
        let numbered =
            candidates.last().into_iter().flat_map(|last| (2..).map(move |n: u32| format!("{last}-{n}")));
        let mut all = candidates.iter().cloned().chain(numbered);
        let free = all.find(|name| !self.taken.contains(name)).unwrap_or_default();
        self.taken.insert(free.clone());
        free
    }

    /// A name for each of these clusters, given as shown name and id: the shown name where it is theirs alone, else with the id behind it.
    pub(super) fn clusters(&mut self, clusters: &[(&str, &str)]) -> Vec<String> {
        let mut uses: HashMap<&str, usize> = HashMap::new();
        for (shown, _) in clusters {
            *uses.entry(shown).or_default() += 1;
        }
        let alone = |shown: &str| uses.get(shown) == Some(&1);
        let mut names = vec![String::new(); clusters.len()];
        // Those that are alone come first: nobody loses a name to a made-up one.
        for first in [true, false] {
            for (name, (shown, id)) in
                names.iter_mut().zip(clusters).filter(|(_, (shown, _))| alone(shown) == first)
            {
                let (shown, id) = ((*shown).to_owned(), (*id).to_owned());
                let with_id = format!("{shown}-{id}");
                *name = if first { self.take(&[shown, with_id, id]) } else { self.take(&[with_id, id]) };
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_called_as_they_are_shown() {
        let names = Names::without(["rancher"]).clusters(&[("prod", "c-1"), ("local", "local")]);
        assert_eq!(names, ["prod", "local"]);
    }

    #[test]
    fn clusters_that_share_a_name_are_told_apart_by_their_ids() {
        let names = Names::default().clusters(&[("prod", "c-1"), ("prod", "c-2"), ("prod-c-2", "c-3")]);
        assert_eq!(names, ["prod-c-1", "c-2", "prod-c-2"]);
    }

    #[test]
    fn the_name_of_the_server_itself_is_no_clusters() {
        let names = Names::without(["rancher"]).clusters(&[("rancher", "c-1"), ("rancher-c-1", "c-2")]);
        assert_eq!(names, ["rancher-c-1", "rancher-c-1-c-2"]);
    }

    #[test]
    fn when_all_is_taken_a_number_helps() {
        let mut names = Names::without(["a", "b", "b-2"]);
        assert_eq!(names.take(&["a".into(), "b".into()]), "b-3");
        assert_eq!(names.take(&["a".into(), "b".into()]), "b-4");
    }
}
