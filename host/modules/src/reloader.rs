//! A profile that is followed: applied to the modules again when its files change, or when somebody
//! says so.

mod state;
mod status;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use micro_plugin_api::BoxFuture;
use micro_profile::{Profile, ProfileError, Search, Watch};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use self::state::{State, Wanted};
pub use self::status::{ModuleStatus, ProfileStatus};
use crate::{
    Module, Modules, Places, ReloadOptions, Swapped, blocking,
    instances::{Key, Opener},
};

/// For how long nothing more has to change for a change to count as complete.
const QUIET: Duration = Duration::from_millis(300);
/// How long that may take.
const MOST_QUIET: Duration = Duration::from_secs(3);

/// Follows a profile.
pub struct Reloader {
    modules: Arc<Modules>,
    opener: Arc<Opener>,
    search: Search,
    name: String,
    state: Mutex<State>,
    /// Held while a profile is applied.
    turn: tokio::sync::Mutex<()>,
    /// Told when somebody has asked for a change.
    asked: Notify,
}

impl Reloader {
    /// Follows `profile`, which `modules` were opened by, found by `name` in `search`.
    pub fn new(
        modules: Arc<Modules>,
        profile: Profile,
        search: Search,
        places: Places,
    ) -> Arc<Self> {
        // That which opened them knows the libraries already.
        let opener = modules.opener.clone();
        let opener = opener.unwrap_or_else(|| Arc::new(Opener::new(places)));
        let slots = profile.slots.iter();
        let known = slots.map(|(module, slot)| (*module, opener.key(&profile, *module, slot)));
        let wanted = Wanted::of(known.collect(), &profile.server);
        Arc::new(Self {
            name: profile.name.clone(),
            modules,
            opener,
            search,
            state: Mutex::new(State::new(profile, wanted)),
            turn: tokio::sync::Mutex::default(),
            asked: Notify::new(),
        })
    }

    /// What serves, and what does not and why.
    pub fn status(&self) -> ProfileStatus {
        let state = self.lock();
        let modules = Module::ALL.map(|module| {
            let slot = self.modules.slots.any(module);
            let key = slot.key();
            let version = key.as_ref().and_then(|key| {
                let of =
                    |opened: &crate::instances::Opened| opened.library.manifest().version.clone();
                self.modules.instances.with(key, of)
            });
            let mark = state.modules.get(&module);
            let under_way = state.under_way.as_ref();
            let under_way = under_way.and_then(|it| it.of(module, key.as_ref()));
            ModuleStatus {
                module,
                plugin: slot.plugin(),
                version: version.unwrap_or_default(),
                sha256: key.map(|key| key.sha256).unwrap_or_default(),
                since: mark.map_or(0, |mark| mark.since),
                error: under_way.or_else(|| mark.and_then(|mark| mark.error.clone())),
            }
        });
        ProfileStatus {
            profile: self.name.clone(),
            files: state
                .profile
                .files
                .iter()
                .map(ToString::to_string)
                .collect(),
            modules: modules.into(),
            error: state.error.clone(),
            reloaded: state.reloaded,
        }
    }

    /// Reads the profile again and applies it. Whoever asks while somebody else does waits. Tells
    /// also what came of the same profile when a change was noticed, if nobody was told of it yet.
    ///
    /// # Errors
    /// The profile cannot be read: nothing has changed.
    pub fn reload<'a>(
        &'a self,
        options: &'a ReloadOptions<'a>,
    ) -> BoxFuture<'a, Result<Vec<Swapped>, ProfileError>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            let profile = self.load().await;
            self.lock().read(profile.as_ref().err());
            let profile = profile?;
            let wanted = Wanted::of(self.opener.keys(&profile).await, &profile.server);
            let outcome = self.apply(profile, wanted, options).await;
            let outcome = self.lock().tell(outcome);
            self.asked.notify_one();
            Ok(outcome)
        })
    }

    /// The profile as it is now. Files are read where it may take its time.
    async fn load(&self) -> Result<Profile, ProfileError> {
        let (name, search) = (self.name.clone(), self.search.clone());
        blocking::off(move || micro_profile::load(&name, &search)).await
    }

    async fn apply(
        &self,
        profile: Profile,
        wanted: Wanted,
        options: &ReloadOptions<'_>,
    ) -> Vec<Swapped> {
        let changed = self.changed(&wanted);
        self.lock().begin(wanted, changed);
        let options = ReloadOptions {
            progress: &|progress| {
                self.lock().copied(&progress);
                (options.progress)(progress);
            },
            ..*options
        };
        let outcome = self.modules.apply(&profile, &self.opener, &options).await;
        self.lock().end(profile, &outcome);
        outcome
    }

    /// The modules that are to be served by something else.
    fn changed(&self, wanted: &Wanted) -> BTreeMap<Module, Key> {
        let Wanted::Modules(keys, ..) = wanted else {
            return BTreeMap::new();
        };
        keys.iter()
            .filter_map(|(module, key)| Some((*module, key.as_ref().ok()?.clone())))
            .filter(|(module, key)| self.modules.slots.any(*module).key().as_ref() != Some(key))
            .collect()
    }

    /// Applies the profile whenever it changes: one of its files, one that would be found in its
    /// place, or the library of a plugin that it names. What did not come off, and may later, is
    /// tried again, after longer and longer. Until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let changed = Arc::new(Notify::new());
        let warn = |error: &dyn std::fmt::Display| {
            tracing::warn!("{error}; `micro profile reload` applies a change");
        };
        let notice = {
            let changed = changed.clone();
            move || changed.notify_one()
        };
        let mut watch = match Watch::new(notice) {
            Ok(watch) => Some(watch),
            Err(error) => {
                warn(&error);
                None
            }
        };
        loop {
            let paths = {
                let state = self.lock();
                let found = self.search.folders().iter().chain(&state.profile.paths);
                let plugins = self.opener.watched(&state.profile);
                found.cloned().chain(plugins).collect::<Vec<_>>()
            };
            if let Some(Err(error)) = watch.as_mut().map(|watch| watch.set(paths)) {
                warn(&error);
            }
            // What changed before it was watched.
            self.reload_if_changed().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.is_due() => {}
                () = changed.notified() => settle(&changed).await,
            }
        }
    }

    /// Waits until what did not come off is to be tried again.
    async fn is_due(&self) {
        loop {
            let at = self.lock().again.as_ref().map(|again| again.at);
            let due = async {
                match at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                // Whoever asks for a change changes when the next is due.
                () = self.asked.notified() => {}
            }
        }
    }

    async fn reload_if_changed(&self) {
        let _turn = self.turn.lock().await;
        let profile = self.load().await;
        let now = match &profile {
            Ok(profile) => Wanted::of(self.opener.keys(profile).await, &profile.server),
            Err(error) => Wanted::Unreadable(error.to_string()),
        };
        {
            let mut state = self.lock();
            if state.wanted == now && !state.is_due() {
                return;
            }
            state.read(profile.as_ref().err());
        }
        let Ok(profile) = profile else {
            return;
        };
        let options = ReloadOptions {
            copy: false,
            progress: &|_| {},
        };
        let outcome = self.apply(profile, now, &options).await;
        self.lock().keep(&outcome);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until nothing changes any more.
async fn settle(changed: &Notify) {
    let began = Instant::now();
    while began.elapsed() < MOST_QUIET && timeout(QUIET, changed.notified()).await.is_ok() {}
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader")
            .field("profile", &self.name)
            .finish_non_exhaustive()
    }
}
