//! Instances that no module uses any more: they are let finish what is under way, and closed.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{Module, Modules, instances::Opened};

/// How long calls and streams of an instance that was replaced may go on.
const DRAIN: Duration = Duration::from_secs(10);
/// How often it is looked whether they have ended.
const LOOK: Duration = Duration::from_millis(10);

/// The instances that are being closed, by plugin.
#[derive(Default)]
pub(crate) struct Retiring(Mutex<Vec<Closing>>);

/// An instance that is being closed.
struct Closing {
    plugin: String,
    exclusive: bool,
    task: JoinHandle<()>,
}

impl Retiring {
    fn add(&self, opened: Opened) {
        let plugin = opened.key.plugin.clone();
        let exclusive = opened.library.manifest().exclusive;
        let task = tokio::spawn(async move {
            let began = Instant::now();
            while !opened.is_left() && began.elapsed() < DRAIN {
                sleep(LOOK).await;
            }
            if !opened.is_left() {
                tracing::warn!(
                    plugin = opened.key.plugin,
                    "the instance that was replaced is closed although somebody still reads from it"
                );
            }
            opened.close().await;
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|closing| !closing.task.is_finished());
        all.push(Closing {
            plugin,
            exclusive,
            task,
        });
    }

    /// Waits until all are closed.
    pub(crate) async fn wait(&self) {
        self.wait_for(|_| true).await;
    }

    /// Waits until those of a plugin are closed of which two cannot be open at once.
    pub(crate) async fn wait_for_exclusive(&self, plugin: &str) {
        self.wait_for(|closing| closing.exclusive && closing.plugin == plugin)
            .await;
    }

    async fn wait_for(&self, which: impl Fn(&Closing) -> bool) {
        let waited: Vec<_> = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (waited, others) = std::mem::take(&mut *all).into_iter().partition(which);
            *all = others;
            waited
        };
        for Closing { plugin, task, .. } in waited {
            if let Err(error) = task.await {
                tracing::error!(plugin, "closing the instance that was replaced: {error}");
            }
        }
    }
}

impl Modules {
    /// Closes the instances that no module uses, in the background.
    pub(crate) fn retire_unused(&self) {
        let used: Vec<_> = Module::ALL
            .into_iter()
            .filter_map(|module| self.slots.any(module).key())
            .collect();
        for opened in self.instances.take(|key| !used.contains(key)) {
            self.retiring.add(opened);
        }
    }
}
