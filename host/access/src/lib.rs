//! Who is calling and may they: tokens, rules and namespaces, one layer for every door.

mod account;
mod caller;
pub mod namespace;

pub use account::{Account, KIND_SERVICE, KIND_USER, SCOPE_ADMIN, SCOPE_SERVICE};
pub use caller::Caller;
