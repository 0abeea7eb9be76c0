//! Where a name and a password come from: a person at a terminal, or a script's file descriptor. Never the command line, which everybody on a machine can
//! read, and never the environment, which everything inherits.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, bail};
use clap::Args;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::ask::Person;

/// The longest secret that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// How scripts hand a password over.
#[derive(Args, Debug, Default)]
pub struct PasswordFrom {
    /// Read the password from standard input.
    #[arg(long, conflicts_with = "password_fd")]
    pub password_stdin: bool,

    /// Read the password from this file descriptor, as in --password-fd 3 3<FILE.
    #[arg(long, value_name = "N")]
    pub password_fd: Option<u32>,
}

impl PasswordFrom {
    /// Whether a script has one.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.password_stdin || self.password_fd.is_some()
    }

    /// What the script hands over.
    ///
    /// # Errors
    /// When there is nothing to read.
    pub fn read(&self) -> anyhow::Result<Option<SecretString>> {
        let descriptor = match (self.password_stdin, self.password_fd) {
            (false, None) => return Ok(None),
            (true, _) => 0,
            (false, Some(descriptor)) => descriptor,
        };
        Ok(Some(secret_from(descriptor, "password")?))
    }
}

/// A secret from a file descriptor, without the end of its line.
///
/// # Errors
/// When there is nothing to read.
pub fn secret_from(descriptor: u32, what: &str) -> anyhow::Result<SecretString> {
    let from =
        if descriptor == 0 { "standard input".to_owned() } else { format!("file descriptor {descriptor}") };
    let failed = || format!("the {what} cannot be read from {from}");
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    let limit = LONGEST + 1;
    let read = if descriptor == 0 {
        std::io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(format!("/dev/fd/{descriptor}")).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| anyhow::anyhow!("{}: {}", failed(), eartag_server::files::why(&error)))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LONGEST {
        bail!("{}: it is longer than {LONGEST} bytes", failed());
    }
    let text = std::str::from_utf8(&bytes).ok().with_context(|| format!("{}: it is no text", failed()))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        bail!("{}: there is none", failed());
    }
    Ok(SecretString::from(text))
}

/// Who logs in.
pub struct Asked<'a> {
    /// The login name, if it is known.
    pub username: Option<&'a str>,
    /// What an empty answer means.
    pub suggested: Option<&'a str>,
    /// The password, if a script has handed it over.
    pub password: Option<&'a SecretString>,
    /// Who can be asked for the rest.
    pub person: Option<&'a Person>,
}

impl Asked<'_> {
    /// The login name.
    ///
    /// # Errors
    /// When it is not known and there is nobody to ask.
    pub fn username(&self) -> anyhow::Result<String> {
        match (self.username, self.person, self.suggested) {
            (Some(name), ..) => Ok(name.to_owned()),
            // A script that has the password cannot be asked in between.
            (None, _, Some(name)) if self.password.is_some() => Ok(name.to_owned()),
            (None, Some(person), suggested) => {
                let hint = suggested.map(|name| format!(" [{name}]")).unwrap_or_default();
                let typed = person.line(&format!("Enter username{hint}: "))?;
                match (typed.is_empty(), suggested) {
                    (false, _) => Ok(typed),
                    (true, Some(name)) => Ok(name.to_owned()),
                    (true, None) => bail!("there was no answer"),
                }
            }
            (None, None, _) => bail!("nobody can be asked for a user name here: give --username"),
        }
    }

    /// The password.
    ///
    /// # Errors
    /// When it is not known and there is nobody to ask.
    pub fn password(&self) -> anyhow::Result<SecretString> {
        match (self.password, self.person) {
            (Some(password), _) => Ok(password.clone()),
            (None, Some(person)) => person.secret("Enter password: "),
            (None, None) => {
                bail!("nobody can be asked for a password here: give --password-stdin or --password-fd")
            }
        }
    }

    /// Whether another attempt can be another answer.
    #[must_use]
    pub fn can_try_again(&self) -> bool {
        self.password.is_none() && self.person.is_some()
    }
}
