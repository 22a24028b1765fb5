//! One record.

use micro_plugin_api::store::{Record, Table};
use sqlx::{PgConnection, query};

use super::{present, record};
use crate::{
    database::Work,
    key::{Key, TableId},
};

/// The record under exactly this key.
pub(super) struct Read<'a> {
    table: TableId,
    name: &'a str,
    key: Key<'a>,
}

impl<'a> Read<'a> {
    pub(super) fn new(table: Table<'_>, key: &'a str) -> Self {
        Self {
            table: TableId::new(table),
            name: key,
            key: Key::new(key),
        }
    }
}

impl Work for Read<'_> {
    type Output = Option<Record>;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<Option<Record>> {
        let row = query(concat!(
            "SELECT value, metadata, version, expiry FROM records \
             WHERE tbl = $1 AND head = $2 AND digest = $3 AND ",
            present!()
        ))
        .bind(self.table.as_bytes())
        .bind(self.key.head)
        .bind(&self.key.digest[..])
        .fetch_optional(connection)
        .await?;
        row.map(|row| record::whole(self.name.to_owned(), &row))
            .transpose()
    }
}
