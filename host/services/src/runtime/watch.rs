//! `Runtime.Watch`: the journal of a run as a stream, from one run to the next.

use std::time::Duration;

use futures::{StreamExt, stream, stream::BoxStream};
use micro_plugin_api::{Call, runtime::InstanceKey};
use micro_proto::runtime::WatchEvent;
use micro_wire::Error;
use tonic::Status;

use super::{Manager, record};
use crate::error;

/// How long lines of a build are gathered: a message for each line of a loud one is more than a
/// client's HTTP/2 takes.
const GATHERING: Duration = Duration::from_millis(50);

const ID: &str = "runtime.Runtime.Watch";

/// The events of a service until it is deleted. A service that another one replaces goes on with
/// that one's events.
pub(super) async fn events(
    manager: &Manager,
    call: &Call,
    key: InstanceKey,
) -> Result<BoxStream<'static, Result<WatchEvent, Status>>, Error> {
    let Some(journal) = manager.journal(&key) else {
        // Of a run that ended with an earlier server only the record is left.
        let found = record::read(manager.modules(), call, &key).await;
        let found = found.map_err(|error| error::from_module(ID, &error))?;
        let (record, _) = found.ok_or_else(|| Error::not_found(ID, "service not found"))?;
        let event = WatchEvent {
            status: record.status.number(),
            error: record.error,
            ..WatchEvent::default()
        };
        return Ok(stream::iter([Ok(event)]).boxed());
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
                _ => return,
            }
        }
    }
    .boxed())
}
