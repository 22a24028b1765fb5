//! What services say of themselves: the descriptors that their nodes give by reflection, asked for
//! once for each state of their record.

mod fetch;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prost_reflect::{DescriptorPool, MethodDescriptor};
use tokio::time::Instant;

use crate::{Dispatcher, Route};
use fetch::fetch;

/// How long a service that does not describe itself is not asked again.
const REST: Duration = Duration::from_secs(10);

/// Descriptors of the services of users, as their nodes tell. Each thread of a door has its own.
pub struct Descriptions {
    dispatcher: Arc<Dispatcher>,
    known: Mutex<HashMap<(String, String), Known>>,
}

/// What is known of a service as of one state of its record.
struct Known {
    route: Arc<Route>,
    /// `None` if its nodes did not tell, then.
    pool: Option<DescriptorPool>,
    asked: Instant,
}

impl Descriptions {
    /// Nothing is known yet; nodes will be asked through `dispatcher`.
    pub fn new(dispatcher: Arc<Dispatcher>) -> Self {
        Self {
            dispatcher,
            known: Mutex::default(),
        }
    }

    /// The descriptors of a service; `None` if its nodes do not tell. Beside its own names a
    /// service has that under which it is registered.
    pub async fn of(&self, namespace: &str, route: &Arc<Route>) -> Option<DescriptorPool> {
        let key = (namespace.to_owned(), route.name().to_owned());
        if let Some(known) = self.known().get(&key)
            && Arc::ptr_eq(&known.route, route)
            && (known.pool.is_some() || known.asked.elapsed() < REST)
        {
            return known.pool.clone();
        }
        let fetched = fetch(&self.dispatcher, namespace, route).await;
        let pool = fetched
            .inspect_err(|status| {
                tracing::debug!(service = key.1, "no descriptors: {}", status.message());
            })
            .ok();
        let routes = self.dispatcher.routes();
        let mut all = self.known();
        // What is no longer registered is not kept.
        all.retain(|(namespace, name), _| routes.get(namespace, name).is_some());
        let known = Known {
            route: route.clone(),
            pool: pool.clone(),
            asked: Instant::now(),
        };
        all.insert(key, known);
        pool
    }

    /// The method `handler.method` of a service, in the service that really has it: its full name
    /// is the one by which a plain gRPC server knows it.
    pub async fn method(
        &self,
        namespace: &str,
        route: &Arc<Route>,
        handler: &str,
        method: &str,
    ) -> Option<MethodDescriptor> {
        let pool = self.of(namespace, route).await?;
        let mut found: Vec<_> = pool
            .services()
            .filter(|service| service.name() == handler)
            .collect();
        found.sort_by_key(|service| fetch::is_alias(&service.parent_file()));
        let mut methods = found.iter().flat_map(|service| service.methods());
        methods.find(|it| it.name() == method)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(String, String), Known>> {
        // An entry is put in whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
