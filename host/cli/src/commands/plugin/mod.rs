//! `micro plugin`: the libraries that profiles name, looked at, checked and put to the test.

mod child;
mod inspect;
mod list;
mod test;
mod verify;

use clap::Subcommand;

use crate::{block_on, commands::Outcome, context::Context, error::Result, plugins::Places};

/// The sub-command, if any.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do; nothing prints the help.
    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What the other commands start to run the code of a plugin
    #[command(hide = true)]
    Child(child::Args),
    /// Show what a plugin is and which settings it takes e.g micro plugin inspect etcd
    Inspect(inspect::Args),
    /// List the plugins that a server would find, and why it would not load one
    List(list::Args),
    /// Run the conformance suites e.g micro plugin test ./libmystore.so --module=store
    Test(test::Args),
    /// Check a plugin as a server does before it runs any of it e.g micro plugin verify ./libmystore.so
    Verify(verify::Args),
}

/// Runs the sub-command.
pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<Outcome> {
    let places = Places::of(context);
    match args.command {
        None => Ok(Outcome::Help),
        Some(Action::Child(args)) => child::run(&args),
        Some(Action::Inspect(args)) => block_on(inspect::run(context, &places, args)),
        Some(Action::List(args)) => Ok(list::run(&places, &args)),
        Some(Action::Test(args)) => block_on(test::run(context, &places, args)),
        Some(Action::Verify(args)) => verify::run(&places, args),
    }
}
