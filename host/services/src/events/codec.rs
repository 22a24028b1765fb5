//! The messages of a consumer: first what it wants to consume, then what became of each event.

use micro_proto::events::{ConsumeRequest, Event};
use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::ProstCodec;

/// A message from a consumer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Incoming {
    /// The first one.
    Consume(ConsumeRequest),
    /// Any later one.
    Settle {
        /// The event's id.
        id: String,
        /// Whether the event was dealt with.
        success: bool,
    },
}

/// What comes after the first message: an `AckRequest` as Go clients send it, or, from clients that
/// speak JSON, a `ConsumeRequest` of which the fields for this are set.
#[derive(Clone, PartialEq, Message)]
struct Later {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(bool, tag = "2")]
    success: bool,
    #[prost(string, tag = "1001")]
    json_id: String,
    #[prost(bool, tag = "1002")]
    json_success: bool,
}

impl From<Later> for Incoming {
    fn from(later: Later) -> Self {
        if later.json_id.is_empty() {
            Self::Settle {
                id: later.id,
                success: later.success,
            }
        } else {
            Self::Settle {
                id: later.json_id,
                success: later.json_success,
            }
        }
    }
}

/// Reads [`Incoming`] and writes events.
#[derive(Clone, Copy, Default)]
pub(super) struct ConsumeCodec;

impl Codec for ConsumeCodec {
    type Encode = Event;
    type Decode = Incoming;
    type Encoder = <ProstCodec<Event, Event> as Codec>::Encoder;
    type Decoder = ConsumeDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Event, Event>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ConsumeDecoder { begun: false }
    }
}

/// Knows whether the first message was there.
pub(super) struct ConsumeDecoder {
    begun: bool,
}

impl Decoder for ConsumeDecoder {
    type Item = Incoming;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Incoming>, Status> {
        let incoming = if std::mem::replace(&mut self.begun, true) {
            Later::decode(buffer).map(Incoming::from)
        } else {
            ConsumeRequest::decode(buffer).map(Incoming::Consume)
        };
        incoming
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use micro_proto::events::AckRequest;

    use super::*;

    fn later(message: &impl Message) -> Incoming {
        Later::decode(&*message.encode_to_vec()).unwrap().into()
    }

    #[test]
    fn acknowledgements_of_both_kinds() {
        for success in [true, false] {
            let settle = Incoming::Settle {
                id: "x".to_owned(),
                success,
            };
            let raw = AckRequest {
                id: "x".to_owned(),
                success,
            };
            assert_eq!(later(&raw), settle);
            let from_json = ConsumeRequest {
                id: "x".to_owned(),
                success,
                ..ConsumeRequest::default()
            };
            assert_eq!(later(&from_json), settle);
        }
    }
}
