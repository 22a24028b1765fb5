//! Request bodies for those who answer here: given on message by message, each one whole.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use micro_wire::{
    Error,
    error::CLIENT_ID,
    frame::{HEADER, MAX_MESSAGE},
};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use crate::{
    BodyError,
    budget::{Charge, Share},
};

/// How long a client may pause within a message, and how long the first message of a call may
/// take to begin when nobody else limits it.
pub const PAUSE: Duration = Duration::from_secs(15);

/// A request body that holds back each message until all of it has come. tonic sets aside the
/// memory that a message announces; this takes only what has come, within the budget of the
/// connection, and ends a message that does not go on.
///
/// What a message has cost is given back when another one is waited for, or when the body and its
/// [`Tab`] are gone.
pub struct Gather<B> {
    body: B,
    held: BytesMut,
    /// The payload of a message whose header has been given on.
    payload: Option<Bytes>,
    /// What the message has cost that was given on last.
    given: usize,
    tab: Tab,
    /// Messages are no longer held back: the next reader of this refuses what is in it.
    through: bool,
    begun: bool,
    ended: bool,
    pause: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What a body has taken of the budget. Whoever keeps one keeps that from others.
#[derive(Clone, Debug)]
pub struct Tab(Arc<Mutex<Charge>>);

impl Tab {
    fn with<T>(&self, work: impl FnOnce(&mut Charge) -> T) -> T {
        // A charge is never half changed.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<B> Gather<B> {
    /// A body whose messages are held back within `share`.
    pub fn new(body: B, share: &Share) -> Self {
        Self {
            body,
            held: BytesMut::new(),
            payload: None,
            given: 0,
            tab: Tab(Arc::new(Mutex::new(share.charge()))),
            through: false,
            begun: false,
            ended: false,
            pause: PAUSE,
            timer: None,
        }
    }

    /// What the body takes of the budget, now and later.
    pub fn tab(&self) -> Tab {
        self.tab.clone()
    }

    /// The next whole message of what is held, in two parts, so that its reader can set aside the
    /// right amount before the second.
    fn take(&mut self) -> Option<Bytes> {
        if let Some(payload) = self.payload.take() {
            return Some(payload);
        }
        if self.through {
            return (!self.held.is_empty()).then(|| self.held.split().freeze());
        }
        let size = message_size(&self.held)?;
        if size > MAX_MESSAGE {
            self.through = true;
            return Some(self.held.split().freeze());
        }
        if self.held.len() < HEADER + size {
            return None;
        }
        let mut message = self.held.split_to(HEADER + size).freeze();
        let payload = message.split_off(HEADER);
        self.given += HEADER + size;
        self.payload = (!payload.is_empty()).then_some(payload);
        Some(message)
    }

    /// Gives back what the last message has cost: its reader asks for more, and so has it.
    fn settle(&mut self) {
        let given = std::mem::take(&mut self.given);
        if given > 0 {
            self.tab.with(|charge| charge.shrink(given));
            if self.held.is_empty() {
                self.held = BytesMut::new();
            }
        }
    }

    fn fail(&mut self, error: Error) -> BodyError {
        self.ended = true;
        self.held = BytesMut::new();
        Status::from(error).into()
    }
}

/// What a frame says of the size of its payload, if its header is there.
fn message_size(held: &[u8]) -> Option<usize> {
    let &[_, a, b, c, d] = held.first_chunk::<HEADER>()?;
    Some(u32::from_be_bytes([a, b, c, d]) as usize)
}

impl<B> Body for Gather<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            if let Some(part) = this.take() {
                return Poll::Ready(Some(Ok(Frame::data(part))));
            }
            let Poll::Ready(next) = Pin::new(&mut this.body).poll_frame(cx) else {
                this.settle();
                if !this.begun || !this.held.is_empty() {
                    let until = || Box::pin(sleep_until(Instant::now() + this.pause));
                    let timer = this.timer.get_or_insert_with(until);
                    ready!(timer.as_mut().poll(cx));
                    let detail =
                        format!("the request did not go on for {} s", this.pause.as_secs());
                    let late = this.fail(Error::timeout(CLIENT_ID, detail));
                    return Poll::Ready(Some(Err(late)));
                }
                return Poll::Pending;
            };
            this.timer = None;
            match next {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        this.settle();
                        this.begun |= !data.is_empty();
                        let whole = message_size(&data).is_some_and(|it| it + HEADER == data.len());
                        if this.held.is_empty() && whole || this.through {
                            // Nearly every message, which is neither copied nor counted.
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        if let Err(error) = this.tab.with(|charge| charge.grow(data.len())) {
                            return Poll::Ready(Some(Err(this.fail(error))));
                        }
                        this.held.extend_from_slice(&data);
                    }
                    Err(trailers) => {
                        this.ended = true;
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                },
                Some(Err(error)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                // A piece of a message is for its reader to complain about.
                None if this.held.is_empty() => {
                    this.ended = true;
                    return Poll::Ready(None);
                }
                None => {
                    this.ended = true;
                    let rest = std::mem::take(&mut this.held).freeze();
                    return Poll::Ready(Some(Ok(Frame::data(rest))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.held.is_empty() && self.payload.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.begun {
            false => self.body.size_hint(),
            true => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn};

    use futures::{StreamExt, stream};
    use http_body_util::StreamBody;
    use micro_wire::frame;

    use super::*;
    use crate::Budget;

    fn body(chunks: Vec<Bytes>, then: bool) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames = stream::iter(chunks).map(|chunk| Ok(Frame::data(chunk)));
        let rest = stream::pending::<Result<_, Infallible>>().take(usize::from(then));
        StreamBody::new(frames.chain(rest))
    }

    async fn next<B>(body: &mut Gather<B>) -> Option<Result<Bytes, BodyError>>
    where
        B: Body<Data = Bytes, Error = Infallible> + Unpin,
    {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        Some(frame.map(|frame| frame.into_data().unwrap()))
    }

    #[tokio::test]
    async fn any_chunking_gives_the_same_bytes_and_takes_no_more_than_comes() {
        let wire: Vec<u8> = [&b"hello"[..], b"", b"a longer message"]
            .map(Bytes::from_static)
            .into_iter()
            .flat_map(frame::encode)
            .collect();
        for size in 1..=wire.len() {
            let chunks = wire.chunks(size).map(Bytes::copy_from_slice).collect();
            let budget = Budget::new(64, 64);
            let mut body = Gather::new(body(chunks, false), &budget.connection());
            let mut got = Vec::new();
            while let Some(part) = next(&mut body).await {
                got.extend_from_slice(&part.unwrap());
            }
            assert_eq!(got, wire, "chunks of {size}");
            drop(body);
            assert_eq!(budget.taken(), 0);
        }
    }

    #[tokio::test]
    async fn a_message_that_does_not_go_on_is_ended() {
        for chunks in [vec![], vec![Bytes::from_static(&[0, 0, 0, 0, 9, 1, 2])]] {
            let budget = Budget::new(64, 64);
            let mut body = Gather::new(body(chunks, true), &budget.connection());
            body.pause = Duration::from_millis(10);
            let error = next(&mut body).await.unwrap().unwrap_err();
            let status = error.downcast::<Status>().unwrap();
            assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
            assert!(next(&mut body).await.is_none());
        }
    }

    #[tokio::test]
    async fn what_is_beyond_the_budget_is_refused_and_what_is_beyond_all_is_passed_on() {
        let budget = Budget::new(16, 16);
        let half = vec![Bytes::from_static(&[0, 0, 0, 1, 0]), vec![7; 12].into()];
        let mut greedy = Gather::new(body(half.clone(), true), &budget.connection());
        let error = next(&mut greedy).await.unwrap().unwrap_err();
        let status = error.downcast::<Status>().unwrap();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        let tab = greedy.tab();
        drop(greedy);
        assert_eq!(budget.taken(), 5, "as long as the tab is kept");
        drop(tab);
        assert_eq!(budget.taken(), 0);
        let huge = vec![Bytes::from_static(&[0, 255, 0, 0, 0]), vec![7; 4].into()];
        let mut huge = Gather::new(body(huge, false), &budget.connection());
        assert_eq!(
            next(&mut huge).await.unwrap().unwrap(),
            [0, 255, 0, 0, 0][..]
        );
        assert_eq!(next(&mut huge).await.unwrap().unwrap(), [7; 4][..]);
    }
}
