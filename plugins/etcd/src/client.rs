//! etcd as both modules call it: one member of the cluster at a time, deadlines on everything, and
//! what failed tried again where that cannot do harm.

mod failure;
mod member;
mod snapshot;
mod watch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use micro_plugin_api::{Backoff, Call, Error, Result};
use tokio::time::{sleep, timeout_at};

pub(crate) use self::{
    failure::Failure,
    member::Clients,
    watch::{Notice, Watching},
};
use self::{failure::Kind, member::Member};
use crate::{Settings, names};

/// How long a call is tried again while etcd cannot be reached: enough for a member to hand over
/// its lead, and short of what a caller would take for a hang.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long one of several members may take before the next one is asked.
const TURN: Duration = Duration::from_secs(3);

/// How long opening waits to hear whether the user and the password are right.
const PROBE: Duration = Duration::from_secs(2);

/// The waits of one who tries again.
pub(crate) const fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(50), Duration::from_secs(1))
}

/// What may be sent a second time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// What changes nothing, or nothing more the second time.
    Always,
    /// What must happen once: only what etcd is known not to have done is sent again.
    UnlessDone,
}

/// The cluster that the settings name.
pub(crate) struct Etcd {
    members: Vec<Member>,
    /// The one in use: counts on when it fails.
    turn: AtomicUsize,
    timeout: Duration,
    prefix: String,
}

impl Etcd {
    /// The cluster of these settings, which need not be there yet.
    ///
    /// # Errors
    /// `invalid` for settings that make no sense and files that cannot be read; `unavailable` if
    /// etcd answers, and refuses the user.
    pub(crate) async fn open(settings: Settings) -> Result<Arc<Self>> {
        let settings = settings.checked()?;
        let etcd = Arc::new(Self {
            members: Member::all(&settings)?,
            turn: AtomicUsize::new(0),
            timeout: settings.timeout(),
            prefix: settings.prefix,
        });
        let probe = Call::default().with_timeout(PROBE);
        // One that is down need not be waited for: it is connected to when it is there.
        if let Err(failure) = etcd.probe(&probe, Duration::ZERO).await {
            if failure.is_answer() {
                return Err(failure.into());
            }
            let error = Error::from(failure);
            tracing::warn!("{error}; going on, and connecting as soon as it can be reached");
        }
        Ok(etcd)
    }

    /// What the keys of a module begin with.
    pub(crate) fn folder(&self, module: &str) -> String {
        names::folder([self.prefix.as_str(), module])
    }

    /// Whether etcd could answer now.
    pub(crate) async fn health(&self, call: &Call) -> Result<()> {
        Ok(self.probe(call, PATIENCE).await?)
    }

    async fn probe(&self, call: &Call, patience: Duration) -> Result<(), Failure> {
        let key = names::folder([self.prefix.as_str()]);
        let work = |mut clients: Clients| {
            let key = key.clone();
            async move { clients.kv.get(key, None).await.map(drop) }
        };
        self.run_for(patience, call, Repeat::Always, work).await
    }

    /// Does something with a member, and again with the next one when that one fails, until the
    /// call's deadline or `timeout_ms`, whichever is earlier.
    pub(crate) async fn run<T, F>(
        &self,
        call: &Call,
        repeat: Repeat,
        work: impl Fn(Clients) -> F + Send,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        self.run_for(PATIENCE, call, repeat, work).await
    }

    /// Does it, and for so long again while etcd cannot be reached; with each member once at least.
    async fn run_for<T, F>(
        &self,
        patience: Duration,
        call: &Call,
        repeat: Repeat,
        work: impl Fn(Clients) -> F + Send,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>> + Send,
    {
        let begun = Instant::now();
        let deadline = begun + call.remaining().unwrap_or(self.timeout).min(self.timeout);
        let mut backoff = backoff();
        let mut renewed = false;
        for tried in 1.. {
            let turn = self.turn.load(Ordering::Relaxed);
            let member = &self.members[turn % self.members.len()];
            let until = match repeat {
                Repeat::Always if self.members.len() > 1 => deadline.min(Instant::now() + TURN),
                _ => deadline,
            };
            let sent = AtomicBool::new(false);
            let attempt = async {
                let clients = member.clients().await?;
                sent.store(true, Ordering::Relaxed);
                work(clients).await
            };
            let failure = match timeout_at(until.into(), attempt).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => Failure::of(&error),
                Err(_) => Failure::silence(begun.elapsed(), sent.load(Ordering::Relaxed)),
            };
            let failure = failure.at(member.endpoint());
            match failure.kind() {
                Kind::Answer => return Err(failure),
                Kind::Token if renewed => return Err(failure),
                Kind::Token => {
                    renewed = true;
                    let renewal = timeout_at(deadline.into(), member.renew_token()).await;
                    if let Ok(Err(error)) = renewal {
                        return Err(Failure::of(&error).at(member.endpoint()));
                    }
                    continue;
                }
                Kind::Refused | Kind::Lost => self.pass_on(turn),
            }
            if failure.kind() == Kind::Lost && repeat == Repeat::UnlessDone {
                return Err(failure.of_a_write().by(call));
            }
            let wait = backoff.next_wait();
            let now = Instant::now();
            let tried_all = tried >= self.members.len();
            if now + wait >= deadline || (tried_all && now >= begun + patience) {
                return Err(failure.by(call));
            }
            sleep(wait).await;
        }
        unreachable!("the loop ends with a result")
    }

    /// Lets the next member have its turn, unless somebody else has seen to it.
    fn pass_on(&self, turn: usize) {
        let next = turn.wrapping_add(1);
        let _ = self
            .turn
            .compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}
