//! `cargo xtask test`: the test command. It builds what the tests load, starts the real servers that
//! they share, then runs them all.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    backends::Backends,
    cargo::{cargo, root, run, target},
    retry,
};

/// Run every test, on real parts.
#[derive(Args)]
pub(crate) struct Test {
    /// Only the tests that drive the real binary. `MICRO_PROFILE` says under which profile
    /// (default `local`); those that name their own are then left out.
    #[arg(long)]
    end_to_end: bool,

    /// Install etcd, nats-server and PostgreSQL from Debian's packages where they are missing.
    /// Done without asking by root, and where `CI=true`.
    #[arg(long)]
    install: bool,

    /// Only tests whose names contain one of these, and options for the test programs.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    filters: Vec<String>,
}

impl Test {
    pub(crate) fn run(self) -> Result<()> {
        // `cargo test` does not build the libraries that tests load at run time, nor, asked for
        // some tests only, the examples that they run.
        let whole = ["build", "--workspace", "--lib", "--bins", "--examples"];
        run(&mut cargo(whole))?;
        let backends = Backends::start(self.install)?;
        let test = |cargo_args: &[String]| {
            let mut command = cargo(["test", "--no-fail-fast"]);
            command
                .args(cargo_args)
                .envs(backends.addresses())
                .env("MICRO_TEST_SDK", root())
                .env("MICRO_TEST_BUILD_CACHE", target().join("build-cache"));
            command
        };
        let mut all = vec!["--workspace".to_owned()];
        if self.end_to_end {
            for name in end_to_end_tests()? {
                all.extend(["--test".to_owned(), name]);
            }
        }
        let mut command = test(&all);
        if !self.filters.is_empty() {
            command.arg("--").args(&self.filters);
        }
        retry::run_tests(&mut command, test)
    }
}

/// The test programs of the crate `tests`: files and folders of `tests/tests`. If `MICRO_PROFILE` is
/// set, those alone that ask for it: the others would do once more what they do without.
fn end_to_end_tests() -> Result<Vec<String>> {
    let all = env::var_os("MICRO_PROFILE").is_none();
    let mut names = Vec::new();
    let folder = root().join("tests/tests");
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let path: PathBuf = entry?.path();
        let is_test = path.extension().is_some_and(|extension| extension == "rs")
            || path.join("main.rs").is_file();
        if is_test
            && (all || asks_for_profile(&path)?)
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Whether a test program, a file or a folder, runs servers under the profile that it is told.
fn asks_for_profile(path: &Path) -> Result<bool> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            if asks_for_profile(&entry?.path())? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.contains("&profile()"))
}
