//! `micro plugin inspect`: what a plugin says of itself, and the settings that it takes.

use micro_loader::{Loader, Manifest, RunMode};
use serde_json::{Value, json};

use crate::{
    commands::{Outcome, format::Format, missing},
    context::Context,
    error::{CliError, Result},
    plugins::{
        Places,
        child::File,
        describe, refused,
        schema::{Setting, settings},
    },
    printer::{Align, Output, Table},
};

/// Which library, and how to show it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A path, or the name of a plugin
    file: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Prints what the library says without running it, and then the settings, which its code says in
/// a child process. A library that a server would refuse is not run: the rest is shown, and it
/// ends with 1.
pub(super) async fn run(context: &Context<'_>, places: &Places, args: Args) -> Result<Outcome> {
    let file = args.file.ok_or_else(|| missing("plugin inspect", "FILE"))?;
    let path = places.library(&file)?;
    let manifest = Loader::inspect(&path).map_err(refused)?;
    let described = match Loader::verify(&path, &Default::default()) {
        Ok(verified) => {
            let file = File {
                path: absolute(&path)?,
                name: verified.name,
                // What is run is what was looked at.
                sha256: Some(verified.sha256),
            };
            describe(file).await
        }
        Err(refusal) => Err(refused(refusal)),
    };
    let described = described.map(|description| settings(&description.schema));
    let output = match args.format.is_json() {
        true => Output::Spaced(as_json(&path, &manifest, described.as_deref().ok())),
        false => as_table(&path, &manifest, described.as_deref().unwrap_or_default()),
    };
    match described {
        Ok(_) => Ok(output.into()),
        Err(error) => {
            context.printer.output(&output)?;
            Err(error)
        }
    }
}

/// The path from the root: the child has a working folder of its own to think of.
pub(super) fn absolute(path: &std::path::Path) -> Result<std::path::PathBuf> {
    std::path::absolute(path).map_err(|error| CliError::file("find", path, &error))
}

fn as_json(path: &std::path::Path, manifest: &Manifest, settings: Option<&[Setting]>) -> Value {
    let mut value = serde_json::to_value(manifest).unwrap_or_default();
    value["authors"] = authors(manifest).into();
    value["file"] = json!(path);
    value["settings"] = json!(settings);
    value
}

/// Cargo joins them with colons, which no name of an author has.
fn authors(manifest: &Manifest) -> Vec<&str> {
    let authors = manifest.authors.split(':').map(str::trim);
    authors.filter(|author| !author.is_empty()).collect()
}

fn as_table(path: &std::path::Path, manifest: &Manifest, settings: &[Setting]) -> Output {
    let mut rows = Vec::new();
    let mut fact = |name: &str, value: &str| {
        let value = if value.is_empty() { "none" } else { value };
        rows.push(vec![name.to_owned(), value.to_owned()]);
    };
    fact("name", &manifest.name);
    fact("version", &manifest.version);
    fact("description", &manifest.description);
    fact("authors", &authors(manifest).join(", "));
    fact("licence", &manifest.license);
    fact("file", &path.display().to_string());
    fact("API", &manifest.api);
    fact("modules", &manifest.modules.join(", "));
    fact("interfaces", &manifest.interfaces.join(", "));
    let capabilities = &manifest.capabilities;
    fact("promises", &capabilities.promises.join(", "));
    fact("lacks", &capabilities.lacks.join(", "));
    fact(
        "built",
        &format!(
            "for {}, by rustc {}, panic = {}",
            manifest.target, manifest.rustc, manifest.panic
        ),
    );
    let elsewhere = match &manifest.except[..] {
        [] => String::new(),
        except => format!("; {} the other way", except.join(", ")),
    };
    let run = match manifest.run {
        RunMode::Hop => "run on the plugin's own runtime (hop)",
        RunMode::Inline => "run on the thread of whoever calls (inline)",
    };
    fact("calls", &format!("{run}{elsewhere}"));
    let exclusive = if manifest.exclusive {
        "one at a time"
    } else {
        "any number"
    };
    fact("instances", exclusive);
    if !settings.is_empty() {
        rows.push(vec![String::new()]);
        rows.push(
            ["SETTING", "TYPE", "DEFAULT", "MEANING"]
                .map(str::to_owned)
                .to_vec(),
        );
        rows.extend(settings.iter().map(row));
    }
    Output::Table(Table {
        align: Align::SPACES,
        rows,
    })
}

fn row(setting: &Setting) -> Vec<String> {
    let default = match &setting.default {
        _ if setting.required => "required".to_owned(),
        None | Some(Value::Null) => "none".to_owned(),
        Some(default) => default.to_string(),
    };
    vec![
        setting.name.clone(),
        setting.kind.clone(),
        default,
        setting.description.clone(),
    ]
}
