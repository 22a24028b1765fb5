//! What a handler needs to know of a request besides its message.

use micro_access::{Caller, namespace};
use micro_plugin_api::{Call, TraceContext};
use micro_wire::metadata;
use tonic::Request;

/// Who makes the call: what the door found, else nobody, in the default namespace.
pub(crate) fn caller<T>(request: &Request<T>) -> Caller {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .unwrap_or_else(|| Caller::anonymous(namespace::DEFAULT))
}

/// The namespace that a call is about: the one in its options, else the one it is made in.
pub(crate) fn namespace_of<'a>(options: Option<&'a str>, caller: &'a Caller) -> &'a str {
    options
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or(&caller.namespace)
}

/// The circumstances of the call, for modules: namespace, deadline and trace.
pub(crate) fn call<T>(request: &Request<T>) -> Call {
    let headers = request.metadata().as_ref();
    let text = |key| {
        headers
            .get(key)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let namespace = request
        .extensions()
        .get::<Caller>()
        .map_or(namespace::DEFAULT, |caller| &caller.namespace);
    let call = Call::new(namespace).with_trace(TraceContext {
        traceparent: text(metadata::TRACEPARENT),
        tracestate: text(metadata::TRACESTATE),
    });
    match metadata::timeout(headers) {
        Some(timeout) => call.with_timeout(timeout),
        None => call,
    }
}
