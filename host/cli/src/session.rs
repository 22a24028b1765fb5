//! One connection to the server of the current environment, with the namespace and the token of its user.

mod connection;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use micro::{CallOptions, client::Encoding};
use micro_proto::auth;
use micro_wire::{Error as WireError, error::CLIENT_ID, metadata};
use prost::Message;
use tokio::sync::oneshot;

use connection::Connection;
pub(crate) use connection::Failure;

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

/// The answer to a call, or why there is none.
type Answer<T> = std::result::Result<T, Failure>;

/// What a command talks to the server through. It connects when it is first needed.
pub(crate) struct Session<'a> {
    context: &'a Context<'a>,
    place: Place,
    namespace: String,
    account: Option<String>,
    token: Option<String>,
    connection: Connection,
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

impl<'a> Call<'a> {
    /// A call to one node of a service, by its id.
    pub(crate) fn to_node(
        service: &'a str,
        endpoint: &'a str,
        namespace: &'a str,
        node: &str,
    ) -> Self {
        Self {
            service,
            endpoint,
            namespace,
            metadata: BTreeMap::from([(metadata::NODE.to_owned(), node.to_owned())]),
            timeout: None,
        }
    }
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
            connection: Connection::to(&place)?,
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
        let client = self.connection.client().await?;
        let options = self.options(&self.namespace)?;
        let body = request.encode_to_vec().into();
        let answer = client.call(service, endpoint, Encoding::Proto, body, options);
        decode(answer.await?)
    }

    /// One message there, any number back.
    pub(crate) async fn stream<Q: Message, S: Message + Default>(
        &self,
        service: &str,
        endpoint: &str,
        request: &Q,
    ) -> Answer<impl Stream<Item = Answer<S>>> {
        let client = self.connection.client().await?;
        let options = self.options(&self.namespace)?;
        let body = futures::stream::iter([request.encode_to_vec().into()]);
        let messages = client.stream(service, endpoint, Encoding::Proto, body, options);
        Ok(messages.await?.map(|message| decode(message?)))
    }

    /// Any number of messages there, one back. An error among them ends the call and is what is reported.
    pub(crate) async fn send_all<Q: Message, S: Message + Default>(
        &self,
        service: &str,
        endpoint: &str,
        requests: impl Stream<Item = Result<Q>> + Send + 'static,
    ) -> Result<S> {
        let client = self.connection.client().await?;
        let options = self.options(&self.namespace)?;
        let (refuse, refused) = oneshot::channel();
        let mut refuse = Some(refuse);
        let bodies = requests.scan((), move |(), request| {
            let body = match request {
                Ok(request) => Some(Bytes::from(request.encode_to_vec())),
                Err(error) => {
                    // If the call is over already, its own end is what counts.
                    drop(refuse.take().map(|refuse| refuse.send(error)));
                    None
                }
            };
            std::future::ready(body)
        });
        let sent = async {
            let answers = client.stream(service, endpoint, Encoding::Proto, bodies, options);
            answers.await?.try_next().await
        };
        tokio::select! {
            biased;
            Ok(error) = refused => Err(error),
            answer = sent => {
                let answer = answer.map_err(Failure::Answer)?;
                Ok(decode(answer.unwrap_or_default())?)
            }
        }
    }

    /// One message there, one back, with what else the call says.
    pub(crate) async fn call_as<Q: Message, S: Message + Default>(
        &self,
        call: &Call<'_>,
        request: &Q,
    ) -> Answer<S> {
        let client = self.connection.client().await?;
        let options = self.options_of(call)?;
        let body = request.encode_to_vec().into();
        let answer = client.call(call.service, call.endpoint, Encoding::Proto, body, options);
        decode(answer.await?)
    }

    /// JSON there, JSON back.
    pub(crate) async fn call_json(&self, call: &Call<'_>, request: Bytes) -> Answer<Bytes> {
        let client = self.connection.client().await?;
        let options = self.options_of(call)?;
        let answer = client.call(
            call.service,
            call.endpoint,
            Encoding::Json,
            request,
            options,
        );
        Ok(answer.await?)
    }

    /// JSON there, any number of JSON messages back.
    pub(crate) async fn stream_json(
        &self,
        call: &Call<'_>,
        request: Bytes,
    ) -> Answer<impl Stream<Item = Answer<Bytes>>> {
        let client = self.connection.client().await?;
        let options = self.options_of(call)?;
        let body = futures::stream::iter([request]);
        let messages = client.stream(call.service, call.endpoint, Encoding::Json, body, options);
        Ok(messages.await?.map_err(Failure::Answer))
    }

    fn options_of(&self, call: &Call<'_>) -> Answer<CallOptions> {
        let mut options = self.options(call.namespace)?;
        for (key, value) in &call.metadata {
            options = options.metadata(key, value)?;
        }
        Ok(match call.timeout {
            Some(timeout) => options.timeout(timeout),
            None => options,
        })
    }

    fn options(&self, namespace: &str) -> Answer<CallOptions> {
        // Who typed the command sees its error and decides whether to try again.
        let options = CallOptions::new().retries(0);
        let options = options.metadata(metadata::NAMESPACE, namespace)?;
        Ok(match &self.token {
            Some(token) => options.metadata(metadata::AUTHORIZATION, &format!("Bearer {token}"))?,
            None => options,
        })
    }
}

fn decode<S: Message + Default>(message: Bytes) -> Answer<S> {
    S::decode(message).map_err(|error| {
        let detail = format!("the server's answer cannot be read: {error}");
        Failure::Answer(WireError::internal_server_error(CLIENT_ID, detail))
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
