//! A real kube-apiserver on an etcd of its own: the clusters that trust our tokens.
//!
//! ```text
//! KubeApiserver ── processes `etcd` and `kube-apiserver` on free loopback ports; killed on drop; their output is kept
//!   ├── admin()         kubectl in `system:masters`, by client certificate
//!   ├── client(user, group)  a client certificate for anybody else
//!   ├── kubectl(bearer) kubectl with a bearer token
//!   └── front_proxy     what an aggregated API server sees: the authority and the client certificate
//! ```
//!
//! RBAC decides, the service-account admission plugin is off (nobody runs the controllers that it waits for), aggregation is set up with the
//! usual `X-Remote-` headers. Tests that use it live in modules that `.config/nextest.toml` names, so that few run at a time, and begin with
//! `needs_kube_apiserver!()`.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::Http;
use crate::kube_pki::{Authority, Pair, PairFiles, bare_key};
use crate::kubectl::Kubectl;
use crate::server::free_port;
use crate::tape::Tape;
use crate::wait;
use crate::wait::PATIENCE;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const ACCESS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/// The common name of the front proxy's client certificate.
pub const FRONT_PROXY: &str = "front-proxy-client";

/// Says why the tests of this kind do not run, or fails where they must.
///
/// # Panics
/// Without kube-apiserver and etcd when `CI=true`.
pub fn missing() -> bool {
    if binary().is_some() && etcd().is_some() {
        return false;
    }
    let how = "no kube-apiserver with its etcd: set KUBEBUILDER_ASSETS to a directory with both (as `setup-envtest use -p path` prints it), \
               or run `scripts/tools test` where ../shared/bin/kube-apiserver.xz is";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{how}");
    eprintln!("left out: {how}");
    true
}

/// Leaves a test out, saying so, where there is no kube-apiserver or no etcd.
#[macro_export]
macro_rules! needs_kube_apiserver {
    () => {
        if $crate::kube_apiserver::missing() {
            return;
        }
    };
}

/// The server: envtest's, else the one that `scripts/tools` unpacked.
pub fn binary() -> Option<&'static Path> {
    static BINARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    BINARY
        .get_or_init(|| {
            let unpacked = crate::server::target_dir().join("tools/bin/kube-apiserver");
            asset("kube-apiserver").or_else(|| unpacked.is_file().then_some(unpacked))
        })
        .as_deref()
}

/// Its store: envtest's, else the one on the `PATH`.
pub fn etcd() -> Option<&'static Path> {
    static BINARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    BINARY
        .get_or_init(|| {
            asset("etcd").or_else(|| {
                let path = std::env::var_os("PATH")?;
                std::env::split_paths(&path).map(|dir| dir.join("etcd")).find(|f| f.is_file())
            })
        })
        .as_deref()
}

fn asset(name: &str) -> Option<PathBuf> {
    let file = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?).join(name);
    file.is_file().then_some(file)
}

/// How to start one; `KubeSetup::default()` needs nothing.
#[derive(Default)]
pub struct KubeSetup {
    args: Vec<String>,
}

impl KubeSetup {
    /// One more argument: `--flag=value`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> KubeSetup {
        self.args.push(arg.to_owned());
        self
    }

    /// A token webhook by this kubeconfig, asked in this version (`v1` or `v1beta1`), its answers kept for this long (`0s`, `2m`).
    #[must_use]
    pub fn webhook(self, config: &Path, version: &str, cache_ttl: &str) -> KubeSetup {
        self.arg(&format!("--authentication-token-webhook-config-file={}", config.display()))
            .arg(&format!("--authentication-token-webhook-version={version}"))
            .arg(&format!("--authentication-token-webhook-cache-ttl={cache_ttl}"))
    }

    /// Starts both and waits until `/readyz` says yes.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(self) -> KubeApiserver {
        KubeApiserver::with(self)
    }
}

/// A running kube-apiserver.
pub struct KubeApiserver {
    setup: KubeSetup,
    authority: Authority,
    front_proxy_authority: Authority,
    admin: Pair,
    address: SocketAddr,
    etcd_url: String,
    apiserver: Option<Child>,
    etcd: Option<Child>,
    tape: Tape,
    temp: TempDir,
}

impl KubeApiserver {
    /// One without further arguments.
    pub fn start() -> KubeApiserver {
        KubeSetup::default().start()
    }

    fn with(setup: KubeSetup) -> KubeApiserver {
        let authority = Authority::new("test-cluster-ca");
        let mut kube = KubeApiserver {
            setup,
            admin: authority.client("admin", "system:masters"),
            authority,
            front_proxy_authority: Authority::new("test-front-proxy-ca"),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            etcd_url: String::new(),
            apiserver: None,
            etcd: None,
            tape: Tape::default(),
            temp: TempDir::new().expect("a directory"),
        };
        kube.write_pki();
        kube.address.set_port(free_port());
        kube.launch();
        kube
    }

