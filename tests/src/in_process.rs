//! The core services in this process, over memory modules, behind a door like the real ones.

use std::{
    convert::Infallible,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use micro_access::{Access, ConfigKey, ConfigKeySource, KeySource};
use micro_memory::{MemoryBlob, MemoryBroker, MemoryRegistry, MemoryStream};
use micro_modules::Modules;
use micro_plugin_api::{
    BlobHandle, BrokerHandle, Host, RegistryHandle, RuntimeHandle, StoreHandle, StreamHandle,
};
use micro_process::{ProcessRuntime, Settings};
use micro_proto::auth::{Options, Token, TokenRequest, auth_client::AuthClient};
use micro_proxy::Proxy;
use micro_route::{Dispatcher, Routes};
use micro_services::{CoreServices, Manager, Platform, RuntimeConfig, Toolchain};
use micro_wire::{Error, path::MethodPath};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    runtime::{Handle, Runtime},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};
use tower::{ServiceExt as _, service_fn, util::BoxCloneSyncService};

use crate::{ObservedStore, hop::Hop};

/// A channel for generated clients.
pub type Door = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The core services of one server. Several over the same [`Modules`] are several servers.
pub struct Core {
    /// What they stand on.
    pub modules: Arc<Modules>,
    /// The store among that.
    pub store: ObservedStore,
    /// Accounts, tokens and rules.
    pub access: Access,
    /// The services.
    pub services: CoreServices,
    /// What runs.
    pub manager: Manager,
    /// What secrets are sealed with.
    pub config_key: ConfigKey,
    name: String,
    apart: Option<Apart>,
    _state: Arc<TempDir>,
}

/// What a server is made of.
struct Parts {
    modules: Arc<Modules>,
    store: ObservedStore,
    state: Arc<TempDir>,
    keys: KeySource,
    config_key: ConfigKey,
    name: String,
    apart: Option<Apart>,
}

/// What a server has that shares its backends with servers elsewhere.
struct Apart {
    lease: Duration,
    /// With this it dies.
    runtime: Option<Runtime>,
    /// Where the others reach it.
    door: Option<TcpListener>,
    address: String,
}

impl Apart {
    async fn new(lease: Duration) -> Self {
        let door = TcpListener::bind("127.0.0.1:0").await;
        let door = door.expect("a free port");
        let address = door.local_addr().expect("an address").to_string();
        let mut apart = Self::at(address, lease);
        apart.door = Some(door);
        apart
    }

    /// One that is reached at this address, if anybody is.
    fn at(address: String, lease: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self {
            lease,
            runtime: Some(runtime.expect("a runtime")),
            door: None,
            address,
        }
    }

    /// Where its work goes on.
    fn background(&self) -> Handle {
        let runtime = self.runtime.as_ref().expect("it lives");
        runtime.handle().clone()
    }

    fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.die();
    }
}

impl Core {
    /// A new platform.
    pub async fn start() -> Self {
        let state = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let store = ObservedStore::default();
        let modules = Modules::from_handles(
            StoreHandle::new(store.clone()),
            BlobHandle::new(MemoryBlob::new()),
            StreamHandle::new(MemoryStream::new(&micro_memory::Settings::default())),
            BrokerHandle::new(MemoryBroker::new()),
            RegistryHandle::new(MemoryRegistry::new()),
            processes(&state).await,
        );
        Self::over(Parts {
            modules,
            store,
            state,
            keys: KeySource::Memory,
            config_key: ConfigKeySource::Memory.load().expect("a key"),
            name: new_name(),
            apart: None,
        })
        .await
    }

    /// A server that shares this one's backends as one on another machine does: it runs services
    /// itself, in a state folder of its own, under leases of this length, has a network door, and
    /// signs with the key in the store.
    pub async fn beside(&self, lease: Duration) -> Self {
        let state = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let store = self.store.apart();
        let modules = Modules::from_handles(
            StoreHandle::new(store.clone()),
            self.modules.blob(),
            self.modules.stream(),
            self.modules.broker(),
            self.modules.registry(),
            processes(&state).await,
        );
        Self::over(Parts {
            modules,
            store,
            state,
            keys: KeySource::Store(self.config_key.clone()),
            name: new_name(),
            apart: Some(Apart::new(lease).await),
            ..self.parts()
        })
        .await
    }

    /// Ends a server of [`Core::beside`] as a kill does: it does nothing more, and what it ran
    /// runs on.
    ///
    /// # Panics
    /// For any other server.
    pub fn die(&mut self) {
        self.apart.as_mut().expect("a server of its own").die();
    }

    fn parts(&self) -> Parts {
        Parts {
            modules: self.modules.clone(),
            store: self.store.clone(),
            state: self._state.clone(),
            keys: KeySource::Memory,
            config_key: self.config_key.clone(),
            name: self.name.clone(),
            apart: None,
        }
    }

    /// The same server after a restart: over the same modules, with a signing key of its own.
    pub async fn again(&self) -> Self {
        let mut parts = self.parts();
        if let Some(apart) = &self.apart {
            // What it ran was told of this address.
            parts.apart = Some(Apart::at(apart.address.clone(), apart.lease));
            parts.keys = KeySource::Store(self.config_key.clone());
        }
        Self::over(parts).await
    }

    /// The folder of its state.
    pub fn state(&self) -> &Path {
        self._state.path()
    }

