//! All keys of a range as they were at one revision, however many there are.

use etcd_client::{GetOptions, KeyValue};
use micro_plugin_api::Call;

use super::{Etcd, Failure, Repeat};

/// How many are asked for at once: with 1.5 MiB each, what one answer may hold.
const AT_ONCE: i64 = 64;

/// What a range held at a revision.
pub(crate) struct Snapshot {
    pub(crate) records: Vec<KeyValue>,
    pub(crate) revision: i64,
}

impl Etcd {
    /// All keys from `keys.0` to before `keys.1`.
    pub(crate) async fn snapshot(
        &self,
        call: &Call,
        keys: (&[u8], &[u8]),
    ) -> Result<Snapshot, Failure> {
        loop {
            match self.try_snapshot(call, keys).await {
                // The revision was compacted away while it was read: a later one will do.
                Err(failure) if failure.is_compacted() => {}
                done => return done,
            }
        }
    }

    async fn try_snapshot(&self, call: &Call, keys: (&[u8], &[u8])) -> Result<Snapshot, Failure> {
        let mut from = keys.0.to_vec();
        let mut snapshot = Snapshot {
            records: Vec::new(),
            revision: 0,
        };
        loop {
            let options = GetOptions::new()
                .with_range(keys.1)
                .with_limit(AT_ONCE)
                .with_revision(snapshot.revision);
            let mut answer = self
                .run(call, Repeat::Always, |mut clients| {
                    let (from, options) = (from.clone(), options.clone());
                    async move { clients.kv.get(from, Some(options)).await }
                })
                .await?;
            if snapshot.revision == 0 {
                let header = answer.header();
                snapshot.revision = header.map_or(0, etcd_client::ResponseHeader::revision);
            }
            snapshot.records.extend(answer.take_kvs());
            match snapshot.records.last() {
                Some(last) if answer.more() => {
                    from = last.key().to_vec();
                    from.push(0);
                }
                _ => return Ok(snapshot),
            }
        }
    }
}
