//! Cluster roles that are made of others (`aggregationRule`).

use std::collections::BTreeMap;

use crate::record::{Aggregation, Requirement};

/// Whether a role with these labels is selected by any of the selectors. A selector without any requirement selects all.
pub(super) fn selects(selectors: &[Aggregation], labels: &BTreeMap<String, String>) -> bool {
    selectors.iter().any(|selector| {
        selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && selector.match_expressions.iter().all(|requirement| holds(requirement, labels))
    })
}

fn holds(requirement: &Requirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| requirement.values.contains(value)),
        "NotIn" => value.is_none_or(|value| !requirement.values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn need(operator: &str, values: &[&str]) -> Vec<Aggregation> {
        let values = values.iter().map(|v| (*v).to_owned()).collect();
        let requirement = Requirement { key: "k".into(), operator: operator.into(), values };
        vec![Aggregation { match_expressions: vec![requirement], ..Aggregation::default() }]
    }

    #[test]
    fn selectors_select_by_labels() {
        let labels = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        assert!(selects(&need("In", &["v"]), &labels) && !selects(&need("In", &["w"]), &labels));
        assert!(selects(&need("NotIn", &["w"]), &labels) && !selects(&need("NotIn", &["v"]), &labels));
        assert!(selects(&need("Exists", &[]), &labels) && !selects(&need("DoesNotExist", &[]), &labels));
        assert!(!selects(&need("in", &["v"]), &labels), "an unknown operator selects nothing");
        let equal = vec![Aggregation { match_labels: labels.clone(), ..Aggregation::default() }];
        assert!(selects(&equal, &labels) && !selects(&equal, &BTreeMap::new()));
        assert!(!selects(&[], &labels));
    }
}
