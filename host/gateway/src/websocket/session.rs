//! One call on one websocket: requests in while answers go out, until either side has had enough.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::{Sink, SinkExt, Stream, StreamExt};
use http_body::Frame;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use micro_route::{Charge, Dispatcher, Share};
use micro_wire::{
    Error,
    frame::{self, MAX_MESSAGE},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message, Utf8Bytes,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    close,
    incoming::{Incoming, Reader},
    metered::Metered,
};
use crate::{
    ID,
    call::{Admitted, Language},
    reply::Messages,
    source::Source,
};

/// How long a client may take for its first message.
const FIRST: Duration = Duration::from_secs(30);

/// How often a client is asked whether it is still there.
const PING: Duration = Duration::from_secs(15);

/// How long a client may be silent, its answers to pings included, or not take what it is sent.
const SILENCE: Duration = Duration::from_secs(60);

/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// What is read of a connection at a time, in bytes: each websocket has this for itself.
const READ_BUFFER: usize = 8 * 1024;

/// A websocket that is about to open, and the call that it is for.
pub(super) struct Session {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) admitted: Admitted,
    pub(super) language: Option<Language>,
    pub(super) first: Option<Bytes>,
    pub(super) upgrade: OnUpgrade,
    pub(super) share: Share,
    pub(super) shutdown: CancellationToken,
}

/// How a conversation ended.
enum End {
    /// The call did, and well.
    Done,
    /// The client left, or is not heard of any more.
    Gone,
    /// The server goes.
    Away,
}

impl Session {
    /// Carries the call out, to the end of the websocket.
    pub(super) async fn run(self) {
        let Ok(upgraded) = self.upgrade.await else {
            return;
        };
        let (mut sink, stream) = open(upgraded, &self.share).await.split();
        let translation = self.admitted.translation.clone();
        let mut reader = Reader::new(stream, self.share.clone(), self.language, translation);
        let call = Call {
            dispatcher: self.dispatcher,
            admitted: self.admitted,
            share: self.share,
        };
        let end = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Ok(End::Away),
            end = call.run(&mut reader, &mut sink, self.first) => end,
        };
        let farewell = say_goodbye(&mut sink, &mut reader, end);
        // Who does not listen is left without.
        let _ = timeout(FAREWELL, farewell).await;
    }
}

async fn open(upgraded: Upgraded, share: &Share) -> WebSocketStream<Metered<TokioIo<Upgraded>>> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // Each message leaves at once.
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let io = Metered::new(TokioIo::new(upgraded), share.charge());
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}

/// Tells the client how it ended, and lets it take its leave.
async fn say_goodbye<S>(
    sink: &mut (impl Sink<Message> + Unpin),
    reader: &mut Reader<S>,
    end: Result<End, Error>,
) where
    S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    let frame: CloseFrame = match end {
        Ok(End::Done) => close::normal(),
        Ok(End::Away) => close::away(),
        Ok(End::Gone) => {
            // What it said on leaving is answered by closing.
            let _ = sink.close().await;
            return;
        }
        Err(error) => {
            let text = Message::Text(error.to_http_json().into());
            if sink.send(text).await.is_err() {
                return;
            }
            close::failed(&error)
        }
    };
    if sink.send(Message::Close(Some(frame))).await.is_ok() {
        // To end the connection while it still sends could take from it what it was sent.
        while !matches!(reader.next().await, Ok(Incoming::Gone)) {}
    }
}

/// The call of a session.
struct Call {
    dispatcher: Arc<Dispatcher>,
    admitted: Admitted,
    share: Share,
}

