//! Errors to answer with: one function for each HTTP status that callers and the gateway know.
//!
//! ```
//! use micro::errors;
//!
//! fn read(id: &str) -> Result<(), micro::Status> {
//!     if id.is_empty() {
//!         return Err(errors::bad_request("users.Read.MissingID", "Missing ID").into());
//!     }
//!     Ok(())
//! }
//! assert_eq!(micro::Error::from(read("").unwrap_err()).code, 400);
//! ```
//!
//! The gateway answers with the code of the error; the client retries 500 and 408.

use crate::Error;

macro_rules! constructors {
    ($($name:ident $code:literal $what:literal;)*) => {$(
        #[doc = concat!(stringify!($code), ": ", $what)]
        #[must_use]
        pub fn $name(id: impl Into<String>, detail: impl Into<String>) -> Error {
            Error::$name(id, detail)
        }
    )*};
}

constructors! {
    bad_request 400 "the request cannot be understood or lacks something.";
    unauthorized 401 "an account is needed.";
    forbidden 403 "this account may not.";
    not_found 404 "there is no such thing.";
    method_not_allowed 405 "not with this method.";
    timeout 408 "the deadline passed. The client retries it.";
    conflict 409 "it exists already, or changed meanwhile.";
    internal_server_error 500 "a fault of the service. The client retries it.";
    not_implemented 501 "known, but not built.";
    bad_gateway 502 "somebody behind answered nonsense.";
    service_unavailable 503 "not now.";
    gateway_timeout 504 "somebody behind did not answer.";
}
