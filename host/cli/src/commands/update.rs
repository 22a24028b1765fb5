//! `micro update`: uploads a source again, or builds and restarts what the server has, and follows the service until it
//! answers or fails.

use std::collections::HashMap;

use micro_proto::runtime::{Resource, Service, UpdateOptions, UpdateRequest, UpdateResponse};

use crate::{
    commands::{
        LATEST, Outcome, missing, reference,
        run::{Source, follow, is_path, timeout, upload},
    },
    error::Result,
    printer::Output,
    session::Session,
};

/// What to update.
#[derive(Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub(crate) struct Args {
    /// The folder or executable file that it is run from, or NAME or NAME@VERSION as `micro status` shows it
    source: Option<String>,
    /// The name of the service; default the name of the folder or file
    #[arg(long)]
    name: Option<String>,
    /// How many of it; as many as before if this is left out
    #[arg(short, long, value_parser = clap::value_parser!(i64).range(1..))]
    instances: Option<i64>,
    /// How long to wait, after the build, for the service to answer, such as 90s or 5m
    #[arg(long, default_value = "60s")]
    timeout: String,
}

/// Updates it. Progress goes to stderr; success says nothing on stdout.
pub(crate) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let typed = args.source.as_deref();
    let typed = typed.ok_or_else(|| missing("update", "SOURCE or NAME"))?;
    let timeout = timeout(&args.timeout)?;
    let service = match source(session, typed) {
        Some(source) => {
            let source = source?;
            let name = match args.name {
                Some(name) => name,
                None => source.name()?,
            };
            let service = Service {
                name,
                version: LATEST.to_owned(),
                metadata: HashMap::from([("source".to_owned(), source.shown())]),
                ..Service::default()
            };
            let source = upload(session, &source, &service).await?;
            Service { source, ..service }
        }
        // The server has its source still.
        None => {
            let (name, version) = reference(typed, session.folder())?;
            Service {
                name: args.name.unwrap_or(name),
                version,
                ..Service::default()
            }
        }
    };
    let request = UpdateRequest {
        resource: Some(Resource {
            service: Some(service.clone()),
            ..Resource::default()
        }),
        options: Some(UpdateOptions {
            namespace: session.namespace().to_owned(),
            instances: args.instances.unwrap_or_default(),
            ..UpdateOptions::default()
        }),
    };
    let answer = session.call("runtime", "Runtime.Update", &request).await;
    let UpdateResponse {} = answer.map_err(|failure| {
        let missing = failure.is_missing();
        let error = crate::error::CliError::from(failure);
        match missing {
            true => error.hint("`micro status` lists what the server runs; `micro run` runs a source for the first time"),
            false => error,
        }
    })?;
    if service.source.is_empty() {
        session.printer().progress(&format!(
            "Updating {} from the source that the server has; to send a new one, name its folder: micro update ./FOLDER",
            service.name
        ));
    }
    follow::until_running(session, &service, timeout).await?;
    Ok(Output::Nothing.into())
}

/// What is here under this name. A name alone is a service's, as `micro status` shows it, even where a folder has it too.
fn source(session: &Session<'_>, typed: &str) -> Option<Result<Source>> {
    let is_source = is_path(typed) || typed.is_empty() || typed.contains('/');
    is_source.then(|| Source::find(typed, session.folder()))
}
