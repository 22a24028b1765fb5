//! The blob store: a row for each blob, and its bytes in rows of their own that are written before
//! anybody can find them.

mod chunks;
mod list;
mod publish;
mod read;
mod upload;

use bytes::BytesMut;
use futures::{StreamExt as _, stream};
use micro_plugin_api::{
    Blob, ByteStream, Call, Error, Result,
    blob::{BlobInfo, BlobKey, BlobMeta, BlobPage, BlobQuery},
    store::{Operation, Table},
};

use self::{read::Found, upload::Upload};
use crate::Postgres;

/// How many bytes of a blob a row holds.
const CHUNK: usize = 256 << 10;

impl Blob for Postgres {
    async fn write(
        &self,
        call: &Call,
        key: BlobKey<'_>,
        meta: &BlobMeta,
        mut body: ByteStream,
    ) -> Result<BlobInfo> {
        if key.key.is_empty() {
            return Err(Error::invalid("a blob needs a key that is not empty"));
        }
        validate(key)?;
        let mut upload = Upload::new(&self.database, call);
        let mut gathered = BytesMut::new();
        while let Some(chunk) = body.next().await {
            gathered.extend_from_slice(&chunk?);
            while gathered.len() > CHUNK {
                upload.append(&gathered.split_to(CHUNK)).await?;
            }
        }
        // Whatever the body holds on to need not wait for the database.
        drop(body);
        let size = upload.publish(key, meta, &gathered).await?;
        Ok(BlobInfo {
            key: key.key.to_owned(),
            size,
            meta: meta.clone(),
        })
    }

    async fn read(&self, call: &Call, key: BlobKey<'_>) -> Result<(BlobInfo, ByteStream)> {
        validate(key)?;
        let found = self.database.run(call, &read::Find { key }).await?;
        let Some(Found { info, blob, first }) = found else {
            return Err(Error::not_found(format!(
                "no blob {:?} in namespace {:?}",
                key.key, key.namespace
            )));
        };
        let reader = read::Reader::new(self.database.clone(), blob, info.size, first);
        let chunks = stream::unfold(Some(reader), async |reader| {
            let mut reader = reader?;
            match reader.next_chunk().await {
                Ok(chunk) => Some((Ok(chunk?), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok((info, chunks.boxed()))
    }

    async fn delete(&self, call: &Call, key: BlobKey<'_>) -> Result<()> {
        validate(key)?;
        self.database.run(call, &publish::Delete { key }).await
    }

    async fn list(&self, call: &Call, query: &BlobQuery<'_>) -> Result<BlobPage> {
        validate(BlobKey::new(query.namespace, query.prefix))?;
        match list::List::new(query)? {
            Some(list) => self.database.run(call, &list).await,
            None => Ok(BlobPage::default()),
        }
    }

    async fn namespaces(&self, call: &Call) -> Result<Vec<String>> {
        self.database.run(call, &list::Namespaces).await
    }

    async fn health(&self, call: &Call) -> Result<()> {
        self.check(call).await
    }

    async fn shutdown(&self, call: &Call) -> Result<()> {
        self.close(call).await;
        Ok(())
    }
}

/// Checks the lengths of a namespace and a key, which are those of the store.
fn validate(key: BlobKey<'_>) -> Result<()> {
    for (what, name, most) in [
        ("namespace", key.namespace, Table::MAX_NAME),
        ("key", key.key, Operation::MAX_KEY),
    ] {
        if name.len() > most {
            return Err(Error::invalid(format!(
                "the {what} of a blob has {} bytes; at most {most} are taken",
                name.len()
            )));
        }
    }
    Ok(())
}
