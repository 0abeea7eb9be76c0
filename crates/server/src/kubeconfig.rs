//! Kubeconfigs as the doors make them: under which address clients reach this server, and which clusters somebody may have in one (kubeconfig-and-cli.md §1.2).

use eartag_apiserver::kind::Cx;
use eartag_core::collections::CLUSTERS;
use eartag_core::kubeconfig::{Looked, MOST_CLUSTERS, Server, Target, Wanted};
use eartag_core::settings;
use eartag_core::token::ClusterAccess;
use eartag_storage::{Range, RangeError, Scope, Store};

use crate::authn::address::PublicAddress;
use crate::authn::{Caller, HOST};
use crate::cluster::{Cluster, may_use_here};
use crate::config::ServerUrl;
use crate::observer::Tables;

/// Clusters that are read at once.
const PAGE: usize = 500;

/// This server as clients reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    ca: String,
}

impl Address {
    /// The host of the setting `server-url`, else of the flag, else of this request; `None` if nothing says. The certificate is the setting `cacerts`.
    #[must_use]
    pub fn of(tables: &Tables, flag: Option<&ServerUrl>, cx: &Cx) -> Option<Address> {
        let of_url = |url: &str| PublicAddress::parse(url).map(|address| address.authority);
        let host = of_url(&tables.settings.snapshot().server_url)
            .or_else(|| of_url(flag?.as_str()))
            .or_else(|| of_url(&format!("https://{}", requested(cx)?)))?;
        Some(Address { host, ca: tables.settings.effective(settings::CACERTS).value })
    }

    /// The same for the rules.
    #[must_use]
    pub fn server(&self) -> Server<'_> {
        Server { host: &self.host, ca: &self.ca }
    }
}

/// The host that the request was sent to. Whoever acts as somebody else sent it too.
fn requested(cx: &Cx) -> Option<&str> {
    let real = cx.fact::<Caller>().map(Caller::real);
    let mut users = [Some(&cx.user), real].into_iter().flatten();
    users.find_map(|user| match user.extra.get(HOST).map(Vec::as_slice) {
        Some([host]) => Some(host.as_str()),
        _ => None,
    })
}

/// A cluster that somebody asked for by name.
pub struct Found {
    /// The name.
    pub id: String,
    /// The cluster, if it is there.
    pub cluster: Option<Cluster>,
    /// Whether it is there, and the caller's to use.
    pub access: ClusterAccess,
}

impl Found {
    /// The same for the rules.
    #[must_use]
    pub fn looked(&self) -> Looked<'_> {
        Looked { id: &self.id, access: self.access }
    }

    /// The same as something to lead to.
    #[must_use]
    pub fn target(&self) -> Option<Target<'_>> {
        self.cluster.as_ref().map(|cluster| Target { id: &self.id, record: &cluster.record })
    }
}

/// Looks a cluster up.
pub async fn find(store: &Store, tables: &Tables, cx: &Cx, id: &str) -> Found {
    let cluster = Cluster::find(store, id);
    let access = match &cluster {
        None => ClusterAccess::Absent,
        Some(_) if may_use_here(cx, tables, id).await => ClusterAccess::Granted,
        Some(_) => ClusterAccess::Denied,
    };
    Found { id: id.to_owned(), cluster, access }
}

/// Why clusters were not looked up.
#[derive(Debug)]
pub enum Unfound {
    /// The caller may use more than fit into one file.
    TooMany,
    /// The store was closed, or its history moved on.
    Store(RangeError),
}

/// Looks up the clusters that are wanted: those that were named, in their order; or as many of all as the caller may use.
pub async fn find_all(
    store: &Store,
    tables: &Tables,
    cx: &Cx,
    wanted: Wanted<'_>,
) -> Result<Vec<Found>, Unfound> {
    let mut found = Vec::new();
    if let Wanted::These(ids) = wanted {
        for id in ids {
            found.push(find(store, tables, cx, id).await);
        }
        return Ok(found);
    }
    let mut range = Range { collection: CLUSTERS, scope: Scope::All, after: None, limit: PAGE, at: None };
    loop {
        let page = store.range(&range).map_err(Unfound::Store)?;
        for cluster in page.entries.iter().filter_map(Cluster::of) {
            if may_use_here(cx, tables, &cluster.id).await {
                if found.len() == MOST_CLUSTERS {
                    return Err(Unfound::TooMany);
                }
                let id = cluster.id.clone();
                found.push(Found { id, cluster: Some(cluster), access: ClusterAccess::Granted });
            }
        }
        if !page.more {
            return Ok(found);
        }
        range.after = page.entries.last().map(|entry| entry.key().to_vec());
        tokio::task::yield_now().await;
    }
}
