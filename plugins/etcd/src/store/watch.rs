//! Who watches the store: etcd's changes of a table, told as those of records.

use etcd_client::{Event, EventType};
use micro_plugin_api::{
    BoxStream, Call, Error, Result,
    store::{RecordChange, Table},
};

use super::{EtcdStore, damaged, record};
use crate::{
    client::{Notice, Watching},
    feed::{Feed, feed},
    names,
};

/// The changes of the keys of a table that begin with `prefix`.
pub(super) async fn watch(
    store: &EtcdStore,
    call: &Call,
    table: Table<'_>,
    prefix: &str,
) -> Result<BoxStream<Result<RecordChange>>> {
    let from = store.keys.of_record(table, prefix);
    let to = names::beyond(&from);
    let watching = Watching::start(store.etcd.clone(), call, (from, to), None, true).await?;
    let (feed, reader) = feed([]);
    let task = Task {
        database: table.database.to_owned(),
        table: table.table.to_owned(),
        table_prefix: store.keys.of_table(table).len(),
        feed,
    };
    tokio::spawn(task.run(watching));
    Ok(Box::pin(reader))
}

/// What reads etcd's changes as fast as they come, so that one who does not read them holds up
/// nobody else on the same connection.
struct Task {
    database: String,
    table: String,
    table_prefix: usize,
    feed: Feed<RecordChange>,
}

impl Task {
    async fn run(self, mut watching: Watching) {
        loop {
            let notice = tokio::select! {
                notice = watching.next() => notice,
                () = self.feed.closed() => return,
            };
            let events = match notice {
                Notice::Changed(events) => events,
                Notice::Lost | Notice::Back => continue,
                Notice::Missed(why) => {
                    return self.feed.end(Error::unavailable(format!(
                        "changes of table {:?} in database {:?} were missed: {why}; watch and list again",
                        self.table, self.database
                    )));
                }
            };
            for event in &events {
                match self.change(event) {
                    Ok(None) => {}
                    Ok(Some((change, bytes))) => {
                        if !self.feed.push(change, bytes) {
                            return;
                        }
                    }
                    Err(error) => return self.feed.end(error),
                }
            }
        }
    }
}

impl Task {
    /// What an event means to a watcher, and how many bytes it holds.
    fn change(&self, event: &Event) -> Result<Option<(RecordChange, usize)>> {
        let Some(stored) = event.kv() else {
            return Ok(None);
        };
        let key = stored.key().get(self.table_prefix..).unwrap_or_default();
        let key = String::from_utf8_lossy(key).into_owned();
        let bytes = stored.key().len() + stored.value().len();
        let change = match event.event_type() {
            EventType::Put => {
                let table = Table::new(&self.database, &self.table);
                let record = record::decode(key.clone(), stored.clone());
                RecordChange::Put(record.ok_or_else(|| damaged(table, &key))?)
            }
            EventType::Delete => {
                // What its lease removes has expired before, and that is no change.
                let former = event.prev_kv().and_then(record::head);
                if former.is_some_and(record::Head::has_expired) {
                    return Ok(None);
                }
                let version = record::version(stored.mod_revision());
                RecordChange::Deleted { key, version }
            }
        };
        Ok(Some((change, bytes)))
    }
}
