//! Which way the messages of a method stream: the descriptors say it of core methods, the registry
//! of all others.

use std::{collections::HashMap, sync::LazyLock};

/// How many messages go which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One each way.
    Unary,
    /// One request, any number of answers.
    Answers,
    /// Any number of requests, and of answers perhaps. Also where it is not known which of them
    /// stream.
    Streams,
}

impl Shape {
    /// Whether there is one request and no more.
    pub(crate) fn takes_one(self) -> bool {
        self != Self::Streams
    }

    pub(crate) fn of(method: &prost_reflect::MethodDescriptor) -> Self {
        match (method.is_client_streaming(), method.is_server_streaming()) {
            (true, _) => Self::Streams,
            (false, true) => Self::Answers,
            (false, false) => Self::Unary,
        }
    }
}

/// Methods that take more requests than their descriptors say: whoever consumes events may send
/// acknowledgements after the first message.
const TAKE_MORE: [&str; 2] = ["/events.Stream/Consume", "/events.Events/Consume"];

/// By path, `/store.Store/List`.
static METHODS: LazyLock<HashMap<String, Shape>> = LazyLock::new(|| {
    let pool = micro_proto::descriptor_pool();
    let mut methods = HashMap::new();
    for service in pool.services() {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            let shape = match TAKE_MORE.contains(&path.as_str()) {
                true => Shape::Streams,
                false => Shape::of(&method),
            };
            methods.insert(path, shape);
        }
    }
    methods
});

/// The shape of the core method of a path. Whether there is such a method is not asked here.
pub(crate) fn of_core(path: &str) -> Shape {
    METHODS.get(path).copied().unwrap_or(Shape::Unary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_methods() {
        for (path, shape) in [
            ("/store.Store/Read", Shape::Unary),
            ("/store.Store/List", Shape::Answers),
            ("/store.BlobStore/Write", Shape::Streams),
            ("/runtime.Source/Upload", Shape::Streams),
            ("/events.Stream/Consume", Shape::Streams),
            ("/nosuch.Service/Method", Shape::Unary),
        ] {
            assert_eq!(of_core(path), shape, "{path}");
        }
    }
}
