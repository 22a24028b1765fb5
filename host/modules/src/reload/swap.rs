//! One module is given another instance beside the one that it has.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use micro_plugin_api::{
    BlobHandle, BrokerHandle, Call, Code, Error, RegistryHandle, RuntimeHandle, StoreHandle,
    StreamHandle, registry::Filter,
};
use micro_profile::{Module, Profile, Slot as ProfileSlot};
use uuid::Uuid;

use super::{
    ReloadOptions, SwapError,
    any_slot::unwell,
    copy::{Blobs, Copy, Records},
    refusal::{strange_blobs, strange_events, unlike},
};
use crate::{
    Modules,
    identity::{self, Holds, Proof},
    instances::{Key, Opener},
    live::{Handle, Live},
    open,
    slot::{self, Slot},
};

/// How long writes that are under way may take to end before a swap gives up.
pub(super) const HOLD: Duration = Duration::from_secs(5);

/// The module that is being given another instance, as an error names it.
pub(super) struct Place {
    pub(super) module: Module,
    /// The line of the manifest.
    pub(super) line: String,
}

impl Place {
    pub(super) fn of(profile: &Profile, module: Module) -> Self {
        let line = match profile.slots.get(&module) {
            Some(slot) => slot.locate("plugin").to_string(),
            None => profile.name.clone(),
        };
        Self { module, line }
    }

    pub(super) fn refused(&self, reason: impl Into<String>) -> SwapError {
        SwapError::Refused {
            place: self.line.clone(),
            module: self.module,
            reason: reason.into(),
        }
    }

    /// The error of something that was tried.
    pub(super) fn failed(&self, action: &'static str) -> impl Fn(Error) -> SwapError {
        move |error| SwapError::Failed {
            place: self.line.clone(),
            module: self.module,
            action,
            reason: error.message().to_owned(),
            may_pass: matches!(error.code(), Code::UNAVAILABLE | Code::DEADLINE),
        }
    }

    pub(super) fn unwell(&self, plugin: &str, reason: String) -> SwapError {
        SwapError::Unwell {
            place: self.line.clone(),
            module: self.module,
            plugin: plugin.to_owned(),
            reason,
        }
    }

    fn busy(&self) -> SwapError {
        self.failed("hold the calls that change something")(Error::deadline(format!(
            "some that are under way took longer than {} s; try again with `micro profile reload`",
            HOLD.as_secs()
        )))
    }
}

type Result<T = ()> = std::result::Result<T, SwapError>;

impl Modules {
    /// Gives one module the instance that the profile wants for it (none, if it wants none).
    pub(super) async fn swap(
        &self,
        module: Module,
        wanted: Option<&Key>,
        profile: &Profile,
        opener: &Arc<Opener>,
        options: &ReloadOptions<'_>,
    ) -> Result {
        let place = Place::of(profile, module);
        let Some(key) = wanted else {
            return match module {
                Module::Broker => self.swap_broker(&place, open::no_broker(profile)).await,
                _ => self.swap_stream(&place, open::no_stream(profile)).await,
            };
        };
        let Some(slot) = profile.slots.get(&module) else {
            return Err(open::missing(profile, module).into());
        };
        if self.instances.with(key, |_| ()).is_none() {
            // Its folder may not be free before.
            self.retiring.wait_for_exclusive(&key.plugin).await;
            let opened = opener.load_and_open(profile, module, slot).await?;
            self.instances.add(opened);
        }
        match module {
            Module::Store => {
                let live = self.view(key, slot, &place).await?;
                self.swap_store(&place, live, options).await
            }
            Module::Blob => {
                let live = self.view(key, slot, &place).await?;
                self.swap_blob(&place, live, options).await
            }
            Module::Stream => {
                let live = self.view(key, slot, &place).await?;
                self.swap_stream(&place, live).await
            }
            Module::Broker => {
                let live = self.view(key, slot, &place).await?;
                self.swap_broker(&place, live).await
            }
            Module::Registry => {
                let live = self.view(key, slot, &place).await?;
                self.swap_registry(&place, live).await
            }
            Module::Runtime => {
                let live = self.view(key, slot, &place).await?;
                self.swap_runtime(&place, live).await
            }
        }
    }

