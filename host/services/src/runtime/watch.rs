//! `Runtime.Watch`: the journal of a run as a stream, from one run to the next.

use std::time::Duration;

use futures::{StreamExt, stream, stream::BoxStream};
use micro_plugin_api::{Call, runtime::InstanceKey};
use micro_proto::runtime::{WatchEvent, WatchRequest};
use micro_wire::Error;
use tonic::{Request, Status};

use super::{
    Manager,
    keeper::Keeper,
    lease::Lease,
    record::{self, Record},
    relay,
};
use crate::error;

/// How long lines of a build are gathered: a message for each line of a loud one is more than a
/// client's HTTP/2 takes.
const GATHERING: Duration = Duration::from_millis(50);

const ID: &str = "runtime.Runtime.Watch";

/// How often the record of a service is read whose events are another server's.
const POLL: Duration = Duration::from_millis(500);

type Events = BoxStream<'static, Result<WatchEvent, Status>>;

fn event_of(record: Record) -> WatchEvent {
    WatchEvent {
        status: record.status.number(),
        error: record.error,
        ..WatchEvent::default()
    }
}

/// The events of a service that another server runs, as that one tells them. What it does not tell
/// any more its record does.
pub(super) fn relayed(
    manager: Manager,
    lease: Lease,
    key: InstanceKey,
    request: Request<WatchRequest>,
) -> Events {
    async_stream::stream! {
        let told = match relay::client(&lease, ID, "the progress").await {
            Ok(mut client) => client.watch(request).await,
            Err(status) => Err(status),
        };
        match told {
            Ok(events) => {
                for await event in events.into_inner() {
                    let Ok(event) = event else { break };
                    yield Ok(event);
                }
            }
            Err(status) => tracing::warn!(service = %key, "{}", status.message()),
        }
        for await event in of_record(manager, key) {
            yield event;
        }
    }
    .boxed()
}

/// The changes of status that the record of a service shows, until it is deleted.
pub(super) fn of_record(manager: Manager, key: InstanceKey) -> Events {
    async_stream::stream! {
        let mut last = None;
        while !manager.0.is_closing() {
            match record::read(manager.modules(), &Keeper::call(), &key).await {
                Ok(None) => return,
                Ok(Some((record, _))) => {
                    let event = event_of(record);
                    if last.as_ref() != Some(&event) {
                        last = Some(event.clone());
                        yield Ok(event);
                    }
                }
                // The store is away; the service may be well.
                Err(_) => {}
            }
            tokio::time::sleep(POLL).await;
        }
    }
    .boxed()
}

/// The events of a service until it is deleted. A service that another one replaces goes on with
/// that one's events.
pub(super) async fn events(
    manager: &Manager,
    call: &Call,
    key: InstanceKey,
) -> Result<Events, Error> {
    let Some(journal) = manager.journal(&key) else {
        // Of a run that ended with an earlier server only the record is left.
        let found = record::read(manager.modules(), call, &key).await;
        let found = found.map_err(|error| error::from_module(ID, &error))?;
        let (record, _) = found.ok_or_else(|| Error::not_found(ID, "service not found"))?;
        return Ok(stream::iter([Ok(event_of(record))]).boxed());
    };
    let manager = manager.clone();
    Ok(async_stream::stream! {
        let mut journal = journal;
        loop {
            let (mut at, mut news) = journal.begin();
            let present = journal.last();
            if journal.get(at) == Err(false) && !journal.is_closed() {
                yield Ok(present);
            }
            loop {
                match journal.get(at) {
                    Ok((event, next)) => {
                        let is_build = !event.build_line.is_empty();
                        at = next;
                        yield Ok(event);
                        if is_build {
                            // What is printed meanwhile comes together.
                            tokio::time::sleep(GATHERING).await;
                        }
                    }
                    Err(true) => break,
                    // The sender lives as long as the journal.
                    Err(false) => if news.changed().await.is_err() { return; },
                }
            }
            // Closed: deleted, or replaced by another run.
            match manager.journal(&key) {
                Some(next) if !next.is_closed() => journal = next,
                _ => break,
            }
        }
        if manager.config().lease.is_some() {
            // Another server may have it now.
            for await event in of_record(manager, key) {
                yield event;
            }
        }
    }
    .boxed())
}
