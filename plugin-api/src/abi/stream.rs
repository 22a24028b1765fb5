//! Streams across the boundary, in both directions: a batch a poll, dropped to cancel.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use abi_stable::{
    StableAbi,
    std_types::{RNone, ROption, RSome, RVec},
};
use async_ffi::{ContextExt, FfiContext, FfiPoll};
use futures::Stream;

use super::{
    guard::{self, Surroundings},
    records::ErrorRecord,
    weight::Weight,
};
use crate::{BoxStream, Code, Error, Result};

/// The most items of one batch.
const BATCH: u32 = 32;

/// A batch that holds so many bytes is closed: what is on its way is bounded, however large items are.
const BATCH_BYTES: usize = 1 << 20;

/// More may follow.
const MORE: u32 = 0;
/// The stream ended after these items.
const ENDED: u32 = 1;
/// The stream failed after these items, with the error beside them.
const FAILED: u32 = 2;
/// The instance behind the stream gives it up: whoever reads it goes on from the new instance.
const MOVED: u32 = 3;

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct Batch<T> {
    items: RVec<T>,
    /// One of the constants above; an open set.
    end: u32,
    error: ROption<ErrorRecord>,
}

/// A stream that crosses: its state, and the two functions that are all one can do with it.
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct StreamRecord<T> {
    state: *mut (),
    poll: extern "C" fn(*mut (), &mut FfiContext<'_>, u32) -> FfiPoll<Batch<T>>,
    release: extern "C" fn(*mut ()),
}

// SAFETY: `state` is a boxed `Exported`, which is Send; the two functions may be called on any
// thread, one at a time.
unsafe impl<T> Send for StreamRecord<T> {}

impl<T> Drop for StreamRecord<T> {
    fn drop(&mut self) {
        (self.release)(self.state);
    }
}

/// The side that has the stream.
struct Exported<T> {
    surroundings: Surroundings,
    /// `None` once it ended.
    stream: Option<BoxStream<Result<T>>>,
}

impl<T: Weight> Exported<T> {
    fn poll_batch(&mut self, cx: &mut Context<'_>, max: u32) -> Poll<Batch<T>> {
        let mut items = RVec::new();
        let mut bytes = 0;
        let mut end = MORE;
        let mut error = RNone;
        let _entered = self.surroundings.enter();
        while end == MORE && items.len() < max.max(1) as usize && bytes < BATCH_BYTES {
            let Some(stream) = self.stream.as_mut() else {
                end = ENDED;
                break;
            };
            match guard::contain(|| stream.as_mut().poll_next(cx)) {
                Ok(Poll::Pending) if items.is_empty() => return Poll::Pending,
                // What is here goes first. The stream is polled again for its waker then.
                Ok(Poll::Pending) => break,
                Ok(Poll::Ready(Some(Ok(item)))) => {
                    bytes += item.bytes();
                    items.push(item);
                }
                Ok(Poll::Ready(None)) => end = ENDED,
                Ok(Poll::Ready(Some(Err(failure)))) | Err(failure) => {
                    end = FAILED;
                    error = RSome(failure.into());
                }
            }
        }
        if end != MORE {
            let stream = self.stream.take();
            // A panic of its drop is in the log by the panic hook.
            let _ = guard::contain(move || drop(stream));
        }
        Poll::Ready(Batch { items, end, error })
    }
}

impl<T> Drop for Exported<T> {
    fn drop(&mut self) {
        let _entered = self.surroundings.enter();
        let stream = self.stream.take();
        let _ = guard::contain(move || drop(stream));
    }
}

extern "C" fn poll<T: Weight>(
    state: *mut (),
    cx: &mut FfiContext<'_>,
    max: u32,
) -> FfiPoll<Batch<T>> {
    let polled = guard::contain(|| {
        // SAFETY: `state` is the box that `export` made, not yet released, and the one holder of
        // the record polls through `&mut`, so that there is no second reference.
        let exported = unsafe { &mut *state.cast::<Exported<T>>() };
        cx.with_context(|cx| exported.poll_batch(cx, max))
    });
    match polled {
        Ok(Poll::Pending) => FfiPoll::Pending,
        Ok(Poll::Ready(batch)) => FfiPoll::Ready(batch),
        Err(error) => FfiPoll::Ready(Batch {
            items: RVec::new(),
            end: FAILED,
            error: RSome(error.into()),
        }),
    }
}

extern "C" fn release<T>(state: *mut ()) {
    let _ = guard::contain(|| {
        // SAFETY: `state` is the box that `export` made, and the record is dropped once.
        drop(unsafe { Box::from_raw(state.cast::<Exported<T>>()) });
    });
}

/// Lends a stream of ours to the other side. It is polled and dropped within `surroundings`.
pub(crate) fn export<T: Weight + Send + 'static>(
    surroundings: Surroundings,
    stream: BoxStream<Result<T>>,
) -> StreamRecord<T> {
    let exported = Box::new(Exported {
        surroundings,
        stream: Some(stream),
    });
    StreamRecord {
        state: Box::into_raw(exported).cast(),
        poll: poll::<T>,
        release: release::<T>,
    }
}

