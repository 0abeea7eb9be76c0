//! Which form of an answer a client wants (kubernetes-api.md §4).
//!
//! ```text
//! Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json      ?pretty=…, User-Agent
//!           │ parse: clauses, best quality first, else in the client's order      │
//!           └ negotiate: the first clause that this kind of answer can satisfy ───┴→ Negotiated
//! ```
//!
//! Protobuf and CBOR are never offered, so clients that also list JSON get JSON.

/// Clauses of an `Accept` header that are looked at; the rest is ignored.
const MAX_CLAUSES: usize = 32;

/// One clause of an `Accept` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause<'a> {
    /// Type and subtype as sent, e.g. `application/json`.
    pub essence: &'a str,
    /// Parameters without `q`, in the client's order.
    pub parameters: Vec<(&'a str, &'a str)>,
    /// Quality in thousandths, 1 to 1000.
    pub quality: u16,
}

/// How the object travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
}

/// Version of the group `meta.k8s.io` that the answer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetaVersion {
    /// `v1`.
    V1,
    /// `v1beta1`, for old clients.
    V1beta1,
}

/// What is shown of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// All of it.
    Object,
    /// Rows of a table (N5).
    Table(MetaVersion),
    /// Only `metadata`: `PartialObjectMetadata`, or on lists `PartialObjectMetadataList` (N7).
    Metadata(MetaVersion),
}

/// What kind of answer is to be given; it decides what can be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// One object with metadata, also the result of a write.
    Object,
    /// A list.
    List,
    /// A stream of watch events; each carries one object, a one-row table or one object's metadata. JSON only.
    Watch,
    /// A review or another kind without metadata: no table, no metadata view.
    Plain,
}

/// The form to answer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Negotiated {
    /// How.
    pub encoding: Encoding,
    /// What.
    pub view: View,
    /// The clause itself asked for indented output (`;pretty=1`).
    pub pretty: bool,
}

/// Nothing that the client accepts can be given: 406 with the media types that could (N2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAcceptable(pub &'static [&'static str]);

/// Splits an `Accept` header. Best quality first; equal ones keep the client's order; `q=0` and malformed clauses are left out.
#[must_use]
pub fn parse(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> =
        split(header, b',').take(MAX_CLAUSES).filter_map(parse_clause).collect();
    clauses.sort_by_key(|clause| std::cmp::Reverse(clause.quality));
    clauses
}

/// Chooses the form of an answer.
///
/// A missing or empty header means anything (N1). Parameters that are not known are tolerated; `as`, `v` and `g` only together and with values that are served.
///
/// # Errors
/// If no clause can be satisfied.
pub fn negotiate(accept: Option<&str>, answer: Answer) -> Result<Negotiated, NotAcceptable> {
    let header = accept.map_or("", str::trim);
    if header.is_empty() {
        return Ok(Negotiated { encoding: Encoding::Json, view: View::Object, pretty: false });
    }
    parse(header).iter().find_map(|clause| satisfy(clause, answer)).ok_or(NotAcceptable(offered(answer)))
}

/// Whether to indent (N8): `?pretty=` decides if it has a value, else the clause of `Accept`, else whether a person seems to read along.
#[must_use]
pub fn is_pretty(query: Option<&str>, negotiated: Negotiated, user_agent: Option<&str>) -> bool {
    if negotiated.pretty {
        return true;
    }
    match query {
        Some(value) if !value.is_empty() => {
            matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
        }
        _ => user_agent
            .is_some_and(|agent| ["curl", "Wget", "Mozilla/5.0"].iter().any(|p| agent.starts_with(p))),
    }
}

