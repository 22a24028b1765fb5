//! `micro store list`: keys.

use futures::StreamExt as _;
use micro_proto::store::{ListOptions, ListRequest, ListResponse};

use super::{Part, Place};
use crate::{
    commands::Outcome,
    error::{CliError, Result},
    printer::Output,
    session::{Failure, Session},
};

/// Which keys, and how to show them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The beginning or the end of the keys to list, with --prefix or --suffix
    key: Option<String>,
    #[command(flatten)]
    place: Place,
    /// List only keys that begin with KEY
    #[arg(short, long)]
    prefix: bool,
    /// List only keys that end with KEY
    #[arg(short, long)]
    suffix: bool,
    #[command(flatten)]
    part: Part,
    /// table for one key a line, or json
    #[arg(long, value_parser = ["table", "json"], default_value = "table")]
    output: String,
}

/// Prints the keys as they come.
pub(super) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let key = match (args.key, args.prefix || args.suffix) {
        (Some(key), true) => key,
        (None, false) => String::new(),
        (None, true) => return Err(CliError::plain("Key arg is required")),
        (Some(key), false) => {
            return Err(CliError::plain(format!(
                "--prefix or --suffix says what \"{key}\" is of the keys to list"
            ))
            .hint("the value of one key is read with `micro store read`"));
        }
    };
    let of = |wanted: bool| if wanted { key.clone() } else { String::new() };
    let request = ListRequest {
        options: Some(ListOptions {
            database: args.place.database(session),
            table: args.place.table,
            prefix: of(args.prefix),
            suffix: of(args.suffix),
            limit: args.part.limit,
            offset: args.part.offset,
            order: args.part.order,
        }),
    };
    let failed = |failure: Failure| failure.told("Couldn't list", 1);
    let answers = session.stream::<_, ListResponse>("store", "Store.List", &request);
    let mut answers = std::pin::pin!(answers.await.map_err(failed)?);
    let mut all = Vec::new();
    while let Some(answer) = answers.next().await {
        let keys = answer.map_err(failed)?.keys;
        if args.output == "json" {
            all.extend(keys);
        } else {
            session.printer().output(&Output::Lines(keys))?;
        }
    }
    if args.output == "json" {
        return Ok(Output::Spaced(all.into()).into());
    }
    Ok(Output::Nothing.into())
}
