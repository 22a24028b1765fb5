//! The one layer that every door asks: token, account, namespace, rules.

use std::{
    borrow::Cow,
    sync::{Arc, Weak},
    time::Duration,
};

use http::{HeaderMap, HeaderValue};
use micro_modules::Modules;
use micro_plugin_api::store::Version;
use micro_wire::{Error, clipped, metadata};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    Account, Accounts, Caller, KeyError, KeySource, NoSigningKey, RecordError, Rules, SessionError,
    Tokens,
    epoch::Epoch,
    header, namespace,
    records::Records,
    secrets::Hasher,
    sessions::Sessions,
    signing::Signing,
    way_back::{self, WayBack},
};

/// How often the store is asked whether accounts or rules have changed.
const POLL: Duration = Duration::from_millis(500);
/// After how many polls the memory for hashing is given back if nobody logged in meanwhile.
const TRIM: u32 = 20;
/// The type of everything that rules are asked about.
const SERVICE: &str = "service";

/// How access is set up.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// Where the key that signs tokens comes from.
    pub keys: KeySource,
    /// Whether namespace `micro` gets the account `admin` with the secret `micro` while it has no
    /// user. On unless told otherwise.
    pub default_admin: bool,
    /// What the store failed with just now, if it does not answer: nobody waits for it once more
    /// before the layer is there.
    pub unanswered: Option<micro_plugin_api::Error>,
}

impl From<KeySource> for AccessConfig {
    fn from(keys: KeySource) -> Self {
        Self {
            keys,
            default_admin: true,
            unanswered: None,
        }
    }
}

/// Why the layer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// There is no signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Accounts and rules cannot be read.
    #[error("cannot read accounts and rules from the store: {0}")]
    Records(#[from] RecordError),
}

/// Who is calling and may they. Clones share everything; usable on any number of runtimes.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    signing: Signing,
    accounts: Accounts,
    rules: Rules,
    sessions: Sessions,
    records: Records,
    hasher: Arc<Hasher>,
}

impl Access {
    /// The layer over the accounts and rules in the store of `modules`. A task on the current
    /// tokio runtime, which must outlive the doors, notices what other servers change.
    ///
    /// # Errors
    /// No signing key, or records in the store that make no sense. A store that does not answer is
    /// no error: what needs it fails until it does.
    pub async fn open(
        modules: Arc<Modules>,
        config: impl Into<AccessConfig>,
    ) -> Result<Self, AccessError> {
        let config = config.into();
        let records = Records::new(modules, Arc::new(Epoch::new()));
        let hasher = Arc::new(Hasher::new());
        // A store that is down comes back: until then logins and admin calls fail, the rest waits
        // for what it has to read.
        let known = || config.unanswered.clone().map(RecordError::Store);
        let version = async {
            match known() {
                Some(error) => Err(error),
                None => records.epoch_version().await,
            }
        };
        let signing = Signing::open(config.keys, &records, known());
        let (version, signing) = tokio::join!(version, signing);
        let version = match version {
            Err(error) if error.may_pass() => {
                tracing::warn!("accounts and rules cannot be read from the store yet: {error}");
                None
            }
            version => version?,
        };
        let inner = Arc::new(Inner {
            signing: signing?,
            accounts: Accounts::new(records.clone(), hasher.clone(), config.default_admin),
            rules: Rules::new(records.clone()),
            sessions: Sessions::new(records.clone()),
            records,
            hasher,
        });
        tokio::spawn(watch(Arc::downgrade(&inner), version));
        Ok(Self(inner))
    }

