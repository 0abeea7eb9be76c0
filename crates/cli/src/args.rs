//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use eartag_server::config::{Cidr, DataPaths, Datastore, FeatureSwitches, ListenAddress, ServerUrl};
use secrecy::SecretString;

use crate::aggregated::AggregatedArgs;
use crate::clusters::ClusterCommand;
use crate::install::InstallArgs;
use crate::kubeconfigs::KubeconfigCommand;
use crate::logging::LogFormat;
use crate::login::commands::{LoginArgs, LogoutArgs};
use crate::manual::{CompletionsArgs, ManArgs};
use crate::program::{Invocation, Program};
use crate::system_token::SystemTokenCommand;
use crate::token::TokenCommand;
use crate::tokens::TokensCommand;
use crate::whoami::WhoamiArgs;

/// Reads the command line.
///
/// # Errors
/// What is wrong with it, or the help that was asked for.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<(Command, Invocation), clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = Program::of(args.first().map(OsString::as_os_str));
    let mut matches = command(program).try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches_mut(&mut matches)?;
    Ok((cli.command, Invocation { program, config: cli.config }))
}

/// The whole command line, under the name by which it was called.
#[must_use]
pub fn command(program: Program) -> clap::Command {
    Cli::command().name(program.name()).bin_name(program.name())
}

/// API tokens for Kubernetes fleets: issues, shows, limits, checks and revokes them, for people and machines.
#[derive(Parser)]
#[command(name = "eartag", version = eartag_server::version::PRODUCT, disable_help_subcommand = true)]
struct Cli {
    /// The directory in which logins and the tokens of kubeconfigs are kept.
    ///
    /// Otherwise $EARTAG_CONFIG_DIR, or eartag in $XDG_CONFIG_HOME or ~/.config; called as rancher: $RANCHER_CONFIG_DIR, or ~/.rancher.
    #[arg(short, long, value_name = "DIR", global = true, hide_short_help = true)]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Run the server.
    ///
    /// Without any flag: data in ./eartag-data, https on 127.0.0.1:8443 with a certificate authority of its own, and a user "admin" whose password is
    /// printed once. Settings can be given as CATTLE_<NAME> in the environment, for example CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES=43200. RUST_LOG filters the
    /// log.
    Serve(Box<ServeArgs>),
    /// Write a backup, while the server runs or not.
    ///
    /// The file holds the data and the key that opens it, so whoever can read it can do everything: it is written with mode 0600, and nothing is ever written
    /// over.
    Backup(BackupArgs),
    /// Restore a backup into a data directory that holds no data.
    ///
    /// Tokens that were revoked after the backup was made are good again: nothing in the backup knows of it. Revoke them anew, or use --revoke-since.
    Restore(RestoreArgs),
    /// Bring users and tokens over from a Rancher, while no server runs on the data.
    ///
    /// Reads what kubectl prints there with -o json (which is read fastest) or -o yaml for users, tokens, globalrolebindings and userattributes, all of
    /// management.cattle.io, and for the secrets of the namespaces cattle-local-user-passwords (passwords) and cattle-tokens (ext tokens). All tokens go on
    /// working; secrets in clear are hashed on the way. What is here already is left as it is, so the command can be run again.
    Import(ImportArgs),
    /// Make what a cluster needs to hand requests on to a server that extends its API ("serve --aggregated").
    ///
    /// A Service, the APIService v1.ext.cattle.io with the server's authority, and the roles by which the server reads whom the cluster trusts and asks who may do
    /// what. It can be run again. The cluster role "eartag-user" is for the people whose tokens these are: bind it to them.
    Install(Box<InstallArgs>),
    /// Make, list and delete the tokens that the system uses itself.
    #[command(subcommand)]
    SystemToken(SystemTokenCommand),
    /// Get a token for a kubeconfig that asks this program for one.
    ///
    /// Kubeconfigs name it as rancher token --server=… --user=…; a link of that name to this program serves them. The token is kept in a file for the owner's eyes
    /// only until it expires, or its server refuses it.
    Token(TokenCommand),
    /// Log in at a server, for the commands that talk to it.
    Login(LoginArgs),
    /// Log out: revoke the login and the tokens of kubeconfigs from the same server, and forget them.
    Logout(LogoutArgs),
    /// Show which user the server takes you for.
    Whoami(WhoamiArgs),
    /// Make, list and revoke your tokens.
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Get kubeconfigs.
    #[command(subcommand)]
    Kubeconfig(KubeconfigCommand),
    /// Register, show and remove clusters, and let them ask about tokens.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Print a script that completes this program's command line in a shell.
    Completions(CompletionsArgs),
    /// Print the manual.
    Man(ManArgs),
    /// Print the version.
    Version,
}

/// `eartag serve`.
#[derive(Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub place: Place,

    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8443")]
    pub listen: ListenAddress,

    /// The first password of the user "admin", used on the first start only. Without it one is made and printed once.
    #[arg(long, value_name = "PW", env = "CATTLE_BOOTSTRAP_PASSWORD", hide_env_values = true, value_parser = secret)]
    pub bootstrap_password: Option<SecretString>,

    /// Switch features on or off, for example ext-tokens=true,token-hashing=true.
    #[arg(long, value_name = "NAME=BOOL,…")]
    pub features: Vec<FeatureSwitches>,

    /// A serving certificate (PEM, the chain, leaf first) instead of one of our own authority; replaced while running when the file changes or on SIGHUP.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key (PEM) of --tls-cert.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Authorities (PEM) whose client certificates are accepted besides our own.
    #[arg(long, value_name = "FILE")]
    pub client_ca: Option<PathBuf>,

    /// The URL by which clients reach this server, for example https://tokens.example.com.
    #[arg(long, value_name = "URL")]
    pub server_url: Option<ServerUrl>,

    /// Address ranges of proxies whose forwarding headers are believed.
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    pub trusted_proxies: Vec<Cidr>,

    #[command(flatten)]
    pub aggregation: AggregatedArgs,

    /// How log lines on standard error look.
    #[arg(long, value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,
}

