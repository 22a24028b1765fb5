//! The life of one instance: one task owns its process, notes how it ends, starts it again, and
//! ends it when it is asked to.

use std::{sync::Arc, time::Duration};

use micro_plugin_api::{
    Result,
    runtime::{Backoff, Exit, InstanceChange, State, StopRequest},
};
use tokio::{
    process::Child,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    backoff,
    notes::Note,
    procfs::Identity,
    runtime::{Shared, unix_millis},
    tree::Tree,
};

/// How often a process is looked at that this one did not start: nobody tells of its end.
const ADOPTED_POLL: Duration = Duration::from_millis(100);

/// The process that everything else of an instance descends from.
pub(crate) enum Leader {
    /// A child of this process.
    Child(Child, Identity),
    /// One that an earlier server started.
    Adopted(Identity),
}

impl Leader {
    pub(crate) fn identity(&self) -> Identity {
        match self {
            Self::Child(_, identity) | Self::Adopted(identity) => *identity,
        }
    }

    async fn wait(&mut self) -> Exit {
        match self {
            Self::Child(child, _) => match child.wait().await {
                Ok(status) => status.into(),
                Err(error) => error.into(),
            },
            Self::Adopted(identity) => {
                while identity.runs() {
                    sleep(ADOPTED_POLL).await;
                }
                Exit {
                    message: Some(UNSEEN.to_owned()),
                    ..Exit::default()
                }
            }
        }
    }
}

/// What is known of the end of a process that an earlier server started.
pub(crate) const UNSEEN: &str =
    "ended; its exit status is not known, since an earlier server had started it";

/// One instance, as its task owns it.
pub(crate) struct Supervisor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) note: Note,
    /// `None` when it has ended for good.
    pub(crate) leader: Option<Leader>,
    pub(crate) stop: StopRequest,
}

/// Why a task goes on.
enum Next {
    Again(Instant),
    Never,
    /// Somebody ends it, or another start has taken its place.
    Stopped(Option<Duration>),
}

impl Supervisor {
    pub(crate) async fn run(mut self) {
        while let Some(mut leader) = self.leader.take() {
            let begun = Instant::now();
            let exit = tokio::select! {
                biased;
                grace = self.stop.asked() => {
                    self.end(leader, grace).await;
                    return;
                }
                exit = leader.wait() => exit,
            };
            // What it leaves behind has nobody left to end it.
            self.tree(leader.identity()).kill().await;
            let mut next = self.ended(exit, begun.elapsed());
            loop {
                match next {
                    Next::Stopped(grace) => return self.forget(grace),
                    Next::Never => break,
                    Next::Again(at) => {
                        tokio::select! {
                            biased;
                            grace = self.stop.asked() => return self.forget(grace),
                            () = sleep_until(at) => {}
                        }
                        next = match self.again() {
                            Ok(true) => break,
                            Ok(false) => Next::Stopped(self.stop.asked().await),
                            Err(exit) => self.ended(exit, Duration::ZERO),
                        };
                    }
                }
            }
        }
        let grace = self.stop.asked().await;
        self.forget(grace);
    }

    fn tree(&self, leader: Identity) -> Tree {
        Tree {
            leader,
            mark: self.shared.notes.mark(&self.note.id),
        }
    }

    /// Notes an end, and whether another start follows.
    fn ended(&mut self, exit: Exit, ran: Duration) -> Next {
        let policy = &self.note.spec.restart;
        // Of one that was adopted, this task has not seen the beginning.
        let age = unix_millis().saturating_sub(self.note.started_at);
        let ran = if ran.is_zero() {
            ran
        } else {
            ran.max(Duration::from_millis(age))
        };
        let deaths = backoff::deaths(policy, self.note.deaths, ran);
        self.note.deaths = deaths;
        self.note.leader = None;
        let pause = backoff::restarts(policy, &exit).then(|| backoff::pause(policy, deaths));
        let (next, state) = match pause {
            Some(pause) => {
                let backoff = Backoff {
                    exit,
                    until: unix_millis() + pause.as_millis() as u64,
                    crash_loop: deaths >= policy.crash_loop_after,
                };
                (Next::Again(Instant::now() + pause), State::Waiting(backoff))
            }
            None => (Next::Never, State::Exited(exit)),
        };
        self.note.state = state.clone();
        self.noted(self.shared.notes.write(&self.note));
        let key = &self.note.spec.key;
        let told = self.shared.table.change(key, &self.note.id, |instance| {
            instance.state = state;
            instance.pid = None;
            instance.restarts = deaths - 1;
            InstanceChange::Exited
        });
        if told {
            next
        } else {
            Next::Stopped(self.stop.now())
        }
    }

    /// Starts it again; false if somebody ends it. An error says why it cannot be started now.
    fn again(&mut self) -> Result<bool, Exit> {
        let (shared, key) = (self.shared.clone(), self.note.spec.key.clone());
        let id = self.note.id.clone();
        shared.table.try_change(&key, &id, |instance| {
            let leader = shared.spawn(&mut self.note).map_err(|error| Exit {
                message: Some(error.message().to_owned()),
                ..Exit::default()
            })?;
            instance.state = State::Running;
            instance.pid = Some(leader.identity().pid);
            instance.started_at = self.note.started_at;
            instance.restarts = self.note.deaths;
            self.leader = Some(leader);
            Ok(InstanceChange::Started as fn(_) -> _)
        })
    }

    /// Ends it whole, and forgets it. Without a grace, because nobody holds the table any more, it
    /// goes on without a supervisor.
    async fn end(mut self, mut leader: Leader, grace: Option<Duration>) {
        let Some(mut grace) = grace else {
            return;
        };
        let tree = self.tree(leader.identity());
        let by_force = loop {
            tokio::select! {
                by_force = tree.end(grace) => break by_force,
                // Somebody is in more of a hurry.
                shorter = self.stop.sooner() => grace = shorter,
            }
        };
        if by_force {
            let service = &self.note.spec.key;
            tracing::warn!(%service, ?grace, "did not end in time and was killed");
        }
        // Collects a child; what was killed in vain is not waited for.
        let _ = tokio::time::timeout(Duration::from_secs(1), leader.wait()).await;
        self.forget(Some(grace));
    }

    /// Forgets it, if it was stopped and not replaced.
    fn forget(self, grace: Option<Duration>) {
        if grace.is_some() {
            self.shared.notes.remove(&self.note.id);
            self.shared.table.remove(&self.note.spec.key, &self.note.id);
        }
    }

    fn noted(&self, written: std::io::Result<()>) {
        if let Err(error) = written {
            let service = &self.note.spec.key;
            tracing::warn!(%service, %error, "cannot note the state of a service");
        }
    }
}
