//! The real servers of a test run: installed where they are missing, started once, gone with us.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::cargo::{Build, output, run};

/// The line after which all of them serve.
const READY: &str = "ready";

/// One server of each kind. Dropping it ends them; so does the end of this process, which closes
/// the pipe that their keeper reads.
pub(crate) struct Backends {
    keeper: Child,
    addresses: Vec<(String, String)>,
}

impl Backends {
    /// Starts them, after installing what is missing, which `install` allows, as do being root
    /// and `CI=true`.
    pub(crate) fn start(install: bool) -> Result<Self> {
        let missing = output(Command::new(program()).arg("missing"))?;
        let missing: Vec<&str> = missing.lines().collect();
        if !missing.is_empty() {
            supply(&missing, install)?;
        }
        let mut keeper = Command::new(program())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the tests; the keeper ends when we do.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", program().display()))?;
        let lines = keeper.stdout.take().context("the keeper has no output")?;
        let mut backends = Self {
            keeper,
            addresses: Vec::new(),
        };
        for line in BufReader::new(lines).lines() {
            let line = line.context("cannot read the servers' addresses")?;
            if line == READY {
                return Ok(backends);
            }
            let (variable, address) = line
                .split_once('=')
                .with_context(|| format!("`{line}` is no address of a server"))?;
            backends
                .addresses
                .push((variable.to_owned(), address.to_owned()));
        }
        bail!("the servers that the tests need did not start; why is said above")
    }

    /// The variables that tell tests where they are.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&str, &str)> {
        self.addresses
            .iter()
            .map(|(variable, address)| (variable.as_str(), address.as_str()))
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Nothing is left to do if it has not ended well.
        let _ = self.keeper.wait();
    }
}

/// The program that keeps them; built with the rest of the workspace.
fn program() -> PathBuf {
    Build::Debug.folder().join("micro-test-backends")
}

/// Installs Debian packages, or says how.
fn supply(packages: &[&str], install: bool) -> Result<()> {
    let line = format!(
        "apt-get install --yes --no-install-recommends {}",
        packages.join(" ")
    );
    let in_ci = env::var("CI").is_ok_and(|value| value == "true");
    if !(install || in_ci || is_root()) {
        bail!(
            "the tests need servers that are not on this machine; type `sudo {line}`, or let \
             `cargo xtask test --install` do it (docs/testing.md)"
        );
    }
    eprintln!("installing {}", packages.join(", "));
    // The lists may be missing or old: then the packages are not found.
    if run(&mut as_root(&line)).is_err() {
        run(&mut as_root("apt-get update"))?;
        run(&mut as_root(&line))?;
    }
    Ok(())
}

/// A command line of plain words, run by root.
fn as_root(line: &str) -> Command {
    let sudo = (!is_root()).then_some("sudo");
    let mut words = sudo.into_iter().chain(line.split_whitespace());
    let mut command = Command::new(words.next().unwrap_or_default());
    command
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    command
}

/// Whether this process may install packages by itself.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
