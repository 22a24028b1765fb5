//! What is known of the profile that is followed.

use std::{collections::BTreeMap, time::Duration};

use micro_plugin_api::Backoff;
use micro_profile::{Keys, Profile, ProfileError, ServerSettings};
use tokio::time::Instant;

use crate::{Module, OpenError, Progress, Swapped, instances::Key, unix_millis};

/// How long after what did not come off it is tried again, at first and in the end.
const AGAIN: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// What is known of the profile that is followed.
pub(super) struct State {
    pub(super) profile: Profile,
    pub(super) wanted: Wanted,
    pub(super) modules: BTreeMap<Module, Mark>,
    pub(super) error: Option<String>,
    pub(super) reloaded: Option<u64>,
    /// What is being changed just now: the plugin of each module, and how far a copy is.
    pub(super) under_way: Option<UnderWay>,
    /// When what did not come off is tried again.
    pub(super) again: Option<Again>,
    /// The changes to what is wanted that nobody asked for, and whom nobody was told of: from which
    /// plugin, to which.
    untold: BTreeMap<Module, (String, String)>,
    /// What the server began with.
    server: ServerSettings,
}

/// What is known of a module.
#[derive(Default)]
pub(super) struct Mark {
    /// Since when it is served by what serves it: milliseconds since the Unix epoch.
    pub(super) since: u64,
    /// Why it is not served by what the profile names.
    pub(super) error: Option<String>,
    /// Which of its errors the log has.
    logged: Option<String>,
}

/// A change that is being made.
#[derive(Default)]
pub(super) struct UnderWay {
    pub(super) wanted: BTreeMap<Module, Key>,
    copied: BTreeMap<Module, String>,
}

/// A change that is tried again.
pub(super) struct Again {
    pub(super) at: Instant,
    waits: Backoff,
}

/// What a profile asks for: another one is a change.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    Unreadable(String),
    Modules(
        BTreeMap<Module, Result<Key, String>>,
        Keys,
        Option<Duration>,
    ),
}

impl Wanted {
    pub(super) fn of(
        keys: BTreeMap<Module, Result<Key, OpenError>>,
        server: &ServerSettings,
    ) -> Self {
        let keys = keys.into_iter();
        Self::Modules(
            keys.map(|(module, key)| (module, key.map_err(|error| error.to_string())))
                .collect(),
            server.keys,
            server.lease,
        )
    }
}

impl State {
    pub(super) fn new(profile: Profile, wanted: Wanted) -> Self {
        let now = unix_millis();
        let mark = |module| {
            let mark = Mark {
                since: now,
                ..Mark::default()
            };
            (module, mark)
        };
        Self {
            server: profile.server.clone(),
            profile,
            wanted,
            modules: Module::ALL.map(mark).into(),
            error: None,
            reloaded: None,
            under_way: None,
            again: None,
            untold: BTreeMap::new(),
        }
    }

    /// Notes that the profile was read, or why it cannot be. What was wrong with the one before is
    /// no matter then: it is no more.
    pub(super) fn read(&mut self, error: Option<&ProfileError>) {
        let error = error.map(ToString::to_string);
        if let Some(text) = &error {
            if self.error != error {
                tracing::error!("the profile cannot be read, and what serves serves on: {text}");
            }
            for mark in self.modules.values_mut() {
                mark.error = None;
                mark.logged = None;
            }
            self.wanted = Wanted::Unreadable(text.clone());
            self.again = None;
            self.untold.clear();
        }
        self.error = error;
    }

    /// Notes that what is wanted is being applied, for these modules.
    pub(super) fn begin(&mut self, wanted: Wanted, changed: BTreeMap<Module, Key>) {
        if self.wanted != wanted {
            self.wanted = wanted;
            self.again = None;
            self.untold.clear();
        }
        for module in changed.keys() {
            // Whether it holds still is being found out.
            if let Some(mark) = self.modules.get_mut(module) {
                mark.error = None;
            }
        }
        self.under_way = Some(UnderWay {
            wanted: changed,
            ..UnderWay::default()
        });
    }