impl Encoding {
    /// The value of `Content-Type`; views do not show in it (N5).
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

impl MetaVersion {
    /// `meta.k8s.io/v1` or `meta.k8s.io/v1beta1`.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

impl Clause<'_> {
    /// The value of a parameter; names in any case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Whether the clause covers this media type, wildcards included.
    #[must_use]
    pub fn covers(&self, media_type: &str) -> bool {
        if self.essence == "*/*" || self.essence.eq_ignore_ascii_case(media_type) {
            return true;
        }
        match (self.essence.split_once('/'), media_type.split_once('/')) {
            (Some((wanted, "*")), Some((class, _))) => wanted.eq_ignore_ascii_case(class),
            _ => false,
        }
    }
}

fn satisfy(clause: &Clause<'_>, answer: Answer) -> Option<Negotiated> {
    let encoding = if clause.covers("application/json") {
        Encoding::Json
    } else if answer != Answer::Watch && clause.covers("application/yaml") {
        Encoding::Yaml
    } else {
        return None;
    };
    if clause.parameter("stream").is_some_and(|s| !s.is_empty() && (s != "watch" || answer != Answer::Watch))
    {
        return None;
    }
    let view = match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
        (None, None, None) => View::Object,
        (Some(form), Some("meta.k8s.io"), Some(version)) => {
            let version = match version {
                "v1" => MetaVersion::V1,
                "v1beta1" => MetaVersion::V1beta1,
                _ => return None,
            };
            match (form, answer) {
                ("Table", Answer::Object | Answer::List | Answer::Watch) => View::Table(version),
                ("PartialObjectMetadata", Answer::Object | Answer::Watch)
                | ("PartialObjectMetadataList", Answer::List) => View::Metadata(version),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(Negotiated { encoding, view, pretty: clause.parameter("pretty") == Some("1") })
}

fn offered(answer: Answer) -> &'static [&'static str] {
    match answer {
        Answer::Object => &[
            "application/json",
            "application/json;as=Table",
            "application/json;as=PartialObjectMetadata",
            "application/yaml",
        ],
        Answer::List => &[
            "application/json",
            "application/json;as=Table",
            "application/json;as=PartialObjectMetadataList",
            "application/yaml",
        ],
        Answer::Watch => &[
            "application/json",
            "application/json;stream=watch",
            "application/json;as=Table",
            "application/json;as=PartialObjectMetadata",
        ],
        Answer::Plain => &["application/json", "application/yaml"],
    }
}

fn parse_clause(text: &str) -> Option<Clause<'_>> {
    let mut parts = split(text, b';');
    let essence = parts.next()?.trim();
    let (class, subtype) = essence.split_once('/')?;
    if class.is_empty() || subtype.is_empty() {
        return None;
    }
    let (mut parameters, mut quality) = (Vec::new(), 1000);
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        let (name, value) = (name.trim(), value.trim().trim_matches('"'));
        if name.eq_ignore_ascii_case("q") {
            quality = parse_quality(value)?;
        } else {
            parameters.push((name, value));
        }
    }
    (quality > 0).then_some(Clause { essence, parameters, quality })
}

/// `0.5` → 500. No clause is worth more than one without a quality.
fn parse_quality(text: &str) -> Option<u16> {
    let quality: f64 = text.parse().ok()?;
    (0.0..=1.0).contains(&quality).then(|| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
        let thousandths = (quality * 1000.0).round() as u16;
        thousandths
    })
}

