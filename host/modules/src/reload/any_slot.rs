//! What can be done with the place of a module whatever the module is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use micro_plugin_api::BoxFuture;
use micro_profile::{Module, Slot as ProfileSlot};
use tokio::{sync::RwLockWriteGuard, time::sleep};

use crate::{
    OpenError, blocking,
    instances::{Key, Opened},
    live::{Handle, Live},
    slot::{self, Slot},
};

/// How long a new instance may take to say how it is.
const HEALTH: Duration = Duration::from_secs(3);
/// How long whoever reads from an instance that must be closed may take to let go of it.
const LET_GO: Duration = Duration::from_secs(3);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// The place of a module.
pub(crate) trait AnySlot: Send + Sync {
    fn module(&self) -> Module;
    fn key(&self) -> Option<Key>;
    fn plugin(&self) -> String;
    /// See [`crate::gate::Gate::hold_all`].
    fn hold_all(&self, bound: Duration) -> BoxFuture<'_, Option<RwLockWriteGuard<'_, ()>>>;
    /// Takes out what is live once nobody uses it, and detaches its streams; `None`, and all is
    /// as before, if somebody goes on using it.
    fn take_out(&self) -> BoxFuture<'_, Option<TakenOut>>;
    /// Puts a view of an instance in, which is the same backend as what was `taken` out, and has
    /// the streams go on from it.
    fn put_in<'a>(
        &'a self,
        opened: &'a Opened,
        place: &'a ProfileSlot,
        taken: TakenOut,
    ) -> BoxFuture<'a, Result<(), OpenError>>;
    /// Why a view of an instance is not well, if it is not.
    fn unwell<'a>(
        &'a self,
        opened: &'a Opened,
        place: &'a ProfileSlot,
    ) -> BoxFuture<'a, Result<Option<String>, OpenError>>;
}

/// What remains of a module that was taken out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TakenOut {
    generation: u64,
    versions_from: u64,
}

impl<H: Handle> AnySlot for Slot<H> {
    fn module(&self) -> Module {
        H::MODULE
    }

    fn key(&self) -> Option<Key> {
        self.live().ok().and_then(|live| live.key.clone())
    }

    fn plugin(&self) -> String {
        Slot::plugin(self)
    }

    fn hold_all(&self, bound: Duration) -> BoxFuture<'_, Option<RwLockWriteGuard<'_, ()>>> {
        Box::pin(self.gate.hold_all(bound))
    }

    fn take_out(&self) -> BoxFuture<'_, Option<TakenOut>> {
        Box::pin(async move {
            let streams = self.streams();
            if streams.iter().any(|stream| stream.collects())
                && let Ok(live) = self.live()
                && let Err(error) = live.handle.told(&live.handle).await
            {
                tracing::warn!(
                    plugin = live.plugin,
                    "some of what was written may never be told: {error}"
                );
            }
            slot::collect(&streams).await;
            streams.iter().for_each(|stream| stream.detach());
            let Some(live) = self.replace(None) else {
                return Some(TakenOut {
                    generation: 0,
                    versions_from: 0,
                });
            };
            let began = Instant::now();
            while Arc::strong_count(&live) > 1 && began.elapsed() < LET_GO {
                sleep(LOOK).await;
            }
            if Arc::strong_count(&live) == 1 {
                return Some(TakenOut {
                    generation: live.generation,
                    versions_from: live.versions_from,
                });
            }
            self.replace(Some(live.clone()));
            slot::go_on(&streams, &live).await;
            None
        })
    }

    fn put_in<'a>(
        &'a self,
        opened: &'a Opened,
        place: &'a ProfileSlot,
        taken: TakenOut,
    ) -> BoxFuture<'a, Result<(), OpenError>> {
        Box::pin(async move {
            let handle: H = opened.view(place)?;
            let live = Arc::new(Live {
                generation: taken.generation + 1,
                versions_from: taken.versions_from,
                ..Live::new(&opened.key.plugin, Some(opened.key.clone()), handle)
            });
            self.replace(Some(live.clone()));
            slot::go_on(&self.streams(), &live).await;
            Ok(())
        })
    }

    fn unwell<'a>(
        &'a self,
        opened: &'a Opened,
        place: &'a ProfileSlot,
    ) -> BoxFuture<'a, Result<Option<String>, OpenError>> {
        Box::pin(async move {
            let handle: H = opened.view(place)?;
            Ok(unwell(handle).await)
        })
    }
}

/// Why a module is not well, if it is not. A plugin that blocks holds up nobody but who asks.
pub(crate) async fn unwell<H: Handle>(handle: H) -> Option<String> {
    let ask = move |call| async move { handle.health(&call).await };
    let asked = blocking::within(HEALTH, "its health check", ask).await;
    asked.err().map(|error| error.message().to_owned())
}