    /// A module of an instance that is open, and well.
    async fn view<H: Handle>(
        &self,
        key: &Key,
        slot: &ProfileSlot,
        place: &Place,
    ) -> Result<Live<H>> {
        let viewed = self.instances.with(key, |opened| opened.view::<H>(slot));
        let handle = viewed.ok_or_else(|| {
            // The file was replaced between a look at it and its opening.
            place.failed("open the plugin")(Error::unavailable(
                "its library changes right now; try again with `micro profile reload`",
            ))
        })??;
        if let Some(reason) = unwell(handle.clone()).await {
            return Err(place.unwell(&key.plugin, reason));
        }
        Ok(Live::new(&key.plugin, Some(key.clone()), handle))
    }

    async fn swap_store(
        &self,
        place: &Place,
        mut new: Live<StoreHandle>,
        options: &ReloadOptions<'_>,
    ) -> Result {
        let slot = &self.slots.store;
        let old = slot.live().map_err(place.failed("read the store"))?;
        let ask = place.failed("find out whose records the stores hold");
        let call = Call::new("micro").with_timeout(HOLD);
        let trusted = self.slots.trust.verify(&call, &old.handle).await;
        trusted.map_err(&ask)?;
        let platform = identity::id_of(&old.handle).await.map_err(&ask)?;
        let held = identity::store_holds(&old.handle, &new.handle, &platform).await;
        let (holds, proof) = held.map_err(&ask)?;
        new.versions_from = old.versions_from;
        let copied = match holds {
            Holds::Ours => None,
            Holds::Nothing | Holds::OlderOurs | Holds::PartOfOurs if !options.copy => {
                let servers = self.servers(place).await.unwrap_or(1);
                return Err(place.refused(unlike(&new.plugin, &holds, servers)));
            }
            Holds::Another(_) | Holds::Something => {
                return Err(place.refused(unlike(&new.plugin, &holds, 1)));
            }
            Holds::Nothing | Holds::OlderOurs | Holds::PartOfOurs => {
                self.check_alone(place).await?;
                new.versions_from = old.versions_from ^ (Uuid::new_v4().as_u64_pair().0 | 1);
                self.slots.changed.begin();
                let copy = Copy::new(Records::new(&old.handle, &new.handle), options.progress);
                let begun = copy.begin(&platform, &self.slots.changed).await;
                if begun.is_err() {
                    self.slots.changed.end();
                }
                Some((copy, begun.map_err(place.failed("copy the records"))?))
            }
        };
        let held = slot
            .gate
            .hold_writes(HOLD)
            .await
            .ok_or_else(|| place.busy());
        let swapped = match (held, &copied) {
            (Err(error), _) => Err(error),
            (Ok(_held), None) => handover(slot, new, place).await,
            (Ok(_held), Some((copy, suspects))) => {
                let changed = self.slots.changed.take();
                match copy.finish(suspects, changed).await {
                    Ok(()) => handover(slot, new, place).await,
                    Err(error) => Err(place.failed("copy the last records")(error)),
                }
            }
        };
        if copied.is_some() {
            self.slots.changed.end();
        } else {
            proof.remove_from_store(&old);
        }
        self.leave(&old, swapped)
    }

    /// A copy takes what this server knows of: another one that writes into the old store at the
    /// same time would go on doing so.
    async fn check_alone(&self, place: &Place) -> Result {
        match self.servers(place).await? {
            0 | 1 => Ok(()),
            servers => Err(place.refused(format!(
                "{servers} servers use this store, and a copy would leave the others behind: stop \
                 all but this one, copy, and start them with the new profile"
            ))),
        }
    }

