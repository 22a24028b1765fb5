//! `micro SERVICE [ENDPOINT] [--flags]`: any service as a command, from what the registry knows of it.

mod convert;
mod endpoint;
mod help;
mod reflect;
mod request;
mod words;

use bytes::Bytes;
use futures::StreamExt as _;
use micro_proto::registry::Endpoint;

use crate::{
    commands::{Outcome, as_value},
    error::{CliError, Result},
    lookup,
    printer::Output,
    session::{Call, Session},
};

/// Finds the service, and prints its help or calls it.
pub(crate) async fn run(session: &Session<'_>, words: &[String]) -> Result<Outcome> {
    let words = words::Words::parse(words)?;
    let Some(name) = words.names.first() else {
        return Ok(Outcome::Help);
    };
    let found = lookup::find(session, name).await?;
    let found = found.ok_or_else(|| CliError::unknown_command(name))?;
    let (versions, namespace) = (found.versions, found.namespace);
    let Some(service) = versions.into_iter().next() else {
        return Err(CliError::unknown_command(name));
    };
    if words.help && words.names.len() == 1 {
        return Ok(Output::Text(help::of_service(name, &service)).into());
    }
    let endpoint = endpoint::find(&service, &words.names)?;
    if words.help {
        return Ok(Output::Text(help::of_endpoint(&words.names, endpoint)).into());
    }
    let (mut request, open) = request::build(endpoint, &words.flags)?;
    if !open.is_empty() {
        reflect::complete(session, &service.name, &endpoint.name, &mut request, &open).await?;
    }
    let call = Call {
        service: &service.name,
        endpoint: &endpoint.name,
        namespace: &namespace,
        metadata: Default::default(),
        timeout: None,
    };
    let body = Bytes::from(request.to_string());
    if is_stream(endpoint) {
        return print_each(session, &call, body).await;
    }
    let response = session.call_json(&call, body).await?;
    Ok(Output::Json(as_value(&response)?).into())
}

fn is_stream(endpoint: &Endpoint) -> bool {
    let stream = endpoint.metadata.get("stream");
    stream.is_some_and(|stream| stream == "true")
}

/// Sends one request and prints each message of the answer as it comes.
async fn print_each(session: &Session<'_>, call: &Call<'_>, body: Bytes) -> Result<Outcome> {
    let mut messages = std::pin::pin!(session.stream_json(call, body).await?);
    while let Some(message) = messages.next().await {
        session
            .printer()
            .output(&Output::Json(as_value(&message?)?))?;
    }
    Ok(Output::Nothing.into())
}
