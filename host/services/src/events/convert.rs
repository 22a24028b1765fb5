//! Events and requests of the wire and those of the module.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use micro_plugin_api::stream::{self, Acks, ConsumeOptions, NewEvent, Start};
use micro_proto::events::{ConsumeRequest, Event, PublishRequest};

/// What is wrong with an ack wait that leaves no time to acknowledge.
pub(super) const BAD_ACK_WAIT: &str = "invalid AckWait passed, should be positive integer";

/// The module's topic for one of a namespace. Namespaces have no slash, so no two topics meet.
pub(crate) fn topic_of(namespace: &str, topic: &str) -> String {
    format!("{namespace}/{topic}")
}

/// The event to publish. Times at or before the epoch, as clients send that know none, are now.
pub(super) fn new_event(namespace: &str, request: PublishRequest) -> NewEvent {
    let timestamp = match u64::try_from(request.timestamp) {
        Ok(seconds) if seconds > 0 => seconds.saturating_mul(1_000),
        _ => unix_millis(),
    };
    NewEvent {
        topic: topic_of(namespace, &request.topic),
        payload: request.payload,
        metadata: request.metadata.into_iter().collect(),
        timestamp,
    }
}

pub(crate) fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis().try_into().unwrap_or(u64::MAX))
}

/// An event as clients see it: times in seconds.
pub(super) fn event(namespace: &str, event: stream::Event, attempt: u32) -> Event {
    let topic = event
        .topic
        .strip_prefix(namespace)
        .and_then(|topic| topic.strip_prefix('/'))
        .map(str::to_owned);
    Event {
        id: event.id,
        topic: topic.unwrap_or(event.topic),
        metadata: event.metadata.into_iter().collect(),
        payload: event.payload,
        timestamp: (event.timestamp / 1_000).try_into().unwrap_or(i64::MAX),
        attempt,
    }
}

/// How to consume, as a request says it. `lenient` takes somebody who names no ack wait for one who
/// does not acknowledge.
///
/// # Errors
/// What is wrong with it.
pub(super) fn options(
    request: &ConsumeRequest,
    lenient: bool,
) -> Result<ConsumeOptions, &'static str> {
    let wait = u64::try_from(request.ack_wait).unwrap_or(0);
    let acks = match (request.auto_ack, wait) {
        (true, _) => Acks::Automatic,
        (false, 0) if lenient && request.ack_wait == 0 => Acks::Automatic,
        (false, 0) => return Err(BAD_ACK_WAIT),
        (false, nanos) => Acks::Manual {
            wait: Duration::from_nanos(nanos),
        },
    };
    Ok(ConsumeOptions {
        group: (!request.group.is_empty()).then(|| request.group.clone()),
        // Go clients that want no offset send the zero time, long before the epoch.
        start: match (
            u64::try_from(request.offset_ms),
            u64::try_from(request.offset),
        ) {
            (Ok(millis), _) if millis > 0 => Start::Time(millis),
            (_, Ok(seconds)) if seconds > 0 => Start::Time(seconds.saturating_mul(1_000)),
            _ => Start::Now,
        },
        acks,
        // Below zero: as often as it takes.
        retry_limit: u64::try_from(request.retry_limit)
            .ok()
            .map(|limit| limit.try_into().unwrap_or(u32::MAX)),
        ..ConsumeOptions::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_go_client_sends_by_default() {
        let request = ConsumeRequest {
            topic: "t".to_owned(),
            offset: -62_135_596_800,
            auto_ack: true,
            retry_limit: -1,
            ..ConsumeRequest::default()
        };
        let wanted = ConsumeOptions::default();
        assert_eq!(options(&request, false), Ok(wanted));
    }

    #[test]
    fn manual_acknowledgement_needs_time() {
        let mut request = ConsumeRequest {
            retry_limit: 3,
            offset: 7,
            group: "g".to_owned(),
            ..ConsumeRequest::default()
        };
        assert_eq!(options(&request, false), Err(BAD_ACK_WAIT));
        assert!(options(&request, true).is_ok_and(|it| it.acks == Acks::Automatic));
        request.ack_wait = -1;
        assert_eq!(options(&request, true), Err(BAD_ACK_WAIT));
        request.ack_wait = 1_000_000;
        let wanted = ConsumeOptions {
            group: Some("g".to_owned()),
            start: Start::Time(7_000),
            acks: Acks::Manual {
                wait: Duration::from_millis(1),
            },
            retry_limit: Some(3),
            ..ConsumeOptions::default()
        };
        assert_eq!(options(&request, false), Ok(wanted));
    }

    #[test]
    fn events_keep_their_topic_and_get_a_time() {
        let request = PublishRequest {
            topic: "a/b".to_owned(),
            timestamp: -62_135_596_800,
            ..PublishRequest::default()
        };
        let new = new_event("foo", request);
        assert_eq!(new.topic, "foo/a/b");
        assert!(new.timestamp > 1_600_000_000_000);
        let taken = stream::Event {
            topic: new.topic,
            timestamp: 5_999,
            ..stream::Event::default()
        };
        let told = event("foo", taken, 2);
        assert_eq!(
            (told.topic.as_str(), told.timestamp, told.attempt),
            ("a/b", 5, 2)
        );
    }
}
