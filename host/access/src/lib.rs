//! Who is calling and may they: tokens, rules and namespaces, one layer for every door.

mod access;
mod account;
mod caller;
mod header;
mod keys;
pub mod namespace;
mod secrets;
mod tokens;

pub use access::{Access, AccessError};
pub use account::{Account, KIND_SERVICE, KIND_USER, SCOPE_ADMIN, SCOPE_SERVICE};
pub use caller::Caller;
pub use header::{HeaderError, token as header_token};
pub use keys::{KeyError, KeySource, SigningKey};
pub use secrets::SecretError;
pub use tokens::{DEFAULT_TTL, InvalidToken, IssuedToken, MAX_TTL, Tokens, Verified};
