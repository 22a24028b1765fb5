//! The rows that hold the bytes of a blob which is being written.

use sqlx::{PgConnection, query};
use uuid::Uuid;

use crate::{database::Work, store::now};

/// Makes a name for chunks known, as garbage for as long as no blob refers to it.
pub(super) struct Begin {
    pub(super) blob: Uuid,
}

impl Work for Begin {
    type Output = ();

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        // It may have happened at an attempt whose answer was lost.
        query(concat!(
            "INSERT INTO garbage (blob, since) VALUES ($1, ",
            now!(),
            ") ON CONFLICT (blob) DO NOTHING"
        ))
        .bind(&self.blob.as_bytes()[..])
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Writes a chunk, unless all before it have been collected meanwhile.
pub(super) struct Append<'a> {
    pub(super) blob: Uuid,
    pub(super) ordinal: i32,
    pub(super) body: &'a [u8],
}

impl Work for Append<'_> {
    /// Whether it was written.
    type Output = bool;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let done = query(concat!(
            "WITH touched AS (UPDATE garbage SET since = ",
            now!(),
            " WHERE blob = $1 RETURNING blob) \
             INSERT INTO chunks (blob, ordinal, body) SELECT blob, $2, $3 FROM touched \
             ON CONFLICT (blob, ordinal) DO UPDATE SET body = excluded.body"
        ))
        .bind(&self.blob.as_bytes()[..])
        .bind(self.ordinal)
        .bind(self.body)
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Gives chunks up, for the next round of collecting.
pub(super) struct Abandon {
    pub(super) blob: Uuid,
}

impl Work for Abandon {
    type Output = ();

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        query("UPDATE garbage SET since = 0 WHERE blob = $1")
            .bind(&self.blob.as_bytes()[..])
            .execute(connection)
            .await?;
        Ok(())
    }
}
