//! Keeps one set of features for each third-party crate, whichever of our packages are built.
//!
//! Cargo unites features over the packages that one command selects. `xtask server` selects fewer
//! than `xtask test`, so without care each would rebuild half the dependencies of the other. The
//! package `workspace-hack` depends on what they share with the features of the whole workspace,
//! and the binary depends on it, so that both selections come out the same.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use anyhow::Result;

use crate::{
    cargo::{cargo, output, root},
    plugins,
};

/// The features of each crate, by name and version.
type Features = BTreeMap<(String, String), Vec<String>>;

/// The manifest that this module writes.
pub(crate) fn manifest() -> PathBuf {
    root().join("xtask/workspace-hack/Cargo.toml")
}

/// Whether the package does its job; a complaint for each crate whose features differ.
pub(crate) fn check() -> Result<Vec<String>> {
    Ok(differences()?
        .into_iter()
        .map(|((name, version), features)| {
            format!(
                "{name} {version} is built with other features for `xtask server` than for the \
                 whole workspace ({}); run `cargo xtask tidy --write`",
                features.join(", ")
            )
        })
        .collect())
}

/// Writes the package's dependencies anew.
pub(crate) fn write() -> Result<()> {
    let head = fs::read_to_string(manifest())?;
    let head = head
        .split_once("[dependencies]")
        .map_or(head.as_str(), |(head, _)| head)
        .to_owned();
    // From nothing, so that what is no longer needed goes.
    fs::write(manifest(), format!("{head}[dependencies]\n"))?;
    let mut text = format!("{head}[dependencies]\n");
    for ((name, version), features) in differences()? {
        let features = features
            .iter()
            .map(|feature| format!("\"{feature}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let key = format!("{name}_{}", version.replace(['.', '+', '-'], "_"));
        writeln!(
            text,
            "{key} = {{ package = \"{name}\", version = \"{version}\", default-features = false, \
             features = [{features}] }}"
        )?;
    }
    Ok(fs::write(manifest(), text)?)
}

/// What the whole workspace gives to crates that the server's selection builds with less.
fn differences() -> Result<Features> {
    let whole = features(&["--workspace".to_owned()])?;
    let mut selection = vec!["--package=micro".to_owned()];
    for plugin in plugins::names()? {
        selection.push(format!("--package=micro-{plugin}"));
    }
    let server = features(&selection)?;
    Ok(whole
        .into_iter()
        .filter(|(krate, features)| server.get(krate).is_some_and(|fewer| fewer != features))
        .collect())
}

fn features(selection: &[String]) -> Result<Features> {
    let mut command = cargo([
        "tree",
        "--edges=normal,no-proc-macro",
        "--prefix=none",
        "--format={p}|{f}",
    ]);
    let mut features = Features::new();
    for line in output(command.args(selection))?.lines() {
        let Some((package, list)) = line.split_once('|') else {
            continue;
        };
        // Ours stand with their folder behind the version.
        let [name, version] = package.split_whitespace().collect::<Vec<_>>()[..] else {
            continue;
        };
        let list = list.trim_end_matches(" (*)").trim();
        features.insert(
            (name.to_owned(), version.trim_start_matches('v').to_owned()),
            list.split(',')
                .filter(|feature| !feature.is_empty())
                .map(str::to_owned)
                .collect(),
        );
    }
    Ok(features)
}
