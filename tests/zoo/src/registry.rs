//! The zoo's registry: it answers with what it was asked, and its watches run inline.

use std::{sync::Mutex, time::Duration};

use futures::stream;
use micro_plugin_api::prelude::*;

use crate::{Zoo, behaviour::PANIC, excess::Excess, journal::Leaves};

fn named(name: &str) -> Service {
    Service {
        domain: "micro".to_owned(),
        name: name.to_owned(),
        version: "latest".to_owned(),
        ..Service::default()
    }
}

/// A service of a watch that has no end.
fn fat(excess: Excess, at: u64) -> Service {
    // As much as a service may have, so that it is soon too much.
    let item = [&excess.item(at)[..]].repeat(16).concat();
    let text = String::from_utf8_lossy(&item).into_owned();
    let mut service = named(&format!("nobody-{at}"));
    service.metadata.insert("fat".to_owned(), text);
    service
}

/// What was registered last, in the whole library: two instances are never asked for both.
static LAST: Mutex<Option<(Service, Option<Duration>)>> = Mutex::new(None);

impl Registry for Zoo {
    async fn register(&self, _: &Call, service: &Service, ttl: Option<Duration>) -> Result<()> {
        self.act(&service.name).await?;
        if let Ok(mut last) = LAST.lock() {
            *last = Some((service.clone(), ttl));
        }
        Ok(())
    }

    async fn deregister(&self, _: &Call, service: &Service) -> Result<()> {
        self.act(&service.name).await
    }

    async fn list(&self, _: &Call, filter: &Filter) -> Result<Vec<Service>> {
        self.act(filter.name.as_deref().unwrap_or_default()).await?;
        let last = LAST.lock().ok().and_then(|last| last.clone());
        Ok(last
            .into_iter()
            .map(|(mut service, ttl)| {
                let ttl = ttl.map_or_else(|| "none".to_owned(), |ttl| ttl.as_nanos().to_string());
                service.metadata.insert("ttl".to_owned(), ttl);
                service
            })
            .collect())
    }

    async fn watch(&self, _: &Call, filter: &Filter) -> Result<BoxStream<Result<Change>>> {
        let name = filter.name.clone().unwrap_or_default();
        let leaves = Leaves {
            journal: self.journal.clone(),
            line: "watch ended",
        };
        if self.excess.floods() {
            let excess = self.excess;
            return Ok(Box::pin(
                stream::iter(0..).map(move |at| Ok(Change::Present(fat(excess, at)))),
            ));
        }
        if self.excess == Excess::Changes {
            let changes = (0_u64..).map(|at| {
                let mut service = named("restless");
                service.metadata.insert("at".to_owned(), at.to_string());
                Ok(Change::Updated(service))
            });
            let changes = stream::iter([Ok(Change::Synced)]).chain(stream::iter(changes));
            return Ok(Box::pin(changes));
        }
        let mut at = 0;
        Ok(Box::pin(stream::poll_fn(move |_| {
            let _held = &leaves;
            at += 1;
            match (name.as_str(), at) {
                (PANIC, 2) => panic!("asked to panic in a watch"),
                (_, 1) => std::task::Poll::Ready(Some(Ok(Change::Synced))),
                // Nothing changes in a zoo, and nobody wakes the watch.
                _ => std::task::Poll::Pending,
            }
        })))
    }
}
