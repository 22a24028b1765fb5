//! `Store.Commit`: several writes that happen together or not at all.

use micro_access::Caller;
use micro_plugin_api::store::{Commit, Operation, Precondition, Version};
use micro_proto::store::{self as proto, operation::Precondition as ProtoPrecondition};
use micro_wire::Error;

use super::{DEFAULT_TABLE, record};
use crate::request;

/// The commit that a request describes, if its caller administers every database in it.
///
/// # Errors
/// Those of the authorization, and 400 for what is no operation.
pub(super) fn commit(
    id: &'static str,
    caller: &Caller,
    request: proto::CommitRequest,
) -> Result<Commit, Error> {
    let count = request.operations.len();
    if count == 0 {
        return Err(Error::bad_request(id, "no operation specified"));
    }
    if count > Commit::MAX_OPERATIONS {
        let most = Commit::MAX_OPERATIONS;
        let detail = format!("{count} operations; at most {most} go into one commit");
        return Err(Error::bad_request(id, detail));
    }
    let operations = request
        .operations
        .into_iter()
        .map(|operation| self::operation(id, caller, operation))
        .collect::<Result<_, _>>()?;
    Ok(Commit { operations })
}

fn operation(
    id: &'static str,
    caller: &Caller,
    operation: proto::Operation,
) -> Result<Operation, Error> {
    let database = request::namespace_of(Some(&operation.database), caller).to_owned();
    caller.authorize_admin(id, &database)?;
    let bad_request = |detail: String| Error::bad_request(id, detail);
    let key = operation.key;
    if key.is_empty() {
        return Err(bad_request("Missing key".to_owned()));
    }
    let put = match (operation.put, operation.delete) {
        (Some(record), false) => {
            let put = record::to_put(record);
            Some(put.map_err(|detail| bad_request(format!("key {key:?}: {detail}")))?)
        }
        (None, true) => None,
        (Some(_), true) => {
            let detail = format!("key {key:?}: give either `put` or `delete`, not both");
            return Err(bad_request(detail));
        }
        (None, false) => {
            let detail = format!("key {key:?}: say what to write in `put`, or `delete`: true");
            return Err(bad_request(detail));
        }
    };
    let precondition = match operation.precondition {
        None | Some(ProtoPrecondition::Absent(false)) => Precondition::Any,
        Some(ProtoPrecondition::Absent(true)) => Precondition::Absent,
        Some(ProtoPrecondition::Version(version)) => Precondition::Version(Version(version)),
    };
    let table = match operation.table {
        table if table.is_empty() => DEFAULT_TABLE.to_owned(),
        table => table,
    };
    Ok(Operation {
        database,
        table,
        key,
        precondition,
        put,
    })
}
