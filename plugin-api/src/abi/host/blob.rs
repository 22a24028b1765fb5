//! A blob store of a library, as the handle calls it.

use std::sync::Arc;

use abi_stable::std_types::Tuple2;
use bytes::Bytes;
use futures::StreamExt;

use super::{length, link::Link};
use crate::{
    BoxFuture, ByteStream, Call, Result,
    abi::{
        buffer::Buffer, guard::Surroundings, store_records::BlobKeyRef, stream, tables::BlobTable,
    },
    blob::{BlobInfo, BlobKey, BlobMeta, BlobPage, BlobQuery, DynBlob},
};

pub(super) struct Client {
    pub(super) link: Arc<Link>,
    pub(super) table: &'static BlobTable,
}

fn lent(key: BlobKey<'_>) -> BlobKeyRef<'_> {
    BlobKeyRef {
        namespace: key.namespace.into(),
        key: key.key.into(),
    }
}

impl DynBlob for Client {
    fn write<'a>(
        &'a self,
        call: &'a Call,
        key: BlobKey<'a>,
        meta: &'a BlobMeta,
        body: ByteStream,
    ) -> BoxFuture<'a, Result<BlobInfo>> {
        let link = &*self.link;
        // The plugin polls the body on its own thread, where the server's tokio is not.
        let body = stream::export(
            Surroundings::current(),
            Box::pin(body.map(|chunk| chunk.map(Buffer::from))),
        );
        let future = (self.table.write)(link.instance(), call.into(), lent(key), meta.into(), body);
        let answer = link.call("blob.write", call, future);
        Box::pin(async move { Ok(answer.await?.into()) })
    }

    fn read<'a>(
        &'a self,
        call: &'a Call,
        key: BlobKey<'a>,
    ) -> BoxFuture<'a, Result<(BlobInfo, ByteStream)>> {
        let link = &*self.link;
        let future = (self.table.read)(link.instance(), call.into(), lent(key));
        let answer = link.call("blob.read", call, future);
        Box::pin(async move {
            let Tuple2(info, bytes) = answer.await?;
            let bytes = self.link.stream("blob.read", bytes);
            let bytes = bytes.map(|chunk| chunk.map(Bytes::from));
            let info = BlobInfo::from(info);
            let bytes = length::exact(self.link.plugin().to_owned(), info.size, bytes);
            Ok((info, Box::pin(bytes) as ByteStream))
        })
    }

    fn delete<'a>(&'a self, call: &'a Call, key: BlobKey<'a>) -> BoxFuture<'a, Result<()>> {
        let link = &*self.link;
        let future = (self.table.delete)(link.instance(), call.into(), lent(key));
        Box::pin(link.call("blob.delete", call, future))
    }

    fn list<'a>(
        &'a self,
        call: &'a Call,
        query: &'a BlobQuery<'a>,
    ) -> BoxFuture<'a, Result<BlobPage>> {
        let link = &*self.link;
        let future = (self.table.list)(link.instance(), call.into(), query.into());
        let answer = link.call("blob.list", call, future);
        Box::pin(async move { Ok(answer.await?.into()) })
    }

    fn namespaces<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<Vec<String>>> {
        let link = &*self.link;
        let future = (self.table.namespaces)(link.instance(), call.into());
        let answer = link.call("blob.namespaces", call, future);
        Box::pin(async move { Ok(answer.await?.into_iter().map(Into::into).collect()) })
    }

    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        let link = &*self.link;
        let future = (self.table.health)(link.instance(), call.into());
        Box::pin(link.call("blob.health", call, future))
    }

    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        let link = &*self.link;
        let future = (self.table.shutdown)(link.instance(), call.into());
        Box::pin(link.call("blob.shutdown", call, future))
    }
}
