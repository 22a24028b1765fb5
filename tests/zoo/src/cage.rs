//! A store that keeps what it is given, and breaks one promise if it is asked to.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use micro_plugin_api::prelude::*;

/// Which promise is broken.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Defect {
    /// None.
    Sound,
    /// Records stay beyond their expiry.
    ForgetExpiry,
    /// Lists are not in the order of the keys.
    LoseOrder,
    /// A record of one table is there in every other.
    LeakTables,
    /// What was acknowledged is gone when the store is opened again.
    LoseWrites,
}

type Rows = BTreeMap<(String, String, String), Record>;
type Kept = Arc<Mutex<(Rows, u64)>>;

/// What each folder of state holds. A library is never unloaded, so that this is where data lasts.
static ALL: LazyLock<Mutex<HashMap<PathBuf, Kept>>> = LazyLock::new(Mutex::default);

/// The store.
pub(crate) struct Cage {
    kept: Kept,
    defect: Defect,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cage {
    /// The store of a folder.
    pub(crate) fn open(defect: Defect, folder: &Path) -> Self {
        let kept = locked(&ALL).entry(folder.to_owned()).or_default().clone();
        if defect == Defect::LoseWrites {
            locked(&kept).0.clear();
        }
        Self { kept, defect }
    }

    fn at(&self, table: Table<'_>, key: &str) -> (String, String, String) {
        let name = match self.defect {
            Defect::LeakTables => "one for all",
            _ => table.table,
        };
        (table.database.into(), name.into(), key.into())
    }

    fn rows(&self) -> MutexGuard<'_, (Rows, u64)> {
        let mut guard = locked(&self.kept);
        if self.defect != Defect::ForgetExpiry {
            guard.0.retain(|_, row| !row.has_expired());
        }
        guard
    }

    pub(crate) fn read(&self, table: Table<'_>, key: &str) -> Option<Record> {
        self.rows().0.get(&self.at(table, key)).cloned()
    }

    pub(crate) fn list(&self, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        let (rows, _) = &*self.rows();
        let (database, table, _) = self.at(table, "");
        let rows = rows
            .iter()
            .filter(|(at, _)| at.0 == database && at.1 == table);
        let mut page = query.page(rows.map(|(_, row)| row))?;
        if self.defect == Defect::LoseOrder {
            page.records.reverse();
        }
        Ok(page)
    }

    pub(crate) fn commit(&self, commit: &Commit) -> Result<Version> {
        commit.validate()?;
        let at = |op: &Operation| self.at(Table::new(&op.database, &op.table), &op.key);
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

    pub(crate) fn databases(&self) -> Vec<String> {
        let mut names: Vec<_> = self.rows().0.keys().map(|at| at.0.clone()).collect();
        names.dedup();
        names
    }

    pub(crate) fn tables(&self, database: &str) -> Vec<String> {
        let (rows, _) = &*self.rows();
        let within = rows.keys().filter(|at| at.0 == database);
        let mut names: Vec<_> = within.map(|at| at.1.clone()).collect();
        names.dedup();
        names
    }
}
