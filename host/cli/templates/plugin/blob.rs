//! Blobs in one sorted map, to begin from.

use std::{collections::BTreeMap, sync::Mutex, sync::MutexGuard, sync::PoisonError};

use micro_plugin_api::{prelude::*, store::Position};

/// The blobs by namespace and key.
type Blobs = BTreeMap<[String; 2], (BlobInfo, Bytes)>;

#[derive(Default)]
struct Backend(Mutex<Blobs>);

impl Backend {
    fn open(_: NoSettings, _: Host) -> Result<Self> {
        Ok(Self::default())
    }

    fn blobs(&self) -> MutexGuard<'_, Blobs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(key: BlobKey<'_>) -> [String; 2] {
    [key.namespace, key.key].map(str::to_owned)
}

impl Blob for Backend {
    async fn write(
        &self,
        _: &Call,
        key: BlobKey<'_>,
        meta: &BlobMeta,
        body: ByteStream,
    ) -> Result<BlobInfo> {
        if key.key.is_empty() {
            return Err(Error::invalid("a blob needs a key that is not empty"));
        }
        // The whole body first: a write that fails leaves what was there.
        let chunks: Vec<Bytes> = body.try_collect().await?;
        let bytes = Bytes::from(chunks.concat());
        let info = BlobInfo {
            key: key.key.to_owned(),
            size: bytes.len() as u64,
            meta: meta.clone(),
        };
        self.blobs().insert(place(key), (info.clone(), bytes));
        Ok(info)
    }

    async fn read(&self, _: &Call, key: BlobKey<'_>) -> Result<(BlobInfo, ByteStream)> {
        let found = self.blobs().get(&place(key)).cloned();
        let absent = || Error::not_found(format!("no blob {:?} in {:?}", key.key, key.namespace));
        let (info, bytes) = found.ok_or_else(absent)?;
        Ok((info, stream::iter([Ok(bytes)]).boxed()))
    }

    async fn delete(&self, _: &Call, key: BlobKey<'_>) -> Result<()> {
        self.blobs().remove(&place(key));
        Ok(())
    }

    async fn list(&self, _: &Call, query: &BlobQuery<'_>) -> Result<BlobPage> {
        let after = query.cursor.map(Position::from_cursor).transpose()?;
        let all = self.blobs();
        let of_namespace = all.iter().filter(|(at, _)| at[0] == query.namespace);
        let mut rest = of_namespace.map(|(_, (info, _))| info).filter(|info| {
            let comes = after.as_ref().is_none_or(|after| info.key > after.key);
            comes && info.key.starts_with(query.prefix)
        });
        let limit = if query.limit == 0 { 1_000 } else { query.limit };
        let blobs: Vec<_> = rest.by_ref().take(limit).cloned().collect();
        let last = blobs.last().filter(|_| rest.next().is_some());
        let next = last.map(|last| Position {
            skip: 0,
            key: last.key.clone(),
        });
        let next = next.map(|next| next.to_cursor());
        Ok(BlobPage { blobs, next })
    }

    async fn namespaces(&self, _: &Call) -> Result<Vec<String>> {
        let mut names: Vec<_> = self.blobs().keys().map(|[name, _]| name.clone()).collect();
        names.dedup();
        Ok(names)
    }
}

export_plugin! { name: "attic", blob: Backend::open, run = inline }

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_its_contract() {
    let open = async || Backend::open(NoSettings {}, Host::new("", "", "")).map(BlobHandle::new);
    let suite = micro_plugin_conformance::blob::suite().of(&PLUGIN.capabilities());
    suite.run(open).await.assert_passed();
}
