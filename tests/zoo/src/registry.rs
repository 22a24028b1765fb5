//! The zoo's registry: it answers with what it was asked, and its watches run inline.

use std::{sync::Mutex, time::Duration};

use futures::stream;
use micro_plugin_api::prelude::*;

use crate::{Zoo, behaviour::PANIC, journal::Leaves};

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
