//! The core service `events`: publishing to topics of a namespace, consuming from any moment of
//! their past, and reading their history.

mod codec;
mod consume;
mod convert;
mod service;
mod wire;

use std::sync::Arc;

use micro_proto::events::{
    events_server::EventsServer, store_server::StoreServer, stream_server::StreamServer,
};
use micro_wire::{Handlers, frame::MAX_MESSAGE, json::MethodsError};

use self::{consume::Consumer, service::EventsService, wire::WithAcks};
use crate::Platform;

pub(crate) use self::convert::{topic_of, unix_millis};

/// The handlers `Stream` and `Store`, and `Events`, which is both for those who type
/// `micro events publish`.
pub(crate) fn handlers(platform: &Platform) -> Result<Handlers, MethodsError> {
    let service = Arc::new(EventsService::new(platform.modules.clone()));
    let stream = StreamServer::from_arc(service.clone()).max_decoding_message_size(MAX_MESSAGE);
    let store = StoreServer::from_arc(service.clone()).max_decoding_message_size(MAX_MESSAGE);
    let events = EventsServer::from_arc(service).max_decoding_message_size(MAX_MESSAGE);
    let consumer = |id| Consumer::new(platform.modules.clone(), id);
    let pool = micro_proto::descriptor_pool();
    Handlers::new()
        .add(
            WithAcks::new(stream, consumer("events.Stream.Consume")),
            pool,
        )?
        .add(store, pool)?
        .add(
            WithAcks::new(events, consumer("events.Events.Consume").for_terminals()),
            pool,
        )
}
