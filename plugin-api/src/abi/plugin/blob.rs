//! `micro.blob/1` over the instance's blob store.

use abi_stable::std_types::{RString, RVec, Tuple2};
use bytes::Bytes;
use futures::StreamExt;

use super::{
    instance::{Instance, Method},
    run,
    store::texts,
};
use crate::{
    Call,
    abi::{
        buffer::Buffer,
        guard::{self, Future},
        records::{CallRecord, InstanceRef},
        store_records::{BlobInfoRecord, BlobKeyRef, BlobListRef, BlobMetaRef, BlobPageRecord},
        stream::{Imported, StreamRecord},
        tables::{BlobContent, BlobTable},
    },
    blob::{BlobKey, BlobMeta, BlobQuery},
    store::Cursor,
};

pub(super) static TABLE: BlobTable = BlobTable {
    write,
    read,
    delete,
    list,
    namespaces,
    health,
    shutdown,
};

/// The instance and its blob store, or a future that has failed.
macro_rules! blob {
    ($instance:ident) => {{
        // SAFETY: the host calls the functions of this table with what `open` of this library gave.
        let instance = unsafe { Instance::borrow($instance) };
        match instance.blob() {
            Ok(blob) => (instance, blob.clone()),
            Err(error) => return guard::failed(error),
        }
    }};
}

extern "C" fn write<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    key: BlobKeyRef<'a>,
    meta: BlobMetaRef<'a>,
    body: StreamRecord<Buffer>,
) -> Future<'a, BlobInfoRecord> {
    guard::entry(move || {
        let (instance, blob) = blob!(instance);
        let (call, meta) = (Call::from(call), BlobMeta::from(meta));
        let (namespace, key) = (String::from(key.namespace), String::from(key.key));
        let body = Imported::new(body).map(|chunk| chunk.map(Bytes::from));
        run::run(instance, Method::BlobWrite, &call.clone(), async move {
            let key = BlobKey::new(&namespace, &key);
            Ok(blob.write(&call, key, &meta, Box::pin(body)).await?.into())
        })
    })
}

extern "C" fn read<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    key: BlobKeyRef<'a>,
) -> Future<'a, BlobContent> {
    guard::entry(move || {
        let (instance, blob) = blob!(instance);
        let call = Call::from(call);
        let (namespace, key) = (String::from(key.namespace), String::from(key.key));
        let lender = run::Lender::new(instance, Method::BlobRead);
        run::run(instance, Method::BlobRead, &call.clone(), async move {
            let (info, bytes) = blob.read(&call, BlobKey::new(&namespace, &key)).await?;
            let bytes = bytes.map(|chunk| chunk.map(Buffer::from));
            Ok(Tuple2(info.into(), lender.lend(bytes)))
        })
    })
}

extern "C" fn delete<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    key: BlobKeyRef<'a>,
) -> Future<'a, ()> {
    guard::entry(move || {
        let (instance, blob) = blob!(instance);
        let call = Call::from(call);
        let (namespace, key) = (String::from(key.namespace), String::from(key.key));
        run::run(instance, Method::BlobDelete, &call.clone(), async move {
            blob.delete(&call, BlobKey::new(&namespace, &key)).await
        })
    })
}

extern "C" fn list<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
    query: BlobListRef<'a>,
) -> Future<'a, BlobPageRecord> {
    guard::entry(move || {
        let (instance, blob) = blob!(instance);
        let call = Call::from(call);
        let (namespace, prefix) = (String::from(query.namespace), String::from(query.prefix));
        let limit = query.limit.try_into().unwrap_or(usize::MAX);
        let cursor = query.cursor.into_option().map(|text| Cursor(text.into()));
        run::run(instance, Method::BlobList, &call.clone(), async move {
            let query = BlobQuery {
                namespace: &namespace,
                prefix: &prefix,
                limit,
                cursor: cursor.as_ref(),
            };
            Ok(blob.list(&call, &query).await?.into())
        })
    })
}

extern "C" fn namespaces<'a>(
    instance: InstanceRef<'a>,
    call: CallRecord<'a>,
) -> Future<'a, RVec<RString>> {
    guard::entry(move || {
        let (instance, blob) = blob!(instance);
        let call = Call::from(call);
        run::run(
            instance,
            Method::BlobNamespaces,
            &call.clone(),
            async move { Ok(texts(blob.namespaces(&call).await?)) },
        )
    })
}

extern "C" fn health<'a>(instance: InstanceRef<'a>, call: CallRecord<'a>) -> Future<'a, ()> {
    guard::entry(move || {
        let (instance, blob) = blob!(instance);
        let call = Call::from(call);
        run::run(instance, Method::BlobHealth, &call.clone(), async move {
            blob.health(&call).await
        })
    })
}

extern "C" fn shutdown<'a>(instance: InstanceRef<'a>, call: CallRecord<'a>) -> Future<'a, ()> {
    guard::entry(move || {
        let (instance, blob) = blob!(instance);
        let call = Call::from(call);
        run::run(instance, Method::BlobShutdown, &call.clone(), async move {
            blob.shutdown(&call).await
        })
    })
}
