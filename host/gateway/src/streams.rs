//! Which methods of core services stream: the registry says it of all others.

use std::{collections::HashMap, sync::LazyLock};

/// How a method of a core service streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    /// Only the answers.
    Answers,
    /// The requests, and perhaps the answers.
    Requests,
}

/// By path, `/store.Store/List`.
static METHODS: LazyLock<HashMap<String, Streams>> = LazyLock::new(|| {
    micro_proto::descriptor_pool()
        .services()
        .flat_map(|service| {
            let name = service.full_name().to_owned();
            service
                .methods()
                .map(move |method| (name.clone(), method))
                .collect::<Vec<_>>()
        })
        .filter_map(|(service, method)| {
            let streams = match (method.is_client_streaming(), method.is_server_streaming()) {
                (true, _) => Streams::Requests,
                (false, true) => Streams::Answers,
                (false, false) => return None,
            };
            Some((format!("/{service}/{}", method.name()), streams))
        })
        .collect()
});

/// Whether and how the core method of a path streams.
pub(crate) fn of_core(path: &str) -> Option<Streams> {
    METHODS.get(path).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_methods() {
        for (path, streams) in [
            ("/store.Store/Read", None),
            ("/store.Store/List", Some(Streams::Answers)),
            ("/store.BlobStore/Write", Some(Streams::Requests)),
            ("/runtime.Source/Upload", Some(Streams::Requests)),
            ("/nosuch.Service/Method", None),
        ] {
            assert_eq!(of_core(path), streams, "{path}");
        }
    }
}
