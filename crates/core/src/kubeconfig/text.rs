//! A kubeconfig's text. Every value is a double-quoted YAML scalar in which all that could mean something else is escaped, so that no name, host or certificate can
//! change the file's structure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::plan::{Entry, Plan, User};
use crate::secret::PlainSecret;

/// How the users of a file log in (§2.1).
#[derive(Debug, Clone, Copy)]
pub enum Logins<'a> {
    /// By the CLI, which asks for a password and keeps the token it gets (DEC43).
    Exec,
    /// By these bearer values, one for each of [`Plan::users`], in their order.
    Tokens(&'a [PlainSecret]),
}

/// What kubectl tells people who lack the command.
const INSTALL_HINT: &str = "This kubeconfig logs in with the command \"rancher\". Eartag's own program is one: link it to that name, for example\n\
\n    ln -s \"$(command -v eartag)\" /usr/local/bin/rancher\n\nThe Rancher CLI is another.";

impl Plan {
    /// The file. It holds secrets if the logins do.
    #[must_use]
    pub fn text(&self, logins: Logins<'_>) -> PlainSecret {
        let mut out = Text(String::with_capacity(self.room()));
        out.line(0, "apiVersion: v1");
        out.line(0, "kind: Config");
        out.list("clusters", &self.entries, cluster);
        out.head("users", self.users.is_empty());
        for (at, user) in self.users.iter().enumerate() {
            out.pair(0, "- name", &user.name);
            out.line(2, "user:");
            match logins {
                Logins::Tokens(tokens) if tokens.len() > at => {
                    out.pair(4, "token", tokens.get(at).map(PlainSecret::expose).unwrap_or_default());
                }
                _ => exec(&mut out, &self.host, user),
            }
        }
        out.list("contexts", &self.entries, context);
        out.pair(0, "current-context", &self.current);
        PlainSecret::new(out.0)
    }

    /// More bytes than the file has, so that no half of it remains behind when the text grows.
    fn room(&self) -> usize {
        // A byte of a name may take ten when it is escaped.
        let entry =
            |e: &Entry| 400 + 30 * e.name.len() + 10 * (e.server.len() + 2 * e.user.len()) + 2 * e.ca.len();
        let user = |u: &User| 1600 + 30 * u.name.len() + 10 * (u.cluster.len() + self.host.len());
        400 + 10 * self.current.len()
            + self.entries.iter().map(entry).sum::<usize>()
            + self.users.iter().map(user).sum::<usize>()
    }
}

fn cluster(out: &mut Text, entry: &Entry) {
    out.pair(0, "- name", &entry.name);
    out.line(2, "cluster:");
    out.pair(4, "server", &entry.server);
    if !entry.ca.is_empty() {
        out.line(4, &format!("certificate-authority-data: \"{}\"", folded(&STANDARD.encode(&entry.ca))));
    }
}

fn context(out: &mut Text, entry: &Entry) {
    out.pair(0, "- name", &entry.name);
    out.line(2, "context:");
    out.pair(4, "user", &entry.user);
    out.pair(4, "cluster", &entry.name);
}

fn exec(out: &mut Text, host: &str, user: &User) {
    out.line(4, "exec:");
    out.pair(6, "apiVersion", "client.authentication.k8s.io/v1beta1");
    out.pair(6, "command", "rancher");
    out.line(6, "args:");
    out.item(6, "token");
    out.item(6, &format!("--server=https://{host}"));
    out.item(6, &format!("--user={}", user.name));
    if !user.cluster.is_empty() {
        out.item(6, &format!("--cluster={}", user.cluster));
    }
    out.pair(6, "interactiveMode", "IfAvailable");
    out.line(6, "provideClusterInfo: true");
    out.pair(6, "installHint", INSTALL_HINT);
}

/// Base64 in lines that fit a screen: 49 letters, then 76 a line, joined by backslash and newline, which YAML reads as nothing (§1.5).
fn folded(base64: &str) -> String {
    const FIRST: usize = 49;
    const OTHERS: usize = 76;
    let (first, mut rest) = base64.split_at_checked(FIRST).unwrap_or((base64, ""));
    let mut text = first.to_owned();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(OTHERS).unwrap_or((rest, ""));
        text.push_str("\\\n      ");
        text.push_str(line);
        rest = after;
    }
    text
}

struct Text(String);

