//! `micro plugin list`: the plugins in every folder where a server looks.

use micro_loader::Listed;
use serde_json::{Value, json};

use crate::{
    commands::{Outcome, format::Format},
    plugins::Places,
    printer::{Align, Output, Table},
};

/// How to show them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    format: Format,
}

/// Prints the list.
pub(super) fn run(places: &Places, args: &Args) -> Outcome {
    let all = places.loader.list();
    if args.format.is_json() {
        return Output::Spaced(all.iter().map(as_json).collect()).into();
    }
    let heading = ["NAME", "VERSION", "API", "MODULES", "LIBRARY", "STATUS"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(row));
    Output::Table(Table {
        align: Align::SPACES,
        rows,
    })
    .into()
}

fn row(listed: &Listed) -> Vec<String> {
    let manifest = listed.manifest.as_ref();
    let status = match (&listed.refusal, &listed.shadowed_by) {
        (Some(refusal), _) => refusal.to_string(),
        (None, Some(first)) => format!("shadowed by {}", first.display()),
        (None, None) => "loadable".to_owned(),
    };
    let text = |text: Option<String>| text.unwrap_or_else(|| "n/a".to_owned());
    vec![
        listed.name.clone(),
        text(manifest.map(|it| it.version.clone())),
        text(manifest.map(|it| it.api.clone())),
        text(manifest.map(|it| it.modules.join(","))),
        listed.path.display().to_string(),
        status,
    ]
}

fn as_json(listed: &Listed) -> Value {
    let manifest = listed.manifest.as_ref();
    json!({
        "name": listed.name,
        "file": listed.path,
        "version": manifest.map(|it| &it.version),
        "api": manifest.map(|it| &it.api),
        "modules": manifest.map(|it| &it.modules),
        "loadable": listed.refusal.is_none(),
        "reason": listed.refusal.as_ref().map(ToString::to_string),
        "shadowed_by": listed.shadowed_by,
    })
}