    /// How many servers use the store.
    async fn servers(&self, place: &Place) -> Result<usize> {
        let filter = Filter {
            domain: Some("micro".to_owned()),
            name: Some("store".to_owned()),
        };
        let call = Call::new("micro").with_timeout(HOLD);
        let listed = self.registry().list(&call, &filter).await;
        let listed = listed.map_err(place.failed("ask which servers there are"))?;
        let nodes: BTreeSet<_> = listed
            .iter()
            .flat_map(|service| service.nodes.iter().map(|node| &node.id))
            .collect();
        Ok(nodes.len())
    }

    async fn swap_blob(
        &self,
        place: &Place,
        new: Live<BlobHandle>,
        options: &ReloadOptions<'_>,
    ) -> Result {
        let slot = &self.slots.blob;
        let old = slot.live().map_err(place.failed("read the blobs"))?;
        let ask = place.failed("find out whose blobs the plugins hold");
        let same = identity::are_same_blobs(&old.handle, &new.handle).await;
        let swapped = if same.map_err(&ask)? {
            // Uploads that are under way end where they began: both have the same blobs.
            handover(slot, new, place).await
        } else {
            self.check_blobs(&new.handle, place, options).await?;
            self.slots.changed_blobs.begin();
            let swapped = self.copy_blobs(&old, new, place, options).await;
            self.slots.changed_blobs.end();
            swapped
        };
        self.leave(&old, swapped)
    }

    /// Fails unless blobs are to be copied into `new`, and can be.
    async fn check_blobs(
        &self,
        new: &BlobHandle,
        place: &Place,
        options: &ReloadOptions<'_>,
    ) -> Result {
        let ask = place.failed("find out whose blobs the plugins hold");
        let store = self.slots.store.live().map_err(&ask)?;
        let platform = identity::id_of(&store.handle).await.map_err(&ask)?;
        let holds = identity::blobs_of(new, &platform).await.map_err(&ask)?;
        match holds {
            Holds::Another(_) | Holds::Something => Err(place.refused(strange_blobs(&holds, 1))),
            _ if options.copy => self.check_alone(place).await,
            _ => {
                let servers = self.servers(place).await.unwrap_or(1);
                Err(place.refused(strange_blobs(&holds, servers)))
            }
        }
    }

    /// Copies the blobs into `new`, and puts it in the place of what is live.
    async fn copy_blobs(
        &self,
        old: &Live<BlobHandle>,
        new: Live<BlobHandle>,
        place: &Place,
        options: &ReloadOptions<'_>,
    ) -> Result {
        let slot = &self.slots.blob;
        let ask = place.failed("find out whose blobs the plugins hold");
        let store = self.slots.store.live().map_err(&ask)?;
        let platform = identity::id_of(&store.handle).await.map_err(&ask)?;
        let changed = &self.slots.changed_blobs;
        let copy = Copy::new(Blobs::new(&old.handle, &new.handle), options.progress);
        let suspects = copy.begin(&platform, changed).await;
        let suspects = suspects.map_err(place.failed("copy the blobs"))?;
        let held = slot.gate.hold_writes(HOLD).await;
        let _held = held.ok_or_else(|| place.busy())?;
        let finished = copy.finish(&suspects, changed.take()).await;
        finished.map_err(place.failed("copy the last blobs"))?;
        handover(slot, new, place).await
    }

    async fn swap_stream(&self, place: &Place, new: Live<StreamHandle>) -> Result {
        let slot = &self.slots.stream;
        let old = slot.live().map_err(place.failed("read the events"))?;
        let pending = &self.slots.pending;
        // A profile that had no stream has no events.
        if old.key.is_some() {
            let ask = place.failed("find out whose events the plugins hold");
            let proof = Proof::in_stream(&old.handle, pending).await.map_err(&ask)?;
            if !proof.is_in_stream(&new.handle).await.map_err(&ask)? {
                return Err(place.refused(strange_events()));
            }
        }
        let held = slot.gate.hold_writes(HOLD).await;
        let _held = held.ok_or_else(|| place.busy())?;
        let swapped = handover(slot, new, place).await;
        self.leave(&old, swapped)
    }

