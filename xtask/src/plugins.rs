//! `cargo xtask build-plugins`: every plugin of the checkout, or those that a profile names.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::cargo::{Build, cargo, root, run};

/// Build every plugin, beside the binary.
#[derive(Args)]
pub(crate) struct BuildPlugins {
    /// Build them optimised.
    #[arg(long)]
    release: bool,
}

impl BuildPlugins {
    pub(crate) fn run(self) -> Result<()> {
        let build = Build::from_flag(self.release);
        build_with_server(build, &names()?)?;
        for name in names()? {
            println!(
                "{}",
                build.folder().join(format!("libmicro_{name}.so")).display()
            );
        }
        Ok(())
    }
}

/// Builds the binary and these plugins in one call, so that one resolution of features serves
/// both; what they share with a build of the whole workspace is not built again (`features`).
pub(crate) fn build_with_server(build: Build, plugins: &BTreeSet<String>) -> Result<()> {
    let mut command = cargo(["build", "--package", "micro"]);
    for plugin in plugins {
        command.args(["--package", &format!("micro-{plugin}")]);
    }
    run(command.args(build.args()))
}

/// The names of the plugins in the checkout: the folders of `plugins/`.
pub(crate) fn names() -> Result<BTreeSet<String>> {
    let folder = root().join("plugins");
    let mut names = BTreeSet::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}
