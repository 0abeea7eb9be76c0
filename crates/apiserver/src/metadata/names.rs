//! What names, label keys, label values and the like may look like, in kube's words.
//!
//! Each function gives the faults found, as texts that follow `Invalid value: "…": `; none means valid.

const SUBDOMAIN: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// Faults of an object's name (M1): a DNS subdomain of at most 253 bytes. In a prefix (`generateName`) the last character may be a dash.
#[must_use]
pub fn name_faults(name: &str, prefix: bool) -> Vec<String> {
    dns_subdomain_faults(&mask_trailing_dash(name, prefix))
}

/// Faults of a namespace's name: a DNS label of at most 63 bytes.
#[must_use]
pub fn namespace_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 63 {
        faults.push(too_long(63));
    }
    if !is_dns_label(name) {
        faults.push(LABEL.to_owned());
    }
    faults
}

/// Faults of a lower-case DNS subdomain.
#[must_use]
pub fn dns_subdomain_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 253 {
        faults.push(too_long(253));
    }
    if !name.split('.').all(is_dns_label) {
        faults.push(SUBDOMAIN.to_owned());
    }
    faults
}

/// Faults of a segment of a URL's path, for names that follow looser rules than [`name_faults`].
#[must_use]
pub fn path_segment_faults(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    ['/', '%'].into_iter().filter(|&c| name.contains(c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// Faults of a qualified name (M2, M3): keys of labels and annotations, finalizers.
#[must_use]
pub fn qualified_name_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut parts = name.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                faults.extend(
                    dns_subdomain_faults(prefix).into_iter().map(|fault| format!("prefix part {fault}")),
                );
            }
            name
        }
        _ => {
            faults.push(format!(
                "a qualified name {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
            return faults;
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        faults.push(format!("name part {}", too_long(63)));
    }
    if !is_name_part(name) {
        faults.push(format!("name part {QUALIFIED}"));
    }
    faults
}

/// Faults of a label's value (M2).
#[must_use]
pub fn label_value_faults(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > 63 {
        faults.push(too_long(63));
    }
    if !value.is_empty() && !is_name_part(value) {
        faults.push(LABEL_VALUE.to_owned());
    }
    faults
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

/// A completed name goes on after the dash, so a prefix is judged as if something followed.
fn mask_trailing_dash(name: &str, prefix: bool) -> String {
    match name.strip_suffix('-') {
        Some(head) if prefix && !head.is_empty() => format!("{head}a"),
        _ => name.to_owned(),
    }
}

fn is_dns_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    ends_are(label, inner) && label.bytes().all(|b| inner(b) || b == b'-')
}

fn is_name_part(name: &str) -> bool {
    ends_are(name, |b| b.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn ends_are(text: &str, good: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|&b| good(b)) && bytes.last().is_some_and(|&b| good(b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn names_are_dns_subdomains() {
        for good in ["a", "token-abc12", "a.b.c", "0", &"a".repeat(253)] {
            assert!(name_faults(good, false).is_empty(), "{good}");
        }
        for bad in
            ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a.", "a/b", "a%b", ".", "..", "ä", &"a".repeat(254)]
        {
            assert!(!name_faults(bad, false).is_empty(), "{bad}");
        }
        assert!(name_faults("token-", true).is_empty());
        assert!(!name_faults("-", true).is_empty());
        assert_eq!(
            name_faults("A", false),
            [
                r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
    }

    #[test]
    fn qualified_names_may_have_one_prefix() {
        for good in ["a", "A.b_c-d", "example.com/Name", &format!("{}/{}", "a".repeat(253), "b".repeat(63))] {
            assert!(qualified_name_faults(good).is_empty(), "{good}");
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a/b/c",
            "A.b/c",
            "-a",
            "a-",
            "a b",
            &"a".repeat(64),
            &format!("{}/a", "a".repeat(254)),
        ] {
            assert!(!qualified_name_faults(bad).is_empty(), "{bad}");
        }
        assert_eq!(qualified_name_faults("/a"), ["prefix part must be non-empty"]);
    }

    #[test]
    fn label_values_may_be_empty() {
        for good in ["", "a", "A_b.c-D", &"x".repeat(63)] {
            assert!(label_value_faults(good).is_empty(), "{good}");
        }
        for bad in ["-", "a b", "a/", "é", &"x".repeat(64)] {
            assert!(!label_value_faults(bad).is_empty(), "{bad}");
        }
    }

    #[test]
    fn path_segments_cannot_climb() {
        assert_eq!(path_segment_faults(".."), ["may not be '..'"]);
        assert_eq!(path_segment_faults("a/b%"), ["may not contain '/'", "may not contain '%'"]);
        assert!(path_segment_faults("A:b").is_empty());
    }
}
