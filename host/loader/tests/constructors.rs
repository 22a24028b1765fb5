//! A plugin whose modules have constructors of their own.
#![allow(clippy::unwrap_used)]

use std::{sync::LazyLock, time::Duration};

use micro_loader::Library;
use micro_plugin_api::prelude::*;
use tokio::sync::Barrier;

/// Where both constructors wait for each other.
static BOTH: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));

struct Post;

impl Post {
    async fn open(_: NoSettings, _: Host) -> Result<Self> {
        BOTH.wait().await;
        Ok(Self)
    }
}

impl Broker for Post {
    async fn publish(&self, _: &Call, _: &str, _: Message) -> Result<()> {
        Ok(())
    }
    async fn subscribe(
        &self,
        _: &Call,
        _: &str,
        _: Option<&str>,
    ) -> Result<BoxStream<Result<micro_plugin_api::broker::Delivery>>> {
        Err(Error::unsupported("nobody writes"))
    }
}

struct Directory;

impl Directory {
    async fn open(_: NoSettings, _: Host) -> Result<Self> {
        BOTH.wait().await;
        Ok(Self)
    }
}

impl Registry for Directory {
    async fn register(&self, _: &Call, _: &Service, _: Option<Duration>) -> Result<()> {
        Ok(())
    }
    async fn deregister(&self, _: &Call, _: &Service) -> Result<()> {
        Ok(())
    }
    async fn list(&self, _: &Call, _: &Filter) -> Result<Vec<Service>> {
        Ok(vec![Service::default()])
    }
    async fn watch(&self, _: &Call, _: &Filter) -> Result<BoxStream<Result<Change>>> {
        Err(Error::unsupported("nothing to see"))
    }
}

export_plugin! { name: "office", broker: Post::open, registry: Directory::open }

/// One that waits for its backend keeps the others of its plugin from nothing.
#[tokio::test]
async fn constructors_run_beside_each_other() {
    let library = Library::linked(&PLUGIN).unwrap();
    let host = Host::new("office", "/nowhere", "/nowhere");
    let deadline = Duration::from_secs(20);
    let instance = library.open("{}", host, deadline).await.unwrap();
    assert!(instance.broker().is_some());
    let registry = instance.registry().unwrap();
    let (call, filter) = (Call::default(), Filter::default());
    assert_eq!(registry.list(&call, &filter).await.unwrap().len(), 1);
    instance.shutdown(deadline).await.unwrap();
}
