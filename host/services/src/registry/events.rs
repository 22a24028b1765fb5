//! What the broker is told of registrations: an event on the topic `registry.events` of their domain.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use micro_modules::Modules;
use micro_plugin_api::{Call, broker::Message, registry::Service};
use micro_proto::registry::{Event, EventType};
use prost::Message as _;
use tokio::sync::Semaphore;

use super::record;
use crate::broker;

const TOPIC: &str = "registry.events";

/// How long the broker may take for one event.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many events may be on their way to the broker. Messages are at most once anyway, and a
/// broker that is away must not fill the memory.
const UNDER_WAY: usize = 64;

/// Tells the broker.
pub(super) struct Events {
    modules: Arc<Modules>,
    /// Which registry service it is that tells.
    id: String,
    under_way: Arc<Semaphore>,
}

impl Events {
    pub(super) fn new(modules: Arc<Modules>) -> Self {
        Self {
            modules,
            id: format!("registry-{}", uuid::Uuid::now_v7()),
            under_way: Arc::new(Semaphore::new(UNDER_WAY)),
        }
    }

    /// Publishes that something was done to a service, behind the back of whoever did it: a broker
    /// that is slow, fails or is not there changes nothing for them.
    pub(super) fn publish(&self, kind: EventType, service: Service) {
        let Ok(permit) = self.under_way.clone().try_acquire_owned() else {
            tracing::debug!("the broker is too slow: an event of the registry is dropped");
            return;
        };
        let (id, broker) = (self.id.clone(), self.modules.broker());
        tokio::spawn(async move {
            let _permit = permit;
            let topic = broker::in_namespace(&service.domain, TOPIC);
            let call = Call::new(service.domain.as_str()).with_timeout(PATIENCE);
            let message = message(id, kind, service);
            if let Err(error) = broker.publish(&call, &topic, message).await {
                tracing::debug!(topic, "cannot publish an event of the registry: {error}");
            }
        });
    }
}

fn message(id: String, kind: EventType, service: Service) -> Message {
    let event = Event {
        id,
        r#type: kind.into(),
        timestamp: unix_nanos(),
        service: Some(record::to_proto(service)),
    };
    Message::new(event.encode_to_vec())
        .with_header("Micro-Topic", TOPIC)
        .with_header("Content-Type", "application/protobuf")
}

pub(super) fn unix_nanos() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos().try_into().unwrap_or(i64::MAX))
}
