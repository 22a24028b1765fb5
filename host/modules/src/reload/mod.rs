//! A changed profile is applied to the live modules, one after the other: open new → health → swap →
//! drain old → shutdown. What fails leaves the old one in its place.

mod any_slot;
mod copy;
mod error;
mod exclusive;
mod progress;
mod refusal;
mod retire;
mod swap;

pub(crate) use any_slot::AnySlot;
pub use error::SwapError;
pub use progress::Progress;
pub(crate) use retire::Retiring;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use micro_profile::{Module, Profile};

use crate::{Modules, instances::Opener, open};

/// How a changed profile is applied.
pub struct ReloadOptions<'a> {
    /// Whether a store or blob store that does not hold the platform's records or blobs gets them.
    pub copy: bool,
    /// Is told how far a copy is.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl std::fmt::Debug for ReloadOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReloadOptions")
            .field("copy", &self.copy)
            .finish_non_exhaustive()
    }
}

/// What became of a module whose plugin is another one in the profile.
#[derive(Debug)]
pub struct Swapped {
    /// The module.
    pub module: Module,
    /// The plugin that filled it.
    pub from: String,
    /// The plugin that the profile names.
    pub to: String,
    /// Why the old one still serves, if it does.
    pub error: Option<SwapError>,
    /// Whether that may pass by itself, and it costs nobody anything to try again.
    pub may_pass: bool,
}

impl Swapped {
    /// Why the old one still serves, if it does, and what becomes of that.
    pub fn problem(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        Some(match self.may_pass {
            true => format!("{error}; it is tried again by itself"),
            false => error.to_string(),
        })
    }
}

impl Modules {
    /// Applies a profile to the modules: each whose plugin, settings or build of its library has
    /// changed is replaced. No call fails because of it; some wait for a moment. What is replaced
    /// is drained and closed in the background.
    ///
    /// Tells what became of each module that has changed. To be called by one at a time.
    pub(crate) async fn apply(
        &self,
        profile: &Profile,
        opener: &Arc<Opener>,
        options: &ReloadOptions<'_>,
    ) -> Vec<Swapped> {
        let mut outcome = Vec::new();
        let mut keys = opener.keys(profile).await;
        let mut changed = BTreeMap::new();
        for module in Module::ALL {
            let current = self.slots.any(module).key();
            let wanted = match keys.remove(&module) {
                Some(key) => key.map(Some),
                None if matches!(module, Module::Stream | Module::Broker) => Ok(None),
                None => Err(open::missing(profile, module)),
            };
            match wanted {
                Ok(wanted) if wanted == current => {}
                Ok(wanted) => {
                    changed.insert(module, wanted);
                }
                Err(error) => outcome.push(Swapped {
                    module,
                    from: self.slots.any(module).plugin(),
                    to: plugin_in(profile, module),
                    error: Some(error.into()),
                    may_pass: false,
                }),
            }
        }
        // Those first that go together: what makes room for others.
        let next = |changed: &BTreeMap<_, _>| {
            let mut modules = changed.keys().copied();
            let together = modules.find_map(|module| {
                let together = self.together(module, changed, options.copy)?;
                Some((module, Some(together)))
            });
            together.or_else(|| Some((*changed.keys().next()?, None)))
        };
        while let Some((module, together)) = next(&changed) {
            let from = self.slots.any(module).plugin();
            let wanted = changed.get(&module).cloned().flatten();
            let (modules, result, is_free) = match together {
                Some(modules) => {
                    let result = self.replace(&modules, profile, opener).await;
                    // To try it, what serves is closed.
                    (modules, result, false)
                }
                None => {
                    let result = self
                        .swap(module, wanted.as_ref(), profile, opener, options)
                        .await;
                    // A copy is made when somebody asks for it.
                    let copies = options.copy && matches!(module, Module::Store | Module::Blob);
                    (BTreeSet::from([module]), result, !copies)
                }
            };
            let error = result.err();
            let may_pass = is_free && error.as_ref().is_some_and(SwapError::may_pass);
            for module in modules {
                changed.remove(&module);
                outcome.push(Swapped {
                    module,
                    from: from.clone(),
                    to: plugin_in(profile, module),
                    error: error.clone(),
                    may_pass,
                });
            }
            self.retire_unused();
        }
        opener.prune(&self.instances).await;
        outcome
    }
}

fn plugin_in(profile: &Profile, module: Module) -> String {
    let slot = profile.slots.get(&module);
    slot.map_or_else(|| "none".to_owned(), |slot| slot.plugin.clone())
}
