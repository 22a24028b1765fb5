//! The registry: who is there, where, and what can be called.

use futures::{Stream, TryStreamExt as _};
pub use micro_proto::registry::{Endpoint, Node, Service, Value};
use micro_proto::registry::{
    GetRequest, ListRequest, Options, Result as Change, WatchRequest,
    registry_client::RegistryClient,
};
use tonic::Request;

use crate::{Client, Error, ServiceChannel, client::unary};

impl Client {
    /// The registry of the platform.
    #[must_use]
    pub fn registry(&self) -> Registry {
        Registry {
            channel: self.core("registry"),
            domain: self.namespace().to_owned(),
        }
    }
}

/// The services of one namespace.
#[derive(Clone, Debug)]
pub struct Registry {
    channel: ServiceChannel,
    domain: String,
}

/// What happened to a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `create`, `update` or `delete`.
    pub action: String,
    /// The service as it is now, or was.
    pub service: Service,
}

impl Registry {
    /// The services of another namespace; `*` is all of them, for those who may.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = domain.into();
        self
    }

    fn client(&self) -> RegistryClient<ServiceChannel> {
        RegistryClient::new(self.channel.clone()).max_decoding_message_size(crate::MAX_MESSAGE)
    }

    fn options(&self, ttl: i64) -> Option<Options> {
        Some(Options {
            ttl,
            domain: self.domain.clone(),
        })
    }

    /// Every service, with endpoints and nodes.
    ///
    /// # Errors
    /// What the registry answered.
    pub async fn list(&self) -> Result<Vec<Service>, Error> {
        let request = ListRequest {
            options: self.options(0),
        };
        Ok(self
            .client()
            .list_services(unary(Request::new(request)))
            .await?
            .into_inner()
            .services)
    }

    /// A service, once for each version; empty if there is none.
    ///
    /// # Errors
    /// What the registry answered.
    pub async fn get(&self, name: impl Into<String>) -> Result<Vec<Service>, Error> {
        let request = GetRequest {
            service: name.into(),
            options: self.options(0),
        };
        let answer = self
            .client()
            .get_service(unary(Request::new(request)))
            .await;
        match answer.map_err(Error::from) {
            Ok(response) => Ok(response.into_inner().services),
            Err(error) if error.code == 404 => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Registers a service of one's own, for `ttl` seconds (0: until it is deregistered).
    ///
    /// # Errors
    /// What the registry answered.
    pub async fn register(&self, service: Service, ttl: i64) -> Result<(), Error> {
        let service = Service {
            options: self.options(ttl),
            ..service
        };
        self.client().register(unary(Request::new(service))).await?;
        Ok(())
    }

    /// Deregisters the nodes of a service.
    ///
    /// # Errors
    /// What the registry answered.
    pub async fn deregister(&self, service: Service) -> Result<(), Error> {
        let service = Service {
            options: self.options(0),
            ..service
        };
        self.client()
            .deregister(unary(Request::new(service)))
            .await?;
        Ok(())
    }

    /// Follows what happens to one service, or to all if the name is blank.
    ///
    /// # Errors
    /// What the registry answered.
    pub async fn watch(
        &self,
        name: &str,
    ) -> Result<impl Stream<Item = Result<Event, Error>> + use<>, Error> {
        let request = WatchRequest {
            service: name.into(),
            options: self.options(0),
        };
        let changes = self
            .client()
            .watch(Request::new(request))
            .await?
            .into_inner();
        let event = |Change {
                         action, service, ..
                     }| Event {
            action,
            service: service.unwrap_or_default(),
        };
        Ok(changes.map_ok(event).map_err(Error::from))
    }
}
