//! A service: what it is called, what it answers, and its life from start to stop.

mod debug;
mod guard;
mod registration;
mod serve;
mod standard;
mod stats;
mod subscriptions;

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    fmt::Display,
    future::Future,
    io,
    net::SocketAddr,
    process::ExitCode,
};

use http::{Request, Response};
use micro_proto::registry;
use prost_reflect::DescriptorPool;
use tokio::{net::TcpListener, sync::watch};
use tonic::{body::Body, server::NamedService};
use uuid::Uuid;

use crate::{
    Client, Error,
    broker::{FromMessage, Target, Types},
    client::Builder as ClientBuilder,
    env::Environment,
    logger,
    wire::{Handlers, json::MethodsError},
};
use registration::Registration;
use serve::App;
use subscriptions::{Subscriber, Subscriptions};

/// Where a service listens when nobody says otherwise.
const ADDRESS: &str = "127.0.0.1:0";
/// The name of the only version there is, unless there are more.
const VERSION: &str = "latest";

/// Why a service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The handlers cannot be served together.
    #[error("service {service}: {source}")]
    Handlers {
        /// The service.
        service: String,
        /// Which ones, and why.
        source: MethodsError,
    },
    /// What was passed with a handler is no descriptor set.
    #[error("service {service}: the descriptors of {handler} cannot be read: {reason}")]
    Descriptors {
        /// The service.
        service: String,
        /// The handler's full name.
        handler: String,
        /// What is wrong.
        reason: String,
    },
    /// The address to listen on cannot be had.
    #[error("service {service} cannot listen on {address}: {source}")]
    Listen {
        /// The service.
        service: String,
        /// The address.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The address of the platform is no address.
    #[error("service {service}: {source}")]
    Proxy {
        /// The service.
        service: String,
        /// What is wrong with it.
        source: Error,
    },
    /// The platform does not take the service in.
    #[error("service {service} could not register at {proxy}: {source}{hint}")]
    Refused {
        /// The service.
        service: String,
        /// Where it asked.
        proxy: String,
        /// The answer.
        source: Box<Error>,
        /// What to do about it.
        hint: &'static str,
    },
    /// The accept loop failed, or the runtime could not be made.
    #[error("service {service}: {source}")]
    Io {
        /// The service.
        service: String,
        /// What failed.
        source: io::Error,
    },
}

/// A service around tonic-generated code.
///
/// ```text
/// fn main() -> std::process::ExitCode {
///     micro::Service::new("helloworld")
///         .handler(HelloworldServer::new(Greeter), proto::DESCRIPTORS)
///         .run()
/// }
/// ```
///
/// It answers protobuf and JSON, reflection, `grpc.health.v1` and `Debug`; it registers every
/// endpoint with its schema, keeps the registration alive, and takes it back when it stops.
/// The injected environment ([`Environment`]) wins over what is said here.
#[must_use = "a service does nothing until it runs"]
pub struct Service {
    name: String,
    version: String,
    metadata: BTreeMap<String, String>,
    address: String,
    handlers: Handlers,
    descriptors: Vec<Vec<u8>>,
    environment: Option<Environment>,
    client: Option<Client>,
    subscribers: Vec<Subscriber>,
    types: Types,
    problem: Option<Problem>,
}

/// What was wrong with a handler; told when the service starts, so that building needs no `?`.
enum Problem {
    Handlers(MethodsError),
    Descriptors { handler: String, reason: String },
}