    async fn swap_broker(&self, place: &Place, new: Live<BrokerHandle>) -> Result {
        let slot = &self.slots.broker;
        let old = slot.live().map_err(place.failed("use the broker"))?;
        let held = slot.gate.hold_writes(HOLD).await;
        let _held = held.ok_or_else(|| place.busy())?;
        let swapped = handover(slot, new, place).await;
        self.leave(&old, swapped)
    }

    async fn swap_registry(&self, place: &Place, new: Live<RegistryHandle>) -> Result {
        let slot = &self.slots.registry;
        let old = slot.live().map_err(place.failed("read the registry"))?;
        let held = slot.gate.hold_writes(HOLD).await;
        let _held = held.ok_or_else(|| place.busy())?;
        let call = Call::new("").with_timeout(HOLD);
        let services = old.handle.list(&call, &Filter::default()).await;
        let services = services.map_err(place.failed("read the registry"))?;
        let replayed = self.slots.leases.replay(services, &new.handle).await;
        replayed.map_err(place.failed("register the services with the new plugin"))?;
        let swapped = handover(slot, new, place).await;
        self.leave(&old, swapped)
    }

    async fn swap_runtime(&self, place: &Place, new: Live<RuntimeHandle>) -> Result {
        let slot = &self.slots.runtime;
        let old = slot.live().map_err(place.failed("use the runtime"))?;
        let held = slot.gate.hold_writes(HOLD).await;
        let _held = held.ok_or_else(|| place.busy())?;
        idle(place, &old.handle).await?;
        let swapped = handover(slot, new, place).await;
        self.leave(&old, swapped)
    }

    /// Notes that a module has left what was live in it, if the swap came off.
    fn leave<H: Handle>(&self, old: &Arc<Live<H>>, swapped: Result) -> Result {
        if swapped.is_ok()
            && let Some(key) = &old.key
        {
            let weak = Arc::downgrade(old);
            self.instances.left(key, move || weak.strong_count() == 0);
        }
        swapped
    }
}

/// Fails while a runtime knows of services: only their own can end them.
pub(super) async fn idle(place: &Place, runtime: &RuntimeHandle) -> Result {
    let call = Call::new("").with_timeout(HOLD);
    let known = runtime.list(&call, None).await;
    let known = known.map_err(place.failed("ask what runs"))?;
    if known.is_empty() {
        return Ok(());
    }
    let services: Vec<_> = known.iter().map(|one| one.key.to_string()).collect();
    Err(place.refused(format!(
        "services run ({}), which no other plugin can take over: `micro kill` them first, or \
         restart the server, which brings them back",
        services.join(", ")
    )))
}

/// Puts `new` in the place of what is live, and has the streams go on from it. Writes are held.
async fn handover<H: Handle>(slot: &Slot<H>, mut new: Live<H>, place: &Place) -> Result {
    let old = slot.live().map_err(place.failed("use the module"))?;
    new.generation = old.generation + 1;
    let new = Arc::new(new);
    let streams = slot.streams();
    let opened = slot::open_on(&streams, &new).await;
    opened.map_err(place.failed("open what is subscribed to with the new plugin"))?;
    let told = if streams.iter().any(|stream| stream.collects()) {
        let told = old.handle.told(&new.handle).await;
        if told.is_err() {
            streams.iter().for_each(|stream| stream.stay());
        }
        told.map_err(place.failed("have the old plugin tell what it took in"))?
    } else {
        None
    };
    slot.replace(Some(new));
    slot::collect(&streams).await;
    let mut known_same = false;
    if let Some(same) = told {
        known_same = same();
        streams.iter().for_each(|stream| stream.detach());
        old.handle.left().await;
    }
    streams.iter().for_each(|stream| stream.attach(known_same));
    Ok(())
}
