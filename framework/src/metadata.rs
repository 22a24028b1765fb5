//! What travels with a call beside its message: the headers of an HTTP request, the metadata of a
//! gRPC one, and whatever services along the way have added.
//!
//! A handler reads what its caller sent:
//!
//! ```
//! use micro::{Status, errors, metadata};
//!
//! async fn list() -> Result<(), Status> {
//!     let Some(foobar) = metadata::get("Foobar") else {
//!         return Err(errors::bad_request("users.Users.List", "Missing Foobar header").into());
//!     };
//!     println!("Foobar header was set to: {foobar}");
//!     Ok(())
//! }
//! # use futures::executor::block_on;
//! # assert_eq!(micro::Error::from(block_on(list()).unwrap_err()).code, 400);
//! # let headers = http::HeaderMap::from_iter([("foobar".parse().unwrap(), "mycustomval".parse().unwrap())]);
//! # block_on(micro::Context::of(&headers).scope(list())).unwrap();
//! ```
//!
//! and sends values along with the calls that it makes. Whatever it got itself goes along as well.
//!
//! ```
//! use micro::{Error, metadata};
//!
//! async fn with_foobar() -> Result<(), Error> {
//!     let context = metadata::set("Foobar", "mycustomval")?;
//!     context.scope(call_another_service()).await
//! }
//! # async fn call_another_service() -> Result<(), Error> {
//! #     assert_eq!(metadata::get("foobar").as_deref(), Some("mycustomval"));
//! #     Ok(())
//! # }
//! # futures::executor::block_on(with_foobar()).unwrap();
//! ```
//!
//! For one call alone there is [`CallOptions::metadata`](crate::CallOptions::metadata).

use std::collections::BTreeMap;

use crate::{Context, Error};

/// A value of the call being handled. Keys are case-insensitive; of a key with several values this
/// is the first. `None` outside of a handler, and for a value that is no text.
#[must_use]
pub fn get(key: &str) -> Option<String> {
    Context::current()?.get(key).map(str::to_owned)
}

/// All values of the call being handled, by lower-case key.
#[must_use]
pub fn all() -> BTreeMap<String, String> {
    Context::current().map_or_else(BTreeMap::new, |context| context.values())
}

/// The context of the call being handled with this value in place of what the key had; calls made
/// inside of its [`Context::scope`] carry it. Outside of a handler it begins with nothing.
///
/// # Errors
/// 400 if key or value cannot be sent.
pub fn set(key: &str, value: &str) -> Result<Context, Error> {
    Context::current().unwrap_or_default().with(key, value)
}
