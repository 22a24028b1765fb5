//! `micro profile show`: a manifest as it stands in its file, or everything that it comes to.

use micro_profile::Location;
use serde_json::{Map, Value, json};

use super::{
    asked::Asked,
    view::{Entry, Section, sections},
};
use crate::{
    commands::{Outcome, missing},
    context::Context,
    error::{CliError, Result},
    plugins::Places,
    printer::{Align, Output, Table},
};

/// Which profile, and how to show it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A name or a path
    name: Option<String>,
    /// Show what it comes to: what it extends, variables filled in, and where each line stands
    #[arg(long)]
    resolved: bool,
    /// toml or json
    #[arg(long, value_parser = ["toml", "json"], default_value = "toml")]
    output: String,
}

/// Prints the profile, without its secrets.
pub(super) async fn run(context: &Context<'_>, places: &Places, args: Args) -> Result<Outcome> {
    let name = args.name.ok_or_else(|| missing("profile show", "NAME"))?;
    let profile = places.profile(&name)?;
    let asked = Asked::of(places, &profile).await;
    asked.explain(context.printer);
    let is_json = args.output == "json";
    if !args.resolved {
        let hides = |plugin: &str, path: &str| asked.hides(plugin, path);
        let (file, text) = micro_profile::text(&name, &places.profiles, hides)
            .map_err(|error| CliError::plain(error.to_string()))?;
        return Ok(match is_json {
            true => Output::Spaced(json!({"name": name, "file": &*file, "text": text})),
            false => Output::Text(text),
        }
        .into());
    }
    let sections = sections(&profile, &asked);
    Ok(match is_json {
        true => Output::Spaced(as_json(&name, &profile.files, &sections)),
        false => as_table(&name, &profile.files, &sections),
    }
    .into())
}

fn as_table(name: &str, files: &[std::sync::Arc<str>], sections: &[Section]) -> Output {
    let origin = |text: String, location: &Option<Location>| match location {
        Some(location) => vec![text, format!("# {location}")],
        None => vec![text],
    };
    let mut rows = vec![vec![format!("# {name}: {}", files.join(", over "))]];
    for section in sections {
        rows.push(vec![String::new()]);
        rows.push(origin(format!("[{}]", section.name), &section.location));
        let lines = section.entries.iter();
        rows.extend(lines.map(|entry| origin(entry.line(), &entry.location)));
    }
    Output::Table(Table {
        align: Align::SPACES,
        rows,
    })
}

fn as_json(name: &str, files: &[std::sync::Arc<str>], sections: &[Section]) -> Value {
    let files: Vec<&str> = files.iter().map(|file| &**file).collect();
    let at = |location: &Option<Location>| location.as_ref().map(ToString::to_string);
    let sections = sections.iter().map(|section| {
        let entry = |entry: &Entry| {
            let value = json!({"value": entry.shown, "from": at(&entry.location)});
            (entry.key.clone(), value)
        };
        let entries: Map<_, _> = section.entries.iter().map(entry).collect();
        let value = json!({"from": at(&section.location), "keys": entries});
        (section.name.clone(), value)
    });
    json!({"name": name, "files": files, "sections": sections.collect::<Map<_, _>>()})
}
