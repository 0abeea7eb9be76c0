//! `eartag serve`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use eartag_server::config::{ServeOptions, TlsFiles};
use eartag_server::setup::Ready;
use secrecy::ExposeSecret;

use crate::args::ServeArgs;
use crate::{logging, terminal};

const PASSWORD_VARIABLE: &str = "CATTLE_BOOTSTRAP_PASSWORD";

/// Runs the server until it was told to stop and has drained.
pub fn run(args: ServeArgs) -> anyhow::Result<()> {
    logging::start(args.log_format)?;
    let aggregated = args.aggregation.options()?;
    let mut options = options(args, environment());
    options.aggregated = aggregated;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("eartag")
        .build()
        .context("the server's threads cannot be started")?;
    let served = runtime.block_on(eartag_server::serve::serve(options, greet));
    // Whatever still blocks a thread must not hold up the exit.
    runtime.shutdown_background();
    Ok(served?)
}

fn options(args: ServeArgs, environment: BTreeMap<String, String>) -> ServeOptions {
    let mut options = ServeOptions::new(args.place.data_dir);
    options.listen = args.listen;
    options.datastore = args.place.datastore;
    options.root_key_file = args.place.root_key_file;
    // An empty variable is one that was not set.
    options.bootstrap_password =
        args.bootstrap_password.filter(|password| !password.expose_secret().is_empty());
    options.features = args.features.into_iter().flat_map(|switches| switches.0).collect();
    options.tls_files =
        args.tls_cert.zip(args.tls_key).map(|(certificate, key)| TlsFiles { certificate, key });
    options.client_ca = args.client_ca;
    options.server_url = args.server_url;
    options.trusted_proxies = args.trusted_proxies;
    options.environment = environment;
    options
}

/// The variables that may be settings. Values that are not text cannot be.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("CATTLE_") && name != PASSWORD_VARIABLE)
        .collect()
}

/// Tells the operator what to type next. The server goes on also if nobody reads it.
fn greet(ready: &Ready) {
    if let Err(error) = terminal::say(&greeting(ready)) {
        tracing::warn!(%error, "standard output cannot be written");
    }
}

fn greeting(ready: &Ready) -> String {
    let mut text = format!("eartag {} answers at {}\n\n", eartag_server::version::PRODUCT, ready.url);
    if let Some(password) = &ready.generated_password {
        text.push_str("The password of the user admin, shown only this once:\n\n  ");
        text.push_str(password.expose());
        text.push_str("\n\n");
    }
    text.push_str(&format!(
        "Try, in another terminal:\n\n  export KUBECONFIG={}\n  kubectl get tokens.ext.cattle.io\n  curl --cacert {} {}/readyz\n",
        shell_word(&ready.paths.admin_kubeconfig),
        shell_word(&ready.paths.ca_certificate),
        ready.url,
    ));
    text
}

/// An absolute path as one word of a shell.
fn shell_word(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = absolute.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=".contains(c);
    if text.chars().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use eartag_server::config::DataPaths;

    use super::*;

    fn ready(password: Option<&str>) -> Ready {
        Ready {
            url: "https://127.0.0.1:8443".into(),
            paths: DataPaths::new(Path::new("/var/lib/ear tag")),
            generated_password: password.map(eartag_server::setup::PlainSecret::new),
            first: true,
        }
    }

    #[test]
    fn the_greeting_can_be_pasted_into_a_shell() {
        let text = greeting(&ready(None));
        assert!(text.contains("\n  export KUBECONFIG='/var/lib/ear tag/kubeconfig/admin.yaml'\n"), "{text}");
        assert!(text.contains("\n  kubectl get tokens.ext.cattle.io\n"));
        assert!(!text.contains("password"));
        assert_eq!(shell_word(Path::new("/a'b")), "'/a'\\''b'");
    }

    #[test]
    fn a_generated_password_is_in_the_greeting_once() {
        assert_eq!(greeting(&ready(Some("s3cret"))).matches("s3cret").count(), 1);
    }

    #[test]
    fn the_last_switch_of_a_feature_wins_and_an_empty_password_is_none() {
        let line = [
            "eartag",
            "serve",
            "--features",
            "a=true",
            "--features",
            "a=false,b=true",
            "--bootstrap-password",
            "",
        ];
        let Ok((crate::args::Command::Serve(args), _)) = crate::args::parse(line.map(Into::into)) else {
            panic!()
        };
        let options = options(*args, BTreeMap::new());
        assert_eq!(options.features, [("a".to_owned(), false), ("b".to_owned(), true)].into());
        assert!(options.bootstrap_password.is_none());
    }
}
