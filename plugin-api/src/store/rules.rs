//! What every store has to do alike, for the author of one: checks of commits, pages of a sorted map.

use std::collections::HashSet;

use super::{
    Commit, Expiry, Fields, ListQuery, Operation, Order, Page, Position, Precondition, Record,
    RecordChange, Table, Version,
};
use crate::{Error, Result};

impl Commit {
    /// Checks what needs no look at the store: the number of operations, the length of names and
    /// keys, and that no key stands there twice.
    ///
    /// # Errors
    /// `invalid`, saying which.
    pub fn validate(&self) -> Result<()> {
        let count = self.operations.len();
        if count > Self::MAX_OPERATIONS {
            return Err(Error::invalid(format!(
                "a commit of {count} operations; at most {} go into one",
                Self::MAX_OPERATIONS
            )));
        }
        let mut seen = HashSet::with_capacity(count);
        for operation in &self.operations {
            operation.validate()?;
            if count > 1 && !seen.insert((operation.table(), &operation.key)) {
                return Err(Error::invalid(format!(
                    "{} twice in one commit; name each key once",
                    operation.place()
                )));
            }
        }
        Ok(())
    }
}

impl Table<'_> {
    /// The longest name of a database or a table, in bytes.
    pub const MAX_NAME: usize = 512;

    /// Checks the length of its names.
    ///
    /// # Errors
    /// `invalid`, saying which is too long.
    pub fn validate(&self) -> Result<()> {
        for (what, name) in [("database", self.database), ("table", self.table)] {
            if name.len() > Self::MAX_NAME {
                return Err(Error::invalid(format!(
                    "the name of a {what} has {} bytes; at most {} are taken",
                    name.len(),
                    Self::MAX_NAME
                )));
            }
        }
        Ok(())
    }
}

/// Checks the length of a key, or of a part of one.
pub(super) fn validate_key(key: &str) -> Result<()> {
    if key.len() > Operation::MAX_KEY {
        return Err(Error::invalid(format!(
            "a key of {} bytes; at most {} are taken",
            key.len(),
            Operation::MAX_KEY
        )));
    }
    Ok(())
}

impl Operation {
    /// The longest key, in bytes: what every backend can be made to take.
    pub const MAX_KEY: usize = 16 << 10;

    /// Checks the length of its names and its key.
    ///
    /// # Errors
    /// `invalid`, saying which is too long.
    pub fn validate(&self) -> Result<()> {
        self.table().validate()?;
        validate_key(&self.key)
    }

    /// The table that it is about.
    pub fn table(&self) -> Table<'_> {
        Table::new(&self.database, &self.table)
    }

    /// Checks the precondition against the version of the record that is there, which must not
    /// have expired.
    ///
    /// # Errors
    /// `conflict`, naming the key.
    pub fn check(&self, there: Option<Version>) -> Result<()> {
        let why = match (self.precondition, there) {
            (Precondition::Any, _) | (Precondition::Absent, None) => return Ok(()),
            (Precondition::Version(wanted), Some(version)) if wanted == version => return Ok(()),
            (Precondition::Absent, Some(_)) => "exists already",
            (Precondition::Version(_), Some(_)) => "has changed since the version that was named",
            (Precondition::Version(_), None) => "is absent, and the commit names a version of it",
        };
        Err(Error::conflict(format!(
            "{} {why}; read it again and decide anew",
            self.place()
        )))
    }

    /// The record that it puts under `version`; `None` if it deletes.
    pub fn record(&self, version: Version) -> Option<Record> {
        let put = self.put.as_ref()?;
        Some(Record {
            key: self.key.clone(),
            value: put.value.clone(),
            metadata: put.metadata.clone(),
            version,
            expiry: put.expiry,
        })
    }

    /// What it did, for those who watch, once it was applied under `version`.
    pub fn change(&self, version: Version) -> RecordChange {
        match self.record(version) {
            Some(record) => RecordChange::Put(record),
            None => RecordChange::Deleted {
                key: self.key.clone(),
                version,
            },
        }
    }

    fn place(&self) -> String {
        format!(
            "key {:?} of table {:?} in database {:?}",
            self.key, self.table, self.database
        )
    }
}

