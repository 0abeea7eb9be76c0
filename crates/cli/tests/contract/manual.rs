//! `completions` and `man`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use super::support::{good, run, stdout};

#[test]
fn completions_are_scripts_that_their_shell_understands() {
    let dir = tempfile::tempdir().unwrap();
    let script = good(dir.path(), &["completions", "bash"]);
    fs::write(dir.path().join("c.bash"), &script).unwrap();
    let asked = "source ./c.bash; COMP_WORDS=(eartag toke); COMP_CWORD=1; _eartag eartag toke eartag; echo ${COMPREPLY[*]}";
    let bash = Command::new("bash").args(["--norc", "-c", asked]).current_dir(dir.path()).output().unwrap();
    assert_eq!(String::from_utf8(bash.stdout).unwrap(), "token tokens\n");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(good(dir.path(), &["completions", shell]).contains("webhook-config"), "{shell}");
    }
    assert_eq!(run(dir.path(), &["completions", "sh"]).status.code(), Some(2));
}

#[test]
fn every_command_has_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let first = good(dir.path(), &["man"]);
    assert!(first.contains(".TH") && first.contains("eartag"), "{first}");
    good(dir.path(), &["man", "--dir", "pages/man1"]);
    let page = |name: &str| fs::read_to_string(dir.path().join("pages/man1").join(name)).unwrap();
    for name in
        ["eartag.1", "eartag-token.1", "eartag-token-delete.1", "eartag-cluster-add.1", "eartag-serve.1"]
    {
        assert!(page(name).contains(".SH SYNOPSIS") || page(name).contains(".SH DESCRIPTION"), "{name}");
    }
    assert!(page("eartag-token.1").contains("\\-\\-auth\\-provider"));
    // Its title, and at its foot the program that it belongs to.
    let page = page("eartag-token-delete.1");
    let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
    let program = format!("Eartag {}", env!("CARGO_PKG_VERSION"));
    assert!(title.contains(" eartag-token-delete 1 ") && title.contains(&program), "{title}");
}

#[test]
fn called_as_rancher_the_program_calls_itself_so() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("rancher");
    symlink(env!("CARGO_BIN_EXE_eartag"), &link).unwrap();
    let output = Command::new(&link).args(["token", "--help"]).stdin(Stdio::null()).output().unwrap();
    assert!(
        stdout(&output).contains("Usage: rancher token [OPTIONS] --server <SERVER> --user <NAME>"),
        "{}",
        stdout(&output)
    );
    let output = Command::new(&link).arg("version").output().unwrap();
    assert!(stdout(&output).starts_with("rancher "), "{}", stdout(&output));
}
