//! Streams that go on from another instance when their module is replaced, without a word to whoever
//! reads them.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::Stream;
use micro_plugin_api::{BoxFuture, BoxStream, Error, Result};

use crate::live::{Handle, Live};

/// The most items that are taken over from an instance at a time.
const TAKEN_OVER: usize = 4_096;

/// How one kind of stream goes on from another instance.
pub(crate) trait Resume<H>: Send + 'static {
    /// What the stream brings.
    type Item: Send + 'static;

    /// Whether what the old instance has still to tell would be lost if it were not taken over.
    const COLLECTS: bool;

    /// Opens the stream on another instance, from where the reader is.
    fn open(&self, live: &Live<H>) -> BoxFuture<'static, Result<BoxStream<Result<Self::Item>>>>;

    /// Adds to `ready` what the reader is told of an item of the current instance.
    fn pass(&mut self, item: Self::Item, ready: &mut VecDeque<Self::Item>);

    /// The stream is open on another instance: until it moves, that one may be told the same.
    fn overlaps(&mut self) {}

    /// It is not moved after all.
    fn stays(&mut self) {}

    /// The next item comes from `live`, which brings the `same` as the instance before if that is
    /// known.
    fn moved(&mut self, live: &Arc<Live<H>>, same: bool);
}

/// A stream as whoever replaces its module sees it.
pub(crate) trait Movable<H>: Send + Sync {
    /// Opens it on `live` as well.
    fn open_on<'a>(&'a self, live: &'a Arc<Live<H>>) -> BoxFuture<'a, Result<()>>;
    /// Forgets what was opened.
    fn stay(&self);
    /// Whether there is anything to be taken over.
    fn collects(&self) -> bool;
    /// Takes over what the current instance has to tell now; whether it told anything since the
    /// last time.
    fn collect(&self) -> bool;
    /// Lets go of the current instance. The reader waits.
    fn detach(&self);
    /// Goes on with what was opened, which brings the `same` as the instance before or not.
    fn attach(&self, same: bool);
    /// Ends it with an error.
    fn fail(&self, error: Error);
}

/// A stream that moves. Dropping it ends it.
pub(crate) struct Moving<H: Handle, R: Resume<H>>(Arc<Shared<H, R>>);

struct Shared<H, R: Resume<H>>(Mutex<Inner<H, R>>);

type Source<T> = BoxStream<Result<T>>;

/// A source, and the instance that gave it.
type Given<H, T> = (Arc<Live<H>>, Source<T>);

struct Inner<H, R: Resume<H>> {
    resume: R,
    /// What is read, and the instance that gave it; `None` in between, and after the end.
    source: Option<Given<H, R::Item>>,
    next: Option<Given<H, R::Item>>,
    /// What the reader gets before anything that comes.
    ready: VecDeque<R::Item>,
    waker: Option<Waker>,
    /// Whether anything came since somebody wanted to know.
    news: bool,
    /// What it ends with, once what is ready was read.
    error: Option<Error>,
    ended: bool,
}

impl<H: Handle, R: Resume<H>> Moving<H, R> {
    pub(crate) fn new(live: Arc<Live<H>>, source: Source<R::Item>, resume: R) -> Self {
        Self(Arc::new(Shared(Mutex::new(Inner {
            resume,
            source: Some((live, source)),
            next: None,
            ready: VecDeque::new(),
            waker: None,
            news: false,
            error: None,
            ended: false,
        }))))
    }

    /// The side of whoever replaces the module.
    pub(crate) fn as_movable(&self) -> std::sync::Weak<dyn Movable<H>> {
        Arc::downgrade(&self.0) as std::sync::Weak<dyn Movable<H>>
    }
}

