//! Which method a path means: looked up by handler, the last segment of its service part.

use std::{collections::HashMap, sync::Arc};

use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};

use crate::path::MethodPath;

/// Why a set of services cannot be served together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodsError {
    /// The descriptors do not contain a service.
    #[error(
        "no descriptor of service {0}: pass the descriptor set that its code was generated from"
    )]
    Unknown(String),
    /// Two services whose names end in the same segment: calls could not tell them apart.
    #[error("two handlers are called {handler}: {first} and {second}; rename one of the services")]
    Clash {
        /// The shared last segment.
        handler: String,
        /// Full name of the one that came first.
        first: String,
        /// Full name of the other.
        second: String,
    },
}

/// The methods of some services by handler and name. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Methods {
    handlers: Arc<HashMap<String, Handler>>,
}

#[derive(Clone, Debug)]
struct Handler {
    service: String,
    methods: HashMap<String, MethodDescriptor>,
}

impl Methods {
    /// The methods of the services with these full names.
    ///
    /// # Errors
    /// A service that the pool does not know, or two with one last segment.
    pub fn new<N: AsRef<str>>(
        pool: &DescriptorPool,
        services: impl IntoIterator<Item = N>,
    ) -> Result<Self, MethodsError> {
        let mut methods = Self::default();
        for name in services {
            let service = pool
                .get_service_by_name(name.as_ref())
                .ok_or_else(|| MethodsError::Unknown(name.as_ref().to_owned()))?;
            methods.add(&service)?;
        }
        Ok(methods)
    }

    /// Adds a service.
    ///
    /// # Errors
    /// [`MethodsError::Clash`].
    pub fn add(&mut self, service: &ServiceDescriptor) -> Result<(), MethodsError> {
        let handlers = Arc::make_mut(&mut self.handlers);
        if let Some(first) = handlers.get(service.name()) {
            return Err(MethodsError::Clash {
                handler: service.name().to_owned(),
                first: first.service.clone(),
                second: service.full_name().to_owned(),
            });
        }
        let methods = service
            .methods()
            .map(|m| (m.name().to_owned(), m))
            .collect();
        let service = service.full_name().to_owned();
        handlers.insert(
            service.rsplit('.').next().unwrap_or(&service).to_owned(),
            Handler { service, methods },
        );
        Ok(())
    }

    /// The method that a path means.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&MethodDescriptor> {
        let path = MethodPath::parse(path).ok()?;
        self.handlers.get(path.handler)?.methods.get(path.method)
    }
}
