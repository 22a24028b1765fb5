//! `micro health`: asks each node of a service how it is.

use futures::future::join_all;
use micro_proto::debug::{HealthRequest, HealthResponse};
use micro_proto::registry::Node;

use crate::{
    commands::Outcome,
    error::{CliError, Result},
    lookup,
    printer::Output,
    session::{Call, Failure, Session},
};

/// Which service.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The name of the service
    name: Option<String>,
}

/// Prints a line for each node.
///
/// # Errors
/// A node is not well: exit code 1, once all are printed.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let name = args
        .name
        .ok_or_else(|| CliError::new(128, "require service name"))?;
    let found = lookup::expect(session, &name).await?;
    let mut lines = vec![format!("service  {name}")];
    let (mut nodes, mut ill) = (0, 0);
    for service in &found.versions {
        lines.extend([
            String::new(),
            format!("version {}", service.version),
            String::new(),
            "node\t\taddress:port\t\tstatus".to_owned(),
        ]);
        let asked = service.nodes.iter();
        let asked = asked.map(|node| ask(session, &name, &found.namespace, node));
        for (node, answer) in service.nodes.iter().zip(join_all(asked).await) {
            nodes += 1;
            ill += usize::from(answer.is_err());
            let status = answer.unwrap_or_else(|error| error);
            let address = lookup::address(node);
            lines.push(format!("{}\t\t{address}\t\t{status}", node.id));
        }
    }
    session.printer().output(&Output::Lines(lines))?;
    match ill {
        0 => Ok(Output::Nothing.into()),
        _ => Err(CliError::plain(format!(
            "{name} is not well: {ill} of {nodes} nodes did not answer ok"
        ))
        .hint(format!("`micro logs {name}` shows what it printed"))),
    }
}

/// The status that a node says, or why it says none.
async fn ask(
    session: &Session<'_>,
    name: &str,
    namespace: &str,
    node: &Node,
) -> std::result::Result<String, String> {
    let call = Call::to_node(name, "Debug.Health", namespace, &node.id);
    let answer: std::result::Result<HealthResponse, Failure> =
        session.call_as(&call, &HealthRequest {}).await;
    match answer {
        Ok(response) if response.status == "ok" => Ok(response.status),
        Ok(response) => Err(response.status),
        Err(Failure::Answer(error)) if error.detail.starts_with("unknown service ") => {
            // It answered, so it lives; it is of another framework.
            Ok("ok (answers, and has no Debug.Health)".to_owned())
        }
        Err(failure) => Err(CliError::from(failure).message),
    }
}
