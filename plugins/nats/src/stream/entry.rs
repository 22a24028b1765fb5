//! A message of JetStream as it comes: to a consumer, or when it is asked for by its place.

use async_nats::{HeaderMap, Message, StatusCode, Subject};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A message that JetStream keeps.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its place in the stream.
    pub(super) sequence: u64,
    /// When it was taken in: milliseconds since the Unix epoch.
    pub(super) ingested: u64,
    pub(super) headers: Option<HeaderMap>,
    pub(super) body: Bytes,
    /// What the consumer that it came to has to know; for one that was asked for, nothing.
    pub(super) delivery: Delivery,
}

/// How a message came to a consumer.
#[derive(Clone, Debug, Default)]
pub(super) struct Delivery {
    /// Where acknowledgements go.
    pub(super) reply: Option<Subject>,
    /// How often it was delivered, this time included.
    pub(super) times: u64,
    /// Its number among what the consumer was sent.
    pub(super) number: u64,
}

impl Entry {
    /// A message that came to a consumer; `None` for what is none. All about it stands in the
    /// subject that its acknowledgement goes to:
    /// `$JS.ACK.[DOMAIN.ACCOUNT.]STREAM.CONSUMER.TIMES.SEQUENCE.NUMBER.NANOSECONDS.PENDING[.…]`.
    pub(super) fn delivered(message: Message) -> Option<Self> {
        let reply = message.reply?;
        let parts: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let numbers = match parts.len() {
            7 => &parts[2..],
            9.. => &parts[4..],
            _ => return None,
        };
        let number = |at: usize| numbers.get(at)?.parse::<u64>().ok();
        let (times, sequence) = (number(0)?, number(1)?);
        let (count, nanoseconds) = (number(2)?, number(3)?);
        Some(Self {
            sequence,
            ingested: nanoseconds / 1_000_000,
            headers: message.headers,
            body: message.payload,
            delivery: Delivery {
                reply: Some(reply),
                times,
                number: count,
            },
        })
    }

    /// A message that a server gave directly. `Ok(None)` if it has none there.
    pub(super) fn direct(message: Message) -> Result<Option<Self>, String> {
        if message.status == Some(StatusCode::NOT_FOUND) {
            return Ok(None);
        }
        let headers = message.headers.ok_or("an answer without a header")?;
        let header = |name: &str| {
            let value = headers.get(name).map(|value| value.as_str());
            value.ok_or_else(|| format!("an answer without {name}"))
        };
        let sequence = header("Nats-Sequence")?
            .parse()
            .map_err(|_| "an answer without a number in Nats-Sequence")?;
        let ingested = millis(header("Nats-Time-Stamp")?).ok_or("an answer without a time")?;
        Ok(Some(Self {
            sequence,
            ingested,
            headers: Some(headers),
            body: message.payload,
            delivery: Delivery::default(),
        }))
    }
}

/// A message as the leader of a stream gives it, in JSON.
#[derive(Deserialize)]
pub(super) struct Given {
    message: GivenMessage,
}

#[derive(Deserialize)]
struct GivenMessage {
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: String,
}

impl Given {
    pub(super) fn entry(self) -> Option<Entry> {
        let header = BASE64_STANDARD.decode(self.message.hdrs).ok()?;
        Some(Entry {
            sequence: self.message.seq,
            ingested: millis(&self.message.time)?,
            headers: Some(parse(&header)),
            body: BASE64_STANDARD.decode(self.message.data).ok()?.into(),
            delivery: Delivery::default(),
        })
    }
}

/// The header of a message as it stands on the wire.
fn parse(header: &[u8]) -> HeaderMap {
    let text = String::from_utf8_lossy(header);
    let lines = text.lines().skip(1);
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if let Ok(name) = name.parse::<async_nats::HeaderName>() {
            headers.append(name, value.trim());
        }
    }
    headers
}

fn millis(time: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(time, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(reply: &str) -> Message {
        Message {
            subject: "s".into(),
            reply: Some(reply.into()),
            payload: Bytes::from_static(b"x"),
            headers: None,
            status: None,
            description: None,
            length: 1,
        }
    }

    #[test]
    fn old_and_new_servers_say_the_same_in_their_own_ways() {
        for reply in [
            "$JS.ACK.s.c.3.17.5.1700000000123456789.2",
            "$JS.ACK.hub.ACCOUNT.s.c.3.17.5.1700000000123456789.2.random",
        ] {
            let entry = Entry::delivered(message(reply)).unwrap();
            assert_eq!((entry.sequence, entry.ingested), (17, 1_700_000_000_123));
            assert_eq!((entry.delivery.times, entry.delivery.number), (3, 5));
        }
        assert!(Entry::delivered(message("_INBOX.x")).is_none());
    }

    #[test]
    fn what_the_leader_gives_is_read() {
        let text = format!(
            r#"{{"message":{{"subject":"s","seq":4,"hdrs":"{}","data":"eA==","time":"2026-01-01T00:00:00.0015Z"}}}}"#,
            BASE64_STANDARD.encode("NATS/1.0\r\nA: b\r\n\r\n")
        );
        let given: Given = serde_json::from_str(&text).unwrap();
        let entry = given.entry().unwrap();
        assert_eq!((entry.sequence, &entry.body[..]), (4, &b"x"[..]));
        assert_eq!(entry.ingested, 1_767_225_600_001);
        assert_eq!(entry.headers.unwrap().get("A").unwrap().as_str(), "b");
    }
}
