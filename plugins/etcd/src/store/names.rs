//! Which databases and tables hold a record: found by leaping from name to name.

use etcd_client::{GetOptions, KeyValue};
use micro_plugin_api::{Call, Error, Result};

use super::{EtcdStore, list::values, record};
use crate::{client::Repeat, names};

/// How many keys are looked at together for one that has not expired.
const AT_ONCE: i64 = 32;

/// The databases with a record that has not expired, in order.
pub(super) async fn databases(store: &EtcdStore, call: &Call) -> Result<Vec<String>> {
    let folder = store.keys.all();
    below(store, call, &folder, |name| store.keys.of_database(name)).await
}

/// The tables of a database with a record that has not expired, in order.
pub(super) async fn tables(store: &EtcdStore, call: &Call, database: &str) -> Result<Vec<String>> {
    let folder = store.keys.of_database(database);
    below(store, call, &folder, |name| {
        let table = micro_plugin_api::store::Table::new(database, name);
        store.keys.of_table(table)
    })
    .await
}

/// The names that come first behind `folder` in the keys of records that have not expired.
async fn below(
    store: &EtcdStore,
    call: &Call,
    folder: &[u8],
    folder_of: impl Fn(&str) -> Vec<u8>,
) -> Result<Vec<String>> {
    let end = names::beyond(folder);
    let mut names_there = Vec::new();
    let mut from = folder.to_vec();
    while let Some(key) = first_live(store, call, from, &end).await? {
        let name = key.get(folder.len()..).and_then(names::split);
        let (name, _) = name.ok_or_else(|| {
            Error::internal(format!(
                "etcd's key {:?} is none of this plugin's; delete it",
                String::from_utf8_lossy(&key)
            ))
        })?;
        from = names::beyond(&folder_of(&name));
        names_there.push(name);
    }
    // Escaped names are in another order.
    names_there.sort_unstable();
    Ok(names_there)
}

/// The first key from `from` to before `end` whose record has not expired.
async fn first_live(
    store: &EtcdStore,
    call: &Call,
    mut from: Vec<u8>,
    end: &[u8],
) -> Result<Option<Vec<u8>>> {
    loop {
        let options = GetOptions::new()
            .with_range(end)
            .with_limit(AT_ONCE)
            .with_keys_only();
        let mut answer = store
            .etcd
            .run(call, Repeat::Always, |mut clients| {
                let (from, options) = (from.clone(), options.clone());
                async move { clients.kv.get(from, Some(options)).await }
            })
            .await?;
        let keys = answer.take_kvs();
        // What has no lease has no expiry.
        let lasting = keys.iter().position(|key| key.lease() == 0);
        let expiring = &keys[..lasting.unwrap_or(keys.len())];
        let expiring = expiring.iter().map(KeyValue::key);
        for stored in values(store, call, expiring).await? {
            // A damaged one is there, too; who reads it is told.
            if record::head(&stored).is_none_or(|head| !head.has_expired()) {
                return Ok(Some(stored.key().to_vec()));
            }
        }
        if let Some(lasting) = lasting {
            return Ok(Some(keys[lasting].key().to_vec()));
        }
        match keys.last() {
            Some(last) if answer.more() => {
                from = last.key().to_vec();
                from.push(0);
            }
            _ => return Ok(None),
        }
    }
}