    /// Finds out who makes a call to `endpoint` (`Foo.Bar`) of `service` with these headers, and
    /// in which namespace, and whether the rules of that let them. The namespace is written back
    /// into the headers, so that whoever is called sees the same.
    ///
    /// An invalid or expired token counts as none. The namespace is that of the header
    /// `micro-namespace`, else the account's, else `micro`. Costs no look into the store while
    /// token and rules are known and nothing has changed.
    ///
    /// # Errors
    /// With `service` as id: 401 for an `authorization` header that is neither Bearer nor Basic,
    /// 400 for a namespace that cannot be one, 401 (anonymous) or 403 for a call that the rules
    /// deny, 503 when accounts, rules or the signing key have to be read and the store does not
    /// answer, 500 when they make no sense. Rules cannot lock out those who administer them: see
    /// [`Caller::denial`] and the module `way_back`.
    pub async fn admit(
        &self,
        headers: &mut HeaderMap,
        service: &str,
        endpoint: &str,
    ) -> Result<Caller, Error> {
        let failed = |error: RecordError| {
            let said = format!("Error authorizing request: {error}");
            if error.may_pass() {
                Error::service_unavailable(service, said)
            } else {
                Error::internal_server_error(service, said)
            }
        };
        let token =
            header::token(headers).map_err(|e| Error::unauthorized(service, e.to_string()))?;
        let account = match token {
            Some(token) => match self.inspect(&token).await {
                Ok(account) => Some(account),
                Err(SessionError::Invalid(_)) => None,
                Err(SessionError::Records(error)) => return Err(failed(error)),
                Err(SessionError::Key(error)) => {
                    return Err(Error::service_unavailable(service, error.to_string()));
                }
            },
            None => None,
        };
        let namespace = namespace_of(headers, account.as_deref())
            .filter(|name| namespace::is_valid(name))
            .ok_or_else(|| {
                Error::bad_request(service, "the header Micro-Namespace names no namespace")
            })?
            .into_owned();
        let rules = self.0.rules.of(&namespace).await.map_err(failed)?;
        let caller = account.as_deref();
        let mut denial = None;
        if !rules.allows(caller, SERVICE, service, endpoint, &namespace) {
            let refused = denied(service, endpoint, caller);
            match way_back::of(caller, service, endpoint, &namespace) {
                Some(WayBack::Open) => {}
                Some(WayBack::OnProof) => denial = Some(refused),
                None => return Err(refused),
            }
        }
        write_back(headers, &namespace);
        let caller = match account {
            Some(account) => Caller::new(account, namespace),
            None => Caller::anonymous(namespace),
        };
        let stale = self.0.records.epoch().is_stale();
        Ok(caller.with_stale(stale).with_denial(denial))
    }

    /// The account of a valid token.
    ///
    /// # Errors
    /// A token that was not made here, has expired, or whose account has been deleted or given
    /// another secret since; a store that fails when it has to be read; no signing key yet.
    pub async fn inspect(&self, token: &str) -> Result<Arc<Account>, SessionError> {
        let Inner {
            sessions,
            signing,
            accounts,
            ..
        } = &*self.0;
        sessions.account(token, signing, accounts).await
    }

    /// Makes and verifies tokens.
    ///
    /// # Errors
    /// The signing key is in the store, which has not answered so far.
    pub fn tokens(&self) -> Result<&Tokens, NoSigningKey> {
        self.0.signing.tokens()
    }

    /// The accounts of all namespaces.
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// The rules of all namespaces.
    pub fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// Why tokens can be neither made nor checked, if they cannot.
    pub fn key_problem(&self) -> Option<String> {
        let tokens = self.0.signing.tokens();
        tokens.err().map(|error| error.to_string())
    }

    /// Whether accounts and rules could not be read from the store for more than five seconds:
    /// admin calls are refused until they can.
    pub fn is_stale(&self) -> bool {
        self.0.records.epoch().is_stale()
    }
}

/// The namespace that a call is made in; `None` if the header is no text.
fn namespace_of<'a>(headers: &'a HeaderMap, account: Option<&'a Account>) -> Option<Cow<'a, str>> {
    let said = match headers.get(metadata::NAMESPACE) {
        Some(value) => std::str::from_utf8(value.as_bytes()).ok()?.trim(),
        None => "",
    };
    Some(Cow::Borrowed(match (said, account) {
        ("", Some(account)) => &account.issuer,
        ("", None) => namespace::DEFAULT,
        (said, _) => said,
    }))
}

fn write_back(headers: &mut HeaderMap, namespace: &str) {
    let mut all = headers.get_all(metadata::NAMESPACE).iter();
    let alone = all
        .next()
        .is_some_and(|first| first.as_bytes() == namespace.as_bytes())
        && all.next().is_none();
    if !alone && let Ok(value) = HeaderValue::from_str(namespace) {
        headers.insert(metadata::NAMESPACE, value);
    }
}

fn denied(service: &str, endpoint: &str, account: Option<&Account>) -> Error {
    let (service, endpoint) = (&*clipped(service), &*clipped(endpoint));
    match account {
        None => Error::unauthorized(
            service,
            format!("Unauthorized call made to {service}:{endpoint}"),
        ),
        Some(account) => Error::forbidden(
            service,
            format!(
                "Forbidden call made to {service}:{endpoint} by {}",
                account.id
            ),
        ),
    }
}

/// Asks the store again and again whether something has changed, as long as anybody is left who
/// would care.
async fn watch(inner: Weak<Inner>, mut seen: Option<Version>) {
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    for turn in 1_u32.. {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        inner.signing.retry(&inner.records).await;
        match inner.records.epoch_version().await {
            Ok(now) => {
                if now != seen {
                    seen = now;
                    inner.records.epoch().advance();
                }
                failing = false;
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(
                        "cannot ask the store whether accounts or rules changed: {error}"
                    );
                }
                failing = true;
            }
        }
        if turn.is_multiple_of(TRIM) {
            inner.hasher.trim_if_idle();
        }
    }
}