/// A stream of the other side, one item after the other.
pub(crate) struct Imported<T> {
    /// `None` once it ended, so that nothing is held longer than needed.
    record: Option<StreamRecord<T>>,
    items: VecDeque<T>,
    error: Option<Error>,
}

impl<T> Unpin for Imported<T> {}

impl<T> Imported<T> {
    pub(crate) fn new(record: StreamRecord<T>) -> Self {
        Self {
            record: Some(record),
            items: VecDeque::new(),
            error: None,
        }
    }

    /// Lets go of the stream: nothing comes any more.
    pub(crate) fn end(&mut self) {
        self.record = None;
        self.items.clear();
        self.error = None;
    }

    fn accept(&mut self, batch: Batch<T>) {
        // An empty batch is an end, however it is marked: else a reader would spin.
        let finished = batch.items.is_empty() || batch.end != MORE;
        self.items.extend(batch.items);
        self.error = match batch.end {
            MORE | ENDED => None,
            MOVED => Some(Error::unavailable(
                "the instance behind this stream was replaced; open the stream again",
            )),
            _ => Some(batch.error.into_option().map_or_else(
                || Error::internal("the stream ended for a reason unknown to this version"),
                Into::into,
            )),
        };
        if finished {
            self.record = None;
        }
    }
}

impl<T> Stream for Imported<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.items.pop_front() {
                return Poll::Ready(Some(Ok(item)));
            }
            if let Some(error) = this.error.take() {
                return Poll::Ready(Some(Err(error)));
            }
            let Some(record) = &mut this.record else {
                return Poll::Ready(None);
            };
            let polled = cx.with_ffi_context(|cx| (record.poll)(record.state, cx, BATCH));
            let batch = match polled {
                FfiPoll::Pending => return Poll::Pending,
                FfiPoll::Ready(batch) => batch,
                FfiPoll::Panicked => Batch {
                    items: RVec::new(),
                    end: FAILED,
                    error: RSome(Error::new(Code::PANIC, "the stream panicked").into()),
                },
            };
            this.accept(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::{FutureExt as _, StreamExt as _, stream};

    use super::*;
    use crate::abi::buffer::Buffer;

    #[test]
    fn a_batch_is_closed_by_its_bytes() {
        for (size, ready) in [(BATCH_BYTES + 1, 0), (BATCH_BYTES / 2, 1), (1, 31)] {
            let items = stream::repeat_with(move || Ok(Buffer::from(Bytes::from(vec![0; size]))));
            let record = export(Surroundings::current(), items.boxed());
            let mut imported = Imported::new(record);
            assert!(imported.next().now_or_never().is_some());
            assert_eq!(imported.items.len(), ready, "of {size} bytes");
        }
    }
}