    /// Notes how far a copy is.
    pub(super) fn copied(&mut self, progress: &Progress) {
        let (module, text) = match progress {
            Progress::Copied {
                module,
                name,
                items,
            } => (module, format!("{items} of {name} are copied so far")),
            Progress::Verified { module, name, .. } => (module, format!("{name} is verified")),
        };
        if let Some(under_way) = &mut self.under_way {
            under_way.copied.insert(*module, text);
        }
    }

    /// Notes what became of it.
    pub(super) fn end(&mut self, profile: Profile, outcome: &[Swapped]) {
        let now = unix_millis();
        self.error = self.waits_for_restart(&profile);
        self.profile = profile;
        self.reloaded = Some(now);
        self.under_way = None;
        for mark in self.modules.values_mut() {
            mark.error = None;
        }
        for swapped in outcome {
            self.modules
                .entry(swapped.module)
                .or_default()
                .note(swapped, now);
        }
        for mark in self.modules.values_mut() {
            mark.logged.clone_from(&mark.error);
        }
        let may_pass = outcome.iter().any(|swapped| swapped.may_pass);
        self.again = may_pass.then(|| {
            let mut waits = self.again.take().map_or(AGAIN, |again| again.waits);
            Again {
                at: Instant::now() + waits.next_wait(),
                waits,
            }
        });
    }

    /// What of a profile takes effect when the server begins anew.
    fn waits_for_restart(&self, profile: &Profile) -> Option<String> {
        let location = profile.server.location.as_ref();
        let place = location
            .map(|location| format!("{location}: "))
            .unwrap_or_default();
        (!profile.server.is_like(&self.server)).then(|| {
            format!(
                "{place}[server] is another one than this server began with, and takes effect when \
                 it is started again"
            )
        })
    }

    /// Whether what did not come off is to be tried again now.
    pub(super) fn is_due(&self) -> bool {
        let again = self.again.as_ref();
        again.is_some_and(|again| again.at <= Instant::now())
    }

    /// Keeps what was changed without being asked, for whoever asks next.
    pub(super) fn keep(&mut self, outcome: &[Swapped]) {
        for swapped in outcome.iter().filter(|swapped| swapped.error.is_none()) {
            let kept = self.untold.entry(swapped.module);
            let (_, to) = kept.or_insert_with(|| (swapped.from.clone(), String::new()));
            to.clone_from(&swapped.to);
        }
    }

    /// What was kept of the same profile, and is told now; and what has just become of it.
    pub(super) fn tell(&mut self, outcome: Vec<Swapped>) -> Vec<Swapped> {
        let mut all: BTreeMap<_, _> = std::mem::take(&mut self.untold)
            .into_iter()
            .map(|(module, (from, to))| {
                let swapped = Swapped {
                    module,
                    from,
                    to,
                    error: None,
                    may_pass: false,
                };
                (module, swapped)
            })
            .collect();
        for swapped in &outcome {
            all.remove(&swapped.module);
        }
        all.into_values().chain(outcome).collect()
    }
}

impl Mark {
    /// Notes what became of a change; the log is told of a mistake once.
    fn note(&mut self, swapped: &Swapped, now: u64) {
        let (module, from, to) = (swapped.module.as_str(), &swapped.from, &swapped.to);
        self.error = swapped.problem();
        match &self.error {
            None => {
                self.since = now;
                tracing::info!(module, from, to, "module was swapped");
            }
            Some(error) if self.logged.as_ref() != Some(error) => tracing::error!(
                module,
                from,
                to,
                "module was not swapped, and serves on as it was: {error}"
            ),
            Some(_) => {}
        }
    }
}

impl UnderWay {
    /// What is being done to a module, if its plugin is not the one that is wanted by now.
    pub(super) fn of(&self, module: Module, current: Option<&Key>) -> Option<String> {
        let wanted = self.wanted.get(&module);
        let wanted = wanted.filter(|wanted| current != Some(*wanted))?;
        let copied = self.copied.get(&module);
        let copied = copied.map(|copied| format!(": {copied}"));
        Some(format!(
            "{module}: the change to plugin {} is under way{}",
            wanted.plugin,
            copied.unwrap_or_default()
        ))
    }
}
