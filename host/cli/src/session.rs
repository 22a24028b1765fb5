//! One connection to the server of the current environment, with the namespace and the token of its user.

mod transport;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::HeaderMap;
use micro_proto::auth;
use micro_wire::{Error as WireError, metadata};
use prost::Message;

pub(crate) use transport::Failure;
use transport::{Body, Transport};

use crate::{
    context::{Context, DEFAULT_NAMESPACE},
    error::{CliError, Result},
    printer::Printer,
    state::{Config, Place, SavedToken, TokenKey},
};

/// How long the tokens that we ask for are valid, in seconds.
pub(crate) const TOKEN_SECONDS: i64 = 600;

/// A token with less life than this, in seconds, is renewed before it is used.
const RENEW_SECONDS: i64 = 60;

/// How long a single answer may take unless the caller says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The answer to a call, or why there is none.
type Answer<T> = std::result::Result<T, Failure>;

/// What a command talks to the server through. It connects when it is first needed.
pub(crate) struct Session<'a> {
    context: &'a Context<'a>,
    place: Place,
    namespace: String,
    account: Option<String>,
    token: Option<String>,
    transport: Transport,
}

/// A call with JSON.
pub(crate) struct Call<'a> {
    /// The name in the registry.
    pub(crate) service: &'a str,
    /// `Handler.Method`.
    pub(crate) endpoint: &'a str,
    /// The namespace of the service.
    pub(crate) namespace: &'a str,
    /// What else to send along.
    pub(crate) metadata: BTreeMap<String, String>,
    /// How long to wait; default 10 s for one answer, no limit for a stream.
    pub(crate) timeout: Option<Duration>,
}

impl<'a> Session<'a> {
    /// A session without an account.
    ///
    /// # Errors
    /// The environment or its address cannot be used.
    pub(crate) fn anonymous(context: &'a Context<'a>) -> Result<Self> {
        let config = context.config()?;
        Self::new(context, &config)
    }

    /// A session as whoever is logged in, if anybody is; a token that ends soon is renewed first.
    ///
    /// # Errors
    /// The environment cannot be used, or a renewal found nobody listening.
    pub(crate) async fn open(context: &'a Context<'a>) -> Result<Self> {
        let config = context.config()?;
        let mut session = Self::new(context, &config)?;
        let keys = saved_keys(context, &config, &session.place);
        if keys.is_empty() {
            return Ok(session);
        }
        let tokens = context.tokens()?;
        for key in keys {
            if let Some(saved) = tokens.get(&key)? {
                session.token = session.fresh(&key, saved).await?;
                session.account = session.token.is_some().then_some(key.account);
                break;
            }
        }
        Ok(session)
    }

    fn new(context: &'a Context<'a>, config: &Config) -> Result<Self> {
        let place = context.place(config)?;
        Ok(Self {
            context,
            namespace: context.namespace(config, &place),
            account: None,
            token: None,
            transport: Transport::to(&place)?,
            place,
        })
    }

    /// The access token of what was saved, renewed if it ends soon. A renewal that fails means
    /// the old one as long as it holds, then none: the call itself will say what is missing.
    async fn fresh(&self, key: &TokenKey, saved: SavedToken) -> Result<Option<String>> {
        let now = now();
        if saved.expiry - now >= RENEW_SECONDS {
            return Ok(Some(saved.access_token));
        }
        let request = auth::TokenRequest {
            refresh_token: saved.refresh_token,
            token_expiry: TOKEN_SECONDS,
            options: Some(auth::Options {
                namespace: key.namespace.clone(),
            }),
            ..auth::TokenRequest::default()
        };
        let answer: Answer<auth::TokenResponse> = self.call("auth", "Auth.Token", &request).await;
        let renewed = match answer {
            Ok(response) => response.token,
            Err(failure @ Failure::Connect(_)) => return Err(failure.into()),
            Err(Failure::Answer(_)) => None,
        };
        let Some(renewed) = renewed.map(SavedToken::from) else {
            return Ok((saved.expiry > now).then_some(saved.access_token));
        };
        self.context.tokens()?.save(key, &renewed)?;
        Ok(Some(renewed.access_token))
    }

    /// The way to the terminal.
    pub(crate) fn printer(&self) -> &Printer {
        self.context.printer
    }

    /// The working folder.
    pub(crate) fn folder(&self) -> &Path {
        self.context.environment.folder()
    }

    /// The environment that this session talks to.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The namespace to work in.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The access token, if somebody is logged in.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The id of the account that is logged in.
    pub(crate) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// One message there, one back.
    pub(crate) async fn call<Q: Message, S: Message + Default>(
        &self,
        service: &str,
        endpoint: &str,
        request: &Q,
    ) -> Answer<S> {
        let headers = self.headers(&self.namespace, Some(TIMEOUT))?;
        let body = Body::Proto(request.encode_to_vec().into());
        let sent = self.transport.unary(service, endpoint, headers, body);
        decode(within(TIMEOUT, sent).await?)
    }

