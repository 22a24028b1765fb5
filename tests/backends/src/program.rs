//! Where the programs of the servers are, and how they come onto a machine that lacks them.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::Error;

/// A server that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// etcd, 3.4 or later.
    Etcd,
    /// nats-server, 2.9 or later.
    Nats,
    /// PostgreSQL, 13 or later.
    Postgres,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Etcd, Self::Nats, Self::Postgres];

    /// The name of its executable.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Nats => "nats-server",
            Self::Postgres => "postgres",
        }
    }

    /// The Debian package that brings it, of whatever version that Debian has.
    pub fn package(self) -> &'static str {
        match self {
            Self::Etcd => "etcd-server",
            Self::Nats => "nats-server",
            Self::Postgres => "postgresql",
        }
    }

    /// Its executable: on `PATH`, where Debian has servers, or, of PostgreSQL, the newest of
    /// Debian's versions that has all that it takes.
    ///
    /// # Errors
    /// [`Error::Missing`], which says how to install it.
    pub fn find(self) -> Result<PathBuf, Error> {
        let path = env::var_os("PATH").unwrap_or_default();
        let servers = ["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from);
        env::split_paths(&path)
            .chain(servers)
            .chain(self.versioned())
            .find(|folder| self.companions().iter().all(|name| is_file(folder, name)))
            .map(|folder| folder.join(self.name()))
            .ok_or(Error::Missing(self))
    }

    /// The executables that have to be in one folder.
    fn companions(self) -> &'static [&'static str] {
        match self {
            Self::Etcd => &["etcd"],
            Self::Nats => &["nats-server"],
            Self::Postgres => &["postgres", "initdb", "psql"],
        }
    }

    /// The folders of Debian's versions, the newest first.
    fn versioned(self) -> Vec<PathBuf> {
        if self != Self::Postgres {
            return Vec::new();
        }
        let entries = fs::read_dir("/usr/lib/postgresql");
        let mut versions: Vec<(u32, PathBuf)> = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let version = entry.file_name().to_str()?.parse().ok()?;
                Some((version, entry.path().join("bin")))
            })
            .collect();
        versions.sort();
        versions.into_iter().rev().map(|(_, path)| path).collect()
    }
}

/// The line that installs these on Debian.
pub fn install_line(programs: &[Program]) -> String {
    let packages: Vec<&str> = programs.iter().map(|program| program.package()).collect();
    format!(
        "sudo apt-get install --yes --no-install-recommends {}",
        packages.join(" ")
    )
}

fn is_file(folder: &Path, name: &str) -> bool {
    folder.join(name).is_file()
}
