//! `eartag install`: what a cluster needs to hand requests for `ext.cattle.io` on to this server (kubernetes-api.md §6.1, A22).
//!
//! It can be run again after any change. What it makes is printed, and nothing sent, with `--dry-run`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use eartag_server::files::read_small;
use eartag_upstream::{JsonError, Upstream};
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::aggregated::{ServiceName, upstream};
use crate::client::kubeconfig::{Kubeconfig, Sources};
use crate::client::output::plain;
use crate::terminal;

const API_SERVICE: &str = "v1.ext.cattle.io";
/// For one object.
const WAIT: Duration = Duration::from_secs(30);
/// The largest certificate file that is read, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// `eartag install`.
#[derive(Args)]
pub struct InstallArgs {
    /// Make what a server needs that runs with "serve --aggregated".
    #[arg(long, required = true)]
    aggregated: bool,

    /// The kubeconfig of a cluster admin; otherwise $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig to use, instead of its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    #[command(flatten)]
    service: ServiceName,

    /// The DNS name of a server outside the cluster. Without it, the Service selects pods.
    #[arg(long, value_name = "HOST", value_parser = dns_name)]
    external_name: Option<String>,

    /// The labels of the server's pods.
    #[arg(long, value_name = "KEY=VALUE,…", value_delimiter = ',', value_parser = pair, conflicts_with = "external_name",
          default_value = "app.kubernetes.io/name=eartag")]
    selector: Vec<(String, String)>,

    /// The port on which the server listens.
    #[arg(long, value_name = "PORT", default_value_t = 8443, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// The authority (PEM) that signed the server's certificate; without it, tls/ca.crt of --data-dir.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// The data directory of the server.
    #[arg(long, value_name = "DIR", default_value = "eartag-data")]
    data_dir: PathBuf,

    /// The service account that the server is in the cluster, made in the namespace of the Service.
    #[arg(long, value_name = "NAME", default_value = "eartag", conflicts_with = "user")]
    service_account: String,

    /// The user that the server is in the cluster, instead of a service account: the one of the kubeconfig of "serve --aggregated".
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// Take the group over from another server. Without it, what another server serves is left alone.
    #[arg(long)]
    replace: bool,

    /// Print what would be applied, and do nothing.
    #[arg(long)]
    dry_run: bool,

    /// How to print it.
    #[arg(short, long, value_enum, value_name = "FORMAT", requires = "dry_run", default_value_t)]
    output: Form,
}

/// How manifests are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// YAML documents.
    #[default]
    Yaml,
    /// One list.
    Json,
}

/// One object, and where it is.
struct Manifest {
    /// As people know it.
    shown: String,
    name: String,
    /// The path of the objects of its kind.
    collection: String,
    object: Value,
}

/// Runs `eartag install`.
pub fn run(args: &InstallArgs) -> anyhow::Result<()> {
    let manifests = manifests(args, &authority(args)?);
    if args.dry_run {
        return terminal::say(&printed(&manifests, args.output)?);
    }
    let sources = Sources { own: PathBuf::new(), ..Sources::of_process(args.kubeconfig.as_deref()) };
    let target = Kubeconfig::load(&sources)?.target(args.context.as_deref())?;
    let target = upstream(target).map_err(anyhow::Error::msg)?;
    let server = target.url.clone();
    let cluster = Upstream::new(&target)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let failed =
            |error: JsonError, what: &str| anyhow::anyhow!("{server}: {what}: {}", plain(&error.to_string()));
        if !args.replace {
            leave_others_alone(&cluster, &args.service)
                .await
                .map_err(|error| failed(error, &format!("apiservice/{API_SERVICE}")))??;
        }
        for manifest in &manifests {
            let made = apply(&cluster, manifest).await.map_err(|error| failed(error, &manifest.shown))?;
            terminal::say(&format!("{} {}\n", manifest.shown, if made { "created" } else { "configured" }))?;
        }
        Ok(())
    })
}

/// The certificates in PEM form that clients of the server trust.
fn authority(args: &InstallArgs) -> anyhow::Result<Vec<u8>> {
    let file = args.ca.clone().unwrap_or_else(|| args.data_dir.join("tls").join("ca.crt"));
    let pem = read_small(&file, LARGEST_FILE)?;
    let pem = pem.with_context(|| {
        format!("there is no {}: name the server's --data-dir, or its authority with --ca", file.display())
    })?;
    if eartag_server::tls::certificates_of(&pem).is_none() {
        bail!("{} holds no certificate in PEM form that can be read", file.display());
    }
    Ok(pem)
}

