//! `micro SERVICE [ENDPOINT] [--flags]`: any service as a command, from what the registry knows of it.

mod convert;
mod endpoint;
mod help;
mod reflect;
mod request;
mod words;

use bytes::Bytes;
use futures::{StreamExt as _, future::join};
use micro_proto::registry::{Endpoint, GetRequest, GetResponse, Options, Service};
use serde_json::Value;

use crate::{
    commands::Outcome,
    context::DEFAULT_NAMESPACE,
    error::{CliError, Result},
    printer::Output,
    session::{Call, Failure, Session},
};

/// The platform's own services: they are the same ones in every namespace.
const CORE: [&str; 13] = [
    "api", "auth", "broker", "config", "debug", "events", "network", "proxy", "registry", "router",
    "runtime", "store", "web",
];

/// Finds the service, and prints its help or calls it.
pub(crate) async fn run(session: &Session<'_>, words: &[String]) -> Result<Outcome> {
    let words = words::Words::parse(words)?;
    let Some(name) = words.names.first() else {
        return Ok(Outcome::Help);
    };
    let (service, namespace) = find(session, name).await?;
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
    Ok(Output::Json(json(&response)?).into())
}

/// The record of a service and the namespace it is in: the current one, else `micro`; both are asked at once.
async fn find(session: &Session<'_>, name: &str) -> Result<(Service, String)> {
    let own = session.namespace();
    let (found, common) = if own == DEFAULT_NAMESPACE || CORE.contains(&name) {
        (Ok(None), record(session, name, DEFAULT_NAMESPACE).await)
    } else {
        let own = record(session, name, own);
        join(own, record(session, name, DEFAULT_NAMESPACE)).await
    };
    match (found, common) {
        (Ok(Some(service)), _) => Ok((service, own.to_owned())),
        (_, Ok(Some(service))) => Ok((service, DEFAULT_NAMESPACE.to_owned())),
        (Err(failure), _) | (_, Err(failure)) => Err(failure.into()),
        (Ok(None), Ok(None)) => Err(CliError::unknown_command(name)),
    }
}

/// The first version of a service in a namespace; none if it is not there.
async fn record(
    session: &Session<'_>,
    name: &str,
    namespace: &str,
) -> std::result::Result<Option<Service>, Failure> {
    let request = GetRequest {
        service: name.to_owned(),
        options: Some(Options {
            domain: namespace.to_owned(),
            ..Options::default()
        }),
    };
    let response: std::result::Result<GetResponse, Failure> = session
        .call("registry", "Registry.GetService", &request)
        .await;
    match response {
        Ok(response) => Ok(response.services.into_iter().next()),
        // Not this service is missing if the registry itself is.
        Err(Failure::Answer(error))
            if error.code == 404 && !error.detail.contains("route not found") =>
        {
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

fn is_stream(endpoint: &Endpoint) -> bool {
    let stream = endpoint.metadata.get("stream");
    stream.is_some_and(|stream| stream == "true")
}

/// Sends one request and prints each message of the answer as it comes.
async fn print_each(session: &Session<'_>, call: &Call<'_>, body: Bytes) -> Result<Outcome> {
    let mut messages = std::pin::pin!(session.stream_json(call, body).await?);
    while let Some(message) = messages.next().await {
        session.printer().output(&Output::Json(json(&message?)?))?;
    }
    Ok(Output::Nothing.into())
}

fn json(message: &[u8]) -> Result<Value> {
    // An empty message is what some services send for one without fields.
    if message.is_empty() {
        return Ok(Value::Object(Default::default()));
    }
    serde_json::from_slice(message).map_err(|error| {
        CliError::new(
            3,
            format!("Error while trying to format the response: {error}"),
        )
    })
}
