//! Whether each module could serve a call now: asked on request and periodically, the last answer
//! readable without waiting.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use micro_profile::Module;
use tokio::{task::JoinHandle, time::sleep};

use crate::{Modules, blocking, live::Handle, slot::Slot};

/// How often modules are asked in the background.
const INTERVAL: Duration = Duration::from_secs(5);

/// How often while one is not well: who waits for it sees soon that it is back.
const INTERVAL_IN_TROUBLE: Duration = Duration::from_secs(1);

/// How long a module may take to answer before it counts as failed.
const DEADLINE: Duration = Duration::from_secs(3);

/// What a module answered when it was asked how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleHealth {
    /// The module.
    pub module: &'static str,
    /// The plugin that fills it.
    pub plugin: String,
    /// Why it cannot serve, if it cannot.
    pub error: Option<String>,
}

/// The state of the checks of all modules.
#[derive(Default)]
pub(crate) struct Checks {
    last: ArcSwapOption<Vec<ModuleHealth>>,
    /// Held while modules are asked.
    rounds: tokio::sync::Mutex<()>,
    /// How often they have been.
    finished: AtomicU64,
    /// For each module, whether a check of it is under way.
    busy: [Arc<AtomicBool>; Module::ALL.len()],
}

impl Modules {
    /// Asks every module now, all at once, and answers when each has answered or has failed to
    /// within three seconds. Whoever asks while somebody else does shares the next answer.
    pub async fn health(&self) -> Vec<ModuleHealth> {
        let before = self.checks.finished.load(Ordering::Acquire);
        let _round = self.checks.rounds.lock().await;
        // Another round may have ended while this one waited its turn.
        if self.checks.finished.load(Ordering::Acquire) != before
            && let Some(last) = self.last_health()
        {
            return last.to_vec();
        }
        let [store, blob, stream, broker, registry, runtime] = &self.checks.busy;
        let (mut store, blob, stream, broker, registry, runtime) = tokio::join!(
            check(Module::Store, &self.slots.store, store),
            check(Module::Blob, &self.slots.blob, blob),
            check(Module::Stream, &self.slots.stream, stream),
            check(Module::Broker, &self.slots.broker, broker),
            check(Module::Registry, &self.slots.registry, registry),
            check(Module::Runtime, &self.slots.runtime, runtime),
        );
        if store.error.is_none() {
            store.error = self.untrusted().await;
        }
        let all = vec![store, blob, stream, broker, registry, runtime];
        self.checks.last.store(Some(Arc::new(all.clone())));
        self.checks.finished.fetch_add(1, Ordering::Release);
        all
    }

    /// Why the store is not the one that the server began with, if it is not.
    async fn untrusted(&self) -> Option<String> {
        let (live, trust) = (self.slots.store.live().ok()?, self.slots.trust.clone());
        let ask = move |call| async move { trust.verify(&call, &live.handle).await };
        let verified = blocking::within(DEADLINE, "what it holds", ask).await;
        verified.err().map(|error| error.message().to_owned())
    }

    /// What the modules answered last; `None` when they have not been asked yet.
    pub fn last_health(&self) -> Option<Arc<Vec<ModuleHealth>>> {
        self.checks.last.load_full()
    }

    /// Asks every module now and every five seconds from now on, every second while one is not well,
    /// on this tokio runtime, until the modules are dropped or the task is aborted. A change for
    /// better or worse is logged.
    pub fn watch_health(self: &Arc<Self>) -> JoinHandle<()> {
        let modules = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(modules) = modules.upgrade() {
                let before = modules.last_health();
                let now = modules.health().await;
                log_changes(before.as_deref().map_or(&[], Vec::as_slice), &now);
                drop(modules);
                let trouble = now.iter().any(|module| module.error.is_some());
                let pause = if trouble {
                    INTERVAL_IN_TROUBLE
                } else {
                    INTERVAL
                };
                sleep(pause).await;
            }
        })
    }
}

/// Asks one module. The call runs on a thread that may block, since a plugin that blocks must not
/// hold up whoever asks how it is; and only one at a time, so that one which never comes back
/// costs one thread and no more.
async fn check<H: Handle>(
    module: Module,
    slot: &Arc<Slot<H>>,
    busy: &Arc<AtomicBool>,
) -> ModuleHealth {
    let plugin = slot.plugin();
    let error = if busy.swap(true, Ordering::AcqRel) {
        Some("an earlier health check has not come back yet".to_owned())
    } else {
        let busy = Busy(busy.clone());
        let slot = slot.clone();
        let ask = move |call| async move {
            let _busy = busy;
            // One that is being replaced is asked when it is.
            let _pass = slot.gate.read(&call).await?;
            slot.live()?.handle.health(&call).await
        };
        blocking::within(DEADLINE, "its health check", ask)
            .await
            .err()
            .map(|error| error.message().to_owned())
    };
    ModuleHealth {
        module: module.as_str(),
        plugin,
        error,
    }
}

/// Says that a check has ended, however it did.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn log_changes(before: &[ModuleHealth], now: &[ModuleHealth]) {
    for health in now {
        let was = before.iter().find(|other| other.module == health.module);
        let was_failing = was.is_some_and(|was| was.error.is_some());
        match &health.error {
            Some(error) if was.is_none_or(|was| was.error != health.error) => {
                tracing::warn!(
                    module = health.module,
                    plugin = health.plugin,
                    "module is not ready: {error}"
                );
            }
            None if was_failing => {
                tracing::info!(
                    module = health.module,
                    plugin = health.plugin,
                    "module is ready again"
                );
            }
            _ => {}
        }
    }
}
