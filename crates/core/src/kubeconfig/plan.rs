//! What is in a kubeconfig: its entries, its users, and which entry is the current one (kubeconfig-and-cli.md §1.4, §1.5, §2).

use super::names::Names;
use crate::record::{AuthEndpoint, ClusterRecord, EndpointNode};

/// The entry of the server itself, and the user that holds the unrestricted token.
const DEFAULT: &str = "rancher";
/// Where a control-plane node's API server listens.
const NODE_PORT: u16 = 6443;

/// This server, as clients reach it.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// `host[:port]`.
    pub host: &'a str,
    /// PEM bundle that it is verified with; empty for the public authorities.
    pub ca: &'a str,
}

/// A cluster that a kubeconfig leads to.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its id.
    pub id: &'a str,
    /// What is known of it.
    pub record: &'a ClusterRecord,
}

impl Target<'_> {
    fn shown_name(&self) -> &str {
        if self.record.display_name.is_empty() { self.id } else { &self.record.display_name }
    }

    const fn endpoint(&self) -> Option<&AuthEndpoint> {
        if self.record.auth_endpoint.enabled { Some(&self.record.auth_endpoint) } else { None }
    }
}

/// A cluster and the context of the same name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// URL.
    pub(super) server: String,
    /// PEM bundle, or empty.
    pub(super) ca: String,
    /// The user's name.
    pub(super) user: String,
}

/// A user of the file, who needs one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user's name in the file.
    pub name: String,
    /// Id of the cluster that the user's token is restricted to; empty if it is not.
    pub cluster: String,
}

/// What is in a kubeconfig, but for what its users log in with.
#[derive(Debug)]
pub struct Plan {
    pub(super) host: String,
    pub(super) entries: Vec<Entry>,
    pub(super) users: Vec<User>,
    pub(super) current: String,
}

impl Plan {
    /// A file for several clusters (§1.5): one unrestricted user for the server itself and for clusters without an endpoint of their own, one restricted user for
    /// each of the others. `current` is the id of the cluster to begin with; by default the first.
    #[must_use]
    pub fn several(server: &Server<'_>, targets: &[Target<'_>], current: &str, default_entry: bool) -> Self {
        let mut plan = Self::empty(server);
        let shared = default_entry || targets.iter().any(|target| target.endpoint().is_none());
        if shared {
            plan.users.push(User { name: DEFAULT.to_owned(), cluster: String::new() });
        }
        if default_entry {
            plan.entries.push(Entry {
                name: DEFAULT.to_owned(),
                server: format!("https://{}", server.host),
                ca: server.ca.to_owned(),
                user: DEFAULT.to_owned(),
            });
            DEFAULT.clone_into(&mut plan.current);
        }
        let mut names = Names::without([DEFAULT]);
        let shown: Vec<(&str, &str)> =
            targets.iter().map(|target| (target.shown_name(), target.id)).collect();
        let chosen = targets.iter().position(|target| target.id == current).unwrap_or(0);
        // All names of clusters are given out before any of endpoints.
        let called = names.clusters(&shown);
        for (at, (target, name)) in targets.iter().zip(called).enumerate() {
            let user = if target.endpoint().is_some() {
                plan.users.push(User { name: name.clone(), cluster: target.id.to_owned() });
                name.as_str()
            } else {
                DEFAULT
            };
            plan.entries.push(through(server, target, &name, user));
            let direct =
                target.endpoint().and_then(|endpoint| plan.direct(target, endpoint, &name, &mut names));
            if at == chosen {
                plan.current = direct.unwrap_or(name);
            }
        }
        plan
    }

    /// A file for one cluster (§2): one user, named like the cluster, and the way through this server as the current context.
    #[must_use]
    pub fn one(server: &Server<'_>, target: &Target<'_>) -> Self {
        let mut plan = Self::empty(server);
        let name = target.shown_name().to_owned();
        let cluster = if target.endpoint().is_some() { target.id } else { "" };
        plan.users.push(User { name: name.clone(), cluster: cluster.to_owned() });
        plan.entries.push(through(server, target, &name, &name));
        if let Some(endpoint) = target.endpoint() {
            plan.direct(target, endpoint, &name, &mut Names::without([name.as_str()]));
        }
        plan.current = name;
        plan
    }

    fn empty(server: &Server<'_>) -> Self {
        Self { host: server.host.to_owned(), entries: Vec::new(), users: Vec::new(), current: String::new() }
    }

    /// The users, in the order in which their tokens are made: the unrestricted one first.
    #[must_use]
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// Adds the ways to a cluster that do not lead through this server. The name of the best of them: the endpoint's, or the first node's that is ready.
    fn direct(
        &mut self,
        target: &Target<'_>,
        endpoint: &AuthEndpoint,
        name: &str,
        names: &mut Names,
    ) -> Option<String> {
        let mut add = |called: String, host: &str, ca: &str| {
            let ca = ca.to_owned();
            let server = format!("https://{host}");
            self.entries.push(Entry { name: called.clone(), server, ca, user: name.to_owned() });
            called
        };
        if !endpoint.fqdn.is_empty() {
            let called = format!("{name}-fqdn");
            let called = names.take(&[called.clone(), format!("{called}-{}", target.id)]);
            return Some(add(called, &endpoint.fqdn, &endpoint.ca_certificates));
        }
        let mut best = None;
        for node in endpoint.nodes.iter().filter(|node| !node.address.is_empty()) {
            let called = names.take(&node_names(name, node));
            let called = add(called, &node_host(&node.address), &target.record.ca_certificate);
            if node.ready && best.is_none() {
                best = Some(called);
            }
        }
        best
    }
}