    fn write_pki(&self) {
        let dir = self.dir();
        std::fs::write(self.ca_file(), self.authority.pem()).expect("a file");
        std::fs::write(self.front_proxy_ca_file(), self.front_proxy_authority.pem()).expect("a file");
        self.authority.server(&["localhost", "127.0.0.1"]).write(dir, "server");
        self.admin.write(dir, "admin");
        self.front_proxy_authority.client(FRONT_PROXY, "").write(dir, "front-proxy");
        bare_key(dir, "service-accounts");
    }

    /// etcd has no readiness of its own that we would ask for: the kube-apiserver's includes it.
    fn start_etcd(&mut self) {
        let (client, peer) = (free_port(), free_port());
        self.etcd_url = format!("http://127.0.0.1:{client}");
        let peer = format!("http://127.0.0.1:{peer}");
        let mut command = Command::new(etcd().expect("an etcd"));
        command
            .arg("--data-dir")
            .arg(self.dir().join("etcd"))
            .args(["--listen-client-urls", &self.etcd_url, "--advertise-client-urls", &self.etcd_url])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .arg("--initial-cluster")
            .arg(format!("default={peer}"));
        self.etcd = Some(self.spawn(command, "etcd"));
    }

    /// Starts the kube-apiserver (again) at its address, and its store if it does not run, and waits until both are ready. Other ports if somebody took ours.
    pub fn launch(&mut self) {
        for _ in 0..5 {
            if self.etcd.is_none() {
                self.start_etcd();
            }
            std::fs::write(self.admin_kubeconfig(), self.kubeconfig_of(&self.admin)).expect("a file");
            let command = self.apiserver_command();
            self.apiserver = Some(self.spawn(command, "kube-apiserver"));
            match self.becomes_ready() {
                Ok(()) => return,
                Err("etcd") => {
                    end(&mut self.apiserver);
                    self.etcd = None;
                }
                Err(_) => self.address.set_port(free_port()),
            }
        }
        panic!("no free port");
    }

    fn apiserver_command(&self) -> Command {
        let dir = self.dir();
        let file = |flag: &str, name: &str| format!("--{flag}={}", dir.join(name).display());
        let mut command = Command::new(binary().expect("a kube-apiserver"));
        command
            .arg(format!("--etcd-servers={}", self.etcd_url))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", self.address.port()))
            // An address for documentation: with a loopback one it would refuse to make its endpoints.
            .arg("--advertise-address=192.0.2.1")
            .arg(file("tls-cert-file", "server.crt"))
            .arg(file("tls-private-key-file", "server.key"))
            .arg(file("client-ca-file", "ca.crt"))
            .arg(file("requestheader-client-ca-file", "front-proxy-ca.crt"))
            .arg(format!("--requestheader-allowed-names={FRONT_PROXY}"))
            .arg("--requestheader-username-headers=X-Remote-User")
            .arg("--requestheader-group-headers=X-Remote-Group")
            .arg("--requestheader-extra-headers-prefix=X-Remote-Extra-")
            .arg(file("proxy-client-cert-file", "front-proxy.crt"))
            .arg(file("proxy-client-key-file", "front-proxy.key"))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(file("service-account-key-file", "service-accounts.pub"))
            .arg(file("service-account-signing-key-file", "service-accounts.key"))
            .args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24"])
            .args(["--disable-admission-plugins=ServiceAccount", "--allow-privileged=true"])
            .args(&self.setup.args);
        command
    }

