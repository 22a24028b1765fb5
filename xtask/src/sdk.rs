//! The sources that ship with the server, so that services and plugins build without a checkout: the
//! framework, the plugin contract and its conformance suites.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result};

use crate::cargo::{output, root};

/// The packages and their folders.
const PACKAGES: [&str; 6] = [
    "plugin-api",
    "plugin-api/conformance",
    "proto",
    "proto/wire",
    "framework",
    "framework/build",
];

/// The files, as paths below the checkout, but for the root manifest ([`workspace`]).
pub(crate) fn files() -> Result<BTreeSet<String>> {
    let mut files = tracked(&PACKAGES)?;
    files.insert("Cargo.lock".to_owned());
    Ok(files)
}

/// The root manifest: ours, with these packages alone.
pub(crate) fn workspace() -> Result<String> {
    let mut manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml"))?.parse()?;
    let workspace = manifest
        .get_mut("workspace")
        .and_then(toml::Value::as_table_mut)
        .context("Cargo.toml has no [workspace]")?;
    let members = PACKAGES.map(toml::Value::from).to_vec();
    workspace.insert("members".to_owned(), members.into());
    workspace.remove("exclude");
    if let Some(dependencies) = workspace
        .get_mut("dependencies")
        .and_then(toml::Value::as_table_mut)
    {
        dependencies.retain(|_, dependency| {
            dependency
                .get("path")
                .and_then(toml::Value::as_str)
                .is_none_or(|path| PACKAGES.contains(&path))
        });
    }
    Ok(toml::to_string(&manifest)?)
}

/// The files below `folders` that belong to the project, not what somebody left there.
pub(crate) fn tracked(folders: &[&str]) -> Result<BTreeSet<String>> {
    let mut git = std::process::Command::new("git");
    git.current_dir(root())
        .args(["ls-files", "--"])
        .args(folders);
    Ok(output(&mut git)?
        .lines()
        .map(str::to_owned)
        .filter(|file| root().join(file).is_file())
        .collect())
}
