//! One page of a list: a bounded look at a range of keys.

use std::ops::Bound;

use micro_plugin_api::{
    Result,
    store::{Cursor, Fields, ListQuery, Order, Page, Position, Table},
};

use super::{engine::Open, key, record};

/// The most records of a page whose query names no limit, or a larger one.
const PAGE: usize = 1_000;

/// The most bytes of values and metadata of a page, beside its last record.
const PAGE_BYTES: usize = 4 << 20;

/// The most records that are looked at for one page: a suffix that matches nothing among millions
/// must not keep a thread until it has seen them all.
const LOOKED_AT: usize = 10_000;

/// The page that a query asks for.
///
/// # Errors
/// `invalid` for a cursor of somebody else; `internal`, naming the record, if one is damaged:
/// leaving it out would say that it is not there.
pub(super) fn page(engine: &Open, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
    let position = query.cursor.map(Position::from_cursor).transpose()?;
    let table_prefix = key::of_table(table);
    let prefix = [&table_prefix, query.prefix.as_bytes()].concat();
    let (mut from, mut to) = (
        Bound::Included(prefix.clone()),
        Bound::Excluded(key::beyond(&prefix)),
    );
    if let Some(position) = &position {
        // A cursor of another query must not lead out of the prefix.
        if !position.key.starts_with(query.prefix) {
            return Ok(Page::default());
        }
        let last = Bound::Excluded([&table_prefix, position.key.as_bytes()].concat());
        match query.order {
            Order::Ascending => from = last,
            Order::Descending => to = last,
        }
    }
    let filling = Filling {
        engine,
        table,
        query,
        table_prefix: table_prefix.len(),
        skip: position
            .as_ref()
            .map_or(query.skip, |position| position.skip),
    };
    let range = engine.range(from, to);
    match query.order {
        Order::Ascending => filling.fill(range),
        Order::Descending => filling.fill(range.rev()),
    }
}

struct Filling<'a> {
    engine: &'a Open,
    table: Table<'a>,
    query: &'a ListQuery<'a>,
    /// How many bytes of a key stand before the record's own.
    table_prefix: usize,
    skip: u64,
}

impl Filling<'_> {
    fn fill(mut self, range: impl Iterator<Item = fjall::Guard>) -> Result<Page> {
        let limit = match self.query.limit {
            0 => PAGE,
            limit => limit.min(PAGE),
        };
        let (mut page, mut last, mut bytes) = (Page::default(), None, 0);
        for (looked_at, entry) in range.enumerate() {
            if page.records.len() == limit || bytes >= PAGE_BYTES || looked_at == LOOKED_AT {
                page.next = last.map(|last| self.cursor(last));
                break;
            }
            let (place, value) = entry
                .into_inner()
                .map_err(|error| self.engine.unreadable(self.table, last.as_deref(), &error))?;
            let name = place.get(self.table_prefix..).unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            let damaged = |_| self.engine.damaged(self.table, &name);
            let head = record::verify(&place, &value).map_err(damaged)?;
            if !head.has_expired() && name.ends_with(self.query.suffix) {
                if self.skip > 0 {
                    self.skip -= 1;
                } else {
                    page.records.push(match self.query.fields {
                        Fields::All => {
                            bytes += value.len();
                            record::decode(&place, &name, &value).map_err(damaged)?
                        }
                        Fields::Keys => record::only_key(head, &name),
                    });
                }
            }
            last = Some(name);
        }
        Ok(page)
    }

    fn cursor(&self, key: String) -> Cursor {
        let skip = self.skip;
        Position { skip, key }.to_cursor()
    }
}
