//! The task that keeps this server's lease, watches those of the others, and answers bells.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use micro_plugin_api::{Call, Code, Error, Result, store::Version};
use tokio::{runtime::Handle, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Manager, bell,
    lease::{self, Lease},
};

/// How often leases and bells are looked at, at the least: a wish waits no longer.
const LOOK: Duration = Duration::from_secs(1);

/// How many looks there are within a lease, at the least.
const LOOKS: u32 = 8;

/// How often a lease is renewed while it lasts.
const RENEWALS: u32 = 3;

/// After how many leases every record is looked at, whether anything happened or not.
const ROUNDS: u32 = 4;

/// How long the store may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A keeper at work.
#[derive(Default)]
pub(super) struct Keeping {
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Whether another server bears this one's name.
    usurped: std::sync::Arc<AtomicBool>,
}

impl Keeping {
    pub(super) fn begin(&self, on: &Handle, keeper: Keeper) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        *task = Some(on.spawn(keeper.run(self.stop.clone())));
    }

    /// Gives up the lease: others may take over what ran here.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        let task = {
            let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            task.take()
        };
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!("the keeper of the server's lease failed: {error}");
        }
    }

    /// Refuses where this server may run nothing.
    pub(super) fn admit(&self) -> Result<()> {
        if self.usurped.load(Ordering::Acquire) {
            return Err(Error::unavailable(USURPED));
        }
        Ok(())
    }
}

const USURPED: &str = "another server bears this server's id, as after its state folder was \
                       copied; give each server a folder of its own (--state), without the file `id`";

/// A server as others see it.
struct Peer {
    version: Version,
    is_held: bool,
    /// For how long the lease has been the same, as far as it was looked at.
    unchanged: Duration,
}

/// Keeps the lease of one server.
pub(super) struct Keeper {
    pub(super) manager: Manager,
    pub(super) own: Lease,
    duration: Duration,
    /// The version of the own lease.
    pub(super) held: Option<Version>,
    peers: HashMap<String, Peer>,
    looked: Instant,
    since_renewal: Duration,
    since_round: Duration,
    /// Whether services may be without a server.
    round_is_due: bool,
    is_failing: bool,
}

impl Keeper {
    /// `None` for a server that has its store alone.
    pub(super) fn new(manager: &Manager) -> Option<Self> {
        let config = manager.config();
        let duration = config.lease?;
        let own = Lease {
            start: Uuid::now_v7().to_string(),
            address: config.network_address.clone(),
            milliseconds: duration.as_millis() as u64,
        };
        Some(Self {
            manager: manager.clone(),
            own,
            duration,
            held: None,
            peers: HashMap::new(),
            looked: Instant::now(),
            since_renewal: Duration::ZERO,
            since_round: Duration::ZERO,
            round_is_due: true,
            is_failing: false,
        })
    }

    pub(super) fn call() -> Call {
        Call::new("").with_timeout(TIMEOUT)
    }

    /// Takes the lease, from an earlier start of this server or from nobody.
    pub(super) async fn acquire(&mut self) -> Result<()> {
        let modules = self.manager.modules();
        let server = &self.manager.config().server;
        let found = lease::read(modules, &Self::call(), server).await?;
        let over = found.map(|(_, version)| version);
        let held = lease::write(modules, &Self::call(), server, &self.own, over).await?;
        self.held = Some(held);
        Ok(())
    }

