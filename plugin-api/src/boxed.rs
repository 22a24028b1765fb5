//! The future and stream types of the contract.

use std::pin::Pin;

use bytes::Bytes;

use crate::Result;

/// A boxed future, as the handles use them inside.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A boxed stream. Dropping it cancels what feeds it; whoever feeds it waits while nobody polls.
pub type BoxStream<T> = Pin<Box<dyn futures::Stream<Item = T> + Send + 'static>>;

/// The bytes of a blob or an upload, chunk by chunk. After an error nothing follows.
pub type ByteStream = BoxStream<Result<Bytes>>;
