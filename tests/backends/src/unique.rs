//! Names that nothing else has.

use uuid::Uuid;

/// A short name that begins with `prefix` and that nothing else has: lower-case letters, digits
/// and `_`, so that it will do as a prefix of keys, a token of a subject, and a name of a database.
pub fn unique(prefix: &str) -> String {
    let id = Uuid::new_v4().simple().to_string();
    format!("{prefix}_{}", &id[..12])
}
