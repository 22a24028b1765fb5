//! One page of a list: ranges of etcd's keys, with their values only where those are wanted.

use std::collections::BTreeMap;

use etcd_client::{GetOptions, KeyValue, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse};
use micro_plugin_api::{
    Bytes, Call, Result,
    store::{Cursor, Fields, ListQuery, Order, Page, Position, Record, Table},
};

use super::{EtcdStore, damaged, record};
use crate::{
    client::{Failure, Repeat},
    names,
};

/// The most records of a page whose query names no limit, or a larger one.
const PAGE: usize = 1_000;

/// The most keys that are looked at for one page: a suffix that matches nothing among millions must
/// not hold up a call for minutes.
const LOOKED_AT: usize = 10_000;

/// How many keys without their values are asked for at once.
const KEYS: usize = 1_000;

/// How many values are asked for one by one in one request.
const AT_ONCE: usize = 16;

/// How many values are asked for at once as long as nothing is known of their size: what one answer
/// can hold, whatever it is.
const VALUES: usize = 16;

/// How many values are asked for at once when they have been small so far.
const VALUES_AT_MOST: usize = 512;

/// How many bytes of values one answer should have, and at which a page is full.
const BYTES: usize = 4 << 20;

/// The page that a query asks for.
pub(super) async fn page(
    store: &EtcdStore,
    call: &Call,
    table: Table<'_>,
    query: &ListQuery<'_>,
) -> Result<Page> {
    let position = query.cursor.map(Position::from_cursor).transpose()?;
    let (mut from, mut to) = {
        let from = store.keys.of_record(table, query.prefix);
        let to = names::beyond(&from);
        (from, to)
    };
    if let Some(position) = &position {
        // A cursor of another query must not lead out of the prefix.
        if !position.key.starts_with(query.prefix) {
            return Ok(Page::default());
        }
        let place = store.keys.of_record(table, &position.key);
        match query.order {
            Order::Ascending => from = behind(place),
            Order::Descending => to = place,
        }
    }
    let walk = Walk {
        store,
        call,
        table,
        query,
        table_prefix: store.keys.of_table(table).len(),
        skip: position.map_or(query.skip, |position| position.skip),
        limit: match query.limit {
            0 => PAGE,
            limit => limit.min(PAGE),
        },
        from,
        to,
        page: Page::default(),
    };
    walk.run().await
}

/// The first key behind this one.
fn behind(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// A page that is being filled.
struct Walk<'a> {
    store: &'a EtcdStore,
    call: &'a Call,
    table: Table<'a>,
    query: &'a ListQuery<'a>,
    table_prefix: usize,
    /// How many matches are still to be passed over.
    skip: u64,
    limit: usize,
    /// What is still to be looked at.
    from: Vec<u8>,
    to: Vec<u8>,
    page: Page,
}

