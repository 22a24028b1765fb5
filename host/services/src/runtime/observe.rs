//! What a run waits for: a node of its own that is well, or the end of its process.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt as _, future};
use micro_modules::Modules;
use micro_plugin_api::{
    BoxStream, Call, Result,
    registry::{Change, Filter, Node, Service},
    runtime::{Backoff, Instance, InstanceChange, InstanceKey, LogOptions, State},
};

use super::{health::Check, record::unix_millis};

/// How long to wait before a module is asked again that could not answer.
const RETRY: Duration = Duration::from_millis(250);

/// The lines of output that an error shows.
const OUTPUT_LINES: u64 = 20;

fn filter(key: &InstanceKey) -> Filter {
    Filter {
        domain: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
    }
}

/// What is registered for `key`.
pub(crate) async fn services(
    modules: &Modules,
    call: &Call,
    key: &InstanceKey,
) -> Result<Vec<Service>> {
    let mut services = modules.registry().list(call, &filter(key)).await?;
    services.retain(|service| service.version == key.version);
    Ok(services)
}

/// The nodes that are registered for `key`.
pub(crate) async fn nodes(modules: &Modules, call: &Call, key: &InstanceKey) -> Result<Vec<Node>> {
    let services = services(modules, call, key).await?;
    Ok(services
        .into_iter()
        .flat_map(|service| service.nodes)
        .collect())
}

/// Removes the nodes of `key` that are not in `before`: what was killed cannot do so itself.
pub(crate) async fn deregister(
    modules: &Modules,
    call: &Call,
    key: &InstanceKey,
    before: &BTreeSet<String>,
) -> Result<()> {
    let mut left = nodes(modules, call, key).await?;
    left.retain(|node| !before.contains(&node.id));
    if left.is_empty() {
        return Ok(());
    }
    let service = Service {
        domain: key.namespace.clone(),
        name: key.name.clone(),
        version: key.version.clone(),
        nodes: left,
        ..Service::default()
    };
    modules.registry().deregister(call, &service).await
}

/// Removes these nodes: those who registered them are gone.
pub(crate) async fn deregister_all(modules: &Modules, call: &Call, services: &[Service]) {
    for service in services {
        if let Err(error) = modules.registry().deregister(call, service).await {
            tracing::warn!(service = service.name, %error, "cannot deregister a service");
        }
    }
}

/// Waits until a node of `key` that is not in `before` passes `check`. `problem` always holds what
/// is still missing.
pub(crate) async fn ready(
    modules: &Modules,
    call: &Call,
    key: &InstanceKey,
    before: &BTreeSet<String>,
    problem: &mut String,
    check: &Check<'_>,
) {
    loop {
        let Ok(mut changes) = modules.registry().watch(call, &filter(key)).await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let mut candidates: BTreeMap<String, Node> = BTreeMap::new();
        loop {
            for node in candidates.values() {
                match check.ask(node).await {
                    Ok(()) => return,
                    Err(why) => *problem = format!("registered, but {why}"),
                }
            }
            // A node that is not well yet is asked again, whether the registry has news or not.
            let news = if candidates.is_empty() {
                changes.next().await
            } else {
                match tokio::time::timeout(RETRY, changes.next()).await {
                    Ok(news) => news,
                    Err(_) => continue,
                }
            };
            match news {
                Some(Ok(
                    Change::Present(service) | Change::Created(service) | Change::Updated(service),
                )) if service.version == key.version => {
                    let new = service
                        .nodes
                        .into_iter()
                        .filter(|node| !before.contains(&node.id));
                    candidates = new.map(|node| (node.id.clone(), node)).collect();
                }
                Some(Ok(Change::Deleted(service))) if service.version == key.version => {
                    candidates.clear();
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// What the process of a service does.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Running,
    /// It died and will be started again; it was so often before.
    Waiting(Backoff, u32),
    /// There is none any more, for this reason.
    Gone(String),
}

/// The states of one service's process, each as it comes.
pub(crate) struct States<'a> {
    modules: &'a Modules,
    call: &'a Call,
    key: &'a InstanceKey,
    changes: Option<BoxStream<Result<InstanceChange>>>,
    /// Whether the present watch has told of the process.
    is_known: bool,
    last: Option<Instance>,
}

impl<'a> States<'a> {
    pub(crate) fn new(modules: &'a Modules, call: &'a Call, key: &'a InstanceKey) -> Self {
        Self {
            modules,
            call,
            key,
            changes: None,
            is_known: false,
            last: None,
        }
    }

    /// The next state, or the present one at first. What came and went is left out. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Seen {
        loop {
            let Some(changes) = &mut self.changes else {
                match self.modules.runtime().watch(self.call).await {
                    Ok(changes) => {
                        self.changes = Some(changes);
                        self.is_known = false;
                    }
                    Err(_) => tokio::time::sleep(RETRY).await,
                }
                continue;
            };
            let change = changes.next().await;
            match change {
                Some(Ok(
                    InstanceChange::Present(instance)
                    | InstanceChange::Started(instance)
                    | InstanceChange::Exited(instance),
                )) if instance.key == *self.key => {
                    self.is_known = true;
                    // Told anew by another watch.
                    if self.last.as_ref() == Some(&instance) {
                        continue;
                    }
                    self.last = Some(instance.clone());
                    return match instance.state {
                        State::Running => Seen::Running,
                        State::Waiting(backoff) => Seen::Waiting(backoff, instance.restarts),
                        State::Exited(exit) => Seen::Gone(exit.to_string()),
                        _ => continue,
                    };
                }
                Some(Ok(InstanceChange::Stopped(instance))) if instance.key == *self.key => {
                    return Seen::Gone("stopped by the runtime".to_owned());
                }
                Some(Ok(InstanceChange::Synced)) if !self.is_known => {
                    return Seen::Gone("gone from the runtime".to_owned());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    self.changes = None;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// Where the words of a start begin in a log that may hold those of earlier ones.
pub(crate) struct Output {
    /// Milliseconds since the Unix epoch.
    since: u64,
}

impl Output {
    /// Must be called before the start.
    pub(crate) async fn open(modules: &Modules, call: &Call, key: &InstanceKey) -> Self {
        // The runtime looks how far the log has come, so that it can tell before from after.
        let options = LogOptions {
            tail: Some(0),
            ..LogOptions::default()
        };
        // There may be no log yet: then all of it will be this start's.
        let _ = modules.runtime().logs(call, key, &options).await;
        Self {
            since: unix_millis(),
        }
    }

    /// The last lines since then.
    pub(crate) async fn last(
        &self,
        modules: &Modules,
        call: &Call,
        key: &InstanceKey,
    ) -> Vec<String> {
        let options = LogOptions {
            tail: Some(OUTPUT_LINES),
            since: Some(self.since),
            follow: false,
        };
        let Ok(lines) = modules.runtime().logs(call, key, &options).await else {
            return Vec::new();
        };
        lines
            .filter_map(|line| future::ready(line.ok().map(|line| line.text)))
            .collect()
            .await
    }
}
