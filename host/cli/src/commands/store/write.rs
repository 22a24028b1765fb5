//! `micro store write` and `micro store delete`.

use micro_proto::store::{
    DeleteOptions, DeleteRequest, DeleteResponse, Record, WriteOptions, WriteRequest, WriteResponse,
};

use super::Place;
use crate::{
    commands::Outcome,
    duration,
    error::{CliError, Result},
    printer::Output,
    session::Session,
};

/// What to write.
#[derive(Debug, clap::Args)]
pub(super) struct Write {
    /// The key
    key: Option<String>,
    /// The value; several words are joined by spaces
    #[arg(allow_negative_numbers = true)]
    value: Vec<String>,
    /// How long to keep it, such as 90s or 24h; for ever if there is none
    #[arg(short, long)]
    expiry: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Writes a record. Silent.
pub(super) async fn run(session: &Session<'_>, args: Write) -> Result<Outcome> {
    let (Some(key), false) = (args.key, args.value.is_empty()) else {
        return Err(CliError::plain("Key and Value args are required"));
    };
    let expiry = args.expiry.as_deref().map(seconds).transpose()?;
    let request = WriteRequest {
        record: Some(Record {
            key,
            value: args.value.join(" ").into(),
            expiry: expiry.unwrap_or_default(),
            ..Record::default()
        }),
        options: Some(WriteOptions {
            database: args.place.database(session),
            table: args.place.table,
        }),
    };
    let WriteResponse {} = session
        .call("store", "Store.Write", &request)
        .await
        .map_err(|failure| failure.told("Couldn't write", 1))?;
    Ok(Output::Nothing.into())
}

/// The store counts in whole seconds; what is shorter than it can say is refused rather than kept for ever.
fn seconds(text: &str) -> Result<i64> {
    let bad = |why: &str| CliError::plain(format!("Expiry flag is invalid: \"{text}\" {why}"));
    let expiry = duration::parse(text).ok_or_else(|| bad("is no duration, such as 90s or 24h"))?;
    if expiry.is_zero() || expiry.subsec_nanos() > 0 {
        return Err(bad("is not a whole number of seconds, at least one"));
    }
    i64::try_from(expiry.as_secs()).map_err(|_| bad("is too long"))
}

/// What to delete.
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    /// The key
    key: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Deletes a record, if there is one. Silent.
pub(super) async fn delete(session: &Session<'_>, args: Delete) -> Result<Outcome> {
    let key = args.key.ok_or_else(|| CliError::plain("Key is required"))?;
    let request = DeleteRequest {
        key,
        options: Some(DeleteOptions {
            database: args.place.database(session),
            table: args.place.table,
        }),
    };
    let DeleteResponse {} = session
        .call("store", "Store.Delete", &request)
        .await
        .map_err(|failure| failure.told(&format!("Couldn't delete key {}", request.key), 1))?;
    Ok(Output::Nothing.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_whole_seconds() {
        assert_eq!(seconds("90s").unwrap(), 90);
        assert_eq!(seconds("1.5h").unwrap(), 5_400);
        for bad in ["bad", "-1s", "500ms", "1.5s", "0", "0s", "5"] {
            let error = seconds(bad).unwrap_err();
            assert_eq!(error.code, 1);
            assert!(
                error.message.starts_with("Expiry flag is invalid: "),
                "{error}"
            );
        }
    }
}
