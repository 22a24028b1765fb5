//! Which keys are written while a module is copied.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The key of a record, with database and table before it.
pub(crate) type FullKey = (String, String, String);

/// The keys that are written while somebody wants to know.
pub(crate) struct Changed<K>(Mutex<Option<HashSet<K>>>);

impl<K> Default for Changed<K> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<K: Eq + Hash> Changed<K> {
    /// From now on keys are noted.
    pub(crate) fn begin(&self) {
        *self.lock() = Some(HashSet::new());
    }

    /// The keys that were noted since the last time; noting goes on.
    pub(crate) fn take(&self) -> HashSet<K> {
        let mut changed = self.lock();
        changed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Nothing is noted any more.
    pub(crate) fn end(&self) {
        *self.lock() = None;
    }

    /// Does `write`, and notes the keys that it is about.
    pub(super) async fn noting<I: IntoIterator<Item = K>, T>(
        &self,
        keys: impl Fn() -> I,
        write: impl Future<Output = T>,
    ) -> T {
        // Before it happens, since whoever waits for it may give up and it happens all the same.
        self.note(&keys);
        let done = write.await;
        // And after, whatever the answer: a copy that took note of it may have read what was there
        // before it happened.
        self.note(&keys);
        done
    }

    fn note<I: IntoIterator<Item = K>>(&self, keys: impl Fn() -> I) {
        if let Some(changed) = &mut *self.lock() {
            changed.extend(keys());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashSet<K>>> {
        // Nothing that is done under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
