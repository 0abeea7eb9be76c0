#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

/// One file with one context.
fn config(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: k, user: u}}\n\
         clusters:\n- name: k\n  cluster: {{{cluster}}}\nusers:\n- name: u\n  user: {{{user}}}\n"
    )
}

fn only(dir: &Path, text: &str) -> Sources {
    let file = dir.join("config");
    fs::write(&file, text).unwrap();
    Sources { flag: Some(file), ..Sources::default() }
}

fn target_of(text: &str) -> Result<Target, String> {
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = Kubeconfig::load(&only(dir.path(), text)).map_err(|e| e.to_string())?;
    kubeconfig.target(None).map_err(|e| e.to_string())
}

fn refusal(cluster: &str, user: &str) -> String {
    target_of(&config(cluster, user)).unwrap_err()
}

const HERE: &str = "server: https://127.0.0.1:8443";

#[test]
fn the_servers_own_kubeconfig_is_understood() {
    let text = "# Written by eartag\napiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster:\n    server: \"https://127.0.0.1:8443\"\n    \
        certificate-authority-data: YWJj\nusers:\n- name: \"admin\"\n  user:\n    token: \"ext/token-abcde:s3cret\"\ncontexts:\n\
        - name: \"admin\"\n  context:\n    cluster: local\n    user: \"admin\"\ncurrent-context: \"admin\"\n";
    let target = target_of(text).unwrap();
    assert_eq!(
        (target.server.as_str(), &target.trust),
        ("https://127.0.0.1:8443", &Trust::Only(b"abc".to_vec()))
    );
    let Login::Bearer(token) = &target.login else { panic!() };
    assert_eq!(token.expose_secret(), "ext/token-abcde:s3cret");
    assert!(!format!("{target:?}").contains("s3cret"));
}

#[test]
fn sources_come_in_kubectls_order_with_our_own_file_before_the_home_directory() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["flag", "first", "second", "own"] {
        fs::write(at(name), "{}").unwrap();
    }
    fs::create_dir(at(".kube")).unwrap();
    fs::write(at(".kube/config"), "{}").unwrap();
    let list =
        std::env::join_paths([at("absent"), at("first"), PathBuf::new(), at("second"), at("first")]).unwrap();
    let mut sources = Sources {
        flag: Some(at("flag")),
        variable: Some(list),
        own: at("own"),
        home: Some(dir.path().into()),
    };
    assert_eq!(sources.files().unwrap(), [at("flag")]);
    sources.flag = Some(at("absent"));
    assert!(sources.files().unwrap_err().to_string().starts_with("there is no kubeconfig at "));
    sources.flag = None;
    assert_eq!(sources.files().unwrap(), [at("first"), at("second")]);
    sources.variable = Some(at("absent").into());
    assert!(
        sources.files().unwrap_err().to_string().starts_with("none of the files in $KUBECONFIG is there: ")
    );
    sources.variable = Some(OsString::new());
    assert_eq!(sources.files().unwrap(), [at("own")]);
    sources.own = at("absent");
    assert_eq!(sources.files().unwrap(), [at(".kube/config")]);
    sources.home = None;
    assert!(sources.files().unwrap_err().to_string().contains("give --kubeconfig, set KUBECONFIG"));
}

#[test]
fn of_several_files_the_first_to_define_something_wins() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("a"), dir.path().join("sub"));
    fs::create_dir(&second).unwrap();
    let second = second.join("b");
    fs::write(
        &first,
        "clusters:\n- {name: k, cluster: {server: 'https://first'}}\ncurrent-context: ''\ncontexts: null\n",
    )
    .unwrap();
    fs::write(dir.path().join("sub/token"), "from-the-second\n").unwrap();
    let rest = config("server: https://second", "tokenFile: token");
    fs::write(&second, rest).unwrap();
    let sources =
        Sources { variable: Some(std::env::join_paths([&first, &second]).unwrap()), ..Sources::default() };
    let target = Kubeconfig::load(&sources).unwrap().target(None).unwrap();
    assert_eq!(target.server, "https://first");
    let Login::Bearer(token) = target.login else { panic!() };
    assert_eq!(token.expose_secret(), "from-the-second", "a path is relative to the file that it is in");
}

#[test]
fn what_is_missing_is_named_with_what_there_is() {
    let whole = config(HERE, "token: t");
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = Kubeconfig::load(&only(dir.path(), &whole)).unwrap();
    let error = kubeconfig.target(Some("x")).unwrap_err().to_string();
    assert!(error.ends_with("has no context \"x\": there are \"c\""), "{error}");
    let error = target_of(&whole.replace("current-context: c\n", "")).unwrap_err();
    assert!(error.ends_with("has no current context: give --context, one of \"c\""), "{error}");
    let error = target_of(&whole.replace("user: u}", "user: v}")).unwrap_err();
    assert!(error.ends_with("has no user \"v\": there are \"u\""), "{error}");
    let error = target_of(&whole.replace("cluster: k,", "")).unwrap_err();
    assert!(error.ends_with("has no cluster \"\": there are \"k\""), "{error}");
    assert!(target_of("").unwrap_err().ends_with("give --context, one of none"));
    assert!(refusal("", "").ends_with("names no server"));
}

