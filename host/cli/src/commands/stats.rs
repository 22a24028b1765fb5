//! `micro stats`: what each node of a service counts about itself.

use std::time::Duration;

use clap::ValueEnum;
use futures::future::join_all;
use micro_proto::{
    debug::{StatsRequest, StatsResponse},
    registry::{ListRequest, ListResponse, Node, Options, Service},
};
use time::{
    OffsetDateTime, UtcOffset, format_description::BorrowedFormatItem, macros::format_description,
};

use crate::{
    commands::{Outcome, missing},
    duration,
    error::{CliError, Result},
    lookup::{self, CORE, Found},
    printer::{Align, Output, Table},
    session::{Call, Failure, Session},
};

/// Which services.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The names of the services
    name: Vec<String>,
    /// All services of the platform (builtin) or all others (custom)
    #[arg(long, value_enum)]
    all: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Builtin,
    Custom,
}

const HEADINGS: [&str; 7] = [
    "NODE",
    "ADDRESS:PORT",
    "STARTED",
    "UPTIME",
    "MEMORY",
    "THREADS",
    "GC",
];

const STARTED: &[BorrowedFormatItem<'_>] =
    format_description!("[month repr:short] [day padding:none] [hour]:[minute]:[second]");

const GAP: usize = 4;

/// Prints a table for each version of each service.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let names = match args.all {
        Some(kind) => all(session, kind).await?,
        None if args.name.is_empty() => return Err(missing("stats", "NAME or --all")),
        None => args.name,
    };
    for (number, name) in names.iter().enumerate() {
        let found = lookup::expect(session, name).await?;
        if number > 0 {
            session.printer().output(&Output::line(""))?;
        }
        print(session, name, &found).await?;
    }
    Ok(Output::Nothing.into())
}

/// The names of the services of a kind, in order.
async fn all(session: &Session<'_>, kind: Kind) -> Result<Vec<String>> {
    let request = ListRequest {
        options: Some(Options {
            domain: session.namespace().to_owned(),
            ..Options::default()
        }),
    };
    let response: ListResponse = session
        .call("registry", "Registry.ListServices", &request)
        .await?;
    let services = response.services.into_iter();
    let mut names: Vec<String> = services
        .map(|service| service.name)
        .filter(|name| CORE.contains(&name.as_str()) == (kind == Kind::Builtin))
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        let kind = match kind {
            Kind::Builtin => "builtin",
            Kind::Custom => "custom",
        };
        return Err(CliError::new(128, format!("no {kind} service(s) found")));
    }
    Ok(names)
}

async fn print(session: &Session<'_>, name: &str, found: &Found) -> Result<()> {
    let printer = session.printer();
    printer.output(&pair("SERVICE", name))?;
    for service in &found.versions {
        printer.output(&Output::line(""))?;
        printer.output(&pair("VERSION", &service.version))?;
        printer.output(&Output::line(""))?;
        printer.output(&table(session, name, &found.namespace, service).await)?;
    }
    Ok(())
}

fn pair(name: &str, value: &str) -> Output {
    rows(vec![vec![name.to_owned(), value.to_owned()]])
}

fn rows(rows: Vec<Vec<String>>) -> Output {
    Output::Table(Table {
        align: Align::Spaces(GAP),
        rows,
    })
}

async fn table(session: &Session<'_>, name: &str, namespace: &str, service: &Service) -> Output {
    let asked = service.nodes.iter().map(|node| async move {
        let call = Call::to_node(name, "Debug.Stats", namespace, &node.id);
        session
            .call_as::<_, StatsResponse>(&call, &StatsRequest {})
            .await
    });
    let answers = join_all(asked).await;
    let nodes = service.nodes.iter().zip(answers);
    let lines = nodes.map(|(node, answer)| row(node, answer));
    rows(
        [HEADINGS.map(str::to_owned).to_vec()]
            .into_iter()
            .chain(lines)
            .collect(),
    )
}

/// What a node says of itself, or why it says nothing.
fn row(node: &Node, answer: std::result::Result<StatsResponse, Failure>) -> Vec<String> {
    let mut row = vec![node.id.clone(), lookup::address(node)];
    match answer {
        Ok(stats) => row.extend([
            started(stats.started),
            duration::exact(Duration::from_secs(stats.uptime)),
            memory(stats.memory),
            stats.threads.to_string(),
            duration::exact(Duration::from_nanos(stats.gc)),
        ]),
        Err(failure) => row.push(CliError::from(failure).message),
    }
    row
}

/// `Jan 2 15:04:05` on the clock of this machine; in UTC where that cannot be told.
fn started(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let Some(time) = time else {
        return "unknown".to_owned();
    };
    let here = UtcOffset::local_offset_at(time).unwrap_or(UtcOffset::UTC);
    time.to_offset(here)
        .format(STARTED)
        .unwrap_or_else(|_| "unknown".to_owned())
}

fn memory(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
    let megabytes = bytes as f64 / (1024.0 * 1024.0);
    format!("{megabytes:.2}mb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_a_node_counts_or_why_not() {
        let node = Node {
            id: "foo-1".into(),
            address: "127.0.0.1:80".into(),
            ..Node::default()
        };
        let stats = StatsResponse {
            started: 1_767_323_045,
            uptime: 3_661,
            memory: 3 << 19,
            threads: 7,
            ..StatsResponse::default()
        };
        let shown = row(&node, Ok(stats));
        assert_eq!(shown[..2], ["foo-1", "127.0.0.1:80"]);
        assert!(shown[2].starts_with("Jan "), "{shown:?}");
        assert_eq!(shown[3..], ["1h1m1s", "1.50mb", "7", "0s"]);
        let refused = micro_wire::Error::service_unavailable("id", "no node takes calls");
        let shown = row(&node, Err(refused.into()));
        assert_eq!(shown[2..], ["no node takes calls"]);
    }
}
