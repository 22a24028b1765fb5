//! The client: calls services by name through the platform's proxy.

mod budget;
mod channel;
mod credentials;
mod messages;
mod options;
mod replay;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tonic::transport::{Channel, Endpoint};

pub use channel::ServiceChannel;
pub(crate) use channel::chance;
pub use messages::{Encoding, MessageStream};
pub use options::CallOptions;

use crate::{
    Error,
    env::{DEFAULT_PROXY, Environment},
    wire::{self, error::CLIENT_ID},
};
use budget::Budget;
use credentials::Credentials;

/// How long a unary call waits, unless told otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What may come ahead on one stream while nobody reads it, in bytes.
const STREAM_WINDOW: u32 = 512 * 1024;
/// The same for all streams of the connection: far more, so that a subscription that nobody reads
/// stops no answer.
const CONNECTION_WINDOW: u32 = 256 * 1024 * 1024;

/// Calls services by their registry name, over one connection to the proxy that is made at the first
/// call and again whenever it breaks. Cheap to clone.
///
/// ```no_run
/// # async fn f() -> Result<(), micro::Error> {
/// let client = micro::client();
/// let answer = client
///     .call_json("helloworld", "Helloworld.Call", &serde_json::json!({"name": "John"}))
///     .await?;
/// # Ok(()) }
/// ```
///
/// or with a generated client: `HelloworldClient::new(client.service("helloworld"))`.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    address: String,
    endpoint: Endpoint,
    channel: OnceLock<Channel>,
    credentials: Credentials,
    namespace: String,
    table: String,
    timeout: Duration,
    retries: u32,
    budget: Budget,
}

/// The client of this process, as its environment says; made at the first use.
///
/// Should the environment hold an unusable `MICRO_PROXY`, every call answers with that error.
#[must_use]
pub fn client() -> Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT
        .get_or_init(|| Builder::from(&Environment::read()).build_or_unusable())
        .clone()
}

/// Marks a request as unary, so that it gets the default deadline; generated clients do it.
pub fn unary<T>(mut request: tonic::Request<T>) -> tonic::Request<T> {
    request.extensions_mut().insert(Unary);
    request
}

/// That a call has one request and one answer.
#[derive(Clone, Copy, Debug)]
struct Unary;

impl Client {
    /// A client with everything said explicitly; nothing of the environment counts.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A channel for a generated client: its calls go to the service of this registry name, whatever
    /// the proto package is called.
    #[must_use]
    pub fn service(&self, name: impl Into<String>) -> ServiceChannel {
        self.service_with(name, CallOptions::new())
    }

    /// As [`Client::service`], with options for each call made over it.
    #[must_use]
    pub fn service_with(&self, name: impl Into<String>, options: CallOptions) -> ServiceChannel {
        ServiceChannel::new(self.clone(), name.into(), options)
    }

    /// A service of the platform itself: asked on our own account and in our own namespace, whoever
    /// the call being handled comes from.
    pub(crate) fn core(&self, name: &str) -> ServiceChannel {
        let options = CallOptions::new().auth_token();
        let options = match self.namespace() {
            "" => options,
            namespace => options.namespace(namespace),
        };
        self.service_with(name, options)
    }

    /// Connects now rather than at the first call.
    ///
    /// # Errors
    /// 503 that names the address if nobody answers there.
    pub async fn connect(&self) -> Result<(), Error> {
        let inner = &self.inner;
        if inner.channel.get().is_none() {
            let channel = inner
                .endpoint
                .connect()
                .await
                .map_err(|error| self.no_connection(&error))?;
            // Another call may have been faster; either connection will do.
            let _ = inner.channel.set(channel);
        }
        Ok(())
    }

    /// Where the calls go, `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// The namespace of calls that do not say otherwise; blank if the platform decides.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// The table of the store that is used unless told otherwise; blank if the platform decides.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.inner.table
    }

    /// Whether calls made outside of a handler carry an authorization.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        !matches!(self.inner.credentials, Credentials::None)
    }

    /// The connection. Must be called inside of a tokio runtime.
    fn channel(&self) -> Channel {
        self.inner
            .channel
            .get_or_init(|| self.inner.endpoint.connect_lazy())
            .clone()
    }

    fn no_connection(&self, error: &dyn std::error::Error) -> Error {
        let mut root = error;
        while let Some(source) = root.source() {
            root = source;
        }
        let detail = format!("cannot connect to {}: {root}", self.inner.address);
        Error::service_unavailable(CLIENT_ID, detail)
    }
}

