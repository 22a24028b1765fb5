//! What a plugin's files need, in one `use`.
//!
//! The derive macros of `Deserialize` and `JsonSchema` write paths into the crates `serde` and
//! `schemars`, so a plugin's manifest names these two beside `micro-plugin-api`.

pub use bytes::Bytes;
// Not the trait `futures::Stream`: `Stream` is the module's name here, and [`BoxStream`] will do.
pub use futures::stream::{self, StreamExt, TryStreamExt};
pub use schemars::JsonSchema;
pub use serde::{Deserialize, Serialize};

pub use crate::{
    Blob, BlobHandle, BoxFuture, BoxStream, Broker, BrokerHandle, ByteStream, Call, Code, Error,
    Host, NoSettings, Registry, RegistryHandle, Result, Runtime, RuntimeHandle, Secret, Store,
    StoreHandle, Stream, StreamHandle, TraceContext,
    blob::{BlobInfo, BlobKey, BlobMeta, BlobPage, BlobQuery},
    broker::{Losses, Mailbox, MailboxSender, Message},
    export_plugin,
    registry::{Catalog, Change, Endpoint, Filter, Node, Service, Value},
    runtime::{
        Backoff, Exit, Instance, InstanceChange, InstanceKey, Launcher, LogLine, LogOptions,
        RestartPolicy, RestartWhen, Spec, State, StopOptions, Supervisor,
    },
    store::{
        Commit, Cursor, Expiry, Fields, ListQuery, Operation, Order, Page, Precondition, Put,
        Record, RecordChange, Table, Version, Watchers,
    },
};