impl Walk<'_> {
    async fn run(mut self) -> Result<Page> {
        // Values of records that are not wanted are not brought.
        let keys_first = !self.query.suffix.is_empty() || self.query.fields == Fields::Keys;
        let (mut looked_at, mut bytes, mut at_once) = (0, 0, VALUES);
        loop {
            let keys_alone = keys_first || self.skip > 0;
            let wanted = match keys_alone {
                true => KEYS,
                false => at_once.min(self.limit - self.page.records.len()),
            };
            let (found, more) = match self.range(wanted, keys_alone).await {
                // Larger ones than those before.
                Err(failure) if failure.is_too_large() && wanted > 1 => {
                    at_once = wanted / 2;
                    continue;
                }
                done => done?,
            };
            let Some(last) = found.last().map(|stored| stored.key().to_vec()) else {
                return Ok(self.page);
            };
            looked_at += found.len();
            let size: usize = found.iter().map(|stored| stored.value().len()).sum();
            bytes += size;
            at_once = (BYTES / (size / found.len()).max(1)).clamp(1, VALUES_AT_MOST);
            let end = match keys_alone {
                true => self.take_keys(found).await?,
                false => {
                    self.take(found)?;
                    None
                }
            };
            if let Some(end) = end.filter(|end| more || *end != last) {
                // The page is full; there may be more behind it.
                self.page.next = Some(self.cursor(&end));
                return Ok(self.page);
            }
            if !more {
                return Ok(self.page);
            }
            if looked_at >= LOOKED_AT || bytes >= BYTES || self.page.records.len() == self.limit {
                self.page.next = Some(self.cursor(&last));
                return Ok(self.page);
            }
            self.go_on_behind(last);
        }
    }

    /// The next keys to look at, in the query's order, and whether there are more behind them.
    async fn range(
        &self,
        limit: usize,
        keys_alone: bool,
    ) -> Result<(Vec<KeyValue>, bool), Failure> {
        let mut options = GetOptions::new()
            .with_range(self.to.clone())
            .with_limit(limit.try_into().unwrap_or(i64::MAX));
        if keys_alone {
            options = options.with_keys_only();
        }
        if self.query.order == Order::Descending {
            options = options.with_sort(SortTarget::Key, SortOrder::Descend);
        }
        let mut answer = self
            .store
            .etcd
            .run(self.call, Repeat::Always, |mut clients| {
                let (from, options) = (self.from.clone(), options.clone());
                async move { clients.kv.get(from, Some(options)).await }
            })
            .await?;
        Ok((answer.take_kvs(), answer.more()))
    }

    fn go_on_behind(&mut self, key: Vec<u8>) {
        match self.query.order {
            Order::Ascending => self.from = behind(key),
            Order::Descending => self.to = key,
        }
    }

    /// Takes records that came with their values.
    fn take(&mut self, found: Vec<KeyValue>) -> Result<()> {
        for stored in found {
            self.add(stored)?;
        }
        Ok(())
    }

    /// Takes records of which only the keys came, and asks for the values that are needed: those
    /// that are wanted, and those with a lease, which may have expired. The key behind which
    /// something is left, when the page is full.
    async fn take_keys(&mut self, mut found: Vec<KeyValue>) -> Result<Option<Vec<u8>>> {
        let suffix = self.query.suffix.as_bytes();
        found.retain(|stored| stored.key()[self.table_prefix..].ends_with(suffix));
        let mut bytes = 0;
        for group in found.chunks(AT_ONCE) {
            let brings_values =
                self.query.fields == Fields::All && self.skip < group.len().try_into().unwrap_or(0);
            let needed = group.iter().filter(|key| brings_values || key.lease() != 0);
            let brought = values(self.store, self.call, needed.map(KeyValue::key)).await?;
            let mut brought = brought.into_iter().peekable();
            for key in group {
                if let Some(stored) = brought.next_if(|stored| stored.key() == key.key()) {
                    bytes += stored.value().len();
                    self.add(stored)?;
                } else if key.lease() == 0 && !brings_values {
                    self.add_key(key);
                }
                // What is not there any more was deleted meanwhile.
                if self.page.records.len() == self.limit {
                    return Ok(Some(key.key().to_vec()));
                }
            }
            if bytes >= BYTES {
                return Ok(group.last().map(|key| key.key().to_vec()));
            }
        }
        Ok(None)
    }

    /// Adds a record to the page unless it has expired, or is one of those to be passed over.
    fn add(&mut self, stored: KeyValue) -> Result<()> {
        let key = self.key(stored.key());
        let record = record::decode(key.clone(), stored);
        let record = record.ok_or_else(|| damaged(self.table, &key))?;
        if !record.has_expired() {
            self.push(record.with_fields(self.query.fields));
        }
        Ok(())
    }

    /// Adds a record of which only the key is known, since nothing else is wanted of it.
    fn add_key(&mut self, stored: &KeyValue) {
        self.push(Record {
            key: self.key(stored.key()),
            value: Bytes::new(),
            metadata: BTreeMap::new(),
            version: record::version(stored.mod_revision()),
            expiry: None,
        });
    }

    fn push(&mut self, record: Record) {
        if self.skip > 0 {
            self.skip -= 1;
        } else {
            self.page.records.push(record);
        }
    }

    /// The key that a record has in its table.
    fn key(&self, place: &[u8]) -> String {
        let key = place.get(self.table_prefix..).unwrap_or_default();
        String::from_utf8_lossy(key).into_owned()
    }

    /// Where to go on behind a key.
    fn cursor(&self, place: &[u8]) -> Cursor {
        let (skip, key) = (self.skip, self.key(place));
        Position { skip, key }.to_cursor()
    }
}

/// What is stored under each of these keys now, in their order; nothing for those that are gone.
pub(super) async fn values(
    store: &EtcdStore,
    call: &Call,
    keys: impl Iterator<Item = &[u8]>,
) -> Result<Vec<KeyValue>> {
    let looks: Vec<_> = keys.map(|key| TxnOp::get(key, None)).collect();
    let mut found = Vec::with_capacity(looks.len());
    for looks in looks.chunks(AT_ONCE) {
        let txn = Txn::new().and_then(looks);
        let answer = store
            .etcd
            .run(call, Repeat::Always, |mut clients| {
                let txn = txn.clone();
                async move { clients.kv.txn(txn).await }
            })
            .await?;
        for response in answer.op_responses() {
            if let TxnOpResponse::Get(mut response) = response {
                found.extend(response.take_kvs());
            }
        }
    }
    Ok(found)
}
