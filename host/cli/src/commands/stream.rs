//! `micro stream`: an endpoint that streams its answer.

use futures::StreamExt as _;

use crate::{
    commands::{
        Outcome,
        call::{Target, Wanted},
    },
    error::Result,
    printer::Output,
    session::{Call, Session},
};

/// A call.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
}

/// Sends one request and prints each message of the answer as it comes.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let Wanted {
        service,
        endpoint,
        metadata,
        body,
        is_raw,
    } = args.target.parse("stream")?;
    let call = Call {
        service: &service,
        endpoint: &endpoint,
        namespace: session.namespace(),
        metadata,
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
        let output = if is_raw {
            Output::Raw(message)
        } else {
            Output::Json(super::as_value(&message)?)
        };
        session.printer().output(&output)?;
    }
    Ok(Output::Nothing.into())
}
