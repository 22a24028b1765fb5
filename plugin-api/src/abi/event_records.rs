//! The records of `micro.stream/1`: requests lend their texts, answers own them. Payloads cross by
//! reference count in both directions.

use std::time::Duration;

use abi_stable::{
    StableAbi,
    std_types::{ROption, RStr, RString, RVec},
};

use super::{
    buffer::Buffer,
    records::{PairRecord, PairRef},
};
use crate::{
    Error, Result,
    stream::{
        Acks, ConsumeOptions, Delivery, Event, HistoryQuery, NewEvent, Settlement, Start, Token,
    },
};

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct NewEventRef<'a> {
    topic: RStr<'a>,
    payload: Buffer,
    metadata: RVec<PairRef<'a>>,
    timestamp: u64,
}

impl<'a> From<&'a NewEvent> for NewEventRef<'a> {
    fn from(event: &'a NewEvent) -> Self {
        let metadata = event.metadata.iter();
        Self {
            topic: event.topic.as_str().into(),
            payload: event.payload.clone().into(),
            metadata: metadata
                .map(|(key, value)| PairRef {
                    key: key.as_str().into(),
                    value: value.as_str().into(),
                })
                .collect(),
            timestamp: event.timestamp,
        }
    }
}

impl From<NewEventRef<'_>> for NewEvent {
    fn from(event: NewEventRef<'_>) -> Self {
        Self {
            topic: event.topic.into(),
            payload: event.payload.into(),
            metadata: event
                .metadata
                .into_iter()
                .map(|pair| (pair.key.into(), pair.value.into()))
                .collect(),
            timestamp: event.timestamp,
        }
    }
}

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct EventRecord {
    pub(super) id: RString,
    pub(super) topic: RString,
    pub(super) payload: Buffer,
    pub(super) metadata: RVec<PairRecord>,
    timestamp: u64,
    ingested: u64,
    position: u64,
}

impl From<Event> for EventRecord {
    fn from(event: Event) -> Self {
        Self {
            id: event.id.into(),
            topic: event.topic.into(),
            payload: event.payload.into(),
            metadata: event
                .metadata
                .into_iter()
                .map(|(key, value)| PairRecord {
                    key: key.into(),
                    value: value.into(),
                })
                .collect(),
            timestamp: event.timestamp,
            ingested: event.ingested,
            position: event.position,
        }
    }
}

impl From<EventRecord> for Event {
    fn from(event: EventRecord) -> Self {
        Self {
            id: event.id.into_string(),
            topic: event.topic.into_string(),
            payload: event.payload.into(),
            metadata: event
                .metadata
                .into_iter()
                .map(|pair| (pair.key.into_string(), pair.value.into_string()))
                .collect(),
            timestamp: event.timestamp,
            ingested: event.ingested,
            position: event.position,
        }
    }
}

#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct DeliveryRecord {
    pub(super) event: EventRecord,
    attempt: u32,
    pub(super) token: RString,
}

impl From<Delivery> for DeliveryRecord {
    fn from(delivery: Delivery) -> Self {
        Self {
            event: delivery.event.into(),
            attempt: delivery.attempt,
            token: delivery.token.0.into(),
        }
    }
}

impl From<DeliveryRecord> for Delivery {
    fn from(delivery: DeliveryRecord) -> Self {
        Self {
            event: delivery.event.into(),
            attempt: delivery.attempt,
            token: Token(delivery.token.into_string()),
        }
    }
}

const FROM_TIME: u32 = 1;
const MANUAL: u32 = 2;

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct ConsumeRef<'a> {
    group: ROption<RStr<'a>>,
    flags: u32,
    time: u64,
    ack_wait_nanos: u64,
    retry_limit: ROption<u32>,
    in_flight: u32,
}

impl<'a> From<&'a ConsumeOptions> for ConsumeRef<'a> {
    fn from(options: &'a ConsumeOptions) -> Self {
        let (from, time) = match options.start {
            Start::Now => (0, 0),
            Start::Time(time) => (FROM_TIME, time),
        };
        let (manual, wait) = match options.acks {
            Acks::Automatic => (0, Duration::ZERO),
            Acks::Manual { wait } => (MANUAL, wait),
        };
        Self {
            group: options.group.as_deref().map(RStr::from).into(),
            flags: from | manual,
            time,
            ack_wait_nanos: wait.as_nanos().try_into().unwrap_or(u64::MAX),
            retry_limit: options.retry_limit.into(),
            in_flight: options.in_flight,
        }
    }
}

impl From<ConsumeRef<'_>> for ConsumeOptions {
    fn from(options: ConsumeRef<'_>) -> Self {
        Self {
            group: options.group.into_option().map(Into::into),
            start: if options.flags & FROM_TIME == 0 {
                Start::Now
            } else {
                Start::Time(options.time)
            },
            acks: if options.flags & MANUAL == 0 {
                Acks::Automatic
            } else {
                Acks::Manual {
                    wait: Duration::from_nanos(options.ack_wait_nanos),
                }
            },
            retry_limit: options.retry_limit.into_option(),
            in_flight: options.in_flight,
        }
    }
}

const NOT_DEALT_WITH: u32 = 0;
const ACKNOWLEDGED: u32 = 1;

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct SettlementRef<'a> {
    token: RStr<'a>,
    /// One of the constants above; an open set.
    outcome: u32,
}

impl<'a> From<&'a Settlement> for SettlementRef<'a> {
    fn from(settlement: &'a Settlement) -> Self {
        Self {
            token: settlement.token.0.as_str().into(),
            outcome: if settlement.acknowledged {
                ACKNOWLEDGED
            } else {
                NOT_DEALT_WITH
            },
        }
    }
}

impl TryFrom<SettlementRef<'_>> for Settlement {
    type Error = Error;

    fn try_from(settlement: SettlementRef<'_>) -> Result<Self> {
        Ok(Self {
            token: Token(settlement.token.into()),
            acknowledged: match settlement.outcome {
                ACKNOWLEDGED => true,
                NOT_DEALT_WITH => false,
                _ => {
                    return Err(Error::unsupported(
                        "the plugin is too old for what became of a delivery",
                    ));
                }
            },
        })
    }
}

#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub(crate) struct HistoryRef {
    from: u64,
    offset: u64,
    limit: u64,
}

impl From<&HistoryQuery> for HistoryRef {
    fn from(query: &HistoryQuery) -> Self {
        Self {
            from: query.from,
            offset: query.offset,
            limit: query.limit,
        }
    }
}

impl From<HistoryRef> for HistoryQuery {
    fn from(query: HistoryRef) -> Self {
        Self {
            from: query.from,
            offset: query.offset,
            limit: query.limit,
        }
    }
}
