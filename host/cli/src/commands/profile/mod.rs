//! `micro profile`: the manifests that pick a server's plugins.

mod asked;
mod check;
mod diff;
mod list;
mod reload;
mod show;
mod status;
mod view;

use clap::Subcommand;

use crate::{
    commands::Outcome, context::Context, error::Result, plugins::Places, session::Session,
};

/// The sub-command, if any.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do; nothing prints the help.
    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check a profile without starting anything e.g micro profile check production
    Check(check::Args),
    /// Show in what two profiles differ e.g micro profile diff local staging
    Diff(diff::Args),
    /// List the profiles that there are
    List(list::Args),
    /// Have the server apply its profile as it is now e.g micro profile reload --copy
    Reload(reload::Args),
    /// Show a profile e.g micro profile show staging --resolved
    Show(show::Args),
    /// Show which plugins serve, and what of the profile could not be applied
    Status(status::Args),
}

/// Runs the sub-command.
pub(crate) async fn run(context: &Context<'_>, args: Args) -> Result<Outcome> {
    let places = Places::of(context);
    match args.command {
        None => Ok(Outcome::Help),
        Some(Action::Check(args)) => check::run(context, &places, args).await,
        Some(Action::Diff(args)) => diff::run(context, &places, args).await,
        Some(Action::List(args)) => Ok(list::run(&places, &args)),
        Some(Action::Reload(args)) => reload::run(&Session::open(context).await?, &args).await,
        Some(Action::Show(args)) => show::run(context, &places, args).await,
        Some(Action::Status(args)) => status::run(&Session::open(context).await?, &args).await,
    }
}
