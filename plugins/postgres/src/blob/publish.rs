//! The moment at which a blob is there, another one, or gone.

use micro_plugin_api::blob::{BlobKey, BlobMeta};
use sqlx::{Connection as _, PgConnection, Postgres, Transaction, query, query_scalar};
use uuid::Uuid;

use crate::{database::Work, key::Key, store::now};

/// Makes chunks the blob under a key, in place of any that was there.
pub(super) struct Publish<'a> {
    pub(super) key: BlobKey<'a>,
    pub(super) meta: &'a BlobMeta,
    pub(super) blob: Uuid,
    pub(super) size: u64,
    /// The last chunk, which is still to be written, and its place.
    pub(super) last: (i32, &'a [u8]),
    /// Whether there are others, known as garbage.
    pub(super) begun: bool,
}

impl Work for Publish<'_> {
    /// Whether it is the blob now; not so if its chunks have been collected.
    type Output = bool;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let key = Key::new(self.key.key);
        let mut transaction = connection.begin().await?;
        if !self.complete(&mut transaction).await? {
            // It happened at an attempt whose answer was lost, and may have been replaced since.
            transaction.rollback().await?;
            return Ok(true);
        }
        if self.begun && !self.claim(&mut transaction).await? {
            transaction.rollback().await?;
            return Ok(false);
        }
        let mut current = self.current(&key, &mut transaction).await?;
        loop {
            if let Some(former) = &current {
                self.replace(&key, &mut transaction).await?;
                discard(former, &mut transaction).await?;
                break;
            }
            if self.insert(&key, &mut transaction).await? {
                break;
            }
            // Somebody else was faster: now there is one.
            current = self.current(&key, &mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

impl Publish<'_> {
    /// Writes the last chunk, unless it is there: nothing else writes that.
    async fn complete(&self, transaction: &mut Transaction<'_, Postgres>) -> sqlx::Result<bool> {
        let done = query(
            "INSERT INTO chunks (blob, ordinal, body) VALUES ($1, $2, $3) \
             ON CONFLICT (blob, ordinal) DO NOTHING",
        )
        .bind(&self.blob.as_bytes()[..])
        .bind(self.last.0)
        .bind(self.last.1)
        .execute(&mut **transaction)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The chunks that the blob has at present, which stay the blob's until this is over.
    async fn current(
        &self,
        key: &Key<'_>,
        transaction: &mut Transaction<'_, Postgres>,
    ) -> sqlx::Result<Option<Vec<u8>>> {
        query_scalar(
            "SELECT blob FROM blobs WHERE namespace = $1 AND head = $2 AND digest = $3 FOR UPDATE",
        )
        .bind(self.key.namespace.as_bytes())
        .bind(key.head)
        .bind(&key.digest[..])
        .fetch_optional(&mut **transaction)
        .await
    }

    async fn claim(&self, transaction: &mut Transaction<'_, Postgres>) -> sqlx::Result<bool> {
        let done = query("DELETE FROM garbage WHERE blob = $1")
            .bind(&self.blob.as_bytes()[..])
            .execute(&mut **transaction)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn insert(
        &self,
        key: &Key<'_>,
        transaction: &mut Transaction<'_, Postgres>,
    ) -> sqlx::Result<bool> {
        let done = query(
            "INSERT INTO blobs \
             (blob, size, content_type, public, namespace, head, digest, rest) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (namespace, head, digest) DO NOTHING",
        )
        .bind(&self.blob.as_bytes()[..])
        .bind(i64::try_from(self.size).unwrap_or(i64::MAX))
        .bind(self.meta.content_type.as_bytes())
        .bind(self.meta.public)
        .bind(self.key.namespace.as_bytes())
        .bind(key.head)
        .bind(&key.digest[..])
        .bind(key.rest)
        .execute(&mut **transaction)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn replace(
        &self,
        key: &Key<'_>,
        transaction: &mut Transaction<'_, Postgres>,
    ) -> sqlx::Result<()> {
        query(
            "UPDATE blobs SET blob = $1, size = $2, content_type = $3, public = $4 \
             WHERE namespace = $5 AND head = $6 AND digest = $7",
        )
        .bind(&self.blob.as_bytes()[..])
        .bind(i64::try_from(self.size).unwrap_or(i64::MAX))
        .bind(self.meta.content_type.as_bytes())
        .bind(self.meta.public)
        .bind(self.key.namespace.as_bytes())
        .bind(key.head)
        .bind(&key.digest[..])
        .execute(&mut **transaction)
        .await?;
        Ok(())
    }
}

/// Makes chunks garbage, from now on.
async fn discard(blob: &[u8], transaction: &mut Transaction<'_, Postgres>) -> sqlx::Result<()> {
    query(concat!(
        "INSERT INTO garbage (blob, since) VALUES ($1, ",
        now!(),
        ")"
    ))
    .bind(blob)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Takes a blob away; its chunks stay for those who are reading them.
pub(super) struct Delete<'a> {
    pub(super) key: BlobKey<'a>,
}

impl Work for Delete<'_> {
    type Output = ();

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let key = Key::new(self.key.key);
        query(concat!(
            "WITH gone AS (DELETE FROM blobs \
             WHERE namespace = $1 AND head = $2 AND digest = $3 RETURNING blob) \
             INSERT INTO garbage (blob, since) SELECT blob, ",
            now!(),
            " FROM gone"
        ))
        .bind(self.key.namespace.as_bytes())
        .bind(key.head)
        .bind(&key.digest[..])
        .execute(connection)
        .await?;
        Ok(())
    }
}
