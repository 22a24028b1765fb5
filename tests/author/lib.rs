//! A store in one sorted map, as somebody outside of this repository would write it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use micro_plugin_api::prelude::*;

type Rows = BTreeMap<(String, String, String), Record>;

#[derive(Default)]
struct Shelf(Mutex<(Rows, u64)>);

impl Shelf {
    fn open(_: NoSettings, _: Host) -> Result<Self> {
        Ok(Self::default())
    }

    fn rows(&self) -> MutexGuard<'_, (Rows, u64)> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.0.retain(|_, row| !row.has_expired());
        guard
    }
}

impl Store for Shelf {
    async fn read(&self, _: &Call, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        let at = (table.database.into(), table.table.into(), key.into());
        Ok(self.rows().0.get(&at).cloned())
    }

    async fn list(&self, _: &Call, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        let (rows, _) = &*self.rows();
        let rows = rows
            .iter()
            .filter(|(at, _)| Table::new(&at.0, &at.1) == table);
        query.page(rows.map(|(_, row)| row))
    }

    async fn commit(&self, _: &Call, commit: &Commit) -> Result<Version> {
        commit.validate()?;
        let at = |op: &Operation| (op.database.clone(), op.table.clone(), op.key.clone());
        let (rows, version) = &mut *self.rows();
        for op in &commit.operations {
            op.check(rows.get(&at(op)).map(|row| row.version))?;
        }
        *version += 1;
        for op in &commit.operations {
            match op.record(Version(*version)) {
                Some(row) => rows.insert(at(op), row),
                None => rows.remove(&at(op)),
            };
        }
        Ok(Version(*version))
    }

    async fn databases(&self, _: &Call) -> Result<Vec<String>> {
        let mut names: Vec<_> = self.rows().0.keys().map(|at| at.0.clone()).collect();
        names.dedup();
        Ok(names)
    }

    async fn tables(&self, _: &Call, database: &str) -> Result<Vec<String>> {
        let (rows, _) = &*self.rows();
        let within = rows.keys().filter(|at| at.0 == database);
        let mut names: Vec<_> = within.map(|at| at.1.clone()).collect();
        names.dedup();
        Ok(names)
    }
}

export_plugin! { name: "shelf", store: Shelf::open, lacks = ["store.watch"] }
