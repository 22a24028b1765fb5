//! `micro profile reload`: has the server apply its profile as it is now.

use futures::StreamExt as _;
use micro_proto::profile::{ReloadRequest, ReloadResponse, StatusRequest, StatusResponse};

use super::status;
use crate::{
    commands::Outcome,
    error::{CliError, Result},
    printer::Output,
    session::{Failure, Session},
};

/// How to apply it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Copy records and blobs into a store or blob store that does not hold them, before it serves
    #[arg(long)]
    copy: bool,
}

/// Prints a line for each module that has changed; how far a copy is goes to stderr.
///
/// # Errors
/// A module keeps the plugin that it has: exit code 1, once all are printed.
pub(super) async fn run(session: &Session<'_>, args: &Args) -> Result<Outcome> {
    let request = ReloadRequest { copy: args.copy };
    let answer = session.stream("profile", "Profile.Reload", &request).await;
    let mut messages = std::pin::pin!(answer?);
    let (mut changed, mut failed) = (0, 0);
    while let Some(message) = messages.next().await {
        let message: ReloadResponse = message.map_err(|failure| match failure {
            Failure::Answer(error) if error.code == 400 => CliError::plain(format!(
                "The profile cannot be read, and what serves serves on: {}",
                error.detail
            )),
            other => other.into(),
        })?;
        if let Some(copied) = message.copied {
            let items = items(&copied.module, copied.records);
            session
                .printer()
                .progress(&format!("copied    {} ({items})", copied.database));
        }
        if let Some(verified) = message.verified {
            let items = items(&verified.module, verified.records);
            session.printer().progress(&format!(
                "verified  {} ({items}, checksum {})",
                verified.database, verified.checksum
            ));
        }
        if let Some(module) = message.swapped {
            changed += 1;
            let line = if module.error.is_empty() {
                format!("{}: {} -> {}", module.module, module.from, module.to)
            } else {
                failed += 1;
                format!(
                    "{}: {} serves on: {}",
                    module.module, module.from, module.error
                )
            };
            session.printer().output(&Output::line(line))?;
        }
    }
    match (changed, failed) {
        (0, _) => {
            let asked = session.call("profile", "Profile.Status", &StatusRequest {});
            let status: StatusResponse = asked.await?;
            let nothing = std::iter::once("Nothing has changed".to_owned());
            let lines = nothing.chain(status::problems(&status));
            Ok(Output::Lines(lines.collect()).into())
        }
        (_, 0) => Ok(Output::Nothing.into()),
        _ => Err(CliError::plain(format!(
            "{failed} of {changed} modules keep the plugin that they have"
        ))
        .hint("`micro profile status` shows what serves")),
    }
}

fn items(module: &str, count: u64) -> String {
    let what = if module == "blob" { "blob" } else { "record" };
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}
