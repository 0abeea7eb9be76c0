//! The files that let the operator in: `tls/ca.crt`, `kubeconfig/admin.yaml` and `kubeconfig/system-admin.yaml`.
//!
//! They are looked after at each start, so that they fit the address, the certificates and the time of this start.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eartag_core::PlainSecret;
use eartag_core::time::rfc3339;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::config::DataPaths;
use crate::files::{FileError, private_dir, read_small, write_private, write_public};
use crate::identity::{Identity, IdentityError, Random, bytes};
use crate::pki::{Issued, still_good};

const FILE_LIMIT: u64 = 1 << 20;
const HEADER: &str =
    "# Written by eartag, which keeps it up to date at each start: copy it before you change it.\n";
const EXPIRES: &str = "# The token expires: ";

/// How this server is reached: what a kubeconfig says about a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `https://HOST:PORT`.
    pub url: String,
    /// PEM of the certificates that clients should trust.
    pub trust: String,
}

/// The token in a kubeconfig that was written before.
pub struct KnownToken {
    /// The token's name.
    pub name: String,
    /// Its secret.
    pub secret: PlainSecret,
    /// When it expires as the file says, in seconds since 1970; `None`: never.
    pub expires_s: Option<i64>,
}

/// Makes the directories and writes `tls/ca.crt`.
///
/// # Errors
/// When a file or directory cannot be written.
pub fn write_trust(paths: &DataPaths, address: &Address) -> Result<(), FileError> {
    private_dir(&paths.dir)?;
    for file in [&paths.ca_certificate, &paths.admin_kubeconfig, &paths.system_admin_kubeconfig] {
        if let Some(parent) = file.parent() {
            private_dir(parent)?;
        }
    }
    let current = read_small(&paths.ca_certificate, FILE_LIMIT)?;
    if current.as_deref() != Some(address.trust.as_bytes()) {
        write_public(&paths.ca_certificate, address.trust.as_bytes())?;
    }
    Ok(())
}

/// Writes `system-admin.yaml`. The client certificate in it is kept while it is good for a while.
///
/// # Errors
/// When the file cannot be written or a certificate cannot be made.
pub fn write_system_admin(
    paths: &DataPaths,
    identity: &Identity,
    address: &Address,
    random: Random<'_>,
    now_s: i64,
) -> Result<(), IdentityError> {
    let file = &paths.system_admin_kubeconfig;
    let old = read_small(file, FILE_LIMIT)?.map(Zeroizing::new);
    let kept = old.as_deref().and_then(|text| {
        let pair = certificate_in(std::str::from_utf8(text).ok()?)?;
        still_good(&pair.certificate, &identity.clients, now_s).then_some(pair)
    });
    let issued = match kept {
        Some(kept) => kept,
        None => identity.clients.issue_client("system:admin", "system:masters", now_s, bytes(random))?,
    };
    let text = kubeconfig(
        address,
        "system:admin",
        &Login::Certificate { certificate: issued.certificate_pem(), key: issued.key_pem() },
    );
    if old.as_deref().map(Vec::as_slice) != Some(text.as_bytes()) {
        write_private(file, text.as_bytes())?;
    }
    Ok(())
}

/// Writes `admin.yaml` with this token.
///
/// # Errors
/// When the file cannot be written.
pub fn write_admin(
    paths: &DataPaths,
    address: &Address,
    token: &str,
    secret: &PlainSecret,
    expires_s: Option<i64>,
) -> Result<(), FileError> {
    let bearer = Zeroizing::new(format!("ext/{token}:{}", secret.expose()));
    let text = kubeconfig(address, "admin", &Login::Token { bearer, expires_s });
    let old = read_small(&paths.admin_kubeconfig, FILE_LIMIT)?.map(Zeroizing::new);
    if old.as_deref().map(Vec::as_slice) == Some(text.as_bytes()) {
        return Ok(());
    }
    write_private(&paths.admin_kubeconfig, text.as_bytes())
}

/// The token in `admin.yaml`; `None` when there is no file, or nothing that we wrote.
///
/// # Errors
/// When the file exists and cannot be read.
pub fn read_admin(paths: &DataPaths) -> Result<Option<KnownToken>, FileError> {
    let Some(text) = read_small(&paths.admin_kubeconfig, FILE_LIMIT)?.map(Zeroizing::new) else {
        return Ok(None);
    };
    let Ok(text) = std::str::from_utf8(&text) else { return Ok(None) };
    Ok(value_of(text, "token").and_then(|bearer| {
        let (name, secret) = bearer.strip_prefix("ext/")?.split_once(':')?;
        let expires_s = text
            .lines()
            .find_map(|line| line.strip_prefix(EXPIRES))
            .and_then(|time| time.trim().parse::<jiff::Timestamp>().ok())
            .map(jiff::Timestamp::as_second);
        Some(KnownToken { name: name.to_owned(), secret: PlainSecret::new(secret), expires_s })
    }))
}

enum Login {
    Token { bearer: Zeroizing<String>, expires_s: Option<i64> },
    Certificate { certificate: String, key: Zeroizing<String> },
}

