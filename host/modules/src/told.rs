//! When an instance that is left has told its streams everything that it took in: a backend takes
//! its time to tell, and what it has not told when they move is lost to them.
//!
//! What is written last comes last: so something is written where nobody looks, and waited for.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use micro_plugin_api::{
    BlobHandle, BoxFuture, BrokerHandle, Call, Error, RegistryHandle, Result, RuntimeHandle,
    StoreHandle, StreamHandle,
    broker::Message,
    store::{Commit, Precondition, Put},
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    PLATFORM_DATABASE,
    identity::{TABLE, TOLD},
};

/// How long a backend may take to tell of what was written.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the next instance is known, by now, to bring the same messages.
pub(crate) type Same = Box<dyn FnOnce() -> bool + Send>;

/// A handle whose instance may have more to tell than its streams have brought.
pub(crate) trait Telling: Sized {
    /// Waits until everything that was taken in is on its way to the streams. Nothing must be
    /// written meanwhile, and `next` be open. `None` of an instance that has nothing to tell.
    ///
    /// # Errors
    /// The instance does not tell of what was written to it.
    fn told<'a>(&'a self, _next: &'a Self) -> BoxFuture<'a, Result<Option<Same>>> {
        Box::pin(async { Ok(None) })
    }

    /// Waits until the backend knows that its streams are gone: it must give them nothing any more
    /// that is meant for one of several.
    fn left(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl Telling for BlobHandle {}
impl Telling for StreamHandle {}
impl Telling for RegistryHandle {}
impl Telling for RuntimeHandle {}

impl Telling for StoreHandle {
    fn told<'a>(&'a self, _next: &'a Self) -> BoxFuture<'a, Result<Option<Same>>> {
        Box::pin(async {
            let call = Call::new(PLATFORM_DATABASE).with_timeout(TIMEOUT);
            let mut changes = self.watch(&call, TABLE, TOLD).await?;
            let commit = Commit::new().put(TABLE, TOLD, Precondition::Any, Put::default());
            let version = self.commit(&call, &commit).await?;
            let told = async {
                while let Some(change) = changes.next().await {
                    if change?.version() == version {
                        return Ok(());
                    }
                }
                Err(Error::unavailable("a watch ended; try again"))
            };
            let late = |_| {
                Error::deadline(format!(
                    "a watch was not told of what was written within {} s; try again",
                    TIMEOUT.as_secs()
                ))
            };
            timeout(TIMEOUT, told).await.map_err(late)??;
            // It does no harm there.
            let delete = Commit::new().delete(TABLE, TOLD, Precondition::Version(version));
            let _ = self.commit(&call, &delete).await;
            Ok(Some(Box::new(|| true) as Same))
        })
    }
}

impl Telling for BrokerHandle {
    /// A broker that is down has nothing to tell, and must not keep anybody from leaving it.
    fn told<'a>(&'a self, next: &'a Self) -> BoxFuture<'a, Result<Option<Same>>> {
        Box::pin(async {
            let call = Call::new(PLATFORM_DATABASE).with_timeout(TIMEOUT);
            let topic = format!("{PLATFORM_DATABASE}/swap/{}", Uuid::now_v7());
            let mut there = next.subscribe(&call, &topic, None).await?;
            if !there_and_back(self, &topic).await {
                return Ok(None);
            }
            let same = move || {
                // Whatever else was done in this turn.
                let told = tokio::task::unconstrained(there.next()).now_or_never();
                matches!(told, Some(Some(Ok(_))))
            };
            Ok(Some(Box::new(same) as Same))
        })
    }

    fn left(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let topic = format!("{PLATFORM_DATABASE}/swap/{}", Uuid::now_v7());
            there_and_back(self, &topic).await;
        })
    }
}

/// Publishes a message and waits for it: what was asked of the broker before is done then. Whether it
/// came.
async fn there_and_back(broker: &BrokerHandle, topic: &str) -> bool {
    let call = Call::new(PLATFORM_DATABASE).with_timeout(TIMEOUT);
    let message = async {
        let mut messages = broker.subscribe(&call, topic, None).await?;
        broker.publish(&call, topic, Message::new("")).await?;
        let ended = || Error::unavailable("the subscription ended");
        messages.next().await.ok_or_else(ended)?.map(drop)
    };
    match timeout(TIMEOUT, message).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => tracing::warn!("messages on their way may be lost: {error}"),
        Err(_) => tracing::warn!("messages on their way may be lost: the broker brings none"),
    }
    false
}
