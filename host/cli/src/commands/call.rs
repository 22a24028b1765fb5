//! `micro call`: any endpoint with a JSON request.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    commands::{Outcome, as_value, missing},
    duration,
    error::{CliError, Result},
    printer::Output,
    session::{Call, Session},
};

/// What to call with what.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The service
    service: Option<String>,
    /// The endpoint, such as Helloworld.Call
    endpoint: Option<String>,
    /// The request; {} if there is none
    json: Vec<String>,
    /// json, or raw for the bytes as they came
    #[arg(short, long, value_parser = ["json", "raw"], default_value = "json")]
    output: String,
    /// key=value to send along; repeat it or use commas
    #[arg(long, value_delimiter = ',')]
    metadata: Vec<String>,
}

/// What was said of a call, understood.
pub(super) struct Wanted {
    pub(super) service: String,
    pub(super) endpoint: String,
    pub(super) metadata: BTreeMap<String, String>,
    /// The request as it is sent.
    pub(super) body: Bytes,
    /// Whether answers are shown as the bytes that came.
    pub(super) is_raw: bool,
}

impl Target {
    /// What `micro COMMAND` is to call.
    ///
    /// # Errors
    /// What is missing or cannot be.
    pub(super) fn parse(self, command: &str) -> Result<Wanted> {
        let (Some(service), Some(endpoint)) = (self.service, self.endpoint) else {
            return Err(missing(command, "SERVICE and ENDPOINT"));
        };
        let body = request(&self.json.join(" "))?;
        if !is_endpoint(&endpoint) {
            return Err(CliError::malformed_method(&endpoint));
        }
        Ok(Wanted {
            service,
            endpoint,
            metadata: pairs(&self.metadata)?,
            body,
            is_raw: self.output == "raw",
        })
    }
}

/// A call and its limits.
#[derive(Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// How long to wait, such as 500ms or 5s
    #[arg(long)]
    request_timeout: Option<String>,
}

/// Calls the endpoint and prints the response.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let wanted = args.target.parse("call")?;
    let timeout = args.request_timeout.map(|text| {
        duration::parse(&text).ok_or_else(|| {
            CliError::new(
                2,
                "Invalid format for request_timeout duration. Try 500ms or 5s",
            )
        })
    });
    let call = Call {
        service: &wanted.service,
        endpoint: &wanted.endpoint,
        namespace: session.namespace(),
        metadata: wanted.metadata,
        timeout: timeout.transpose()?,
    };
    let response = session.call_json(&call, wanted.body).await?;
    if wanted.is_raw {
        return Ok(Output::Raw(response).into());
    }
    Ok(Output::Json(as_value(&response)?).into())
}

/// The request as it is sent: a JSON object, checked but not rewritten.
fn request(text: &str) -> Result<Bytes> {
    if text.trim().is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    serde_json::from_str::<Map<String, Value>>(text)
        .map_err(|error| CliError::plain(format!("Error creating request {error}")))?;
    Ok(Bytes::from(text.to_owned()))
}

fn is_endpoint(name: &str) -> bool {
    name.split_once('.').is_some_and(|(handler, method)| {
        !handler.is_empty() && !method.is_empty() && !method.contains('.') && !name.contains('/')
    })
}

/// What `--metadata` says.
///
/// # Errors
/// Something without `=`.
fn pairs(list: &[String]) -> Result<BTreeMap<String, String>> {
    list.iter()
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                CliError::plain(format!(
                    "invalid metadata string, must be of form foo=bar {pair}"
                ))
            })?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_an_object() {
        assert_eq!(request("").unwrap(), "{}");
        assert_eq!(request("{\"a\": 1}").unwrap(), "{\"a\": 1}");
        for bad in ["{bad", "[]", "1", "{} {}"] {
            let error = request(bad).unwrap_err();
            assert_eq!(error.code, 1);
            assert!(error.message.starts_with("Error creating request "));
        }
    }

    #[test]
    fn an_endpoint_has_two_parts() {
        assert!(is_endpoint("Helloworld.Call"));
        for bad in ["Call", "a.Foo.Bar", ".Call", "Foo.", "", "/a.B/C"] {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }
}
