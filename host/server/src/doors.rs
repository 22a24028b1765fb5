//! The doors, thread-per-core: on each core one thread with a runtime of its own, a listener of
//! its own for each door, and its own connections to services.

use std::{collections::BTreeSet, net::TcpListener, sync::Arc, thread};

use micro_access::Access;
use micro_gateway::{Gateway, Readiness};
use micro_proxy::Proxy;
use micro_route::{Budget, Core, Dispatcher, Routes};
use tokio::{net, runtime::Runtime};
use tokio_util::sync::CancellationToken;

use crate::{Addresses, ServerConfig, ServerError, listen::Bound};

/// What every thread of the doors needs.
#[derive(Clone)]
pub(crate) struct Behind {
    pub(crate) access: Access,
    pub(crate) routes: Arc<Routes>,
    pub(crate) core: Arc<dyn Core>,
    pub(crate) readiness: Arc<dyn Readiness>,
}

/// The addresses of all doors, taken but not yet listening.
pub(crate) struct Sockets {
    api: Bound,
    proxy: Bound,
    network: Bound,
}

impl Sockets {
    /// Takes the addresses, with a listener for each core.
    pub(crate) fn bind(config: &ServerConfig) -> Result<Self, ServerError> {
        // Fails only where the system does not tell: then one thread does.
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            api: Bound::new(config.api_address, cores, "api_address")?,
            proxy: Bound::new(config.proxy_address, cores, "proxy_address")?,
            network: Bound::new(config.network_address, cores, "network_address")?,
        })
    }

    /// The real addresses.
    pub(crate) fn addresses(&self) -> Addresses {
        Addresses {
            api: self.api.address(),
            proxy: self.proxy.address(),
            network: self.network.address(),
            pid: std::process::id(),
        }
    }
}

/// The threads that serve.
pub(crate) struct Doors(Vec<thread::JoinHandle<()>>);

impl Doors {
    /// Opens the doors: from now on calls are answered, until `stop`. Then each thread lets what
    /// is in flight finish within the grace period, and ends.
    pub(crate) fn open(
        sockets: Sockets,
        behind: &Behind,
        config: &ServerConfig,
        stop: &CancellationToken,
    ) -> Result<Self, ServerError> {
        let settings = micro_gateway::Settings {
            trusted_origins: config
                .allowed_origins
                .iter()
                .cloned()
                .collect::<BTreeSet<_>>(),
            grace: config.grace,
            ..micro_gateway::Settings::default()
        };
        let budget = Budget::default();
        let api = sockets.api.into_listeners()?;
        let proxy = sockets.proxy.into_listeners()?;
        let network = sockets.network.into_listeners()?;
        let mut threads = Vec::with_capacity(api.len());
        for (core, ((api, proxy), network)) in api.into_iter().zip(proxy).zip(network).enumerate() {
            let thread = Thread {
                listeners: [api, proxy, network],
                behind: behind.clone(),
                budget: budget.clone(),
                settings: settings.clone(),
                stop: stop.clone(),
            };
            threads.push(thread.start(format!("door-{core}"))?);
        }
        Ok(Self(threads))
    }

    /// Waits until every thread has ended. Blocks.
    pub(crate) fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                tracing::error!("a thread of the doors panicked");
            }
        }
    }
}

/// One thread of the doors, before it starts.
struct Thread {
    listeners: [TcpListener; 3],
    behind: Behind,
    budget: Budget,
    settings: micro_gateway::Settings,
    stop: CancellationToken,
}

impl Thread {
    fn start(self, name: String) -> Result<thread::JoinHandle<()>, ServerError> {
        let failed = |source| ServerError::Thread {
            name: name.clone(),
            source,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        thread::Builder::new()
            .name(name.clone())
            .spawn(move || self.run(&runtime))
            .map_err(failed)
    }

    fn run(self, runtime: &Runtime) {
        if let Err(error) = runtime.block_on(self.serve()) {
            tracing::error!("a thread of the doors cannot serve: {error}");
        }
    }

    async fn serve(self) -> std::io::Result<()> {
        let Self {
            listeners: [api, proxy, network],
            behind,
            budget,
            settings,
            stop,
        } = self;
        let listener = net::TcpListener::from_std;
        let (api, proxy, network) = (listener(api)?, listener(proxy)?, listener(network)?);
        let dispatcher = Dispatcher::new(behind.access, behind.routes, behind.core);
        let dispatcher = Arc::new(dispatcher.with_budget(budget));
        let grpc = Proxy::new(dispatcher.clone()).with_grace(settings.grace);
        let http = Gateway::new(dispatcher, behind.readiness, settings);
        tokio::join!(
            http.serve(api, stop.clone()),
            grpc.serve(proxy, stop.clone()),
            grpc.serve(network, stop),
        );
        Ok(())
    }
}
