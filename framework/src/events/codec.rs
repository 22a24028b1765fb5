//! What a consumer says on its stream: a request first, then what became of each event.

use micro_proto::events::{AckRequest, ConsumeRequest, Event};
use prost::Message as _;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstCodec;

/// A message of a consumer.
#[derive(Debug)]
pub(super) enum Said {
    Consume(ConsumeRequest),
    Settle(AckRequest),
}

/// Writes both kinds of messages; generated code knows of one.
#[derive(Debug, Default)]
pub(super) struct SaidCodec;

impl Codec for SaidCodec {
    type Encode = Said;
    type Decode = Event;
    type Encoder = Self;
    type Decoder = <ProstCodec<Event, Event> as Codec>::Decoder;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<Event, Event>::raw_decoder(BufferSettings::default())
    }
}

impl Encoder for SaidCodec {
    type Item = Said;
    type Error = Status;

    fn encode(&mut self, said: Said, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match said {
            Said::Consume(request) => request.encode(out),
            Said::Settle(request) => request.encode(out),
        }
        .map_err(|error| Status::internal(error.to_string()))
    }
}
