//! A blob on its way in.

use std::sync::Arc;

use micro_plugin_api::{
    Call, Error, Result,
    blob::{BlobKey, BlobMeta},
};
use uuid::Uuid;

use super::{
    chunks::{Abandon, Append, Begin},
    publish::Publish,
};
use crate::database::Database;

/// What has been written of a blob so far. Dropped before it is published, it is given up.
pub(super) struct Upload<'a> {
    database: &'a Arc<Database>,
    call: &'a Call,
    blob: Uuid,
    size: u64,
    ordinal: i32,
    /// Whether there is something to give up.
    begun: bool,
}

impl<'a> Upload<'a> {
    pub(super) fn new(database: &'a Arc<Database>, call: &'a Call) -> Self {
        Self {
            database,
            call,
            blob: Uuid::new_v4(),
            size: 0,
            ordinal: 0,
            begun: false,
        }
    }

    /// Writes a chunk.
    pub(super) async fn append(&mut self, body: &[u8]) -> Result<()> {
        let blob = self.blob;
        if !self.begun {
            self.begun = true;
            self.database.run(self.call, &Begin { blob }).await?;
        }
        let append = Append {
            blob,
            ordinal: self.ordinal,
            body,
        };
        if !self.database.run(self.call, &append).await? {
            return Err(collected());
        }
        self.size += body.len() as u64;
        self.ordinal = self
            .ordinal
            .checked_add(1)
            .ok_or_else(|| Error::invalid("the blob has more bytes than this store can number"))?;
        Ok(())
    }

    /// Makes what was written, and `last` behind it, the blob under `key`. Returns its size.
    pub(super) async fn publish(
        mut self,
        key: BlobKey<'_>,
        meta: &BlobMeta,
        last: &[u8],
    ) -> Result<u64> {
        let size = self.size + last.len() as u64;
        let publish = Publish {
            key,
            meta,
            blob: self.blob,
            size,
            last: (self.ordinal, last),
            begun: self.begun,
        };
        if !self.database.run(self.call, &publish).await? {
            return Err(collected());
        }
        self.begun = false;
        Ok(size)
    }
}

fn collected() -> Error {
    Error::unavailable(
        "what was written of the blob was collected, after a long pause; write it again",
    )
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        if self.begun
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (database, blob) = (self.database.clone(), self.blob);
            runtime.spawn(async move {
                // If this fails, it is collected later.
                let until = database.default_until();
                let _ = database.run_until(until, &Abandon { blob }).await;
            });
        }
    }
}