/// Makes a [`Client`].
#[derive(Default)]
pub struct Builder {
    address: Option<String>,
    namespace: String,
    table: String,
    credentials: Option<Result<Credentials, Error>>,
    timeout: Option<Duration>,
    retries: Option<u32>,
}

impl Builder {
    /// Where the proxy listens, `host:port`; `127.0.0.1:8443` unless said.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// The namespace to call in; the account's own unless said.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The table of the store to use unless told otherwise.
    #[must_use]
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Calls with this token, as it is.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.credentials = Some(Credentials::token(token));
        self
    }

    /// Logs in with an account, at the first call that needs it, and renews the token before it dies.
    #[must_use]
    pub fn account(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.credentials = Some(Ok(Credentials::account(id.into(), secret.into())));
        self
    }

    /// How long unary calls wait unless told otherwise; ten seconds unless said.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How often calls are tried again unless told otherwise; once unless said.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// The client. It connects when it is first used.
    ///
    /// # Errors
    /// 400 for an address that is not `host:port`, or a token that no header can hold.
    pub fn build(self) -> Result<Client, Error> {
        let address = self.address.unwrap_or_else(|| DEFAULT_PROXY.to_owned());
        let address = address
            .strip_prefix("http://")
            .unwrap_or(&address)
            .trim_end_matches('/');
        let bad = || {
            Error::bad_request(
                CLIENT_ID,
                format!("invalid address {address:?}: want host:port"),
            )
        };
        let uri: http::Uri = format!("http://{address}").parse().map_err(|_| bad())?;
        let plain = uri.path() == "/" && uri.query().is_none() && uri.port_u16().is_some();
        if !plain || uri.host().is_none_or(str::is_empty) {
            return Err(bad());
        }
        let endpoint = Endpoint::from(uri)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let inner = Inner {
            address: address.to_owned(),
            endpoint,
            channel: OnceLock::new(),
            credentials: self.credentials.unwrap_or(Ok(Credentials::None))?,
            namespace: self.namespace,
            table: self.table,
            timeout: self.timeout.unwrap_or(TIMEOUT),
            retries: self.retries.unwrap_or(1),
            budget: Budget::default(),
        };
        Ok(Client {
            inner: Arc::new(inner),
        })
    }

    /// For the one client that nobody can be told of: a bad address is an address where nobody is.
    fn build_or_unusable(self) -> Client {
        let inner = match self.build() {
            Ok(client) => return client,
            Err(error) => {
                tracing::error!(%error, "MICRO_PROXY cannot be used");
                Inner {
                    address: error.detail,
                    endpoint: Endpoint::from_static("http://127.0.0.1:0"),
                    channel: OnceLock::new(),
                    credentials: Credentials::None,
                    namespace: String::new(),
                    table: String::new(),
                    timeout: TIMEOUT,
                    retries: 0,
                    budget: Budget::default(),
                }
            }
        };
        Client {
            inner: Arc::new(inner),
        }
    }
}

impl From<&Environment> for Builder {
    fn from(environment: &Environment) -> Self {
        let credentials = environment
            .auth_id
            .clone()
            .zip(environment.auth_secret.clone())
            .map(|(id, secret)| Ok(Credentials::account(id, secret)));
        Self {
            address: environment.proxy.clone(),
            namespace: environment.namespace.clone().unwrap_or_default(),
            table: environment.name.clone().unwrap_or_default(),
            credentials,
            timeout: None,
            retries: None,
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("address", &self.address)
            .field("namespace", &self.namespace)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.address)
            .field("namespace", &self.namespace)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// The largest message that clients take, in bytes.
pub(crate) const MAX_MESSAGE: usize = wire::frame::MAX_MESSAGE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (address, good) in [
            ("127.0.0.1:8443", true),
            ("http://localhost:1/", true),
            ("[::1]:80", true),
            ("localhost", false),
            ("", false),
            (":8443", false),
            ("host:port", false),
            ("a b:1", false),
            ("host:1/path", false),
        ] {
            let client = Client::builder().address(address).build();
            assert_eq!(client.is_ok(), good, "{address}: {client:?}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        for builder in [
            Client::builder().token("hunter2"),
            Client::builder().account("id", "hunter2"),
        ] {
            assert!(!format!("{builder:?}").contains("hunter2"));
            assert!(!format!("{:?}", builder.build().unwrap()).contains("hunter2"));
        }
    }
}