impl Text {
    fn line(&mut self, indent: usize, text: &str) {
        self.0.extend(std::iter::repeat_n(' ', indent));
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn pair(&mut self, indent: usize, key: &str, value: &str) {
        self.0.extend(std::iter::repeat_n(' ', indent));
        self.0.push_str(key);
        self.0.push_str(": ");
        self.quoted(value);
        self.0.push('\n');
    }

    fn item(&mut self, indent: usize, value: &str) {
        self.0.extend(std::iter::repeat_n(' ', indent));
        self.0.push_str("- ");
        self.quoted(value);
        self.0.push('\n');
    }

    fn head(&mut self, key: &str, empty: bool) {
        self.line(0, &format!("{key}:{}", if empty { " []" } else { "" }));
    }

    fn list<T>(&mut self, key: &str, all: &[T], each: fn(&mut Self, &T)) {
        self.head(key, all.is_empty());
        for one in all {
            each(self, one);
        }
    }

    /// A double-quoted scalar on one line.
    fn quoted(&mut self, value: &str) {
        self.0.push('"');
        for c in value.chars() {
            let code = u32::from(c);
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '\0'..='\x1f' | '\x7f'..='\u{9f}' => self.0.push_str(&format!("\\x{code:02x}")),
                // Line ends to some parsers, marks of the byte order, and what is no character at all.
                '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                    self.0.push_str(&format!("\\u{code:04x}"));
                }
                c if code > 0xffff && code & 0xfffe == 0xfffe => {
                    self.0.push_str(&format!("\\U{:08x}", u32::from(c)))
                }
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::collections::HashSet;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::super::{Server, Target};
    use super::*;
    use crate::record::{AuthEndpoint, ClusterRecord, EndpointNode};

    /// A kubeconfig as clients read it.
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Read {
        #[serde(rename = "apiVersion")]
        api_version: String,
        kind: String,
        clusters: Vec<NamedCluster>,
        users: Vec<NamedUser>,
        contexts: Vec<NamedContext>,
        current_context: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NamedCluster {
        name: String,
        cluster: ReadCluster,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct ReadCluster {
        server: String,
        certificate_authority_data: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NamedUser {
        name: String,
        user: ReadUser,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ReadUser {
        token: Option<String>,
        exec: Option<ReadExec>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct ReadExec {
        api_version: String,
        command: String,
        args: Vec<String>,
        interactive_mode: String,
        provide_cluster_info: bool,
        install_hint: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NamedContext {
        name: String,
        context: ReadContext,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ReadContext {
        cluster: String,
        user: String,
    }

    fn read(text: &PlainSecret) -> Read {
        serde_saphyr::from_str(text.expose()).unwrap_or_else(|error| panic!("{error}\n{}", text.expose()))
    }

    fn tokens(plan: &Plan) -> Vec<PlainSecret> {
        (0..plan.users.len()).map(|n| PlainSecret::new(format!("ext/token-{n}:secret"))).collect()
    }

    /// What is in the file is what was planned, and nothing else.
    fn is_the_plan(plan: &Plan, logins: Logins<'_>) {
        let text = plan.text(logins);
        assert!(text.expose().len() <= plan.room());
        let read = read(&text);
        assert_eq!((read.api_version.as_str(), read.kind.as_str()), ("v1", "Config"));
        assert_eq!(read.current_context, plan.current);
        let entries: Vec<Entry> = read
            .clusters
            .iter()
            .zip(&read.contexts)
            .map(|(cluster, context)| {
                assert_eq!((&cluster.name, &cluster.name), (&context.name, &context.context.cluster));
                let ca = cluster.cluster.certificate_authority_data.as_deref().unwrap_or_default();
                Entry {
                    name: cluster.name.clone(),
                    server: cluster.cluster.server.clone(),
                    ca: String::from_utf8(STANDARD.decode(ca).unwrap()).unwrap(),
                    user: context.context.user.clone(),
                }
            })
            .collect();
        assert_eq!((entries.len(), read.contexts.len()), (read.clusters.len(), read.clusters.len()));
        assert_eq!(entries, plan.entries);
        assert_eq!(read.users.len(), plan.users.len());
        for (at, (found, user)) in read.users.iter().zip(&plan.users).enumerate() {
            assert_eq!(found.name, user.name);
            match logins {
                Logins::Tokens(tokens) => {
                    assert_eq!(found.user.token.as_deref(), Some(tokens[at].expose()));
                    assert!(found.user.exec.is_none());
                }
                Logins::Exec => {
                    let exec = found.user.exec.as_ref().unwrap();
                    assert!(found.user.token.is_none() && exec.provide_cluster_info);
                    assert_eq!(exec.install_hint, INSTALL_HINT);
                    let fixed = [exec.api_version.as_str(), &exec.command, &exec.interactive_mode];
                    assert_eq!(fixed, ["client.authentication.k8s.io/v1beta1", "rancher", "IfAvailable"]);
                    let mut args = vec![
                        "token".to_owned(),
                        format!("--server=https://{}", plan.host),
                        format!("--user={}", user.name),
                    ];
                    args.extend((!user.cluster.is_empty()).then(|| format!("--cluster={}", user.cluster)));
                    assert_eq!(exec.args, args);
                }
            }
        }
        let names: HashSet<&String> = plan.entries.iter().map(|e| &e.name).collect();
        assert_eq!(names.len(), plan.entries.len(), "every entry can be named");
        let users: HashSet<&String> = plan.users.iter().map(|u| &u.name).collect();
        assert_eq!(users.len(), plan.users.len());
        assert!(plan.entries.iter().all(|e| users.contains(&e.user)));
        assert!(names.contains(&plan.current) || plan.entries.is_empty());
    }

    #[test]
    fn the_certificate_is_laid_out_as_the_reference_does() {
        let record = ClusterRecord::default();
        let ca = "x".repeat(120);
        let server = Server { host: "a.example", ca: &ca };
        let plan = Plan::one(&server, &Target { id: "c-1", record: &record });
        let base64 = STANDARD.encode(&ca);
        let text = plan.text(Logins::Exec);
        let expected = format!(
            "    certificate-authority-data: \"{}\\\n      {}\\\n      {}\"\n",
            &base64[..49],
            &base64[49..125],
            &base64[125..]
        );
        assert!(text.expose().contains(&expected), "{}", text.expose());
        is_the_plan(&plan, Logins::Exec);
    }

    #[test]
    fn without_a_certificate_the_key_is_left_out() {
        let record = ClusterRecord::default();
        let plan = Plan::one(&Server { host: "a.example", ca: "" }, &Target { id: "c-1", record: &record });
        let tokens = tokens(&plan);
        let text = plan.text(Logins::Tokens(&tokens));
        assert_eq!(
            text.expose(),
            "apiVersion: v1\nkind: Config\nclusters:\n- name: \"c-1\"\n  cluster:\n    server: \"https://a.example/k8s/clusters/c-1\"\n\
             users:\n- name: \"c-1\"\n  user:\n    token: \"ext/token-0:secret\"\n\
             contexts:\n- name: \"c-1\"\n  context:\n    user: \"c-1\"\n    cluster: \"c-1\"\ncurrent-context: \"c-1\"\n"
        );
    }

    #[test]
    fn a_user_without_a_token_logs_in_by_the_command() {
        let record = ClusterRecord::default();
        let plan = Plan::one(&Server { host: "a.example", ca: "" }, &Target { id: "c-1", record: &record });
        assert!(read(&plan.text(Logins::Tokens(&[]))).users[0].user.exec.is_some());
    }

    fn odd() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[ -~]{0,12}",
            Just("rancher".to_owned()),
            Just("same".to_owned()),
            Just("same-fqdn".to_owned()),
            Just("same-n".to_owned()),
            "[\u{0}-\u{20}\u{7f}-\u{a0}\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}\u{1fffe}\u{10ffff}\"\\\\:#'-]{0,8}",
        ]
    }

    prop_compose! {
        fn any_cluster()(
            display_name in odd(),
            ca_certificate in odd(),
            enabled in any::<bool>(),
            fqdn in prop_oneof![Just(String::new()), odd()],
            ca_certificates in odd(),
            nodes in proptest::collection::vec((odd(), odd(), any::<bool>()), 0..4),
        ) -> ClusterRecord {
            let nodes = nodes.into_iter().map(|(hostname, address, ready)| EndpointNode { hostname, address, ready });
            let auth_endpoint = AuthEndpoint { enabled, fqdn, ca_certificates, nodes: nodes.collect() };
            ClusterRecord { display_name, ca_certificate, auth_endpoint, ..ClusterRecord::default() }
        }
    }

    proptest! {
        #[test]
        fn whatever_clusters_are_called_the_file_says_what_was_planned(
            records in proptest::collection::vec(any_cluster(), 0..5),
            host in odd(),
            ca in odd(),
            current in 0_usize..6,
            default_entry in any::<bool>(),
        ) {
            let server = Server { host: &host, ca: &ca };
            let ids: Vec<String> = (0..records.len()).map(|n| if n == 0 { "same".to_owned() } else { format!("c-{n}") }).collect();
            let targets: Vec<Target> =
                ids.iter().zip(&records).map(|(id, record)| Target { id, record }).collect();
            let current = ids.get(current).map(String::as_str).unwrap_or_default();
            let several = Plan::several(&server, &targets, current, default_entry);
            let mut plans = vec![several];
            plans.extend(targets.iter().map(|target| Plan::one(&server, target)));
            for plan in &plans {
                is_the_plan(plan, Logins::Exec);
                let tokens = tokens(plan);
                is_the_plan(plan, Logins::Tokens(&tokens));
            }
        }
    }
}
