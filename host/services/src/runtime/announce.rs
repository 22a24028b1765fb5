//! What the platform does with services, as events of the topic `runtime` in their namespace.

use std::{collections::BTreeMap, time::Duration};

use micro_modules::Modules;
use micro_plugin_api::{Call, Code, runtime::InstanceKey, stream::NewEvent};
use serde::Serialize;

use crate::events::{topic_of, unix_millis};

/// The topic, as clients name it.
const TOPIC: &str = "runtime";

/// How long publishing may hold up the answer to a call.
const PATIENCE: Duration = Duration::from_secs(2);

/// What happened to a service.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Created,
    Updated,
    Deleted,
}

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "service.created",
            Self::Updated => "service.updated",
            Self::Deleted => "service.deleted",
        }
    }
}

/// The payload, with the names that existing consumers know.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Payload<'a> {
    r#type: &'a str,
    service: Service<'a>,
    namespace: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Service<'a> {
    name: &'a str,
    version: &'a str,
}

/// Publishes what happened. It did happen, so that a stream which does not take the event fails
/// nothing: a log line says so, and none where the profile has no stream.
pub(super) async fn announce(modules: &Modules, what: What, key: &InstanceKey) {
    let (kind, namespace) = (what.as_str(), key.namespace.as_str());
    let payload = Payload {
        r#type: kind,
        service: Service {
            name: &key.name,
            version: &key.version,
        },
        namespace,
    };
    let event = NewEvent {
        topic: topic_of(namespace, TOPIC),
        payload: serde_json::to_vec(&payload).unwrap_or_default().into(),
        metadata: BTreeMap::from([
            ("type".to_owned(), kind.to_owned()),
            ("namespace".to_owned(), namespace.to_owned()),
        ]),
        timestamp: unix_millis(),
    };
    let call = Call::new(namespace).with_timeout(PATIENCE);
    match modules.stream().publish(&call, &[event]).await {
        Ok(_) => {}
        Err(error) if error.code() == Code::UNSUPPORTED => {}
        Err(error) => {
            tracing::warn!(
                namespace,
                service = key.name,
                "the event {kind} was not published: {error}"
            );
        }
    }
}
