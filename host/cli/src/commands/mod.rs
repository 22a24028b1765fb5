//! The commands, one file each.

pub(crate) mod auth;
pub(crate) mod call;
pub(crate) mod config;
pub(crate) mod env;
pub(crate) mod get;
pub(crate) mod health;
pub(crate) mod kill;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod logs;
pub(crate) mod profile;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod services;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod stream;
pub(crate) mod update;
pub(crate) mod user;

use std::path::Path;

use serde_json::Value;

use crate::{
    error::{CliError, Result},
    printer::Output,
};

/// How a command that did not fail ends.
pub(crate) enum Outcome {
    /// With a result.
    Done(Output),
    /// With its own help: it is a group of commands, and none of them was named.
    Help,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self::Done(output)
    }
}

/// The command was given too little.
pub(crate) fn missing(command: &str, what: &str) -> CliError {
    CliError::plain(format!(
        "micro {command} needs {what}. Please refer to 'micro {command} --help'"
    ))
}

/// A message in JSON as a value. An empty one is what some services send for one without fields.
///
/// # Errors
/// It is not JSON: exit code 3.
pub(crate) fn as_value(message: &[u8]) -> Result<Value> {
    if message.is_empty() {
        return Ok(Value::Object(Default::default()));
    }
    serde_json::from_slice(message).map_err(|error| {
        CliError::new(3, "Error while trying to format the response").hint(format!(
            "the response is not JSON ({error}); `micro call` and `micro stream` show it with --output raw"
        ))
    })
}

/// The version of those that name none.
pub(crate) const LATEST: &str = "latest";

/// Name and version of `NAME`, `NAME@VERSION`, or `.` for the name of this folder.
///
/// # Errors
/// The folder has no name.
pub(crate) fn reference(text: &str, folder: &Path) -> Result<(String, String)> {
    let (name, version) = text.split_once('@').unwrap_or((text, LATEST));
    let version = if version.is_empty() { LATEST } else { version };
    if name != "." {
        return Ok((name.to_owned(), version.to_owned()));
    }
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = name
        .ok_or_else(|| CliError::plain(format!("The folder {} has no name", folder.display())))?;
    Ok((name.to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_name_and_a_version() {
        let check = |text: &str, name: &str, version: &str| {
            let found = reference(text, Path::new("/src/helloworld")).unwrap();
            assert_eq!(found, (name.to_owned(), version.to_owned()));
        };
        check("foo", "foo", "latest");
        check("foo@1.2", "foo", "1.2");
        check("foo@", "foo", "latest");
        check(".", "helloworld", "latest");
        assert!(reference(".", Path::new("/")).is_err());
    }
}