/// Splits at a separator outside of quotes.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        if c == '"' {
            quoted = !quoted;
        }
        !quoted && c == char::from(separator)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECTL_GET: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    const METADATA_INFORMER: &str = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

    fn view(accept: &str, answer: Answer) -> Option<View> {
        negotiate(Some(accept), answer).ok().map(|n| n.view)
    }

    #[test]
    fn no_wish_is_json() {
        for accept in
            [None, Some(""), Some(" "), Some("*/*"), Some("application/*"), Some("application/json, */*")]
        {
            let chosen = negotiate(accept, Answer::List).unwrap();
            assert_eq!((chosen.encoding, chosen.view), (Encoding::Json, View::Object), "{accept:?}");
        }
    }

    #[test]
    fn kubectl_gets_a_table_where_there_is_one() {
        for answer in [Answer::Object, Answer::List, Answer::Watch] {
            assert_eq!(view(KUBECTL_GET, answer), Some(View::Table(MetaVersion::V1)));
        }
        assert_eq!(view(KUBECTL_GET, Answer::Plain), Some(View::Object));
    }

    #[test]
    fn a_table_only_wish_at_a_review_is_refused() {
        assert!(negotiate(Some("application/json;as=Table;v=v1;g=meta.k8s.io"), Answer::Plain).is_err());
    }

    #[test]
    fn controllers_get_metadata_instead_of_whole_objects() {
        assert_eq!(view(METADATA_INFORMER, Answer::List), Some(View::Metadata(MetaVersion::V1)));
        let single = METADATA_INFORMER.replace("MetadataList", "Metadata");
        assert_eq!(view(&single, Answer::Watch), Some(View::Metadata(MetaVersion::V1)));
    }

    #[test]
    fn the_list_form_fits_lists_only_and_the_single_form_single_objects_only() {
        let list = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        let single = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1";
        assert_eq!(view(list, Answer::Object), None);
        assert_eq!(view(list, Answer::Watch), None);
        assert_eq!(view(single, Answer::List), None);
        assert_eq!(view(single, Answer::Object), Some(View::Metadata(MetaVersion::V1beta1)));
    }

    #[test]
    fn what_is_not_served_falls_through_to_the_next_clause_or_406() {
        assert_eq!(
            view("application/vnd.kubernetes.protobuf, application/json", Answer::Object),
            Some(View::Object)
        );
        for accept in [
            "application/vnd.kubernetes.protobuf",
            "application/cbor",
            "application/json;as=Table",
            "application/json;as=Table;v=v2;g=meta.k8s.io",
            "application/json;as=Table;v=v1;g=example.com",
            "application/json;g=meta.k8s.io;v=v1",
            "text/html",
            "application/json;q=0",
            "nonsense",
        ] {
            let refused = negotiate(Some(accept), Answer::Object).unwrap_err();
            assert!(refused.0.contains(&"application/json"), "{accept}");
        }
    }

    #[test]
    fn quality_orders_clauses_and_equal_ones_keep_their_order() {
        let chosen = negotiate(Some("application/json;q=0.5, application/yaml"), Answer::Object).unwrap();
        assert_eq!(chosen.encoding, Encoding::Yaml);
        let essences: Vec<_> = parse("a/b;q=0.1,c/d,e/f;q=0.9,g/h").iter().map(|c| c.essence).collect();
        assert_eq!(essences, ["c/d", "g/h", "e/f", "a/b"]);
    }

    #[test]
    fn a_watch_is_json_only() {
        assert!(negotiate(Some("application/yaml"), Answer::Watch).is_err());
        assert!(negotiate(Some("application/json;stream=watch"), Answer::Watch).is_ok());
        assert!(negotiate(Some("application/json;stream=watch"), Answer::Object).is_err());
    }

    #[test]
    fn unknown_parameters_are_tolerated_and_quotes_protect_separators() {
        assert_eq!(view("application/json;charset=\"a,b;c\";profile=x", Answer::Object), Some(View::Object));
    }

    #[test]
    fn indentation_is_for_people_unless_asked_for() {
        let plain = negotiate(None, Answer::Object).unwrap();
        let asked = negotiate(Some("application/json;pretty=1"), Answer::Object).unwrap();
        assert!(is_pretty(None, plain, Some("curl/8.5")));
        assert!(is_pretty(Some(""), plain, Some("Mozilla/5.0 (X11)")));
        assert!(!is_pretty(Some("false"), plain, Some("curl/8.5")));
        assert!(is_pretty(Some("1"), plain, None));
        assert!(is_pretty(None, asked, None));
        assert!(!is_pretty(None, plain, Some("kubectl/v1.32")));
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_the_parser_panic(header in "[a-z/;,=\"q.0-9* é-]{0,200}") {
            for clause in parse(&header) {
                proptest::prop_assert!((1..=1000).contains(&clause.quality));
            }
        }
    }
}
