//! `micro.store/1` and `micro.store.watch/1` over the instance's store.

use abi_stable::std_types::{ROption, RStr, RString, RVec};

use futures::StreamExt;

use super::{
    instance::{Instance, Method},
    run,
};
use crate::{
    Call,
    abi::{
        guard::{self, Future},
        records::{CallRecord, InstanceRef},
        store_records::{
            ListRef, OperationRef, OwnedListQuery, PageRecord, RecordChangeRecord, RecordRecord,
            TableRef, own_commit,
        },
        stream::StreamRecord,
        tables::{StoreTable, StoreWatchTable},
    },
    store::Table,
};

pub(super) static TABLE: StoreTable = StoreTable {
    read,
    list,
    commit,
    databases,
    tables,
    health,
    shutdown,
};

pub(super) static WATCH: StoreWatchTable = StoreWatchTable { watch };

/// The instance and its store, or a future that has failed.
macro_rules! store {
    ($instance:ident) => {{
        // SAFETY: the host calls the functions of this table with what `open` of this library gave.
        let instance = unsafe { Instance::borrow($instance) };
        match instance.store() {
            Ok(store) => (instance, store),
            Err(error) => return guard::failed(error),
        }
    }};
}

extern "C" fn read<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    table: TableRef<'a>,
    key: RStr<'a>,
) -> Future<'a, ROption<RecordRecord>> {
    guard::entry(move || {
        let (instance, store) = store!(instance);
        let call = Call::from(call);
        if instance.is_inline(Method::StoreRead) {
            // The arguments are lent for as long as the future lives: nothing is copied.
            return run::inline(instance, async move {
                let record = store.read(&call, table.into(), key.as_str()).await?;
                Ok(record.map(Into::into).into())
            });
        }
        let store = store.clone();
        let (database, table, key) = owned(table, key);
        run::hop(instance, Method::StoreRead, &call.clone(), async move {
            let record = store
                .read(&call, Table::new(&database, &table), &key)
                .await?;
            Ok(record.map(Into::into).into())
        })
    })
}

fn owned(table: TableRef<'_>, key: RStr<'_>) -> (String, String, String) {
    (table.database.into(), table.table.into(), key.into())
}

extern "C" fn list<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    table: TableRef<'a>,
    query: ListRef<'a>,
) -> Future<'a, PageRecord> {
    guard::entry(move || {
        let (instance, store) = store!(instance);
        let (store, call, query) = (store.clone(), Call::from(call), OwnedListQuery::from(query));
        let (database, table) = (String::from(table.database), String::from(table.table));
        run::run(instance, Method::StoreList, &call.clone(), async move {
            let table = Table::new(&database, &table);
            Ok(store.list(&call, table, &query.as_query()).await?.into())
        })
    })
}

extern "C" fn commit<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    operations: RVec<OperationRef<'a>>,
) -> Future<'a, u64> {
    guard::entry(move || {
        let (instance, store) = store!(instance);
        let commit = match own_commit(operations) {
            Ok(commit) => commit,
            Err(error) => return guard::failed(error),
        };
        let (store, call) = (store.clone(), Call::from(call));
        run::run(instance, Method::StoreCommit, &call.clone(), async move {
            Ok(store.commit(&call, &commit).await?.0)
        })
    })
}

extern "C" fn databases<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
) -> Future<'a, RVec<RString>> {
    guard::entry(move || {
        let (instance, store) = store!(instance);
        let (store, call) = (store.clone(), Call::from(call));
        run::run(
            instance,
            Method::StoreDatabases,
            &call.clone(),
            async move { Ok(texts(store.databases(&call).await?)) },
        )
    })
}

extern "C" fn tables<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    database: RStr<'a>,
) -> Future<'a, RVec<RString>> {
    guard::entry(move || {
        let (instance, store) = store!(instance);
        let (store, call, database) = (store.clone(), Call::from(call), String::from(database));
        run::run(instance, Method::StoreTables, &call.clone(), async move {
            Ok(texts(store.tables(&call, &database).await?))
        })
    })
}

extern "C" fn watch<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    table: TableRef<'a>,
    prefix: RStr<'a>,
) -> Future<'a, StreamRecord<RecordChangeRecord>> {
    guard::entry(move || {
        let (instance, store) = store!(instance);
        let (store, call) = (store.clone(), Call::from(call));
        let (database, table, prefix) = owned(table, prefix);
        let lender = run::Lender::new(instance, Method::StoreWatch);
        run::run(instance, Method::StoreWatch, &call.clone(), async move {
            let table = Table::new(&database, &table);
            let changes = store.watch(&call, table, &prefix).await?;
            Ok(lender.lend(changes.map(|change| change.map(Into::into))))
        })
    })
}

pub(super) fn texts(texts: Vec<String>) -> RVec<RString> {
    texts.into_iter().map(Into::into).collect()
}

extern "C" fn health<'a>(instance: InstanceRef<'a>, call: CallRecord<'a>) -> Future<'a, ()> {
    guard::entry(move || {
        let (instance, store) = store!(instance);
        let (store, call) = (store.clone(), Call::from(call));
        run::run(instance, Method::StoreHealth, &call.clone(), async move {
            store.health(&call).await
        })
    })
}

extern "C" fn shutdown<'a>(instance: InstanceRef<'a>, call: CallRecord<'a>) -> Future<'a, ()> {
    guard::entry(move || {
        let (instance, store) = store!(instance);
        let (store, call) = (store.clone(), Call::from(call));
        run::run(instance, Method::StoreShutdown, &call.clone(), async move {
            store.shutdown(&call).await
        })
    })
}
