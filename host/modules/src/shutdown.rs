//! How modules end: in reverse order, each within a deadline.

use std::{
    mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use micro_plugin_api::{BoxFuture, Call, Result};

use crate::{Module, blocking, live::Handle};

/// How long a module may take to close.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a runtime may take, which ends every service that it runs, each with ten seconds to
/// finish.
const RUNTIME_DEADLINE: Duration = Duration::from_secs(15);

type Close = Box<dyn FnOnce(Call) -> BoxFuture<'static, Result<()>> + Send>;

/// What there is to close, in the order in which it was opened.
#[derive(Default)]
pub(crate) struct Closers(Mutex<Vec<(String, Close)>>);

impl Closers {
    /// Adds what was opened last.
    pub(crate) fn push(&self, name: &str, handle: impl Handle) {
        self.push_with(name, move |call| {
            Box::pin(async move { handle.shutdown(&call).await })
        });
    }

    /// Adds what was opened last, with how to close it.
    pub(crate) fn push_with(
        &self,
        name: &str,
        close: impl FnOnce(Call) -> BoxFuture<'static, Result<()>> + Send + 'static,
    ) {
        self.lock().push((name.to_owned(), Box::new(close)));
    }

    pub(crate) async fn close(&self) {
        let opened = mem::take(&mut *self.lock());
        for (name, close) in opened.into_iter().rev() {
            let deadline = if name == Module::Runtime.as_str() {
                RUNTIME_DEADLINE
            } else {
                DEADLINE
            };
            if let Err(error) = blocking::within(deadline, "its shutdown", close).await {
                tracing::warn!(module = name, "cannot close cleanly: {error}");
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, Close)>> {
        // A panic cannot leave a list of closures half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
