//! How modules end: in reverse order, each within a deadline.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use micro_plugin_api::BoxFuture;

use crate::{Module, blocking, live::Handle};

/// How long a module may take to close.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a runtime may take, which ends every service that it runs, each with ten seconds to
/// finish.
const RUNTIME_DEADLINE: Duration = Duration::from_secs(15);

type Close = Box<dyn FnOnce(Duration) -> BoxFuture<'static, Result<(), String>> + Send>;

/// Something that is open.
struct Closer {
    name: String,
    deadline: Duration,
    close: Close,
}

/// What there is to close, in the order in which it was opened.
#[derive(Default)]
pub(crate) struct Closers(Mutex<Vec<Closer>>);

impl Closers {
    /// Adds a module of a handle, opened last.
    pub(crate) fn push(&self, module: Module, handle: impl Handle) {
        let close = move |deadline| -> BoxFuture<'static, _> {
            let shutdown = move |call| async move { handle.shutdown(&call).await };
            Box::pin(async move {
                blocking::within(deadline, "its shutdown", shutdown)
                    .await
                    .map_err(|error| error.message().to_owned())
            })
        };
        self.lock().push(Closer {
            name: module.to_string(),
            deadline: deadline(module == Module::Runtime),
            close: Box::new(close),
        });
    }

    /// Closes the last first. What cannot be closed is logged.
    pub(crate) async fn close(&self) {
        let opened = mem::take(&mut *self.lock());
        for closer in opened.into_iter().rev() {
            if let Err(error) = (closer.close)(closer.deadline).await {
                tracing::warn!(name = closer.name, "cannot close cleanly: {error}");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Closer>> {
        // A panic cannot leave a list of closures half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a module, or an instance of a plugin, may take to close.
pub(crate) fn deadline(runs_services: bool) -> Duration {
    if runs_services {
        RUNTIME_DEADLINE
    } else {
        DEADLINE
    }
}
