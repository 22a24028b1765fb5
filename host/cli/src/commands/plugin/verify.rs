//! `micro plugin verify`: what a server checks of a library before it runs any of it.

use micro_loader::{LoadError, LoadOptions, Loader};
use serde_json::json;

use crate::{
    commands::{Outcome, missing},
    error::{CliError, Result},
    plugins::{Places, refused},
    printer::Output,
};

/// Which library.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A path, or the name of a plugin
    file: Option<String>,
    /// The SHA-256 that it must have
    #[arg(long)]
    sha256: Option<String>,
    /// text or json
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    output: String,
}

/// Prints the plugin and its hash, for a profile to pin; ends with 1 if it is refused.
pub(super) fn run(places: &Places, args: Args) -> Result<Outcome> {
    let file = args.file.ok_or_else(|| missing("plugin verify", "FILE"))?;
    let path = places.library(&file)?;
    let options = LoadOptions {
        sha256: args.sha256,
        ..LoadOptions::default()
    };
    let verified = Loader::verify(&path, &options).map_err(refusal)?;
    let manifest = verified.manifest;
    Ok(match args.output == "json" {
        true => Output::Spaced(json!({
            "file": path,
            "name": verified.name,
            "version": manifest.version,
            "api": manifest.api,
            "target": manifest.target,
            "sha256": verified.sha256,
        })),
        false => Output::Lines(vec![
            format!(
                "plugin {} {} (API {}, {}) may be loaded",
                verified.name, manifest.version, manifest.api, manifest.target
            ),
            format!("sha256 = \"{}\"", verified.sha256),
        ]),
    }
    .into())
}

/// As [`refused`], but for the hash: here it is no profile that pins it.
fn refusal(error: LoadError) -> CliError {
    match error {
        LoadError::Sha256 {
            plugin,
            path,
            expected,
            found,
        } => CliError::plain(format!(
            "plugin {plugin}: the sha256 of {} is {found}, and --sha256 says {expected}",
            path.display()
        ))
        .hint("it is another file than the one that you mean; do not use it before you know why"),
        other => refused(other),
    }
}
