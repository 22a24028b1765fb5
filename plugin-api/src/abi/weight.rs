//! How many bytes the items of streams hold, and the most that one may: a stream grows neither in what
//! is on its way nor item by item.

use abi_stable::std_types::RString;

use super::{
    broker_records::MessageDeliveryRecord,
    buffer::Buffer,
    event_records::{DeliveryRecord, EventRecord},
    records::PairRecord,
    store_records::RecordChangeRecord,
};
use crate::{Error, Result};

/// The most bytes of an item: four times the largest message that the server takes.
const LARGE: usize = 64 << 20;

/// The most bytes of a message or an event: twice what may be published as one.
const SMALL: usize = 2 << 20;

/// What crosses as an item of a stream.
pub(crate) trait Weight {
    /// The most bytes that one may hold which a plugin sends.
    const MOST: usize = LARGE;

    /// The bytes that it holds, but for what every such item has.
    fn bytes(&self) -> usize;
}

impl Weight for Buffer {
    fn bytes(&self) -> usize {
        self.as_ref().len()
    }
}

impl Weight for RString {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Weight for PairRecord {
    fn bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }
}

impl Weight for MessageDeliveryRecord {
    const MOST: usize = SMALL;

    fn bytes(&self) -> usize {
        sum(&self.message.header) + self.message.body.bytes()
    }
}

impl Weight for EventRecord {
    const MOST: usize = SMALL;

    fn bytes(&self) -> usize {
        self.id.len() + self.topic.len() + sum(&self.metadata) + self.payload.bytes()
    }
}

impl Weight for DeliveryRecord {
    const MOST: usize = SMALL;

    fn bytes(&self) -> usize {
        self.event.bytes() + self.token.len()
    }
}

impl Weight for RecordChangeRecord {
    fn bytes(&self) -> usize {
        let record = &self.record;
        record.key.len() + sum(&record.metadata) + record.value.bytes()
    }
}

fn sum(pairs: &[PairRecord]) -> usize {
    pairs.iter().map(Weight::bytes).sum()
}

/// Refuses an item that holds more than it may.
///
/// # Errors
/// `internal`: it is the plugin that is wrong.
pub(crate) fn check<T: Weight>(plugin: &str, method: &str, item: T) -> Result<T> {
    let (bytes, most) = (item.bytes(), T::MOST);
    if bytes <= most {
        return Ok(item);
    }
    Err(Error::internal(format!(
        "the plugin {plugin} sent an item of {bytes} bytes in the stream of {method}, and the most are \
         {most}; the stream is ended, and the plugin has to be mended"
    )))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        broker::{Delivery, Message},
        stream::{Event, Token},
    };

    #[test]
    fn everything_that_can_be_large_is_counted() {
        let message = Message::new(vec![0; 10]).with_header("abc", "de");
        let delivery = MessageDeliveryRecord::from(Delivery { message, lost: 7 });
        assert_eq!(delivery.bytes(), 15);
        let event = Event {
            id: "i".to_owned(),
            topic: "to".to_owned(),
            payload: Bytes::from_static(b"pay"),
            metadata: [("k".to_owned(), "v".to_owned())].into(),
            timestamp: 1,
            ingested: 1,
            position: 1,
        };
        let delivery = crate::stream::Delivery {
            event,
            attempt: 1,
            token: Token("token".to_owned()),
        };
        assert_eq!(DeliveryRecord::from(delivery).bytes(), 13);
    }

    #[test]
    fn what_is_too_large_is_refused_and_named() {
        let sized = |bytes| Buffer::from(Bytes::from(vec![0; bytes]));
        assert!(check("p", "blob.read", sized(LARGE)).is_ok());
        let refused = check("p", "blob.read", sized(LARGE + 1)).map(drop);
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("the plugin p sent"), "{text}");
    }
}
