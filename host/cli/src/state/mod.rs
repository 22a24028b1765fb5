//! What the command line remembers between calls: `~/.micro/config.json` and `~/.micro/tokens`.

mod address;
mod config;
mod environments;
mod files;
mod tokens;

pub(crate) use config::Config;
pub(crate) use environments::{Place, Places};
pub(crate) use tokens::{SavedToken, TokenKey, Tokens};
