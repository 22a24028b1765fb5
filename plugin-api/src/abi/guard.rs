//! What surrounds all code that runs on behalf of the other side: the tokio it belongs to is
//! entered, and no panic leaves it. A panic that crossed would end the process.

use std::{
    any::Any,
    cell::RefCell,
    mem::{self, ManuallyDrop},
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    task::{Context, Poll},
};

use abi_stable::std_types::{RErr, ROk, RResult};
use async_ffi::BorrowingFfiFuture;
use tokio::runtime::{EnterGuard, Handle};

use super::records::ErrorRecord;
use crate::{Code, Error, Result};

thread_local! {
    /// Where the last panic of this thread happened, as the panic hook saw it.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Remembers where this thread panics, for the error that [`contain`] makes of it.
pub(crate) fn remember_location(location: String) {
    // The thread may be past the end of its locals; then the error does without.
    let _ = LOCATION.try_with(|slot| slot.replace(Some(location)));
}

/// Runs `body`; a panic becomes an error.
pub(crate) fn contain<T>(body: impl FnOnce() -> T) -> Result<T> {
    panic::catch_unwind(AssertUnwindSafe(body)).map_err(panicked)
}

/// The error of a panic. The payload is forgotten: its own drop may panic too.
fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let text = message(&*payload);
    let location = LOCATION
        .try_with(|slot| slot.take())
        .ok()
        .flatten()
        .map_or_else(String::new, |location| format!(" at {location}"));
    mem::forget(payload);
    Error::new(
        Code::PANIC,
        format!("the plugin panicked{location}: {text}"),
    )
}

/// What a panic says.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "(the panic carries no text)".to_owned()
    }
}

/// The tokio runtime that some code belongs to, if any.
#[derive(Clone)]
pub(crate) struct Surroundings(Option<Handle>);

impl Surroundings {
    /// Those of the code that calls this.
    pub(crate) fn current() -> Self {
        Self(Handle::try_current().ok())
    }

    pub(crate) fn enter(&self) -> Option<EnterGuard<'_>> {
        self.0.as_ref().map(Handle::enter)
    }
}

impl From<Handle> for Surroundings {
    fn from(handle: Handle) -> Self {
        Self(Some(handle))
    }
}

/// The answer that crosses: a value, or the error record.
pub(crate) type Answer<T> = RResult<T, ErrorRecord>;

/// A future that crosses, lent for as long as its arguments.
pub(crate) type Future<'a, T> = BorrowingFfiFuture<'a, Answer<T>>;

/// A future within its surroundings, on every poll and on its drop.
pub(crate) struct Contained<F: std::future::Future> {
    surroundings: Surroundings,
    future: ManuallyDrop<F>,
    finished: bool,
}

impl<F: std::future::Future> Contained<F> {
    pub(crate) fn new(surroundings: Surroundings, future: F) -> Self {
        Self {
            surroundings,
            future: ManuallyDrop::new(future),
            finished: false,
        }
    }

    /// Drops the future. At most once: `finished` must be set before.
    fn finish(&mut self) {
        let _entered = self.surroundings.enter();
        // A panic here is in the plugin's log through its panic hook; nobody waits for an answer.
        let _ = contain(|| {
            // SAFETY: the callers make sure that it happens once, and nobody polls afterwards.
            unsafe { ManuallyDrop::drop(&mut self.future) }
        });
    }
}

impl<T, F: std::future::Future<Output = Result<T>>> std::future::Future for Contained<F> {
    type Output = Answer<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `future` is never moved: it is polled and dropped where it is.
        let this = unsafe { self.get_unchecked_mut() };
        if this.finished {
            return Poll::Ready(RErr(Error::internal("polled after its end").into()));
        }
        let polled = {
            let _entered = this.surroundings.enter();
            contain(|| {
                // SAFETY: as above; `self` is pinned, and so is what it holds.
                unsafe { Pin::new_unchecked(&mut *this.future) }.poll(cx)
            })
        };
        let answer = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(value))) => ROk(value),
            Ok(Poll::Ready(Err(error))) | Err(error) => RErr(error.into()),
        };
        this.finished = true;
        this.finish();
        Poll::Ready(answer)
    }
}

impl<F: std::future::Future> Drop for Contained<F> {
    fn drop(&mut self) {
        if !self.finished {
            self.finished = true;
            self.finish();
        }
    }
}

/// The body of an entry point that answers with a future: a panic becomes its answer.
pub(crate) fn entry<'a, T: 'a>(body: impl FnOnce() -> Future<'a, T>) -> Future<'a, T> {
    contain(body).unwrap_or_else(|error| failed(error))
}

/// A future that has failed already.
pub(crate) fn failed<'a, T: 'a>(error: Error) -> Future<'a, T> {
    let error = ErrorRecord::from(error);
    BorrowingFfiFuture::new(async move { RErr(error) })
}
