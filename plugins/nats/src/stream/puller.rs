//! Pulls from a consumer of JetStream: one request at a time, for so many messages.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use micro_plugin_api::Result;
use serde_json::json;

use super::{api::Failure, entry::Entry, jet::Jet};
use crate::connection::closed;

/// How often the server says that it is still there, during a request of several times as long.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Without a word for so long, the request is lost.
const SILENCE: Duration = Duration::from_secs(5);
/// The most bytes that one request brings, or what one message has if that is more.
const BYTES: usize = 4 << 20;

/// What came.
pub(super) enum Pulled {
    /// A message.
    Entry(Entry),
    /// There are no more now, and the request was for what is there.
    Empty,
    /// The request is over; there may be more.
    Over,
    /// The consumer may be gone: see whether it is there.
    Gone,
}

/// The inbox of one who pulls.
pub(super) struct Puller {
    jet: Arc<Jet>,
    subject: String,
    inbox: String,
    subscriber: Subscriber,
    /// The number of the request that is under way, or was last.
    number: u64,
    /// How many messages it may still bring.
    left: usize,
    heard: Instant,
}

impl Puller {
    pub(super) async fn open(jet: &Arc<Jet>, consumer: &str) -> Result<Self, Failure> {
        let client = jet.connection.client();
        let inbox = client.new_inbox();
        let subscriber = client.subscribe(format!("{inbox}.*")).await;
        let subscriber = subscriber.map_err(|_| Failure::Silent)?;
        Ok(Self {
            jet: jet.clone(),
            subject: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", jet.layout.events),
            inbox,
            subscriber,
            number: 0,
            left: 0,
            heard: Instant::now(),
        })
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.left == 0
    }

    /// Forgets the request that is under way, and says how many messages it might have brought.
    pub(super) fn reset(&mut self) -> usize {
        std::mem::take(&mut self.left)
    }

    /// Asks for messages: those that are there now, or those that come within this time as well.
    pub(super) async fn request(
        &mut self,
        messages: usize,
        expires: Option<Duration>,
    ) -> Result<()> {
        let client = self.jet.connection.client();
        let mut request = json!({
            "batch": messages,
            "max_bytes": BYTES.max(2 * client.max_payload()),
        });
        match expires {
            Some(expires) => request["expires"] = json!(nanos(expires)),
            None => request["no_wait"] = json!(true),
        }
        // JetStream refuses one that is more than half as long.
        if expires.is_some_and(|expires| expires > 2 * HEARTBEAT) {
            request["idle_heartbeat"] = json!(nanos(HEARTBEAT));
        }
        self.number += 1;
        self.left = messages;
        self.heard = Instant::now();
        let reply = format!("{}.{}", self.inbox, self.number);
        let payload = Bytes::from(request.to_string());
        let sent = client.publish_with_reply(self.subject.clone(), reply, payload);
        sent.await.map_err(closed)
    }

    /// Waits for what comes; for ever while no request is under way and none comes late. May be
    /// dropped and called again.
    pub(super) async fn next(&mut self) -> Pulled {
        loop {
            let silence = self.heard + SILENCE;
            let message = match self.left {
                0 => self.subscriber.next().await,
                _ => {
                    let next = self.subscriber.next();
                    match tokio::time::timeout_at(silence.into(), next).await {
                        Ok(message) => message,
                        // So it is, too, where nobody knows the consumer.
                        Err(_) => {
                            self.left = 0;
                            return Pulled::Gone;
                        }
                    }
                }
            };
            let Some(message) = message else {
                self.left = 0;
                return Pulled::Gone;
            };
            self.heard = Instant::now();
            if let Some(pulled) = self.read(message) {
                return pulled;
            }
        }
    }

    fn read(&mut self, message: Message) -> Option<Pulled> {
        let Some(status) = message.status else {
            let entry = Entry::delivered(message)?;
            self.left = self.left.saturating_sub(1);
            return Some(Pulled::Entry(entry));
        };
        // Of a request that was given up.
        let number = message.subject.rsplit('.').next();
        if number != Some(self.number.to_string().as_str()) || status == StatusCode::IDLE_HEARTBEAT
        {
            return None;
        }
        self.left = 0;
        let description = message.description.unwrap_or_default();
        Some(match status {
            StatusCode::NOT_FOUND => Pulled::Empty,
            StatusCode::TIMEOUT => Pulled::Over,
            // As many bytes as were asked for.
            _ if description.contains("MaxBytes") => Pulled::Over,
            _ => {
                tracing::debug!(%status, description, "a pull request ended");
                Pulled::Gone
            }
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
