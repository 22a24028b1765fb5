//! `micro profile`: the manifests that pick a server's plugins.

mod reload;
mod status;

use clap::Subcommand;

use crate::{commands::Outcome, context::Context, error::Result, session::Session};

/// The sub-command, if any.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do; nothing prints the help.
    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Have the server apply its profile as it is now e.g micro profile reload --copy
    Reload(reload::Args),
    /// Show which plugins serve, and what of the profile could not be applied
    Status(status::Args),
}

/// Runs the sub-command.
pub(crate) async fn run(context: &Context<'_>, args: Args) -> Result<Outcome> {
    match args.command {
        None => Ok(Outcome::Help),
        Some(Action::Reload(args)) => reload::run(&Session::open(context).await?, &args).await,
        Some(Action::Status(args)) => status::run(&Session::open(context).await?, &args).await,
    }
}
