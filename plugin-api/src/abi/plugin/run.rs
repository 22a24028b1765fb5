//! Where a call runs: inline on the caller's thread, or after a hop on the plugin's own runtime.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use abi_stable::std_types::RErr;
use async_ffi::BorrowingFfiFuture;
use futures::{Stream, StreamExt};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};

use super::instance::{Instance, Method};
use crate::{
    BoxStream, Call, Code, Error, Result,
    abi::{
        guard::{self, Answer, Contained},
        stream::{self, StreamRecord},
        weight::Weight,
    },
};

/// Items that the plugin's runtime may prepare before anybody asks for them.
const AHEAD: usize = 32;

/// The bytes that these may hold, but for the last of them.
const AHEAD_BYTES: u32 = 1 << 20;

/// Runs `future` on the caller's thread, in the plugin's runtime. Dropped, it is dropped.
pub(super) fn inline<'a, T: 'a>(
    instance: &'a Instance,
    future: impl Future<Output = Result<T>> + Send + 'a,
) -> guard::Future<'a, T> {
    BorrowingFfiFuture::new(Contained::new(instance.surroundings(), future))
}

/// Runs `future` as a task of the plugin's runtime. Dropped, a read is aborted, and a write goes
/// on until the deadline of its call.
pub(super) fn hop<'a, T: Send + 'static>(
    instance: &'a Instance,
    method: Method,
    call: &Call,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> guard::Future<'a, T> {
    let deadline = call.deadline();
    let bounded = async move {
        match deadline {
            None => future.await,
            Some(deadline) => within(deadline, future).await,
        }
    };
    let task = instance
        .handle()
        .spawn(Contained::new(instance.surroundings(), bounded));
    BorrowingFfiFuture::new(Hop {
        task,
        abort: !method.outlives_its_caller(),
    })
}

async fn within<T>(deadline: Instant, future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout_at(deadline.into(), future)
        .await
        .unwrap_or_else(|_| Err(Error::deadline("the call's deadline passed in the plugin")))
}

/// Runs `future` where `method` runs. For methods whose arguments are owned anyway.
pub(super) fn run<'a, T: Send + 'static>(
    instance: &'a Instance,
    method: Method,
    call: &Call,
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> guard::Future<'a, T> {
    if instance.is_inline(method) {
        inline(instance, future)
    } else {
        hop(instance, method, call, future)
    }
}

struct Hop<T> {
    task: JoinHandle<Answer<T>>,
    abort: bool,
}

impl<T> Future for Hop<T> {
    type Output = Answer<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(cx).map(|joined| {
            joined.unwrap_or_else(|failure| {
                RErr(
                    if failure.is_panic() {
                        Error::new(Code::PANIC, "a task of the plugin panicked")
                    } else {
                        Error::unavailable("the plugin was closed during the call")
                    }
                    .into(),
                )
            })
        })
    }
}

impl<T> Drop for Hop<T> {
    fn drop(&mut self) {
        if self.abort {
            self.task.abort();
        }
    }
}

/// Lends streams of the plugin to the host: polled inline, or pumped by a task of the plugin.
pub(super) struct Lender {
    handle: Handle,
    inline: bool,
}

impl Lender {
    pub(super) fn new(instance: &Instance, method: Method) -> Self {
        Self {
            handle: instance.handle().clone(),
            inline: instance.is_inline(method),
        }
    }

    pub(super) fn lend<T: Weight + Send + 'static>(
        self,
        items: impl Stream<Item = Result<T>> + Send + 'static,
    ) -> StreamRecord<T> {
        let items: BoxStream<Result<T>> = Box::pin(items);
        let items = if self.inline {
            items
        } else {
            pump(&self.handle, items)
        };
        stream::export(self.handle.into(), items)
    }
}

fn pump<T: Weight + Send + 'static>(
    handle: &Handle,
    mut items: BoxStream<Result<T>>,
) -> BoxStream<Result<T>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let failures = sender.clone();
    let room = Arc::new(Semaphore::new(AHEAD_BYTES as usize));
    let work = async move {
        while let Some(item) = items.next().await {
            let bytes = item.as_ref().map_or(0, Weight::bytes);
            // What is larger than all there is takes all of it.
            let bytes = u32::try_from(bytes).map_or(AHEAD_BYTES, |bytes| bytes.min(AHEAD_BYTES));
            let Ok(held) = room.clone().acquire_many_owned(bytes).await else {
                break;
            };
            if sender.send((item, Some(held))).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let work = Contained::new(handle.clone().into(), work);
    let task = handle.spawn(async move {
        if let RErr(error) = work.await {
            // Nobody reads it only if the reader is gone.
            let _ = failures.send((Err(error.into()), None)).await;
        }
    });
    Box::pin(Pumped { receiver, task })
}

/// An item, and the room that it takes until it is read.
type Ahead<T> = (Result<T>, Option<OwnedSemaphorePermit>);

/// What a task pumps; the task ends with it.
struct Pumped<T> {
    receiver: mpsc::Receiver<Ahead<T>>,
    task: JoinHandle<()>,
}

impl<T> Stream for Pumped<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let received = self.receiver.poll_recv(cx);
        received.map(|ahead| ahead.map(|(item, _)| item))
    }
}

impl<T> Drop for Pumped<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use futures::stream as items;

    use super::*;
    use crate::abi::buffer::Buffer;

    /// How many items of so many bytes are made before the first is read, and after it was.
    async fn prepared(size: usize) -> (usize, usize) {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let items = items::repeat_with(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(Buffer::from(Bytes::from(vec![0; size])))
        });
        let mut pumped = pump(&Handle::current(), items.boxed());
        // One thread for all: what can go on has done so after enough turns.
        let rest = async || {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            made.load(Ordering::Relaxed)
        };
        let before = rest().await;
        assert!(pumped.next().await.is_some());
        (before, rest().await)
    }

    #[tokio::test]
    async fn what_nobody_reads_is_bounded_in_number_and_in_bytes() {
        let half = AHEAD_BYTES as usize / 2;
        assert_eq!(prepared(1).await, (AHEAD + 1, AHEAD + 2));
        assert_eq!(prepared(half).await, (3, 4));
        assert_eq!(prepared(4 * half).await, (2, 3));
    }
}
