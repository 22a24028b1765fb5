//! How a record's place is one key of the engine: ordered as names and keys are, decoded again.
//!
//! The engine's keys are in three areas, told apart by their first byte. In the area of records
//! a key is the database and the table, each with its zero bytes escaped and a terminator behind
//! it, and the record's key as it is. So the keys of a table stand together in their own order,
//! and so do the tables of a database.

use micro_plugin_api::store::{Expiry, Table};

/// The area of records.
const RECORDS: u8 = b'r';

/// The area that says when records expire: the moment, then the key in the area of records.
const EXPIRIES: u8 = b'e';

/// The version of the last commit, in an area of its own.
pub(super) const LAST_VERSION: &[u8] = b"v";

/// A zero byte in a name is followed by this one.
const ESCAPED: u8 = 0xff;

/// A zero byte that ends a name is followed by this one: less than an escaped one, so that a
/// name stands before those that it begins.
const END: u8 = 0x01;

/// Greater than [`END`] and what comes behind it: where the keys of a name end.
const BEYOND: u8 = 0x02;

/// A record's place as the engine has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place<'a> {
    pub(super) database: String,
    pub(super) table: String,
    pub(super) key: &'a str,
}

fn push_name(out: &mut Vec<u8>, name: &str) {
    for &byte in name.as_bytes() {
        out.push(byte);
        if byte == 0 {
            out.push(ESCAPED);
        }
    }
    out.extend([0, END]);
}

/// What the keys of all records begin with.
pub(super) fn all() -> Vec<u8> {
    vec![RECORDS]
}

/// What the keys of a database begin with.
pub(super) fn of_database(database: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(database.len() + 3);
    key.push(RECORDS);
    push_name(&mut key, database);
    key
}

/// What the keys of a table begin with.
pub(super) fn of_table(table: Table<'_>) -> Vec<u8> {
    let mut key = Vec::with_capacity(table.database.len() + table.table.len() + 5 + 64);
    key.push(RECORDS);
    push_name(&mut key, table.database);
    push_name(&mut key, table.table);
    key
}

/// The key of a record.
pub(super) fn of_record(table: Table<'_>, key: &str) -> Vec<u8> {
    let mut bytes = of_table(table);
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// The first key behind all that begin with `prefix`: one of [`all`], [`of_database`],
/// [`of_table`], or with part of a record's key behind it.
pub(super) fn beyond(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    // No byte of UTF-8 is 0xff, and neither are the others that a prefix may end with.
    if let Some(last) = key.last_mut() {
        *last += 1;
    }
    key
}

/// The key in the area of expiries of a record's key.
pub(super) fn of_expiry(expiry: Expiry, record: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + record.len());
    key.push(EXPIRIES);
    key.extend(expiry.0.to_be_bytes());
    key.extend_from_slice(record);
    key
}

/// The expiry and the record's key of a key in the area of expiries.
pub(super) fn read_expiry(key: &[u8]) -> Option<(Expiry, &[u8])> {
    let rest = key.strip_prefix(&[EXPIRIES])?;
    let (moment, record) = rest.split_first_chunk()?;
    Some((Expiry(u64::from_be_bytes(*moment)), record))
}

/// The place that a key in the area of records stands for.
pub(super) fn read_record(key: &[u8]) -> Option<Place<'_>> {
    let rest = key.strip_prefix(&[RECORDS])?;
    let (database, rest) = read_name(rest)?;
    let (table, rest) = read_name(rest)?;
    Some(Place {
        database,
        table,
        key: std::str::from_utf8(rest).ok()?,
    })
}

fn read_name(bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut name = Vec::new();
    let mut at = 0;
    loop {
        match (*bytes.get(at)?, bytes.get(at + 1)) {
            (0, Some(&END)) => {
                let name = String::from_utf8(name).ok()?;
                return Some((name, bytes.get(at + 2..)?));
            }
            (0, Some(&ESCAPED)) => {
                name.push(0);
                at += 2;
            }
            (0, _) => return None,
            (byte, _) => {
                name.push(byte);
                at += 1;
            }
        }
    }
}

const _: () = assert!(END + 1 == BEYOND && BEYOND < ESCAPED);

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &[
        "", "\0", "\0\0", "\0\u{1}", "\u{1}", "a", "a\0", "a\0b", "ab", "é", "🦀",
    ];

    #[test]
    fn places_come_back_and_keep_their_order() {
        let mut places = Vec::new();
        for database in NAMES {
            for table in NAMES {
                for key in NAMES {
                    let encoded = of_record(Table::new(database, table), key);
                    let place =
                        read_record(&encoded).map(|p| (p.database, p.table, p.key.to_owned()));
                    let wanted = (
                        (*database).to_owned(),
                        (*table).to_owned(),
                        (*key).to_owned(),
                    );
                    assert_eq!(place.as_ref(), Some(&wanted));
                    places.push((wanted, encoded));
                }
            }
        }
        let mut by_bytes = places.clone();
        by_bytes.sort_by(|a, b| a.1.cmp(&b.1));
        places.sort();
        assert_eq!(places, by_bytes);
    }

    #[test]
    fn the_keys_of_a_name_end_where_those_of_others_begin() {
        for name in NAMES {
            let prefix = of_database(name);
            for other in NAMES {
                let key = of_record(Table::new(other, "t"), "k");
                let within = key >= prefix && key < beyond(&prefix);
                assert_eq!(within, name == other, "{name:?} {other:?}");
            }
        }
    }

    #[test]
    fn expiries_come_back() {
        let record = of_record(Table::new("d", "t"), "k");
        let key = of_expiry(Expiry(7), &record);
        assert_eq!(read_expiry(&key), Some((Expiry(7), &record[..])));
        assert!(of_expiry(Expiry(255), &record) < of_expiry(Expiry(256), &record));
    }
}
