//! `micro config`: values under dotted paths, secrets among them.

use clap::Subcommand;
use micro_proto::config::{
    DeleteRequest, DeleteResponse, GetRequest, GetResponse, Options, SetRequest, SetResponse, Value,
};
use serde_json::value::RawValue;

use crate::{
    commands::{Outcome, missing},
    context::Context,
    error::{CliError, Result},
    printer::Output,
    session::{Failure, Session},
};

/// The sub-command, if any.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do; nothing prints the help.
    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// Delete a value or a tree of values e.g micro config del helloworld.somekey
    Del {
        /// Its path, with dots between the parts
        key: Option<String>,
    },
    /// Print a value or a tree of values e.g micro config get helloworld.somekey
    Get {
        /// Its path, with dots between the parts
        key: Option<String>,
        /// Show secrets
        #[arg(short, long)]
        secret: bool,
    },
    /// Set a value e.g micro config set helloworld.somekey hello
    #[command(allow_negative_numbers = true)]
    Set {
        /// Its path, with dots between the parts
        key: Option<String>,
        /// JSON, or else a string; a secret may be left out here and is asked for, or read from stdin
        value: Option<String>,
        /// Encrypt the value
        #[arg(short, long)]
        secret: bool,
    },
}

/// The value may be a secret.
impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Action")
    }
}

/// Runs the sub-command.
pub(crate) async fn run(
    context: &Context<'_>,
    session: &Session<'_>,
    args: Args,
) -> Result<Outcome> {
    match args.command {
        None => Ok(Outcome::Help),
        Some(Action::Get { key, secret }) => {
            let key = key.ok_or_else(|| missing("config get", "KEY"))?;
            get(session, key, secret).await
        }
        Some(Action::Del { key }) => {
            let key = key.ok_or_else(|| missing("config del", "KEY"))?;
            delete(session, named(key)?).await
        }
        Some(Action::Set { key, value, secret }) => {
            let key = key.ok_or_else(|| missing("config set", "KEY and VALUE"))?;
            let key = named(key)?;
            let value = match value {
                Some(value) => value,
                None if secret => context.ask_secret_text("Enter the secret value: ")?,
                None => return Err(missing("config set", "VALUE")),
            };
            set(session, key, &value, secret).await
        }
    }
}

/// Only reading may mean the whole tree.
fn named(key: String) -> Result<String> {
    if key.is_empty() {
        return Err(CliError::plain("key required"));
    }
    Ok(key)
}

async fn get(session: &Session<'_>, path: String, secret: bool) -> Result<Outcome> {
    let request = GetRequest {
        namespace: session.namespace().to_owned(),
        path,
        options: Some(Options { secret }),
    };
    let response: GetResponse = session
        .call("config", "Config.Get", &request)
        .await
        .map_err(refused)?;
    let data = response.value.unwrap_or_default().data;
    match serde_json::from_str(&data) {
        // A string is printed as it was set, without its quotes.
        Ok(serde_json::Value::String(text)) => Ok(Output::line(text).into()),
        Ok(serde_json::Value::Null) => Err(not_found()),
        _ if data.is_empty() => Err(not_found()),
        _ => Ok(Output::line(data).into()),
    }
}

async fn set(session: &Session<'_>, path: String, value: &str, secret: bool) -> Result<Outcome> {
    let request = SetRequest {
        namespace: session.namespace().to_owned(),
        path,
        value: Some(Value {
            data: as_json(value),
            format: "json".to_owned(),
        }),
        options: Some(Options { secret }),
    };
    let SetResponse {} = session
        .call("config", "Config.Set", &request)
        .await
        .map_err(refused)?;
    Ok(Output::Nothing.into())
}

async fn delete(session: &Session<'_>, path: String) -> Result<Outcome> {
    let request = DeleteRequest {
        namespace: session.namespace().to_owned(),
        path,
    };
    let DeleteResponse {} = session
        .call("config", "Config.Delete", &request)
        .await
        .map_err(refused)?;
    Ok(Output::Nothing.into())
}

/// What was typed, as JSON: as it is if it is that, else as a string. Numbers keep all their digits.
fn as_json(typed: &str) -> String {
    match serde_json::from_str::<&RawValue>(typed) {
        Ok(value) => value.get().to_owned(),
        Err(_) => serde_json::Value::from(typed).to_string(),
    }
}

fn refused(failure: Failure) -> CliError {
    if failure.is_missing() {
        return not_found();
    }
    failure.into()
}

fn not_found() -> CliError {
    CliError::plain("Not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_a_string() {
        for (typed, json) in [
            ("hello", r#""hello""#),
            ("Hi there!", r#""Hi there!""#),
            ("a\"b", r#""a\"b""#),
            ("a\\nb", r#""a\\nb""#),
            ("", r#""""#),
            ("true", "true"),
            ("42", "42"),
            ("1.50", "1.50"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            ("null", "null"),
            ("\"quoted\"", "\"quoted\""),
            ("{\"a\":1}", "{\"a\":1}"),
            ("[1,2]", "[1,2]"),
            ("{bad", r#""{bad""#),
            ("1 2", r#""1 2""#),
        ] {
            assert_eq!(as_json(typed), json, "{typed}");
        }
    }
}