/// The way to a cluster through this server.
fn through(server: &Server<'_>, target: &Target<'_>, name: &str, user: &str) -> Entry {
    Entry {
        name: name.to_owned(),
        server: format!("https://{}/k8s/clusters/{}", server.host, target.id),
        ca: server.ca.to_owned(),
        user: user.to_owned(),
    }
}

fn node_names(cluster: &str, node: &EndpointNode) -> [String; 2] {
    let host =
        node.hostname.strip_prefix(cluster).and_then(|rest| rest.strip_prefix('-')).unwrap_or(&node.hostname);
    let host = if host.is_empty() { &node.address } else { host };
    [format!("{cluster}-{host}"), format!("{cluster}-{host}-{}", node.address)]
}

fn node_host(address: &str) -> String {
    if address.contains(':') && !address.starts_with('[') {
        format!("[{address}]:{NODE_PORT}")
    } else {
        format!("{address}:{NODE_PORT}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    const SERVER: Server<'_> = Server { host: "a.example:8443", ca: "CA" };

    fn plain(name: &str) -> ClusterRecord {
        ClusterRecord { display_name: name.to_owned(), ..ClusterRecord::default() }
    }

    fn with_fqdn(name: &str) -> ClusterRecord {
        let endpoint = AuthEndpoint {
            enabled: true,
            fqdn: "api.example".into(),
            ca_certificates: "ITS CA".into(),
            nodes: vec![node("ignored", "10.0.0.9", true)],
        };
        ClusterRecord { auth_endpoint: endpoint, ..plain(name) }
    }

    fn with_nodes(name: &str, nodes: Vec<EndpointNode>) -> ClusterRecord {
        let endpoint = AuthEndpoint { enabled: true, nodes, ..AuthEndpoint::default() };
        ClusterRecord { auth_endpoint: endpoint, ca_certificate: "NODE CA".into(), ..plain(name) }
    }

    fn node(hostname: &str, address: &str, ready: bool) -> EndpointNode {
        EndpointNode { hostname: hostname.into(), address: address.into(), ready }
    }

    fn names(plan: &Plan) -> Vec<(&str, &str, &str)> {
        plan.entries.iter().map(|e| (e.name.as_str(), e.server.as_str(), e.user.as_str())).collect()
    }

    fn users(plan: &Plan) -> Vec<(&str, &str)> {
        plan.users.iter().map(|u| (u.name.as_str(), u.cluster.as_str())).collect()
    }

    #[test]
    fn without_clusters_there_is_the_server_itself() {
        let plan = Plan::several(&SERVER, &[], "", true);
        assert_eq!(names(&plan), [("rancher", "https://a.example:8443", "rancher")]);
        assert_eq!((users(&plan), plan.current.as_str()), (vec![("rancher", "")], "rancher"));
    }

    #[test]
    fn clusters_without_an_endpoint_share_the_unrestricted_user() {
        let (one, two) = (plain("one"), plain(""));
        let targets = [Target { id: "c-1", record: &one }, Target { id: "c-2", record: &two }];
        let plan = Plan::several(&SERVER, &targets, "c-2", true);
        assert_eq!(
            names(&plan)[1..],
            [
                ("one", "https://a.example:8443/k8s/clusters/c-1", "rancher"),
                ("c-2", "https://a.example:8443/k8s/clusters/c-2", "rancher"),
            ]
        );
        assert_eq!((users(&plan), plan.current.as_str()), (vec![("rancher", "")], "c-2"));
        let bare = Plan::several(&SERVER, &targets, "", false);
        assert_eq!(names(&bare)[0].0, "one");
        assert_eq!((users(&bare), bare.current.as_str()), (vec![("rancher", "")], "one"));
    }

    #[test]
    fn an_endpoint_with_a_name_has_a_context_and_a_user_of_its_own() {
        let record = with_fqdn("one");
        let targets = [Target { id: "c-1", record: &record }];
        let plan = Plan::several(&SERVER, &targets, "", false);
        assert_eq!(
            names(&plan),
            [
                ("one", "https://a.example:8443/k8s/clusters/c-1", "one"),
                ("one-fqdn", "https://api.example", "one"),
            ]
        );
        assert_eq!((plan.entries[0].ca.as_str(), plan.entries[1].ca.as_str()), ("CA", "ITS CA"));
        assert_eq!((users(&plan), plan.current.as_str()), (vec![("one", "c-1")], "one-fqdn"));
        let with_default = Plan::several(&SERVER, &targets, "", true);
        assert_eq!(users(&with_default), [("rancher", ""), ("one", "c-1")]);
    }

    #[test]
    fn the_first_ready_node_is_current_and_without_one_the_way_through_the_server() {
        let nodes = |ready| {
            vec![
                node("one-node-a", "10.0.0.1", false),
                node("node-b", "fd00::1", ready),
                node("node-c", "10.0.0.3", ready),
                node("lost", "", true),
            ]
        };
        let record = with_nodes("one", nodes(true));
        let plan = Plan::several(&SERVER, &[Target { id: "c-1", record: &record }], "", true);
        assert_eq!(
            names(&plan)[2..],
            [
                ("one-node-a", "https://10.0.0.1:6443", "one"),
                ("one-node-b", "https://[fd00::1]:6443", "one"),
                ("one-node-c", "https://10.0.0.3:6443", "one"),
            ]
        );
        assert_eq!(plan.entries[2].ca, "NODE CA");
        assert_eq!(plan.current, "one-node-b");
        let record = with_nodes("one", nodes(false));
        let plan = Plan::several(&SERVER, &[Target { id: "c-1", record: &record }], "", true);
        assert_eq!(plan.current, "one");
    }

    #[test]
    fn a_file_for_one_cluster_begins_with_the_way_through_the_server() {
        let record = with_fqdn("rancher");
        let plan = Plan::one(&SERVER, &Target { id: "c-1", record: &record });
        assert_eq!(
            names(&plan),
            [
                ("rancher", "https://a.example:8443/k8s/clusters/c-1", "rancher"),
                ("rancher-fqdn", "https://api.example", "rancher"),
            ]
        );
        assert_eq!((users(&plan), plan.current.as_str()), (vec![("rancher", "c-1")], "rancher"));
        let record = plain("");
        let plan = Plan::one(&SERVER, &Target { id: "c-1", record: &record });
        assert_eq!((users(&plan), plan.current.as_str()), (vec![("c-1", "")], "c-1"));
    }

    #[test]
    fn nodes_of_one_hostname_are_told_apart() {
        let nodes =
            vec![node("n", "10.0.0.1", true), node("n", "10.0.0.2", true), node("", "10.0.0.3", true)];
        let record = with_nodes("one", nodes);
        let plan = Plan::one(&SERVER, &Target { id: "c-1", record: &record });
        let called: Vec<&str> = names(&plan).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(called, ["one", "one-n", "one-n-10.0.0.2", "one-10.0.0.3"]);
    }
}