    /// One message there, any number back.
    pub(crate) async fn stream<Q: Message, S: Message + Default>(
        &self,
        service: &str,
        endpoint: &str,
        request: &Q,
    ) -> Answer<impl Stream<Item = Answer<S>>> {
        let headers = self.headers(&self.namespace, None)?;
        let body = Body::Proto(request.encode_to_vec().into());
        let messages = self.transport.stream(service, endpoint, headers, body);
        Ok(messages.await?.map(|message| decode(message?)))
    }

    /// Any number of messages there, one back. An error among them ends the call.
    pub(crate) async fn send_all<Q: Message, S: Message + Default>(
        &self,
        service: &str,
        endpoint: &str,
        requests: impl Stream<Item = Result<Q>> + Send + 'static,
    ) -> Result<S> {
        let headers = self.headers(&self.namespace, None)?;
        let bytes = requests.map(|request| Ok(request?.encode_to_vec().into()));
        let response = self.transport.send_all(service, endpoint, headers, bytes);
        Ok(decode(response.await?)?)
    }

    /// JSON there, JSON back.
    pub(crate) async fn call_json(&self, call: &Call<'_>, request: Bytes) -> Answer<Bytes> {
        let timeout = call.timeout.unwrap_or(TIMEOUT);
        let headers = self.headers_of(call, Some(timeout))?;
        let body = Body::Json(request);
        let sent = self
            .transport
            .unary(call.service, call.endpoint, headers, body);
        within(timeout, sent).await
    }

    /// JSON there, any number of JSON messages back.
    pub(crate) async fn stream_json(
        &self,
        call: &Call<'_>,
        request: Bytes,
    ) -> Answer<impl Stream<Item = Answer<Bytes>>> {
        let headers = self.headers_of(call, call.timeout)?;
        let body = Body::Json(request);
        self.transport
            .stream(call.service, call.endpoint, headers, body)
            .await
    }

    fn headers_of(&self, call: &Call<'_>, timeout: Option<Duration>) -> Answer<HeaderMap> {
        let mut headers = self.headers(call.namespace, timeout)?;
        for (key, value) in &call.metadata {
            let name = http::HeaderName::try_from(key.as_str()).map_err(|_| unsendable(key))?;
            headers.insert(name, value.parse().map_err(|_| unsendable(key))?);
        }
        Ok(headers)
    }

    fn headers(&self, namespace: &str, timeout: Option<Duration>) -> Answer<HeaderMap> {
        let mut headers = HeaderMap::new();
        let namespace = namespace.parse().map_err(|_| unsendable("the namespace"))?;
        headers.insert(metadata::NAMESPACE, namespace);
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {token}").parse();
            let mut value: http::HeaderValue = bearer.map_err(|_| unsendable("the token"))?;
            value.set_sensitive(true);
            headers.insert(metadata::AUTHORIZATION, value);
        }
        if let Some(timeout) = timeout {
            metadata::set_timeout(&mut headers, timeout);
        }
        Ok(headers)
    }
}

fn unsendable(what: &str) -> Failure {
    let detail = format!("{what} has characters that cannot be sent as metadata");
    Failure::Answer(WireError::bad_request("", detail))
}

async fn within<T>(timeout: Duration, sent: impl Future<Output = Answer<T>>) -> Answer<T> {
    tokio::time::timeout(timeout, sent)
        .await
        .unwrap_or_else(|_| {
            let late = WireError::timeout(micro_wire::error::CLIENT_ID, "no answer in time");
            Err(Failure::Answer(late))
        })
}

fn decode<S: Message + Default>(message: Bytes) -> Answer<S> {
    S::decode(message).map_err(|error| {
        let detail = format!("the server's answer cannot be read: {error}");
        Failure::Answer(WireError::internal_server_error(
            micro_wire::error::CLIENT_ID,
            detail,
        ))
    })
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

impl From<auth::Token> for SavedToken {
    fn from(token: auth::Token) -> Self {
        Self {
            access_token: token.access_token,
            refresh_token: token.refresh_token,
            created: token.created,
            expiry: token.expiry,
        }
    }
}

/// The config key of who is logged in, in an environment.
pub(crate) fn current_user_key(environment: &str) -> String {
    format!("{environment}.current-user")
}

/// Under which keys the token of the current user may be saved: that of the namespace to work in, and, when a flag
/// chose that one, that of the namespace in which the user works otherwise. Empty if nobody is logged in.
pub(crate) fn saved_keys(context: &Context<'_>, config: &Config, place: &Place) -> Vec<TokenKey> {
    let Some(account) = config.get(&current_user_key(&place.name)) else {
        return Vec::new();
    };
    let chosen = config
        .get(&crate::context::namespace_key(&place.name))
        .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let mut namespaces = vec![context.namespace(config, place), chosen];
    namespaces.dedup();
    namespaces
        .into_iter()
        .map(|namespace| TokenKey {
            address: place.address.clone(),
            namespace,
            account: account.clone(),
        })
        .collect()
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connect(address) => Self::connect(&address),
            Failure::Answer(error) => error.into(),
        }
    }
}
