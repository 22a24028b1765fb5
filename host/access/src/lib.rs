//! Who is calling and may they: tokens, rules and namespaces, one layer for every door.

mod access;
mod account;
mod accounts;
mod caller;
mod config_key;
mod epoch;
mod header;
mod keys;
pub mod namespace;
mod private_file;
mod records;
mod rules;
mod secrets;
mod sessions;
mod shared_key;
mod signing;
mod text;
mod tokens;
mod way_back;

pub use access::{Access, AccessConfig, AccessError};
pub use account::{Account, KIND_SERVICE, KIND_USER, SCOPE_ADMIN, SCOPE_SERVICE};
pub use accounts::{AccountError, Accounts, NewAccount, Proof, Reach, ServiceAccount, Session};
pub use caller::Caller;
pub use config_key::{ConfigKey, ConfigKeyError, ConfigKeySource, Place, SealError};
pub use keys::{KeyError, KeySource};
pub use private_file::{PrivateFile, PrivateFileError};
pub use records::RecordError;
pub use rules::{Effect, Resource, Rule, RuleError, RuleSet, Rules};
pub use secrets::SecretError;
pub use sessions::SessionError;
pub use signing::NoSigningKey;
pub use tokens::{DEFAULT_TTL, InvalidToken, IssuedToken, MAX_TTL, Tokens, Verified};
