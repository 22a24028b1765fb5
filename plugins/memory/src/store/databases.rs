//! Which tables there are, and the collection of what has expired in them.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, RwLock},
};

use micro_plugin_api::store::Table;

use super::table::Rows;
use crate::lock::{lock, read, write};

/// How many expired rows one commit collects in a table that it has nothing to do with.
const COLLECTED_AT_ONCE: usize = 128;

type Tables = BTreeMap<String, Arc<RwLock<Rows>>>;

/// Every table of every database. An empty one is forgotten sooner or later.
#[derive(Debug, Default)]
pub(super) struct Databases {
    databases: RwLock<BTreeMap<String, Tables>>,
    /// The database and table that were looked through for expired rows last.
    collected: Mutex<(String, String)>,
}

impl Databases {
    /// The rows of a table, if it has any.
    pub(super) fn get(&self, table: Table<'_>) -> Option<Arc<RwLock<Rows>>> {
        let databases = read(&self.databases);
        databases.get(table.database)?.get(table.table).cloned()
    }

    /// The rows of a table, which begins to exist if it does not yet.
    ///
    /// It is not forgotten while the pointer given here is held.
    pub(super) fn get_or_create(&self, table: Table<'_>) -> Arc<RwLock<Rows>> {
        if let Some(rows) = self.get(table) {
            return rows;
        }
        let mut databases = write(&self.databases);
        let tables = databases.entry(table.database.to_owned()).or_default();
        tables.entry(table.table.to_owned()).or_default().clone()
    }

    /// The databases with a record that has not expired.
    pub(super) fn names(&self) -> Vec<String> {
        let databases = read(&self.databases);
        let live = databases
            .iter()
            .filter(|(_, tables)| tables.values().any(|rows| read(rows).has_live()));
        live.map(|(name, _)| name.clone()).collect()
    }

    /// The tables of a database with a record that has not expired.
    pub(super) fn tables(&self, database: &str) -> Vec<String> {
        let databases = read(&self.databases);
        let tables = databases.get(database).into_iter().flatten();
        let live = tables.filter(|(_, rows)| read(rows).has_live());
        live.map(|(name, _)| name.clone()).collect()
    }

    /// Collects expired rows of one table, another at each call, and forgets it if it is empty.
    pub(super) fn collect_some(&self) {
        let Some((database, table, rows)) = self.next_in_turn() else {
            return;
        };
        let mut guard = write(&rows);
        guard.collect(COLLECTED_AT_ONCE);
        let empty = guard.is_empty();
        drop(guard);
        drop(rows);
        if empty {
            self.forget_if_empty(&database, &table);
        }
    }

    /// The table after the one of last time; from the beginning when that was the last.
    fn next_in_turn(&self) -> Option<(String, String, Arc<RwLock<Rows>>)> {
        let databases = read(&self.databases);
        let mut collected = lock(&self.collected);
        let (database, table) = (&collected.0, &collected.1);
        let behind = (Bound::Excluded(table), Bound::Unbounded);
        let same_database = databases
            .get(database)
            .and_then(|tables| tables.range::<String, _>(behind).next())
            .map(|(table, rows)| (database, table, rows));
        let behind = (Bound::Excluded(database), Bound::Unbounded);
        let (database, table, rows) = same_database.or_else(|| {
            let (database, tables) = databases
                .range::<String, _>(behind)
                .next()
                .or_else(|| databases.first_key_value())?;
            let (table, rows) = tables.first_key_value()?;
            Some((database, table, rows))
        })?;
        let next = (database.clone(), table.clone());
        let rows = rows.clone();
        collected.clone_from(&next);
        Some((next.0, next.1, rows))
    }

    fn forget_if_empty(&self, database: &str, table: &str) {
        let mut databases = write(&self.databases);
        let Some(tables) = databases.get_mut(database) else {
            return;
        };
        // Whoever else holds the rows may be about to write into them; nobody new can get them now.
        let unused = tables
            .get(table)
            .is_some_and(|rows| Arc::strong_count(rows) == 1 && read(rows).is_empty());
        if unused {
            tables.remove(table);
        }
        if tables.is_empty() {
            databases.remove(database);
        }
    }
}

#[cfg(test)]
mod tests {
    use micro_plugin_api::store::{Expiry, Put, Version};

    use super::*;
    use crate::store::table::Row;

    fn insert(databases: &Databases, database: &str, table: &str, expiry: Option<Expiry>) {
        let rows = databases.get_or_create(Table::new(database, table));
        let put = Put {
            expiry,
            ..Put::default()
        };
        write(&rows).insert("k", Row::new(Version(1), &put));
    }

    #[test]
    fn collecting_goes_round_all_tables_and_forgets_empty_ones() {
        let databases = Databases::default();
        for (database, table) in [("a", "1"), ("a", "2"), ("b", ""), ("c", "1")] {
            insert(&databases, database, table, Some(Expiry(1)));
        }
        insert(&databases, "b", "stays", None);
        for _ in 0..10 {
            databases.collect_some();
        }
        let left: Vec<_> = read(&databases.databases)
            .iter()
            .map(|(name, tables)| (name.clone(), tables.len()))
            .collect();
        assert_eq!(left, [("b".to_owned(), 1)]);
    }

    #[test]
    fn a_table_in_use_is_not_forgotten() {
        let databases = Databases::default();
        let held = databases.get_or_create(Table::new("a", "1"));
        databases.collect_some();
        assert!(databases.get(Table::new("a", "1")).is_some());
        drop(held);
        databases.collect_some();
        assert!(databases.get(Table::new("a", "1")).is_none());
    }
}