impl<H, R: Resume<H>> Shared<H, R> {
    fn lock(&self) -> MutexGuard<'_, Inner<H, R>> {
        // A panic of a plugin is caught on its side; what is kept here is whole at every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: Handle, R: Resume<H>> Stream for Moving<H, R> {
    type Item = Result<R::Item>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut inner = self.0.lock();
        let inner = &mut *inner;
        loop {
            if let Some(item) = inner.ready.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            if inner.ended {
                return Poll::Ready(inner.error.take().map(Err));
            }
            let polled = match &mut inner.source {
                Some((_, source)) => source.as_mut().poll_next(context),
                None => Poll::Pending,
            };
            match polled {
                Poll::Pending => {
                    inner.waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(item))) => {
                    inner.news = true;
                    inner.resume.pass(item, &mut inner.ready);
                }
                // Where it goes on is known already.
                Poll::Ready(_) if inner.next.is_some() => inner.source = None,
                Poll::Ready(end) => {
                    inner.ended = true;
                    inner.source = None;
                    return Poll::Ready(end.and_then(Result::err).map(Err));
                }
            }
        }
    }
}

impl<H: Handle, R: Resume<H>> Drop for Moving<H, R> {
    fn drop(&mut self) {
        // Whoever moves it right now may hold it for a little longer.
        let mut inner = self.0.lock();
        inner.ended = true;
        let (source, next) = (inner.source.take(), inner.next.take());
        drop(inner);
        drop((source, next));
    }
}

/// Calls `take` until it takes nothing, or has taken [`TAKEN_OVER`]. A stream that gives way to others
/// after some items does not here.
fn all_there_is(mut take: impl FnMut(&mut Context<'_>) -> bool) {
    let taking = std::future::poll_fn(|context| {
        let _ = (0..TAKEN_OVER).all(|_| take(context));
        Poll::Ready(())
    });
    let taking = std::pin::pin!(tokio::task::unconstrained(taking));
    let taken = taking.poll(&mut Context::from_waker(Waker::noop()));
    debug_assert!(taken.is_ready(), "it waits for nothing");
}

impl<H: Handle, R: Resume<H>> Movable<H> for Shared<H, R> {
    fn open_on<'a>(&'a self, live: &'a Arc<Live<H>>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let open = {
                let inner = self.lock();
                if inner.ended {
                    return Ok(());
                }
                inner.resume.open(live)
            };
            let next = open.await?;
            let mut inner = self.lock();
            if !inner.ended {
                inner.resume.overlaps();
                inner.next = Some((live.clone(), next));
            }
            Ok(())
        })
    }

    fn stay(&self) {
        let mut inner = self.lock();
        inner.resume.stays();
        let next = inner.next.take();
        drop(inner);
        drop(next);
    }

    fn collects(&self) -> bool {
        R::COLLECTS
    }

    fn collect(&self) -> bool {
        let mut inner = self.lock();
        let inner = &mut *inner;
        all_there_is(|context| {
            let Some((_, source)) = &mut inner.source else {
                return false;
            };
            // An end, or a failure, is no news: the stream goes on elsewhere.
            let Poll::Ready(Some(Ok(item))) = source.as_mut().poll_next(context) else {
                return false;
            };
            inner.news = true;
            inner.resume.pass(item, &mut inner.ready);
            true
        });
        // Its waker was taken from the source by the look into it.
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
        std::mem::take(&mut inner.news)
    }

    fn detach(&self) {
        let source = self.lock().source.take();
        drop(source);
    }

    fn attach(&self, same: bool) {
        let mut inner = self.lock();
        if inner.ended {
            return;
        }
        let Some((live, next)) = inner.next.take() else {
            return;
        };
        inner.resume.moved(&live, same);
        let left = inner.source.replace((live, next));
        let waker = inner.waker.take();
        drop(inner);
        drop(left);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn fail(&self, error: Error) {
        let mut inner = self.lock();
        inner.ended = true;
        inner.error = Some(error);
        let (source, waker) = (inner.source.take(), inner.waker.take());
        drop(inner);
        drop(source);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
