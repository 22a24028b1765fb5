//! `micro logs`: what a service printed.

use futures::StreamExt as _;
use micro_proto::runtime::{LogRecord, LogsOptions, LogsRequest};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    commands::{Outcome, missing, reference},
    duration,
    error::{CliError, Result},
    printer::Output,
    session::{Failure, Session},
};

/// How many of the last lines are shown to those who say nothing.
const LINES: i64 = 15;

/// Which service, and how much of its output.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// NAME or NAME@VERSION as `micro status` shows it
    name: Option<String>,
    /// How many of the last lines; 0 for none, to follow only what comes. Default 15, or all with --since
    #[arg(short = 'n', long, value_parser = clap::value_parser!(i64).range(0..))]
    lines: Option<i64>,
    /// Only lines since then: a time such as 2026-01-31T08:00:00Z, or how long ago, such as 10m
    #[arg(long)]
    since: Option<String>,
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
    let since = args.since.as_deref();
    let since = since
        .map(|text| unix_seconds(text, OffsetDateTime::now_utc()))
        .transpose()?;
    let request = LogsRequest {
        service,
        stream: args.follow,
        // On the wire 0 means all.
        count: match (args.lines, since) {
            (Some(0), _) => -1,
            (Some(lines), _) => lines,
            (None, None) => LINES,
            (None, Some(_)) => 0,
        },
        since: since.unwrap_or_default(),
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

/// A time, or how long before `now` it is, in unix seconds.
fn unix_seconds(text: &str, now: OffsetDateTime) -> Result<i64> {
    if let Some(ago) = duration::parse(text) {
        return Ok(now.unix_timestamp().saturating_sub_unsigned(ago.as_secs()));
    }
    let time = OffsetDateTime::parse(text, &Rfc3339);
    let seconds = time.ok().map(OffsetDateTime::unix_timestamp);
    seconds.filter(|seconds| *seconds > 0).ok_or_else(|| {
        CliError::plain(format!(
            "Invalid time for --since: \"{text}\". Try 10m or 2026-01-31T08:00:00Z"
        ))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_how_long_ago() {
        let now = OffsetDateTime::from_unix_timestamp(1_000_000).unwrap();
        let since = |text: &str| unix_seconds(text, now);
        assert_eq!(since("10m").unwrap(), 999_400);
        assert_eq!(since("1970-01-02T00:00:00Z").unwrap(), 86_400);
        for bad in ["", "yesterday", "10", "1969-01-01T00:00:00Z"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
