//! `micro auth`: the accounts of a namespace, and the rules on who may call what.

mod accounts;
mod rules;

use clap::Subcommand;
use micro_proto::auth::Options;

use crate::{
    commands::Outcome,
    context::Context,
    error::{CliError, Result},
    session::{Failure, Session},
};

/// The sub-command, if any.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a rule or an account
    Create {
        /// Which of them.
        #[command(subcommand)]
        command: Option<Create>,
    },
    /// Delete a rule or an account
    Delete {
        /// Which of them.
        #[command(subcommand)]
        command: Option<Delete>,
    },
    /// List rules or accounts
    List {
        /// Which of them.
        #[command(subcommand)]
        command: Option<List>,
    },
    /// Update the secret of an account
    Update {
        /// What of it.
        #[command(subcommand)]
        command: Option<Update>,
    },
}

#[derive(Debug, Subcommand)]
enum Create {
    /// Create an account e.g micro auth create account --scopes=admin jane
    Account(accounts::New),
    /// Create a rule e.g micro auth create rule --scope='*' --resource="service:helloworld:*" loggedin
    Rule(rules::New),
}

#[derive(Debug, Subcommand)]
enum Delete {
    /// Delete an account; its tokens end within a second
    Account(accounts::Which),
    /// Delete a rule
    Rule(rules::Which),
}

#[derive(Debug, Subcommand)]
enum List {
    /// List the accounts of the namespace
    Accounts,
    /// List the rules of the namespace
    Rules,
}

#[derive(Debug, Subcommand)]
enum Update {
    /// Give an account another secret; its tokens end within a second
    Secret(accounts::Secret),
}

/// Runs the sub-command.
pub(crate) async fn run(context: &Context<'_>, args: Args) -> Result<Outcome> {
    let session = || Session::open(context);
    let output = match args.command {
        Some(Action::List {
            command: Some(what),
        }) => match what {
            List::Accounts => accounts::list(&session().await?).await?,
            List::Rules => rules::list(&session().await?).await?,
        },
        Some(Action::Create {
            command: Some(what),
        }) => match what {
            Create::Account(new) => {
                let id = required(new.id.clone())?;
                accounts::create(&session().await?, id, new).await?
            }
            Create::Rule(new) => {
                let rule = new.rule()?;
                rules::create(&session().await?, rule).await?
            }
        },
        Some(Action::Delete {
            command: Some(what),
        }) => match what {
            Delete::Account(which) => {
                let id = required(which.id.clone())?;
                accounts::delete(&session().await?, id, which).await?
            }
            Delete::Rule(which) => {
                let id = which.id()?;
                rules::delete(&session().await?, id).await?
            }
        },
        Some(Action::Update {
            command: Some(Update::Secret(secret)),
        }) => {
            let id = required(secret.id.clone())?;
            let new = match &secret.new_secret {
                Some(new) => new.clone(),
                None => context.ask_secret("Enter a new secret: ")?,
            };
            accounts::update(&session().await?, id, secret, new).await?
        }
        None
        | Some(
            Action::Create { command: None }
            | Action::Delete { command: None }
            | Action::List { command: None }
            | Action::Update { command: None },
        ) => return Ok(Outcome::Help),
    };
    Ok(output.into())
}

fn required(id: Option<String>) -> Result<String> {
    id.ok_or_else(|| CliError::plain("Missing argument: ID"))
}

/// The namespace that a call is about.
fn options(session: &Session<'_>, namespace: Option<String>) -> Option<Options> {
    let namespace = namespace.unwrap_or_else(|| session.namespace().to_owned());
    Some(Options { namespace })
}

/// What was not done, and why; who is not logged in is told that instead.
fn failed(what: &'static str) -> impl Fn(Failure) -> CliError {
    move |failure| match failure {
        Failure::Answer(error) if !matches!(error.code, 401 | 408) => {
            let detail = CliError::detail(&error).message;
            CliError::plain(format!("{what}: {detail}"))
        }
        other => other.into(),
    }
}
