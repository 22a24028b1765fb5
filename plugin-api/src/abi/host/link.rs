//! A live instance, and what the server does around each call into it: the deadline, the watch
//! for slow polls, the count of panics.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use abi_stable::std_types::{RErr, ROk};
use futures::Stream;
use tokio::{task::coop, time::Sleep};

use crate::{
    BoxStream, Call, Code, Error, Result,
    abi::{
        guard,
        records::{InstanceRef, OpenedRecord},
        stream::{Imported, StreamRecord},
        weight::{self, Weight},
    },
};

/// A poll that takes longer holds up everything else on its thread.
const SLOW: Duration = Duration::from_millis(10);
/// One that takes so long is warned of at once.
const LONG: Duration = Duration::from_millis(500);
/// So often within [`SPAN`] a method has to hold up its thread to be warned of: on a busy machine
/// every thread is held up now and then.
const OFTEN: u32 = 10;
/// How long that is looked at, and how often a method is warned of.
const SPAN: Duration = Duration::from_secs(60);

/// One opened instance. Every handle and stream of it holds on to it; the last one drops it.
pub(super) struct Link {
    plugin: String,
    opened: OpenedRecord,
    panics: AtomicU64,
    /// How often each method was slow, and since when that is counted.
    slow: Mutex<BTreeMap<&'static str, (Instant, u32)>>,
}

// SAFETY: it stands for the plugin's `Instance`, which is Send and Sync, and which may be released
// on any thread.
unsafe impl Send for Link {}
// SAFETY: as above.
unsafe impl Sync for Link {}

impl Drop for Link {
    fn drop(&mut self) {
        (self.opened.release)(self.opened.instance);
    }
}

impl Link {
    pub(super) fn new(plugin: String, opened: OpenedRecord) -> Self {
        Self {
            plugin,
            opened,
            panics: AtomicU64::new(0),
            slow: Mutex::default(),
        }
    }

    /// For a call that borrows this link for as long.
    pub(super) fn instance(&self) -> InstanceRef<'_> {
        // SAFETY: the instance is released when this link is dropped, no sooner.
        unsafe { InstanceRef::new(self.opened.instance) }
    }

    pub(super) fn plugin(&self) -> &str {
        &self.plugin
    }

    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Runs one poll of the plugin's code and warns if it was slow.
    fn watch<T>(&self, method: &'static str, poll: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let polled = poll();
        let took = begun.elapsed();
        if took > SLOW && self.is_to_be_told(method, took, begun) {
            tracing::warn!(
                plugin = self.plugin,
                method,
                took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                "the plugin held up the thread that called it; run this method with `hop`"
            );
        }
        polled
    }

    /// Whether a method that took so long is to be warned of now.
    fn is_to_be_told(&self, method: &'static str, took: Duration, now: Instant) -> bool {
        let mut slow = self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        let span = slow.entry(method).or_insert((now, 0));
        if now.saturating_duration_since(span.0) >= SPAN {
            *span = (now, 0);
        }
        let before = span.1;
        span.1 = before.saturating_add(if took >= LONG { OFTEN } else { 1 });
        before < OFTEN && span.1 >= OFTEN
    }

    /// Counts and reports a panic of the plugin.
    fn note(&self, method: &'static str, error: Error) -> Error {
        if error.code() == Code::PANIC {
            let panics = self.panics.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(
                plugin = self.plugin,
                method,
                panics,
                error = error.message(),
                "the plugin panicked"
            );
        }
        error
    }

    /// One call: what the plugin answers, or the error of its deadline.
    pub(super) fn call<'a, T>(
        &'a self,
        method: &'static str,
        call: &Call,
        future: guard::Future<'a, T>,
    ) -> Calling<'a, T> {
        Calling {
            link: self,
            method,
            future,
            deadline: call.deadline(),
            timer: None,
        }
    }

    /// A stream of the plugin.
    pub(super) fn stream<T: Weight + Send + 'static>(
        self: &Arc<Self>,
        method: &'static str,
        record: StreamRecord<T>,
    ) -> BoxStream<Result<T>> {
        Box::pin(Streaming {
            items: Imported::new(record),
            link: Arc::clone(self),
            method,
        })
    }
}

/// A call on its way.
pub(super) struct Calling<'a, T> {
    link: &'a Link,
    method: &'static str,
    future: guard::Future<'a, T>,
    deadline: Option<Instant>,
    /// Set once the plugin lets us wait: most calls never need a timer. It catches what the
    /// plugin's own timer cannot, a plugin whose only worker is stuck.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T> Future for Calling<'_, T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (link, method) = (this.link, this.method);
        match link.watch(method, || Pin::new(&mut this.future).poll(cx)) {
            Poll::Ready(ROk(value)) => return Poll::Ready(Ok(value)),
            Poll::Ready(RErr(error)) => {
                return Poll::Ready(Err(link.note(method, error.into())));
            }
            Poll::Pending => {}
        }
        let Some(deadline) = this.deadline else {
            return Poll::Pending;
        };
        if this.timer.is_none() && tokio::runtime::Handle::try_current().is_ok() {
            this.timer = Some(Box::pin(tokio::time::sleep_until(deadline.into())));
        }
        match &mut this.timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| {
                Err(Error::deadline(format!(
                    "the plugin {} did not answer {method} before the call's deadline",
                    link.plugin()
                )))
            }),
            // Without tokio around us nobody can wake us; the plugin's own timer has to do.
            None => Poll::Pending,
        }
    }
}

/// A stream that is watched like a call. One whose items never stop gives way to others on its
/// reader's thread, and one whose items grow is ended.
struct Streaming<T> {
    /// Before the link: it is dropped first, while the instance is still there.
    items: Imported<T>,
    link: Arc<Link>,
    method: &'static str,
}

impl<T: Weight> Stream for Streaming<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let (link, method) = (&this.link, this.method);
        // Whoever reads in a loop would else hold its thread for as long as there are items.
        let progress = std::task::ready!(coop::poll_proceed(cx));
        let polled = link.watch(method, || Pin::new(&mut this.items).poll_next(cx));
        let item = std::task::ready!(polled);
        progress.made_progress();
        let Some(item) = item else {
            return Poll::Ready(None);
        };
        let item = item
            .map_err(|error| link.note(method, error))
            .and_then(|item| weight::check(link.plugin(), method, item));
        if item.is_err() {
            this.items.end();
        }
        Poll::Ready(Some(item))
    }
}
