//! The suites notice what is wrong: the memory modules behind wrappers that break one rule each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream};
use micro_memory::{MemoryBlob, MemoryRegistry, MemoryStore};
use micro_plugin_api::{
    Blob, BlobHandle, BoxStream, ByteStream, Bytes, Call, Error, Registry, RegistryHandle, Result,
    Store, StoreHandle,
    blob::{BlobInfo, BlobKey, BlobMeta, BlobPage, BlobQuery},
    registry::{Change, Filter, Service},
    store::{
        Commit, Cursor, Expiry, ListQuery, Page, Precondition, Record, RecordChange, Table, Version,
    },
};
use micro_plugin_conformance::{blob, registry, store};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum StoreDefect {
    ForgetsExpiry,
    ExpiryInSeconds,
    PrefixAsPattern,
    SkipsOnEachPage,
    CommitsOneByOne,
    ChecksThenWrites,
    ReusesVersions,
    FoldsCase,
    WatchesEverything,
    LosesForTheSlow,
    Panics,
    Hangs,
    Blocks,
}

struct BadStore {
    inner: MemoryStore,
    defect: StoreDefect,
    version: AtomicU64,
}

impl Store for BadStore {
    async fn read(&self, call: &Call, table: Table<'_>, key: &str) -> Result<Option<Record>> {
        match self.defect {
            StoreDefect::Panics => panic!("on purpose"),
            StoreDefect::Hangs => std::future::pending().await,
            StoreDefect::Blocks => {
                let (_held, never) = std::sync::mpsc::channel::<()>();
                let _ = never.recv_timeout(Duration::from_secs(5));
            }
            _ => {}
        }
        if self.defect == StoreDefect::FoldsCase {
            return self.inner.read(call, table, &key.to_lowercase()).await;
        }
        let record = self.inner.read(call, table, key).await?;
        Ok(record.map(|record| match self.defect {
            StoreDefect::ReusesVersions => Record {
                version: Version(self.version.load(Ordering::Relaxed) % 4),
                ..record
            },
            _ => record,
        }))
    }

    async fn list(&self, call: &Call, table: Table<'_>, query: &ListQuery<'_>) -> Result<Page> {
        let mut query = query.clone();
        if self.defect == StoreDefect::PrefixAsPattern && query.prefix.contains(['%', '_']) {
            query.prefix = query.prefix.split(['%', '_']).next().unwrap_or_default();
        }
        let position = query
            .cursor
            .map(|cursor| cursor.0.replacen("/0/", "/3/", 1));
        let position = position.map(Cursor);
        if self.defect == StoreDefect::SkipsOnEachPage && query.skip > 0 {
            query.cursor = position.as_ref();
        }
        self.inner.list(call, table, &query).await
    }

    async fn commit(&self, call: &Call, commit: &Commit) -> Result<Version> {
        let mut commit = commit.clone();
        for operation in &mut commit.operations {
            if self.defect == StoreDefect::FoldsCase {
                operation.key = operation.key.to_lowercase();
            }
            let Some(put) = &mut operation.put else {
                continue;
            };
            match self.defect {
                StoreDefect::ForgetsExpiry => put.expiry = None,
                StoreDefect::ExpiryInSeconds => {
                    put.expiry = put
                        .expiry
                        .map(|Expiry(at)| Expiry(at.div_ceil(1_000) * 1_000 + 1_000));
                }
                _ => {}
            }
        }
        match self.defect {
            StoreDefect::CommitsOneByOne => {
                let mut version = Ok(Version(0));
                for operation in commit.operations {
                    let operations = vec![operation];
                    version = self.inner.commit(call, &Commit { operations }).await;
                }
                version
            }
            StoreDefect::ChecksThenWrites => {
                for operation in &mut commit.operations {
                    let table = Table::new(&operation.database, &operation.table);
                    let there = self.inner.read(call, table, &operation.key).await?;
                    let holds = match operation.precondition {
                        Precondition::Any => true,
                        Precondition::Absent => there.is_none(),
                        Precondition::Version(wanted) => {
                            there.is_some_and(|record| record.version == wanted)
                        }
                    };
                    if !holds {
                        return Err(Error::conflict(format!("{:?}", operation.key)));
                    }
                    operation.precondition = Precondition::Any;
                }
                tokio::task::yield_now().await;
                self.inner.commit(call, &commit).await
            }
            StoreDefect::ReusesVersions => {
                self.inner.commit(call, &commit).await?;
                Ok(Version(
                    (self.version.fetch_add(1, Ordering::Relaxed) + 1) % 4,
                ))
            }
            _ => self.inner.commit(call, &commit).await,
        }
    }

