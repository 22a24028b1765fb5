//! One run of a service, from its source to its end: build, live, clean up.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use micro_builder::Artifact;
use micro_plugin_api::{Call, runtime::InstanceKey};
use tokio_util::sync::CancellationToken;

use super::{
    artifact,
    journal::Journal,
    manager::Inner,
    plan::Plan,
    record::{self, Kept, Record},
    status::Status,
};

/// A run as the manager knows it. Clones share it.
#[derive(Clone)]
pub(crate) struct Run {
    /// Unique among all runs.
    pub(crate) id: String,
    pub(crate) journal: Arc<Journal>,
    /// Ends it.
    pub(crate) cancel: CancellationToken,
    /// Cancelled when it has ended and cleaned up.
    pub(crate) done: CancellationToken,
    /// Whether another server has the service now.
    lost: Arc<AtomicBool>,
}

impl Run {
    pub(crate) fn new(id: String) -> Self {
        Self {
            id,
            journal: Arc::new(Journal::new()),
            cancel: CancellationToken::new(),
            done: CancellationToken::new(),
            lost: Arc::default(),
        }
    }

    /// Ends it because another server has the service now: account and record are that one's.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.cancel.cancel();
        self.journal.close();
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Ends it, and waits until nothing of it is left.
    pub(crate) async fn end(&self) {
        self.cancel.cancel();
        self.done.cancelled().await;
    }
}

/// Why a run is over.
pub(crate) enum End {
    /// Somebody ended it, and sees to its record.
    Cancelled,
    Failed {
        reason: String,
        output: Vec<String>,
    },
}

pub(crate) fn failed(reason: impl Into<String>) -> End {
    End::Failed {
        reason: reason.into(),
        output: Vec::new(),
    }
}

/// How a run begins.
pub(crate) enum Begin {
    /// From the source. The run that it replaces goes on until this one is built.
    New(Option<Run>),
    /// Again, with what was built the last time, if that is there still.
    Again(Option<Kept>),
    /// With a process that runs.
    Adopt(Artifact, Box<Record>),
}

/// One run at work.
pub(crate) struct Task {
    pub(crate) inner: Arc<Inner>,
    pub(crate) key: InstanceKey,
    pub(crate) plan: Plan,
    pub(crate) this: Run,
    /// The files of this run alone.
    pub(crate) folder: PathBuf,
    pub(crate) call: Call,
}

impl Task {
    pub(crate) fn new(inner: Arc<Inner>, key: InstanceKey, plan: Plan, this: Run) -> Self {
        Self {
            folder: inner.folder_of(&key).join(&this.id),
            call: Call::new(&key.namespace),
            inner,
            key,
            plan,
            this,
        }
    }

    /// Runs it to its end.
    pub(crate) async fn run(self, begin: Begin) {
        let _done = self.this.done.clone().drop_guard();
        let end = match begin {
            Begin::New(previous) => {
                let built = self.built().await;
                // Even if this one could not be built: its record says so, and the old one has
                // none any more.
                if let Some(previous) = previous {
                    previous.end().await;
                }
                match built {
                    Ok(artifact) => self.live(artifact).await,
                    Err(end) => end,
                }
            }
            Begin::Again(kept) => match kept.as_ref().and_then(Kept::artifact) {
                Some(artifact) => self.live_again(artifact).await,
                None => match self.built().await {
                    Ok(artifact) => self.live_again(artifact).await,
                    Err(end) => end,
                },
            },
            Begin::Adopt(artifact, record) => self.live_on(artifact, &record).await,
        };
        self.finish(end).await;
    }

    /// Cleans up after its end.
    pub(crate) async fn finish(&self, end: End) {
        // What was built is started again with the server.
        let comes_back = matches!(end, End::Cancelled) && self.inner.is_closing();
        if !comes_back && let Err(error) = artifact::remove(&self.folder).await {
            tracing::warn!(service = %self.key, %error, "cannot remove the files of a run");
        }
        if let End::Failed { reason, output } = end {
            tracing::info!(service = %self.key, %reason, "a service failed");
            let over = |record: &mut Record| {
                record.status = Status::Error;
                record.error.clone_from(&reason);
                record.retry_at = None;
                record.is_over = true;
                record.artifact = None;
            };
            if self.record(over).await {
                self.this.journal.status(Status::Error, &reason, output);
            }
        }
    }

    /// Changes the record of this run; false if there is none any more, because it was deleted or
    /// replaced: whoever did that ends this run too.
    pub(crate) async fn record(&self, change: impl Fn(&mut Record)) -> bool {
        let modules = &self.inner.modules;
        match record::update(modules, &self.call, &self.key, &self.this.id, change).await {
            Ok(is_there) => is_there,
            Err(error) => {
                tracing::warn!(service = %self.key, %error, "cannot record the status of a service");
                true
            }
        }
    }

    /// Tells a change of status to the record and to watchers, in this order: who has seen it may
    /// read it.
    pub(crate) async fn status(&self, status: Status) {
        let change = |record: &mut Record| {
            record.status = status;
            record.error = String::new();
            record.retry_at = None;
        };
        if self.record(change).await {
            self.this.journal.status(status, "", Vec::new());
        }
    }

    /// Builds it, and records what was built.
    async fn built(&self) -> Result<Artifact, End> {
        self.status(Status::Building).await;
        let artifact = self.build().await?;
        let kept = Kept::of(&artifact);
        self.record(|record| record.artifact = Some(kept.clone()))
            .await;
        Ok(artifact)
    }

    /// Builds it, unless it is cancelled.
    pub(crate) async fn build(&self) -> Result<Artifact, End> {
        let inner = &self.inner;
        let built = artifact::build(
            inner.modules.blob(),
            &self.call,
            &inner.config,
            &self.key,
            &self.plan,
            &self.folder,
            &*self.this.journal,
        );
        tokio::select! {
            biased;
            () = self.this.cancel.cancelled() => Err(End::Cancelled),
            built = built => built.map_err(failed),
        }
    }
}
