//! What stands behind the doors: modules, access, core services and routes. Booted in this order,
//! closed in reverse.

use std::{sync::Arc, time::Duration};

use micro_access::{Access, AccessConfig};
use micro_modules::{Modules, Reloader};
use micro_plugin_api::Code;
use micro_profile::Profile;
use micro_route::Routes;
use micro_services::{CoreServices, Manager};
use tokio::{runtime::Handle, sync::oneshot, task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Addresses, ServerConfig, ServerError,
    doors::{Behind, Doors, Sockets},
    drain::Draining,
    places,
    readiness::Parts,
    registration::Registration,
    state::State,
};

/// How long those who wait for the server wait for its records in the registry as well: one that is
/// down does not keep open doors secret.
const REGISTERED: Duration = Duration::from_secs(1);

/// A server without doors.
pub(crate) struct Platform {
    modules: Arc<Modules>,
    access: Access,
    core: CoreServices,
    manager: Manager,
    registration: Arc<Registration>,
    reloader: Arc<Reloader>,
}

impl Platform {
    /// Opens the modules of the profile and puts the core services on them. If that fails, what
    /// was opened is closed.
    pub(crate) async fn boot(
        config: &ServerConfig,
        profile: &Profile,
        state: &State,
        addresses: Addresses,
    ) -> Result<Self, ServerError> {
        let modules = Modules::open(profile, &places::plugins(config, state)).await?;
        let booted = Self::on(modules.clone(), config, profile, state, addresses).await;
        if booted.is_err() {
            modules.shutdown().await;
        }
        booted
    }

    async fn on(
        modules: Arc<Modules>,
        config: &ServerConfig,
        profile: &Profile,
        state: &State,
        addresses: Addresses,
    ) -> Result<Self, ServerError> {
        let mut unanswered = None;
        match modules.platform_id().await {
            Ok(id) => tracing::debug!(platform = id, "these are the records of this platform"),
            Err(error) if error.code() == Code::CONFLICT => {
                return Err(ServerError::UnfinishedCopy(error));
            }
            // It gets one when it is asked for.
            Err(error) => {
                tracing::warn!("cannot read the platform's id: {error}");
                let is_down = matches!(error.code(), Code::UNAVAILABLE | Code::DEADLINE);
                unanswered = is_down.then_some(error);
            }
        }
        let reloader = Reloader::new(
            modules.clone(),
            profile.clone(),
            places::profiles(config),
            places::plugins(config, state),
        );
        let config_key = places::config_key(config, profile).load()?;
        let access = AccessConfig {
            unanswered,
            ..places::access(config, profile, &config_key)
        };
        let access = Access::open(modules.clone(), access).await?;
        let manager = Manager::new(
            modules.clone(),
            access.clone(),
            places::runtime(config, profile, state, addresses.network_from_here()),
            Handle::current(),
        );
        let core = CoreServices::new(&micro_services::Platform {
            modules: modules.clone(),
            access: access.clone(),
            manager: manager.clone(),
            config_key,
            reloader: Some(reloader.clone()),
            background: Handle::current(),
        })?;
        let registration = Registration::new(
            modules.clone(),
            core.records(),
            &Uuid::now_v7().to_string(),
            addresses.network_from_here(),
        );
        Ok(Self {
            modules,
            access,
            core,
            manager,
            registration: Arc::new(registration),
            reloader,
        })
    }

    /// Opens the doors, and serves until `stop`; then drains and closes. `serving` is called when
    /// calls are answered, and what it returns is dropped as soon as none is accepted any more.
    pub(crate) async fn serve<T>(
        self,
        config: &ServerConfig,
        sockets: Sockets,
        stop: CancellationToken,
        serving: impl FnOnce() -> Result<T, ServerError>,
    ) -> Result<(), ServerError> {
        // The doors serve on while services end: they deregister through them.
        let drain = CancellationToken::new();
        let behind = Behind {
            access: self.access.clone(),
            routes: Routes::start({
                let modules = self.modules.clone();
                move || modules.registry()
            }),
            core: Arc::new(Draining::new(Arc::new(self.core.clone()), drain.clone())),
            readiness: Arc::new(Parts {
                modules: self.modules.clone(),
                core: self.core.clone(),
                registration: self.registration.clone(),
                reloader: self.reloader.clone(),
            }),
        };
        let served = match Doors::open(sockets, &behind, config, &drain) {
            Ok(doors) => self.watch(doors, &stop, &drain, serving).await,
            Err(error) => Err(error),
        };
        self.close().await;
        served
    }

    /// Everything that goes on while the doors are open.
    async fn watch<T>(
        &self,
        doors: Doors,
        stop: &CancellationToken,
        drain: &CancellationToken,
        serving: impl FnOnce() -> Result<T, ServerError>,
    ) -> Result<(), ServerError> {
        let (told, registered) = oneshot::channel();
        let renewal = tokio::spawn({
            let (registration, stop) = (self.registration.clone(), drain.clone());
            async move {
                registration.register().await;
                // Nobody waits for it any more if that took long.
                let _ = told.send(());
                registration.renew(stop).await;
            }
        });
        let restoring = tokio::spawn({
            let manager = self.manager.clone();
            async move { manager.restore().await }
        });
        let health = self.modules.watch_health();
        let following = tokio::spawn({
            let (reloader, stop) = (self.reloader.clone(), stop.clone());
            async move { reloader.follow(stop).await }
        });
        // Whoever is told where the doors are finds the core services, too.
        let _ = timeout(REGISTERED, registered).await;
        let mut served = serving();
        if served.is_ok() {
            tokio::select! {
                () = stop.cancelled() => {}
                error = self.modules.unfinished_copy() => {
                    served = Err(ServerError::UnfinishedCopy(error));
                }
            }
        }
        restoring.abort();
        // A swap that is under way ends first; nothing is swapped from here on.
        stop.cancel();
        if let Err(error) = following.await {
            tracing::error!("following the profile panicked: {error}");
        }
        self.manager.shutdown().await;
        // Nothing is accepted from here on; what is in flight goes on while others are told.
        drain.cancel();
        health.abort();
        let served = served.map(drop);
        // It ends by itself at `stop`, and must not register again behind our back.
        if let Err(error) = renewal.await {
            tracing::error!("the renewal of records panicked: {error}");
        }
        self.registration.deregister().await;
        if let Err(error) = spawn_blocking(move || doors.join()).await {
            tracing::error!("waiting for the doors: {error}");
        }
        served
    }

    /// Ends the services that it runs, then closes the modules, in reverse order.
    pub(crate) async fn close(self) {
        self.manager.shutdown().await;
        self.modules.shutdown().await;
    }
}
