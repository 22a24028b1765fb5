//! The records of a broker: messages, and their deliveries.

use abi_stable::{StableAbi, std_types::RVec};

use super::{buffer::Buffer, records::PairRecord};
use crate::broker::{Delivery, Message};

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct MessageRecord {
    pub(super) header: RVec<PairRecord>,
    pub(super) body: Buffer,
}

impl From<Message> for MessageRecord {
    fn from(message: Message) -> Self {
        let header = message.header.into_iter().map(|(key, value)| PairRecord {
            key: key.into(),
            value: value.into(),
        });
        Self {
            header: header.collect(),
            body: message.body.into(),
        }
    }
}

impl From<MessageRecord> for Message {
    fn from(record: MessageRecord) -> Self {
        let header = record.header.into_iter();
        Self {
            header: header
                .map(|pair| (pair.key.into_string(), pair.value.into_string()))
                .collect(),
            body: record.body.into(),
        }
    }
}

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct MessageDeliveryRecord {
    pub(super) message: MessageRecord,
    lost: u64,
}

impl From<Delivery> for MessageDeliveryRecord {
    fn from(delivery: Delivery) -> Self {
        Self {
            message: delivery.message.into(),
            lost: delivery.lost,
        }
    }
}

impl From<MessageDeliveryRecord> for Delivery {
    fn from(record: MessageDeliveryRecord) -> Self {
        Self {
            message: record.message.into(),
            lost: record.lost,
        }
    }
}
