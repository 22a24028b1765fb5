//! Which databases and tables hold a record: found by leaping from name to name.

use std::ops::Bound;

use micro_plugin_api::{Result, store::Table};

use super::{engine::Open, key, record};

/// The databases with a record that has not expired, in order.
pub(super) fn databases(engine: &Open) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let end = key::beyond(&key::all());
    let mut from = key::all();
    while let Some(place) = first_live(engine, from, &end)? {
        from = key::beyond(&key::of_database(&place.0));
        names.push(place.0);
    }
    Ok(names)
}

/// The tables of a database with a record that has not expired, in order.
pub(super) fn tables(engine: &Open, database: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let prefix = key::of_database(database);
    let end = key::beyond(&prefix);
    let mut from = prefix;
    while let Some((_, table)) = first_live(engine, from, &end)? {
        from = key::beyond(&key::of_table(Table::new(database, &table)));
        names.push(table);
    }
    Ok(names)
}

/// The database and table of the first record that has not expired.
fn first_live(engine: &Open, from: Vec<u8>, end: &[u8]) -> Result<Option<(String, String)>> {
    for entry in engine.range(Bound::Included(from), Bound::Excluded(end.to_vec())) {
        let (bytes, value) = entry
            .into_inner()
            .map_err(|error| engine.failed("list the names of tables", &error))?;
        let Some(place) = key::read_record(&bytes) else {
            return Err(engine.damage(format_args!("a key that is none of a record's")));
        };
        // A damaged one is there, too; who reads it is told.
        if record::verify(&bytes, &value).map_or(true, |head| !head.has_expired()) {
            return Ok(Some((place.database, place.table)));
        }
    }
    Ok(None)
}
