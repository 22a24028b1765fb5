//! A platform of memory modules with doors, and a registry that can be slow, deaf or dead.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, stream};
use micro_gateway::{Gateway, Readiness, Settings, Unready};
use micro_memory::MemoryRegistry;
use micro_plugin_api::{
    BoxStream, Call, Error, Registry, RegistryHandle, Result,
    registry::{self, Change, Filter, Service},
};
use micro_proxy::Proxy;
use micro_route::{Budget, Dispatcher, Routes};
use micro_tests::Core;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A memory registry with faults.
#[derive(Clone)]
pub(crate) struct Faulty(Arc<Faults>);

pub(crate) struct Faults {
    inner: MemoryRegistry,
    /// Every call fails, and watches end.
    pub(crate) dead: watch::Sender<bool>,
    /// Watches tell nothing.
    pub(crate) deaf: AtomicBool,
    /// How long a list takes.
    pub(crate) slow: std::sync::Mutex<Duration>,
    /// The lists so far.
    pub(crate) lists: AtomicUsize,
}

impl std::ops::Deref for Faulty {
    type Target = Faults;
    fn deref(&self) -> &Faults {
        &self.0
    }
}

impl Faulty {
    fn check(&self) -> Result<()> {
        match *self.dead.borrow() {
            true => Err(Error::unavailable("the registry is dead")),
            false => Ok(()),
        }
    }
}

impl Registry for Faulty {
    async fn register(&self, call: &Call, service: &Service, ttl: Option<Duration>) -> Result<()> {
        self.check()?;
        self.inner.register(call, service, ttl).await
    }
    async fn deregister(&self, call: &Call, service: &Service) -> Result<()> {
        self.check()?;
        self.inner.deregister(call, service).await
    }
    async fn list(&self, call: &Call, filter: &Filter) -> Result<Vec<Service>> {
        self.check()?;
        self.lists.fetch_add(1, Ordering::SeqCst);
        let slow = *self.slow.lock().unwrap();
        let listed = self.inner.list(call, filter).await;
        // Not a wait: this registry is slow.
        tokio::time::sleep(slow).await;
        listed
    }
    async fn watch(&self, call: &Call, filter: &Filter) -> Result<BoxStream<Result<Change>>> {
        self.check()?;
        if self.deaf.load(Ordering::SeqCst) {
            return Ok(stream::pending().boxed());
        }
        let mut dead = self.dead.subscribe();
        let died = async move { dead.wait_for(|dead| *dead).await.map(|_| ()) }.boxed();
        let changes = self.inner.watch(call, filter).await?;
        Ok(changes.take_until(died).boxed())
    }
}

/// What `/readyz` says.
#[derive(Clone, Default)]
pub(crate) struct Ready(pub(crate) Arc<std::sync::Mutex<Vec<Unready>>>);

impl Readiness for Ready {
    fn unready(&self) -> futures::future::BoxFuture<'_, Vec<Unready>> {
        Box::pin(async { self.0.lock().unwrap().clone() })
    }
}

pub(crate) struct Platform {
    pub(crate) registry: Faulty,
    pub(crate) routes: Arc<Routes>,
    pub(crate) ready: Ready,
    pub(crate) core: Core,
}

impl Platform {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A platform whose registry is prepared before anybody looks at it.
    pub(crate) async fn start_with(prepare: impl FnOnce(&Faulty)) -> Self {
        let registry = Faulty(Arc::new(Faults {
            inner: MemoryRegistry::new(),
            dead: watch::Sender::new(false),
            deaf: AtomicBool::new(false),
            slow: std::sync::Mutex::new(Duration::ZERO),
            lists: AtomicUsize::new(0),
        }));
        prepare(&registry);
        let core = Core::start().await;
        let handle = RegistryHandle::new(registry.clone());
        Self {
            registry,
            routes: Routes::start(move || handle.clone()),
            ready: Ready::default(),
            core,
        }
    }

    pub(crate) fn dispatcher(&self, budget: Budget) -> Arc<Dispatcher> {
        let (access, services) = (self.core.access.clone(), self.core.services.clone());
        let dispatcher = Dispatcher::new(access, self.routes.clone(), Arc::new(services));
        Arc::new(dispatcher.with_budget(budget))
    }

    pub(crate) async fn proxy(&self) -> Door {
        self.proxy_with(Budget::default()).await
    }

    pub(crate) async fn proxy_with(&self, budget: Budget) -> Door {
        let proxy = Proxy::new(self.dispatcher(budget)).with_grace(Duration::from_secs(5));
        Door::open(move |listener, stop| async move { proxy.serve(listener, stop).await }).await
    }

    pub(crate) async fn gateway(&self) -> Door {
        self.gateway_with(Settings::default()).await
    }

    pub(crate) async fn gateway_with(&self, settings: Settings) -> Door {
        self.gateway_within(settings, Budget::default()).await
    }

    pub(crate) async fn gateway_within(&self, settings: Settings, budget: Budget) -> Door {
        let ready = Arc::new(self.ready.clone());
        let gateway = Gateway::new(self.dispatcher(budget), ready, settings);
        Door::open(move |listener, stop| async move { gateway.serve(listener, stop).await }).await
    }

    /// Registers a service at these addresses.
    pub(crate) async fn register(&self, name: &str, addresses: &[SocketAddr]) {
        self.register_with(name, addresses, Vec::new()).await;
    }

    pub(crate) async fn register_with(
        &self,
        name: &str,
        addresses: &[SocketAddr],
        endpoints: Vec<registry::Endpoint>,
    ) {
        let nodes = addresses.iter().map(|address| registry::Node {
            id: format!("{name}-{address}"),
            address: address.to_string(),
            ..Default::default()
        });
        let service = Service {
            domain: "micro".into(),
            name: name.into(),
            version: "latest".into(),
            nodes: nodes.collect(),
            endpoints,
            ..Default::default()
        };
        self.registry
            .inner
            .register(&Call::new("micro"), &service, None)
            .await
            .unwrap();
    }
}

/// A door that is open until this is dropped or it is closed.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

impl Door {
    async fn open<F>(serve: impl FnOnce(TcpListener, CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, stop.clone()));
        Self {
            address,
            stop,
            served,
        }
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
