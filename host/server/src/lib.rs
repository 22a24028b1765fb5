//! Boot, serve, drain: puts a server together from a resolved profile.
//!
//! [`run`] is a server's whole life, and reads as a list.

mod addresses;
mod config;
mod doors;
mod drain;
mod error;
mod limits;
mod listen;
mod log;
mod places;
mod platform;
mod readiness;
mod registration;
mod signals;
mod state;

pub use addresses::Addresses;
pub use config::{DEFAULT_GRACE, ServerConfig};
pub use error::ServerError;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{addresses::AddressesFile, doors::Sockets, platform::Platform, state::State};

/// How many threads work in the background; the doors have threads of their own.
const BACKGROUND_THREADS: usize = 2;

/// How long the background may take to end at last. What is still blocked then is a plugin's.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// Runs a server until SIGTERM, SIGINT, SIGQUIT or SIGHUP (a second one ends the process at once).
/// `announce` is told the real addresses as soon as calls are answered.
///
/// # Errors
/// The server did not start; what was opened by then has been closed.
pub fn run(config: &ServerConfig, announce: impl FnOnce(&Addresses)) -> Result<(), ServerError> {
    log::init(&config.log_level)?;
    let profile = micro_profile::load(&config.profile, &places::profiles(config))?;
    let sockets = Sockets::bind(config)?;
    let state = State::open(&config.state)?;
    limits::raise_open_files();

    let background = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(BACKGROUND_THREADS)
        .thread_name("background")
        .enable_all()
        .build()
        .map_err(|source| ServerError::Thread {
            name: "background".to_owned(),
            source,
        })?;
    let lived = background.block_on(async {
        let stop = CancellationToken::new();
        signals::watch(stop.clone()).map_err(ServerError::Signals)?;

        let addresses = sockets.addresses();
        let platform = Platform::boot(config, &profile, &state, addresses).await?;
        if stop.is_cancelled() {
            platform.close().await;
            return Ok(());
        }
        platform
            .serve(config, sockets, stop, || {
                let file = config.addresses_file.as_deref();
                let written = file
                    .map(|path| AddressesFile::write(path, &addresses))
                    .transpose()?;
                announce(&addresses);
                tracing::info!(profile = profile.name, "serving");
                Ok(written)
            })
            .await
    });
    background.shutdown_timeout(LAST_WAIT);
    lived
}
