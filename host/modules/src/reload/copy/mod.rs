//! A backend is made the same as another one that is written to meanwhile.
//!
//! Both are walked through side by side: once to copy what differs, once more to verify that nothing
//! does. What is written during that is noted and copied again, at last while writes are held.

mod blobs;
mod records;
mod walk;
mod writer;

use std::{
    collections::{BTreeSet, HashSet},
    hash::Hash,
};

use micro_plugin_api::{Error, Result};
use micro_profile::Module;
use sha2::{Digest as _, Sha256};

pub(super) use self::{blobs::Blobs, records::Records};
use super::Progress;
use crate::swappable::Changed;

/// How often it is tried to have few items left.
const ROUNDS: usize = 5;

/// Two backends, of which the second is made the same as the first.
pub(super) trait Pair: Send + Sync {
    /// What they are backends of.
    const MODULE: Module;
    /// How few items may be left to copy while writes are held.
    const FEW: usize;
    /// Which item it is, of all in a backend.
    type Name: Clone + Eq + Hash + Send + Sync;

    /// Notes in the second that it holds a part of what the first has, of this platform.
    fn mark_unfinished(&self, platform: &str) -> impl Future<Output = Result<()>> + Send;

    /// Takes that note away.
    fn mark_finished(&self) -> impl Future<Output = Result<()>> + Send;

    /// The databases or namespaces of both.
    fn places(&self) -> impl Future<Output = Result<BTreeSet<String>>> + Send;

    /// Walks through a place in both. With `copied` the second is made the same on the way, and
    /// `copied` told from time to time how many items are.
    fn walk(
        &self,
        place: &str,
        copied: Option<&(dyn Fn(u64) + Send + Sync)>,
    ) -> impl Future<Output = Result<Found<Self::Name>>> + Send;

    /// Makes some items the same.
    fn sync(&self, names: &HashSet<Self::Name>) -> impl Future<Output = Result<()>> + Send;

    /// Whether an item is the same in both.
    fn is_same(&self, name: &Self::Name) -> impl Future<Output = Result<bool>> + Send;

    /// That an item, which was written, is not the same.
    fn differs(name: &Self::Name) -> Error;
}

/// What one walk through a place found.
pub(super) struct Found<N> {
    /// How many items are the same, or were copied.
    items: u64,
    /// Of those that are the same.
    checksum: Sha256,
    differing: HashSet<N>,
}

impl<N> Default for Found<N> {
    fn default() -> Self {
        Self {
            items: 0,
            checksum: Sha256::new(),
            differing: HashSet::new(),
        }
    }
}

impl<N> Found<N> {
    /// Adds to the checksum, so that no two sequences of parts make the same.
    fn hash(&mut self, part: &[u8]) {
        self.checksum.update((part.len() as u64).to_le_bytes());
        self.checksum.update(part);
    }

    fn checksum(self) -> String {
        let hash = self.checksum.finalize();
        hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A copy.
pub(super) struct Copy<'a, P> {
    pair: P,
    progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl<'a, P: Pair> Copy<'a, P> {
    pub(super) fn new(pair: P, progress: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        Self { pair, progress }
    }

    /// Copies everything, with what is written meanwhile, and verifies it. Gives the names that
    /// have to be looked at again.
    ///
    /// # Errors
    /// One of the backends failed. The new one is marked as unfinished then.
    pub(super) async fn begin(
        &self,
        platform: &str,
        changed: &Changed<P::Name>,
    ) -> Result<HashSet<P::Name>> {
        self.pair.mark_unfinished(platform).await?;
        for place in self.pair.places().await? {
            let copied = |items| {
                (self.progress)(Progress::Copied {
                    module: P::MODULE,
                    name: place.clone(),
                    items,
                });
            };
            self.pair.walk(&place, Some(&copied)).await?;
        }
        self.catch_up(changed).await?;
        let mut suspects = HashSet::new();
        for place in self.pair.places().await? {
            let mut found = self.pair.walk(&place, None).await?;
            suspects.extend(std::mem::take(&mut found.differing));
            (self.progress)(Progress::Verified {
                module: P::MODULE,
                name: place,
                items: found.items,
                checksum: found.checksum(),
            });
        }
        // Those differ that were written since they were copied: they are looked at again.
        self.pair.sync(&suspects).await?;
        suspects.extend(self.catch_up(changed).await?);
        Ok(suspects)
    }

    /// Copies what was written, until little is; gives what it copied last.
    async fn catch_up(&self, changed: &Changed<P::Name>) -> Result<HashSet<P::Name>> {
        for _ in 0..ROUNDS {
            let names = changed.take();
            self.pair.sync(&names).await?;
            if names.len() <= P::FEW {
                return Ok(names);
            }
        }
        Ok(HashSet::new())
    }

    /// Copies the last items, while nothing is written, and verifies each.
    ///
    /// # Errors
    /// One of the backends failed, or does not hold what was written to it.
    pub(super) async fn finish(
        &self,
        suspects: &HashSet<P::Name>,
        changed: HashSet<P::Name>,
    ) -> Result<()> {
        let names: HashSet<_> = suspects.union(&changed).cloned().collect();
        self.pair.sync(&names).await?;
        for name in &names {
            if !self.pair.is_same(name).await? {
                return Err(P::differs(name));
            }
        }
        self.pair.mark_finished().await
    }
}
