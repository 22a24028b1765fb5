//! The one thread that writes: it takes the commits that wait, decides on each in order, and puts
//! all that go through on disk together.

mod decide;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use micro_plugin_api::{
    Error, Result,
    store::{Commit, Version, Watchers},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use self::decide::Group;
use super::{engine::Engine, recovery::Acknowledged, sweep::Sweep};
use crate::space::Space;

/// The most operations that go to disk together.
const GROUP_OPERATIONS: usize = 4_096;

/// The most bytes that go to disk together, beside the first commit.
const GROUP_BYTES: usize = 8 << 20;

/// How often an engine that failed is opened again, at most.
const REOPENED: Duration = Duration::from_secs(1);

/// A commit that waits to be written.
pub(super) struct Job {
    pub(super) commit: Commit,
    pub(super) answer: oneshot::Sender<Result<Version>>,
    /// A place in the queue, given back with the answer.
    pub(super) _place: OwnedSemaphorePermit,
}

impl Job {
    fn bytes(&self) -> usize {
        let puts = self.commit.operations.iter();
        puts.map(|op| op.key.len() + op.put.as_ref().map_or(0, |put| put.value.len() + 64))
            .sum()
    }
}

/// What the thread works with.
pub(super) struct Writer {
    pub(super) engine: Arc<Engine>,
    pub(super) watchers: Arc<Watchers>,
    pub(super) acknowledged: Acknowledged,
    pub(super) space: Space,
    pub(super) sweep: Sweep,
    /// The last version that was given, whatever became of it.
    pub(super) version: Version,
    /// Why the engine has to be opened again, and when that was tried last.
    pub(super) failure: Option<(Error, Option<Instant>)>,
}

impl Writer {
    /// Writes what comes until nobody is left who could send more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(self.sweep.wait()) {
                Ok(first) => self.write(group(first, jobs)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.sweep.is_due() && self.failure.is_none() {
                let swept = catch_unwind(AssertUnwindSafe(|| self.sweep.run(&self.engine)));
                if let Some(error) = flatten(swept).err() {
                    self.fail(error);
                }
            }
        }
    }

    fn write(&mut self, jobs: Vec<Job>) {
        let bytes = jobs.iter().map(Job::bytes).sum();
        if let Err(error) = self.ready(bytes) {
            answer_all(jobs, &error);
            return;
        }
        // What a panic leaves half done is in memory alone, and goes with the engine.
        let decided = catch_unwind(AssertUnwindSafe(|| self.decide_and_commit(&jobs)));
        match flatten(decided) {
            Ok(answers) => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    if let Ok(version) = answer {
                        self.watchers.tell(&job.commit, version);
                    }
                    // Nobody waits for it any more if this fails; it is written all the same.
                    let _ = job.answer.send(answer);
                }
            }
            Err(error) => {
                answer_all(jobs, &error);
                self.fail(error);
            }
        }
    }

    fn decide_and_commit(&mut self, jobs: &[Job]) -> Result<Vec<Result<Version>>> {
        let engine = self.engine.get()?;
        let mut group = Group::new(&engine, self.version);
        let answers = jobs.iter().map(|job| group.add(&job.commit)).collect();
        let soonest = group.soonest;
        if let Some(last) = group.commit()? {
            self.version = last;
            // Only the test for losses at the next start stands on it.
            if let Err(error) = self.acknowledged.note(last) {
                tracing::warn!(%error, "cannot note which commits were acknowledged");
            }
        }
        if let Some(soonest) = soonest {
            self.sweep.expects(soonest);
        }
        Ok(answers)
    }

    /// Makes sure that there is room, and an engine that has not failed.
    fn ready(&mut self, bytes: usize) -> Result<()> {
        self.space.check(bytes)?;
        let Some((error, tried)) = &mut self.failure else {
            return Ok(());
        };
        if tried.is_some_and(|tried| tried.elapsed() < REOPENED) {
            return Err(error.clone());
        }
        *tried = Some(Instant::now());
        let reopened = catch_unwind(AssertUnwindSafe(|| self.engine.reopen()));
        let last = flatten(reopened).inspect_err(|again| {
            tracing::error!(error = %again, "the store could not be opened again");
        })?;
        // One that was given to a commit which failed may be on disk, and is never given again.
        self.version = Version(self.version.0.max(last.0));
        tracing::info!("the store was opened again after: {error}");
        self.failure = None;
        Ok(())
    }

    fn fail(&mut self, error: Error) {
        tracing::error!(%error, "the store failed; it is recovered from what is on disk before it writes again");
        self.failure = Some((error, None));
    }
}

/// The first commit, and those that wait behind it.
fn group(first: Job, jobs: &Receiver<Job>) -> Vec<Job> {
    let mut operations = first.commit.operations.len();
    let mut bytes = first.bytes();
    let mut group = vec![first];
    while operations < GROUP_OPERATIONS && bytes < GROUP_BYTES {
        let Ok(job) = jobs.try_recv() else {
            break;
        };
        operations += job.commit.operations.len();
        bytes += job.bytes();
        group.push(job);
    }
    group
}

fn answer_all(jobs: Vec<Job>, error: &Error) {
    for job in jobs {
        let _ = job.answer.send(Err(error.clone()));
    }
}

fn flatten<T>(caught: std::thread::Result<Result<T>>) -> Result<T> {
    caught.unwrap_or_else(|_| {
        Err(Error::internal(
            "the store's engine panicked; the server's log says where",
        ))
    })
}
