//! A plugin that is linked into the program, opened by the same path as a library.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use micro_loader::{Library, LoadError, RunMode};
use micro_plugin_api::prelude::*;

struct Quiet;

impl Quiet {
    fn open(_: NoSettings, _: Host) -> Result<Self> {
        Ok(Self)
    }
}

impl Registry for Quiet {
    async fn register(&self, _: &Call, _: &Service, _: Option<Duration>) -> Result<()> {
        Ok(())
    }
    async fn deregister(&self, _: &Call, _: &Service) -> Result<()> {
        panic!("linked or not, it is contained")
    }
    async fn list(&self, _: &Call, _: &Filter) -> Result<Vec<Service>> {
        Ok(vec![Service::default()])
    }
    async fn watch(&self, _: &Call, _: &Filter) -> Result<BoxStream<Result<Change>>> {
        Err(Error::unsupported("nothing to see"))
    }
}

export_plugin! { name: "quiet", registry: Quiet::open, run = inline, exclusive = true }

#[tokio::test]
async fn a_linked_plugin_is_opened_like_a_library() {
    let library = Library::linked(&PLUGIN).unwrap();
    assert_eq!(library.name(), "quiet");
    assert_eq!(library.sha256(), None);
    assert_eq!(library.manifest().modules, ["registry"]);
    assert_eq!(library.manifest().run, RunMode::Inline);
    assert!(library.manifest().exclusive);
    let host = || Host::new("quiet", "/nowhere", "/nowhere");
    let deadline = Duration::from_secs(20);
    let refused = library.open(r#"{"a":1}"#, host(), deadline).await;
    assert!(matches!(refused, Err(LoadError::Settings { problems, .. }) if problems[0].key == "a"));
    let instance = library.open("{}", host(), deadline).await.unwrap();
    assert!(instance.store().is_none() && instance.blob().is_none());
    let registry = instance.registry().unwrap();
    let (call, filter) = (Call::default(), Filter::default());
    assert_eq!(registry.list(&call, &filter).await.unwrap().len(), 1);
    let refused = registry.deregister(&call, &Service::default()).await;
    assert_eq!(refused.unwrap_err().code(), Code::PANIC);
    assert_eq!(instance.panics(), 1);
    instance.shutdown(deadline).await.unwrap();
}