fn manifests(args: &InstallArgs, ca_pem: &[u8]) -> Vec<Manifest> {
    let ServiceName { service_name, namespace } = &args.service;
    let subject = match &args.user {
        Some(user) => json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}),
        None => json!({"kind": "ServiceAccount", "name": args.service_account, "namespace": namespace}),
    };
    let role =
        |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let ports = json!([{"name": "https", "port": args.port, "protocol": "TCP", "targetPort": args.port}]);
    let spec = match &args.external_name {
        Some(host) => json!({"type": "ExternalName", "externalName": host, "ports": ports}),
        None => {
            let selector: serde_json::Map<String, Value> =
                args.selector.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
            json!({"type": "ClusterIP", "selector": selector, "ports": ports})
        }
    };
    let rbac = "rbac.authorization.k8s.io/v1";
    let all = ["create", "delete", "get", "list", "patch", "update", "watch"];
    let mut manifests = vec![manifest("v1", "Namespace", "", "namespaces", namespace, json!({}))];
    if args.user.is_none() {
        let name = &args.service_account;
        manifests.push(manifest("v1", "ServiceAccount", namespace, "serviceaccounts", name, json!({})));
    }
    manifests.extend([
        manifest(
            rbac,
            "ClusterRoleBinding",
            "",
            "clusterrolebindings",
            "eartag-auth-delegator",
            json!({"roleRef": role("ClusterRole", "system:auth-delegator"), "subjects": [subject]}),
        ),
        manifest(
            rbac,
            "RoleBinding",
            "kube-system",
            "rolebindings",
            "eartag-authentication-reader",
            json!({"roleRef": role("Role", "extension-apiserver-authentication-reader"), "subjects": [subject]}),
        ),
        manifest(
            rbac,
            "ClusterRole",
            "",
            "clusterroles",
            "eartag-user",
            json!({"rules": [
                {"apiGroups": ["ext.cattle.io"], "resources": ["kubeconfigs", "tokens", "useractivities"], "verbs": all},
                {"apiGroups": ["ext.cattle.io"], "resources": ["passwordchangerequests", "selfusers"], "verbs": ["create"]},
            ]}),
        ),
        manifest("v1", "Service", namespace, "services", service_name, json!({"spec": spec})),
        // Below the groups of custom resources, so that "kubectl get tokens" means what it means in Rancher (kubernetes-api.md §0.2).
        manifest(
            "apiregistration.k8s.io/v1",
            "APIService",
            "",
            "apiservices",
            API_SERVICE,
            json!({"spec": {
                "group": "ext.cattle.io",
                "version": "v1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "service": {"namespace": namespace, "name": service_name, "port": args.port},
                "caBundle": STANDARD.encode(ca_pem),
                "insecureSkipTLSVerify": false,
            }}),
        ),
    ]);
    manifests
}

fn manifest(version: &str, kind: &str, namespace: &str, plural: &str, name: &str, rest: Value) -> Manifest {
    let mut metadata = json!({"name": name});
    if let Some(members) = metadata.as_object_mut().filter(|_| !namespace.is_empty()) {
        members.insert("namespace".into(), namespace.into());
    }
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": metadata});
    if let (Some(object), Value::Object(rest)) = (object.as_object_mut(), rest) {
        object.extend(rest);
    }
    let root = if version.contains('/') { "apis" } else { "api" };
    let place = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    Manifest {
        shown: format!("{}/{name}", kind.to_lowercase()),
        name: name.to_owned(),
        collection: format!("/{root}/{version}{place}/{plural}"),
        object,
    }
}

fn printed(manifests: &[Manifest], form: Form) -> anyhow::Result<String> {
    let objects = manifests.iter().map(|manifest| &manifest.object);
    Ok(match form {
        Form::Json => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>()});
            format!("{list:#}\n")
        }
        Form::Yaml => {
            let documents: Result<Vec<String>, _> = objects.map(serde_saphyr::to_string).collect();
            documents?.join("---\n")
        }
    })
}