#[test]
fn what_would_be_unsafe_or_cannot_be_done_is_refused_with_a_reason() {
    for (cluster, user, why) in [
        ("server: https://x, insecure-skip-tls-verify: true", "", "which is never done"),
        ("server: http://x", "token: t", "secrets are only sent over https"),
        ("server: 'https://ann:hunter2@x'", "", "with a user name or password in its URL"),
        ("server: 'https://x?y'", "", "which is no URL"),
        ("server: 'ftp://x'", "", "which is no URL"),
        ("server: ':'", "", "which is no URL"),
        ("server: https://x, proxy-url: 'socks5://p:1'", "", "only http:// proxies"),
        (
            "server: https://x, certificate-authority-data: '*'",
            "",
            "certificate-authority-data that is not base64",
        ),
        (
            "server: https://x, certificate-authority: nowhere",
            "",
            "certificate-authority that is not there: ",
        ),
        (HERE, "exec: {command: rancher}", "does not run"),
        (HERE, "auth-provider: {name: gcp}", "Kubernetes has removed"),
        (HERE, "as: ann, as-user-extra: {a: [b]}", "as-user-extra"),
        (HERE, "as-groups: [a]", "does not say as whom"),
        (HERE, "client-certificate-data: YQ==", "without a key"),
        (HERE, "client-key-data: YQ==", "without a certificate"),
        (HERE, "username: ann", "without a password"),
        (HERE, "password: hunter2", "without a username"),
        (HERE, "username: 'a:b', password: hunter2", "with a colon"),
        (HERE, "tokenFile: nowhere", "tokenFile that is not there: "),
    ] {
        let error = refusal(cluster, user);
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn data_comes_before_files_and_a_token_in_a_file_before_a_written_one() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("ca", "CA"), ("crt", "CRT"), ("key", "KEY"), ("token", " t2 \n"), ("empty", "\n")] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let target = |cluster: &str, user: &str| {
        Kubeconfig::load(&only(dir.path(), &config(cluster, user))).unwrap().target(None)
    };
    let found = target(
        &format!("{HERE}, certificate-authority: ca, tls-server-name: other"),
        "client-certificate: crt, client-key: key, token: t1, tokenFile: token, username: u, password: p, as: ann, as-groups: [g]",
    )
    .unwrap();
    assert_eq!((found.trust, found.server_name.as_deref()), (Trust::Only(b"CA".to_vec()), Some("other")));
    let certificate = found.certificate.unwrap();
    assert_eq!((certificate.certificate.as_slice(), certificate.key.as_slice()), (&b"CRT"[..], &b"KEY"[..]));
    assert!(matches!(&found.login, Login::Bearer(token) if token.expose_secret() == "t2"));
    assert_eq!(
        found.acting_as.unwrap(),
        ActingAs { user: "ann".into(), uid: String::new(), groups: vec!["g".into()] }
    );

    let data = target(
        &format!("{HERE}, certificate-authority: nowhere, certificate-authority-data: Y2E="),
        "client-certificate: nowhere, client-certificate-data: YQ==, client-key: nowhere, client-key-data: Yg==, token: t1, tokenFile: nowhere",
    )
    .unwrap();
    assert_eq!(data.trust, Trust::Only(b"ca".to_vec()));
    assert_eq!(data.certificate.unwrap().key.as_slice(), b"b");
    assert!(matches!(&data.login, Login::Bearer(token) if token.expose_secret() == "t1"));
    assert!(
        target(HERE, "tokenFile: empty, token: t")
            .unwrap_err()
            .to_string()
            .ends_with("tokenFile that is empty")
    );
    assert!(matches!(target(HERE, "").unwrap().login, Login::None));
    let basic = target(HERE, "username: u, password: p").unwrap().login;
    assert!(
        matches!(basic, Login::Basic { username, password } if username == "u" && password.expose_secret() == "p")
    );
}

#[test]
fn servers_are_read_as_kubectl_reads_them() {
    for (text, url) in [
        ("https://x", "https://x"),
        ("https://x:1/", "https://x:1"),
        ("x:8443", "https://x:8443"),
        ("https://[::1]:8443/k8s/clusters/c-1/", "https://[::1]:8443/k8s/clusters/c-1"),
    ] {
        assert_eq!(server_url(text).as_deref(), Ok(url), "{text}");
    }
}

#[test]
fn a_file_that_is_none_is_told_without_quoting_it() {
    for text in [
        "token: [s3cret",
        "users: s3cret",
        "- s3cret",
        "\u{0}s3cret",
        "kind: Secret\nusers: []",
        "users: [{user: {token: [s3cret]}}]",
    ] {
        let error = target_of(text).unwrap_err();
        assert!(
            error.contains("is no kubeconfig that can be understood") && !error.contains("s3cret"),
            "{error}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let sources = Sources { flag: Some(dir.path().into()), ..Sources::default() };
    assert!(matches!(Kubeconfig::load(&sources), Err(KubeconfigError::Unreadable(_))));
    fs::write(dir.path().join("config"), [0xff, 0xfe]).unwrap();
    let sources = Sources { flag: Some(dir.path().join("config")), ..Sources::default() };
    assert!(Kubeconfig::load(&sources).unwrap_err().to_string().ends_with("it is no text"));
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    assert_eq!(shown("ftp://ann:hunter2@x/y"), "\"ftp://x/y\"");
    assert_eq!(shown("ann:p@w@x"), "\"x\"");
    assert_eq!(shown("x\u{1b}[2J"), "\"x\\u{1b}[2J\"");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,300}") {
        let _ = target_of(&text);
    }

    #[test]
    fn no_value_makes_the_reader_panic(server in "[ -~]{0,40}", token in "[ -~]{0,40}", path in "[ -~]{0,20}") {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let cluster = format!("server: {}", quoted(&server));
        let user = format!("token: {}, tokenFile: {}, client-key: {}", quoted(&token), quoted(&path), quoted(&path));
        if let Ok(target) = target_of(&config(&cluster, &user)) {
            prop_assert!(target.server.starts_with("https://"));
        }
    }
}
