//! `micro store`: the records of a namespace.

mod list;
mod names;
mod read;
mod write;

use clap::Subcommand;

use crate::{commands::Outcome, error::Result, session::Session};

/// The sub-command, if any.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do; nothing prints the help.
    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the databases
    Databases(names::Databases),
    /// Delete a key e.g micro store delete somekey
    Delete(write::Delete),
    /// List keys e.g micro store list --prefix users/
    List(list::Args),
    /// Read records e.g micro store read somekey
    Read(read::Args),
    /// List the tables of a database
    Tables(names::Tables),
    /// Write a record e.g micro store write --expiry=1h somekey some value
    Write(write::Write),
}

/// Runs the sub-command.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    match args.command {
        None => Ok(Outcome::Help),
        Some(Action::Databases(args)) => names::databases(session, &args).await,
        Some(Action::Delete(args)) => write::delete(session, args).await,
        Some(Action::List(args)) => list::run(session, args).await,
        Some(Action::Read(args)) => read::run(session, args).await,
        Some(Action::Tables(args)) => names::tables(session, &args).await,
        Some(Action::Write(args)) => write::run(session, args).await,
    }
}

/// Where records are.
#[derive(Debug, clap::Args)]
struct Place {
    /// The database; default the namespace
    #[arg(short, long)]
    database: Option<String>,
    /// The table
    #[arg(short, long, default_value = "micro")]
    table: String,
}

impl Place {
    fn database(&self, session: &Session<'_>) -> String {
        let database = self.database.as_deref();
        database.unwrap_or(session.namespace()).to_owned()
    }
}

/// Which of the records that match, and in which order.
#[derive(Debug, clap::Args)]
struct Part {
    /// At most so many; 0 for all
    #[arg(short, long, default_value_t = 0)]
    limit: u64,
    /// How many to pass over first
    #[arg(short, long, default_value_t = 0)]
    offset: u64,
    /// asc or desc, by key
    #[arg(long, value_parser = ["asc", "desc"], default_value = "asc")]
    order: String,
}