impl Record {
    /// Whether its expiry has come, so that it is absent.
    pub fn has_expired(&self) -> bool {
        self.expiry.is_some_and(Expiry::has_passed)
    }

    /// The record as a page of `fields` brings it.
    #[must_use]
    pub fn with_fields(self, fields: Fields) -> Self {
        match fields {
            Fields::All => self,
            Fields::Keys => Self {
                value: crate::Bytes::new(),
                metadata: std::collections::BTreeMap::new(),
                ..self
            },
        }
    }
}

impl ListQuery<'_> {
    /// The page of this query out of all records of a table in key order: for a store that has
    /// them at hand. It looks at every record, and its cursors are those of [`Position`].
    ///
    /// # Errors
    /// `invalid` for a cursor that is not one.
    pub fn page<'r>(&self, records: impl DoubleEndedIterator<Item = &'r Record>) -> Result<Page> {
        let position = self.cursor.map(Position::from_cursor).transpose()?;
        Ok(match self.order {
            Order::Ascending => self.fill(records, position),
            Order::Descending => self.fill(records.rev(), position),
        })
    }

    fn fill<'r>(
        &self,
        records: impl Iterator<Item = &'r Record>,
        position: Option<Position>,
    ) -> Page {
        let skip = position.as_ref().map_or(self.skip, |at| at.skip);
        let is_ahead = |key: &str| match (&position, self.order) {
            (None, _) => true,
            (Some(at), Order::Ascending) => key > at.key.as_str(),
            (Some(at), Order::Descending) => key < at.key.as_str(),
        };
        let mut matching = records
            .filter(|record| is_ahead(&record.key) && !record.has_expired())
            .filter(|record| record.key.starts_with(self.prefix))
            .filter(|record| record.key.ends_with(self.suffix))
            .skip(skip.try_into().unwrap_or(usize::MAX));
        let limit = match self.limit {
            0 => usize::MAX,
            limit => limit,
        };
        let records = matching.by_ref().take(limit);
        let records = records.map(|record| record.clone().with_fields(self.fields));
        let records: Vec<_> = records.collect();
        let is_cut = matching.next().is_some();
        let last = records.last().filter(|_| is_cut);
        let next = last.map(|last| {
            let key = last.key.clone();
            Position { skip: 0, key }.to_cursor()
        });
        Page { records, next }
    }
}

/// Each name once, out of names in order: what [`Store::databases`](super::Store::databases) and
/// [`Store::tables`](super::Store::tables) answer, for a store that walks its records.
pub fn distinct<'a>(sorted: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<&String> = sorted.into_iter().collect();
    names.dedup();
    names.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Cursor, Put};

    fn records(count: usize) -> Vec<Record> {
        let operations = (0..count).fold(Commit::new(), |commit, i| {
            let put = Put {
                expiry: (i % 10 == 9).then_some(Expiry(1)),
                ..Put::default()
            };
            commit.put(
                Table::new("d", "t"),
                format!("k{i:02}"),
                Precondition::Any,
                put,
            )
        });
        let operations = operations.operations.iter();
        operations.filter_map(|op| op.record(Version(1))).collect()
    }

    #[test]
    fn pages_hold_what_is_asked_for_and_lead_on() {
        let records = records(30);
        for (order, wanted) in [
            (Order::Ascending, ["k05", "k15", "k25"]),
            (Order::Descending, ["k25", "k15", "k05"]),
        ] {
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let query = ListQuery {
                    suffix: "5",
                    limit: 1,
                    order,
                    cursor: cursor.as_ref(),
                    ..ListQuery::default()
                };
                let page = query.page(records.iter()).unwrap();
                seen.extend(page.records.into_iter().map(|record| record.key));
                match page.next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            assert_eq!(seen, wanted);
        }
        let query = ListQuery {
            skip: 26,
            ..ListQuery::default()
        };
        let page = query.page(records.iter()).unwrap();
        assert_eq!((page.records.len(), page.next), (1, None));
        let foreign = Cursor("k05".to_owned());
        let query = ListQuery {
            cursor: Some(&foreign),
            ..ListQuery::default()
        };
        assert!(query.page(records.iter()).is_err());
    }
}
