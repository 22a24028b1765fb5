//! The answers of a streaming call, from before its head has come.

use futures::future::BoxFuture;
use micro_wire::Error;

use bytes::Bytes;

use crate::reply::Messages;

/// Where the messages of a stream come from. Dropping it cancels the call.
pub(crate) enum Source {
    /// The call has not answered yet.
    Opening(BoxFuture<'static, Result<Messages, Error>>),
    /// It answers.
    Open(Messages),
    /// All has been said.
    Ended,
}

impl Source {
    /// The next message; an error is the last. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        if let Self::Opening(opening) = self {
            match opening.await {
                Ok(messages) => *self = Self::Open(messages),
                Err(error) => {
                    *self = Self::Ended;
                    return Some(Err(error));
                }
            }
        }
        match self {
            Self::Open(messages) => messages.next().await,
            _ => None,
        }
    }
}
