//! `micro logs`: what a service printed.

use futures::StreamExt as _;
use micro_proto::runtime::{LogRecord, LogsOptions, LogsRequest};
use serde_json::json;

use crate::{
    commands::{Outcome, missing, reference},
    error::{CliError, Result},
    printer::Output,
    session::{Failure, Session},
};

/// Which service, and how much of its output.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// NAME or NAME@VERSION as `micro status` shows it
    name: Option<String>,
    /// How many of the last lines
    #[arg(short = 'n', long, default_value_t = 15)]
    lines: i64,
    /// Go on with what comes
    #[arg(short, long)]
    follow: bool,
    /// json for one JSON object a line
    #[arg(short, long, value_parser = ["json"])]
    output: Option<String>,
    /// The version, if it is not a part of the name
    #[arg(long)]
    version: Option<String>,
}

/// Prints the lines as they come.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let name = args.name.ok_or_else(|| missing("logs", "NAME"))?;
    let (service, version) = reference(&name, session.folder())?;
    let request = LogsRequest {
        service,
        stream: args.follow,
        count: args.lines,
        since: 0,
        options: Some(LogsOptions {
            namespace: session.namespace().to_owned(),
        }),
        version: args.version.unwrap_or(version),
    };
    let records = session.stream::<_, LogRecord>("runtime", "Runtime.Logs", &request);
    let mut records = std::pin::pin!(records.await.map_err(failure)?);
    while let Some(record) = records.next().await {
        let record = record.map_err(failure)?;
        let output = match args.output {
            None => Output::line(record.message),
            Some(_) => Output::Compact(json!({
                "Message": record.message,
                "Metadata": record.metadata,
            })),
        };
        session.printer().output(&output)?;
    }
    Ok(Output::Nothing.into())
}

fn failure(failure: Failure) -> CliError {
    match failure {
        Failure::Answer(error) if error.code == 404 => {
            CliError::plain("Service not found").hint("`micro status` lists what the server runs")
        }
        Failure::Answer(error) if !matches!(error.code, 401 | 408) => {
            CliError::new(128, format!("Error reading logs: {}", error.detail))
        }
        other => other.into(),
    }
}