/// A kubeconfig with one cluster (`local`), one user and one context, named like the user. Values are in double quotes, which in YAML means JSON strings.
fn kubeconfig(address: &Address, user: &str, login: &Login) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(8 * 1024));
    out.push_str(HEADER);
    if let Login::Token { expires_s, .. } = login {
        out.push_str(EXPIRES);
        out.push_str(&expires_s.map_or_else(|| "never".to_owned(), rfc3339));
        out.push('\n');
    }
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    out.push_str(&format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster:\n    server: {}\n    certificate-authority-data: {}\n\
         users:\n- name: {user}\n  user:\n",
        quoted(&address.url),
        STANDARD.encode(&address.trust),
        user = quoted(user),
    ));
    match login {
        Login::Token { bearer, .. } => {
            out.push_str("    token: ");
            out.push_str(&Zeroizing::new(quoted(bearer)));
        }
        Login::Certificate { certificate, key } => {
            out.push_str("    client-certificate-data: ");
            out.push_str(&STANDARD.encode(certificate));
            out.push_str("\n    client-key-data: ");
            out.push_str(&Zeroizing::new(STANDARD.encode(key.as_bytes())));
        }
    }
    out.push_str(&format!(
        "\ncontexts:\n- name: {user}\n  context:\n    cluster: local\n    user: {user}\ncurrent-context: {user}\n",
        user = quoted(user),
    ));
    out
}

/// The value behind `name:` on a line of its own, in a file that [`kubeconfig`] wrote.
fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().trim_matches('"'))
}

fn certificate_in(text: &str) -> Option<Issued> {
    let data = |name| STANDARD.decode(value_of(text, name)?).ok();
    let certificate = CertificateDer::from_pem_slice(&data("client-certificate-data")?).ok()?;
    let key = Zeroizing::new(data("client-key-data")?);
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from_pem_slice(&key).ok()?;
    Some(Issued { certificate, key: Zeroizing::new(key.secret_pkcs8_der().to_vec()) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock::fill_random;
    use crate::pki::{LEAF_LIFETIME_S, RENEW_BEFORE_S};

    const NOW_S: i64 = 1_780_000_000;

    fn address() -> Address {
        Address { url: "https://127.0.0.1:8443".into(), trust: "-----BEGIN…\n".into() }
    }

    fn paths() -> (tempfile::TempDir, DataPaths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = DataPaths::new(&dir.path().join("data"));
        write_trust(&paths, &address()).unwrap();
        (dir, paths)
    }

    #[test]
    fn the_admins_kubeconfig_is_what_kubectl_reads() {
        let (_dir, paths) = paths();
        let secret = PlainSecret::new("s3cret");
        write_admin(&paths, &address(), "token-abcde", &secret, Some(NOW_S)).unwrap();
        let text = fs::read_to_string(&paths.admin_kubeconfig).unwrap();
        let expected = "# Written by eartag, which keeps it up to date at each start: copy it before you change it.\n\
            # The token expires: 2026-05-28T20:26:40Z\napiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster:\n    \
            server: \"https://127.0.0.1:8443\"\n    certificate-authority-data: LS0tLS1CRUdJTuKApgo=\nusers:\n- name: \"admin\"\n  \
            user:\n    token: \"ext/token-abcde:s3cret\"\ncontexts:\n- name: \"admin\"\n  context:\n    cluster: local\n    \
            user: \"admin\"\ncurrent-context: \"admin\"\n";
        assert_eq!(text, expected);
        assert_eq!(fs::metadata(&paths.admin_kubeconfig).unwrap().permissions().mode() & 0o777, 0o600);
        let known = read_admin(&paths).unwrap().unwrap();
        assert_eq!(
            (known.name.as_str(), known.secret.expose(), known.expires_s),
            ("token-abcde", "s3cret", Some(NOW_S))
        );
    }

    #[test]
    fn a_token_for_ever_and_a_file_of_somebody_else_are_told_apart() {
        let (_dir, paths) = paths();
        assert!(read_admin(&paths).unwrap().is_none());
        write_admin(&paths, &address(), "token-abcde", &PlainSecret::new("s"), None).unwrap();
        assert_eq!(read_admin(&paths).unwrap().unwrap().expires_s, None);
        fs::write(&paths.admin_kubeconfig, "users: [{user: {token: abc}}]").unwrap();
        assert!(read_admin(&paths).unwrap().is_none());
        fs::write(&paths.admin_kubeconfig, [0xff, 0xfe]).unwrap();
        assert!(read_admin(&paths).unwrap().is_none());
    }

    #[test]
    fn the_system_admins_certificate_is_kept_until_it_nears_its_end() {
        let (_dir, paths) = paths();
        let identity = Identity::new("user-abcde".into(), &fill_random, NOW_S).unwrap();
        let write = |address: &Address, now_s| {
            write_system_admin(&paths, &identity, address, &fill_random, now_s).unwrap();
            let text = fs::read_to_string(&paths.system_admin_kubeconfig).unwrap();
            let pair = certificate_in(&text).unwrap();
            (text, pair.certificate)
        };
        let (text, first) = write(&address(), NOW_S);
        assert!(text.contains("current-context: \"system:admin\"\n"));
        let mode = fs::metadata(&paths.system_admin_kubeconfig).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let moved = Address { url: "https://other:1".into(), ..address() };
        let (text, second) = write(&moved, NOW_S + 100);
        assert_eq!(second, first);
        assert!(text.contains("https://other:1"));
        let (_, third) = write(&moved, NOW_S + LEAF_LIFETIME_S - RENEW_BEFORE_S);
        assert_ne!(third, first);
        let stranger = Identity::new("user-abcde".into(), &fill_random, NOW_S + 1).unwrap();
        write_system_admin(&paths, &stranger, &moved, &fill_random, NOW_S).unwrap();
        let fourth = certificate_in(&fs::read_to_string(&paths.system_admin_kubeconfig).unwrap()).unwrap();
        assert!(still_good(&fourth.certificate, &stranger.clients, NOW_S));
    }
}
