//! One page of a list: a bounded look at a range of keys.

use std::{ops::Bound, sync::RwLock};

use micro_plugin_api::{
    Result,
    store::{Fields, ListQuery, Order, Page, Position},
};

use super::table::{Row, Rows};
use crate::lock::read;

/// The most records of a page whose query names no limit, or a larger one.
const PAGE: usize = 1_000;

/// The most records that are looked at for one page. A list holds the table's lock, so a suffix
/// that matches nothing among millions must not hold up writers until it has seen them all.
const LOOKED_AT: usize = 10_000;

/// The page that a query asks for; an empty one where there is no table.
pub(super) fn page(table: Option<&RwLock<Rows>>, query: &ListQuery<'_>) -> Result<Page> {
    let position = query.cursor.map(Position::from_cursor).transpose()?;
    let Some(table) = table else {
        return Ok(Page::default());
    };
    let rows = read(table);
    let beyond = beyond_prefix(query.prefix);
    let (mut from, mut to) = (
        Bound::Included(query.prefix),
        beyond.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
    );
    if let Some(position) = &position {
        // A cursor of another query must not panic or lead out of the prefix.
        if !position.key.starts_with(query.prefix) {
            return Ok(Page::default());
        }
        match query.order {
            Order::Ascending => from = Bound::Excluded(&position.key),
            Order::Descending => to = Bound::Excluded(&position.key),
        }
    }
    let skip = position
        .as_ref()
        .map_or(query.skip, |position| position.skip);
    let rows = rows.range(from, to);
    Ok(match query.order {
        Order::Ascending => fill(rows, skip, query),
        Order::Descending => fill(rows.rev(), skip, query),
    })
}

fn fill<'a>(
    rows: impl Iterator<Item = (&'a str, &'a Row)>,
    mut skip: u64,
    query: &ListQuery<'_>,
) -> Page {
    let limit = match query.limit {
        0 => PAGE,
        limit => limit.min(PAGE),
    };
    let mut page = Page::default();
    let mut last: Option<&str> = None;
    for (looked_at, (key, row)) in rows.enumerate() {
        if page.records.len() == limit || looked_at == LOOKED_AT {
            page.next = last.map(|key| {
                let position = Position {
                    skip,
                    key: key.to_owned(),
                };
                position.to_cursor()
            });
            break;
        }
        last = Some(key);
        if !key.ends_with(query.suffix) || row.has_expired() {
            continue;
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        page.records.push(match query.fields {
            Fields::All => row.to_record(key),
            Fields::Keys => row.to_key(key),
        });
    }
    page
}

/// The smallest text that is greater than everything with this prefix, if there is one.
fn beyond_prefix(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            // The code points of surrogates are no characters.
            '\u{d7ff}' => Some('\u{e000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_a_prefix() {
        for (prefix, beyond) in [
            ("", None),
            ("a", Some("b")),
            ("a/", Some("a0")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}\u{10ffff}", None),
        ] {
            assert_eq!(beyond_prefix(prefix).as_deref(), beyond, "{prefix:?}");
        }
    }
}
