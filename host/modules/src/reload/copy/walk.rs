//! A walk through two listings side by side, in the order of their keys.

use std::{cmp::Ordering, collections::VecDeque};

use micro_plugin_api::{Result, store::Cursor};

/// What is listed page by page, in the order of keys.
pub(super) trait Listing: Send + Sync {
    type Item: Send;

    /// The items of a page, and where the next one begins if there is one.
    fn page(
        &self,
        cursor: Option<&Cursor>,
    ) -> impl Future<Output = Result<(Vec<Self::Item>, Option<Cursor>)>> + Send;

    fn key(item: &Self::Item) -> &str;
}

/// Two of them.
pub(super) struct SideBySide<L: Listing> {
    old: Walk<L>,
    new: Walk<L>,
}

impl<L: Listing> SideBySide<L> {
    pub(super) fn new(old: L, new: L) -> Self {
        let (old, new) = (Walk::new(old), Walk::new(new));
        Self { old, new }
    }

    /// What the old and the new one have under the next key; neither at the end.
    pub(super) async fn next(&mut self) -> Result<(Option<L::Item>, Option<L::Item>)> {
        let order = match (self.old.peek().await?, self.new.peek().await?) {
            (None, None) => return Ok((None, None)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => L::key(old).cmp(L::key(new)),
        };
        let old = order.is_le().then(|| self.old.items.pop_front());
        let new = order.is_ge().then(|| self.new.items.pop_front());
        Ok((old.flatten(), new.flatten()))
    }
}

struct Walk<L: Listing> {
    listing: L,
    items: VecDeque<L::Item>,
    cursor: Option<Cursor>,
    ended: bool,
}

impl<L: Listing> Walk<L> {
    fn new(listing: L) -> Self {
        Self {
            listing,
            items: VecDeque::new(),
            cursor: None,
            ended: false,
        }
    }

    async fn peek(&mut self) -> Result<Option<&L::Item>> {
        while self.items.is_empty() && !self.ended {
            let (items, next) = self.listing.page(self.cursor.as_ref()).await?;
            self.items = items.into();
            self.ended = next.is_none();
            self.cursor = next;
        }
        Ok(self.items.front())
    }
}