/// Where the data is.
#[derive(Args)]
pub struct Place {
    /// The directory of data, keys, certificates and kubeconfigs.
    #[arg(long, value_name = "DIR", default_value = "eartag-data")]
    pub data_dir: PathBuf,

    /// The store: sqlite:PATH or etcd:http://HOST:PORT,…; by default a SQLite file in the data directory.
    #[arg(long, value_name = "STORE")]
    pub datastore: Option<Datastore>,

    /// The key that wraps the private keys in the store; by default keys/root.key in the data directory.
    #[arg(long, value_name = "FILE")]
    pub root_key_file: Option<PathBuf>,
}

impl Place {
    /// Where everything is.
    pub fn paths(&self) -> DataPaths {
        let mut options = eartag_server::config::ServeOptions::new(self.data_dir.clone());
        options.datastore.clone_from(&self.datastore);
        options.root_key_file.clone_from(&self.root_key_file);
        options.paths()
    }
}

/// `eartag backup`.
#[derive(Args)]
pub struct BackupArgs {
    /// The file to write; nothing may be there yet.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub place: Place,
}

/// `eartag restore`.
#[derive(Args)]
pub struct RestoreArgs {
    /// The backup.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub place: Place,

    /// Revoke every token in the backup that was created at this time (RFC 3339) or later, before anybody can use it; 1970-01-01T00:00:00Z revokes all.
    #[arg(long, value_name = "TIME")]
    pub revoke_since: Option<jiff::Timestamp>,
}

/// `eartag import`.
#[derive(Args)]
pub struct ImportArgs {
    /// Files that kubectl get -o yaml or -o json printed; - reads standard input, and keeps secrets off the disk.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    pub place: Place,

    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use secrecy::ExposeSecret;

    use super::*;

    fn of(line: &str) -> Result<Command, clap::Error> {
        parse(std::iter::once("eartag").chain(line.split_whitespace()).map(OsString::from))
            .map(|(command, _)| command)
    }

    fn serve(line: &str) -> ServeArgs {
        match of(line) {
            Ok(Command::Serve(args)) => *args,
            Ok(_) => panic!("another command"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn the_command_line_is_well_made() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_flags_are_needed() {
        let args = serve("serve");
        assert_eq!(args.place.data_dir, PathBuf::from("eartag-data"));
        assert_eq!(args.listen, ListenAddress::default());
        assert_eq!(args.log_format, LogFormat::Human);
        assert!(args.place.datastore.is_none() && args.tls_cert.is_none() && args.features.is_empty());
    }

    #[test]
    fn all_flags_of_the_contract_are_taken() {
        let args = serve(
            "serve --data-dir /d --listen 0.0.0.0:1 --datastore sqlite:/d/x.db --bootstrap-password pw --features a=true,b=false \
             --features a=false --tls-cert c --tls-key k --client-ca ca --server-url https://x --trusted-proxies 10.0.0.0/8,::1 \
             --log-format json --root-key-file r",
        );
        assert_eq!(args.bootstrap_password.unwrap().expose_secret(), "pw");
        assert_eq!((args.features.len(), args.trusted_proxies.len()), (2, 2));
        assert_eq!(args.log_format, LogFormat::Json);
        let paths = args.place.paths();
        assert_eq!((paths.root_key, paths.database), (PathBuf::from("r"), PathBuf::from("/d/x.db")));
    }

    #[test]
    fn wrong_usage_is_exit_code_2_and_help_is_0() {
        for line in [
            "",
            "nonsense",
            "serve --listen nowhere",
            "serve --datastore mysql:x",
            "serve --tls-cert only",
            "serve --trusted-proxies 300.0.0.0/8",
            "serve --server-url http://x",
            "serve --features x",
            "serve --kubeconfig x",
            "serve --aggregated --namespace A",
            "install",
            "serve extra",
            "backup",
            "restore x --revoke-since yesterday",
            "import",
            "import --dry-run",
            "system-token",
            "system-token create --kind session --user u",
            "system-token create --kind agent",
            "system-token create --kind agent --user u --ttl 5",
            "system-token create --kind agent --user u --ttl -5h",
            "system-token delete",
            "system-token list --output xml",
            "token",
            "token --server x",
            "token --user x",
            "token --server x --user y --auth-flow telepathy",
            "token --server x --user y --password-stdin --password-fd 3",
            "token delete",
            "token delete x --server y",
            "login x -u a -t b:c",
            "login x -t b:c --password-stdin",
            "whoami --login a --context b",
            "tokens create --ttl 5",
            "tokens revoke",
            "kubeconfig get",
            "kubeconfig get --all c",
            "cluster add c",
            "cluster add c --kubeconfig f --endpoint-ca g",
            "cluster add c --kubeconfig f --endpoint-node g",
            "cluster remove",
            "completions telepathy",
        ] {
            let error = of(line).map(|_| ()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        assert_eq!(of("--help").map(|_| ()).unwrap_err().exit_code(), 0);
        assert_eq!(of("serve --help").map(|_| ()).unwrap_err().exit_code(), 0);
    }

    #[test]
    fn the_help_never_shows_the_password_in_the_environment() {
        let help = Cli::command().find_subcommand_mut("serve").unwrap().render_long_help().to_string();
        assert!(help.contains("[env: CATTLE_BOOTSTRAP_PASSWORD]"), "{help}");
    }
}