/// Refuses where the group is another server's already. The inner error is that refusal.
async fn leave_others_alone(cluster: &Upstream, ours: &ServiceName) -> Result<anyhow::Result<()>, JsonError> {
    let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{API_SERVICE}");
    let found: Result<ApiService, _> = cluster.json(Method::GET, &path, None::<&()>, WAIT).await;
    let service = match found {
        Err(JsonError::Refused { code: 404, .. }) => return Ok(Ok(())),
        found => found?.spec.service,
    };
    Ok(match service {
        Some(service) if (&service.name, &service.namespace) == (&ours.service_name, &ours.namespace) => {
            Ok(())
        }
        Some(service) => Err(anyhow::anyhow!(
            "{API_SERVICE} is served by the service {}/{} already (a Rancher, perhaps): nothing was done; --replace takes it over",
            plain(&service.namespace),
            plain(&service.name)
        )),
        None => Err(anyhow::anyhow!(
            "{API_SERVICE} is served by custom resources in that cluster: nothing was done; --replace takes it over"
        )),
    })
}

#[derive(Deserialize)]
struct ApiService {
    spec: ApiServiceSpec,
}

#[derive(Deserialize)]
struct ApiServiceSpec {
    service: Option<ServiceReference>,
}

#[derive(Deserialize)]
struct ServiceReference {
    name: String,
    namespace: String,
}

/// Makes one object, or brings it up to date; whether it was not there before.
///
/// Not by server-side apply: the oldest API servers that we promise to work with drop the connection on it for an APIService.
async fn apply(cluster: &Upstream, manifest: &Manifest) -> Result<bool, JsonError> {
    let path = format!("{}/{}", manifest.collection, manifest.name);
    let mut attempts = 3;
    loop {
        attempts -= 1;
        let done = match cluster.json::<Value>(Method::GET, &path, None::<&()>, WAIT).await {
            Ok(mut found) => {
                bring_up_to_date(&mut found, &manifest.object);
                let sent = cluster.json::<IgnoredAny>(Method::PUT, &path, Some(&found), WAIT).await;
                sent.map(|_| false)
            }
            Err(JsonError::Refused { code: 404, .. }) => {
                let object = Some(&manifest.object);
                cluster
                    .json::<IgnoredAny>(Method::POST, &manifest.collection, object, WAIT)
                    .await
                    .map(|_| true)
            }
            Err(error) => Err(error),
        };
        match done {
            // Somebody changed or made it meanwhile.
            Err(JsonError::Refused { code: 409, .. }) if attempts > 0 => {}
            done => return done,
        }
    }
}

/// Puts what we want into what there is; what the cluster added stays.
fn bring_up_to_date(found: &mut Value, wanted: &Value) {
    let (Some(found), Some(wanted)) = (found.as_object_mut(), wanted.as_object()) else { return };
    for (name, value) in wanted.iter().filter(|(name, _)| *name != "metadata") {
        match (found.get_mut(name).and_then(Value::as_object_mut), value.as_object()) {
            (Some(old), Some(new)) if name == "spec" => {
                if new.get("type").is_some_and(|kind| kind == "ExternalName") {
                    // A Service of this type has none.
                    for gone in ["clusterIP", "clusterIPs", "selector"] {
                        old.remove(gone);
                    }
                }
                old.extend(new.clone());
            }
            _ => {
                found.insert(name.clone(), value.clone());
            }
        }
    }
}

