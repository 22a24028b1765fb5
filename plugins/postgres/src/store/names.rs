//! Which databases and tables hold a record.

use sqlx::{PgConnection, query_scalar};

use super::present;
use crate::{database::Work, key};

/// That a table holds a record, found by one look into an index.
macro_rules! holds_a_record {
    () => {
        concat!(
            "(SELECT 1 FROM records WHERE tbl = tables.id AND ",
            present!(),
            " LIMIT 1) IS NOT NULL"
        )
    };
}

/// The databases, in order.
pub(super) struct Databases;

impl Work for Databases {
    type Output = Vec<String>;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
        let names: Vec<Vec<u8>> = query_scalar(concat!(
            "SELECT DISTINCT database FROM tables WHERE ",
            holds_a_record!(),
            " ORDER BY database"
        ))
        .fetch_all(connection)
        .await?;
        names.into_iter().map(key::text).collect()
    }
}

/// The tables of a database, in order.
pub(super) struct Tables<'a> {
    pub(super) database: &'a str,
}

impl Work for Tables<'_> {
    type Output = Vec<String>;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
        let names: Vec<Vec<u8>> = query_scalar(concat!(
            "SELECT name FROM tables WHERE database = $1 AND ",
            holds_a_record!(),
            " ORDER BY name"
        ))
        .bind(self.database.as_bytes())
        .fetch_all(connection)
        .await?;
        names.into_iter().map(key::text).collect()
    }
}
