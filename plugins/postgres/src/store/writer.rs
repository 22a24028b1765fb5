//! The one task that commits: it takes what waits, writes it in one transaction, and tells each
//! caller how it went.
//!
//! So a caller who goes away leaves no transaction behind, and many callers share one sync.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use micro_plugin_api::{
    Error, Result,
    store::{Commit, Operation, Version},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout_at,
};
use uuid::Uuid;

use super::{transaction, watch::Watching};
use crate::{
    database::{Database, backoff},
    error::{Failure, Kind},
    key::TableId,
};

/// How many commits may wait.
const QUEUE: usize = 1_024;

/// The most operations of one transaction, beside those of its last commit.
const BATCH_OPERATIONS: usize = 1_024;

/// The most bytes of keys and values of one transaction, beside those of its last commit.
const BATCH_BYTES: usize = 4 << 20;

/// Takes commits to the task.
pub(crate) struct Writer {
    /// `None` once it is closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    database: Arc<Database>,
}

/// A commit that somebody waits for, until then.
struct Job {
    commit: Commit,
    until: Instant,
    answer: oneshot::Sender<Result<Version>>,
}

impl Job {
    /// Whether nobody waits any more.
    fn is_over(&self) -> bool {
        self.answer.is_closed() || self.until <= Instant::now()
    }

    fn bytes(&self) -> usize {
        let of_one =
            |it: &Operation| it.key.len() + it.put.as_ref().map_or(0, |put| put.value.len());
        self.commit.operations.iter().map(of_one).sum()
    }
}

impl Writer {
    /// The writer, and the work of its task.
    pub(crate) fn new(
        database: Arc<Database>,
        watching: Arc<Watching>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let task = Task {
            database: database.clone(),
            watching,
            known: HashSet::new(),
        };
        let jobs = Mutex::new(Some(jobs));
        (Self { jobs, database }, task.work(queue))
    }

    /// Takes no more commits. The task ends when it has written those that wait.
    pub(crate) fn close(&self) {
        self.jobs().take();
    }

    fn jobs(&self) -> MutexGuard<'_, Option<mpsc::Sender<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits, and answers by `until`.
    pub(crate) async fn commit(&self, until: Instant, commit: &Commit) -> Result<Version> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            commit: commit.clone(),
            until,
            answer,
        };
        let jobs = self.jobs().clone();
        let committed = async {
            jobs?.send(job).await.ok()?;
            answered.await.ok()
        };
        match timeout_at(until.into(), committed).await {
            Ok(Some(outcome)) => outcome,
            // The task drops those that nobody waits for any more, and all when it ends.
            Ok(None) if Instant::now() < until => {
                Err(Error::unavailable("the store has been closed"))
            }
            Ok(None) | Err(_) => {
                let why = self.database.no_answer();
                let text = format!(
                    "{}; the commit may have happened or not, read before you repeat it",
                    why.message()
                );
                Err(Error::unavailable(text).with_retryable(false))
            }
        }
    }
}

struct Task {
    database: Arc<Database>,
    watching: Arc<Watching>,
    /// The tables whose names are written down.
    known: HashSet<TableId>,
}

/// What may have happened: a transaction that broke while it was committed.
struct Unclear {
    id: Uuid,
    /// The last version of which it logs something.
    logged: u64,
    outcomes: Vec<Result<Version>>,
}

/// Where an attempt came to.
enum Attempt {
    Done(Vec<Result<Version>>),
    /// Nothing was written.
    Failed(Failure),
    /// Something may have been.
    Unclear(Unclear, Failure),
}

impl Task {
    async fn work(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.recv().await {
            let batch = gather(first, &mut queue);
            self.write(batch).await;
        }
    }

    /// Writes a batch; one that fails for good is written commit by commit, so that only the one
    /// that is to blame fails.
    async fn write(&mut self, batch: Vec<Job>) {
        let Err((batch, failure)) = self.write_together(batch).await else {
            return;
        };
        if batch.len() == 1 {
            self.fail(batch, &failure);
            return;
        }
        for job in batch {
            if let Err((job, failure)) = self.write_together(vec![job]).await {
                self.fail(job, &failure);
            }
        }
    }

    fn fail(&self, jobs: Vec<Job>, failure: &Failure) {
        for job in jobs {
            // Nobody listens to one that is over.
            let _ = job.answer.send(Err(failure.to_error(self.database.name())));
        }
    }

