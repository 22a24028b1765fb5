//! One page of the blobs of a namespace, and which namespaces there are.

use micro_plugin_api::{
    Result,
    blob::{BlobPage, BlobQuery},
    store::{Order, Position},
};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _, query_scalar};

use super::read::info;
use crate::{database::Work, key};

/// The most blobs of a page whose query names no limit, or a larger one.
const PAGE: usize = 1_000;

/// The page that a query asks for.
pub(super) struct List<'a> {
    query: &'a BlobQuery<'a>,
    after: Option<Position>,
}

impl<'a> List<'a> {
    /// `None` if nothing can match.
    ///
    /// # Errors
    /// `invalid` for a cursor of somebody else.
    pub(super) fn new(query: &'a BlobQuery<'a>) -> Result<Option<Self>> {
        let after = query.cursor.map(Position::from_cursor).transpose()?;
        // A cursor of another query must not lead out of the prefix.
        let inside = |after: &Position| after.key.starts_with(query.prefix);
        Ok(after
            .as_ref()
            .is_none_or(inside)
            .then_some(Self { query, after }))
    }

    fn limit(&self) -> usize {
        match self.query.limit {
            0 => PAGE,
            limit => limit.min(PAGE),
        }
    }

    /// The matching blobs, one more than the page takes.
    fn sql(&self) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::new(
            "SELECT head, rest, size, content_type, public FROM blobs WHERE namespace = ",
        );
        sql.push_bind(self.query.namespace.as_bytes().to_vec());
        let after = self.after.as_ref();
        key::push_range(&mut sql, self.query.prefix, after, Order::Ascending);
        sql.push(" ORDER BY head, rest LIMIT ");
        sql.push_bind(self.limit() as i64 + 1);
        sql
    }
}

impl Work for List<'_> {
    type Output = BlobPage;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<BlobPage> {
        let rows = self.sql().build().fetch_all(connection).await?;
        let limit = self.limit();
        let mut page = BlobPage::default();
        for row in rows.iter().take(limit) {
            let key = key::join(row.try_get("head")?, row.try_get("rest")?)?;
            page.blobs.push(info(key, row)?);
        }
        if rows.len() > limit {
            page.next = page.blobs.last().map(|last| {
                let key = last.key.clone();
                Position { skip: 0, key }.to_cursor()
            });
        }
        Ok(page)
    }
}

/// The namespaces, in order: each found by one look into the index, however many blobs are in them.
pub(super) struct Namespaces;

impl Work for Namespaces {
    type Output = Vec<String>;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
        let names: Vec<Vec<u8>> = query_scalar(
            "WITH RECURSIVE names (namespace) AS (
                 (SELECT namespace FROM blobs ORDER BY namespace LIMIT 1)
             UNION ALL
                 SELECT (SELECT namespace FROM blobs WHERE namespace > names.namespace
                         ORDER BY namespace LIMIT 1)
                 FROM names WHERE names.namespace IS NOT NULL
             )
             SELECT namespace FROM names WHERE namespace IS NOT NULL ORDER BY namespace",
        )
        .fetch_all(connection)
        .await?;
        names.into_iter().map(key::text).collect()
    }
}
