//! Where a call runs: inline on the caller's thread, or after a hop on the plugin's own runtime.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use abi_stable::std_types::RErr;
use async_ffi::BorrowingFfiFuture;
use futures::{Stream, StreamExt};
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};

use super::instance::{Instance, Method};
use crate::{
    BoxStream, Call, Code, Error, Result,
    abi::{
        guard::{self, Answer, Contained},
        stream::{self, StreamRecord},
    },
};

/// Items that the plugin's runtime may prepare before anybody asks for them.
const AHEAD: usize = 32;

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

    pub(super) fn lend<T: Send + 'static>(
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

fn pump<T: Send + 'static>(
    handle: &Handle,
    mut items: BoxStream<Result<T>>,
) -> BoxStream<Result<T>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let failures = sender.clone();
    let work = async move {
        while let Some(item) = items.next().await {
            if sender.send(item).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let work = Contained::new(handle.clone().into(), work);
    let task = handle.spawn(async move {
        if let RErr(error) = work.await {
            // Nobody reads it only if the reader is gone.
            let _ = failures.send(Err(error.into())).await;
        }
    });
    Box::pin(Pumped { receiver, task })
}

/// What a task pumps; the task ends with it.
struct Pumped<T> {
    receiver: mpsc::Receiver<Result<T>>,
    task: JoinHandle<()>,
}

impl<T> Stream for Pumped<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx)
    }
}

impl<T> Drop for Pumped<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
