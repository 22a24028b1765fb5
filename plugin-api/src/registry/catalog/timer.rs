//! The one timer that removes nodes when their time has come, for watchers to hear of it.

use std::sync::{Arc, Weak};

use tokio::task::JoinHandle;

use super::Shared;

/// The timer's task; it ends with this.
#[derive(Debug)]
pub(super) struct Timer(JoinHandle<()>);

impl Timer {
    /// Starts the timer of a registry on the current tokio runtime.
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        Self(tokio::spawn(run(Arc::downgrade(shared))))
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(registry: Weak<Shared>) {
    while let Some(shared) = registry.upgrade() {
        let next = shared.expire();
        let sooner = shared.sooner.notified();
        match next {
            None => sooner.await,
            Some(next) => {
                let until = tokio::time::sleep_until(next.into());
                tokio::select! {
                    () = until => {}
                    () = sooner => {}
                }
            }
        }
    }
}
