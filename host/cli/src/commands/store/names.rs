//! `micro store databases` and `micro store tables`.

use micro_proto::store::{DatabasesRequest, DatabasesResponse, TablesRequest, TablesResponse};

use crate::{commands::Outcome, error::Result, printer::Output, session::Session};

/// Whose databases.
#[derive(Debug, clap::Args)]
pub(super) struct Databases {
    /// The service that keeps them
    #[arg(long, default_value = "store")]
    store: String,
}

/// Prints their names, one a line.
pub(super) async fn databases(session: &Session<'_>, args: &Databases) -> Result<Outcome> {
    let response: DatabasesResponse = session
        .call(&args.store, "Store.Databases", &DatabasesRequest {})
        .await
        .map_err(|failure| failure.told("Couldn't list the databases", 1))?;
    Ok(Output::Lines(response.databases).into())
}

/// Whose tables.
#[derive(Debug, clap::Args)]
pub(super) struct Tables {
    /// The service that keeps them
    #[arg(long, default_value = "store")]
    store: String,
    /// The database; default the namespace
    #[arg(short, long)]
    database: Option<String>,
}

/// Prints their names, one a line.
pub(super) async fn tables(session: &Session<'_>, args: &Tables) -> Result<Outcome> {
    let database = args.database.as_deref().unwrap_or(session.namespace());
    let request = TablesRequest {
        database: database.to_owned(),
    };
    let response: TablesResponse = session
        .call(&args.store, "Store.Tables", &request)
        .await
        .map_err(|failure| failure.told("Couldn't list the tables", 1))?;
    Ok(Output::Lines(response.tables).into())
}
