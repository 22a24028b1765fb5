//! `micro stream`: an endpoint that streams its answer.

use futures::StreamExt as _;

use crate::{
    commands::{
        Outcome,
        call::{is_endpoint, pairs, request},
        missing,
    },
    error::{CliError, Result},
    printer::Output,
    session::{Call, Session},
};

/// What to call with what.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The service
    service: Option<String>,
    /// The endpoint, such as Helloworld.Stream
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

/// Sends one request and prints each message of the answer as it comes.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let (Some(service), Some(endpoint)) = (args.service, args.endpoint) else {
        return Err(missing("stream", "SERVICE and ENDPOINT"));
    };
    let body = request(&args.json.join(" "))?;
    if !is_endpoint(&endpoint) {
        return Err(CliError::malformed_method(&endpoint));
    }
    let call = Call {
        service: &service,
        endpoint: &endpoint,
        namespace: session.namespace(),
        metadata: pairs(&args.metadata)?,
        timeout: None,
    };
    let answer = session.stream_json(&call, body).await;
    let messages = answer
        .map_err(|failure| failure.told(&format!("error calling {service}.{endpoint}"), 128))?;
    let mut messages = std::pin::pin!(messages);
    while let Some(message) = messages.next().await {
        let message = message.map_err(|failure| {
            failure.told(&format!("error receiving from {service}.{endpoint}"), 128)
        })?;
        let output = if args.output == "raw" {
            Output::Raw(message)
        } else {
            Output::Json(super::as_value(&message)?)
        };
        session.printer().output(&output)?;
    }
    Ok(Output::Nothing.into())
}
