//! A registry or a runtime of a library, as their handles call it: methods by name.

use std::{borrow::Cow, sync::Arc, time::Duration};

use abi_stable::std_types::RString;
use futures::{Stream, StreamExt, future::ready};
use serde::{Serialize, de::DeserializeOwned};

use super::{link::Link, watched::Watched};
use crate::{
    BoxFuture, BoxStream, Call, Result,
    abi::{
        documents::{
            self, Deregister, ListInstances, Logs, Matching, Nothing, Register, Start, Stop,
        },
        tables::DocumentTable,
    },
    registry::{Change, DynRegistry, Filter, Service},
    runtime::{
        DynRuntime, Instance, InstanceChange, InstanceKey, LogLine, LogOptions, Spec, StopOptions,
    },
};

pub(super) struct Client {
    pub(super) link: Arc<Link>,
    pub(super) table: &'static DocumentTable,
}

impl Client {
    /// Calls `name`, `module.method`, with a document and reads the one that it answers.
    fn call<'a, T: DeserializeOwned + 'a>(
        &'a self,
        name: &'static str,
        call: &'a Call,
        arguments: impl Serialize + Send + 'a,
    ) -> BoxFuture<'a, Result<T>> {
        Box::pin(async move {
            let arguments = documents::write(&arguments)?;
            let link = &*self.link;
            let future = (self.table.call)(
                link.instance(),
                call.into(),
                method(name).into(),
                arguments.as_str().into(),
            );
            let answer = link.call(name, call, future).await?;
            documents::read(&answer)
        })
    }

    /// The stream of documents that `name` answers with.
    fn texts<'a>(
        &'a self,
        name: &'static str,
        call: &'a Call,
        arguments: impl Serialize + Send + 'a,
    ) -> BoxFuture<'a, Result<BoxStream<Result<RString>>>> {
        Box::pin(async move {
            let arguments = documents::write(&arguments)?;
            let link = &*self.link;
            let future = (self.table.stream)(
                link.instance(),
                call.into(),
                method(name).into(),
                arguments.as_str().into(),
            );
            let record = link.call(name, call, future).await?;
            Ok(self.link.stream(name, record))
        })
    }

    fn stream<'a, T: DeserializeOwned + 'static>(
        &'a self,
        name: &'static str,
        call: &'a Call,
        arguments: impl Serialize + Send + 'a,
    ) -> BoxFuture<'a, Result<BoxStream<Result<T>>>> {
        let texts = self.texts(name, call, arguments);
        Box::pin(async move {
            let items = texts.await?.map(|text| documents::read(&text?));
            Ok(Box::pin(items) as BoxStream<Result<T>>)
        })
    }
}

/// A stream whose first error is the last that it brings.
fn until_it_fails<T: Send + 'static>(
    items: impl Stream<Item = Result<T>> + Send + 'static,
) -> BoxStream<Result<T>> {
    let items = items.scan(false, |failed, item| {
        let is_over = std::mem::replace(failed, item.is_err());
        ready((!is_over).then_some(item))
    });
    Box::pin(items)
}

fn method(name: &'static str) -> &'static str {
    name.split_once('.').map_or(name, |(_, method)| method)
}

impl DynRegistry for Client {
    fn register<'a>(
        &'a self,
        call: &'a Call,
        service: &'a Service,
        ttl: Option<Duration>,
    ) -> BoxFuture<'a, Result<()>> {
        self.call("registry.register", call, Register::new(service, ttl))
    }

    fn deregister<'a>(&'a self, call: &'a Call, service: &'a Service) -> BoxFuture<'a, Result<()>> {
        let service = Cow::Borrowed(service);
        self.call("registry.deregister", call, Deregister { service })
    }

    fn list<'a>(
        &'a self,
        call: &'a Call,
        filter: &'a Filter,
    ) -> BoxFuture<'a, Result<Vec<Service>>> {
        let filter = Cow::Borrowed(filter);
        self.call("registry.list", call, Matching { filter })
    }

    fn watch<'a>(
        &'a self,
        call: &'a Call,
        filter: &'a Filter,
    ) -> BoxFuture<'a, Result<BoxStream<Result<Change>>>> {
        let filter = Cow::Borrowed(filter);
        let texts = self.texts("registry.watch", call, Matching { filter });
        Box::pin(async move {
            let (link, mut watched) = (self.link.clone(), Watched::default());
            let changes = texts.await?.map(move |text| {
                let text = text?;
                let change = documents::read(&text)?;
                watched.take_in(link.plugin(), &change, text.len())?;
                Ok(change)
            });
            Ok(until_it_fails(changes))
        })
    }

    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        self.call("registry.health", call, Nothing {})
    }

    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        self.call("registry.shutdown", call, Nothing {})
    }
}

impl DynRuntime for Client {
    fn start<'a>(&'a self, call: &'a Call, spec: &'a Spec) -> BoxFuture<'a, Result<Instance>> {
        let spec = Cow::Borrowed(spec);
        self.call("runtime.start", call, Start { spec })
    }

    fn stop<'a>(
        &'a self,
        call: &'a Call,
        key: &'a InstanceKey,
        options: &'a StopOptions,
    ) -> BoxFuture<'a, Result<()>> {
        let (key, options) = (Cow::Borrowed(key), Cow::Borrowed(options));
        self.call("runtime.stop", call, Stop { key, options })
    }

    fn list<'a>(
        &'a self,
        call: &'a Call,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Instance>>> {
        let namespace = namespace.map(Cow::Borrowed);
        self.call("runtime.list", call, ListInstances { namespace })
    }

    fn logs<'a>(
        &'a self,
        call: &'a Call,
        key: &'a InstanceKey,
        options: &'a LogOptions,
    ) -> BoxFuture<'a, Result<BoxStream<Result<LogLine>>>> {
        let (key, options) = (Cow::Borrowed(key), Cow::Borrowed(options));
        self.stream("runtime.logs", call, Logs { key, options })
    }

    fn watch<'a>(
        &'a self,
        call: &'a Call,
    ) -> BoxFuture<'a, Result<BoxStream<Result<InstanceChange>>>> {
        self.stream("runtime.watch", call, Nothing {})
    }

    fn health<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        self.call("runtime.health", call, Nothing {})
    }

    fn shutdown<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Result<()>> {
        self.call("runtime.shutdown", call, Nothing {})
    }
}
