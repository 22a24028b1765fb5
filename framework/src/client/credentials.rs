//! Who the client is: nobody, the holder of a token, or an account that logs in and stays logged in.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use http::HeaderValue;
use micro_proto::auth::{Options, TokenRequest, auth_client::AuthClient};
use tokio::{sync::Mutex, time::Instant};

use super::Client;
use crate::{Error, wire::error::CLIENT_ID};

/// How long a token is asked to live.
const LIFE: Duration = Duration::from_secs(600);
/// A token is renewed when it has this long to live, or a quarter of its life if that is less.
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// A token younger than this that is refused is not replaced: another would be refused as well.
const TRUSTED: Duration = Duration::from_secs(1);

/// The credentials of a client.
pub(super) enum Credentials {
    None,
    Token(HeaderValue),
    Account(Account),
}

pub(super) struct Account {
    id: String,
    secret: String,
    held: RwLock<Option<Arc<Held>>>,
    /// One login at a time; the others wait for its token.
    login: Mutex<()>,
}

/// A token, and when to think of the next.
#[derive(Clone)]
pub(super) struct Held {
    header: HeaderValue,
    refresh: String,
    born: Instant,
    renew_at: Instant,
    dies_at: Instant,
}

impl Credentials {
    pub(super) fn token(token: &str) -> Result<Self, Error> {
        bearer(token).map(Self::Token)
    }

    pub(super) fn account(id: String, secret: String) -> Self {
        Self::Account(Account {
            id,
            secret,
            held: RwLock::new(None),
            login: Mutex::new(()),
        })
    }

    /// The authorization header for a call, logging in or renewing first if need be.
    pub(super) async fn header(&self, client: &Client) -> Result<Option<HeaderValue>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Token(header) => Ok(Some(header.clone())),
            Self::Account(account) => account.header(client).await.map(Some),
        }
    }

    /// Says that this header was refused. Whether another can be had.
    pub(super) fn refused(&self, header: &HeaderValue) -> bool {
        let Self::Account(account) = self else {
            return false;
        };
        let mut held = account.held.write().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(token) if token.header == header && token.born.elapsed() < TRUSTED => false,
            Some(token) if token.header == header => {
                *held = None;
                true
            }
            // Somebody has replaced it already.
            _ => true,
        }
    }
}

impl Account {
    fn held(&self) -> Option<Arc<Held>> {
        self.held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn header(&self, client: &Client) -> Result<HeaderValue, Error> {
        let fresh = |held: &Arc<Held>| Instant::now() < held.renew_at;
        if let Some(held) = self.held().filter(fresh) {
            return Ok(held.header.clone());
        }
        let _turn = self.login.lock().await;
        let old = self.held();
        if let Some(held) = old.clone().filter(fresh) {
            return Ok(held.header.clone());
        }
        let renewed = match &old {
            Some(held) => match self.ask(client, Some(&held.refresh)).await {
                Ok(token) => Ok(token),
                Err(_) => self.ask(client, None).await,
            },
            None => self.ask(client, None).await,
        };
        match (renewed, old) {
            (Ok(held), _) => {
                let header = held.header.clone();
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(held));
                Ok(header)
            }
            // The server is away for a moment, and the token still good.
            (Err(error), Some(held)) if Instant::now() < held.dies_at => {
                tracing::debug!(%error, "the token could not be renewed yet");
                Ok(held.header.clone())
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn ask(&self, client: &Client, refresh: Option<&str>) -> Result<Held, Error> {
        let mut request = TokenRequest {
            token_expiry: i64::try_from(LIFE.as_secs()).unwrap_or(i64::MAX),
            options: Some(Options {
                namespace: client.namespace().to_owned(),
            }),
            ..TokenRequest::default()
        };
        match refresh {
            Some(refresh) => request.refresh_token = refresh.to_owned(),
            None => {
                request.id.clone_from(&self.id);
                request.secret.clone_from(&self.secret);
            }
        }
        let channel = client.core("auth").anonymous();
        let asked = Instant::now();
        let mut auth = AuthClient::new(channel);
        let token = auth
            .token(super::unary(tonic::Request::new(request)))
            .await
            .map_err(|status| {
                let error = Error::from(status);
                let detail = format!("cannot log in as {}: {}", self.id, error.detail);
                Error { detail, ..error }
            })?
            .into_inner()
            .token
            .ok_or_else(|| Error::bad_gateway(CLIENT_ID, "auth answered without a token"))?;
        // By its own clock: ours may be off.
        let life = u64::try_from(token.expiry - token.created).map_or(LIFE, Duration::from_secs);
        Ok(Held {
            header: bearer(&token.access_token)?,
            refresh: token.refresh_token,
            born: asked,
            renew_at: asked + life.saturating_sub(RENEW_BEFORE.min(life / 4)),
            dies_at: asked + life,
        })
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        Error::bad_request(CLIENT_ID, "the token contains characters no header can")
    })?;
    header.set_sensitive(true);
    Ok(header)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Token(_) => f.write_str("Token([secret])"),
            Self::Account(account) => write!(f, "Account({}, [secret])", account.id),
        }
    }
}
