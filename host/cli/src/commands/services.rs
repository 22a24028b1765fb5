//! `micro services`: the names in the registry.

use micro_proto::registry::{ListRequest, ListResponse, Options};

use crate::{commands::Outcome, error::Result, printer::Output, session::Session};

/// Lists the services of the namespace, one line for each version.
pub(crate) async fn run(session: &Session<'_>) -> Result<Outcome> {
    let request = ListRequest {
        options: Some(Options {
            domain: session.namespace().to_owned(),
            ..Options::default()
        }),
    };
    let response: ListResponse = session
        .call("registry", "Registry.ListServices", &request)
        .await?;
    let mut names: Vec<String> = response
        .services
        .into_iter()
        .map(|service| service.name)
        .collect();
    names.sort();
    Ok(Output::Lines(names).into())
}
