//! Everything callable in a namespace, with its descriptors: the core services' from the protos,
//! users' from their nodes.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use futures::{StreamExt, stream};
use micro_route::{Descriptions, Dispatcher, Route, is_reserved};
use prost_reflect::{DescriptorPool, FileDescriptor};

use super::files::{defining, with_imports};

/// How many services are asked at a time when a symbol may be anybody's.
const AT_A_TIME: usize = 8;

/// What the doors and the core services themselves offer.
static OWN: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = micro_proto::descriptor_pool().clone();
    for set in [
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ] {
        pool.decode_file_descriptor_set(set)
            .expect("descriptors that were generated at build time fit together");
    }
    pool
});

/// What there is to reflect on.
pub(crate) struct Catalog {
    dispatcher: Arc<Dispatcher>,
    descriptions: Descriptions,
}

impl Catalog {
    pub(crate) fn new(dispatcher: Arc<Dispatcher>) -> Self {
        Self {
            descriptions: Descriptions::new(dispatcher.clone()),
            dispatcher,
        }
    }

    /// The full names of the gRPC services that a call can be made to.
    pub(crate) fn services(&self, namespace: &str) -> Vec<String> {
        let core = self.dispatcher.core();
        let mut names: BTreeSet<String> = OWN
            .services()
            .filter(|service| {
                let package = service.package_name();
                package.starts_with("grpc.") || core.serves(package)
            })
            .map(|service| service.full_name().to_owned())
            .collect();
        for (name, route) in self.users(namespace) {
            for endpoint in route.endpoints() {
                if let Some((handler, _)) = endpoint.name.split_once('.') {
                    names.insert(format!("{name}.{handler}"));
                }
            }
        }
        names.into_iter().collect()
    }

    /// The file that defines a symbol and what it imports, encoded.
    pub(crate) async fn symbol(&self, namespace: &str, symbol: &str) -> Option<Vec<Vec<u8>>> {
        let file = self
            .search(namespace, symbol, |pool| defining(pool, symbol))
            .await?;
        Some(with_imports(&file))
    }

    /// The file of a name and what it imports, encoded.
    pub(crate) async fn file(&self, namespace: &str, name: &str) -> Option<Vec<Vec<u8>>> {
        let file = self
            .search(namespace, "", |pool| pool.get_file_by_name(name))
            .await?;
        Some(with_imports(&file))
    }

    /// The file that defines an extension and what it imports, encoded.
    pub(crate) async fn extension(
        &self,
        namespace: &str,
        message: &str,
        number: i32,
    ) -> Option<Vec<Vec<u8>>> {
        let find = |pool: &DescriptorPool| -> Option<FileDescriptor> {
            let number = u32::try_from(number).ok()?;
            let extension = pool.get_message_by_name(message)?.get_extension(number)?;
            Some(extension.parent_file())
        };
        Some(with_imports(&self.search(namespace, message, find).await?))
    }

    /// The numbers of the extensions of a message.
    pub(crate) async fn extension_numbers(
        &self,
        namespace: &str,
        message: &str,
    ) -> Option<Vec<i32>> {
        let find = |pool: &DescriptorPool| {
            let numbers = pool.get_message_by_name(message)?;
            let numbers = numbers
                .extensions()
                .filter_map(|it| i32::try_from(it.number()).ok());
            Some(numbers.collect())
        };
        self.search(namespace, message, find).await
    }

    /// Searches our own descriptors, then those of the service that `symbol` seems to belong to,
    /// then everybody's.
    async fn search<T>(
        &self,
        namespace: &str,
        symbol: &str,
        find: impl Fn(&DescriptorPool) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = find(&OWN) {
            return Some(found);
        }
        let users = self.users(namespace);
        let (likely, others): (Vec<_>, Vec<_>) = users.into_iter().partition(|(name, _)| {
            symbol
                .strip_prefix(&**name)
                .is_some_and(|rest| rest.starts_with('.'))
        });
        for (_, route) in likely {
            let pool = self.descriptions.of(namespace, &route).await;
            if let Some(found) = pool.as_ref().and_then(&find) {
                return Some(found);
            }
        }
        let mut pools = stream::iter(others)
            .map(|(_, route)| async move { self.descriptions.of(namespace, &route).await })
            .buffered(AT_A_TIME);
        while let Some(pool) = pools.next().await {
            if let Some(found) = pool.as_ref().and_then(&find) {
                return Some(found);
            }
        }
        None
    }

    fn users(&self, namespace: &str) -> Vec<(Box<str>, Arc<Route>)> {
        let mut services = self.dispatcher.routes().services(namespace);
        services.retain(|(name, _)| !is_reserved(name) && !self.dispatcher.core().serves(name));
        services
    }
}
