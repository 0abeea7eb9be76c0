//! The name under which the program was called, and where that program keeps what it remembers (DEC43).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::cache::Cache;

/// Which of its two names the program was called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `eartag`.
    Eartag,
    /// `rancher`, for kubeconfigs that name that command.
    Rancher,
}

impl Program {
    /// By the first argument, which is how the program was called.
    #[must_use]
    pub fn of(argument: Option<&OsStr>) -> Self {
        let name = argument.map(Path::new).and_then(Path::file_stem);
        if name == Some(OsStr::new("rancher")) { Self::Rancher } else { Self::Eartag }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Eartag => "eartag",
            Self::Rancher => "rancher",
        }
    }

    /// The variable that names its directory.
    fn variable(self) -> &'static str {
        match self {
            Self::Eartag => "EARTAG_CONFIG_DIR",
            Self::Rancher => "RANCHER_CONFIG_DIR",
        }
    }
}

/// How the program was called: what all commands have in common.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// By which name.
    pub program: Program,
    /// `--config`.
    pub config: Option<PathBuf>,
}

impl Invocation {
    /// What is remembered between runs, by the flag, the environment or the rules of the place.
    #[must_use]
    pub fn cache(&self) -> Cache {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let standard = || {
            let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
            match self.program {
                Program::Rancher => home.map(|home| home.join(".rancher")),
                Program::Eartag => variable("XDG_CONFIG_HOME")
                    // The rule of that variable: what is not absolute is ignored.
                    .filter(|dir| dir.is_absolute())
                    .or_else(|| home.map(|home| home.join(".config")))
                    .map(|dir| dir.join("eartag")),
            }
        };
        let dir = self.config.clone().or_else(|| variable(self.program.variable())).or_else(standard);
        Cache::at(dir)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn the_name_of_the_file_that_was_called_decides() {
        for (called, program) in [
            ("/usr/local/bin/rancher", Program::Rancher),
            ("rancher", Program::Rancher),
            ("rancher.exe", Program::Rancher),
            ("/rancher/bin/eartag", Program::Eartag),
            ("rancher2", Program::Eartag),
            ("", Program::Eartag),
        ] {
            assert_eq!(Program::of(Some(OsStr::new(called))), program, "{called}");
        }
        assert_eq!(Program::of(None), Program::Eartag);
    }
}