impl Service {
    /// A service of this name; version `latest`, listening on a free port of the loopback address.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: VERSION.to_owned(),
            metadata: BTreeMap::new(),
            address: ADDRESS.to_owned(),
            handlers: Handlers::new(),
            descriptors: Vec::new(),
            environment: None,
            client: None,
            subscribers: Vec::new(),
            types: Types::default(),
            problem: None,
        }
    }

    /// The version to register.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// A value for the service's record in the registry.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Where to listen, `host:port`; port 0 takes a free one.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// Adds a generated tonic server, with the descriptor set that its code was generated from.
    ///
    /// Calls find it by the last segment of its name, so two handlers may not share one: the service
    /// then does not start.
    pub fn handler<S>(mut self, server: S, descriptors: &[u8]) -> Self
    where
        S: tower_service::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        if self.problem.is_some() {
            return self;
        }
        match DescriptorPool::decode(descriptors) {
            Ok(pool) => match self.handlers.clone().add(server, &pool) {
                Ok(handlers) => {
                    self.handlers = handlers;
                    self.descriptors.push(descriptors.to_vec());
                    self.types.add(pool);
                }
                Err(error) => self.problem = Some(Problem::Handlers(error)),
            },
            Err(error) => {
                let (handler, reason) = (S::NAME.to_owned(), error.to_string());
                self.problem = Some(Problem::Descriptors { handler, reason });
            }
        }
        self
    }

    /// Handles the messages of a topic of the broker: every instance of the service gets each
    /// message. They are handled one after the other, in the order in which they come.
    ///
    /// A handler takes [`Json`](crate::broker::Json) or [`Proto`](crate::broker::Proto) of a type
    /// or a whole [`Message`](crate::broker::Message); what the publisher sent along is its
    /// [`metadata`](crate::metadata). A message that is something else, an error and a panic are
    /// logged, and the next message comes all the same. Messages are at most once: while the
    /// service is away, or too slow, they are lost.
    ///
    /// ```
    /// use micro::{Service, broker::Json, logger};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Healthcheck { healthy: bool, service: String }
    ///
    /// let service = Service::new("monitor").subscribe("health", async |Json(check): Json<Healthcheck>| {
    ///     if !check.healthy {
    ///         logger::warn!("Service {} is not healthy", check.service);
    ///     }
    ///     Ok::<_, micro::Error>(())
    /// });
    /// # drop(service);
    /// ```
    pub fn subscribe<M, F, R, E>(self, topic: impl Into<String>, handler: F) -> Self
    where
        M: FromMessage,
        F: Fn(M) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        self.subscriber(Target::new(topic, None), handler)
    }

    /// As [`Service::subscribe`], sharing the messages: each goes to one of those who name the same
    /// queue for the topic. The service's own name is a good one, if its instances are to share.
    pub fn subscribe_queue<M, F, R, E>(
        self,
        topic: impl Into<String>,
        queue: impl Into<String>,
        handler: F,
    ) -> Self
    where
        M: FromMessage,
        F: Fn(M) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        self.subscriber(Target::new(topic, Some(queue.into())), handler)
    }

    fn subscriber<M, F, R, E>(mut self, target: Target, handler: F) -> Self
    where
        M: FromMessage,
        F: Fn(M) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        self.subscribers.push(Subscriber::new(target, handler));
        self
    }

    /// Adds a descriptor set that no handler brings: that of messages which come as JSON and are
    /// handled as [`Proto`](crate::broker::Proto).
    pub fn descriptors(mut self, descriptors: &[u8]) -> Self {
        match DescriptorPool::decode(descriptors) {
            Ok(pool) => self.types.add(pool),
            Err(error) if self.problem.is_none() => {
                let (handler, reason) = ("messages".to_owned(), error.to_string());
                self.problem = Some(Problem::Descriptors { handler, reason });
            }
            Err(_) => {}
        }
        self
    }

    /// The client to log in and register with; the process's own ([`crate::client()`]) unless said.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// What to take for the injected environment, instead of the process's.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Runs until SIGTERM or ctrl-C, on a runtime of its own, logging to standard error. For `main`:
    /// what goes wrong is printed there, and the exit code says so.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let environment = self.environment.clone().unwrap_or_else(Environment::read);
        logger::start(environment.log_level.as_deref());
        let service = self.name.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        let done = runtime
            .map_err(|source| ServiceError::Io { service, source })
            .and_then(|runtime| runtime.block_on(self.start()));
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    /// Listens, registers, and serves until SIGTERM or ctrl-C.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn start(self) -> Result<(), ServiceError> {
        self.start_until(signalled()).await
    }

    /// Listens, registers, and serves until `stop` is done; then deregisters and finishes what is in
    /// flight, for up to ten seconds.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn start_until(
        mut self,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), ServiceError> {
        let shared = self.environment.is_none();
        let environment = self.environment.take().unwrap_or_else(Environment::read);
        self.obey(&environment);
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                let own = ClientBuilder::from(&environment)
                    .table(&self.name)
                    .build()
                    .map_err(|source| ServiceError::Proxy {
                        service: self.name.clone(),
                        source,
                    })?;
                // One login for what handlers call as well.
                if shared { crate::client() } else { own }
            }
        };
        let endpoints = self.handlers.endpoints();
        let app = self.app()?;

        let address = match self.address.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => self.address.clone(),
        };
        let listen = |source| ServiceError::Listen {
            service: self.name.clone(),
            address: address.clone(),
            source,
        };
        let listener = TcpListener::bind(&address).await.map_err(listen)?;
        let local = listener.local_addr().map_err(listen)?;

        let (stopping, stopped) = watch::channel(false);
        let wait = |mut stopped: watch::Receiver<bool>| async move {
            // An error means that the sender is gone, which is a stop as well.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let serving = serve::serve(listener, app.clone(), wait(stopped.clone()));
        let registration =
            Registration::new(client.clone(), self.record(endpoints, advertised(local)));
        let (subscribers, types) = (
            std::mem::take(&mut self.subscribers),
            std::mem::take(&mut self.types),
        );
        let mut subscriptions = Subscriptions::start(&client, subscribers, types, &stopped);
        let tried = subscriptions.tried();
        let registered = async {
            tried.await;
            registration.keep(wait(stopped)).await
        };
        tokio::pin!(serving, registered, stop);

        tracing::info!(service = self.name, version = self.version, address = %local, "listening");
        let outcome = tokio::select! {
            () = &mut stop => Ok(()),
            refused = &mut registered => refused,
            served = &mut serving => served.map_err(|source| self.io(source)),
        };
        app.not_serving().await;
        // The receivers are all in this function.
        let _ = stopping.send(true);
        if outcome.is_ok() {
            tracing::info!(service = self.name, "stopping");
            // First out of the registry, then out of the calls in flight.
            registered.await?;
            let ((), served) = tokio::join!(subscriptions.end(), serving);
            served.map_err(|source| self.io(source))?;
        }
        outcome
    }

    /// Serves on a listener without registering, until the future is dropped: for tests.
    ///
    /// # Errors
    /// As for a handler that cannot be served, or a listener that fails.
    pub async fn serve_on(self, listener: TcpListener) -> Result<(), ServiceError> {
        let app = self.app()?;
        let served = serve::serve(listener, app, std::future::pending()).await;
        served.map_err(|source| self.io(source))
    }

    fn io(&self, source: io::Error) -> ServiceError {
        ServiceError::Io {
            service: self.name.clone(),
            source,
        }
    }

    fn obey(&mut self, environment: &Environment) {
        for (said, slot) in [
            (&environment.name, &mut self.name),
            (&environment.version, &mut self.version),
            (&environment.address, &mut self.address),
        ] {
            if let Some(said) = said {
                slot.clone_from(said);
            }
        }
    }

    fn app(&self) -> Result<App, ServiceError> {
        let service = || self.name.clone();
        match &self.problem {
            None => {}
            Some(Problem::Handlers(error)) => {
                return Err(ServiceError::Handlers {
                    service: service(),
                    source: error.clone(),
                });
            }
            Some(Problem::Descriptors { handler, reason }) => {
                let (handler, reason) = (handler.clone(), reason.clone());
                return Err(ServiceError::Descriptors {
                    service: service(),
                    handler,
                    reason,
                });
            }
        }
        App::new(&self.name, self.handlers.clone(), &self.descriptors).map_err(|problem| {
            match problem {
                standard::Problem::Handlers(source) => ServiceError::Handlers {
                    service: service(),
                    source,
                },
                standard::Problem::Reflection(reason) => ServiceError::Descriptors {
                    service: service(),
                    handler: "reflection".to_owned(),
                    reason,
                },
            }
        })
    }

    fn record(&self, endpoints: Vec<registry::Endpoint>, address: String) -> registry::Service {
        let node = ["broker", "registry"]
            .map(|key| (key, "service"))
            .into_iter();
        let node = node.chain(["server", "transport", "protocol"].map(|key| (key, "grpc")));
        registry::Service {
            name: self.name.clone(),
            version: self.version.clone(),
            metadata: self.metadata.clone().into_iter().collect::<HashMap<_, _>>(),
            endpoints,
            nodes: vec![registry::Node {
                id: format!("{}-{}", self.name, Uuid::now_v7()),
                address,
                port: 0,
                metadata: node.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            }],
            options: None,
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("handlers", &self.handlers)
            .finish_non_exhaustive()
    }
}

/// Where others reach us: a wildcard address becomes the one that this machine goes out by.
fn advertised(local: SocketAddr) -> String {
    if !local.ip().is_unspecified() {
        return local.to_string();
    }
    // Connecting a datagram socket sends nothing; it asks the system which address it would use.
    let (any, outside) = match local {
        SocketAddr::V4(_) => ("0.0.0.0:0", "192.0.2.1:9"),
        SocketAddr::V6(_) => ("[::]:0", "[2001:db8::1]:9"),
    };
    let ip = std::net::UdpSocket::bind(any)
        .and_then(|socket| socket.connect(outside).and_then(|()| socket.local_addr()))
        .map(|address| address.ip());
    let loopback = match local {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip.unwrap_or(loopback), local.port()).to_string()
}

/// Done when the process is asked to stop.
async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
