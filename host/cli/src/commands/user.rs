//! `micro user`: who is logged in, and what belongs to them: token, namespace, config, password.

use clap::Subcommand;
use micro_proto::auth::{
    ChangeSecretRequest, ChangeSecretResponse, InspectRequest, InspectResponse, Options,
};

use crate::{
    commands::{Outcome, login::refused, missing},
    context::{Context, namespace_key},
    error::{CliError, Result},
    printer::Output,
    session::{Session, current_user_key},
};

/// The sub-command, if any.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do; nothing prints the user.
    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the configuration, or get, set and delete a key of it
    Config {
        /// What to do; nothing prints a summary.
        #[command(subcommand)]
        command: Option<ConfigAction>,
    },
    /// Print the namespace, or set it
    Namespace {
        /// What to do; nothing prints it.
        #[command(subcommand)]
        command: Option<NamespaceAction>,
    },
    /// Set the password
    Set {
        /// What to set.
        #[command(subcommand)]
        command: Option<SetAction>,
    },
    /// Print the token
    Token,
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Delete a key
    Delete {
        /// The key, with dots between its parts
        key: Option<String>,
    },
    /// Print the value of a key
    Get {
        /// The key, with dots between its parts
        key: Option<String>,
    },
    /// Set the value of a key
    Set {
        /// The key, with dots between its parts
        key: Option<String>,
        /// The value
        value: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum NamespaceAction {
    /// Set the namespace to work in
    Set {
        /// Which one
        namespace: Option<String>,
    },
}

#[derive(Subcommand)]
enum SetAction {
    /// Change the password of an account
    Password {
        /// The account; default the one that is logged in
        #[arg(long, alias = "username")]
        email: Option<String>,
        /// The password that holds now
        #[arg(long = "old-password")]
        old_password: Option<String>,
        /// The password to hold from now on
        #[arg(long = "new-password")]
        new_password: Option<String>,
    },
}

impl std::fmt::Debug for SetAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// Runs the sub-command.
pub(crate) async fn run(context: &Context<'_>, args: Args) -> Result<Outcome> {
    let output = match args.command {
        None => Output::line(name(context).await?),
        Some(Action::Token) => {
            let session = Session::open(context).await?;
            let token = session.token().ok_or_else(CliError::not_logged_in)?;
            Output::line(token)
        }
        Some(Action::Namespace { command }) => return namespace(context, command),
        Some(Action::Config { command }) => return config(context, command),
        Some(Action::Set { command: None }) => return Ok(Outcome::Help),
        Some(Action::Set {
            command:
                Some(SetAction::Password {
                    email,
                    old_password,
                    new_password,
                }),
        }) => {
            password(context, email, old_password, new_password).await?;
            Output::Nothing
        }
    };
    Ok(output.into())
}

/// The name of the account that is logged in, else its id.
async fn name(context: &Context<'_>) -> Result<String> {
    let session = Session::open(context).await?;
    let token = session.token().ok_or_else(CliError::not_logged_in)?;
    let request = InspectRequest {
        token: token.to_owned(),
        options: Some(Options {
            namespace: session.namespace().to_owned(),
        }),
    };
    let response: InspectResponse = session
        .call("auth", "Auth.Inspect", &request)
        .await
        .map_err(|failure| match failure.code() {
            Some(400 | 401) => CliError::not_logged_in(),
            _ => failure.into(),
        })?;
    let account = response.account.unwrap_or_default();
    Ok(if account.name.is_empty() {
        account.id
    } else {
        account.name
    })
}

fn namespace(context: &Context<'_>, command: Option<NamespaceAction>) -> Result<Outcome> {
    let mut config = context.config()?;
    let key = namespace_key(&context.place(&config)?.name);
    match command {
        None => Ok(Output::line(config.get(&key).unwrap_or_default()).into()),
        Some(NamespaceAction::Set {
            namespace: Some(namespace),
        }) => {
            if namespace.is_empty() {
                return Err(CliError::plain("No namespace specified"));
            }
            if namespace.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
                return Err(CliError::plain(format!(
                    "\"{namespace}\" cannot be a namespace: it has a space or a slash"
                )));
            }
            config.set(&key, &namespace)?;
            Ok(Output::Nothing.into())
        }
        Some(NamespaceAction::Set { namespace: None }) => {
            Err(CliError::plain("No namespace specified"))
        }
    }
}

fn config(context: &Context<'_>, command: Option<ConfigAction>) -> Result<Outcome> {
    let mut config = context.config()?;
    let Some(command) = command else {
        let environment = context.places(&config)?.current_name().to_owned();
        let show = |key: &str| config.get(key).unwrap_or_else(|| "n/a".to_owned());
        let credentials = match config.get("git.credentials") {
            Some(_) => "[hidden]",
            None => "n/a",
        };
        let base = config
            .get(&format!("git.{environment}.baseurl"))
            .unwrap_or_else(|| show("git.baseurl"));
        let lines = vec![
            format!("user: {}", show(&current_user_key(&environment))),
            format!("namespace: {}", show(&namespace_key(&environment))),
            format!("environment: {environment}"),
            format!("git.credentials: {credentials}"),
            format!("git.baseurl: {base}"),
        ];
        return Ok(Output::Lines(lines).into());
    };
    match command {
        ConfigAction::Get { key: Some(key) } => {
            Ok(Output::line(config.get(&key).unwrap_or_default()).into())
        }
        ConfigAction::Set {
            key: Some(key),
            value: Some(value),
        } => {
            config.set(&key, &value)?;
            Ok(Output::Nothing.into())
        }
        ConfigAction::Delete { key: Some(key) } => {
            config.set(&key, "")?;
            Ok(Output::Nothing.into())
        }
        ConfigAction::Get { key: None } => Err(missing("user config get", "KEY")),
        ConfigAction::Delete { key: None } => Err(missing("user config delete", "KEY")),
        ConfigAction::Set { .. } => Err(missing("user config set", "KEY and VALUE")),
    }
}

async fn password(
    context: &Context<'_>,
    account: Option<String>,
    old: Option<String>,
    new: Option<String>,
) -> Result<()> {
    let session = Session::open(context).await?;
    let id = account
        .or_else(|| session.account().map(str::to_owned))
        .ok_or_else(CliError::not_logged_in)?;
    let old_secret = match old {
        Some(old) => old,
        None => context.ask_secret("Enter current password: ")?,
    };
    let new_secret = match new {
        Some(new) => new,
        None => agreed(context)?,
    };
    let request = ChangeSecretRequest {
        id,
        old_secret,
        new_secret,
        options: Some(Options {
            namespace: session.namespace().to_owned(),
        }),
    };
    let ChangeSecretResponse {} = session
        .call("auth", "Accounts.ChangeSecret", &request)
        .await
        .map_err(refused)?;
    Ok(())
}

/// A new password, typed twice alike.
fn agreed(context: &Context<'_>) -> Result<String> {
    loop {
        let first = context.ask_secret("Enter a new password: ")?;
        let second = context.ask_secret("Verify your password: ")?;
        if first == second {
            return Ok(first);
        }
        context
            .printer
            .progress("Passwords do not match. Please try again.");
    }
}