    /// One more server over the same modules, with a key of its own unless one is given to both.
    pub async fn another(&self, keys: KeySource) -> Self {
        Self::over(Parts {
            keys,
            name: new_name(),
            ..self.parts()
        })
        .await
    }

    async fn over(parts: Parts) -> Self {
        let Parts {
            modules,
            store,
            state,
            keys,
            config_key,
            name,
            mut apart,
        } = parts;
        let access = Access::open(modules.clone(), keys)
            .await
            .expect("access opens");
        let folder = state.path();
        let mut config = RuntimeConfig::new(
            folder.join("services"),
            folder.join("build"),
            "127.0.0.1:8443",
        );
        config.toolchain = Toolchain::from_environment(std::env::vars());
        config.server.clone_from(&name);
        if let Some(apart) = &apart {
            config.lease = Some(apart.lease);
            config.network_address.clone_from(&apart.address);
        }
        config.upload_limit = 4 * 1024 * 1024;
        let runs_on = apart
            .as_ref()
            .map_or_else(Handle::current, Apart::background);
        let manager = Manager::new(modules.clone(), access.clone(), config, runs_on.clone());
        manager.restore().await;
        let services = CoreServices::new(&Platform {
            modules: modules.clone(),
            access: access.clone(),
            manager: manager.clone(),
            config_key: config_key.clone(),
            reloader: None,
            background: runs_on.clone(),
        })
        .expect("no two handlers have one name");
        if let Some(door) = apart.as_mut().and_then(|apart| apart.door.take()) {
            let registry = modules.registry();
            let routes = Routes::start(move || registry.clone());
            let core = Arc::new(services.clone());
            let proxy = Proxy::new(Arc::new(Dispatcher::new(access.clone(), routes, core)));
            runs_on.spawn(async move { proxy.serve(door, CancellationToken::new()).await });
        }
        Self {
            modules,
            store,
            access,
            services,
            manager,
            config_key,
            name,
            apart,
            _state: state,
        }
    }

    /// A door for somebody with this token (none: anonymous) in this namespace (empty: unsaid).
    pub fn door(&self, token: &str, namespace: &str) -> Door {
        let (access, services) = (self.access.clone(), self.services.clone());
        let (token, namespace) = (token.to_owned(), namespace.to_owned());
        BoxCloneSyncService::new(service_fn(move |mut request: Request<Body>| {
            let (access, services) = (access.clone(), services.clone());
            let headers = request.headers_mut();
            if !token.is_empty() {
                let value = format!("Bearer {token}")
                    .parse()
                    .expect("a token is a header value");
                headers.insert("authorization", value);
            }
            if !namespace.is_empty() {
                headers.insert(
                    "micro-namespace",
                    namespace.parse().expect("a namespace is a header value"),
                );
            }
            async move {
                let uri = request.uri().clone();
                let path = match MethodPath::parse(uri.path()) {
                    Ok(path) => path,
                    Err(error) => return Ok(error.grpc_response()),
                };
                let admitted = access
                    .admit(request.headers_mut(), path.service, &path.endpoint())
                    .await;
                match admitted {
                    Ok(caller) => request.extensions_mut().insert(caller),
                    Err(error) => return Ok(error.grpc_response()),
                };
                Ok(services.call(request).await)
            }
        }))
    }

    /// A token of somebody, as they would get it.
    pub async fn login(&self, namespace: &str, id: &str, secret: &str) -> Result<Token, Error> {
        let request = TokenRequest {
            id: id.to_owned(),
            secret: secret.to_owned(),
            options: Some(Options {
                namespace: namespace.to_owned(),
            }),
            ..TokenRequest::default()
        };
        let answer = AuthClient::new(self.door("", "")).token(request).await?;
        Ok(answer.into_inner().token.expect("the answer has a token"))
    }

    /// The door of the default admin.
    pub async fn admin(&self) -> Door {
        let token = self
            .login("micro", "admin", "micro")
            .await
            .expect("the default admin logs in");
        self.door(&token.access_token, "")
    }
}

/// A runtime of processes whose notes are in this folder.
async fn processes(state: &TempDir) -> RuntimeHandle {
    let host = Host::new("process", state.path(), state.path());
    let runtime = ProcessRuntime::open(Settings::default(), host).await;
    RuntimeHandle::new(Hop::new(runtime.expect("the process runtime opens")))
}

/// Each is a server of its own, also of several over one state.
fn new_name() -> String {
    static SERVERS: AtomicU64 = AtomicU64::new(0);
    format!("server-{}", SERVERS.fetch_add(1, Ordering::Relaxed))
}

/// A unary call in JSON: what comes back, or the status.
pub async fn call_json(door: &Door, path: &str, json: &str) -> Result<serde_json::Value, Status> {
    let frame = micro_wire::frame::encode(json.to_owned().into());
    let request = Request::post(format!("http://core{path}"))
        .header("content-type", "application/grpc+json")
        .header("te", "trailers")
        .body(Body::new(http_body_util::Full::new(frame)))
        .expect("a valid request");
    let Ok(response) = door.clone().oneshot(request).await;
    if let Some(status) = Status::from_header_map(response.headers())
        && status.code() != tonic::Code::Ok
    {
        return Err(status);
    }
    let body = response.into_body().collect().await?;
    if let Some(status) = body.trailers().and_then(Status::from_header_map)
        && status.code() != tonic::Code::Ok
    {
        return Err(status);
    }
    let bytes = body.to_bytes();
    Ok(serde_json::from_slice(&bytes[5..]).expect("the answer is JSON"))
}
