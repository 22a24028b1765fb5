//! The errors of modules as errors on the wire: the one table for all core services.

use micro_plugin_api::Code;
use micro_wire::Error;
use tonic::Status;

/// What a module said, as an answer of the endpoint `id` (`store.Store.Read`).
pub(crate) fn from_module(id: &str, error: &micro_plugin_api::Error) -> Error {
    let code = match error.code() {
        Code::NOT_FOUND => 404,
        Code::CONFLICT => 409,
        Code::INVALID => 400,
        Code::UNSUPPORTED => 501,
        Code::UNAVAILABLE => 503,
        Code::DEADLINE => 408,
        // PANIC, INTERNAL, and whatever code a newer plugin knows.
        _ => 500,
    };
    Error::new(id, code, error.message())
}

/// [`from_module`] for `map_err`, as the status that a tonic handler returns.
pub(crate) fn module(id: &str) -> impl Fn(micro_plugin_api::Error) -> Status + '_ {
    move |error| from_module(id, &error).into()
}

/// The answer of an rpc of the reference that this version does not have.
pub(crate) fn not_built(endpoint: &str) -> Status {
    Status::unimplemented(format!(
        "{endpoint} is not supported by this version of micro"
    ))
}

#[cfg(test)]
mod tests {
    use micro_plugin_api::Error as ModuleError;

    use super::*;

    #[test]
    fn every_code_has_its_number() {
        for (error, code) in [
            (ModuleError::not_found("m"), 404),
            (ModuleError::conflict("m"), 409),
            (ModuleError::invalid("m"), 400),
            (ModuleError::unsupported("m"), 501),
            (ModuleError::unavailable("m"), 503),
            (ModuleError::deadline("m"), 408),
            (ModuleError::internal("m"), 500),
            (ModuleError::new(Code::PANIC, "m"), 500),
            (ModuleError::new(Code::from_u32(4711), "m"), 500),
        ] {
            assert_eq!(from_module("a.B.C", &error), Error::new("a.B.C", code, "m"));
        }
    }
}
