//! Modules of a plugin of which two instances cannot be open at once: calls wait while the old one
//! is closed and the new one opened, or the old one again if that fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use micro_plugin_api::{Call, Error, registry::Filter, registry::Service};
use micro_profile::{Module, Profile};
use tokio::time::{Instant, sleep};

use super::{
    SwapError,
    any_slot::{AnySlot, TakenOut},
    refusal::{strange_blobs, strange_events, unlike},
    swap::{HOLD, Place, idle},
};
use crate::{
    Modules,
    identity::{self, Holds, Proof},
    instances::{Key, Opened, Opener},
};

/// For how long the old one is opened again and again before its modules are given up.
const GIVE_UP: Duration = Duration::from_secs(120);
/// How long after each attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// What was written through the old instance, and is looked for through the new.
#[derive(Default)]
struct Proofs {
    store: Option<(Proof, String)>,
    blob: Option<(Proof, String)>,
    stream: Option<Proof>,
    services: Vec<Service>,
}

type Result<T = ()> = std::result::Result<T, SwapError>;

impl Modules {
    /// The modules that must be replaced together with `module`, one of `changed`: those of the
    /// instance that it has, if the plugin stays, is exclusive, and leaves none of its modules
    /// where they are. To copy from one to the other takes both.
    pub(super) fn together(
        &self,
        module: Module,
        changed: &BTreeMap<Module, Option<Key>>,
        copy: bool,
    ) -> Option<BTreeSet<Module>> {
        let wanted = changed.get(&module)?.as_ref()?;
        let current = self.slots.any(module).key()?;
        let exclusive = self
            .instances
            .with(&current, |opened| opened.library.manifest().exclusive)?;
        let other = copy && current.settings != wanted.settings;
        if !exclusive || other || current.plugin != wanted.plugin {
            return None;
        }
        let of_it: BTreeSet<_> = Module::ALL
            .into_iter()
            .filter(|module| self.slots.any(*module).key().as_ref() == Some(&current))
            .collect();
        let all_leave = of_it
            .iter()
            .all(|module| changed.get(module).and_then(Option::as_ref) == Some(wanted));
        (all_leave && self.instances.with(wanted, |_| ()).is_none()).then_some(of_it)
    }

    /// Replaces these modules, all of one exclusive instance and nothing else of it.
    pub(super) async fn replace(
        &self,
        modules: &BTreeSet<Module>,
        profile: &Profile,
        opener: &Arc<Opener>,
    ) -> Result {
        let Some((&first, slot)) = modules
            .first()
            .and_then(|module| Some((module, profile.slots.get(module)?)))
        else {
            return Ok(());
        };
        let place = Place::of(profile, first);
        // What can be found out before anybody has to wait is.
        let library = opener.load(profile, first, slot).await?;
        let proofs = self.prove(modules, profile).await?;
        let slots: Vec<_> = modules.iter().map(|m| self.slots.any(*m)).collect();
        let mut held = Vec::new();
        for slot in &slots {
            let place = Place::of(profile, slot.module());
            held.push(slot.hold_all(HOLD).await.ok_or_else(|| busy(&place))?);
        }
        let services = self.services(modules, profile).await?;
        let proofs = Proofs { services, ..proofs };
        let Some(current) = self.slots.any(first).key() else {
            return Err(busy(&place));
        };
        let mut taken = Vec::new();
        for slot in &slots {
            match slot.take_out().await {
                Some(out) => taken.push((*slot, out)),
                None => {
                    let place = Place::of(profile, slot.module());
                    self.put_back(&taken, &current, profile).await;
                    return Err(busy(&place));
                }
            }
        }
        let Some(old) = self.instances.take(|key| *key == current).pop() else {
            return Err(busy(&place));
        };
        let (old_library, old_settings) = (old.library.clone(), old.key.settings.clone());
        old.close().await;
        let opened = opener.open(library, crate::instances::settings(slot)).await;
        let error = match opened {
            Ok(opened) => match self.check(&opened, &slots, profile, &proofs).await {
                Ok(()) => return self.fill(opened, &taken, profile).await,
                Err(error) => {
                    opened.close().await;
                    error
                }
            },
            Err(error) => crate::instances::failed(slot, first, error).into(),
        };
        let began = Instant::now();
        while began.elapsed() < GIVE_UP {
            match opener.open(old_library.clone(), old_settings.clone()).await {
                Ok(opened) => {
                    self.fill(opened, &taken, profile).await?;
                    return Err(error);
                }
                // One that opened too late holds on to what both need until it is closed.
                Err(again) => tracing::error!(
                    "cannot open the plugin again that served before, and go on trying: {again}"
                ),
            }
            sleep(PAUSE).await;
        }
        Err(error)
    }

