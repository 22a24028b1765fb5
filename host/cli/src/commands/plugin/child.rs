//! `micro plugin child`: the process that the code of plugins runs in.

use std::path::PathBuf;

use crate::{
    commands::Outcome,
    error::{CliError, Result},
    plugins::child,
    printer::Output,
};

/// Whom to ask.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The socket of the command line that started it
    socket: PathBuf,
}

/// Does what it is told. A suite wants threads; and no thread of a plugin's is waited for.
pub(super) fn run(args: &Args) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::plain(format!("Cannot start: {error}")))?;
    let done = runtime.block_on(child::serve(&args.socket));
    runtime.shutdown_background();
    done.map(|()| Output::Nothing.into())
}