    /// Keeps the lease until `stop`, and gives it up then.
    async fn run(mut self, stop: CancellationToken) {
        let pause = LOOK.min(self.duration / LOOKS);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(pause) => {}
            }
            // What lies between two looks counts as twice a pause at the most: who slept, or was
            // stopped, does not know what others did meanwhile.
            let elapsed = self.looked.elapsed();
            self.looked = Instant::now();
            self.since_renewal += elapsed;
            match self.look(elapsed.min(2 * pause)).await {
                Ok(()) => self.is_failing = false,
                Err(error) if error.code() == Code::CONFLICT => {}
                Err(error) => {
                    if !self.is_failing {
                        tracing::warn!(%error, "cannot keep this server's lease in the store");
                    }
                    self.is_failing = true;
                }
            }
        }
        if let Err(error) = self.release().await {
            tracing::warn!(%error, "cannot give up this server's lease; it expires");
        }
    }

    async fn release(&self) -> Result<()> {
        let (modules, server) = (self.manager.modules(), &self.manager.config().server);
        let free = Lease::default();
        match lease::write(modules, &Self::call(), server, &free, self.held).await {
            // It has been taken already.
            Err(error) if error.code() == Code::CONFLICT => Ok(()),
            written => written.map(drop),
        }
    }

    async fn look(&mut self, elapsed: Duration) -> Result<()> {
        let leases = match lease::list(self.manager.modules(), &Self::call()).await {
            Ok(leases) => leases,
            Err(error) => {
                // While nobody can renew anything, nobody is dead.
                self.peers.clear();
                return Err(error);
            }
        };
        self.since_round += elapsed;
        if !self.renew(&leases).await? {
            return Ok(());
        }
        self.watch_peers(&leases, elapsed).await?;
        if self.manager.0.is_closing() {
            return Ok(());
        }
        self.answer_bells().await?;
        if self.round_is_due || self.since_round >= ROUNDS * self.duration {
            self.round().await?;
            self.round_is_due = false;
            self.since_round = Duration::ZERO;
        }
        Ok(())
    }

    /// Renews the lease if it is time; false if it is another server's.
    async fn renew(&mut self, leases: &[(String, Lease, Version)]) -> Result<bool> {
        let manager = self.manager.clone();
        let server = &manager.config().server;
        let found = leases.iter().find(|(name, ..)| name == server);
        let usurped = &manager.0.keeping.usurped;
        let over = match found {
            Some((_, lease, version)) if lease.start == self.own.start => {
                self.held = Some(*version);
                if self.since_renewal < self.duration / RENEWALS {
                    return Ok(true);
                }
                Some(*version)
            }
            Some((_, lease, _)) if lease.is_held() => {
                if !usurped.swap(true, Ordering::AcqRel) {
                    tracing::error!("{USURPED}");
                }
                manager.lose_all();
                return Ok(false);
            }
            free => {
                // Only the records tell which services went with it.
                tracing::warn!("this server's lease was taken: it was silent for too long");
                self.round_is_due = true;
                free.map(|(_, _, version)| *version)
            }
        };
        let held = lease::write(manager.modules(), &Self::call(), server, &self.own, over).await?;
        self.held = Some(held);
        self.since_renewal = Duration::ZERO;
        usurped.store(false, Ordering::Release);
        Ok(true)
    }

    /// Counts how long others have been silent, and takes the leases of those who are dead.
    async fn watch_peers(
        &mut self,
        leases: &[(String, Lease, Version)],
        elapsed: Duration,
    ) -> Result<()> {
        let manager = self.manager.clone();
        let before = std::mem::take(&mut self.peers);
        self.round_is_due |= before
            .keys()
            .any(|server| leases.iter().all(|(name, ..)| name != server));
        let others = leases
            .iter()
            .filter(|(name, ..)| *name != manager.config().server);
        for (server, lease, version) in others {
            let former = before.get(server);
            let is_held = lease.is_held();
            let unchanged = match former {
                Some(former) if former.version == *version => former.unchanged + elapsed,
                _ => Duration::ZERO,
            };
            if !is_held {
                self.round_is_due |= former.is_some_and(|former| former.is_held);
            } else if unchanged >= Duration::from_millis(lease.milliseconds) {
                tracing::warn!(
                    server,
                    address = lease.address,
                    "a server is silent; its services are taken over"
                );
                self.round_is_due = true;
                let free = Lease::default();
                lease::write(
                    manager.modules(),
                    &Self::call(),
                    server,
                    &free,
                    Some(*version),
                )
                .await?;
                continue;
            }
            let peer = Peer {
                version: *version,
                is_held,
                unchanged,
            };
            self.peers.insert(server.clone(), peer);
        }
        Ok(())
    }

    async fn answer_bells(&self) -> Result<()> {
        let (modules, server) = (self.manager.modules(), &self.manager.config().server);
        for (key, version) in bell::list(modules, &Self::call(), server).await? {
            if let Err(error) = self.manager.take_note(&Self::call(), &key).await {
                tracing::error!(service = %key, %error, "cannot do what was asked of a service");
            }
            bell::answer(modules, &Self::call(), server, &key, version).await?;
        }
        Ok(())
    }
}
