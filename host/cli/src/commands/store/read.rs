//! `micro store read`: the values of a key, or of all keys with a beginning or an end.

use std::{str, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use micro_proto::store::{ReadOptions, ReadRequest, ReadResponse, Record};
use serde_json::{Map, Value, json};

use super::{Part, Place};
use crate::{
    commands::Outcome,
    duration,
    error::{CliError, Result},
    printer::{Align, Output, Table},
    session::Session,
};

/// How many bytes of a value that is no text are shown.
const SHOWN_BYTES: usize = 20;

/// What to read, and how to show it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The key, or its beginning or end
    key: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Read all records whose keys begin with KEY
    #[arg(short, long)]
    prefix: bool,
    /// Read all records whose keys end with KEY
    #[arg(short, long)]
    suffix: bool,
    #[command(flatten)]
    part: Part,
    /// Show keys and expiry too
    #[arg(short, long)]
    verbose: bool,
    /// table for values alone, or json
    #[arg(long, value_parser = ["table", "json"], default_value = "table")]
    output: String,
}

/// Prints the values, one a line.
pub(super) async fn run(session: &Session<'_>, args: Args) -> Result<Outcome> {
    let key = args
        .key
        .ok_or_else(|| CliError::plain("Key arg is required"))?;
    let request = ReadRequest {
        options: Some(ReadOptions {
            database: args.place.database(session),
            table: args.place.table,
            prefix: args.prefix,
            suffix: args.suffix,
            limit: args.part.limit,
            offset: args.part.offset,
            order: args.part.order,
            versions: false,
        }),
        key,
    };
    let answer = session.call("store", "Store.Read", &request).await;
    let response: ReadResponse = answer.map_err(|failure| {
        if failure.is_missing() {
            CliError::plain("Not found").hint("`micro store list` lists the keys")
        } else {
            failure.told(&format!("Couldn't read {} from store", request.key), 1)
        }
    })?;
    let records = response.records;
    if args.output == "json" {
        let list = records.iter().map(as_json).collect();
        return Ok(Output::Spaced(Value::Array(list)).into());
    }
    if args.verbose {
        return Ok(table(&records).into());
    }
    for record in records {
        session.printer().output(&Output::Raw(record.value))?;
    }
    Ok(Output::Nothing.into())
}

fn table(records: &[Record]) -> Output {
    let headings = ["KEY", "VALUE", "EXPIRY"].map(str::to_owned).to_vec();
    let rows = records.iter().map(|record| {
        vec![
            record.key.clone(),
            shown(&record.value),
            expiry(record.expiry),
        ]
    });
    Output::Table(Table {
        align: Align::SPACES,
        rows: [headings].into_iter().chain(rows).collect(),
    })
}

/// A value as text; the hexadecimal digits of its beginning if it is none.
fn shown(value: &Bytes) -> String {
    match str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let start = value.iter().take(SHOWN_BYTES);
            start.map(|byte| format!("{byte:02x}")).collect()
        }
    }
}

/// `seconds` from now; 0 is never.
fn expiry(seconds: i64) -> String {
    match u64::try_from(seconds) {
        Ok(0) | Err(_) => "None".to_owned(),
        Ok(seconds) => duration::from_now(Duration::from_secs(seconds)),
    }
}

/// As other versions print it: the value in base64, the expiry in nanoseconds.
fn as_json(record: &Record) -> Value {
    let metadata = record.metadata.iter();
    let mut metadata: Vec<_> = metadata.map(|(name, field)| (name, &field.value)).collect();
    metadata.sort();
    let metadata = metadata.into_iter();
    json!({
        "key": record.key,
        "value": STANDARD.encode(&record.value),
        "metadata": metadata.map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>(),
        "expiry": record.expiry.saturating_mul(1_000_000_000),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &'static [u8], expiry: i64) -> Record {
        Record {
            key: key.to_owned(),
            value: Bytes::from_static(value),
            expiry,
            ..Record::default()
        }
    }

    #[test]
    fn the_table_shows_text_and_what_is_none() {
        let records = [record("somekey", b"val1", 0), record("k", &[0xff; 30], 8)];
        let Output::Table(table) = table(&records) else {
            panic!("not a table");
        };
        assert_eq!(table.rows[0], ["KEY", "VALUE", "EXPIRY"]);
        assert_eq!(table.rows[1], ["somekey", "val1", "None"]);
        let hex = "ff".repeat(SHOWN_BYTES);
        assert_eq!(table.rows[2], ["k", hex.as_str(), "8 seconds from now"]);
    }

    #[test]
    fn json_is_what_other_versions_print() {
        assert_eq!(
            as_json(&record("k", b"v1", 8)),
            json!({"key": "k", "value": "djE=", "metadata": {}, "expiry": 8_000_000_000_i64})
        );
    }
}
