//! All pages of a list, as one answer.

use micro_modules::Modules;
use micro_plugin_api::{
    Call, Result,
    store::{ListQuery, Order, Record, Table},
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

/// Gives `take` each record that matches, up to the query's limit, until it is refused.
///
/// A store decides how much a page holds; `limit` zero means everything.
pub(super) async fn each<E>(
    modules: &Modules,
    call: &Call,
    table: Table<'_>,
    query: ListQuery<'_>,
    failed: impl Fn(micro_plugin_api::Error) -> E,
    mut take: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    let (mut left, mut cursor) = (query.limit, None);
    loop {
        let page = ListQuery {
            limit: left,
            cursor: cursor.as_ref(),
            ..query.clone()
        };
        let page = modules
            .store()
            .list(call, table, &page)
            .await
            .map_err(&failed)?;
        let brought = page.records.len();
        page.records.into_iter().try_for_each(&mut take)?;
        let is_full = query.limit > 0 && brought >= left;
        match page.next {
            Some(next) if !is_full => cursor = Some(next),
            _ => return Ok(()),
        }
        left = left.saturating_sub(brought);
    }
}
