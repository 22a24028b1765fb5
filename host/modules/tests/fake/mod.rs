//! A module of every kind that does nothing but be well or badly.

use std::{
    future::pending,
    sync::{Arc, Mutex, mpsc::Receiver},
    time::Duration,
};

use micro_plugin_api::{
    Blob, BoxStream, Broker, ByteStream, Call, Error, Registry, Result, Runtime, Store, Stream,
    blob::{BlobInfo, BlobKey, BlobMeta, BlobPage, BlobQuery},
    broker,
    registry::{self, Change, Service},
    runtime::{Instance, InstanceChange, InstanceKey, LogLine, LogOptions, Spec, StopOptions},
    store::{Commit, ListQuery, Page, Record, Table, Version},
    stream::{ConsumeOptions, Delivery, Event, HistoryQuery, NewEvent, Settlement},
};

/// How a module answers when it is asked how it is, and when it is closed.
#[derive(Clone)]
pub(crate) enum Behaviour {
    Good,
    Fails,
    Panics,
    Hangs,
    /// Until the other end of the channel goes.
    Blocks(Arc<Mutex<Receiver<()>>>),
}

/// A module that cannot do anything else.
pub(crate) struct Fake {
    pub(crate) name: &'static str,
    pub(crate) behaviour: Behaviour,
    pub(crate) closed: Arc<Mutex<Vec<&'static str>>>,
}

fn nothing<T>() -> Result<T> {
    Err(Error::unsupported("a fake can do nothing"))
}

impl Fake {
    async fn behave(&self) -> Result<()> {
        match &self.behaviour {
            Behaviour::Good => Ok(()),
            Behaviour::Fails => Err(Error::unavailable("the backend is gone")),
            Behaviour::Panics => panic!("as it should"),
            Behaviour::Hangs => pending().await,
            Behaviour::Blocks(release) => {
                let _ = release
                    .lock()
                    .expect("no poison")
                    .recv_timeout(Duration::from_secs(60));
                Ok(())
            }
        }
    }

    async fn close(&self) -> Result<()> {
        self.behave().await?;
        self.closed.lock().expect("not poisoned").push(self.name);
        Ok(())
    }
}

impl Store for Fake {
    async fn read(&self, _: &Call, _: Table<'_>, _: &str) -> Result<Option<Record>> {
        nothing()
    }
    async fn list(&self, _: &Call, _: Table<'_>, _: &ListQuery<'_>) -> Result<Page> {
        nothing()
    }
    async fn commit(&self, _: &Call, _: &Commit) -> Result<Version> {
        nothing()
    }
    async fn databases(&self, _: &Call) -> Result<Vec<String>> {
        nothing()
    }
    async fn tables(&self, _: &Call, _: &str) -> Result<Vec<String>> {
        nothing()
    }
    async fn health(&self, _: &Call) -> Result<()> {
        self.behave().await
    }
    async fn shutdown(&self, _: &Call) -> Result<()> {
        self.close().await
    }
}

impl Broker for Fake {
    async fn publish(&self, _: &Call, _: &str, _: broker::Message) -> Result<()> {
        nothing()
    }
    async fn subscribe(
        &self,
        _: &Call,
        _: &str,
        _: Option<&str>,
    ) -> Result<BoxStream<Result<broker::Delivery>>> {
        nothing()
    }
    async fn health(&self, _: &Call) -> Result<()> {
        self.behave().await
    }
    async fn shutdown(&self, _: &Call) -> Result<()> {
        self.close().await
    }
}

impl Blob for Fake {
    async fn write(
        &self,
        _: &Call,
        _: BlobKey<'_>,
        _: &BlobMeta,
        _: ByteStream,
    ) -> Result<BlobInfo> {
        nothing()
    }
    async fn read(&self, _: &Call, _: BlobKey<'_>) -> Result<(BlobInfo, ByteStream)> {
        nothing()
    }
    async fn delete(&self, _: &Call, _: BlobKey<'_>) -> Result<()> {
        nothing()
    }
    async fn list(&self, _: &Call, _: &BlobQuery<'_>) -> Result<BlobPage> {
        nothing()
    }
    async fn namespaces(&self, _: &Call) -> Result<Vec<String>> {
        nothing()
    }
    async fn health(&self, _: &Call) -> Result<()> {
        self.behave().await
    }
    async fn shutdown(&self, _: &Call) -> Result<()> {
        self.close().await
    }
}

impl Stream for Fake {
    async fn publish(&self, _: &Call, _: &[NewEvent]) -> Result<Vec<String>> {
        nothing()
    }
    async fn consume(
        &self,
        _: &Call,
        _: &str,
        _: &ConsumeOptions,
    ) -> Result<BoxStream<Result<Delivery>>> {
        nothing()
    }
    async fn settle(&self, _: &Call, _: &[Settlement]) -> Result<()> {
        nothing()
    }
    async fn history(
        &self,
        _: &Call,
        _: &str,
        _: &HistoryQuery,
    ) -> Result<BoxStream<Result<Event>>> {
        nothing()
    }
    async fn health(&self, _: &Call) -> Result<()> {
        self.behave().await
    }
    async fn shutdown(&self, _: &Call) -> Result<()> {
        self.close().await
    }
}

impl Registry for Fake {
    async fn register(&self, _: &Call, _: &Service, _: Option<Duration>) -> Result<()> {
        nothing()
    }
    async fn deregister(&self, _: &Call, _: &Service) -> Result<()> {
        nothing()
    }
    async fn list(&self, _: &Call, _: &registry::Filter) -> Result<Vec<Service>> {
        nothing()
    }
    async fn watch(&self, _: &Call, _: &registry::Filter) -> Result<BoxStream<Result<Change>>> {
        nothing()
    }
    async fn health(&self, _: &Call) -> Result<()> {
        self.behave().await
    }
    async fn shutdown(&self, _: &Call) -> Result<()> {
        self.close().await
    }
}

impl Runtime for Fake {
    async fn start(&self, _: &Call, _: &Spec) -> Result<Instance> {
        nothing()
    }
    async fn stop(&self, _: &Call, _: &InstanceKey, _: &StopOptions) -> Result<()> {
        nothing()
    }
    async fn list(&self, _: &Call, _: Option<&str>) -> Result<Vec<Instance>> {
        nothing()
    }
    async fn logs(
        &self,
        _: &Call,
        _: &InstanceKey,
        _: &LogOptions,
    ) -> Result<BoxStream<Result<LogLine>>> {
        nothing()
    }
    async fn watch(&self, _: &Call) -> Result<BoxStream<Result<InstanceChange>>> {
        nothing()
    }
    async fn health(&self, _: &Call) -> Result<()> {
        self.behave().await
    }
    async fn shutdown(&self, _: &Call) -> Result<()> {
        self.close().await
    }
}
