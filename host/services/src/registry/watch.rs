//! What a watcher on the wire is told: the changes, not what was there before.

use futures::{StreamExt as _, future};
use micro_plugin_api::{BoxStream, Result as ModuleResult, registry::Change};
use micro_proto::registry::Result as WatchResult;
use tonic::Status;

use super::{events::unix_nanos, record};
use crate::error;

/// The results for the changes of a watch; an error of the module ends them.
pub(super) fn results(
    id: &'static str,
    changes: BoxStream<ModuleResult<Change>>,
) -> BoxStream<Result<WatchResult, Status>> {
    changes
        .filter_map(move |change| {
            future::ready(match change {
                Ok(change) => result(change).map(Ok),
                Err(error) => Some(Err(error::from_module(id, &error).into())),
            })
        })
        .boxed()
}

fn result(change: Change) -> Option<WatchResult> {
    let (action, service) = match change {
        Change::Created(service) => ("create", service),
        Change::Updated(service) => ("update", service),
        Change::Deleted(service) => ("delete", service),
        _ => return None,
    };
    Some(WatchResult {
        action: action.to_owned(),
        service: Some(record::to_proto(service)),
        timestamp: unix_nanos(),
    })
}
