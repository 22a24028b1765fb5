//! What a test does with a server, whichever it is.

use tokio::sync::OnceCell;

use crate::{
    Certificates, Error,
    server::{Ready, Server},
    shared,
};

/// How often other ports are tried when one is taken before the server binds it.
const ATTEMPTS: usize = 5;

/// A server that a test uses: the run's, or its own. Dropping its own ends it.
#[derive(Debug)]
pub struct Backend<R> {
    pub(crate) address: String,
    pub(crate) certificates: Option<Certificates>,
    own: Option<(Server, R)>,
}

impl<R: Ready> Backend<R> {
    /// One of the test's own, which serves.
    pub(crate) fn own(
        address: String,
        certificates: Option<Certificates>,
        server: Server,
        ready: R,
    ) -> Self {
        Self {
            address,
            certificates,
            own: Some((server, ready)),
        }
    }

    /// The run's, whose address a variable tells, or else what `start` makes, once a process.
    pub(crate) async fn once(
        cell: &'static OnceCell<Self>,
        variable: &str,
        start: impl Future<Output = Result<Self, Error>>,
    ) -> &'static Self {
        cell.get_or_init(|| async {
            match shared::address(variable) {
                Some(address) => Self {
                    address,
                    certificates: None,
                    own: None,
                },
                None => expect(start.await),
            }
        })
        .await
    }

    /// What a client needs for TLS, if the server speaks that.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Stops it where it is: its system accepts connections, and nothing is answered.
    ///
    /// # Panics
    /// If it is not the test's own.
    pub fn pause(&mut self) {
        expect(self.server().pause());
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// If it is not the test's own.
    pub fn resume(&mut self) {
        expect(self.server().resume());
    }

    /// Kills it, as a crash would.
    ///
    /// # Panics
    /// If it is not the test's own.
    pub fn kill(&mut self) {
        expect(self.server().kill());
    }

    /// Kills it unless it is dead, starts it again on the same port and data, and waits until it
    /// serves.
    ///
    /// # Panics
    /// If it does not come back, or is not the test's own.
    pub async fn restart(&mut self) {
        let (server, ready) = self.own.as_mut().expect(NOT_OWN);
        expect(server.restart(ready).await);
    }

    /// How one of the test's own is asked; `None` of the run's.
    pub(crate) fn ready(&self) -> Option<&R> {
        self.own.as_ref().map(|(_, ready)| ready)
    }

    fn server(&mut self) -> &mut Server {
        &mut self.own.as_mut().expect(NOT_OWN).0
    }
}

const NOT_OWN: &str = "others use this server, too: a test stops one of its own";

/// How a builder that can `launch` starts its server.
macro_rules! starts {
    ($builder:ty => $backend:ty) => {
        impl $builder {
            /// Starts it, and waits until it serves.
            ///
            /// # Panics
            /// If it cannot be started, saying why and what to install.
            pub async fn start(self) -> $backend {
                $crate::backend::expect(self.try_start().await)
            }

            /// Starts it, and waits until it serves.
            ///
            /// # Errors
            /// If it cannot be started, why and what to install.
            pub async fn try_start(self) -> Result<$backend, $crate::Error> {
                $crate::backend::launched(|| self.launch()).await
            }
        }
    };
}
pub(crate) use starts;

/// Launches until no port was taken in the meantime.
pub(crate) async fn launched<T, F>(mut launch: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut attempt = 1;
    loop {
        // Boxed: a launch is a large future, and every caller would have it in its own.
        match Box::pin(launch()).await {
            Err(error) if Server::clashed(&error) && attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

/// What has to be there.
///
/// # Panics
/// If it is not, saying why.
pub(crate) fn expect<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
