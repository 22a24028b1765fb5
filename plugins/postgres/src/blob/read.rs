//! The bytes of a blob, chunk by chunk.

use std::sync::Arc;

use bytes::Bytes;
use micro_plugin_api::{
    Error, Result,
    blob::{BlobInfo, BlobKey, BlobMeta},
};
use sqlx::{PgConnection, Row as _, postgres::PgRow, query, query_scalar};

use crate::{
    database::{Database, Work},
    key::{self, Key},
};

/// Looks a blob up.
pub(super) struct Find<'a> {
    pub(super) key: BlobKey<'a>,
}

/// A blob, the name of its chunks, and the first of them.
pub(super) struct Found {
    pub(super) info: BlobInfo,
    pub(super) blob: Vec<u8>,
    pub(super) first: Bytes,
}

impl Work for Find<'_> {
    type Output = Option<Found>;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<Option<Found>> {
        let key = Key::new(self.key.key);
        let row = query(
            "SELECT blobs.blob, size, content_type, public, body FROM blobs \
             JOIN chunks ON chunks.blob = blobs.blob AND chunks.ordinal = 0 \
             WHERE namespace = $1 AND head = $2 AND digest = $3",
        )
        .bind(self.key.namespace.as_bytes())
        .bind(key.head)
        .bind(&key.digest[..])
        .fetch_optional(connection)
        .await?;
        row.map(|row| {
            Ok(Found {
                info: info(self.key.key.to_owned(), &row)?,
                blob: row.try_get("blob")?,
                first: Bytes::copy_from_slice(row.try_get("body")?),
            })
        })
        .transpose()
    }
}

/// What a row says of a blob.
pub(super) fn info(key: String, row: &PgRow) -> sqlx::Result<BlobInfo> {
    let size: i64 = row.try_get("size")?;
    Ok(BlobInfo {
        key,
        size: size.try_into().unwrap_or(0),
        meta: BlobMeta {
            content_type: key::text(row.try_get("content_type")?)?,
            public: row.try_get("public")?,
        },
    })
}

/// Reads a blob to its end. Between chunks it holds nothing.
pub(super) struct Reader {
    database: Arc<Database>,
    blob: Vec<u8>,
    left: u64,
    ordinal: i32,
    first: Option<Bytes>,
}

impl Reader {
    pub(super) fn new(database: Arc<Database>, blob: Vec<u8>, size: u64, first: Bytes) -> Self {
        Self {
            database,
            blob,
            left: size,
            ordinal: 0,
            first: Some(first),
        }
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let chunk = match self.first.take() {
            Some(first) => Some(first),
            None => {
                let chunk = Chunk {
                    blob: &self.blob,
                    ordinal: self.ordinal,
                };
                let until = self.database.default_until();
                self.database.run_until(until, &chunk).await?
            }
        };
        // Longer than that nobody keeps what was replaced.
        let chunk = chunk.ok_or_else(|| {
            Error::unavailable("the blob was replaced or deleted long ago; read it again")
        })?;
        self.ordinal += 1;
        self.left = self.left.saturating_sub(chunk.len() as u64);
        Ok(Some(chunk))
    }
}

/// One chunk.
struct Chunk<'a> {
    blob: &'a [u8],
    ordinal: i32,
}

impl Work for Chunk<'_> {
    type Output = Option<Bytes>;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<Option<Bytes>> {
        let body: Option<Vec<u8>> =
            query_scalar("SELECT body FROM chunks WHERE blob = $1 AND ordinal = $2")
                .bind(self.blob)
                .bind(self.ordinal)
                .fetch_optional(connection)
                .await?;
        Ok(body.map(Bytes::from))
    }
}