    async fn watch(
        &self,
        call: &Call,
        table: Table<'_>,
        prefix: &str,
    ) -> Result<BoxStream<Result<RecordChange>>> {
        match self.defect {
            StoreDefect::WatchesEverything => self.inner.watch(call, table, "").await,
            StoreDefect::LosesForTheSlow => {
                let changes = self.inner.watch(call, table, prefix).await?;
                Ok(changes
                    .take_while(|change| std::future::ready(change.is_ok()))
                    .boxed())
            }
            _ => self.inner.watch(call, table, prefix).await,
        }
    }

    async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        self.inner.databases(call).await
    }

    async fn tables(&self, call: &Call, database: &str) -> Result<Vec<String>> {
        self.inner.tables(call, database).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_defect_of_a_store_fails_its_rule() {
    for (defect, rule) in [
        (StoreDefect::ForgetsExpiry, "store.expiry.read"),
        (StoreDefect::ForgetsExpiry, "store.expiry.list"),
        (StoreDefect::ForgetsExpiry, "store.expiry.precondition"),
        (StoreDefect::ForgetsExpiry, "store.expiry.names"),
        (StoreDefect::ExpiryInSeconds, "store.expiry.read"),
        (StoreDefect::ExpiryInSeconds, "store.read.what-was-put"),
        (StoreDefect::PrefixAsPattern, "store.list.prefix-is-literal"),
        (StoreDefect::SkipsOnEachPage, "store.walk.skip-once"),
        (StoreDefect::CommitsOneByOne, "store.commit.all-or-nothing"),
        (StoreDefect::CommitsOneByOne, "store.commit.sixty-four"),
        (
            StoreDefect::CommitsOneByOne,
            "store.commit.at-most-sixty-four",
        ),
        (StoreDefect::CommitsOneByOne, "store.commit.no-key-twice"),
        (StoreDefect::ChecksThenWrites, "store.concurrent.creators"),
        (StoreDefect::ChecksThenWrites, "store.concurrent.counter"),
        (StoreDefect::ReusesVersions, "store.version.never-reused"),
        (StoreDefect::FoldsCase, "store.key.any-text"),
        (
            StoreDefect::WatchesEverything,
            "store.watch.prefix-is-literal",
        ),
        (StoreDefect::LosesForTheSlow, "store.watch.slow"),
        (StoreDefect::Panics, "store.read.exact-key"),
        (StoreDefect::Hangs, "store.read.exact-key"),
        (StoreDefect::Blocks, "store.read.exact-key"),
    ] {
        let open = async || {
            Ok(StoreHandle::new(BadStore {
                inner: MemoryStore::new(),
                defect,
                version: AtomicU64::new(0),
            }))
        };
        let suite = store::suite()
            .only(rule)
            .with_deadline(Duration::from_secs(3));
        let report = suite.run(open).await;
        report.assert_noticed(rule, &defect);
    }
}

/// What is wrong with a blob store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum BlobDefect {
    KeepsHalf,
    MixesReaders,
    NamesTheEmpty,
    GoesOn,
}

struct BadBlob {
    inner: Arc<MemoryBlob>,
    defect: BlobDefect,
}

impl Blob for BadBlob {
    async fn write(
        &self,
        call: &Call,
        key: BlobKey<'_>,
        meta: &BlobMeta,
        mut body: ByteStream,
    ) -> Result<BlobInfo> {
        if self.defect != BlobDefect::KeepsHalf {
            return self.inner.write(call, key, meta, body).await;
        }
        let mut all = Vec::new();
        loop {
            let chunk = body.next().await;
            if let Some(Ok(chunk)) = &chunk {
                all.extend_from_slice(chunk);
            }
            let so_far = stream::iter([Ok(Bytes::from(all.clone()))]).boxed();
            let info = self.inner.write(call, key, meta, so_far).await?;
            match chunk {
                Some(chunk) => chunk.map(drop)?,
                None => return Ok(info),
            }
        }
    }

    async fn read(&self, call: &Call, key: BlobKey<'_>) -> Result<(BlobInfo, ByteStream)> {
        let (info, body) = self.inner.read(call, key).await?;
        let (inner, namespace, key) = (
            self.inner.clone(),
            key.namespace.to_owned(),
            key.key.to_owned(),
        );
        let call = call.clone();
        let late = stream::once(async move {
            let read = inner.read(&call, BlobKey::new(&namespace, &key)).await;
            read.map_or_else(|_| stream::empty().boxed(), |(_, body)| body)
        });
        Ok(match self.defect {
            BlobDefect::MixesReaders => (info, late.flatten().boxed()),
            BlobDefect::GoesOn => {
                let more = stream::repeat(Ok(Bytes::from_static(b"more")));
                (info, body.chain(more).boxed())
            }
            _ => (info, body),
        })
    }

    async fn delete(&self, call: &Call, key: BlobKey<'_>) -> Result<()> {
        self.inner.delete(call, key).await
    }

