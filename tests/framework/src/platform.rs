//! A platform of two services, auth and registry, that does as a test tells it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use futures::stream;
use micro::{Client, Error, Request, Response, ResponseStream, Status, env::Environment};
use micro_proto::{
    auth::{self, auth_server},
    registry::{self, registry_server},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;

/// What it was asked, and what it answers.
#[derive(Debug)]
pub struct State {
    /// `login`, `refresh`, `register`, `deregister`, in the order in which they were asked.
    pub log: Vec<&'static str>,
    /// What was registered, last first.
    pub records: Vec<registry::Service>,
    /// Tokens that are good.
    pub tokens: BTreeSet<String>,
    /// Whether a refresh token is good for anything.
    pub refreshes: bool,
    /// How long the tokens live, in seconds.
    pub token_life: i64,
    /// What to answer to a registration, instead of yes.
    pub refusal: Option<Error>,
    made: u32,
}

/// The platform. It stays what it is over a restart of its server.
#[derive(Clone, Debug)]
pub struct Platform {
    state: Arc<Mutex<State>>,
}

/// The secret of the one account, `kinds-latest`.
pub const SECRET: &str = "right";

impl Default for Platform {
    fn default() -> Self {
        let state = State {
            log: Vec::new(),
            records: Vec::new(),
            tokens: BTreeSet::new(),
            refreshes: true,
            token_life: 600,
            refusal: None,
            made: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }
}

impl Platform {
    /// What it knows.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it was asked this.
    #[must_use]
    pub fn asked(&self, what: &str) -> usize {
        self.state()
            .log
            .iter()
            .filter(|asked| **asked == what)
            .count()
    }

    /// Listens; aborting the task closes every connection.
    pub async fn listen(&self, address: &str) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(auth_server::AuthServer::new(self.clone()))
            .add_service(registry_server::RegistryServer::new(self.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        // On a runtime of its own, so that its connections end with it.
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::select! {
                    served = server => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        let task = tokio::spawn(async move {
            let _stop = stop;
            std::future::pending().await
        });
        (address, task)
    }

    /// What the runtime would tell a service of this platform.
    #[must_use]
    pub fn environment(&self, address: SocketAddr) -> Environment {
        Environment {
            name: Some("kinds".into()),
            version: Some("latest".into()),
            address: Some("127.0.0.1:0".into()),
            proxy: Some(address.to_string()),
            namespace: Some("micro".into()),
            auth_id: Some("kinds-latest".into()),
            auth_secret: Some(SECRET.into()),
            log_level: None,
        }
    }

    /// A client with the one account.
    #[must_use]
    pub fn client(&self, address: SocketAddr) -> Client {
        let builder = Client::builder()
            .address(address.to_string())
            .namespace("micro");
        builder.account("kinds-latest", SECRET).build().unwrap()
    }

    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let header = request
            .metadata()
            .get("authorization")
            .and_then(|v| v.to_str().ok());
        let token = header
            .and_then(|header| header.strip_prefix("Bearer "))
            .unwrap_or_default();
        match self.state().tokens.contains(token) {
            true => Ok(()),
            false => Err(Error::unauthorized("registry", "An account is required").into()),
        }
    }
}

#[tonic::async_trait]
impl auth_server::Auth for Platform {
    async fn generate(
        &self,
        _: Request<auth::GenerateRequest>,
    ) -> Result<Response<auth::GenerateResponse>, Status> {
        Err(Status::unimplemented("not for these tests"))
    }

    async fn inspect(
        &self,
        _: Request<auth::InspectRequest>,
    ) -> Result<Response<auth::InspectResponse>, Status> {
        Err(Status::unimplemented("not for these tests"))
    }

    async fn token(
        &self,
        request: Request<auth::TokenRequest>,
    ) -> Result<Response<auth::TokenResponse>, Status> {
        assert!(request.metadata().get("authorization").is_none());
        let mut state = self.state();
        let request = request.into_inner();
        assert_eq!(request.token_expiry, 600);
        assert_eq!(request.options.unwrap().namespace, "micro");
        if request.refresh_token.is_empty() {
            state.log.push("login");
            if request.id != "kinds-latest" || request.secret != SECRET {
                return Err(Error::bad_request("auth.Auth.Token", "Secret not correct").into());
            }
        } else {
            state.log.push("refresh");
            if !state.refreshes {
                return Err(Error::bad_request("auth.Auth.Token", "invalid token provided").into());
            }
        }
        state.made += 1;
        let token = format!("token-{}", state.made);
        state.tokens.insert(token.clone());
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let created = i64::try_from(now).unwrap();
        let token = auth::Token {
            access_token: token.clone(),
            refresh_token: token,
            created,
            expiry: created + state.token_life,
        };
        Ok(Response::new(auth::TokenResponse { token: Some(token) }))
    }
}

#[tonic::async_trait]
impl registry_server::Registry for Platform {
    async fn get_service(
        &self,
        request: Request<registry::GetRequest>,
    ) -> Result<Response<registry::GetResponse>, Status> {
        self.admit(&request)?;
        let services = self.state().records.clone();
        Ok(Response::new(registry::GetResponse { services }))
    }

    async fn register(
        &self,
        request: Request<registry::Service>,
    ) -> Result<Response<registry::EmptyResponse>, Status> {
        self.admit(&request)?;
        let mut state = self.state();
        state.log.push("register");
        if let Some(refusal) = state.refusal.clone() {
            return Err(refusal.into());
        }
        state.records.insert(0, request.into_inner());
        Ok(Response::new(registry::EmptyResponse {}))
    }

    async fn deregister(
        &self,
        request: Request<registry::Service>,
    ) -> Result<Response<registry::EmptyResponse>, Status> {
        self.admit(&request)?;
        let mut state = self.state();
        state.log.push("deregister");
        let node = &request.get_ref().nodes[0].id;
        state.records.retain(|record| record.nodes[0].id != *node);
        Ok(Response::new(registry::EmptyResponse {}))
    }

    async fn list_services(
        &self,
        _: Request<registry::ListRequest>,
    ) -> Result<Response<registry::ListResponse>, Status> {
        Err(Status::unimplemented("not for these tests"))
    }

    type WatchStream = ResponseStream<registry::Result>;

    async fn watch(
        &self,
        request: Request<registry::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.admit(&request)?;
        Ok(Response::new(Box::pin(stream::pending())))
    }
}
