//! `micro status`: what the server runs.

use std::time::Duration;

use micro_proto::runtime::{ReadOptions, ReadRequest, ReadResponse, Service};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    commands::Outcome,
    duration,
    error::Result,
    printer::{Align, Output, Table},
    session::Session,
};

/// Which services.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of a service
    name: Option<String>,
    /// Its version
    version: Option<String>,
}

const HEADINGS: [&str; 7] = [
    "NAME", "VERSION", "SOURCE", "STATUS", "BUILD", "UPDATED", "METADATA",
];

/// The words for the numbers of a status.
pub(crate) const STATUS: [&str; 8] = [
    "unknown", "pending", "building", "starting", "running", "stopping", "stopped", "error",
];

/// Prints the table; nothing if nothing runs.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let request = ReadRequest {
        options: Some(ReadOptions {
            service: args.name.unwrap_or_default(),
            version: args.version.unwrap_or_default(),
            namespace: session.namespace().to_owned(),
            ..ReadOptions::default()
        }),
    };
    let response: ReadResponse = session.call("runtime", "Runtime.Read", &request).await?;
    Ok(table(response.services, OffsetDateTime::now_utc()).into())
}

fn table(mut services: Vec<Service>, now: OffsetDateTime) -> Output {
    if services.is_empty() {
        return Output::Nothing;
    }
    services.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    rows.extend(services.iter().map(|service| row(service, now)));
    Output::Table(Table {
        align: Align::Tabs,
        rows,
    })
}

fn row(service: &Service, now: OffsetDateTime) -> Vec<String> {
    let metadata = |key: &str| service.metadata.get(key).map(String::as_str);
    let status = usize::try_from(service.status)
        .ok()
        .and_then(|number| STATUS.get(number))
        .copied()
        .unwrap_or(STATUS[0]);
    let build = metadata("build").map(|build| build.chars().take(7).collect::<String>());
    let mut about = format!(
        "owner={}, group={}",
        or_none(metadata("owner")),
        or_none(metadata("group"))
    );
    if status == "error" {
        about.push_str(&format!(", error={}", or_none(metadata("error"))));
    }
    [
        service.name.clone(),
        or_none(Some(&service.version)),
        or_none(metadata("source").or(Some(&service.source))),
        status.to_owned(),
        or_none(build.as_deref()),
        updated(metadata("started"), now),
        about,
    ]
    .into_iter()
    .map(|cell| cell.replace(['\n', '\r', '\t'], " "))
    .collect()
}

fn or_none(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or("n/a")
        .to_owned()
}

fn updated(started: Option<&str>, now: OffsetDateTime) -> String {
    let started = started.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    match started {
        // A clock that runs ahead of ours does not make a negative age.
        Some(started) => {
            let age = Duration::try_from(now - started).unwrap_or_default();
            format!("{} ago", duration::show(age))
        }
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_reference_page() {
        let now = OffsetDateTime::parse("2026-01-02T20:43:45.5Z", &Rfc3339).unwrap();
        let service = |name: &str, status, more: &[(&str, &str)]| {
            let metadata = [
                ("owner", "admin"),
                ("group", "micro"),
                ("source", "./helloworld"),
            ];
            let metadata = metadata
                .iter()
                .chain(more)
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Service {
                name: name.into(),
                version: "latest".into(),
                status,
                metadata: metadata.collect(),
                ..Service::default()
            }
        };
        let services = vec![
            service("helloworld", 4, &[("started", "2026-01-02T00:00:00Z")]),
            service("broken", 7, &[("error", "exit status 1\nmore")]),
        ];
        let Output::Table(table) = table(services, now) else {
            panic!("not a table");
        };
        assert_eq!(table.rows[0], HEADINGS);
        assert_eq!(
            table.rows[1],
            [
                "broken",
                "latest",
                "./helloworld",
                "error",
                "n/a",
                "unknown",
                "owner=admin, group=micro, error=exit status 1 more"
            ]
        );
        assert_eq!(
            table.rows[2],
            [
                "helloworld",
                "latest",
                "./helloworld",
                "running",
                "n/a",
                "20h43m45s ago",
                "owner=admin, group=micro"
            ]
        );
    }

    #[test]
    fn nothing_that_runs_is_no_table() {
        assert_eq!(table(vec![], OffsetDateTime::UNIX_EPOCH), Output::Nothing);
    }
}
