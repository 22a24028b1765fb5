//! Where a walk through a store goes on, also when the store has been replaced meanwhile.

use micro_plugin_api::{
    Call, Error, Result, StoreHandle,
    store::{Cursor, ListQuery, Order, Page, Table},
};

/// A cursor, and what it takes to go on in another store.
pub(super) struct Place {
    /// The instance that gave the cursor.
    pub(super) generation: u64,
    /// The last key that was brought; `None` if none was yet.
    pub(super) last: Option<String>,
    /// The cursor as that instance gave it.
    pub(super) cursor: Cursor,
}

impl Place {
    /// As one text: `GENERATION/LENGTH/LAST CURSOR`; without a last key there is no length.
    pub(super) fn to_cursor(&self) -> Cursor {
        let (length, last) = match &self.last {
            Some(last) => (last.len().to_string(), last.as_str()),
            None => (String::new(), ""),
        };
        Cursor(format!(
            "{}/{length}/{last}{}",
            self.generation, self.cursor.0
        ))
    }

    /// # Errors
    /// `invalid` for text that is none of [`Place::to_cursor`].
    pub(super) fn from_cursor(cursor: &Cursor) -> Result<Self> {
        let parsed = || {
            let (generation, rest) = cursor.0.split_once('/')?;
            let (length, rest) = rest.split_once('/')?;
            let (last, cursor) = match length {
                "" => (None, rest),
                length => {
                    let (last, cursor) = rest.split_at_checked(length.parse().ok()?)?;
                    (Some(last.to_owned()), cursor)
                }
            };
            Some(Self {
                generation: generation.parse().ok()?,
                last,
                cursor: Cursor(cursor.to_owned()),
            })
        };
        parsed().ok_or_else(|| {
            Error::invalid(
                "the cursor is not one that this store gave; begin the walk again without one",
            )
        })
    }

    /// The next page from a store that did not give the cursor: walks to where the reader is.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn find_again(
        &self,
        store: &StoreHandle,
        call: &Call,
        table: Table<'_>,
        query: &ListQuery<'_>,
    ) -> Result<Page> {
        let Some(last) = &self.last else {
            let query = ListQuery {
                cursor: None,
                ..query.clone()
            };
            return store.list(call, table, &query).await;
        };
        let mut cursor = None;
        loop {
            let query = ListQuery {
                cursor: cursor.as_ref(),
                // What was to be passed over was, before the last key.
                skip: 0,
                ..query.clone()
            };
            let mut page = store.list(call, table, &query).await?;
            page.records.retain(|record| match query.order {
                Order::Ascending => record.key > *last,
                Order::Descending => record.key < *last,
            });
            match page.next.take() {
                Some(next) if page.records.is_empty() => cursor = Some(next),
                next => {
                    page.next = next;
                    return Ok(page);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_last_key_and_any_cursor_come_back() {
        for last in [None, Some(""), Some("a/b"), Some("🦀/3/")] {
            for cursor in ["", "after/1/0/x", "🦀"] {
                let place = Place {
                    generation: 7,
                    last: last.map(str::to_owned),
                    cursor: Cursor(cursor.to_owned()),
                };
                let again = Place::from_cursor(&place.to_cursor()).unwrap();
                assert_eq!(again.generation, 7);
                assert_eq!(again.last.as_deref(), last);
                assert_eq!(again.cursor.0, cursor);
            }
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "x", "1", "1/9/short", "1/x/y", "/1/y"] {
            assert!(
                Place::from_cursor(&Cursor(text.to_owned())).is_err(),
                "{text}"
            );
        }
    }
}
