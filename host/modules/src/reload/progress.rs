//! How far a copy is.

use micro_profile::Module;

/// How far a copy is, of a store or of a blob store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Something is in the new one.
    Copied {
        /// The module.
        module: Module,
        /// The database of a store, or the namespace of a blob store.
        name: String,
        /// How many records or blobs of it so far.
        items: u64,
    },
    /// A database or namespace is the same in both.
    Verified {
        /// The module.
        module: Module,
        /// The database of a store, or the namespace of a blob store.
        name: String,
        /// How many records or blobs it has in both.
        items: u64,
        /// The checksum of all of them, in both: 16 hexadecimal digits.
        checksum: String,
    },
}
