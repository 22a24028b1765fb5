//! One table: its rows by key, and which of them expire when.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;
use micro_plugin_api::store::{Expiry, Put, Record, Version};

/// A record without its key.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) version: Version,
    pub(super) expiry: Option<Expiry>,
    value: Bytes,
    metadata: BTreeMap<String, String>,
}

impl Row {
    pub(super) fn new(version: Version, put: &Put) -> Self {
        Self {
            version,
            expiry: put.expiry,
            value: put.value.clone(),
            metadata: put.metadata.clone(),
        }
    }

    pub(super) fn has_expired(&self) -> bool {
        self.expiry.is_some_and(Expiry::has_passed)
    }

    pub(super) fn to_record(&self, key: &str) -> Record {
        Record {
            key: key.to_owned(),
            value: self.value.clone(),
            metadata: self.metadata.clone(),
            version: self.version,
            expiry: self.expiry,
        }
    }

    /// The record as a list of keys brings it.
    pub(super) fn to_key(&self, key: &str) -> Record {
        Record {
            key: key.to_owned(),
            value: Bytes::new(),
            metadata: BTreeMap::new(),
            version: self.version,
            expiry: self.expiry,
        }
    }
}

/// The rows of a table. Those that have expired stay until they are collected.
#[derive(Debug, Default)]
pub(super) struct Rows {
    by_key: BTreeMap<Arc<str>, Row>,
    by_expiry: BTreeSet<(Expiry, Arc<str>)>,
}

impl Rows {
    pub(super) fn get(&self, key: &str) -> Option<&Row> {
        self.by_key.get(key)
    }

    /// The rows between two bounds, in key order.
    pub(super) fn range<'a>(
        &'a self,
        from: Bound<&str>,
        to: Bound<&str>,
    ) -> impl DoubleEndedIterator<Item = (&'a str, &'a Row)> {
        let rows = self.by_key.range::<str, _>((from, to));
        rows.map(|(key, row)| (&**key, row))
    }

    pub(super) fn insert(&mut self, key: &str, row: Row) {
        let key: Arc<str> = Arc::from(key);
        if let Some(expiry) = row.expiry {
            self.by_expiry.insert((expiry, key.clone()));
        }
        let former = self.by_key.insert(key.clone(), row);
        self.forget_expiry(key, former);
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some((key, row)) = self.by_key.remove_entry(key) {
            self.forget_expiry(key, Some(row));
        }
    }

    /// Takes the former row's entry out of the expiries, unless the row that is there now has the
    /// same one.
    fn forget_expiry(&mut self, key: Arc<str>, former: Option<Row>) {
        let now = self.by_key.get(&key).and_then(|row| row.expiry);
        match former.and_then(|row| row.expiry) {
            Some(expiry) if now != Some(expiry) => {
                self.by_expiry.remove(&(expiry, key));
            }
            _ => {}
        }
    }

    /// Removes expired rows, at most `limit`, and says how many.
    pub(super) fn collect(&mut self, limit: usize) -> usize {
        for count in 0..limit {
            match self.by_expiry.first() {
                Some((expiry, _)) if expiry.has_passed() => {}
                _ => return count,
            }
            if let Some((_, key)) = self.by_expiry.pop_first() {
                self.by_key.remove(&key);
            }
        }
        limit
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Whether a row is there that has not expired. Cheap as long as the expired ones are few.
    pub(super) fn has_live(&self) -> bool {
        let expired = self
            .by_expiry
            .iter()
            .take_while(|(expiry, _)| expiry.has_passed())
            .count();
        expired < self.by_key.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(expiry: Option<Expiry>) -> Row {
        let put = Put {
            expiry,
            ..Put::default()
        };
        Row::new(Version(1), &put)
    }

    #[test]
    fn expiries_follow_the_rows() {
        let far = Expiry(u64::MAX);
        let mut rows = Rows::default();
        rows.insert("a", put(Some(Expiry(1))));
        rows.insert("a", put(Some(far)));
        rows.insert("b", put(Some(far)));
        rows.insert("b", put(Some(far)));
        rows.insert("c", put(Some(far)));
        rows.insert("c", put(None));
        rows.insert("d", put(Some(far)));
        rows.remove("d");
        let expiries: Vec<_> = rows
            .by_expiry
            .iter()
            .map(|(at, key)| (*at, &**key))
            .collect();
        assert_eq!(expiries, [(far, "a"), (far, "b")]);
    }

    #[test]
    fn collecting_takes_expired_rows_alone_and_no_more_than_told() {
        let mut rows = Rows::default();
        for i in 0..5 {
            rows.insert(&format!("past{i}"), put(Some(Expiry(i + 1))));
        }
        rows.insert("future", put(Some(Expiry(u64::MAX))));
        rows.insert("for good", put(None));
        assert_eq!(rows.collect(3), 3);
        assert_eq!(rows.collect(3), 2);
        assert_eq!(rows.collect(3), 0);
        let keys: Vec<_> = rows.by_key.keys().map(|key| &**key).collect();
        assert_eq!(keys, ["for good", "future"]);
    }
}
