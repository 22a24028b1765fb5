//! Leases of etcd, which remove what has expired some time after it has.
//!
//! Expiry itself is a matter of the deadline that is stored with each record. A lease is shared by
//! records that expire at about the same time, so that records with an expiry do not cost a second
//! write each.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use micro_plugin_api::{Call, store::Expiry};

use crate::client::{Etcd, Failure, Repeat};

/// How long a record stays at least after it has expired: more than clocks of servers differ, since
/// it must not go before the slowest of them says so.
const GRACE: Duration = Duration::from_secs(10);

/// How much later than a record its lease may end, as a part of the time until then, and at least.
const LATER: u64 = 8;
const LATER_AT_LEAST: Duration = Duration::from_secs(5);

/// How many records share a lease: etcd removes them in one go.
const SHARED_BY: usize = 1_000;

/// The longest lease that etcd grants, in seconds: 285 years.
const LONGEST: u64 = 9_000_000_000;

/// The leases of one instance.
pub(crate) struct Leases {
    etcd: Arc<Etcd>,
    /// By when they let go of what they hold, in milliseconds since the epoch, without the grace.
    held: Mutex<BTreeMap<u64, Held>>,
}

struct Held {
    id: i64,
    records: usize,
}

impl Leases {
    pub(crate) fn new(etcd: Arc<Etcd>) -> Self {
        Self {
            etcd,
            held: Mutex::default(),
        }
    }

    /// A lease that outlives what expires then.
    pub(crate) async fn lasting(&self, call: &Call, expiry: Expiry) -> Result<i64, Failure> {
        let now = Expiry::after(Duration::ZERO).0;
        let deadline = expiry.0.max(now);
        let least = u64::try_from(LATER_AT_LEAST.as_millis()).unwrap_or(u64::MAX);
        let end = deadline.saturating_add(((deadline - now) / LATER).max(least));
        if let Some(id) = self.find(now, deadline, end) {
            return Ok(id);
        }
        let seconds = (end - now).div_ceil(1_000).saturating_add(GRACE.as_secs());
        let ttl = i64::try_from(seconds.min(LONGEST)).unwrap_or(i64::MAX);
        let granted = self
            .etcd
            .run(call, Repeat::Always, |mut clients| async move {
                clients.lease.grant(ttl, None).await
            })
            .await?;
        let id = granted.id();
        self.lock().insert(end, Held { id, records: 1 });
        Ok(id)
    }

    /// One that is held already and ends between `deadline` and `end`.
    fn find(&self, now: u64, deadline: u64, end: u64) -> Option<i64> {
        let mut held = self.lock();
        // Those whose end has come are used no more; the grace is for their records.
        *held = held.split_off(&now);
        let (_, found) = held
            .range_mut(deadline..=end)
            .find(|(_, lease)| lease.records < SHARED_BY)?;
        found.records += 1;
        Some(found.id)
    }

    /// Uses none of those that are held any more: etcd has lost one of them.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
