//! One page of a list, of bounded length and size.

use micro_plugin_api::{
    Result,
    store::{Fields, ListQuery, Order, Page, Position, Record, Table},
};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};

use super::{present, record};
use crate::{
    database::Work,
    key::{self, TableId},
};

/// The most records of a page whose query names no limit, or a larger one.
const PAGE: usize = 1_000;

/// The most bytes of values and metadata of a page, beside its last record.
const PAGE_BYTES: i64 = 4 << 20;

/// The page that a query asks for.
pub(super) struct List<'a> {
    table: TableId,
    query: &'a ListQuery<'a>,
    after: Option<Position>,
}

impl<'a> List<'a> {
    /// `None` if nothing can match.
    ///
    /// # Errors
    /// `invalid` for a cursor of somebody else.
    pub(super) fn new(table: Table<'_>, query: &'a ListQuery<'a>) -> Result<Option<Self>> {
        let after = query.cursor.map(Position::from_cursor).transpose()?;
        // A cursor of another query must not lead out of the prefix.
        let inside = |after: &Position| after.key.starts_with(query.prefix);
        if !after.as_ref().is_none_or(inside) {
            return Ok(None);
        }
        Ok(Some(Self {
            table: TableId::new(table),
            query,
            after,
        }))
    }

    fn limit(&self) -> usize {
        match self.query.limit {
            0 => PAGE,
            limit => limit.min(PAGE),
        }
    }

    /// The matching records, one more than the page takes.
    fn push_matches(&self, sql: &mut QueryBuilder<Postgres>, columns: &str) {
        let query = self.query;
        sql.push(format_args!("SELECT {columns} FROM records WHERE tbl = "));
        sql.push_bind(self.table.as_bytes().to_vec());
        key::push_range(sql, query.prefix, self.after.as_ref(), query.order);
        key::push_suffix(sql, query.suffix);
        sql.push(concat!(" AND ", present!()));
        sql.push(format_args!(" ORDER BY {}", self.order()));
        sql.push(" LIMIT ").push_bind(self.limit() as i64 + 1);
        let skip = self.after.as_ref().map_or(query.skip, |after| after.skip);
        if skip > 0 {
            sql.push(" OFFSET ");
            sql.push_bind(i64::try_from(skip).unwrap_or(i64::MAX));
        }
    }

    fn order(&self) -> &'static str {
        match self.query.order {
            Order::Ascending => "head, rest",
            Order::Descending => "head DESC, rest DESC",
        }
    }

    /// Adds the query.
    pub(super) fn push(&self, sql: &mut QueryBuilder<Postgres>) {
        match self.query.fields {
            Fields::Keys => self.push_matches(sql, "head, rest, version, expiry"),
            Fields::All => {
                // The server adds up sizes, so that what is too much for a page is not sent.
                let order = self.order();
                sql.push(format_args!(
                    "SELECT head, rest, value, metadata, version, expiry, size FROM \
                     (SELECT *, sum(size) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS total \
                     FROM ("
                ));
                self.push_matches(
                    sql,
                    "head, rest, value, metadata, version, expiry, \
                     octet_length(value) + octet_length(metadata)::BIGINT AS size",
                );
                sql.push(") AS matches) AS measured WHERE total - size <= ");
                sql.push_bind(PAGE_BYTES);
                sql.push(format_args!(" ORDER BY {order}"));
            }
        }
    }
}

impl Work for List<'_> {
    type Output = Page;

    async fn run(&self, connection: &mut PgConnection) -> sqlx::Result<Page> {
        let mut sql = QueryBuilder::new("");
        self.push(&mut sql);
        let rows = sql.build().fetch_all(connection).await?;
        let limit = self.limit();
        let mut page = Page::default();
        let mut bytes = 0;
        for row in rows.iter().take(limit) {
            let key = key::join(row.try_get("head")?, row.try_get("rest")?)?;
            page.records.push(match self.query.fields {
                Fields::Keys => record::only_key(key, row)?,
                Fields::All => {
                    bytes += row.try_get::<i64, _>("size")?;
                    record::whole(key, row)?
                }
            });
        }
        if rows.len() > limit || bytes > PAGE_BYTES {
            page.next = page.records.last().map(following);
        }
        Ok(page)
    }
}

fn following(last: &Record) -> micro_plugin_api::store::Cursor {
    Position {
        skip: 0,
        key: last.key.clone(),
    }
    .to_cursor()
}