fn dns_name(text: &str) -> Result<String, &'static str> {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Err("an address is no name, and Services take names only: give the server a DNS name");
    }
    let good = text.len() <= 253 && text.split('.').all(label);
    if good { Ok(text.to_owned()) } else { Err("not a DNS name in lower case") }
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE")?;
    if key.is_empty() { Err("not KEY=VALUE") } else { Ok((key.to_owned(), value.to_owned())) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        install: InstallArgs,
    }

    fn of(line: &str) -> Result<InstallArgs, clap::Error> {
        let words = std::iter::once("install").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.install)
    }

    fn made(line: &str) -> Vec<Manifest> {
        manifests(&of(line).unwrap(), b"PEM")
    }

    fn find<'a>(manifests: &'a [Manifest], kind: &str) -> &'a Value {
        &manifests.iter().find(|manifest| manifest.object["kind"] == kind).unwrap().object
    }

    #[test]
    fn a_server_outside_the_cluster_is_reached_by_its_name() {
        let all = made(
            "--aggregated --external-name localhost --port 6666 --service-name tokens --namespace ns --user eartag",
        );
        let shown: Vec<_> = all.iter().map(|manifest| manifest.shown.as_str()).collect();
        assert_eq!(
            shown,
            [
                "namespace/ns",
                "clusterrolebinding/eartag-auth-delegator",
                "rolebinding/eartag-authentication-reader",
                "clusterrole/eartag-user",
                "service/tokens",
                "apiservice/v1.ext.cattle.io"
            ]
        );
        let service = find(&all, "Service");
        assert_eq!(service["spec"]["externalName"], "localhost");
        assert_eq!(service["spec"]["ports"][0]["port"], 6666);
        let api = &find(&all, "APIService")["spec"];
        assert_eq!(api["service"], json!({"namespace": "ns", "name": "tokens", "port": 6666}));
        assert_eq!((&api["caBundle"], &api["insecureSkipTLSVerify"]), (&json!("UEVN"), &json!(false)));
        assert_eq!((&api["groupPriorityMinimum"], &api["versionPriority"]), (&json!(100), &json!(100)));
        assert_eq!(find(&all, "RoleBinding")["subjects"][0]["name"], "eartag");
        assert_eq!(
            all[2].collection,
            "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings"
        );
        assert_eq!(all[4].collection, "/api/v1/namespaces/ns/services");
    }

    #[test]
    fn a_server_in_the_cluster_is_a_service_account_and_pods() {
        let all = made("--aggregated --selector app=eartag,tier=api");
        assert_eq!(find(&all, "Service")["spec"]["selector"], json!({"app": "eartag", "tier": "api"}));
        assert_eq!(
            find(&all, "ServiceAccount")["metadata"],
            json!({"name": "eartag", "namespace": "cattle-system"})
        );
        let subject = json!({"kind": "ServiceAccount", "name": "eartag", "namespace": "cattle-system"});
        assert_eq!(find(&all, "ClusterRoleBinding")["subjects"][0], subject);
    }

    #[test]
    fn what_the_cluster_added_stays_and_what_is_ours_is_replaced() {
        let mut found = json!({"metadata": {"resourceVersion": "7"}, "status": {},
            "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "sessionAffinity": "None", "selector": {"old": "a"}}});
        bring_up_to_date(&mut found, find(&made("--aggregated --selector new=b"), "Service"));
        assert_eq!(found["spec"]["selector"], json!({"new": "b"}));
        assert_eq!(
            (&found["spec"]["clusterIP"], &found["metadata"]["resourceVersion"]),
            (&json!("10.0.0.1"), &json!("7"))
        );
        bring_up_to_date(&mut found, find(&made("--aggregated --external-name a.example"), "Service"));
        assert_eq!(
            (found["spec"].get("clusterIP"), &found["spec"]["externalName"]),
            (None, &json!("a.example"))
        );
        let mut role = json!({"rules": [{"verbs": ["*"]}]});
        bring_up_to_date(&mut role, &json!({"rules": []}));
        assert_eq!(role["rules"], json!([]));
    }

    #[test]
    fn manifests_are_documents_that_kubectl_takes() {
        let all = made("--aggregated --dry-run");
        let yaml = printed(&all, Form::Yaml).unwrap();
        assert_eq!(yaml.matches("---\n").count(), all.len() - 1);
        assert!(yaml.contains("kind: APIService\n"), "{yaml}");
        let json: Value = serde_json::from_str(&printed(&all, Form::Json).unwrap()).unwrap();
        assert_eq!(json["items"].as_array().unwrap().len(), all.len());
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "",
            "--aggregated --port 0",
            "--aggregated --external-name 10.0.0.1",
            "--aggregated --external-name A_b",
            "--aggregated --external-name a --selector b=c",
            "--aggregated --service-account a --user b",
            "--aggregated --service-name A",
            "--aggregated --selector x",
            "--aggregated -o yaml",
            "--aggregated --dry-run -o table",
        ] {
            assert!(of(line).is_err(), "{line}");
        }
    }

    #[test]
    fn without_the_servers_authority_nothing_begins() {
        let dir = tempfile::tempdir().unwrap();
        let args = of(&format!("--aggregated --dry-run --data-dir {}", dir.path().display())).unwrap();
        let error = run(&args).unwrap_err().to_string();
        assert!(error.contains("ca.crt") && error.contains("--ca"), "{error}");
        let junk = dir.path().join("junk");
        std::fs::write(&junk, "junk").unwrap();
        let args = of(&format!("--aggregated --dry-run --ca {}", junk.display())).unwrap();
        assert!(run(&args).unwrap_err().to_string().contains("no certificate"));
    }
}