    /// Writes a batch, again and again while somebody waits for it and it may help.
    async fn write_together(&mut self, mut batch: Vec<Job>) -> Result<(), (Vec<Job>, Failure)> {
        let mut unclear = None;
        let mut waits = backoff();
        loop {
            if unclear.is_none() {
                batch.retain(|job| !job.is_over());
            }
            let Some(until) = batch.iter().map(|job| job.until).max() else {
                return Ok(());
            };
            if until <= Instant::now() {
                return Ok(());
            }
            let failure = match self.attempt(&batch, unclear.take(), until).await {
                Attempt::Done(outcomes) => {
                    self.database.well();
                    for (job, outcome) in batch.into_iter().zip(outcomes) {
                        let _ = job.answer.send(outcome);
                    }
                    self.watching.wake();
                    return Ok(());
                }
                Attempt::Failed(failure) => failure,
                Attempt::Unclear(what, failure) => {
                    unclear = Some(what);
                    failure
                }
            };
            self.database.note(&failure);
            let helps = matches!(failure.kind, Kind::Unreachable | Kind::Contended);
            if !helps && unclear.is_none() {
                return Err((batch, failure));
            }
            tokio::time::sleep(waits.next_wait()).await;
        }
    }

    /// Tries once. A batch that may have happened is looked for first.
    async fn attempt(
        &mut self,
        batch: &[Job],
        unclear: Option<Unclear>,
        until: Instant,
    ) -> Attempt {
        let commits: Vec<&Commit> = batch.iter().map(|job| &job.commit).collect();
        let mut progress = match unclear {
            Some(unclear) => Progress::Committing(unclear),
            None => Progress::Begun,
        };
        let known = &mut self.known;
        let writing = transact(&self.database, &commits, known, &mut progress);
        // However long its callers would wait: others wait behind them.
        let until = until.min(self.database.default_until());
        let failure = match timeout_at(until.into(), writing).await {
            Ok(Ok(outcomes)) => return Attempt::Done(outcomes),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::new(Kind::Unreachable, "a commit had no answer in time"),
        };
        match progress {
            Progress::Begun => Attempt::Failed(failure),
            Progress::Committing(unclear) => Attempt::Unclear(unclear, failure),
        }
    }
}

/// How far a transaction is.
enum Progress {
    /// Nothing of it can have happened.
    Begun,
    /// It may happen.
    Committing(Unclear),
}

async fn transact(
    database: &Database,
    commits: &[&Commit],
    known: &mut HashSet<TableId>,
    progress: &mut Progress,
) -> Result<Vec<Result<Version>>, Failure> {
    let mut lease = database.writer().await?;
    let connection = lease.connection();
    let last = transaction::begin(connection).await?;
    if let Progress::Committing(unclear) = progress {
        let id = unclear.id.as_bytes();
        if transaction::happened(connection, unclear.logged, id).await? {
            transaction::rollback(connection).await?;
            lease.keep();
            return Ok(std::mem::take(&mut unclear.outcomes));
        }
        *progress = Progress::Begun;
    }
    let id = Uuid::new_v4();
    let decision = transaction::write(connection, commits, last, id.as_bytes(), known).await?;
    let Some(change) = decision.changes.last() else {
        // Nothing to be found later, so nothing to be in doubt about.
        transaction::commit(connection).await?;
        lease.keep();
        return Ok(decision.outcomes);
    };
    let tables: Vec<TableId> = decision.changes.iter().map(|change| change.table).collect();
    *progress = Progress::Committing(Unclear {
        id,
        logged: change.version.0,
        outcomes: decision.outcomes.clone(),
    });
    transaction::commit(connection).await?;
    lease.keep();
    known.extend(tables);
    Ok(decision.outcomes)
}

/// The first job, and those that wait behind it, as many as go into one transaction.
fn gather(first: Job, queue: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let mut operations = first.commit.operations.len();
    let mut bytes = first.bytes();
    let mut batch = vec![first];
    while operations < BATCH_OPERATIONS
        && bytes < BATCH_BYTES
        && let Ok(job) = queue.try_recv()
    {
        operations += job.commit.operations.len();
        bytes += job.bytes();
        batch.push(job);
    }
    batch
}
