//! `micro env`: the environments that commands talk to.

use clap::Subcommand;

use crate::{
    commands::{Outcome, missing},
    context::Context,
    error::Result,
    printer::{Align, Output, Table},
    state::Places,
};

/// The sub-command, if any.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do; nothing lists them.
    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add an environment e.g micro env add foobar example.com:8081
    Add {
        /// What to call it
        name: Option<String>,
        /// HOST:PORT of its proxy
        address: Option<String>,
    },
    /// Delete an environment
    Del {
        /// Which one
        name: Option<String>,
    },
    /// Print the name of the current environment
    Get,
    /// Choose the environment that commands talk to
    Set {
        /// Which one
        name: Option<String>,
    },
}

/// Lists or changes the environments.
pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<Outcome> {
    let mut config = context.config()?;
    let places = context.places(&config)?;
    let output = match args.command {
        None => list(&places),
        Some(Action::Get) => Output::line(places.current_name()),
        Some(Action::Set { name: Some(name) }) => {
            places.choose(&mut config, &name)?;
            Output::Nothing
        }
        Some(Action::Add {
            name: Some(name),
            address,
        }) => {
            Places::add(&mut config, &name, address.as_deref().unwrap_or_default())?;
            Output::Nothing
        }
        Some(Action::Del { name: Some(name) }) => {
            places.remove(&mut config, &name)?;
            Output::Nothing
        }
        Some(Action::Set { name: None }) => return Err(missing("env set", "NAME")),
        Some(Action::Add { name: None, .. }) => {
            return Err(missing("env add", "NAME and ADDRESS"));
        }
        Some(Action::Del { name: None }) => return Err(missing("env del", "NAME")),
    };
    Ok(output.into())
}

fn list(places: &Places) -> Output {
    let rows = places.all().into_iter().map(|place| {
        let mark = if place.name == places.current_name() {
            "*"
        } else {
            " "
        };
        let address = if place.address.is_empty() {
            "none".to_owned()
        } else {
            place.address
        };
        vec![format!("{mark} {}", place.name), address]
    });
    Output::Table(Table {
        align: Align::SPACES,
        rows: rows.collect(),
    })
}
