//! `micro profile list`: the profiles that have a name, in the order in which they are looked for.

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
    let all = places.profiles.list();
    if args.format.is_json() {
        let all = all.into_iter().map(|listed| {
            json!({
                "name": listed.name, "file": &*listed.file, "shadowed": listed.is_shadowed,
            })
        });
        return Output::Spaced(Value::Array(all.collect())).into();
    }
    let mut rows = vec![["NAME", "FILE", ""].map(str::to_owned).to_vec()];
    rows.extend(all.into_iter().map(|listed| {
        let note = if listed.is_shadowed { "shadowed" } else { "" };
        vec![listed.name, listed.file.to_string(), note.to_owned()]
    }));
    for row in &mut rows {
        // Nothing is padded for the sake of a column that is empty.
        if row.last().is_some_and(String::is_empty) {
            row.pop();
        }
    }
    Output::Table(Table {
        align: Align::SPACES,
        rows,
    })
    .into()
}
