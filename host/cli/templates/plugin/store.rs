//! A store in one sorted map, to begin from.

use std::{collections::BTreeMap, sync::Mutex, sync::MutexGuard, sync::PoisonError};

use micro_plugin_api::{prelude::*, store};

/// The records by database, table and key, and the version of the last commit.
#[derive(Default)]
struct Backend(Mutex<(BTreeMap<[String; 3], Record>, u64)>);

impl Backend {
    fn open(_: NoSettings, _: Host) -> Result<Self> {
        Ok(Self::default())
    }

    fn rows(&self) -> MutexGuard<'_, (BTreeMap<[String; 3], Record>, u64)> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.0.retain(|_, row| !row.has_expired());
        guard
    }
}

impl Store for Backend {
    async fn read(&self, _: &Call, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        let at = [table.database, table.table, key].map(str::to_owned);
        Ok(self.rows().0.get(&at).cloned())
    }

    async fn list(&self, _: &Call, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        let (rows, _) = &*self.rows();
        let of_table = |at: &[String; 3]| Table::new(&at[0], &at[1]) == table;
        query.page(rows.iter().filter(|row| of_table(row.0)).map(|row| row.1))
    }

    async fn commit(&self, _: &Call, commit: &Commit) -> Result<Version> {
        commit.validate()?;
        let at = |op: &Operation| [&op.database, &op.table, &op.key].map(Clone::clone);
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
        Ok(store::distinct(self.rows().0.keys().map(|at| &at[0])))
    }

    async fn tables(&self, _: &Call, database: &str) -> Result<Vec<String>> {
        let (rows, _) = &*self.rows();
        let within = rows.keys().filter(|at| at[0] == database);
        Ok(store::distinct(within.map(|at| &at[1])))
    }
}

export_plugin! { name: "shelf", store: Backend::open, run = inline, lacks = ["store.watch"] }

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_contract() {
    let open = async || Backend::open(NoSettings {}, Host::new("", "", "")).map(StoreHandle::new);
    let suite = micro_plugin_conformance::store::suite().of(&PLUGIN.capabilities());
    suite.run(open).await.assert_passed();
}
