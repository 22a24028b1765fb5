//! The pages of a list, one after the other.

use micro_modules::Modules;
use micro_plugin_api::{
    Call,
    store::{Cursor, ListQuery, Order, Record, Table},
};

/// The direction that a request names: `desc`, or anything else for ascending.
pub(super) fn order(name: &str) -> Order {
    match name {
        "desc" => Order::Descending,
        _ => Order::Ascending,
    }
}

/// A count of the wire, where zero means no limit, for a machine whose counts may be smaller.
pub(super) fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A walk over the pages of a list, up to the query's limit. A store decides how much a page holds;
/// `limit` zero means everything.
pub(super) struct Walk {
    limit: usize,
    left: usize,
    cursor: Option<Cursor>,
    ended: bool,
}

impl Walk {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            left: limit,
            cursor: None,
            ended: false,
        }
    }

    /// The records of the next page of `query`; `None` behind the last one.
    pub(super) async fn next(
        &mut self,
        modules: &Modules,
        call: &Call,
        table: Table<'_>,
        query: &ListQuery<'_>,
    ) -> micro_plugin_api::Result<Option<Vec<Record>>> {
        if self.ended {
            return Ok(None);
        }
        let page = ListQuery {
            limit: self.left,
            cursor: self.cursor.as_ref(),
            ..query.clone()
        };
        let page = modules.store().list(call, table, &page).await?;
        let is_full = self.limit > 0 && page.records.len() >= self.left;
        self.left = self.left.saturating_sub(page.records.len());
        self.ended = is_full || page.next.is_none();
        self.cursor = page.next;
        Ok(Some(page.records))
    }
}

/// Gives `take` each record that matches, up to the query's limit, until it is refused.
pub(super) async fn each<E>(
    modules: &Modules,
    call: &Call,
    table: Table<'_>,
    query: ListQuery<'_>,
    failed: impl Fn(micro_plugin_api::Error) -> E,
    mut take: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    let mut walk = Walk::new(query.limit);
    while let Some(records) = walk
        .next(modules, call, table, &query)
        .await
        .map_err(&failed)?
    {
        records.into_iter().try_for_each(&mut take)?;
    }
    Ok(())
}