    async fn list(&self, call: &Call, query: &BlobQuery<'_>) -> Result<BlobPage> {
        self.inner.list(call, query).await
    }

    async fn namespaces(&self, call: &Call) -> Result<Vec<String>> {
        let mut all = self.inner.namespaces(call).await?;
        if self.defect == BlobDefect::NamesTheEmpty
            && !all.iter().any(|name| name == call.namespace())
        {
            all.push(call.namespace().to_owned());
            all.sort();
        }
        Ok(all)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_defect_of_a_blob_store_fails_its_rule() {
    for (defect, rule) in [
        (BlobDefect::KeepsHalf, "blob.write.failed-body"),
        (BlobDefect::KeepsHalf, "blob.write.cancelled"),
        (BlobDefect::KeepsHalf, "blob.write.unseen-until-whole"),
        (BlobDefect::MixesReaders, "blob.read.steady"),
        (BlobDefect::NamesTheEmpty, "blob.namespaces.with-blobs"),
        (BlobDefect::GoesOn, "blob.read.ends"),
        (BlobDefect::GoesOn, "blob.read.what-was-written"),
    ] {
        let open = async || {
            let inner = Arc::new(MemoryBlob::new());
            Ok(BlobHandle::new(BadBlob { inner, defect }))
        };
        let report = blob::suite().only(rule).run(open).await;
        report.assert_noticed(rule, &defect);
    }
}

/// What is wrong with a registry.
#[derive(Clone, Copy, Debug, PartialEq)]
enum RegistryDefect {
    ForgetsTtl,
    NeverSynced,
    MakesUpServices,
    TellsOfRenewals,
    MixesDomains,
    ListsThenWatches,
}

struct BadRegistry {
    inner: MemoryRegistry,
    defect: RegistryDefect,
}

impl Registry for BadRegistry {
    async fn register(&self, call: &Call, service: &Service, ttl: Option<Duration>) -> Result<()> {
        let ttl = ttl.filter(|_| self.defect != RegistryDefect::ForgetsTtl);
        if self.defect == RegistryDefect::TellsOfRenewals {
            self.inner.deregister(call, service).await?;
        }
        self.inner.register(call, service, ttl).await
    }

    async fn deregister(&self, call: &Call, service: &Service) -> Result<()> {
        self.inner.deregister(call, service).await
    }

    async fn list(&self, call: &Call, filter: &Filter) -> Result<Vec<Service>> {
        let mut filter = filter.clone();
        if self.defect == RegistryDefect::MixesDomains {
            filter.domain = None;
        }
        self.inner.list(call, &filter).await
    }

    async fn watch(&self, call: &Call, filter: &Filter) -> Result<BoxStream<Result<Change>>> {
        let changes = match self.defect {
            RegistryDefect::MakesUpServices => {
                stream::repeat(Ok(Change::Present(Service::default()))).boxed()
            }
            RegistryDefect::ListsThenWatches => {
                let present = self.inner.list(call, filter).await?;
                // Long enough for somebody to register in between, if anybody does.
                for _ in 0..1_000 {
                    if self.inner.list(call, filter).await? != present {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let changes = self.inner.watch(call, filter).await?;
                let live = changes.skip_while(|change| {
                    std::future::ready(matches!(change, Ok(Change::Present(_))))
                });
                let present = present
                    .into_iter()
                    .map(|service| Ok(Change::Present(service)));
                stream::iter(present.collect::<Vec<_>>())
                    .chain(live)
                    .boxed()
            }
            _ => self.inner.watch(call, filter).await?,
        };
        let defect = self.defect;
        let kept = changes.filter(move |change| {
            let synced = matches!(change, Ok(Change::Synced));
            std::future::ready(!(synced && defect == RegistryDefect::NeverSynced))
        });
        Ok(kept.boxed())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_defect_of_a_registry_fails_its_rule() {
    for (defect, rule) in [
        (RegistryDefect::ForgetsTtl, "registry.expiry.list"),
        (RegistryDefect::ForgetsTtl, "registry.expiry.one-by-one"),
        (RegistryDefect::ForgetsTtl, "registry.expiry.watch"),
        (RegistryDefect::NeverSynced, "registry.watch.snapshot"),
        (RegistryDefect::MakesUpServices, "registry.watch.snapshot"),
        (RegistryDefect::TellsOfRenewals, "registry.watch.renewal"),
        (RegistryDefect::MixesDomains, "registry.domains.isolated"),
        (RegistryDefect::ListsThenWatches, "registry.watch.no-gap"),
    ] {
        let open = async || {
            let inner = MemoryRegistry::new();
            Ok(RegistryHandle::new(BadRegistry { inner, defect }))
        };
        let suite = registry::suite()
            .only(rule)
            .with_deadline(Duration::from_secs(4));
        let report = suite.run(open).await;
        report.assert_noticed(rule, &defect);
    }
}
