//! What the client of a websocket sends: messages of one language, and the end of them.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use micro_route::{Charge, Share};
use micro_wire::{Error, frame::MAX_MESSAGE};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{self, Message, error::CapacityError};

use crate::{ID, call::Language, payload, translate::Translation};

/// What comes next from a client.
pub(super) enum Incoming {
    /// A message, which takes something of a budget while it is kept.
    Message(Bytes, Charge),
    /// There will be no more messages, but answers are still wanted.
    End,
    /// The client is gone, or says that it goes.
    Gone,
}

/// Reads the frames of a client.
pub(super) struct Reader<S> {
    frames: S,
    share: Share,
    /// For a service that knows no JSON.
    translation: Option<Translation>,
    /// What the messages are written in: it is said before, or the first one tells.
    pub(super) language: Option<Language>,
    /// When the client last showed that it is there.
    pub(super) heard: tokio::sync::watch::Sender<Instant>,
}

impl<S> Reader<S>
where
    S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
{
    pub(super) fn new(
        frames: S,
        share: Share,
        language: Option<Language>,
        translation: Option<Translation>,
    ) -> Self {
        Self {
            frames,
            share,
            translation,
            language,
            heard: tokio::sync::watch::Sender::new(Instant::now()),
        }
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What came is no message of this conversation.
    pub(super) async fn next(&mut self) -> Result<Incoming, Error> {
        loop {
            let Some(frame) = self.frames.next().await else {
                return Ok(Incoming::Gone);
            };
            self.heard.send_replace(Instant::now());
            let (bytes, text) = match frame {
                Ok(Message::Text(text)) => (Bytes::from(text), true),
                Ok(Message::Binary(bytes)) => (bytes, false),
                Ok(Message::Close(_)) => return Ok(Incoming::Gone),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(error) => return broken(error),
            };
            if text && bytes.is_empty() {
                return Ok(Incoming::End);
            }
            let mut charge = self.share.charge();
            charge.grow(bytes.len())?;
            let message = match self.language_of(&bytes, text)? {
                Language::Json => {
                    let json = payload::of_json(bytes).await?;
                    match &self.translation {
                        Some(translation) => translation.request(json).await?,
                        None => json,
                    }
                }
                Language::Proto => bytes,
            };
            return Ok(Incoming::Message(message, charge));
        }
    }

    /// In what a message is written: JSON in a frame of either kind, protobuf in binary ones.
    fn language_of(&mut self, bytes: &[u8], text: bool) -> Result<Language, Error> {
        // No message of protobuf 3 begins so: it would be a group.
        let json = text || bytes.starts_with(b"{");
        match (self.language, text) {
            (Some(Language::Proto), true) => Err(Error::bad_request(
                ID,
                "the messages of this websocket are protobuf, in binary frames",
            )),
            (Some(language), _) => Ok(language),
            (None, _) => {
                let language = if json {
                    Language::Json
                } else {
                    Language::Proto
                };
                self.language = Some(language);
                Ok(language)
            }
        }
    }
}

/// What a failure to read means: that nobody is there, or that they do what they may not.
fn broken(error: tungstenite::Error) -> Result<Incoming, Error> {
    match error {
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            let detail = format!(
                "the message has {size} bytes or more, and a message may have {MAX_MESSAGE}; send \
                 what is larger in pieces"
            );
            Err(Error::new(ID, 413, detail))
        }
        tungstenite::Error::Io(error) => match error.downcast::<Error>() {
            Ok(refused) => Err(refused),
            Err(_) => Ok(Incoming::Gone),
        },
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => Ok(Incoming::Gone),
        error => Err(Error::bad_request(
            ID,
            format!("this is not how websockets are spoken: {error}"),
        )),
    }
}