    fn spawn(&self, mut command: Command, name: &str) -> Child {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir())
            .current_dir(self.dir())
            .stdin(Stdio::null())
            .stdout(File::create(self.dir().join(format!("{name}.out"))).expect("a file"))
            .stderr(File::create(self.dir().join(format!("{name}.log"))).expect("a file"));
        command.spawn().unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// `Err` with the one whose port was taken. A start takes some six seconds on an idle machine.
    fn becomes_ready(&mut self) -> Result<(), &'static str> {
        let admin = self.admin_http();
        let mut exited = None;
        wait::until("the kube-apiserver to be ready", PATIENCE, || {
            let children = [("etcd", &mut self.etcd), ("kube-apiserver", &mut self.apiserver)];
            for (name, child) in children {
                if let Some(status) = child.as_mut().and_then(|c| c.try_wait().expect("a status")) {
                    exited = Some((name, status));
                    return Some(());
                }
            }
            std::thread::sleep(Duration::from_millis(100));
            let reply = admin.try_send("GET", "/readyz", "", None).ok()?;
            (reply.status == 200).then_some(())
        });
        let Some((name, status)) = exited else { return Ok(()) };
        let said = std::fs::read_to_string(self.dir().join(format!("{name}.log"))).unwrap_or_default();
        let taken = said.contains("address already in use");
        assert!(taken, "{name} ended at its start ({status}): {}", tail(&said));
        Err(name)
    }

    /// Binds a cluster role to a `User` or a `Group`, and waits until the API server goes by it: it hears of its own roles and bindings as others do, by a watch.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn bind(&self, binding: &str, role: &str, kind: &str, who: &str) {
        let admin = self.admin_http();
        let group = "rbac.authorization.k8s.io";
        let made = json!({"metadata": {"name": binding},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": kind, "name": who}]});
        admin.post(&format!("{RBAC}/clusterrolebindings"), &made).want(201);
        let role = admin.get(&format!("{RBAC}/clusterroles/{role}")).want(200);
        let rules = role["rules"].as_array().expect("rules");
        let rule = rules.iter().find(|rule| rule["resources"].is_array()).expect("a rule for resources");
        let right = json!({"group": rule["apiGroups"][0], "resource": rule["resources"][0], "verb": rule["verbs"][0]});
        let mut spec = json!({"user": who, "resourceAttributes": right});
        if kind == "Group" {
            spec["user"] = "somebody".into();
            spec["groups"] = json!([who]);
        }
        let question =
            json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
        wait::until("the API server to go by its new binding", PATIENCE, || {
            let answer: Value = admin.post(ACCESS, &question).want(201);
            (answer["status"]["allowed"] == true).then_some(())
        });
    }

    /// Where its files are: certificates, logs, etcd's data.
    pub fn dir(&self) -> &Path {
        self.temp.path()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The authority of its serving certificate and of its clients' certificates.
    pub fn ca_file(&self) -> PathBuf {
        self.dir().join("ca.crt")
    }

    /// The authority of the front proxy's client certificate.
    pub fn front_proxy_ca_file(&self) -> PathBuf {
        self.dir().join("front-proxy-ca.crt")
    }

    /// The client certificate by which it calls aggregated API servers.
    pub fn front_proxy(&self) -> PairFiles {
        let dir = self.dir();
        PairFiles { certificate: dir.join("front-proxy.crt"), key: dir.join("front-proxy.key") }
    }

    /// A kubeconfig file for `admin` in `system:masters`, certificates within.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.dir().join("admin.kubeconfig")
    }

    /// `admin`'s client certificate and key.
    pub fn admin_pair(&self) -> &Pair {
        &self.admin
    }

    /// kubectl as `admin` in `system:masters`.
    pub fn admin(&self) -> Kubectl {
        self.kubectl_of(&self.admin)
    }

    /// Plain requests as `admin` in `system:masters`.
    pub fn admin_http(&self) -> Http {
        let (certificate, key) = (self.admin.certificate.as_bytes(), self.admin.key.as_bytes());
        Http::with_certificate(self.url(), &self.ca_file(), self.tape.clone(), certificate, key)
    }

    /// Plain requests without credentials.
    pub fn anonymous(&self) -> Http {
        Http::new(self.url(), &self.ca_file(), self.tape.clone())
    }

    /// A client certificate of this cluster: the user's name and, unless it is empty, a group.
    pub fn client(&self, user: &str, group: &str) -> Pair {
        self.authority.client(user, group)
    }

    /// kubectl with a client certificate.
    pub fn kubectl_of(&self, client: &Pair) -> Kubectl {
        Kubectl::new(&self.kubeconfig_of(client), self.tape.clone())
    }

    /// kubectl with a bearer token.
    pub fn kubectl(&self, bearer: &str) -> Kubectl {
        Kubectl::for_bearer(&self.url(), &self.ca_file(), bearer, self.tape.clone())
    }

    fn kubeconfig_of(&self, client: &Pair) -> String {
        let data = |pem: &str| STANDARD.encode(pem);
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: test\n  cluster:\n    server: {}\n    certificate-authority-data: {}\n\
             users:\n- name: test\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n\
             contexts:\n- name: test\n  context:\n    cluster: test\n    user: test\ncurrent-context: test\n",
            self.url(),
            data(self.authority.pem()),
            data(&client.certificate),
            data(&client.key),
        )
    }

    /// The kube-apiserver's process.
    pub fn pid(&self) -> u32 {
        self.apiserver.as_ref().expect("a running kube-apiserver").id()
    }

    /// What the kube-apiserver has logged since its last start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("kube-apiserver.log")).unwrap_or_default()
    }

    /// Ends the kube-apiserver without a word; its store goes on, and [`KubeApiserver::launch`] starts it again.
    pub fn kill(&mut self) {
        end(&mut self.apiserver);
    }
}

impl Drop for KubeApiserver {
    fn drop(&mut self) {
        end(&mut self.apiserver);
        end(&mut self.etcd);
        if std::thread::panicking() {
            eprintln!("--- the kube-apiserver's log ends so:\n{}", tail(&self.log()));
        }
    }
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
}
