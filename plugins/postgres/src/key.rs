//! How names and keys stand in the tables, and which part of an index a query needs.

use std::fmt;

use micro_plugin_api::store::{Order, Position, Table};
use sha2::{Digest as _, Sha256};
use sqlx::{Postgres, QueryBuilder};

/// How many bytes of a key are in the index; with what stands beside them they must stay below a
/// third of a page.
const HEAD: usize = 1_024;

/// How many bytes of a key's end are in the other index.
const TAIL: usize = 256;

/// What stands for the names of a database and a table: the beginning of a digest of them, long
/// enough that nobody finds two names with the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TableId([u8; 16]);

impl TableId {
    pub(crate) fn new(table: Table<'_>) -> Self {
        let mut sha = Sha256::new();
        for name in [table.database, table.table] {
            sha.update((name.len() as u64).to_be_bytes());
            sha.update(name);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&sha.finalize()[..16]);
        Self(id)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableId({:x})", u128::from_be_bytes(self.0))
    }
}

/// A key in its parts.
#[derive(Clone, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) head: &'a [u8],
    pub(crate) rest: &'a [u8],
    /// Of `rest`; empty if that is.
    pub(crate) digest: Vec<u8>,
}

impl<'a> Key<'a> {
    pub(crate) fn new(key: &'a str) -> Self {
        let (head, rest) = split(key.as_bytes());
        let digest = match rest {
            [] => Vec::new(),
            rest => Sha256::digest(rest).to_vec(),
        };
        Self { head, rest, digest }
    }

    /// The last bytes of the whole key, backwards.
    pub(crate) fn tail(&self) -> Vec<u8> {
        let backwards = self.rest.iter().rev().chain(self.head.iter().rev());
        backwards.take(TAIL).copied().collect()
    }
}

/// The key that has these parts.
pub(crate) fn join(head: &[u8], rest: &[u8]) -> sqlx::Result<String> {
    text([head, rest].concat())
}

/// Bytes of the database that were text.
pub(crate) fn text(bytes: Vec<u8>) -> sqlx::Result<String> {
    String::from_utf8(bytes).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn split(key: &[u8]) -> (&[u8], &[u8]) {
    key.split_at(key.len().min(HEAD))
}

/// The smallest text of bytes that is larger than all that begin with `prefix`. No byte of UTF-8
/// is 0xff, so the last one can grow.
fn beyond(prefix: &[u8]) -> Vec<u8> {
    let mut beyond = prefix.to_vec();
    if let Some(last) = beyond.last_mut() {
        *last += 1;
    }
    beyond
}

/// Adds the conditions that a key begins with `prefix` and lies behind `after` in this order.
///
/// Each is, or contains, one on `head`, which the primary key's index is looked up with.
pub(crate) fn push_range(
    sql: &mut QueryBuilder<Postgres>,
    prefix: &str,
    after: Option<&Position>,
    order: Order,
) {
    let (head, rest) = split(prefix.as_bytes());
    if !rest.is_empty() {
        sql.push(" AND head = ").push_bind(head.to_vec());
        sql.push(" AND rest >= ").push_bind(rest.to_vec());
        sql.push(" AND rest < ").push_bind(beyond(rest));
    } else if !head.is_empty() {
        sql.push(" AND head >= ").push_bind(head.to_vec());
        sql.push(" AND head < ").push_bind(beyond(head));
    }
    if let Some(after) = after {
        let (head, rest) = split(after.key.as_bytes());
        let sign = match order {
            Order::Ascending => ">",
            Order::Descending => "<",
        };
        sql.push(format_args!(" AND head {sign}= "))
            .push_bind(head.to_vec());
        sql.push(format_args!(" AND (head {sign} "))
            .push_bind(head.to_vec());
        sql.push(format_args!(" OR rest {sign} "))
            .push_bind(rest.to_vec());
        sql.push(")");
    }
}

/// Adds the condition that a key ends with `suffix`, as one on `tail`, which has an index.
pub(crate) fn push_suffix(sql: &mut QueryBuilder<Postgres>, suffix: &str) {
    if suffix.is_empty() {
        return;
    }
    let mut tail: Vec<u8> = suffix.bytes().rev().collect();
    if tail.len() <= TAIL {
        sql.push(" AND tail >= ").push_bind(tail.clone());
        sql.push(" AND tail < ").push_bind(beyond(&tail));
    } else {
        tail.truncate(TAIL);
        sql.push(" AND tail = ").push_bind(tail);
        sql.push(" AND octet_length(head || rest) >= ");
        let length = i32::try_from(suffix.len()).unwrap_or(i32::MAX);
        sql.push_bind(length);
        sql.push(" AND substr(head || rest, octet_length(head || rest) - ");
        sql.push_bind(length - 1);
        sql.push(") = ").push_bind(suffix.as_bytes().to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_parts_and_its_tail_is_its_end_backwards() {
        for len in [0, 1, 255, 256, 257, 1_023, 1_024, 1_025, 5_000] {
            let text: String = (0..len)
                .map(|i| char::from(b'a' + (i % 26) as u8))
                .collect();
            let key = Key::new(&text);
            assert_eq!(join(key.head, key.rest).unwrap(), text);
            assert!(key.head.len() <= HEAD);
            assert_eq!(key.digest.is_empty(), key.rest.is_empty());
            let wanted: Vec<u8> = text.bytes().rev().take(TAIL).collect();
            assert_eq!(key.tail(), wanted);
        }
    }

    #[test]
    fn a_cut_inside_of_a_character_is_mended() {
        let text = format!("{}é{}", "a".repeat(HEAD - 1), "z");
        let key = Key::new(&text);
        assert_eq!(join(key.head, key.rest).unwrap(), text);
    }

    #[test]
    fn tables_whose_names_run_together_alike_are_apart() {
        let ids = [
            TableId::new(Table::new("ab", "c")),
            TableId::new(Table::new("a", "bc")),
            TableId::new(Table::new("abc", "")),
            TableId::new(Table::new("", "abc")),
        ];
        for (i, a) in ids.iter().enumerate() {
            assert!(ids.iter().skip(i + 1).all(|b| a != b), "{ids:?}");
        }
    }
}
