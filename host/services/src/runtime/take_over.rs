//! Taking over the services of servers that are gone, and letting go of what others took.

use std::collections::HashSet;

use micro_plugin_api::{Code, Result, runtime::InstanceKey, store::Commit};
use uuid::Uuid;

use super::{
    Manager,
    keeper::Keeper,
    lease::{self, Lease},
    observe,
    record::{self, Record},
    run::{Begin, Run, Task},
    status::Status,
    wish::Wish,
};

impl Keeper {
    /// Looks at the record of every service.
    pub(super) async fn round(&mut self) -> Result<()> {
        let manager = self.manager.clone();
        let modules = manager.modules();
        let own = &manager.config().server;
        // Before the records: whatever is begun after that has one.
        let runs = manager.0.snapshot();
        let leases = lease::list(modules, &Self::call()).await?;
        let alive: HashSet<_> = leases
            .into_iter()
            .filter(|(_, lease, _)| lease.is_held())
            .map(|(server, ..)| server)
            .collect();
        let records = record::list(modules, &Self::call(), None).await?;
        for (key, run) in &runs {
            let is_own = |record: &Record| record.key == *key && record.server == *own;
            if !records.iter().any(is_own) {
                manager.lose(key, run);
            }
        }
        let mut failed = Ok(());
        for record in records {
            let done = if record.server == *own {
                match record.wish {
                    Some(_) => manager
                        .take_note(&Self::call(), &record.key)
                        .await
                        .map(drop),
                    None => Ok(()),
                }
            } else if alive.contains(&record.server) || is_nobodys(&record) {
                Ok(())
            } else {
                self.take_over(&record.key, &record.server).await
            };
            if let Err(error) = done {
                tracing::error!(service = %record.key, %error, "cannot take over a service");
                failed = Err(error);
            }
        }
        failed
    }

    /// Makes a service of `from`, which is gone, this server's own. Of several that try, one
    /// succeeds: it writes the record, the lease of `from`, which stays free, and its own, each
    /// over the version that it read.
    async fn take_over(&mut self, key: &InstanceKey, from: &str) -> Result<()> {
        let manager = self.manager.clone();
        let (modules, own) = (manager.modules(), &manager.config().server);
        for _ in 0..record::ATTEMPTS {
            let Some((former, version)) = record::read(modules, &Self::call(), key).await? else {
                return Ok(());
            };
            let theirs = lease::read(modules, &Self::call(), from).await?;
            if former.server != from || theirs.as_ref().is_some_and(|(it, _)| it.is_held()) {
                return Ok(());
            }
            let record = taken(&former, own);
            let commit = record::put(Commit::new(), &record, Some(version))?;
            let over = theirs.map(|(_, version)| version);
            let commit = lease::put(commit, from, &Lease::default(), over)?;
            let commit = lease::put(commit, own, &self.own, self.held)?;
            match modules.store().commit(&Self::call(), &commit).await {
                Ok(version) => {
                    self.held = Some(version);
                    manager.begin_taken(former, record).await;
                    return Ok(());
                }
                Err(error) if error.code() == Code::CONFLICT => {
                    let mine = lease::read(modules, &Self::call(), own).await?;
                    match mine.filter(|(lease, _)| lease.start == self.own.start) {
                        Some((_, version)) => self.held = Some(version),
                        // Others take this server for dead.
                        None => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(record::changing(key))
    }
}

/// Whether nothing is to be done with a service by itself.
fn is_nobodys(record: &Record) -> bool {
    record.is_over && record.status != Status::Stopping
}

/// The record of a service as the server `own` runs it from now on.
fn taken(former: &Record, own: &str) -> Record {
    let mut record = Record {
        // Another run: whatever is left of the former one writes into this record no more.
        run: Uuid::now_v7().to_string(),
        server: own.to_owned(),
        wish: None,
        // It stands on another machine, or in another server's folder.
        artifact: None,
        platform: String::new(),
        registered: Vec::new(),
        error: String::new(),
        retry_at: None,
        ..former.clone()
    };
    if let Some(Wish::Update(change)) = &former.wish {
        change.apply(&mut record);
    }
    if record.status != Status::Stopping {
        record.status = Status::Pending;
    }
    record
}

impl Manager {
    /// Begins a service that was taken over.
    async fn begin_taken(&self, former: Record, record: Record) {
        let inner = &self.0;
        tracing::info!(service = %record.key, from = former.server, "took a service over");
        // Nobody else takes them away, and calls would go there until they expire.
        observe::deregister_all(&inner.modules, &Keeper::call(), &former.registered).await;
        if record.status == Status::Stopping {
            self.delete_in_background(record.key);
            return;
        }
        let this = Run::new(record.run);
        this.journal.status(Status::Pending, "", Vec::new());
        if let Some(previous) = inner.runs().insert(record.key.clone(), this.clone()) {
            previous.lose();
        }
        let task = Task::new(inner.clone(), record.key, record.plan, this);
        inner.background.spawn(task.run(Begin::Again(None)));
    }

    /// Lets go of everything that runs here.
    pub(super) fn lose_all(&self) {
        for (_, update) in self.0.updates().drain() {
            update.lose();
        }
        for (key, run) in self.0.snapshot() {
            self.lose(&key, &run);
        }
    }
}
