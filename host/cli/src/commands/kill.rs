//! `micro kill`: stops a service and removes it from the runtime.

use micro_proto::runtime::{DeleteOptions, DeleteRequest, DeleteResponse, Resource, Service};

use crate::{
    commands::{Outcome, missing, reference},
    error::Result,
    printer::Output,
    session::Session,
};

/// Which service.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// NAME or NAME@VERSION as `micro status` shows it, or . for the name of this folder
    name: Option<String>,
}

/// Removes it. Silent.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let name = args.name.ok_or_else(|| missing("kill", "NAME"))?;
    let (name, version) = reference(&name, session.folder())?;
    let request = DeleteRequest {
        resource: Some(Resource {
            service: Some(Service {
                name,
                version,
                ..Service::default()
            }),
            ..Resource::default()
        }),
        options: Some(DeleteOptions {
            namespace: session.namespace().to_owned(),
        }),
    };
    let DeleteResponse {} = session.call("runtime", "Runtime.Delete", &request).await?;
    Ok(Output::Nothing.into())
}
