//! `Runtime.Logs`: what a service printed, from the runtime module.

use futures::{StreamExt, stream::BoxStream};
use micro_plugin_api::{
    Call, Code,
    runtime::{InstanceKey, LogLine, LogOptions},
};
use micro_proto::runtime::LogRecord;
use micro_wire::Error;
use tonic::Status;

use super::{Manager, record};
use crate::error;

const ID: &str = "runtime.Runtime.Logs";

/// The last `count` lines of a service, all if that is `None`, but none printed before `since` (in
/// milliseconds since the Unix epoch); with `follow`, those to come too.
/// Of a service that was killed as well, as long as its log is there.
pub(super) async fn records(
    manager: &Manager,
    call: &Call,
    key: InstanceKey,
    count: Option<u64>,
    since: Option<u64>,
    follow: bool,
) -> Result<BoxStream<'static, Result<LogRecord, Status>>, Error> {
    let options = LogOptions {
        tail: count,
        since,
        follow,
    };
    let lines = match manager.modules().runtime().logs(call, &key, &options).await {
        Ok(lines) => lines,
        Err(error) if error.code() == Code::NOT_FOUND => {
            return not_started(manager, call, key, options).await;
        }
        Err(error) => return Err(error::from_module(ID, &error)),
    };
    Ok(lines.map(to_wire).boxed())
}

fn to_wire(line: micro_plugin_api::Result<LogLine>) -> Result<LogRecord, Status> {
    let line = line.map_err(error::module(ID))?;
    Ok(LogRecord {
        timestamp: line.timestamp.map_or(0, |at| (at / 1000) as i64),
        message: line.text,
        ..LogRecord::default()
    })
}

/// The log of a service that has not printed anything yet: it may be building still.
async fn not_started(
    manager: &Manager,
    call: &Call,
    key: InstanceKey,
    options: LogOptions,
) -> Result<BoxStream<'static, Result<LogRecord, Status>>, Error> {
    let found = record::read(manager.modules(), call, &key).await;
    if found
        .map_err(|error| error::from_module(ID, &error))?
        .is_none()
    {
        return Err(Error::not_found(ID, "service not found"));
    }
    let journal = manager.journal(&key).filter(|_| options.follow);
    let Some(journal) = journal else {
        return Ok(futures::stream::empty().boxed());
    };
    let (manager, call) = (manager.clone(), call.clone());
    Ok(async_stream::stream! {
        let (_, mut news) = journal.begin();
        loop {
            match manager.modules().runtime().logs(&call, &key, &options).await {
                Ok(lines) => {
                    for await line in lines {
                        yield to_wire(line);
                    }
                    return;
                }
                Err(error) if error.code() == Code::NOT_FOUND => {}
                Err(error) => {
                    yield Err(error::module(ID)(error));
                    return;
                }
            }
            if journal.is_closed() || news.changed().await.is_err() {
                return;
            }
        }
    }
    .boxed())
}