impl Call {
    async fn run<S, K>(
        self,
        reader: &mut Reader<S>,
        sink: &mut K,
        first: Option<Bytes>,
    ) -> Result<End, Error>
    where
        S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
        K: Sink<Message> + Unpin,
    {
        let takes_one = self.admitted.shape.takes_one();
        let mut first = match (first, &self.admitted.translation) {
            (Some(message), Some(translation)) => Some(translation.request(message).await?),
            (first, _) => first,
        }
        .map(|message| (message, self.share.charge()));
        let mut ended = false;
        // The language has to be known, and a call of one request needs that.
        if first.is_none() && (takes_one || reader.language.is_none()) {
            match timeout(FIRST, reader.next()).await {
                Ok(Ok(Incoming::Message(message, charge))) => first = Some((message, charge)),
                Ok(Ok(Incoming::End)) => ended = true,
                Ok(Ok(Incoming::Gone)) => return Ok(End::Gone),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    let detail = format!("no message came within {} s", FIRST.as_secs());
                    return Err(Error::timeout(ID, detail));
                }
            }
        }
        let language = reader.language.unwrap_or(Language::Json);
        let translation = self.admitted.translation(language);
        let heard = reader.heard.subscribe();
        let (requests, body) = mpsc::channel(1);
        let body = Requests {
            requests: body,
            charge: None,
        };
        let (request, target, caller) = self.admitted.request(language, body);
        let dispatcher = self.dispatcher;
        let opening = Box::pin(async move {
            let response = dispatcher.send(&target, caller, request).await?;
            Messages::of(response, translation)
        });
        let uploading = upload(reader, requests, first, takes_one, ended);
        let answering = answer(Source::Opening(opening), sink, language, heard);
        tokio::select! {
            biased;
            end = answering => end,
            end = uploading => end,
        }
    }
}

/// Passes on what the client sends, as fast as it is taken. Comes back when the client is gone.
async fn upload<S>(
    reader: &mut Reader<S>,
    requests: mpsc::Sender<(Bytes, Charge)>,
    first: Option<(Bytes, Charge)>,
    takes_one: bool,
    ended: bool,
) -> Result<End, Error>
where
    S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    let over = ended || takes_one && first.is_some();
    let mut requests = Some(requests);
    if let (Some((message, charge)), Some(requests)) = (first, &requests) {
        // Who takes no more requests may still answer: that is not an error.
        let _ = requests.send((message, charge)).await;
    }
    if over {
        requests = None;
    }
    loop {
        match (reader.next().await?, &requests) {
            (Incoming::Gone, _) => return Ok(End::Gone),
            (Incoming::End, _) => requests = None,
            (Incoming::Message(message, charge), Some(sender)) => {
                let _ = sender.send((message, charge)).await;
            }
            (Incoming::Message(..), None) if takes_one => {
                let detail = "this method takes one message, which has come already";
                return Err(Error::bad_request(ID, detail));
            }
            (Incoming::Message(..), None) => {
                let detail = "a message came after the empty one that ends them";
                return Err(Error::bad_request(ID, detail));
            }
        }
    }
}

/// Passes on what the service answers, as fast as the client takes it.
async fn answer(
    mut source: Source,
    sink: &mut (impl Sink<Message> + Unpin),
    language: Language,
    heard: watch::Receiver<Instant>,
) -> Result<End, Error> {
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    loop {
        let message = tokio::select! {
            biased;
            next = source.next() => match next {
                Some(message) => in_frame(message?, language)?,
                None => return Ok(End::Done),
            },
            _ = pings.tick() => {
                if heard.borrow().elapsed() > SILENCE {
                    return Ok(End::Gone);
                }
                Message::Ping(Bytes::new())
            }
        };
        let sent = tokio::select! {
            sent = sink.send(message) => sent.is_ok(),
            () = sleep(SILENCE) => false,
        };
        if !sent {
            return Ok(End::Gone);
        }
    }
}

fn in_frame(message: Bytes, language: Language) -> Result<Message, Error> {
    Ok(match language {
        Language::Proto => Message::Binary(message),
        Language::Json if message.is_empty() => Message::Text("{}".into()),
        Language::Json => {
            let text = Utf8Bytes::try_from(message).map_err(|_| {
                let detail = "the service answered JSON that is not valid UTF-8";
                Error::bad_gateway(micro_wire::error::CLIENT_ID, detail)
            })?;
            Message::Text(text)
        }
    })
}

/// The body of the call: the messages of the client, each paid for until the next is wanted.
struct Requests {
    requests: mpsc::Receiver<(Bytes, Charge)>,
    charge: Option<Charge>,
}

impl http_body::Body for Requests {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.charge = None;
        let next = ready!(self.requests.poll_recv(cx));
        Poll::Ready(next.map(|(message, charge)| {
            self.charge = Some(charge);
            Ok(Frame::data(frame::encode(message)))
        }))
    }
}