    /// Puts modules back that were taken out of an instance which is open still.
    async fn put_back(&self, taken: &[(&dyn AnySlot, TakenOut)], current: &Key, profile: &Profile) {
        for opened in self.instances.take(|key| key == current) {
            if let Err(error) = self.fill(opened, taken, profile).await {
                tracing::error!("cannot go on with the plugin that served before: {error}");
            }
        }
    }

    async fn fill(
        &self,
        opened: Opened,
        taken: &[(&dyn AnySlot, TakenOut)],
        profile: &Profile,
    ) -> Result {
        for (slot, out) in taken {
            if let Some(place) = profile.slots.get(&slot.module()) {
                slot.put_in(&opened, place, *out).await?;
            }
        }
        self.instances.add(opened);
        Ok(())
    }

    async fn prove(&self, modules: &BTreeSet<Module>, profile: &Profile) -> Result<Proofs> {
        let mut proofs = Proofs::default();
        for module in modules {
            let place = Place::of(profile, *module);
            let ask = place.failed("find out whose data the plugin holds");
            match module {
                Module::Store => {
                    let store = self.slots.store.live().map_err(&ask)?;
                    let platform = identity::id_of(&store.handle).await.map_err(&ask)?;
                    let proof = Proof::in_store(&store.handle).await.map_err(&ask)?;
                    proofs.store = Some((proof, platform));
                }
                Module::Blob => {
                    let blob = self.slots.blob.live().map_err(&ask)?;
                    let store = self.slots.store.live().map_err(&ask)?;
                    let platform = identity::id_of(&store.handle).await.map_err(&ask)?;
                    let proof = Proof::in_blob(&blob.handle).await.map_err(&ask)?;
                    proofs.blob = Some((proof, platform));
                }
                Module::Stream => {
                    let stream = self.slots.stream.live().map_err(&ask)?;
                    let pending = &self.slots.pending;
                    let proof = Proof::in_stream(&stream.handle, pending).await;
                    proofs.stream = Some(proof.map_err(&ask)?);
                }
                Module::Runtime => {
                    let runtime = self.slots.runtime.live().map_err(&ask)?;
                    idle(&place, &runtime.handle).await?;
                }
                Module::Broker | Module::Registry => {}
            }
        }
        Ok(proofs)
    }

    /// What the registry holds, if it is among the modules.
    async fn services(
        &self,
        modules: &BTreeSet<Module>,
        profile: &Profile,
    ) -> Result<Vec<Service>> {
        if !modules.contains(&Module::Registry) {
            return Ok(Vec::new());
        }
        let place = Place::of(profile, Module::Registry);
        let ask = place.failed("read the registry");
        let registry = self.slots.registry.live().map_err(&ask)?;
        let call = Call::new("").with_timeout(HOLD);
        registry
            .handle
            .list(&call, &Filter::default())
            .await
            .map_err(ask)
    }

    /// Whether the new instance may take the place of the old one.
    async fn check(
        &self,
        opened: &Opened,
        slots: &[&dyn AnySlot],
        profile: &Profile,
        proofs: &Proofs,
    ) -> Result {
        let plugin = &opened.key.plugin;
        for slot in slots {
            let module = slot.module();
            let place = Place::of(profile, module);
            let Some(of) = profile.slots.get(&module) else {
                continue;
            };
            if let Some(reason) = slot.unwell(opened, of).await? {
                return Err(place.unwell(plugin, reason));
            }
            let ask = place.failed("find out whose data the plugin holds");
            match module {
                Module::Store => {
                    if let Some((proof, platform)) = &proofs.store {
                        let store = opened.view(of)?;
                        let holds = proof.look_in_store(&store, platform).await;
                        match holds.map_err(ask)? {
                            Holds::Ours => {}
                            holds => return Err(place.refused(unlike(plugin, &holds, 1))),
                        }
                    }
                }
                Module::Blob => {
                    if let Some((proof, platform)) = &proofs.blob {
                        let blob = opened.view(of)?;
                        if !proof.is_in_blob(&blob).await.map_err(&ask)? {
                            let holds = identity::blobs_of(&blob, platform).await.map_err(&ask)?;
                            // What has one owner has one server.
                            return Err(place.refused(strange_blobs(&holds, 1)));
                        }
                    }
                }
                Module::Stream => {
                    if let Some(proof) = &proofs.stream
                        && !proof.is_in_stream(&opened.view(of)?).await.map_err(ask)?
                    {
                        return Err(place.refused(strange_events()));
                    }
                }
                Module::Registry => {
                    let registry = opened.view(of)?;
                    let services = proofs.services.clone();
                    let replayed = self.slots.leases.replay(services, &registry).await;
                    replayed.map_err(ask)?;
                }
                Module::Broker | Module::Runtime => {}
            }
        }
        Ok(())
    }
}

fn busy(place: &Place) -> SwapError {
    place.failed("hold the calls of the module")(Error::deadline(format!(
        "some that are under way, or something that is still read, took longer than {} s; try \
         again with `micro profile reload`",
        HOLD.as_secs()
    )))
}
