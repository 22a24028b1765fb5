//! `cargo xtask test`: the test command. It builds what the tests load, starts the real servers that
//! they share, then runs them all.

use std::path::PathBuf;

use anyhow::Result;
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
    /// (default `local`).
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

/// The test programs of the crate `tests`: files and folders of `tests/tests`.
fn end_to_end_tests() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("tests/tests"))? {
        let path: PathBuf = entry?.path();
        let is_test = path.extension().is_some_and(|extension| extension == "rs")
            || path.join("main.rs").is_file();
        if is_test && let Some(name) = path.file_stem() {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
