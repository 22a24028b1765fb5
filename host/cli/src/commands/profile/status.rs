//! `micro profile status`: which plugins serve, and what of the profile could not be applied.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use micro_proto::profile::{ModuleStatus, StatusRequest, StatusResponse};
use serde_json::json;

use crate::{
    commands::Outcome,
    duration,
    error::Result,
    printer::{Align, Output, Table},
    session::Session,
};

/// How to show it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// table or json
    #[arg(long, value_parser = ["table", "json"], default_value = "table")]
    output: String,
}

/// Prints the profile, a row for each module, and below them why something is not as the profile says.
pub(super) async fn run(session: &Session<'_>, args: &Args) -> Result<Outcome> {
    let answer = session.call("profile", "Profile.Status", &StatusRequest {});
    let status: StatusResponse = answer.await?;
    if args.output == "json" {
        return Ok(Output::Spaced(as_json(&status)).into());
    }
    let printer = session.printer();
    printer.output(&Output::Lines(vec![
        format!("profile  {}", status.profile),
        format!("files    {}", status.files.join(", ")),
        String::new(),
    ]))?;
    let heads = ["MODULE", "PLUGIN", "VERSION", "BUILD", "SINCE"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(status.modules.iter().map(row));
    printer.output(&Output::Table(Table {
        align: Align::SPACES,
        rows,
    }))?;
    let problems = problems(&status);
    if !problems.is_empty() {
        let head = "\nNot as the profile says:".to_owned();
        printer.output(&Output::Lines(
            std::iter::once(head).chain(problems).collect(),
        ))?;
    }
    Ok(Output::Nothing.into())
}

/// What is wrong. What concerns several modules, which are of one instance, is said once.
pub(super) fn problems(status: &StatusResponse) -> Vec<String> {
    let modules = status.modules.iter().map(|module| &module.error);
    let mut all = Vec::new();
    for error in std::iter::once(&status.error).chain(modules) {
        if !error.is_empty() && !all.contains(error) {
            all.push(error.clone());
        }
    }
    all
}

fn row(module: &ModuleStatus) -> Vec<String> {
    let dash = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    vec![
        module.module.clone(),
        module.plugin.clone(),
        dash(&module.version),
        // What tells builds apart; the whole is in the JSON.
        dash(module.sha256.get(..12).unwrap_or_default()),
        since(module.since),
    ]
}

/// How long ago, by this machine's clock.
fn since(seconds: i64) -> String {
    let then = UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0));
    // A clock that runs ahead of ours does not make a negative age.
    let age = SystemTime::now().duration_since(then).unwrap_or_default();
    format!("{} ago", duration::show(age))
}

fn as_json(status: &StatusResponse) -> serde_json::Value {
    let modules: Vec<_> = status
        .modules
        .iter()
        .map(|module| {
            json!({
                "module": module.module, "plugin": module.plugin, "version": module.version,
                "sha256": module.sha256, "since": module.since, "error": module.error,
            })
        })
        .collect();
    json!({
        "profile": status.profile, "files": status.files, "modules": modules,
        "error": status.error, "reloaded": status.reloaded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_one_instance_is_said_once() {
        let module = |error: &str| ModuleStatus {
            error: error.to_owned(),
            ..ModuleStatus::default()
        };
        let status = StatusResponse {
            modules: vec![
                module("mine:4: no"),
                module("mine:4: no"),
                module(""),
                module("mine:9: nor this"),
            ],
            ..StatusResponse::default()
        };
        assert_eq!(problems(&status), ["mine:4: no", "mine:9: nor this"]);
    }
}
