//! The connection to the proxy of an environment, made once and on first use.

use micro::Client;
use micro_wire::{Error as WireError, error::CLIENT_ID};
use tokio::sync::OnceCell;

use crate::{
    error::{CliError, Result},
    state::Place,
};

/// Why a call has no answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Nobody answers at this address.
    Connect(String),
    /// The server or the service answered with an error.
    Answer(WireError),
}

impl Failure {
    /// The code of an answered error.
    pub(crate) fn code(&self) -> Option<i32> {
        match self {
            Self::Connect(_) => None,
            Self::Answer(error) => Some(error.code),
        }
    }
}

impl Failure {
    /// Whether what was asked for is not there; a service that is not there is another matter.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Answer(error)
            if error.code == 404
                && !error.detail.contains("route not found")
                && !error.detail.starts_with("unknown service "))
    }

    /// With `what` before the server's words, and this exit code; but what every command says alike (nobody is
    /// there, not allowed, no such service, too late) stays as it is.
    pub(crate) fn told(self, what: &str, code: u8) -> CliError {
        let plain = CliError::from(self);
        match plain.code {
            127 | 128 => CliError::new(code, format!("{what}: {}", plain.message)),
            _ => plain,
        }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::Answer(error)
    }
}

/// A client that connects before its first call, so that who is not there is told from what fails later.
pub(super) struct Connection {
    client: Client,
    connected: OnceCell<()>,
}

impl Connection {
    /// To the proxy of this environment.
    ///
    /// # Errors
    /// It has no address, or one that cannot be used.
    pub(super) fn to(place: &Place) -> Result<Self> {
        let (name, address) = (&place.name, &place.address);
        if address.is_empty() {
            return Err(
                CliError::plain(format!("Environment {name} has no address"))
                    .hint(format!("give it one: micro env add {name} HOST:PORT")),
            );
        }
        if address.ends_with(":443") || !address.contains(':') {
            return Err(CliError::plain(format!(
                "Environment {name} is at {address}, which is reached over TLS, and that is not built yet"
            ))
            .hint("name the port of a proxy without TLS: micro env add NAME HOST:PORT"));
        }
        let client = Client::builder().address(address).build().map_err(|_| {
            CliError::plain(format!(
                "Environment {name} has an address that is none: {address}"
            ))
            .hint("an address is HOST:PORT, such as 127.0.0.1:8081")
        })?;
        Ok(Self {
            client,
            connected: OnceCell::new(),
        })
    }

    /// The client, connected. Calls that come at once share the one connection.
    pub(super) async fn client(&self) -> std::result::Result<&Client, Failure> {
        let connect = || async {
            self.client.connect().await.map_err(|error| {
                let nobody = error.code == 503 && error.id == CLIENT_ID;
                if nobody {
                    Failure::Connect(self.client.address().to_owned())
                } else {
                    Failure::Answer(error)
                }
            })
        };
        self.connected.get_or_try_init(connect).await?;
        Ok(&self.client)
    }
}
