//! A profile that is followed: applied to the modules again when its files change, or when somebody
//! says so.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use micro_plugin_api::BoxFuture;
use micro_profile::{Profile, ProfileError, Search, Watch};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Module, Modules, OpenError, Places, ReloadOptions, Swapped, blocking,
    instances::{Key, Opener},
    unix_millis,
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
}

/// What is known of the profile that is followed.
struct State {
    profile: Profile,
    wanted: Wanted,
    modules: BTreeMap<Module, Mark>,
    error: Option<String>,
    reloaded: Option<u64>,
}

/// What is known of a module.
#[derive(Default)]
struct Mark {
    /// Since when it is served by what serves it: milliseconds since the Unix epoch.
    since: u64,
    /// Why it is not served by what the profile names.
    error: Option<String>,
}

/// What a profile asks for: another one is a change.
#[derive(PartialEq, Eq)]
enum Wanted {
    Unreadable(String),
    Modules(BTreeMap<Module, Result<Key, String>>),
}

/// What serves a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleStatus {
    /// The module.
    pub module: Module,
    /// The plugin that serves it; `none` if none does.
    pub plugin: String,
    /// The version of the plugin; empty if it is not known.
    pub version: String,
    /// The SHA-256 of its library, in lower-case hexadecimal; empty if it is not known.
    pub sha256: String,
    /// Since when: milliseconds since the Unix epoch.
    pub since: u64,
    /// Why it is not what the profile says, if it is not.
    pub error: Option<String>,
}

/// What became of the profile that a server runs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileStatus {
    /// Its name or path.
    pub profile: String,
    /// The manifests that it is made of, as they were read last.
    pub files: Vec<String>,
    /// What serves each module.
    pub modules: Vec<ModuleStatus>,
    /// Why the profile cannot be read as it is now, if it cannot.
    pub error: Option<String>,
    /// When it was applied last while the server ran: milliseconds since the Unix epoch.
    pub reloaded: Option<u64>,
}

impl ProfileStatus {
    /// Why what serves is not what the profile says: a sentence for each thing, most of them with
    /// file and line. What concerns several modules, which are of one instance, is said once.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        let modules = self.modules.iter().map(|module| &module.error);
        let mut all = Vec::new();
        for problem in std::iter::once(&self.error).chain(modules).flatten() {
            if !all.contains(&problem.as_str()) {
                all.push(problem);
            }
        }
        all.into_iter()
    }
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
        let now = unix_millis();
        let mark = |module| {
            let mark = Mark {
                since: now,
                error: None,
            };
            (module, mark)
        };
        let slots = profile.slots.iter();
        let known = slots.map(|(module, slot)| (*module, opener.key(&profile, *module, slot)));
        let known = known.collect();
        let state = State {
            wanted: wanted(known),
            modules: Module::ALL.map(mark).into(),
            error: None,
            reloaded: None,
            profile,
        };
        Arc::new(Self {
            name: state.profile.name.clone(),
            modules,
            opener,
            search,
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
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
            ModuleStatus {
                module,
                plugin: slot.plugin(),
                version: version.unwrap_or_default(),
                sha256: key.map(|key| key.sha256).unwrap_or_default(),
                since: mark.map_or(0, |mark| mark.since),
                error: mark.and_then(|mark| mark.error.clone()),
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

    /// Reads the profile again and applies it. Whoever asks while somebody else does waits.
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
            self.note(&profile);
            let profile = profile?;
            let wanted = wanted(self.opener.keys(&profile).await);
            Ok(self.apply(profile, wanted, options).await)
        })
    }

    /// Notes what is wrong with the profile that was read.
    fn note(&self, read: &Result<Profile, ProfileError>) {
        let mut state = self.lock();
        state.error = read.as_ref().err().map(ToString::to_string);
        if let Some(error) = &state.error {
            tracing::error!("the profile cannot be read, and what serves serves on: {error}");
            state.wanted = Wanted::Unreadable(error.clone());
        }
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
        self.lock().wanted = wanted;
        let outcome = self.modules.apply(&profile, &self.opener, options).await;
        let mut state = self.lock();
        let now = unix_millis();
        state.profile = profile;
        state.reloaded = Some(now);
        for mark in state.modules.values_mut() {
            mark.error = None;
        }
        for Swapped {
            module,
            from,
            to,
            error,
        } in &outcome
        {
            let mark = state.modules.entry(*module).or_default();
            mark.error = error.as_ref().map(ToString::to_string);
            match error {
                None => {
                    mark.since = now;
                    tracing::info!(module = module.as_str(), from, to, "module was swapped");
                }
                Some(error) => tracing::error!(
                    module = module.as_str(),
                    from,
                    to,
                    "module was not swapped, and serves on as it was: {error}"
                ),
            }
        }
        outcome
    }

    /// Applies the profile whenever it changes: one of its files, one that would be found in its
    /// place, or the library of a plugin that it names. Until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let changed = Arc::new(Notify::new());
        let mut watch = match Watch::new({
            let changed = changed.clone();
            move || changed.notify_one()
        }) {
            Ok(watch) => watch,
            Err(error) => {
                tracing::warn!("{error}; `micro profile reload` applies a change");
                return;
            }
        };
        loop {
            let paths = {
                let state = self.lock();
                let found = self.search.folders().iter().chain(&state.profile.paths);
                let plugins = self.opener.watched(&state.profile);
                found.cloned().chain(plugins).collect::<Vec<_>>()
            };
            if let Err(error) = watch.set(paths) {
                tracing::warn!("{error}; `micro profile reload` applies a change");
            }
            // What changed before it was watched.
            self.reload_if_changed().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = changed.notified() => settle(&changed).await,
            }
        }
    }

    async fn reload_if_changed(&self) {
        let _turn = self.turn.lock().await;
        let profile = self.load().await;
        let now = match &profile {
            Ok(profile) => wanted(self.opener.keys(profile).await),
            Err(error) => Wanted::Unreadable(error.to_string()),
        };
        if self.lock().wanted == now {
            return;
        }
        self.note(&profile);
        let Ok(profile) = profile else {
            return;
        };
        let options = ReloadOptions {
            copy: false,
            progress: &|_| {},
        };
        self.apply(profile, now, &options).await;
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

fn wanted(keys: BTreeMap<Module, Result<Key, OpenError>>) -> Wanted {
    let keys = keys.into_iter();
    Wanted::Modules(
        keys.map(|(module, key)| (module, key.map_err(|error| error.to_string())))
            .collect(),
    )
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader")
            .field("profile", &self.name)
            .finish_non_exhaustive()
    }
}
